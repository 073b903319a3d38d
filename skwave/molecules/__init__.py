"""Molecules as samples."""

from skwave.molecules._checks import SYMBOLS
from skwave.molecules._container import Molecule, Molecules
from skwave.molecules._convert import as_molecules

__all__ = ["SYMBOLS", "Molecule", "Molecules", "as_molecules"]
