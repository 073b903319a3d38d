"""Molecules of any size, packed."""

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from skwave.molecules._cells import check_cells, read_cells
from skwave.molecules._checks import SYMBOLS, as_numpy, check, freeze
from skwave.molecules._readers import pack, read_ase, read_pair, read_rdkit, unpad
from skwave.molecules._xyz import gather, read_files


class Molecule(NamedTuple):
    """Atoms of one molecule."""

    numbers: np.ndarray
    """Atomic numbers, shape (n_atoms,)."""
    positions: np.ndarray
    """Coordinates in Å, shape (n_atoms, 3)."""


class PeriodicMolecule(Molecule):
    """Atoms of one crystal or other periodic structure: a pair with its ``cell`` and ``pbc``."""

    def __new__(cls, numbers, positions, cell, pbc):
        self = super().__new__(cls, numbers, positions)
        self.cell, self.pbc = cell, pbc
        return self

    def __reduce__(self):
        return type(self), (*self, self.cell, self.pbc)


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Molecules:
    """Molecules of any size, in packed arrays.

    A sequence to scikit-learn: what splits, searches or scores with arrays of samples does so
    with molecules. An integer index gives one molecule, the pair ``(numbers, positions)``. A
    slice, a list or array of integers, or a mask gives Molecules; a slice of step 1 is a view.

    Parameters
    ----------
    numbers : array-like, shape (n_atoms_total,)
        Atomic numbers, 1 to 118.
    positions : array-like, shape (n_atoms_total, 3)
        Coordinates of the nuclei in Å.
    offsets : array-like, shape (n + 1,)
        Molecule ``i`` has the atoms ``offsets[i]`` to ``offsets[i + 1] - 1``.
    cells : array-like, shape (n, 3, 3), default=None
        Vectors of the cells of periodic structures as rows, in Å. None if nothing is periodic.
    periodic : array-like of bool, shape (n, 3), default=None
        Along which of these vectors a structure repeats. None for all of them, if there are
        cells. One for each molecule or for all of them will do.

    Attributes
    ----------
    numbers : ndarray of int64, shape (n_atoms_total,)
        Atomic numbers, read-only.
    positions : ndarray of float64, shape (n_atoms_total, 3)
        Coordinates in Å, read-only.
    offsets : ndarray of int64, shape (n + 1,)
        First atom of each molecule, and the end; read-only.
    cells : ndarray of float64, shape (n, 3, 3), or None
        Vectors of the cells in Å, read-only. None if nothing is periodic.
    periodic : ndarray of bool, shape (n, 3), or None
        Along which vectors each molecule repeats, read-only.

    Raises
    ------
    ValueError
        If a molecule is empty, an atomic number is not an integer from 1 to 118, a coordinate
        is not finite, two atoms are nearer than 0.1 Å, or a cell has no volume. The message gives
        the index of the molecule.
    TypeError
        If arrays are not of real numbers.

    Warns
    -----
    UserWarning
        If the positions look like Bohr, nanometres or picometres, by their distances to the
        lengths of bonds. Molecules of three atoms and more are looked at.

    See Also
    --------
    as_molecules : Molecules of whatever kind.

    Notes
    -----
    Checks are made when atoms come in: not for selections, sums and what is unpickled.

    With scikit-learn's ``array_api_dispatch=True`` its functions take arrays, lists and data
    frames only. Give them ``list(molecules)`` then.

    Examples
    --------
    >>> from skwave.molecules import Molecules
    >>> water = [8, 1, 1], [[0, 0, 0.119], [0, 0.763, -0.477], [0, -0.763, -0.477]]
    >>> hydrogen = [1, 1], [[0, 0, 0], [0, 0, 0.74]]
    >>> molecules = Molecules.from_pairs([water, hydrogen])
    >>> molecules
    Molecules(n=2, n_atoms=5, elements=H O)
    >>> molecules[0].numbers
    array([8, 1, 1])
    >>> molecules[[1]].formula(0)
    'H2'
    """

    numbers: np.ndarray
    positions: np.ndarray
    offsets: np.ndarray
    cells: np.ndarray | None
    periodic: np.ndarray | None

    def __init__(self, numbers, positions, offsets, cells=None, periodic=None):
        numbers, positions, offsets = check(numbers, positions, offsets)
        cells, periodic = check_cells(cells, periodic, positions, offsets)
        self._store(numbers, positions, offsets, cells, periodic)

    def _store(self, numbers, positions, offsets, cells=None, periodic=None):
        if periodic is None or not periodic.any():
            cells, periodic = None, None
        values = numbers, positions, offsets, cells, periodic
        for name, array in zip(_ARRAYS, values, strict=True):
            object.__setattr__(self, name, array if array is None else freeze(array)[0])
        return self

    @classmethod
    def from_pairs(cls, pairs):
        """Molecules of pairs.

        Parameters
        ----------
        pairs : iterable of (numbers, positions)
            Atomic numbers, symbols or labels, such as C1, of shape (n_atoms,), and coordinates in
            Å of shape (n_atoms, 3).

        Returns
        -------
        molecules : Molecules
            As many.
        """
        return cls(*pack(pairs, read_pair))

    @classmethod
    def from_ase(cls, atoms):
        """Molecules of ASE.

        Parameters
        ----------
        atoms : iterable of ase.Atoms
            Molecules, or crystals if they are periodic along any vector of their cells.

        Returns
        -------
        molecules : Molecules
            As many.
        """
        atoms = [atoms] if hasattr(atoms, "positions") else list(atoms)
        return cls(*pack(atoms, read_ase), *read_cells(atoms))

    @classmethod
    def from_rdkit(cls, mols):
        """Molecules of RDKit.

        Parameters
        ----------
        mols : iterable of rdkit.Chem.Mol
            Molecules with all their hydrogens and with a conformer in three dimensions, of
            which the first counts.

        Returns
        -------
        molecules : Molecules
            As many.

        Raises
        ------
        ValueError
            If hydrogens or coordinates are missing.
        """
        return cls(*pack(mols, read_rdkit))

    @classmethod
    def from_padded(cls, numbers, positions=None):
        """Molecules of arrays in which small molecules are filled up with ``Z = 0``.

        Parameters
        ----------
        numbers : array-like, shape (n, n_atoms), (n_atoms,) or (n, n_atoms, 4)
            Atomic numbers, or those that all molecules share, as the frames of a trajectory do;
            or, if ``positions`` is None, rows ``[Z, x, y, z]``.
        positions : array-like, shape (n, n_atoms, 3), default=None
            Coordinates in Å. Those of padding do not matter.

        Returns
        -------
        molecules : Molecules
            As many.

        Raises
        ------
        ValueError
            If ``Z = 0`` stands before an atom, besides what makes Molecules fail.

        Examples
        --------
        >>> from skwave.molecules import Molecules
        >>> X = [[[1, 0, 0, 0], [1, 0, 0, 0.74]], [[2, 0, 0, 0], [0, 0, 0, 0]]]
        >>> Molecules.from_padded(X)
        Molecules(n=2, n_atoms=3, elements=H He)
        """
        numbers = as_numpy(numbers)
        if positions is None:
            if numbers.ndim != 3 or numbers.shape[2] != 4:
                raise ValueError(
                    f"X of shape {numbers.shape} is no padded array of molecules, which has the "
                    "shape (n, n_atoms, 4) and rows [Z, x, y, z]. Unfold flat rows by "
                    "X.reshape(len(X), -1, 4)."
                )
            numbers, positions = numbers[..., 0], numbers[..., 1:]
        return cls(*unpad(numbers, as_numpy(positions)))

    @classmethod
    def read_extxyz(cls, path, *, return_properties=False):
        """Molecules of XYZ files: extended, plain, or those of QM9.

        Parameters
        ----------
        path : str, Path or list of them
            A file, or several. Coordinates are in Å. Atoms may have symbols, atomic numbers or
            labels, such as C1. Frames with a Lattice are periodic, unless pbc says otherwise.
        return_properties : bool, default=False
            Whether to give what else the files have: energies, forces and others.

        Returns
        -------
        molecules : Molecules
            All molecules, file after file.
        properties : Bunch
            If ``return_properties``. By the names in the file: numbers of each molecule, as
            ``energy``, in an array of shape (n,), NaN where there is none; vectors and matrices in
            an array of shape (n, ...); texts in a list; properties of atoms, as ``forces``, in a
            list of arrays, None where there are none. Units are those of the file. Plain files
            have ``comment``, and ``columns`` for what stands after the coordinates; QM9's have the
            15 properties of their second line, ``charges``, ``frequencies`` and ``smiles``.

        Raises
        ------
        ValueError
            If a file is not as it should be, or what makes Molecules fail. The message names the
            file, the frame in it and the atom, both from 0.

        Examples
        --------
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from skwave.molecules import Molecules
        >>> text = '''2
        ... Properties=species:S:1:pos:R:3:forces:R:3 energy=-31.7
        ... H 0 0 0    0 0 -0.1
        ... H 0 0 0.75 0 0  0.1
        ... '''
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder) / "hydrogen.xyz"
        ...     _ = path.write_text(text)
        ...     X, properties = Molecules.read_extxyz(path, return_properties=True)
        >>> X, properties.energy
        (Molecules(n=1, n_atoms=2, elements=H), array([-31.7]))
        >>> properties.forces[0][1]
        array([0. , 0. , 0.1])
        """
        frames, names = read_files(path)
        arrays = check(*pack(frames, read_ase), names.__getitem__)
        cells = check_cells(*read_cells(frames), *arrays[1:], names.__getitem__)
        molecules = _checked(*arrays, *cells)
        return (molecules, gather(frames)) if return_properties else molecules

    def to_ase(self):
        """Molecules for ASE.

        Returns
        -------
        atoms : list of ase.Atoms
            One for each molecule.

        Raises
        ------
        ImportError
            If ASE is not installed.
        """
        ase = _import_ase()
        return [
            ase.Atoms(
                m.numbers, m.positions, cell=getattr(m, "cell", None), pbc=getattr(m, "pbc", None)
            )
            for m in self
        ]

    @property
    def shape(self):  # numpydoc ignore=RT01
        """Number of molecules as a tuple, by which scikit-learn counts samples."""
        return (len(self.offsets) - 1,)

    @property
    def n_atoms(self):  # numpydoc ignore=RT01
        """Number of atoms of each molecule, an array of shape (n,)."""
        return np.diff(self.offsets)

    @property
    def molecule_index(self):  # numpydoc ignore=RT01
        """Index of the molecule of each atom, an array of shape (n_atoms_total,)."""
        return np.repeat(np.arange(len(self)), self.n_atoms)

    def formula(self, i):
        """Sum formula of a molecule.

        Parameters
        ----------
        i : int
            Its index.

        Returns
        -------
        formula : str
            In Hill's order: C, then H, then the others by their letters; all by their letters
            if there is no C.
        """
        numbers, counts = np.unique(self[i].numbers, return_counts=True)
        count = {SYMBOLS[z - 1]: int(n) for z, n in zip(numbers, counts, strict=True)}
        first = "CH" if "C" in count else ""
        order = sorted(count, key=lambda s: (s not in first, s))
        return "".join(s + (str(count[s]) if count[s] > 1 else "") for s in order)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, index):
        if isinstance(index, tuple) and len(index) == 2 and index[1] is Ellipsis:
            index = index[0]  # scikit-learn writes X[rows, ...]
        i = np.arange(len(self))[index]
        if i.ndim == 0:
            atoms = slice(self.offsets[i], self.offsets[i + 1])
            molecule = Molecule(self.numbers[atoms], self.positions[atoms])
            if self.periodic is None or not self.periodic[i].any():
                return molecule
            return PeriodicMolecule(*molecule, self.cells[i], self.periodic[i])
        if i.ndim > 1:
            raise IndexError(f"index of shape {i.shape}: molecules have one axis.")
        start, n_atoms = self.offsets[i], self.n_atoms[i]
        offsets = np.concatenate([[0], np.cumsum(n_atoms)])
        if isinstance(index, slice) and index.step in (None, 1):
            first = int(start[0]) if len(i) else 0
            atoms = slice(first, first + int(offsets[-1]))
        else:
            atoms = np.arange(offsets[-1]) + np.repeat(start - offsets[:-1], n_atoms)
        cells = () if self.cells is None else (self.cells[i], self.periodic[i])
        return _checked(self.numbers[atoms], self.positions[atoms], offsets, *cells)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __add__(self, other):
        if not isinstance(other, Molecules):
            return NotImplemented
        return _checked(
            np.concatenate([self.numbers, other.numbers]),
            np.concatenate([self.positions, other.positions]),
            np.concatenate([self.offsets, other.offsets[1:] + self.offsets[-1]]),
            *(np.concatenate(pair) for pair in zip(_cells(self), _cells(other), strict=True)),
        )

    def __eq__(self, other):
        if not isinstance(other, Molecules):
            return NotImplemented
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in _ARRAYS)

    __hash__ = None

    def __array__(self, dtype=None, copy=None):
        if (dtype is not None and np.dtype(dtype) != object) or copy is False:
            raise TypeError(
                f"Molecules are no array of {dtype}: as an array they are a copy, of dtype object."
            )
        out = np.empty(len(self), dtype=object)
        for i, molecule in enumerate(self):
            out[i] = molecule
        return out

    def __repr__(self):
        elements = " ".join(SYMBOLS[z - 1] for z in np.unique(self.numbers))
        kinds = f"n={len(self)}, n_atoms={len(self.numbers)}, elements={elements}"
        if self.periodic is not None:
            kinds += f", n_periodic={self.periodic.any(axis=1).sum()}"
        return f"Molecules({kinds})"

    def __reduce__(self):
        packed = self.numbers.astype(np.uint8), self.positions, self.n_atoms.astype("i4")
        return _unpack, (*packed, self.cells, self.periodic)


