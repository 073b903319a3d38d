"""Environments of the atoms of packed molecules, in parts that fit into the cache."""

from typing import NamedTuple

import numpy as np
import torch

from skwave.functional._molecules.atoms import (
    Environments,
    local_environments,
    local_fields,
    local_invariants,
    split_environments,
)
from skwave.functional._molecules.neighbours import neighbour_pairs
from skwave.functional._wavelets.fourier import widest_float
from skwave.molecules._checks import SYMBOLS

# a part's products of fields take about so much: more leaves the cache, less is all overhead
_PART_BYTES = {"cpu": 2**24, "cuda": 2**28}


class Atoms(NamedTuple):
    """Atoms of molecules as tensors."""

    positions: torch.Tensor
    """Coordinates in Å, shape (n_atoms_total, 3)."""
    elements: torch.Tensor
    """Index of the element of each, shape (n_atoms_total,)."""
    offsets: torch.Tensor
    """First atom of each molecule, and the end, shape (n + 1,)."""
    cells: torch.Tensor | None
    """Vectors of the cells, shape (n, 3, 3), or None."""
    periodic: torch.Tensor | None
    """Along which vectors molecules repeat, shape (n, 3), or None."""
    kept: torch.Tensor
    """Row of each among all atoms, of which those of unknown elements are left out."""
    n_atoms: int
    """Number of all atoms."""

    @property
    def molecule(self):  # numpydoc ignore=RT01
        """Molecule of each atom, shape (n_atoms_total,)."""
        n = torch.arange(len(self.offsets) - 1, device=self.offsets.device)
        return n.repeat_interleave(self.offsets.diff())


class Part(NamedTuple):
    """Consecutive atoms and their environments."""

    first: int
    """Row of the first of them."""
    environments: Environments
    """Environments, of which the first has row 0."""
    neighbour: torch.Tensor
    """Row of the neighbour of each pair among all atoms."""


def element_numbers(elements):
    """Atomic numbers of elements.

    Parameters
    ----------
    elements : iterable of str or int
        Symbols or atomic numbers.

    Returns
    -------
    numbers : ndarray of int
        Atomic numbers, increasing.

    Raises
    ------
    ValueError
        If one is no element, or stands twice.
    """
    table = {symbol: z for z, symbol in enumerate(SYMBOLS, start=1)}
    values = [elements] if isinstance(elements, str) else list(elements)
    numbers = [table.get(e, e) for e in values]
    valid = all(not isinstance(z, str) and z in range(1, len(SYMBOLS) + 1) for z in numbers)
    if not valid or not 0 < len(numbers) == len(set(numbers)):
        raise ValueError(
            f"elements={elements!r} must be different symbols, such as 'C', or atomic numbers from "
            f"1 to {len(SYMBOLS)}."
        )
    return np.sort(np.array(numbers, dtype=np.int64))


def refuse_unknown(molecules, elements, remedy=""):
    """Refuse atoms of elements that are not known.

    Parameters
    ----------
    molecules : Molecules
        Molecules.
    elements : ndarray of int
        Atomic numbers of those that are known.
    remedy : str, default=""
        Put at the end of the message.

    Raises
    ------
    ValueError
        If there are any; the message names the molecule, the element and those that are known.
    """
    unknown = ~np.isin(molecules.numbers, elements)
    if not unknown.any():
        return
    atom = int(unknown.argmax())
    known = " ".join(SYMBOLS[z - 1] for z in elements)
    raise ValueError(
        f"molecule {molecules.molecule_index[atom]} of X holds "
        f"{SYMBOLS[molecules.numbers[atom] - 1]}, of which nothing is known: the elements are "
        f"{known}. Fit to molecules that hold all elements, or name them, elements=(...){remedy}."
    )


def pack_atoms(molecules, elements, positions=None, device=None):
    """Atoms of known elements as tensors.

    Parameters
    ----------
    molecules : Molecules
        Molecules.
    elements : ndarray of int
        Atomic numbers of known elements, increasing; atoms of others are left out.
    positions : Tensor, shape (n_atoms_total, 3), default=None
        Coordinates in place of those of the molecules, which may require a gradient.
    device : torch.device, default=None
        Where the tensors are to be; None for where the positions are.

    Returns
    -------
    atoms : Atoms
        Of float64, or float32 on a device that has no float64, and of int64.
    """
    if positions is None:
        positions = torch.tensor(molecules.positions)
    device = positions.device if device is None else device
    positions = positions.to(device, widest_float(device))
    known = np.isin(molecules.numbers, elements)
    n_atoms = np.bincount(molecules.molecule_index[known], minlength=len(molecules))
    kept = torch.tensor(np.flatnonzero(known), device=positions.device)
    others = (
        np.searchsorted(elements, molecules.numbers[known]),
        np.concatenate([[0], np.cumsum(n_atoms)]),
        molecules.cells,
        molecules.periodic,
    )
    tensors = (None if a is None else _as_tensor(a, positions) for a in others)
    return Atoms(positions.index_select(0, kept), *tensors, kept, len(known))


def _as_tensor(a, like):
    # on the device of another tensor, and of its type if it is of floats
    return torch.tensor(a, dtype=like.dtype if a.dtype.kind == "f" else None, device=like.device)


