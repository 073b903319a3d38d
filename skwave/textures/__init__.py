"""Moments of wavelet phase harmonics, and maximum-entropy models of textures."""

from skwave.textures._model import MaxEntTextureModel
from skwave.textures._transformer import PhaseHarmonicTransformer

__all__ = ["MaxEntTextureModel", "PhaseHarmonicTransformer"]
