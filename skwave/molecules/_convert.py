"""Conversion of molecules from other packages, arrays and data frames."""

from collections.abc import Mapping

import numpy as np

from skwave._core.arrays import native
from skwave.molecules._cells import read_cells
from skwave.molecules._container import Molecules
from skwave.molecules._readers import pack, read_any, read_pair, read_record


def as_molecules(X):
    """Molecules from any of the kinds that every estimator of molecules takes.

    Parameters
    ----------
    X : Molecules, sequence, array, data frame or Mapping
        One of

        - Molecules, which come back as they are;
        - a list, a tuple, an object array or a Series of pandas or polars, of pairs
          ``(numbers, positions)``, of `ase.Atoms`, of `rdkit.Chem.Mol` with a conformer, or of
          graphs of torch_geometric with ``z`` and ``pos``. Symbols may take the place of numbers;
        - a padded array or tensor of shape (n, n_atoms, 4) with rows ``[Z, x, y, z]``, where
          ``Z = 0`` is padding;
        - numbers and positions in the columns of a data frame, or by name in a dictionary or an
          ``.npz`` file. Positions of shape (n, n_atoms, 3) may share the numbers, of shape
          (n_atoms,), as in the files of MD17.

        Coordinates are in Å.

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
    if hasattr(X, "columns"):
        X = _frame(X)
    if isinstance(X, Mapping):
        return _arrays(*read_record(X, None))
    if hasattr(X, "to_data_list"):  # a Batch of torch_geometric
        X = X.to_data_list()
    if isinstance(X, tuple) and len(X) == 2 and getattr(X[1], "ndim", 0) == 3:
        return Molecules.from_padded(*X)
    _refuse_one(X)
    if hasattr(X, "detach") or (isinstance(X, np.ndarray) and X.dtype != object):
        return Molecules.from_padded(X)
    items = list(_items(X))
    return Molecules(*pack(items, read_any), *read_cells(items))


def _frame(X):
    # the one column of molecules, or columns by their names
    columns = {name: X[name].to_list() for name in X.columns}
    return columns if len(columns) > 1 else next(iter(columns.values()), [])


def _arrays(numbers, positions):
    if getattr(positions, "ndim", 0) == 3:
        return Molecules.from_padded(numbers, positions)
    first = positions[0] if len(positions) else [[]]
    if not (hasattr(first, "__len__") and len(first) and hasattr(first[0], "__len__")):
        raise TypeError("X is one molecule: give a list, X = [(numbers, positions)].")
    if len(numbers) != len(positions):
        raise ValueError(
            f"X has numbers of {len(numbers)} molecules and positions of {len(positions)}: give "
            "both of each, or positions as one array of shape (n, n_atoms, 3) if all have the same "
            "atoms."
        )
    return Molecules.from_pairs(zip(numbers, positions, strict=True))


def _refuse_one(X):
    # a data set of torch_geometric, which has indices, gives z and pos of all its graphs as well
    graph = hasattr(X, "pos") and hasattr(X, "z") and not hasattr(X, "indices")
    if graph or hasattr(X, "positions") or hasattr(X, "GetConformer"):
        raise TypeError(f"X is one {type(X).__name__}: give a list, X = [molecule].")


def _items(X):
    if isinstance(X, np.ndarray):
        return _column(X)
    if hasattr(X, "to_list"):  # a Series
        return X.to_list()
    if isinstance(X, str | bytes):
        read_pair(X, 0)
    if hasattr(X, "__iter__"):
        return X
    if hasattr(X, "__getitem__") and hasattr(X, "__len__"):  # such as torch's Subset
        return (X[i] for i in range(len(X)))
    return read_pair(X, 0)


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
