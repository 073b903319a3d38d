"""Environments of packed molecules in parts, and known elements."""

import numpy as np
import pytest
import torch

from skwave import Molecules
from skwave.functional import LocalBasis, local_fields, local_invariants
from skwave.molecules import _environments
from skwave.molecules._environments import (
    batches_of_size,
    element_numbers,
    environment_parts,
    invariants,
    molecule_bytes,
    names_of_sums,
    pack_atoms,
    refuse_unknown,
)

BASIS = LocalBasis((0.4, 0.8), L=2, n_elements=2, cutoff=9.0)


@pytest.fixture
def molecules():
    """Four molecules of two known elements and an unknown one."""
    rng = np.random.default_rng(0)
    positions = rng.uniform(-1.5, 1.5, (12, 3))
    return Molecules([1, 6, 8, 6, 1, 1, 8, 6, 1, 6, 1, 1], positions, [0, 5, 6, 7, 12])


def test_atoms_of_unknown_elements_are_left_out(molecules):
    atoms = pack_atoms(molecules, np.array([1, 6]))
    assert atoms.kept.tolist() == [0, 1, 3, 4, 5, 7, 8, 9, 10, 11] and atoms.n_atoms == 12
    assert atoms.elements.tolist() == [0, 1, 1, 0, 0, 1, 0, 1, 0, 0]
    assert atoms.offsets.tolist() == [0, 4, 5, 5, 10]
    assert atoms.molecule.tolist() == [0, 0, 0, 0, 1, 3, 3, 3, 3, 3]
    assert np.array_equal(atoms.positions, molecules.positions[atoms.kept])
    assert atoms.cells is None and atoms.periodic is None


def test_parts_together_are_the_whole(molecules, monkeypatch):
    atoms = pack_atoms(molecules, np.array([1, 6]))
    (whole,) = environment_parts(atoms, BASIS)
    phi = local_invariants(local_fields(whole.environments, BASIS)).flatten(1)
    groups = torch.tensor([5, 0, 0, 2, 2, 2, 1, 1, 4, 4])
    expected = phi.new_zeros(6, phi.shape[1]).index_add(0, groups, phi)
    monkeypatch.setitem(_environments._PART_BYTES, "cpu", 3 * 8 * 3 * 16)
    parts = environment_parts(atoms, BASIS)
    assert [part.first for part in parts] == [0, 3, 6, 9]
    assert torch.equal(torch.cat([part.neighbour for part in parts]), whole.neighbour)
    for part in parts:
        rows = part.first + part.environments.centre
        vectors = atoms.positions[part.neighbour] - atoms.positions[rows]
        assert torch.equal(vectors, part.environments.vectors)
    assert torch.allclose(invariants(atoms, BASIS, groups, 6), expected, atol=1e-14)
    small = invariants(atoms, BASIS, groups, 6, torch.float32)
    assert small.dtype == torch.float32 and torch.allclose(small.double(), expected, atol=1e-4)


def test_positions_keep_their_gradient(molecules):
    positions = torch.tensor(molecules.positions, requires_grad=True)
    atoms = pack_atoms(molecules, np.array([1, 6]), positions)
    phi = invariants(atoms, BASIS, atoms.molecule, 4)
    (gradient,) = torch.autograd.grad(phi.square().sum(), positions)
    assert (gradient.abs().sum(1) > 0).tolist() == [
        z != 8 and i != 5 for i, z in enumerate(molecules.numbers)
    ]


def test_names_of_elements():
    assert element_numbers(("O", 1, np.int64(6))).tolist() == [1, 6, 8]
    assert element_numbers("C").tolist() == [6]
    for bad in ((), ("C", "C"), (0,), (119,), ("Xx",), (1.5,)):
        with pytest.raises(ValueError, match="elements="):
            element_numbers(bad)


def test_the_first_unknown_element_is_named(molecules):
    refuse_unknown(molecules, np.unique(molecules.numbers))
    with pytest.raises(ValueError, match=r"molecule 0 of X holds H, .*are O\..*or so"):
        refuse_unknown(molecules, np.array([8]), ", or so")


def test_bytes_tell_molecules_apart(molecules):
    data = list(molecule_bytes(molecules))
    assert len(set(data)) == len(data) == 4
    assert list(molecule_bytes(molecules[[2, 0]])) == [data[2], data[0]]
    moved = Molecules(molecules.numbers, molecules.positions + 1e-12, molecules.offsets)
    assert not set(data) & set(molecule_bytes(moved))
    cell = np.eye(3) * 9
    crystals = [
        Molecules(*pair, [0, len(pair[0])], [h], [along])
        for pair in molecules[:1]
        for h, along in ((cell, [True] * 3), (cell, [True, True, False]), (2 * cell, [True] * 3))
    ]
    assert len({data[0], *(next(iter(molecule_bytes(c))) for c in crystals)}) == 4


def test_names_of_sums():
    names = names_of_sums(["H", "C"], [""], ["0"], 1)
    assert names[:3] == ["n_H", "n_C", "a_H_j0_H_j0_l0"]
    assert names[-1] == "a_C_j0_C_j0_l1"
    assert len(names) == len(set(names)) == 2 + 2 * 3
    assert len(names_of_sums(["H", "C"], ["H", "C"], ["0", "1"], 2)) == 2 + 2 * 3 * 10


def test_batches_are_of_one_size_about():
    n_atoms = np.array([5, 1, 3, 2, 4])
    assert [b.tolist() for b in batches_of_size(n_atoms, 2)] == [[1, 3], [2, 4], [0]]
    batches = batches_of_size(n_atoms, 6, n_atoms)
    assert sorted(np.concatenate(batches)) == [0, 1, 2, 3, 4]
    assert all(n_atoms[batch].sum() <= 6 + 5 for batch in batches)
