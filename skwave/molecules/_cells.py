"""Cells of periodic structures: read from other packages, and checked."""

import numpy as np
import torch

from skwave.functional._molecules.neighbours import neighbour_pairs
from skwave.molecules._checks import as_numpy

_OVERLAP = 0.1  # Å
_FLAT = 1e-3  # least volume, length or area of the vectors, over the product of their lengths


def read_cells(items):
    """Cells of molecules that have one.

    Parameters
    ----------
    items : sequence
        Molecules; of them ``ase.Atoms`` and periodic molecules have ``cell`` and ``pbc``.

    Returns
    -------
    cells : ndarray, shape (n, 3, 3), or None
        Vectors as rows in Å, 0 for molecules without. None if nothing is periodic.
    periodic : ndarray of bool, shape (n, 3), or None
        Along which vectors.
    """
    periodic = np.zeros((len(items), 3), dtype=bool)
    for i, item in enumerate(items):
        if hasattr(item, "cell"):
            periodic[i] = getattr(item, "pbc", False)
    if not periodic.any():
        return None, None
    cells = np.zeros((len(items), 3, 3))
    for i in np.flatnonzero(periodic.any(axis=1)):
        cells[i] = np.asarray(items[i].cell)
    return cells, periodic


def check_cells(cells, periodic, positions, offsets, name="molecule {}".format):
    """Cells of packed molecules, checked and with their types.

    Parameters
    ----------
    cells : array-like, shape (n, 3, 3), or None
        Vectors as rows in Å.
    periodic : array-like of bool, shape (n, 3), (n,) or (), or None
        Along which vectors; None for all of them, if there are cells.
    positions : ndarray, shape (n_atoms_total, 3)
        Coordinates in Å.
    offsets : ndarray, shape (n + 1,)
        First atom of each molecule, and the end.
    name : callable
        Gives the name of a molecule, for messages, from its index.

    Returns
    -------
    cells, periodic : ndarray, or None
        New arrays of float64 and bool; None if nothing is periodic.
    """
    n = len(offsets) - 1
    if cells is None:
        if periodic is not None and np.any(as_numpy(periodic)):
            raise ValueError("periodic molecules need cells=, of shape (n, 3, 3) in Å.")
        return None, None
    cells, periodic = as_numpy(cells), as_numpy(True if periodic is None else periodic)
    if cells.shape != (n, 3, 3) or cells.dtype.kind not in "iuf":
        raise ValueError(
            f"cells of shape {cells.shape} and type {cells.dtype} must be real numbers of shape "
            f"({n}, 3, 3), the vectors of each cell as rows."
        )
    if periodic.dtype != bool or periodic.shape not in ((), (n,), (n, 3)):
        raise ValueError(
            f"periodic of shape {periodic.shape} and type {periodic.dtype} must be bool of shape "
            f"({n}, 3), ({n},) or ()."
        )
    periodic = np.broadcast_to(periodic[:, None] if periodic.shape == (n,) else periodic, (n, 3))
    periodic, cells = periodic.copy(), cells.astype(np.float64)
    if not periodic.any():
        return None, None
    for i in np.flatnonzero(periodic.any(axis=1)):
        _check_vectors(name(i), cells[i][periodic[i]])
    _check_images(cells, periodic, positions, offsets, name)
    return cells, periodic


def _check_vectors(name, vectors):
    if not np.isfinite(vectors).all():
        raise ValueError(f"{name}: its cell holds numbers that are not finite.")
    lengths = np.linalg.norm(vectors, axis=1)
    size = np.sqrt(np.linalg.det(vectors @ vectors.T).clip(0))
    if not lengths.all() or size < _FLAT * lengths.prod():
        raise ValueError(
            f"{name}: the vectors of its cell, {vectors.tolist()}, are 0 or lie in a line or "
            "a plane. Give as many independent vectors as it is periodic along, in Å."
        )


def _check_images(cells, periodic, positions, offsets, name):
    tensors = (torch.tensor(a) for a in (positions, offsets))
    cells, periodic = torch.tensor(cells), torch.tensor(periodic)
    pairs = neighbour_pairs(*tensors, _OVERLAP, cells, periodic)
    if len(pairs.centre):
        a, b = int(pairs.centre[0]), int(pairs.neighbour[0])
        i = int(np.searchsorted(offsets, a, side="right")) - 1
        raise ValueError(
            f"{name(i)}: atom {a - offsets[i]} and an image of atom {b - offsets[i]} overlap. "
            "Remove atoms that stand twice, on opposite faces of the cell, or mend the cell."
        )
