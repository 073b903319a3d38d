"""Scattering transforms of signals and images, their layer and their displays."""

from skwave.scattering._transformer import ScatteringTransformer

__all__ = ["ScatteringTransformer"]
