"""Wavelet-structured learning with the interface of scikit-learn."""

from skwave._core.cache import clear_cache
from skwave._core.rows import FeatureCache
from skwave.classification import ScatteringDictionaryClassifier
from skwave.generation import CASEGenerator
from skwave.molecules import (
    EnergyRegressor,
    Molecules,
    MultilinearRegressor,
    SolidHarmonicScattering,
)
from skwave.scattering import ScatteringTransformer
from skwave.sparse import SparseCoder
from skwave.textures import MaxEntTextureModel, PhaseHarmonicTransformer

__version__ = "0.1.0.dev0"
__all__ = [
    "CASEGenerator",
    "EnergyRegressor",
    "FeatureCache",
    "MaxEntTextureModel",
    "Molecules",
    "MultilinearRegressor",
    "PhaseHarmonicTransformer",
    "ScatteringDictionaryClassifier",
    "ScatteringTransformer",
    "SolidHarmonicScattering",
    "SparseCoder",
    "clear_cache",
]
