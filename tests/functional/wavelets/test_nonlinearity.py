import math

import pytest
import torch
from scipy.integrate import quad

from skwave.functional import (
    bump_2d,
    modulus,
    phase_harmonic,
    phases,
    rectifier,
    rectifier_harmonic,
    rectifier_harmonics,
)
from skwave.functional._wavelets.nonlinearity import modulus_adjoint, safe_sqrt, squared_modulus


@pytest.fixture
def z(randn):
    return torch.complex(randn(2, 3, 4), randn(2, 3, 4))


def test_modulus_is_the_absolute_value(z):
    torch.testing.assert_close(modulus(z), z.abs(), rtol=1e-14, atol=0)
    torch.testing.assert_close(modulus(z.mT), z.mT.abs(), rtol=1e-14, atol=0)
    torch.testing.assert_close(modulus(z.clone().requires_grad_()), z.abs(), rtol=1e-14, atol=0)


def test_modulus_overwrites_only_when_told(z):
    kept, leaf = z.clone(), z.clone().requires_grad_()
    expected = modulus(z)
    assert torch.equal(z, kept)
    assert torch.equal(modulus(leaf, overwrite_z=True), expected)
    assert torch.equal(leaf, kept)
    assert torch.equal(modulus(z, overwrite_z=True), expected)


def test_derivatives_of_the_modulus(z):
    z.requires_grad_()
    assert torch.autograd.gradcheck(modulus, z)
    assert torch.autograd.gradgradcheck(modulus, z)


def test_gradient_of_the_modulus_at_zero_is_zero():
    z = torch.tensor([0j, 3 + 4j], requires_grad=True)
    modulus(z).sum().backward()
    torch.testing.assert_close(z.grad, torch.tensor([0j, 0.6 + 0.8j]))


@pytest.mark.parametrize("n_phases", [1, 2, 3, 4, 7])
def test_rectifier_is_the_rectified_real_part_at_regular_phases(z, n_phases):
    u = rectifier(z, n_phases)
    assert u.shape == (2, n_phases, 3, 4)
    for a in range(n_phases):
        alpha = 2 * math.pi * a / n_phases
        assert phases(n_phases)[a] == alpha
        expected = z.abs() * (alpha + z.angle()).cos().clamp(min=0)
        torch.testing.assert_close(u[:, a], expected, rtol=0, atol=1e-14)


def test_four_phases_are_the_signed_real_and_imaginary_parts(z):
    parts = torch.stack([z.real, -z.imag, -z.real, z.imag], -3)
    torch.testing.assert_close(rectifier(z, 4), parts.relu(), rtol=0, atol=1e-15)


def test_derivatives_of_the_rectifier(z):
    z.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: rectifier(z, 3), z)


@pytest.mark.parametrize("n_phases", [1, 2, 3, 4, 5])
def test_sum_over_the_phases_is_the_aliased_harmonic_series(z, n_phases):
    # sum_a rho(Re(e^{i alpha_a} z)) = |z| A sum_m c_{mA} e^{i m A arg z}
    expected = rectifier(z, n_phases).sum(-3)

    def error(n_terms):
        series = n_phases * rectifier_harmonic(0) * torch.ones_like(z.real)
        for m in range(1, n_terms + 1):
            c = rectifier_harmonic(m * n_phases)
            series += 2 * n_phases * c * (m * n_phases * z.angle()).cos()
        return float((z.abs() * series - expected).abs().max() / z.abs().max())

    for n_terms in (2, 20, 200):
        # the tail of the coefficients, abs(c_k) <= 1 / (pi (k**2 - 1))
        assert error(n_terms) <= 2 / (math.pi * n_phases * (n_terms - 0.5))
    assert error(2000) < 1e-3 < error(0)


def test_modulus_of_a_lazily_conjugated_tensor():
    z = torch.randn(5, dtype=torch.complex128)
    torch.testing.assert_close(modulus(z.conj()), z.abs())


@pytest.mark.parametrize("k", [0, 1, 2, 3, 4, 5, 8, -1, -2, -3])
def test_phase_harmonic_is_its_definition(z, k):
    expected = z.abs() * torch.exp(1j * k * z.angle())
    h = phase_harmonic(z, k)
    assert h.is_complex() == (k != 0)
    torch.testing.assert_close(h, expected.real if k == 0 else expected, rtol=0, atol=1e-13)
    conjugate = phase_harmonic(z.conj(), k)
    torch.testing.assert_close(conjugate, expected.real if k == 0 else expected.conj())


@pytest.mark.parametrize("k", [0, 1, 2, 3, 4, -2])
def test_derivatives_of_the_phase_harmonic(z, k):
    z = z[:1, :2].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: phase_harmonic(z, k), z)
    assert torch.autograd.gradgradcheck(lambda z: phase_harmonic(z, k), z)


@pytest.mark.parametrize("k", [0, 2, 3, -2])
def test_gradient_of_the_phase_harmonic_at_zero_is_zero(k):
    z = torch.zeros(3, dtype=torch.complex64, requires_grad=True)
    h = phase_harmonic(z, k)
    assert not h.abs().any()
    (h.real.sum() + (h.imag.sum() if k else 0)).backward()
    assert not z.grad.abs().any()


@pytest.mark.parametrize("k", [0, 1, 2, 3, 4, -2])
def test_phase_harmonic_is_lipschitz(randn, k):
    a = torch.complex(randn(4000), randn(4000))
    for step in (2.0, 1e-2, 1e-5):
        b = a + step * torch.complex(randn(4000), randn(4000))
        ratio = (phase_harmonic(a, k) - phase_harmonic(b, k)).abs() / (a - b).abs()
        assert float(ratio.max()) <= max(abs(k), 1) * (1 + 1e-9)
    assert float(ratio.max()) > 0.99 * max(abs(k), 1)  # the bound is reached


def test_safe_square_root_is_the_root_with_gradient_0_at_0(randn):
    x = randn(5).square().requires_grad_()
    torch.testing.assert_close(safe_sqrt(x), x.detach() ** 0.5, rtol=1e-15, atol=0)
    assert torch.autograd.gradcheck(safe_sqrt, x) and torch.autograd.gradgradcheck(safe_sqrt, x)
    zero = torch.zeros(2, requires_grad=True)
    (gradient,) = torch.autograd.grad(safe_sqrt(zero).sum(), zero)
    assert torch.equal(gradient, torch.zeros(2))


def test_derivatives_of_the_squared_modulus(z):
    z.requires_grad_()
    torch.testing.assert_close(squared_modulus(z), z.abs().square())
    assert torch.autograd.gradcheck(squared_modulus, z)
    assert torch.autograd.gradgradcheck(squared_modulus, z)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_gradients_at_and_near_zero_are_finite(dtype):
    z = torch.tensor([0, 1e-30, 1e-42, 1e-10], dtype=dtype).requires_grad_()
    (gradient,) = torch.autograd.grad(phase_harmonic(z, 4).real.sum(), z)
    assert gradient[0] == 0
    assert (gradient.abs() <= 1.001).all()


@pytest.mark.parametrize("size", [1e-19, 1e-21, 1e-25, 1e-30, 1e-42])
def test_tiny_numbers_do_no_harm(size):
    z = torch.tensor([size + 0j, size * 1j])
    for k in range(1, 9):
        assert (phase_harmonic(z, k).abs() <= 1.001 * size).all()
    assert (modulus_adjoint(torch.ones(2), z).abs() <= 1.001).all()


# --- Fourier coefficients of rectifiers


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
