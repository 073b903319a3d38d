import math
import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch

from skwave.functional import morlet_1d, morlet_2d
from skwave.functional._wavelets.morlet import gabor_2d, gaussian_1d, wavelet_grid_1d

PI = 3.1415  # the value of pi in the normalisation of kymatio's images


def gaussian_times_wave(n, xi, sigma):
    # samples in time, summed modulo n: the inverse Fourier transform of the periodised Gaussian
    half = math.ceil(9 / (2 * math.pi * sigma) / n)
    t = np.arange(-half * n, (half + 1) * n)
    g = (
        math.sqrt(2 * math.pi)
        * sigma
        * np.exp(-2 * (math.pi * sigma * t) ** 2 + 2j * np.pi * xi * t)
    )
    return g.reshape(-1, n).sum(0)


@pytest.mark.parametrize("n", [32, 45])
@pytest.mark.parametrize(("xi", "sigma"), [(0.0, 0.01), (0.1, 0.03), (0.45, 0.2), (0.35, 0.002)])
def test_gaussian_is_the_transform_of_sampled_time(n, xi, sigma):
    expected = np.fft.fft(gaussian_times_wave(n, xi, sigma))
    assert np.allclose(gaussian_1d(n, xi, sigma).numpy(), expected, rtol=0, atol=1e-13)


def anden_grid(J, Q):
    # constant ratio xi / sigma while sigma stays over 0.1 / 2**J, then Q - 1 equal distances
    ratio = 2 ** (-1 / Q)
    xi = max(1 / (1 + 2 ** (3 / Q)), 0.35)
    to_sigma = (1 - ratio) / (1 + ratio) / math.sqrt(math.log(2))
    lowest = 0.1 / 2**J
    n_geometric = max(0, math.ceil(Q * math.log2(xi * to_sigma / lowest)))
    geometric = [(xi * ratio**k, xi * to_sigma * ratio**k) for k in range(n_geometric)]
    elbow = geometric[-1][0] if geometric else xi * to_sigma
    return geometric + [(elbow * (1 - q / Q), lowest) for q in range(1, Q)]


@pytest.mark.parametrize(
    ("J", "Q", "n_wavelets"), [(4, 1, 5), (5, 1, 6), (5, 4, 18), (6, 8, 38), (8, 16, 95), (1, 8, 7)]
)
def test_grid_of_frequencies(J, Q, n_wavelets):
    wavelets = wavelet_grid_1d(J, Q)
    assert len(wavelets) == n_wavelets
    assert np.allclose([(w.xi, w.sigma) for w in wavelets], anden_grid(J, Q), rtol=1e-12, atol=0)
    for w in wavelets:
        # the coarsest sampling at which the wavelet does not alias
        end = min(w.xi + 5 * w.sigma, 0.5)
        assert 2.0 ** -(w.j + 2) < end <= 2.0 ** -(w.j + 1)


@pytest.mark.parametrize(("n", "J", "Q"), [(512, 4, 1), (1000, 4, 8), (64, 5, 2)])
def test_morlet_1d_is_sampled_in_time(n, J, Q):
    bank = morlet_1d(n, J, Q)
    for psi_hat, w in zip(bank.psi_hat, bank.wavelets, strict=True):
        half = math.ceil(9 / (2 * math.pi * w.sigma) / n)
        t = np.arange(-half * n, (half + 1) * n)
        g = np.exp(-2 * (math.pi * w.sigma * t) ** 2)
        wave = np.exp(2j * math.pi * w.xi * t)
        psi = g * (wave - (g * wave).sum() / g.sum())
        expected = np.fft.fft((psi / np.abs(psi).sum()).reshape(-1, n).sum(0))
        assert np.allclose(psi_hat.numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("T", [None, 20, 100.5])
def test_lowpass_of_a_signal(T):
    bank = morlet_1d(600, J=5, Q=2, T=T)
    omega = torch.fft.fftfreq(600, dtype=torch.float64)
    expected = torch.exp(-((omega * (T or 32) / 0.1) ** 2) / 2)
    torch.testing.assert_close(bank.phi_hat, expected, rtol=0, atol=1e-14)
    assert torch.equal(bank.psi_hat, morlet_1d(600, J=5, Q=2).psi_hat)


@pytest.mark.parametrize(
    "bank",
    [morlet_1d(300, 4, 3), morlet_2d((20, 33), 2, 5), morlet_2d((32, 32), 2, 4, Q=2)],
    ids=["1-D", "2-D", "2-D Q=2"],
)
def test_wavelets_have_mean_zero(bank):
    mean = bank.psi_hat.flatten(1)[:, 0]
    torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=0, atol=1e-15)
    assert bank.psi_hat.dtype == bank.phi_hat.dtype == torch.float64
    assert len(bank.wavelets) == len(bank.psi_hat)


