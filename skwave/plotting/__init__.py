"""Displays of filters, of scattering coefficients and of molecules, in the style of scikit-learn.

They need matplotlib, which is imported when something is drawn: ``pip install "skwave[plot]"``.
"""

from skwave.plotting._filter_bank import FilterBankDisplay
from skwave.plotting._scattering import ScatteringDisplay
from skwave.plotting._solid import SolidHarmonicDisplay

__all__ = ["FilterBankDisplay", "ScatteringDisplay", "SolidHarmonicDisplay"]
