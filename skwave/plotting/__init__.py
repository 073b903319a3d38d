"""Displays of filters, coefficients, molecules, images and codes, in the style of scikit-learn.

They need matplotlib, which is imported when something is drawn: ``pip install "skwave[plot]"``.
"""

from skwave.plotting._filter_bank import FilterBankDisplay
from skwave.plotting._generation import GenerationDisplay, LatentInterpolationDisplay
from skwave.plotting._scattering import ScatteringDisplay
from skwave.plotting._solid import SolidHarmonicDisplay
from skwave.plotting._sparse import SparseCodeDisplay
from skwave.plotting._texture import TextureDisplay

__all__ = [
    "FilterBankDisplay",
    "GenerationDisplay",
    "LatentInterpolationDisplay",
    "ScatteringDisplay",
    "SolidHarmonicDisplay",
    "SparseCodeDisplay",
    "TextureDisplay",
]
