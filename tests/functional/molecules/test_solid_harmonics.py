"""Solid harmonics against SciPy."""

import math

import pytest
import torch

from skwave.functional._molecules.solid_harmonics import (
    harmonic_gradients,
    harmonic_polynomials,
    solid_harmonics,
    solid_harmonics_up_to,
    wavelet_gain,
)


@pytest.mark.parametrize("l", range(7))
def test_solid_harmonics_are_orthonormal_and_harmonic(randn, l):
    special = pytest.importorskip("scipy", "1.15").special  # has sph_harm_y
    r = randn(20, 3)
    c = solid_harmonics(r, l)
    radius = r.norm(dim=-1)
    assert torch.allclose(c.square().sum(-1), radius ** (2 * l))
    theta, phi = torch.acos(r[:, 2] / radius), torch.atan2(r[:, 1], r[:, 0])
    for m in range(-l, l + 1):
        y = torch.from_numpy(special.sph_harm_y(l, abs(m), theta.numpy(), phi.numpy()))
        y = (y.imag if m < 0 else y.real) * math.sqrt(2 if m else 1) * (-1) ** abs(m)
        expected = math.sqrt(4 * math.pi / (2 * l + 1)) * radius**l * y
        assert torch.allclose(c[:, l + m], expected, atol=1e-12 * float(radius.max()) ** l)


def test_polynomials_have_one_degree():
    powers, coefficients = harmonic_polynomials(4)
    assert {sum(p) for p in powers} == {4}
    assert coefficients.shape == (9, 15)


@pytest.mark.parametrize("l", range(4))
def test_wavelet_has_a_modulus_of_integral_1(l):
    r = torch.linspace(0, 30, 30001, dtype=torch.float64)
    modulus = wavelet_gain(l) * r**l * torch.exp(-(r**2) / 2)
    assert torch.trapezoid(4 * math.pi * r**2 * modulus, r) == pytest.approx(1, abs=1e-7)


def test_recurrences_give_the_polynomials_of_all_degrees(randn):
    r = randn(4, 5, 3)
    expected = torch.cat([solid_harmonics(r, l) for l in range(9)], -1)
    assert torch.allclose(solid_harmonics_up_to(r, 8), expected, rtol=1e-10, atol=1e-8)


def test_gradients_are_harmonics_of_one_degree_less(randn):
    r = randn(7, 3)
    jacobian = torch.autograd.functional.jacobian(
        lambda r: solid_harmonics_up_to(r, 5).sum(0), r
    )  # (harmonics, points, 3)
    found = solid_harmonics_up_to(r, 5) @ harmonic_gradients(5)
    assert torch.allclose(found.permute(2, 1, 0), jacobian, atol=1e-10)
