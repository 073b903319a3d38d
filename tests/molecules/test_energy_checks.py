"""Targets and forces that are refused, and what is said."""

import numpy as np
import pytest

from skwave.molecules import Molecules
from skwave.molecules._energy_checks import (
    check_elements,
    check_energies,
    check_forces,
    resolve_elements,
    warn_of_duplicates,
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


def test_elements(molecules):
    assert resolve_elements(None, molecules).tolist() == [1, 6, 8]
    assert resolve_elements(["O", 6, "H", np.int64(1), 7], molecules).tolist() == [1, 6, 7, 8]
    with pytest.raises(ValueError, match="elements="):
        resolve_elements([], molecules)
    with pytest.raises(ValueError, match="molecule 1 of X holds C"):
        check_elements(molecules, np.array([1]))


def test_duplicates():
    warn_of_duplicates(Molecules.from_pairs(PAIRS))
    with pytest.warns(UserWarning, match="molecules 1 and 2"):
        warn_of_duplicates(Molecules.from_pairs([*PAIRS, PAIRS[1]]))
