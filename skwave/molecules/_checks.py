"""Checks of packed molecules."""

import warnings

import numpy as np

from skwave._core.arrays import to_numpy

_TABLE = """
H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr
Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb
Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr
Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og
"""
SYMBOLS = tuple(_TABLE.split())
"""Symbols of the elements; that of atomic number ``Z`` is ``SYMBOLS[Z - 1]``."""

_OVERLAP = 0.1  # Å
# bonds of hydrogen have 0.7 to 1.6 Å, and all but that of H2 more than 1.7 Bohr
_LONGEST_BOND = 1.6  # Å, of hydrogen
_BOHR = 0.529177  # Å


def as_numpy(x):
    """Array of numpy, of a tensor as well.

    Parameters
    ----------
    x : array-like, Tensor or array of the array API
        Values.

    Returns
    -------
    values : ndarray
        The values, without a graph.
    """
    return np.asarray(to_numpy(x))


def check(numbers, positions, offsets):
    """Check packed molecules and give the arrays their types.

    Parameters
    ----------
    numbers : array-like, shape (n_atoms_total,)
        Atomic numbers.
    positions : array-like, shape (n_atoms_total, 3)
        Coordinates in Å.
    offsets : array-like, shape (n + 1,)
        First atom of each molecule, and the end.

    Returns
    -------
    numbers, positions, offsets : ndarray
        New arrays of int64, float64 and int64, read-only.
    """
    numbers, positions, offsets = map(as_numpy, (numbers, positions, offsets))
    if numbers.ndim != 1 or positions.shape != (len(numbers), 3):
        raise ValueError(
            f"numbers of shape {numbers.shape} and positions of shape {positions.shape} must be "
            "(n_atoms_total,) and (n_atoms_total, 3)."
        )
    if numbers.dtype.kind not in "iuf" or positions.dtype.kind not in "iuf":
        raise TypeError(
            f"numbers of type {numbers.dtype} and positions of type {positions.dtype} must be "
            "real numbers."
        )
    if (
        offsets.ndim != 1
        or offsets.dtype.kind not in "iu"
        or len(offsets) == 0
        or offsets[0] != 0
        or offsets[-1] != len(numbers)
        or np.any(offsets[1:] < offsets[:-1])
    ):
        raise ValueError(
            f"offsets={offsets!r} must be integers that rise from 0 to the {len(numbers)} atoms."
        )
    offsets = offsets.astype(np.int64)
    empty = np.diff(offsets) == 0
    if empty.any():
        raise ValueError(f"molecule {empty.argmax()} has no atoms: leave it out.")
    _check_charges(numbers, offsets)
    finite = np.isfinite(positions).all(axis=1)
    if not finite.all():
        i, atom = _place(~finite, offsets)
        raise ValueError(
            f"molecule {i}: atom {atom} has the coordinates {positions[offsets[i] + atom]}, which "
            "are not finite."
        )
    arrays = numbers.astype(np.int64), positions.astype(np.float64), offsets
    _check_distances(*arrays)
    return freeze(*arrays)


def freeze(*arrays):
    """Make arrays read-only.

    Parameters
    ----------
    *arrays : ndarray
        Arrays that nobody else holds.

    Returns
    -------
    arrays : tuple of ndarray
        The same.
    """
    for array in arrays:
        array.flags.writeable = False
    return arrays


def _place(bad, offsets):
    # molecule, and atom within it
    atom = int(bad.argmax())
    i = int(np.searchsorted(offsets, atom, side="right")) - 1
    return i, atom - int(offsets[i])


def _check_charges(numbers, offsets):
    bad = ~((numbers >= 1) & (numbers <= len(SYMBOLS)))  # NaN is bad, too
    if numbers.dtype.kind == "f":
        bad |= numbers != np.floor(numbers)
    if bad.any():
        i, atom = _place(bad, offsets)
        raise ValueError(
            f"molecule {i}: atom {atom} has the atomic number {numbers[offsets[i] + atom]}; it "
            f"must be an integer from 1 to {len(SYMBOLS)}. Ghost atoms and point charges are to "
            "be left out."
        )


def _check_distances(numbers, positions, offsets):
    hydrogen = np.inf  # shortest distance of one to another atom
    for molecules, d2, is_h in _pairs(numbers, positions, offsets):
        near = d2 < _OVERLAP**2
        if near.any():
            i = int(molecules[near.any(axis=0).argmax()])
            raise ValueError(_overlap_message(i, positions[offsets[i] : offsets[i + 1]]))
        if hydrogen > _LONGEST_BOND**2 and is_h.any():
            hydrogen = min(hydrogen, d2[is_h].min())
    if _LONGEST_BOND < hydrogen**0.5 < _LONGEST_BOND / _BOHR:
        warnings.warn(
            "positions look like Bohr: no hydrogen is nearer than "
            f"{hydrogen**0.5:.2f} to another atom, and bonds of hydrogen have 0.7 to 1.6 Å. "
            f"Multiply by {_BOHR} for Å.",
            stacklevel=5,
        )


def _pairs(numbers, positions, offsets):
    """Squared distances of atoms a and a + s, for molecules of one size at a time."""
    n_atoms = np.diff(offsets)
    for size in np.unique(n_atoms):
        molecules = np.flatnonzero(n_atoms == size)
        atoms = offsets[molecules] + np.arange(size)[:, None]
        r = np.ascontiguousarray(np.moveaxis(positions[atoms], -1, 0))
        is_h = numbers[atoms] == 1
        for s in range(1, size):
            d = r[:, s:] - r[:, :-s]
            d *= d
            yield molecules, d[0] + d[1] + d[2], is_h[s:] | is_h[:-s]


def _overlap_message(i, r):
    d = np.linalg.norm(r[:, None] - r, axis=-1) + np.diag(np.full(len(r), np.inf))
    a, b = sorted(int(k) for k in np.unravel_index(d.argmin(), d.shape))
    return (
        f"molecule {i}: atoms {a} and {b} overlap, they are {d[a, b]:.3g} Å apart. Remove the "
        "duplicate; if the positions are in nanometres, multiply them by 10."
    )
