"""Increments, excursion sets and spectra: brute force, closed forms, invariances."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from skwave.functional import (
    bispectrum,
    bispectrum_triangles,
    increment_kurtosis,
    increments,
    minkowski_functionals,
    power_spectrum,
    shift_correlation,
    structure_functions,
)


@pytest.fixture
def smooth(randn):
    """Gaussian field of correlation exp(-r^2 / 4 s^2) with s of 3 pixels, and unit variance."""
    k = torch.fft.fftfreq(256, dtype=torch.float64) * 2 * math.pi
    gain = torch.exp(-0.5 * 9 * (k[:, None] ** 2 + k[None] ** 2))
    x = torch.fft.ifft2(torch.fft.fft2(randn(4, 256, 256)) * gain).real
    return (x - x.mean()) / x.std()


@pytest.mark.parametrize("periodic", [True, False])
def test_increments_by_brute_force(randn, periodic):
    x, r = randn(9, 11), 2
    found = increments(x, r, periodic=periodic)
    for d, (dy, dx) in zip(found, ((0, r), (r, 0), (r, r), (r, -r)), strict=True):
        expected = [
            x[(i + dy) % 9, (j + dx) % 11] - x[i, j]
            for i in range(9)
            for j in range(11)
            if periodic or (i + dy < 9 and 0 <= j + dx < 11)
        ]
        torch.testing.assert_close(d.flatten().sort().values, torch.stack(expected).sort().values)


def test_structure_functions(randn):
    x, distances, orders = randn(3, 12, 10), (1, 3), (1, 2, 2.5, 4, 5)
    moments = structure_functions(x, distances, orders=orders)
    assert moments.shape == (3, 4, 2, 5)
    for i, r in enumerate(distances):
        for a, d in enumerate(increments(x, r)):
            for b, q in enumerate(orders):
                expected = d.abs().pow(q).mean((-2, -1))
                torch.testing.assert_close(moments[:, a, i, b], expected)
    torch.testing.assert_close(
        structure_functions(-3 * x + 1, distances, orders=(3,)),
        27 * structure_functions(x, distances, orders=(3,)),
    )


def test_structure_functions_of_a_gaussian_field(smooth):
    """S_2 = 2 (1 - C), and the others follow from it."""
    moments = structure_functions(smooth, (2, 4)).mean(0)
    r = torch.tensor([[2.0, 4.0]] * 2 + [[2 * 2**0.5, 4 * 2**0.5]] * 2, dtype=torch.float64)
    second = 2 * (1 - torch.exp(-r.square() / 36))
    torch.testing.assert_close(moments[..., 1], second, rtol=0.05, atol=0)
    torch.testing.assert_close(moments[..., 0], (2 / math.pi * second).sqrt(), rtol=0.05, atol=0)
    kurtosis = increment_kurtosis(smooth, (2, 4)).mean(0)
    torch.testing.assert_close(kurtosis, torch.full_like(kurtosis, 3.0), rtol=0.05, atol=0)


@pytest.mark.parametrize("density", [0.2, 0.5, 0.8])
def test_minkowski_functionals_by_labels(randn, density):
    """Pieces less holes: pieces touch at corners, those of the complement do not."""
    x = ndimage.uniform_filter(randn(40, 30).numpy(), 2)
    t = np.quantile(x, 1 - density)
    area, perimeter, euler = (
        minkowski_functionals(torch.tensor(x), torch.tensor([t]), periodic=False)[:, 0] * 1200
    )
    above = x >= t
    _, pieces = ndimage.label(above, np.ones((3, 3)))
    _, holes = ndimage.label(np.pad(~above, 1, constant_values=True))
    assert float(euler) == pytest.approx(pieces - (holes - 1))
    assert float(area) == pytest.approx(above.sum())
    edges = (above[1:] != above[:-1]).sum() + (above[:, 1:] != above[:, :-1]).sum()
    assert float(perimeter) == pytest.approx(edges)


def test_minkowski_functionals_on_the_torus(randn):
    x = torch.zeros(8, 8, dtype=torch.float64)
    x[0, 0] = x[7, 7] = x[0, 7] = x[7, 0] = 1  # one square over the corner
    half = torch.tensor([0.5])
    values = (64 * minkowski_functionals(x, half)).flatten().tolist()
    assert values == pytest.approx([4, 8, 1])
    x[:, 0] = 1  # a band around the torus has no corner and no hole
    assert float(minkowski_functionals(x.roll(1, 1), half)[2]) == 0
    x, levels = randn(2, 16, 16), torch.tensor([-1.0, 0.0, 1.0])
    torch.testing.assert_close(
        minkowski_functionals(x.roll((3, 5), (1, 2)), levels), minkowski_functionals(x, levels)
    )


def test_minkowski_functionals_of_a_gaussian_field(smooth):
    """Euler characteristic v exp(-v^2 / 2) l / (2 pi)^{3/2}, with l the variance of a slope."""
    v = torch.tensor([-1.5, -0.7, 0.0, 0.7, 1.5], dtype=torch.float64)
    area, perimeter, euler = minkowski_functionals(smooth, v).mean(0)
    slope = 1 / 18
    torch.testing.assert_close(area, 0.5 * torch.erfc(v / 2**0.5), rtol=0, atol=0.02)
    expected = slope * v * torch.exp(-v.square() / 2) / (2 * math.pi) ** 1.5
    torch.testing.assert_close(euler, expected, rtol=0, atol=3e-4)
    # edges of pixels are 4 / pi times as long as the line
    length = 4 / math.pi * 0.5 * slope**0.5 * torch.exp(-v.square() / 2)
    torch.testing.assert_close(perimeter, length, rtol=0.06, atol=0)


def test_derivatives(randn):
    x = randn(16, 16).requires_grad_()
    for f in (
        lambda x: structure_functions(x, (1, 4)),
        lambda x: increment_kurtosis(x, (1, 4), periodic=False),
    ):
        assert torch.autograd.gradcheck(f, x, fast_mode=True)


def test_layers_have_no_kurtosis_along_them(randn):
    x = randn(1, 16).expand(16, 16)
    K = increment_kurtosis(x, (1, 2))
    assert (K[1] == 0).all() and (K[[0, 2, 3]] > 1).all()
    small = increment_kurtosis(1e-10 * x.float(), (1, 2))
    torch.testing.assert_close(small.double(), K, rtol=0.01, atol=0)


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


def test_derivatives_of_spectra(randn):
    x = randn(16, 16).requires_grad_()
    for f in (
        lambda x: power_spectrum(x, periodic=False)[1],
        bispectrum,
    ):
        assert torch.autograd.gradcheck(f, x, fast_mode=True)
