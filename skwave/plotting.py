"""Displays of filters, coefficients, molecules, textures, images and codes, as scikit-learn's.

They need matplotlib, which is imported when something is drawn: ``pip install "skwave[plot]"``.
"""

from skwave.generation._display import GenerationDisplay, LatentInterpolationDisplay
from skwave.molecules._display import SolidHarmonicDisplay
from skwave.scattering._display import ScatteringDisplay
from skwave.scattering._filter_bank import FilterBankDisplay
from skwave.sparse._display import SparseCodeDisplay
from skwave.textures._display import TextureDisplay

__all__ = [
    "FilterBankDisplay",
    "GenerationDisplay",
    "LatentInterpolationDisplay",
    "ScatteringDisplay",
    "SolidHarmonicDisplay",
    "SparseCodeDisplay",
    "TextureDisplay",
]
