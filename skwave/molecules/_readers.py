"""Packed arrays from molecules of other kinds."""

import numpy as np

from skwave.molecules._checks import as_numpy


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
    atoms = list(mol.GetAtoms())
    missing = sum(atom.GetTotalNumHs() for atom in atoms)
    if missing:
        raise ValueError(
            f"molecule {i} leaves out {missing} hydrogen atom(s): add them and their coordinates, "
            "mol = rdkit.Chem.AddHs(mol, addCoords=True)."
        )
    return [atom.GetAtomicNum() for atom in atoms], mol.GetConformer().GetPositions()


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
    no_pair = isinstance(pair, str | bytes | dict) or not hasattr(pair, "__len__")
    if no_pair or len(pair) != 2:
        raise TypeError(
            f"molecule {i} is a {type(pair).__name__}, not a pair (numbers, positions). X may be a "
            "list of ase.Atoms, of RDKit molecules with a conformer, or of pairs (numbers, "
            "positions), a Molecules, or a padded array of shape (n, n_atoms, 4) of [Z, x, y, z]. "
            "One molecule is a list of one."
        )
    return pair[0], pair[1]


def read_any(item, i):
    """Numbers and positions of a molecule of any kind.

    Parameters
    ----------
    item : ase.Atoms, rdkit.Chem.Mol or pair
        A molecule.
    i : int
        Its index, for messages.

    Returns
    -------
    numbers, positions : array
        Atomic numbers, and coordinates in Å.
    """
    if hasattr(item, "GetConformer"):
        return read_rdkit(item, i)
    if hasattr(item, "numbers") and hasattr(item, "positions"):
        return read_ase(item, i)
    return read_pair(item, i)


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
        try:
            z, r = as_numpy(z), as_numpy(r)
        except ValueError as error:
            raise ValueError(f"molecule {i} is no pair of arrays: {error}") from error
        if z.ndim != 1 or (z.size and r.shape != (len(z), 3)):
            raise ValueError(
                f"molecule {i} has numbers of shape {z.shape} and positions of shape {r.shape}: "
                "they must be (n_atoms,) and (n_atoms, 3)."
            )
        for name, values in (("numbers", z), ("positions", r)):
            if values.dtype.kind not in "iuf":
                raise TypeError(
                    f"molecule {i} has {name} of type {values.dtype}: give "
                    + ("atomic numbers, such as 6 for C." if name == "numbers" else "real numbers.")
                )
        numbers.append(z)
        positions.append(r.reshape(-1, 3))
    offsets = np.cumsum([0, *map(len, numbers)])
    if not numbers:
        return np.empty(0, int), np.empty((0, 3)), offsets
    return np.concatenate(numbers), np.concatenate(positions), offsets


def unpad(numbers, positions):
    """Atoms of a padded array, one molecule after the other.

    Parameters
    ----------
    numbers : ndarray, shape (n, n_atoms)
        Atomic numbers; zeros at the end of a row are padding.
    positions : ndarray, shape (n, n_atoms, 3)
        Coordinates in Å.

    Returns
    -------
    numbers, positions, offsets : ndarray
        As `pack` gives them.
    """
    if numbers.ndim != 2 or positions.shape != (*numbers.shape, 3):
        raise ValueError(
            f"numbers of shape {numbers.shape} and positions of shape {positions.shape} are no "
            "padded molecules: they must be (n, n_atoms) and (n, n_atoms, 3), or one array of "
            "shape (n, n_atoms, 4) of [Z, x, y, z]."
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