def whole_environments(atoms, basis):
    """Environments of all atoms, and their pairs; images of crystals are neighbours, too.

    Parameters
    ----------
    atoms : Atoms
        Atoms of molecules.
    basis : LocalBasis
        Functions in which environments are to be expanded; its cutoff bounds them.

    Returns
    -------
    environments : Environments
        Differentiable in the positions.
    pairs : Pairs
        In the order of their centres.
    """
    positions, cells = atoms.positions, atoms.cells
    pairs = neighbour_pairs(positions, atoms.offsets, basis.cutoff, cells, atoms.periodic)
    molecule = None if cells is None else atoms.molecule
    return local_environments(positions, atoms.elements, pairs, cells, molecule), pairs


def environment_parts(atoms, basis):
    """Environments of atoms, in parts that fit into the cache.

    Parameters
    ----------
    atoms : Atoms
        Atoms of molecules.
    basis : LocalBasis
        Functions in which environments are to be expanded; its cutoff bounds them.

    Returns
    -------
    parts : list of Part
        In the order of the atoms.
    """
    environments, pairs = whole_environments(atoms, basis)
    of_atom = 8 * (basis.L + 1) * basis.n_channels**2
    kind = "cpu" if atoms.positions.device.type == "cpu" else "cuda"
    size = max(1, _PART_BYTES[kind] // of_atom)
    parts, first, start = [], 0, 0
    for part in split_environments(environments, size):
        stop = start + len(part.centre)
        parts.append(Part(first, part, pairs.neighbour[start:stop]))
        first, start = first + len(part.own), stop
    return parts


def invariants(atoms, basis, groups, n_groups, dtype=torch.float64):
    """Invariants of atoms, summed over groups.

    Parameters
    ----------
    atoms : Atoms
        Atoms of molecules.
    basis : LocalBasis
        Functions of the fields.
    groups : Tensor, shape (n_atoms_total,)
        Group of each atom, over which invariants are summed. Those of atoms near each other in
        the row are to be near each other.
    n_groups : int
        Number of groups.
    dtype : torch.dtype, default=torch.float64
        Type of the products. Fields are computed in float64, where the device has it.

    Returns
    -------
    phi : Tensor, shape (n_groups, n_invariants)
        Sums.
    """
    columns = (basis.L + 1) * basis.n_channels * (basis.n_channels + 1) // 2
    total = atoms.positions.new_zeros(n_groups, columns, dtype=dtype)
    for first, environments, _ in environment_parts(atoms, basis):
        fields = [w.to(dtype) for w in local_fields(environments, basis)]
        mine = groups[first : first + len(environments.own)]
        start, stop = int(mine.min()), int(mine.max()) + 1
        phi = local_invariants(fields, mine - start, stop - start)
        total[start:stop] += phi.flatten(1)
    return total


def rows_of_atoms(molecules, rows):
    """Indices of the atoms of some molecules, in the order of the molecules.

    Parameters
    ----------
    molecules : Molecules
        All molecules.
    rows : ndarray of int
        Some of them.

    Returns
    -------
    atoms : ndarray of int
        Rows of ``molecules.numbers``.
    """
    start, n_atoms = molecules.offsets[rows], molecules.n_atoms[rows]
    first = np.cumsum(n_atoms) - n_atoms
    return np.arange(n_atoms.sum()) + np.repeat(start - first, n_atoms)


def molecule_bytes(molecules):
    """What tells a molecule from others.

    Parameters
    ----------
    molecules : Molecules
        Molecules.

    Yields
    ------
    data : bytes
        Atoms, and cell, of one after the other.
    """
    cells = () if molecules.cells is None else (molecules.cells, molecules.periodic)
    for i, atoms in enumerate(map(slice, molecules.offsets[:-1], molecules.offsets[1:])):
        arrays = (molecules.numbers[atoms], molecules.positions[atoms], *(c[i] for c in cells))
        yield b"".join(a.tobytes() for a in arrays)


def names_of_sums(elements, groups, scales, L):
    """Names of the invariants summed over atoms, in their order, after those of numbers of atoms.

    Parameters
    ----------
    elements : list of str
        Symbols.
    groups : list of str
        Elements over whose atoms sums are, or an empty string for all.
    scales : list of str
        Names of the widths.
    L : int
        Largest degree.

    Returns
    -------
    names : list of str
        Such as ``n_C`` and ``a_C_j0_H_j1_l2``.
    """
    fields = [f"{e}_j{j}" for e in elements for j in scales]
    pairs = [f"{a}_{b}" for i, a in enumerate(fields) for b in fields[i:]]
    sums = [f"a{e}_{p}_l{l}" for e in groups for l in range(L + 1) for p in pairs]
    return [f"n_{e}" for e in elements] + sums


def batches_of_size(n_atoms, size, weights=None):
    """Batches of molecules, those of about one number of atoms together.

    Parameters
    ----------
    n_atoms : ndarray of int, shape (n,)
        Atoms of each molecule.
    size : int
        Molecules of a batch, or their weights together, about.
    weights : ndarray of int, shape (n,), default=None
        Weights of the molecules, in place of 1.

    Returns
    -------
    batches : list of ndarray of int
        Indices of molecules.
    """
    order = np.argsort(n_atoms, kind="stable")
    if weights is None:
        return np.split(order, range(size, len(order), size))
    last = np.cumsum(weights[order])
    return np.split(order, np.flatnonzero(np.diff(last // size)) + 1)
