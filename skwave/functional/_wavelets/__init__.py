"""Wavelets and their banks, Fourier tools, and pointwise nonlinearities."""
