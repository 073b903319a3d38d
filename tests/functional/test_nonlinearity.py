import math

import pytest
import torch
from scipy.integrate import quad

from skwave.functional import modulus, phases, rectifier, rectifier_harmonic


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


@pytest.mark.parametrize("k", range(-5, 9))
def test_rectifier_harmonic_is_a_fourier_coefficient(k):
    integral, _ = quad(lambda a: math.cos(a) * math.cos(k * a), -math.pi / 2, math.pi / 2)
    assert rectifier_harmonic(k) == pytest.approx(integral / (2 * math.pi), abs=1e-14)


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
