"""Wavelet-structured learning with the interface of scikit-learn."""

__version__ = "0.1.0.dev0"
