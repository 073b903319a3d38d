"""Weights of atoms in electronic densities."""

import numpy as np
import pytest

from skwave.molecules._densities import DENSITIES, density_weights

NUMBERS = np.array([[1, 2, 3, 6], [10, 11, 16, 0]])


@pytest.mark.parametrize(
    ("density", "expected"),
    [
        ("full", [[1, 2, 3, 6], [10, 11, 16, 0]]),
        ("dirac", [[1, 2, 3, 6], [10, 11, 16, 0]]),
        ("core", [[0, 0, 2, 2], [2, 10, 10, 0]]),
        ("valence", [[1, 2, 1, 4], [8, 1, 6, 0]]),
        ("C", [[0, 0, 0, 1], [0, 0, 0, 0]]),
    ],
)
def test_electrons(density, expected):
    weights = density_weights(NUMBERS, density)
    assert weights.dtype == float and weights.tolist() == expected


def test_core_and_valence_are_all_electrons():
    numbers = np.arange(1, 119)
    core, valence = (density_weights(numbers, d) for d in ("core", "valence"))
    assert np.array_equal(core + valence, numbers)
    assert set(core) == {0, 2, 10, 18, 36, 54, 86} and (valence >= 1).all()
    assert "elements" in DENSITIES
