"""Wavelets, banks of them, Fourier transforms and pointwise nonlinearities."""
