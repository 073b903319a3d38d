"""Molecules for the tests of their container, their readers and their checks."""

import numpy as np
import pytest

from skwave.molecules import Molecules


@pytest.fixture(scope="session")
def many():
    """60 molecules of 1 to 9 atoms on a distorted grid."""
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(3) * 1.4] * 3), axis=-1).reshape(-1, 3)
    pairs = []
    for n in rng.integers(1, 10, 60):
        r = grid[rng.choice(27, n, replace=False)] + rng.uniform(-0.3, 0.3, (n, 3))
        pairs.append((rng.choice([1, 6, 7, 8], n), r))
    return Molecules.from_pairs(pairs)
