"""Neighbour lists: all pairs by brute force, images in cells, and a linear number of them."""

from itertools import product

import pytest
import torch

from skwave.functional import neighbour_pairs
from skwave.functional._molecules.neighbours import count_up, pair_vectors

OFFSETS = torch.tensor([0, 20, 21, 60])


def brute_force(positions, cutoff, cells=None, periodic=None, reach=6):
    """All pairs, image after image."""
    found = set()
    for i, (start, stop) in enumerate(zip(OFFSETS.tolist(), OFFSETS[1:].tolist(), strict=False)):
        r, along = positions[start:stop], [False] * 3 if cells is None else periodic[i].tolist()
        for shift in product(*(range(-reach, reach + 1) if p else range(1) for p in along)):
            moved = r if cells is None else r + torch.tensor(shift).double() @ cells[i]
            near = (moved - r[:, None]).norm(dim=-1) < cutoff
            for a, b in near.nonzero().tolist():
                if a != b or any(shift):
                    found.add((a + start, b + start, *shift))
    return found


def as_set(pairs):
    rows = torch.column_stack([pairs.centre, pairs.neighbour, pairs.shift])
    return set(map(tuple, rows.tolist()))


@pytest.fixture
def atoms(randn):
    """Sixty atoms of three molecules, which lie over each other."""
    return 2.5 * randn(60, 3)


def test_pairs_of_molecules(atoms):
    pairs = neighbour_pairs(atoms, OFFSETS, 2.5)
    assert as_set(pairs) == brute_force(atoms, 2.5)
    assert (pairs.centre.diff() >= 0).all()
    assert (pair_vectors(atoms, pairs).norm(dim=1) < 2.5).all()


def test_images_in_cells_periodic_along_some_vectors(atoms, randn):
    cells = randn(3, 3, 3) + 4 * torch.eye(3)
    periodic = torch.tensor([[True] * 3, [False] * 3, [True, False, True]])
    cells[2, 1] = 0  # of what is not periodic no vector is needed
    pairs = neighbour_pairs(atoms, OFFSETS, 2.5, cells, periodic)
    assert as_set(pairs) == brute_force(atoms, 2.5, cells, periodic)
    molecule = torch.repeat_interleave(torch.arange(3), OFFSETS.diff())
    assert (pair_vectors(atoms, pairs, cells, molecule).norm(dim=1) < 2.5).all()


def test_the_order_of_pairs_does_not_depend_on_other_molecules(randn):
    positions = 6 * randn(40, 3)
    alone = neighbour_pairs(positions[10:30], torch.tensor([0, 20]), 5.0)
    together = neighbour_pairs(positions, torch.tensor([0, 10, 30, 40]), 5.0)
    mine = (together.centre >= 10) & (together.centre < 30)
    assert torch.equal(together.centre[mine] - 10, alone.centre)
    assert torch.equal(together.neighbour[mine] - 10, alone.neighbour)


def test_an_atom_is_its_own_neighbour_in_a_small_cell():
    one = torch.zeros(1, 3), torch.tensor([0, 1])
    cell, periodic = torch.eye(3)[None], torch.ones(1, 3, dtype=torch.bool)
    assert len(neighbour_pairs(*one, 1.01, cell, periodic).centre) == 6
    assert len(neighbour_pairs(*one, 1.5, cell, periodic).centre) == 18
    assert len(neighbour_pairs(*one, 1.5).centre) == 0


def test_the_number_of_pairs_is_linear_in_the_number_of_atoms():
    counts = []
    for n in (8, 16):
        grid = torch.cartesian_prod(*[torch.arange(n).double()] * 3)
        counts.append(len(neighbour_pairs(grid, torch.tensor([0, n**3]), 1.01).centre))
        assert counts[-1] == 6 * n**2 * (n - 1)


def test_count_up():
    rank, group = count_up(torch.tensor([2, 0, 3]))
    assert rank.tolist() == [0, 1, 0, 1, 2] and group.tolist() == [0, 0, 2, 2, 2]


def test_vectors_are_differentiable_in_positions_and_cells(atoms, randn):
    cells, periodic = randn(3, 3, 3) + 4 * torch.eye(3), torch.ones(3, 3, dtype=torch.bool)
    pairs = neighbour_pairs(atoms, OFFSETS, 1.5, cells, periodic)
    molecule = torch.repeat_interleave(torch.arange(3), OFFSETS.diff())
    arguments = atoms.requires_grad_(), cells.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda r, h: pair_vectors(r, pairs, h, molecule).square().sum(1)[:50], arguments
    )
