"""Molecules of whatever kind."""

import numpy as np

from skwave._core.arrays import native
from skwave.molecules._cells import read_cells
from skwave.molecules._container import Molecules
from skwave.molecules._readers import pack, read_any, read_pair


def as_molecules(X):
    """Molecules of whatever kind, as every estimator of molecules takes them.

    Parameters
    ----------
    X : Molecules, sequence, array or Series
        One of: Molecules, which come back as they are; a list, a tuple, an object array or a
        pandas Series of `ase.Atoms`, of `rdkit.Chem.Mol` with a conformer, or of pairs
        ``(numbers, positions)``; a padded array or tensor of shape (n, n_atoms, 4) with rows
        ``[Z, x, y, z]``, where ``Z = 0`` is padding. Coordinates are in Å.

    Returns
    -------
    molecules : Molecules
        At least one.

    Raises
    ------
    ValueError
        If there are none, or one is refused by `Molecules`.
    TypeError
        If ``X`` is of no such kind.

    Notes
    -----
    numpy makes a two-dimensional array of ``np.array(list_of_atoms, dtype=object)``, because
    Atoms are sequences. Fill an empty object array element by element, or keep the list.

    Examples
    --------
    >>> from skwave.molecules import as_molecules
    >>> as_molecules([([1, 1], [[0, 0, 0], [0, 0, 0.74]])])
    Molecules(n=1, n_atoms=2, elements=H)
    """
    molecules = X if isinstance(X, Molecules) else _convert(X)
    if len(molecules) == 0:
        raise ValueError("X has 0 molecules, while a minimum of 1 is required.")
    return molecules


def _convert(X):
    X = native(X)
    if hasattr(X, "detach") or (isinstance(X, np.ndarray) and X.dtype != object):
        return Molecules.from_padded(X)
    if hasattr(X, "positions") or hasattr(X, "GetConformer"):
        raise TypeError(f"X is one {type(X).__name__}: give a list, X = [molecule].")
    if hasattr(X, "to_numpy"):
        X = X.to_numpy(dtype=object)
    if isinstance(X, np.ndarray):
        X = _column(X)
    elif isinstance(X, str | bytes | dict) or not hasattr(X, "__iter__"):
        read_pair(X, 0)
    X = list(X)
    return Molecules(*pack(X, read_any), *read_cells(X))


def _column(X):
    # a column of molecules, or of pairs that numpy has taken apart
    if X.ndim == 2 and X.shape[1] == 1:
        return X[:, 0]
    if X.size and X.ndim > 1 and (X.ndim > 2 or X.shape[1] != 2 or hasattr(X.flat[0], "position")):
        raise ValueError(
            f"X is an object array of shape {X.shape}, in which numpy has taken molecules apart. "
            "Give the list, or fill an array of shape (n,) element by element."
        )
    return X
