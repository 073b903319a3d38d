"""Checks of what an energy regressor is fitted to."""

import warnings

import numpy as np

from skwave._core.arrays import to_numpy

_SAME = 1e-6  # Å, of molecules that occur twice
# eV in kcal/mol, Hartree in eV, eV in kJ/mol, Hartree in kcal/mol and in kJ/mol
_RATIOS = np.array([23.06, 27.211, 96.485, 627.51, 2625.5])
_NEAR = 1.5  # factor within which energies of an atom differ by one of them
_UNEXPLAINED = 0.1  # share of the energies that no energies of the elements explain


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
        raise ValueError(
            "y=None: EnergyRegressor needs a target for each molecule, y=energies, or forces=."
        )
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


def check_crystals(molecules):
    """Refuse structures without a volume.

    Parameters
    ----------
    molecules : Molecules
        Molecules.
    """
    n = len(molecules)
    open_ = np.ones(n, bool) if molecules.periodic is None else ~molecules.periodic.all(axis=1)
    if open_.any():
        raise ValueError(
            f"molecule {int(open_.argmax())} of X is not periodic along three vectors, and has no "
            "volume and no stress: give structures with cells, such as ASE's with pbc=True."
        )


def warn_of_units(y, molecules):
    """Warn of energies in different units, which the composition does not explain.

    Parameters
    ----------
    y : ndarray, shape (n, 1)
        Energies.
    molecules : Molecules
        Molecules.
    """
    per_atom = np.abs(y[:, 0]) / molecules.n_atoms
    if not (np.all(y > 0) or np.all(y < 0)):
        return  # relative energies have no scale
    elements = np.unique(molecules.numbers)
    counts = np.zeros((len(y), len(elements)))
    column = np.searchsorted(elements, molecules.numbers)
    np.add.at(counts, (molecules.molecule_index, column), 1)
    if (counts == counts[0]).all():
        return  # nor have those of one molecule that moves
    rest = y - counts @ np.linalg.lstsq(counts, y, rcond=None)[0]
    order = np.argsort(per_atom)
    first = 1 + int(np.diff(np.log(per_atom[order])).argmax())
    low, high = order[:first], order[first:]
    a, b = np.median(per_atom[low]), np.median(per_atom[high])
    known = np.abs(np.log(b / a / _RATIOS)).min() < np.log(_NEAR)
    if known and np.linalg.norm(rest) > _UNEXPLAINED * np.linalg.norm(y):
        warnings.warn(
            f"energies seem to be in different units: {len(low)} of y, such as y[{low[0]}], are "
            f"about {a:.3g} an atom, and {len(high)}, such as y[{high[0]}], about {b:.3g}, "
            f"{b / a:.3g} times as large, and no energies of the elements explain both. A Hartree "
            "is 27.211 eV or 627.51 kcal/mol. Convert y to one unit.",
            stacklevel=4,
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
