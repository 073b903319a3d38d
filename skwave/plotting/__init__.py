"""Displays of filter banks and of scattering coefficients, in the manner of scikit-learn's.

They need matplotlib, which is imported when something is drawn: ``pip install "skwave[plot]"``.
"""

from skwave.plotting._filter_bank import FilterBankDisplay
from skwave.plotting._scattering import ScatteringDisplay

__all__ = ["FilterBankDisplay", "ScatteringDisplay"]