_ARRAYS = tuple(field.name for field in fields(Molecules))


def _cells(molecules):
    # those of molecules without are 0
    n = len(molecules)
    if molecules.cells is None:
        return np.zeros((n, 3, 3)), np.zeros((n, 3), dtype=bool)
    return molecules.cells, molecules.periodic


def _checked(*arrays):
    return object.__new__(Molecules)._store(*arrays)


def _unpack(numbers, positions, n_atoms, cells=None, periodic=None):
    offsets = np.concatenate([[0], np.cumsum(n_atoms, dtype=np.int64)])
    return _checked(numbers.astype(np.int64), positions, offsets, cells, periodic)


def _import_ase():
    try:
        import ase
        import ase.io
    except ImportError as error:
        raise ImportError("this needs ASE: pip install 'skwave[molecules]'.") from error
    return ase


def pad(molecules):
    """Molecules as arrays of one size.

    Parameters
    ----------
    molecules : Molecules
        Molecules.

    Returns
    -------
    numbers : ndarray of int, shape (n_molecules, k)
        Atomic numbers, 0 where there is no atom.
    positions : ndarray, shape (n_molecules, k, 3)
        Coordinates in Å.
    """
    n_atoms = molecules.n_atoms
    numbers = np.zeros((len(molecules), n_atoms.max()), dtype=np.int64)
    positions = np.zeros((*numbers.shape, 3))
    occupied = np.arange(numbers.shape[1]) < n_atoms[:, None]
    numbers[occupied], positions[occupied] = molecules.numbers, molecules.positions
    return numbers, positions
