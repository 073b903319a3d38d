"""Estimators with the parameters of other libraries' objects."""

from skwave.scattering._kymatio import from_kymatio

__all__ = ["from_kymatio"]
