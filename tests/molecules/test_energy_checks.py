"""Targets and forces that are refused, and what is said."""

import warnings

import numpy as np
import pytest

from skwave.datasets import load_crystal_sample, load_qm7_sample
from skwave.molecules import Molecules
from skwave.molecules._energy_checks import (
    check_crystals,
    check_energies,
    check_forces,
    warn_of_duplicates,
    warn_of_units,
)

PAIRS = [([1, 1], [[0, 0, 0], [0, 0, 0.74]]), ([6, 8], [[0, 0, 0], [0, 0, 1.1]])]


@pytest.fixture
def molecules():
    return Molecules.from_pairs(PAIRS)


def test_targets_have_two_axes(molecules):
    y, flat = check_energies([1, 2], molecules)
    assert y.tolist() == [[1.0], [2.0]] and flat
    y, flat = check_energies([[1, 2], [3, 4]], molecules)
    assert y.shape == (2, 2) and not flat


@pytest.mark.parametrize(
    "y, message",
    [
        (None, "y=None"),
        ([1.0], "must have the shape"),
        (["a", "b"], "real numbers"),
        ([1j, 2], "real numbers"),
        ([1.0, np.inf], r"y\[1\]"),
        ([[[1.0]], [[2.0]]], "must have the shape"),
    ],
)
def test_targets_that_are_refused(molecules, y, message):
    with pytest.raises(ValueError, match=message):
        check_energies(y, molecules)


def test_forces_that_are_refused(molecules):
    y, good = np.zeros((2, 1)), [np.zeros((2, 3))] * 2
    assert len(check_forces(good, molecules, y, None, True)) == 2
    nan = [good[0], np.full((2, 3), np.nan)]
    for forces, message in (
        (good[:1], "1 arrays of forces for 2"),
        ([good[0], np.zeros((3, 3))], "molecule 1 have the shape"),
        (nan, "molecule 1 are not finite"),
    ):
        with pytest.raises(ValueError, match=message):
            check_forces(forces, molecules, y, None, True)
    with pytest.raises(ValueError, match="no derivatives here"):
        check_forces(good, molecules, y, object(), True)
    with pytest.raises(ValueError, match="2 targets"):
        check_forces(good, molecules, np.zeros((2, 2)), None, True)


def test_crystals(molecules):
    with pytest.raises(ValueError, match="molecule 0 of X is not periodic"):
        check_crystals(molecules)
    cells = load_crystal_sample().data[:2]
    check_crystals(cells)
    with pytest.raises(ValueError, match="molecule 2 of X is not periodic"):
        check_crystals(cells + molecules)


def test_duplicates():
    warn_of_duplicates(Molecules.from_pairs(PAIRS))
    with pytest.warns(UserWarning, match="molecules 1 and 2"):
        warn_of_duplicates(Molecules.from_pairs([*PAIRS, PAIRS[1]]))


def test_energies_in_two_units():
    X, y = load_qm7_sample(return_X_y=True)
    X, y = X[:60], y[:60, None]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_units(y, X)
        warn_of_units(y - y.mean(), X)  # relative energies
        total = np.array([{1: -0.5, 6: -38, 7: -54, 8: -75, 16: -398}[int(z)] for z in X.numbers])
        warn_of_units(np.add.reduceat(total, X.offsets[:-1])[:, None] + y / 627.5, X)
    mixed = y.copy()
    mixed[40:] /= 23.06
    with pytest.warns(UserWarning, match=r"20 of y, such as y\[\d+\].* and 40.* 2\d.\d times"):
        warn_of_units(mixed, X)
