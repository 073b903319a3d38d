"""Estimators from objects of other libraries."""

from skwave.scattering._kymatio import from_kymatio

__all__ = ["from_kymatio"]
