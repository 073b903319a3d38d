"""Wavelet-structured learning with the interface of scikit-learn."""

from skwave._case import CASEGenerator
from skwave._multilinear import MultilinearRegressor
from skwave._phase_harmonic import PhaseHarmonicTransformer
from skwave._scattering import ScatteringTransformer
from skwave._scattering_dictionary import ScatteringDictionaryClassifier
from skwave._solid import SolidHarmonicScattering
from skwave._sparse import SparseCoder
from skwave._texture import MaxEntTextureModel
from skwave.molecules import Molecules

__version__ = "0.1.0.dev0"
__all__ = [
    "CASEGenerator",
    "MaxEntTextureModel",
    "Molecules",
    "MultilinearRegressor",
    "PhaseHarmonicTransformer",
    "ScatteringDictionaryClassifier",
    "ScatteringTransformer",
    "SolidHarmonicScattering",
    "SparseCoder",
]
