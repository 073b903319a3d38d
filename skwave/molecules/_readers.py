"""Readers of molecules that other packages hold, and of arrays and records."""

from collections.abc import Mapping

import numpy as np

from skwave.molecules._checks import as_numpy
from skwave.molecules._elements import atomic_number

# what records, files of arrays and data frames call numbers and positions
_NUMBERS = ("numbers", "z", "Z", "nuclear_charges", "atomic_numbers", "symbols", "species")
_POSITIONS = ("positions", "R", "pos", "coords", "coordinates")


def read_ase(atoms, i):
    """Numbers and positions of an `ase.Atoms`.

    Parameters
    ----------
    atoms : ase.Atoms
        A molecule.
    i : int
        Its index, for messages.

    Returns
    -------
    numbers, positions : array
        Atomic numbers, and coordinates in Å.
    """
    if not (hasattr(atoms, "numbers") and hasattr(atoms, "positions")):
        raise TypeError(
            f"molecule {i} is a {type(atoms).__name__}, not an ase.Atoms: give a list of Atoms."
        )
    return atoms.numbers, atoms.positions


def read_rdkit(mol, i):
    """Numbers and positions of an `rdkit.Chem.Mol`.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        A molecule with a conformer and all its hydrogens.
    i : int
        Its index, for messages.

    Returns
    -------
    numbers, positions : array
        Atomic numbers, and coordinates in Å.
    """
    if not hasattr(mol, "GetConformer"):
        raise TypeError(
            f"molecule {i} is a {type(mol).__name__}, not an rdkit.Chem.Mol: RDKit gives None for "
            "what it cannot parse."
        )
    if mol.GetNumConformers() == 0 or not mol.GetConformer().Is3D():
        raise ValueError(
            f"molecule {i} has no coordinates in three dimensions: compute them, such as by "
            "rdkit.Chem.AllChem.EmbedMolecule(mol)."
        )
    missing = _missing_hydrogens(mol)
    if missing:
        raise ValueError(
            f"molecule {i} leaves out {missing} hydrogen atom(s), as RDKit does unless it is told "
            "not to: read the file again, Chem.SDMolSupplier(path, removeHs=False) or "
            "Chem.MolFromMolFile(path, removeHs=False). If the file has none, add some, "
            "Chem.AddHs(mol, addCoords=True), and relax them. If all are there, and the table of "
            "bonds is wrong, give ([a.GetAtomicNum() for a in mol.GetAtoms()], "
            "mol.GetConformer().GetPositions())."
        )
    return [atom.GetAtomicNum() for atom in mol.GetAtoms()], mol.GetConformer().GetPositions()


def _missing_hydrogens(mol):
    """Hydrogens that bonds leave room for, 0 if the molecule is known to be complete.

    Without a table of bonds, or with a bond missing from it, RDKit counts hydrogens that are not
    missing. It drops all hydrogens of carbon or none: one that is there says that all are.
    """
    for bond in mol.GetBonds():
        ends = sorted((bond.GetBeginAtom(), bond.GetEndAtom()), key=lambda a: a.GetAtomicNum())
        if [a.GetAtomicNum() for a in ends] == [1, 6] and ends[0].GetIsotope() == 0:
            return 0
    if mol.NeedsUpdatePropertyCache():  # read by MolFromXYZBlock, or with sanitize=False
        if mol.GetNumBonds() == 0:
            return 0
        mol = type(mol)(mol)
        mol.UpdatePropertyCache(False)
    return sum(atom.GetTotalNumHs() for atom in mol.GetAtoms())


def read_graph(data, i):
    """Numbers and positions of a `torch_geometric.data.Data`.

    Parameters
    ----------
    data : torch_geometric.data.Data
        A graph with ``z`` and ``pos``.
    i : int
        Its index, for messages.

    Returns
    -------
    numbers, positions : Tensor
        Atomic numbers, and coordinates in Å.
    """
    if data.z is None or data.pos is None:
        raise ValueError(
            f"molecule {i} is a {type(data).__name__} without z or pos: it needs atomic numbers z "
            "of shape (n_atoms,) and positions pos of shape (n_atoms, 3) in Å."
        )
    return data.z, data.pos


def read_record(record, i):
    """Numbers and positions of a dictionary or a file of arrays.

    Parameters
    ----------
    record : Mapping
        Holds them by their names.
    i : int or None
        Its index, for messages; None if it holds all molecules.

    Returns
    -------
    numbers, positions : object
        What stands there.
    """
    keys = list(record)
    found = [next((k for k in names if k in keys), None) for names in (_NUMBERS, _POSITIONS)]
    if None in found:
        raise TypeError(
            f"{'X' if i is None else f'molecule {i}'} holds {', '.join(map(repr, keys[:9]))}, and "
            f"no molecules: it needs numbers, called {', '.join(_NUMBERS[:-1])} or "
            f"{_NUMBERS[-1]}, and positions in Å, called {', '.join(_POSITIONS[:-1])} or "
            f"{_POSITIONS[-1]}."
        )
    return record[found[0]], record[found[1]]


