"""Cells of periodic structures: reading, keeping, refusals."""

import pickle

import numpy as np
import pytest

from skwave.molecules import Molecules, as_molecules
from skwave.molecules._cells import check_cells, read_cells

CELL = 2.7 * (1 - np.eye(3))
SILICON = [[0, 0, 0], [1.35, 1.35, 1.35]]
HYDROGEN = [[0, 0, 0], [0, 0, 0.74]]


@pytest.fixture
def mixed():
    """A crystal and a molecule."""
    return Molecules(
        [14, 14, 1, 1],
        np.concatenate([SILICON, HYDROGEN]),
        [0, 2, 4],
        cells=[CELL, np.zeros((3, 3))],
        periodic=[[True, True, False], [False] * 3],
    )


def test_cells_stay_with_their_molecules(mixed):
    assert repr(mixed) == "Molecules(n=2, n_atoms=4, elements=H Si, n_periodic=1)"
    for same in (
        pickle.loads(pickle.dumps(mixed)),
        mixed[::-1][::-1],
        mixed[[0]] + mixed[[1]],
        as_molecules(list(mixed)),
        as_molecules(np.asarray(mixed)),
    ):
        assert same == mixed
    assert mixed[[1]].cells is None and mixed[1:] + mixed[1:] == mixed[[1, 1]]
    crystal = pickle.loads(pickle.dumps(mixed[0]))
    assert crystal.pbc.tolist() == [True, True, False]
    assert np.array_equal(crystal.cell, CELL) and len(crystal) == 2
    assert not hasattr(mixed[1], "cell")
    assert not mixed.cells.flags.writeable and not mixed.periodic.flags.writeable
    whole = Molecules(mixed.numbers[:2], SILICON, [0, 2], [CELL], True)
    assert whole != mixed[[0]] and whole == Molecules([14, 14], SILICON, [0, 2], [CELL])


def test_cells_of_ase(mixed):
    pytest.importorskip("ase")
    atoms = mixed.to_ase()
    assert Molecules.from_ase(iter(atoms)) == mixed and as_molecules(atoms) == mixed
    assert Molecules.from_ase(atoms[0]) == mixed[[0]]
    atoms[0].pbc = False  # a molecule in a box
    assert as_molecules(atoms).cells is None


def test_what_has_no_cell():
    assert read_cells([([1, 1], HYDROGEN)]) == (None, None)
    assert check_cells(None, [False], np.array(HYDROGEN), np.array([0, 2])) == (None, None)
    assert Molecules([1, 1], HYDROGEN, [0, 2], [CELL], [[False] * 3]).cells is None


@pytest.mark.parametrize(
    ("cells", "periodic", "message"),
    [
        (None, True, "periodic molecules need cells="),
        ([CELL[:2]], None, r"cells of shape \(1, 2, 3\)"),
        ([CELL.astype(str)], None, "must be real numbers"),
        ([CELL], [1], "must be bool"),
        ([CELL], [[True] * 2], r"periodic of shape \(1, 2\)"),
        (
            [np.inf * np.ones((3, 3))],
            None,
            "molecule 0: its cell holds numbers that are not finite",
        ),
        ([np.ones((3, 3))], None, "molecule 0: the vectors of its cell.*lie in a line or a plane"),
        ([np.diag([1.0, 0, 1])], [[False, True, False]], "are 0 or lie"),
        ([np.diag([9.0, 9, 1.35 + 0.05])], None, "atom 0 and an image of atom 1 overlap"),
    ],
)
def test_bad_cells(cells, periodic, message):
    positions = [[0, 0, 0], [0, 0, 1.35]]
    with pytest.raises(ValueError, match=message):
        Molecules([1, 1], positions, [0, 2], cells, periodic)
