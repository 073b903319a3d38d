"""Chemical elements: symbols, covalent radii, and atomic numbers from labels."""

import re

import numpy as np

_TABLE = """
H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr
Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb
Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr
Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og
"""
SYMBOLS = tuple(_TABLE.split())
"""Symbols of the elements; that of atomic number ``Z`` is ``SYMBOLS[Z - 1]``."""

# Å, of Cordero et al. (2008), Dalton Trans. 2832, from H to Cm
_RADII = """
.31 .28 1.28 .96 .84 .76 .71 .66 .57 .58 1.66 1.41 1.21 1.11 1.07 1.05 1.02 1.06 2.03 1.76 1.70
1.60 1.53 1.39 1.39 1.32 1.26 1.24 1.32 1.22 1.22 1.20 1.19 1.20 1.20 1.16 2.20 1.95 1.90 1.75
1.64 1.54 1.47 1.46 1.42 1.39 1.45 1.44 1.42 1.39 1.39 1.38 1.39 1.40 2.44 2.15 2.07 2.04 2.03
2.01 1.99 1.98 1.98 1.96 1.94 1.92 1.92 1.89 1.90 1.87 1.87 1.75 1.70 1.62 1.51 1.44 1.41 1.36
1.36 1.32 1.45 1.46 1.48 1.40 1.50 1.50 2.60 2.21 2.15 2.06 2.00 1.96 1.90 1.87 1.80 1.69
"""
_HEAVIEST = 1.6  # of the elements for which there is none
_NOBLE = (2, 10, 18, 36, 54, 86, 118)


def _bond_radii():
    known = [float(r) for r in _RADII.split()]
    radii = np.array([np.nan, *known, *[_HEAVIEST] * (len(SYMBOLS) - len(known))])
    radii[list(_NOBLE)] = np.nan
    return radii


BOND_RADII = _bond_radii()
"""Covalent radius in Å by atomic number; NaN for noble gases, which make no bonds, and for 0."""

_NUMBERS = {symbol: z for z, symbol in enumerate(SYMBOLS, start=1)} | {"D": 1, "T": 1}
# a symbol, after the mass of an isotope, before a charge, a count or a type: 13C, C1, Fe3+, N_ar
_LABEL = re.compile(r"\d*([A-Za-z]{1,2})(?:[^A-Za-z].*)?")
# in capitals these are elements as well as atoms of a protein: CA is calcium, and the carbon alpha
_AMBIGUOUS = {f"{a}{b}" for a in "CHN" for b in "ABDEGHOZ" if f"{a}{b.lower()}" in _NUMBERS}


def atomic_number(label):
    """Atomic number of an element from its symbol, the label of an atom, or a number.

    Parameters
    ----------
    label : str
        Such as "C", "cl", "C1", "D", "13C", "Fe3+", "6".

    Returns
    -------
    number : int
        From 1 to 118.

    Raises
    ------
    ValueError
        If it is none of these, or may be one of two elements.

    Examples
    --------
    >>> from skwave.molecules._elements import atomic_number
    >>> [atomic_number(label) for label in ("C", "CL", "H12", "D", "6")]
    [6, 17, 1, 1, 6]
    """
    label = label.strip()
    if label in _NUMBERS:
        return _NUMBERS[label]
    found = _LABEL.fullmatch(label)
    symbol = found.group(1) if found else ""
    if symbol in _AMBIGUOUS:
        raise ValueError(
            f"the label {label!r} may be {symbol.capitalize()} or {symbol[0]}: write the symbol of "
            "the element."
        )
    if symbol.capitalize() in _NUMBERS:
        return _NUMBERS[symbol.capitalize()]
    try:
        number = float(label)
    except ValueError:
        number = 0
    if number in range(1, len(SYMBOLS) + 1):
        return int(number)
    raise ValueError(
        f"the label {label!r} is no element: give a symbol, such as C, or an integer from 1 to "
        f"{len(SYMBOLS)}. Ghost atoms and point charges are to be left out."
    )
