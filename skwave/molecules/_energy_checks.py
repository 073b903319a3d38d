"""Checks of what an energy regressor is fitted to."""

import warnings

import numpy as np

from skwave._core.arrays import to_numpy
from skwave.molecules._checks import SYMBOLS

_SAME = 1e-6  # Å, of molecules that occur twice


def check_energies(y, molecules):
    """Check targets of molecules.

    Parameters
    ----------
    y : array-like, shape (n,) or (n, t)
        Targets.
    molecules : Molecules
        As many.

    Returns
    -------
    y : ndarray, shape (n, t)
        In float64.
    flat : bool
        Whether there was no axis of targets.
    """
    if y is None:
        raise ValueError("y=None: EnergyRegressor needs a target for each molecule, y=energies.")
    y = np.asarray(to_numpy(y))
    if y.dtype.kind not in "iufbO":
        raise ValueError(f"y of type {y.dtype} must be real numbers.")
    y = y.astype(np.float64)
    if y.ndim not in (1, 2) or len(y) != len(molecules):
        raise ValueError(
            f"y of shape {y.shape} for {len(molecules)} molecules must have the shape "
            f"({len(molecules)},) or ({len(molecules)}, n_targets): Found input variables with "
            "inconsistent numbers of samples."
        )
    bad = ~np.isfinite(y.reshape(len(y), -1)).all(axis=1)
    if bad.any():
        i = int(bad.argmax())
        raise ValueError(
            f"y[{i}] = {y[i]} is NaN or infinity ({bad.sum()} of {len(y)} targets are): leave "
            "these molecules out, X[np.isfinite(y)]."
        )
    return y.reshape(len(y), -1), y.ndim == 1


def check_forces(forces, molecules, y, features, extensive):
    """Check forces on the atoms of molecules.

    Parameters
    ----------
    forces : sequence of array-like, shape (n_atoms, 3)
        Forces.
    molecules : Molecules
        As many.
    y : ndarray, shape (n, t)
        Targets.
    features : object or None
        The parameter of the regressor.
    extensive : bool
        The parameter of the regressor.

    Returns
    -------
    forces : list of ndarray, shape (n_atoms, 3)
        In float64.
    """
    if features is not None:
        raise ValueError(
            f"forces with features={features!r}: features from outside have no derivatives here. "
            "Leave features=None to learn from forces."
        )
    if y.shape[1] > 1 or not extensive:
        raise ValueError(
            f"forces are derivatives of one energy, which is a sum over atoms: y has {y.shape[1]} "
            f"targets and extensive={extensive}. Fit other targets by a regressor of their own."
        )
    if len(forces) != len(molecules):
        raise ValueError(
            f"{len(forces)} arrays of forces for {len(molecules)} molecules: give one array of "
            "shape (n_atoms, 3) for each."
        )
    found = []
    for i, (f, n) in enumerate(zip(forces, molecules.n_atoms, strict=True)):
        f = np.asarray(to_numpy(f), dtype=np.float64)
        if f.shape != (n, 3):
            raise ValueError(
                f"forces of molecule {i} have the shape {f.shape}, but it has {n} atoms: they must "
                f"have the shape ({n}, 3)."
            )
        if not np.isfinite(f).all():
            raise ValueError(f"forces of molecule {i} are not finite: leave it out.")
        found.append(f)
    return found


def resolve_elements(elements, molecules):
    """Atomic numbers of the elements that there may be.

    Parameters
    ----------
    elements : list of int or str, or None
        Atomic numbers or symbols; None for those of the molecules.
    molecules : Molecules
        Molecules to be fitted.

    Returns
    -------
    numbers : ndarray of int
        Atomic numbers, increasing.
    """
    if elements is None:
        return np.unique(molecules.numbers)
    numbers = {symbol: z for z, symbol in enumerate(SYMBOLS, 1)}
    numbers |= {z: z for z in numbers.values()}
    unknown = [e for e in elements if e not in numbers]
    if unknown or len(elements) == 0:
        raise ValueError(
            f"elements={elements!r} must be atomic numbers from 1 to {len(SYMBOLS)}, or symbols "
            f"such as 'C'; not {unknown}."
        )
    found = np.unique([numbers[e] for e in elements])
    check_elements(molecules, found)
    return found


def check_elements(molecules, elements):
    """Refuse molecules of elements that were not fitted.

    Parameters
    ----------
    molecules : Molecules
        Molecules.
    elements : ndarray of int
        Atomic numbers that were fitted.
    """
    unknown = ~np.isin(molecules.numbers, elements)
    if unknown.any():
        atom = int(unknown.argmax())
        i = int(np.searchsorted(molecules.offsets, atom, side="right")) - 1
        known = " ".join(SYMBOLS[z - 1] for z in elements)
        raise ValueError(
            f"molecule {i} of X holds {SYMBOLS[molecules.numbers[atom] - 1]}, of which nothing is "
            f"known: the elements are {known}. Fit to molecules that hold all elements, or name "
            "them by elements=."
        )


def warn_of_duplicates(molecules):
    """Warn of molecules that occur twice, whose errors left out say nothing.

    Parameters
    ----------
    molecules : Molecules
        Molecules.
    """
    rounded = np.round(molecules.positions / _SAME).astype(np.int64)
    seen = {}
    for i, (a, b) in enumerate(zip(molecules.offsets, molecules.offsets[1:], strict=False)):
        key = molecules.numbers[a:b].tobytes() + rounded[a:b].tobytes()
        first = seen.setdefault(key, i)
        if first != i:
            warnings.warn(
                f"molecules {first} and {i} of X are the same: errors left out, by which the "
                "regulariser is chosen, are too small then. Remove duplicates.",
                stacklevel=4,
            )
            return
