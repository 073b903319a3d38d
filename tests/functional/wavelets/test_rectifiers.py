"""Fourier coefficients of rectifiers, against quadrature and the theorem on wavelet fields."""

import math

import pytest
import torch
from scipy.integrate import quad

from skwave.functional import rectifier_harmonic
from skwave.functional._wavelets.bump import bump_2d
from skwave.functional._wavelets.nonlinearity import phase_harmonic, rectifier_harmonics


@pytest.mark.parametrize("k", range(-5, 9))
def test_rectifier_harmonic_is_a_fourier_coefficient(k):
    integral, _ = quad(lambda a: math.cos(a) * math.cos(k * a), -math.pi / 2, math.pi / 2)
    assert rectifier_harmonic(k) == pytest.approx(integral / (2 * math.pi), abs=1e-14)


@pytest.mark.parametrize(
    ("name", "rho"), [("relu", torch.relu), ("abs", torch.abs)], ids=["relu", "abs"]
)
def test_closed_forms_of_the_harmonics_are_those_of_samples(name, rho):
    closed, sampled = rectifier_harmonics(name, 12), rectifier_harmonics(rho, 12)
    assert closed.dtype == sampled.dtype == torch.float64
    assert closed.shape == sampled.shape == (13,)
    torch.testing.assert_close(closed, sampled, rtol=0, atol=1e-9)
    for k in (0, 1, 2, 4, 7):
        integral = quad(
            lambda a, k=k: float(rho(torch.tensor(math.cos(a)))) * math.cos(k * a),
            0,
            2 * math.pi,
            points=[math.pi / 2, 3 * math.pi / 2],
        )[0]
        assert float(closed[k]) == pytest.approx(integral / (2 * math.pi), abs=1e-7)


def test_harmonics_of_any_function():
    # cos^2 has the harmonics 0 and 2 alone
    c = rectifier_harmonics(torch.square, 3)
    expected = torch.tensor([0.5, 0, 0.25, 0], dtype=torch.float64)
    torch.testing.assert_close(c, expected, rtol=0, atol=1e-14)


def test_unknown_nonlinearity():
    with pytest.raises(ValueError, match=r"rho='tanh' must be 'relu', 'abs' or a callable"):
        rectifier_harmonics("tanh", 2)


@pytest.mark.parametrize(
    ("name", "rho"), [("relu", torch.relu), ("abs", torch.abs)], ids=["relu", "abs"]
)
def test_fourier_series_of_rectified_wavelet_fields_are_phase_harmonics(randn, name, rho):
    # the theorem of Mallat, Zhang and Rochette, on an image
    x = randn(16, 16) ** 3
    w = torch.fft.ifft2(torch.fft.fft2(x) * bump_2d((16, 16), 2, 3).psi_hat)
    n = 2048
    alpha = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
    u = rho((torch.exp(1j * alpha) * w[..., None]).real)
    series = torch.fft.fft(u, norm="forward")
    c = rectifier_harmonics(name, 6)
    for k in (-4, -2, -1, 0, 1, 2, 3, 4, 6):
        error = (series[..., k % n] - c[abs(k)] * phase_harmonic(w, k)).abs().max()
        assert float(error / w.abs().max()) < 1e-6
