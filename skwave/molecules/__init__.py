"""Molecules as samples, their features, and regression of their energies."""

from skwave.molecules._checks import SYMBOLS
from skwave.molecules._container import Molecule, Molecules, PeriodicMolecule
from skwave.molecules._convert import as_molecules
from skwave.molecules._energies import EnergyRegressor
from skwave.molecules._multilinear import MultilinearRegressor
from skwave.molecules._scattering import SolidHarmonicScattering

__all__ = [
    "SYMBOLS",
    "EnergyRegressor",
    "Molecule",
    "Molecules",
    "MultilinearRegressor",
    "PeriodicMolecule",
    "SolidHarmonicScattering",
    "as_molecules",
]
