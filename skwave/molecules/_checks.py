"""Checks of packed molecules."""

import warnings

import numpy as np

from skwave._core.arrays import to_numpy
from skwave.molecules._elements import BOND_RADII, SYMBOLS

_OVERLAP = 0.1  # Å
_BOHR = 0.529177  # Å
# what positions are multiplied by if they are in another unit than Å
_UNITS = {"Bohr": _BOHR, "nanometres": 10, "picometres": 0.01}


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


def check(numbers, positions, offsets, name="molecule {}".format):
    """Arrays of packed molecules, checked and with their types.

    Parameters
    ----------
    numbers : array-like, shape (n_atoms_total,)
        Atomic numbers.
    positions : array-like, shape (n_atoms_total, 3)
        Coordinates in Å.
    offsets : array-like, shape (n + 1,)
        First atom of each molecule, and the end.
    name : callable
        Gives the name of a molecule, for messages, from its index.

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
        raise ValueError(f"{name(empty.argmax())} has no atoms: leave it out.")
    _check_charges(numbers, offsets, name)
    finite = np.isfinite(positions).all(axis=1)
    if not finite.all():
        i, atom = _place(~finite, offsets)
        raise ValueError(
            f"{name(i)}: atom {atom} has the coordinates {positions[offsets[i] + atom]}, which "
            "are not finite."
        )
    arrays = numbers.astype(np.int64), positions.astype(np.float64), offsets
    _check_distances(*arrays, name)
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


def _check_charges(numbers, offsets, name):
    bad = ~((numbers >= 1) & (numbers <= len(SYMBOLS)))  # NaN is bad, too
    if numbers.dtype.kind == "f":
        bad |= numbers != np.floor(numbers)
    if bad.any():
        i, atom = _place(bad, offsets)
        raise ValueError(
            f"{name(i)}: atom {atom} has the atomic number {numbers[offsets[i] + atom]}; it "
            f"must be an integer from 1 to {len(SYMBOLS)}. Ghost atoms and point charges are to "
            "be left out."
        )


def _check_distances(numbers, positions, offsets, name):
    nearest, bonds = _nearest(numbers, positions, offsets)
    unit, shortest = _unit(bonds, offsets)
    if (nearest < _OVERLAP).any():
        i, _ = _place(nearest < _OVERLAP, offsets)
        a, b, distance = _closest(positions[offsets[i] : offsets[i + 1]])
        hint = f"If the positions are in {unit}, multiply them by {_UNITS[unit]}." if unit else ""
        raise ValueError(
            f"{name(i)}: atoms {a} and {b} overlap, they are {distance:.3g} Å apart. "
            f"{hint or 'Remove the duplicate.'}"
        )
    if unit:
        warnings.warn(
            f"positions look like {unit}: the nearest atoms are {shortest:.3g} lengths of a "
            f"bond apart. Multiply by {_UNITS[unit]} for Å.",
            stacklevel=5,
        )


def _nearest(numbers, positions, offsets):
    """Distance of each atom to the nearest, in Å, and to the nearest in lengths of a bond.

    Both are infinite where there is none. Molecules of one size are computed at a time, atom a
    with atom a + s for each s.
    """
    nearest, bonds = np.full((2, len(numbers)), np.inf)
    n_atoms = np.diff(offsets)
    for size in np.unique(n_atoms):
        atoms = offsets[:-1][n_atoms == size] + np.arange(size)[:, None]
        r = np.ascontiguousarray(np.moveaxis(positions[atoms], -1, 0))
        radii = BOND_RADII[numbers[atoms]]
        near, bond = np.full((2, *atoms.shape), np.inf)
        for s in range(1, size):
            d = r[:, s:] - r[:, :-s]
            d *= d
            d2 = d[0] + d[1] + d[2]
            bond2 = d2 / (radii[s:] + radii[:-s]) ** 2
            for part in (slice(s, None), slice(None, -s)):
                np.minimum(near[part], d2, out=near[part])
                np.fmin(bond[part], bond2, out=bond[part])  # NaN are noble gases
        nearest[atoms], bonds[atoms] = np.sqrt(near), np.sqrt(bond)
    return nearest, bonds


def _unit(bonds, offsets):
    """Unit that the positions seem to have, None for Å, and the shortest distance in bonds.

    Two atoms may be anywhere, as when a bond is drawn out; of three or more some are bonded, so
    that the shortest distance is 0.75 to 1.3 lengths of a bond.
    """
    n_atoms = np.diff(offsets)
    found = bonds[np.repeat(n_atoms > 2, n_atoms)]
    found = found[np.isfinite(found)]
    shortest = found.min(initial=np.inf)
    unit = None
    middle = np.median(found) if found.size else np.nan
    if 1.4 < shortest and middle < 2.4:
        unit = "Bohr"
    elif 50 < shortest and middle < 200:
        unit = "picometres"
    elif middle < 0.3:  # a few atoms may come too near, but not most
        unit = "nanometres"
    return unit, shortest


def _closest(r):
    d = np.linalg.norm(r[:, None] - r, axis=-1) + np.diag(np.full(len(r), np.inf))
    a, b = sorted(int(k) for k in np.unravel_index(d.argmin(), d.shape))
    return a, b, d[a, b]
