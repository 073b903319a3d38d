"""Wavelet-structured learning with the interface of scikit-learn."""

from skwave._scattering import ScatteringTransformer

__version__ = "0.1.0.dev0"
__all__ = ["ScatteringTransformer"]