def read_pair(pair, i):
    """Numbers and positions of a pair of them.

    Parameters
    ----------
    pair : tuple of (array-like, array-like)
        Numbers of shape (n_atoms,) and positions of shape (n_atoms, 3).
    i : int
        Its index, for messages.

    Returns
    -------
    numbers, positions : array
        Atomic numbers, and coordinates in Å.
    """
    no_pair = isinstance(pair, str | bytes) or not hasattr(pair, "__len__")
    if no_pair or len(pair) != 2:
        raise TypeError(
            f"molecule {i} is a {type(pair).__name__}, not a pair (numbers, positions). X may be a "
            "list of pairs (numbers, positions), of ase.Atoms, of RDKit molecules with a "
            "conformer, or of graphs with z and pos, a Molecules, or a padded array of shape (n, "
            "n_atoms, 4) of [Z, x, y, z]. One molecule is a list of one. Files are read by "
            "Molecules.read_extxyz."
        )
    return pair[0], pair[1]


def read_any(item, i):
    """Numbers and positions of a molecule of any kind.

    Parameters
    ----------
    item : ase.Atoms, rdkit.Chem.Mol, torch_geometric.data.Data, Mapping or pair
        A molecule.
    i : int
        Its index, for messages.

    Returns
    -------
    numbers, positions : array
        Atomic numbers, and coordinates in Å.
    """
    for names, read in _READERS:
        if all(hasattr(item, name) for name in names):
            return read(item, i)
    return read_record(item, i) if isinstance(item, Mapping) else read_pair(item, i)


# the attributes by which a kind is known
_READERS = (
    (("GetConformer",), read_rdkit),
    (("numbers", "positions"), read_ase),
    (("z", "pos"), read_graph),
)


def pack(items, read):
    """Atoms of all molecules, one after the other.

    Parameters
    ----------
    items : iterable
        Molecules.
    read : callable
        Gives numbers and positions of an item and its index.

    Returns
    -------
    numbers : ndarray, shape (n_atoms_total,)
        Atomic numbers.
    positions : ndarray, shape (n_atoms_total, 3)
        Coordinates in Å.
    offsets : ndarray, shape (n + 1,)
        First atom of each molecule, and the end.
    """
    numbers, positions = [], []
    for i, item in enumerate(items):
        z, r = read(item, i)
        z, r = _numbers(z, i), _real(r, "positions", i)
        if z.ndim != 1 or (z.size and r.shape != (len(z), 3)):
            raise ValueError(
                f"molecule {i} has numbers of shape {z.shape} and positions of shape {r.shape}: "
                "they must be (n_atoms,) and (n_atoms, 3)."
            )
        numbers.append(z)
        positions.append(r.reshape(-1, 3))
    offsets = np.cumsum([0, *map(len, numbers)])
    if not numbers:
        return np.empty(0, int), np.empty((0, 3)), offsets
    return np.concatenate(numbers), np.concatenate(positions), offsets


def _array(values, i):
    try:
        values = as_numpy(values)
        if values.dtype == object:  # of rows or of labels, as data frames hold them
            values = np.array([as_numpy(row) for row in values.tolist()])
    except ValueError as error:
        raise ValueError(f"molecule {i} is no pair of arrays: {error}") from error
    return values


def _real(values, name, i):
    values = _array(values, i)
    if values.dtype.kind not in "iuf":
        raise TypeError(f"molecule {i} has {name} of type {values.dtype}: give real numbers.")
    return values


def _numbers(values, i):
    values = _array(values, i)
    if values.ndim != 1 or values.dtype.kind not in "US":
        return _real(values, "numbers", i)
    numbers = np.empty(len(values), dtype=np.int64)
    for atom, label in enumerate(values.astype(str).tolist()):
        try:
            numbers[atom] = atomic_number(label)
        except ValueError as error:
            raise ValueError(f"molecule {i}: atom {atom}: {error}") from error
    return numbers


def unpad(numbers, positions):
    """Atoms of a padded array, or of many positions of the same atoms.

    Parameters
    ----------
    numbers : ndarray, shape (n, n_atoms) or (n_atoms,)
        Atomic numbers; zeros at the end of a row are padding. Symbols may stand in one that all
        molecules share.
    positions : ndarray, shape (n, n_atoms, 3)
        Coordinates in Å.

    Returns
    -------
    numbers, positions, offsets : ndarray
        As `pack` gives them.
    """
    if numbers.ndim == 1 and positions.ndim == 3 and positions.shape[1] == len(numbers):
        numbers = np.broadcast_to(_numbers(numbers, 0), positions.shape[:2])
    if numbers.ndim != 2 or positions.shape != (*numbers.shape, 3):
        raise ValueError(
            f"numbers of shape {numbers.shape} and positions of shape {positions.shape} are no "
            "padded molecules: they must be (n, n_atoms) and (n, n_atoms, 3), or (n_atoms,) if "
            "all have the same atoms, or one array of shape (n, n_atoms, 4) of [Z, x, y, z]."
        )
    for name, values in (("numbers", numbers), ("positions", positions)):
        if values.dtype.kind not in "iuf":
            raise TypeError(f"padded {name} are of type {values.dtype}: give real numbers.")
    atom = numbers != 0
    holes = ~atom[:, :-1] & atom[:, 1:]
    if holes.any():
        i, row = np.argwhere(holes)[0]
        raise ValueError(
            f"molecule {i} has a hole: its row {row} has Z = 0 and row {row + 1} has not. Z = 0 "
            "is padding, which stands at the end; move the atoms up, or give the row its Z."
        )
    return numbers[atom], positions[atom], np.cumsum([0, *atom.sum(1)])
