"""Spectra of fields: brute force, closed forms, invariances."""

import math

import numpy as np
import pytest
import torch

from skwave.functional import (
    bispectrum,
    bispectrum_triangles,
    power_spectrum,
    shift_correlation,
)


@pytest.mark.parametrize("shape", [(20, 20), (16, 31), (33, 18)])
def test_power_spectrum_by_brute_force(randn, shape):
    x = randn(2, *shape)
    omega, power = power_spectrum(x, bins_per_octave=2)
    ky, kx = (torch.fft.fftfreq(n, dtype=torch.float64) * 2 * math.pi for n in shape)
    radius = torch.hypot(ky[:, None], kx[None])
    full = torch.fft.fft2(x).abs().square() / math.prod(shape)
    ring = torch.round(2 * torch.log2(radius / (2 * math.pi / max(shape))))
    rings = [r for r in ring.unique().tolist() if r > -math.inf]
    assert len(omega) == len(rings)
    for i, r in enumerate(rings):
        torch.testing.assert_close(power[:, i], full[:, ring == r].mean(-1))
        torch.testing.assert_close(omega[i], radius[ring == r].mean())


def test_power_of_white_noise_is_flat_with_a_window_or_not(randn):
    x = randn(64, 32, 32) + 5.0
    for periodic in (True, False):
        power = power_spectrum(x, periodic=periodic)[1].mean(0)
        torch.testing.assert_close(power[6:], torch.ones_like(power[6:]), rtol=0, atol=0.12)


def test_the_window_hides_the_edges():
    row = torch.arange(64, dtype=torch.float64)
    x = torch.cos(2 * math.pi * row * 4.5 / 64).expand(64, 64)  # half a period too many
    omega, leaky = power_spectrum(x)
    _, windowed = power_spectrum(x, periodic=False)
    assert windowed[omega > 2].max() < 1e-3 * leaky[omega > 2].max()
    assert windowed.max() > 0.3 * leaky.max()


def test_bispectrum_by_the_sum_over_triangles(randn):
    n = 12
    x = randn(n, n)
    x = x + 0.3 * x.square()
    (b,) = bispectrum(x, triangles=[(0, 0, 1)])
    x_hat = torch.fft.fft2(x).numpy()
    k = np.rint(np.fft.fftfreq(n) * n).astype(int)
    radius = np.hypot(*np.meshgrid(k, k, indexing="ij"))
    ring = np.full(radius.shape, -1)
    ring[radius > 0] = 2 + np.floor(2 * np.log2(radius[radius > 0] / (n / 3)) + 1e-12)
    members = [np.argwhere(ring == i) for i in (0, 1)]
    total = 0
    for p in members[0]:
        for q in members[0]:
            third = k[p] + k[q]
            if np.abs(third).max() < n / 2 and ring[tuple(-third)] == 1:
                total += (x_hat[tuple(p)] * x_hat[tuple(q)] * x_hat[tuple(-third)]).real
    power = [(np.abs(x_hat[ring == i]) ** 2).sum() / n**4 for i in (0, 1)]
    expected = total / n**6 / (power[0] * math.sqrt(power[1]))
    assert float(b) == pytest.approx(expected, rel=1e-10)
    assert abs(expected) > 0.01


def test_bispectrum_is_that_of_the_shape_alone(randn):
    x = randn(2, 24, 32).exp()
    b = bispectrum(x)
    assert b.shape == (2, len(bispectrum_triangles((24, 32))))
    torch.testing.assert_close(bispectrum(3 * x.roll((2, 7), (1, 2)) + 1), b)
    torch.testing.assert_close(bispectrum(-x), -b)
    torch.testing.assert_close(bispectrum(x.mT), b, rtol=0.7, atol=0.2)  # rings are circles
    assert bispectrum(randn(6, 6)).shape == (0,)
    assert (bispectrum(x, periodic=False) != b).all()


def test_triangles_are_not_closed_by_aliasing():
    """cos(k x) with 3 k = n would have <x^3> = 1/4 by aliasing; just below, 0."""
    row = torch.arange(48, dtype=torch.float64)
    below = torch.cos(2 * math.pi * 15 * row / 48).expand(48, 48)
    assert abs(float(bispectrum(below, triangles=[(5, 5, 5)]))) < 1e-12
    at = torch.cos(2 * math.pi * 16 * row / 48)
    assert float(at.pow(3).mean()) == pytest.approx(0.25)


def test_shift_correlation(randn):
    x, y = randn(16, 20), randn(3, 16, 20)
    found = shift_correlation(x, y)
    for i in range(3):
        expected = max(
            np.corrcoef(x.flatten(), y[i].roll((a, b), (0, 1)).flatten())[0, 1]
            for a in range(16)
            for b in range(20)
        )
        assert float(found[i]) == pytest.approx(expected)
    assert float(shift_correlation(x, -2 * x.roll(3, 1))) < 0.5


def test_derivatives(randn):
    x = randn(16, 16).requires_grad_()
    for f in (
        lambda x: power_spectrum(x, periodic=False)[1],
        bispectrum,
    ):
        assert torch.autograd.gradcheck(f, x, fast_mode=True)