@pytest.mark.parametrize("angle", [0.0, 0.7, -math.pi / 3])
@pytest.mark.parametrize(("sigma", "xi", "slant"), [(0.8, 2.3, 0.5), (3.0, 0.6, 0.66)])
def test_gabor_is_the_transform_of_sampled_space(angle, sigma, xi, slant):
    shape, periods = (12, 15), 5
    y, x = (np.arange(-periods * n, (periods + 1) * n) for n in shape)
    along = math.cos(angle) * y[:, None] + math.sin(angle) * x
    across = -math.sin(angle) * y[:, None] + math.cos(angle) * x
    g = np.exp(-(along**2 + (slant * across) ** 2) / (2 * sigma**2) + 1j * xi * along)
    g *= slant / (2 * PI * sigma**2)
    g = g.reshape(-1, shape[0], 2 * periods + 1, shape[1]).sum((0, 2))
    gabor = gabor_2d(shape, sigma, angle, xi, slant)
    assert np.allclose(gabor.numpy(), np.fft.fft2(g), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "J", "L"), [((32, 32), 2, 8), ((33, 45), 3, 6), ((16, 40), 2, 5), ((16, 16), 4, 4)]
)
def test_filters_of_images_are_those_of_kymatio(kymatio, shape, J, L):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from kymatio.scattering2d.filter_bank import filter_bank

        reference = filter_bank(*shape, J, L)
    bank = morlet_2d(shape, J, L)
    assert [(w.j, w.theta) for w in bank.wavelets] == [
        (psi["j"], psi["theta"]) for psi in reference["psi"]
    ]
    expected = np.stack([psi["levels"][0] for psi in reference["psi"]])
    assert np.allclose(bank.psi_hat.numpy(), expected, rtol=0, atol=2e-6)
    assert np.allclose(bank.phi_hat.numpy(), reference["phi"]["levels"][0], rtol=0, atol=2e-6)


@pytest.mark.parametrize(("L", "Q"), [(8, 1), (5, 1), (6, 2), (4, 3)])
def test_morlet_2d_from_its_gabor_functions(L, Q):
    # also of the orientations that the bank obtains by a mirror
    shape, J, r = (24, 20), 2, 2 ** (-1 / Q)
    bank = morlet_2d(shape, J, L, Q)
    for psi_hat, w in zip(bank.psi_hat, bank.wavelets, strict=True):
        xi, sigma = math.pi / 2 * (1 + r) * 2**-w.j, 0.4 * 2**w.j / (1 - r)
        assert w.xi == pytest.approx(xi / (2 * math.pi))
        assert w.sigma == pytest.approx(1 / (2 * math.pi * sigma))
        # as wide in angle as at one scale per octave
        slant = 4 / L * (sigma * xi) / (0.8 * 0.75 * math.pi)
        angle = (math.floor(L - L / 2 - 1) - w.theta) * math.pi / L
        gabor, low = (gabor_2d(shape, sigma, angle, k, slant) for k in (xi, 0.0))
        expected = gabor - gabor[0, 0] / low[0, 0] * low
        torch.testing.assert_close(psi_hat, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("Q", [1, 2, 3])
def test_neighbouring_scales_of_images_cross_at_one_height(Q):
    wavelets = morlet_2d((8, 8), J=2, L=1, Q=Q).wavelets
    assert [w.j for w in wavelets] == pytest.approx([k / Q for k in range(2 * Q)])
    for a, b in pairwise(wavelets):
        # in standard deviations of either Gaussian
        assert (a.xi - b.xi) / (a.sigma + b.sigma) == pytest.approx(0.2 * math.pi)


@pytest.mark.parametrize("T", [None, 6.0])
def test_lowpass_of_an_image(T):
    bank = morlet_2d((40, 48), J=3, L=2, T=T)
    y, x = (2 * math.pi * torch.fft.fftfreq(n, dtype=torch.float64) for n in bank.shape)
    expected = torch.exp(-((0.4 * (T or 8)) ** 2) / 2 * (y[:, None] ** 2 + x**2)) * math.pi / PI
    # a Gaussian of this width reaches just over the Nyquist frequency
    torch.testing.assert_close(bank.phi_hat, expected, rtol=0, atol=1e-9)
