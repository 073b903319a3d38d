"""How a disk is cut."""

from itertools import product

import numpy as np
import pytest

from skwave.functional import morlet_2d
from skwave.scattering._disks import disk_sectors, wave_angle

pytestmark = pytest.mark.usefixtures("plt")


def area(sectors):
    inner, outer, first, last = sectors.T
    return (last - first) * (outer**2 - inner**2) / 2


@pytest.fixture
def second_order():
    """Scales and orientations of all paths of order 2, J=3 and L=4."""
    paths = [
        (j1, j2, t1, t2)
        for j1, j2, t1, t2 in product(range(3), range(3), range(4), range(4))
        if j2 > j1
    ]
    table = np.array(paths)
    return table[:, :2].astype(float), table[:, 2:]


@pytest.mark.parametrize("L", [1, 2, 3, 5, 8])
def test_angle_is_that_of_the_filter(L):
    bank = morlet_2d((96, 64), J=2, L=L)
    for psi_hat, wavelet in list(zip(bank.psi_hat, bank.wavelets, strict=True))[L:]:
        row, column = divmod(int(psi_hat.argmax()), bank.shape[1])
        y, x = np.fft.fftfreq(96)[row], np.fft.fftfreq(64)[column]
        difference = np.exp(1j * (wave_angle(wavelet.theta, L) - np.arctan2(y, x)))
        assert abs(np.angle(difference)) < 0.1


def test_first_order():
    L = 4
    j, theta = np.divmod(np.arange(3 * L)[:, None], L)
    sectors = disk_sectors(j / 1.0, theta, L)
    inner, outer, first, last = sectors.T
    np.testing.assert_allclose(outer, 1 - j[:, 0] / 4)
    np.testing.assert_allclose(inner, outer - 0.25)
    np.testing.assert_allclose((first + last) / 2, wave_angle(theta[:, 0], L))
    np.testing.assert_allclose(2 * area(sectors).sum(), np.pi * (1 - 0.25**2))


def test_second_order_fills_the_first(second_order):
    j, theta = second_order
    first_j, first_theta = np.divmod(np.arange(12)[:, None], 4)
    whole = disk_sectors(first_j / 1.0, first_theta, 4)
    sectors = disk_sectors(j, theta, 4)
    # the coarsest scale is followed by no other: two rings, of other radii than three
    for j1, t1 in product(range(2), range(4)):
        rows = (j[:, 0] == j1) & (theta[:, 0] == t1)
        parent = whole[(first_j[:, 0] == j1) & (first_theta[:, 0] == t1)][0]
        parts = sectors[rows]
        outer, inner = 1 - j1 / 3, 1 - (j1 + 1) / 3
        np.testing.assert_allclose(parts[:, 1].max(), outer)
        np.testing.assert_allclose(parts[:, 0].min(), inner)
        np.testing.assert_allclose(parts[:, 2].min(), parent[2])
        np.testing.assert_allclose(parts[:, 3].max(), parent[3])
        np.testing.assert_allclose(area(parts).sum(), np.pi / 4 * (outer**2 - inner**2) / 2)


def test_second_order_runs_from_fine_to_coarse_and_with_the_orientation(second_order):
    j, theta = second_order
    inner, outer, first, last = disk_sectors(j, theta, 4).T
    same = (j[:, 0] == 0) & (theta[:, 0] == 1)
    fine, coarse = same & (j[:, 1] == 1), same & (j[:, 1] == 2)
    np.testing.assert_allclose(inner[fine], outer[coarse])
    np.testing.assert_allclose(last[fine][:-1], first[fine][1:])
    assert (np.diff(theta[fine, 1]) == 1).all()
