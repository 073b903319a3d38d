"""Scattering transform of signals and images: estimator, layer and displays."""

from skwave.scattering._transformer import ScatteringTransformer

__all__ = ["ScatteringTransformer"]
