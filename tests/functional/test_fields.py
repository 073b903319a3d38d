"""Cutting and padding of spectra, nonlinearities with gradients by hand, and the group B."""

from itertools import combinations_with_replacement

import pytest
import torch

from skwave.functional.bump import bump_2d
from skwave.functional.families import moment_family, moment_layout
from skwave.functional.fields import resize_spectrum
from skwave.functional.fourier import crop_spectrum
from skwave.functional.nonlinearity import phase_harmonic, squared_modulus


@pytest.fixture
def z():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 6, 5, dtype=torch.complex128, generator=generator).requires_grad_()


@pytest.mark.parametrize("grid", [(4, 5), (3, 2), (6, 3), (1, 1), (6, 5)])
def test_cutting_a_spectrum_and_its_adjoint(z, grid):
    cut = resize_spectrum(z, grid)
    torch.testing.assert_close(cut, crop_spectrum(z, grid), rtol=0, atol=0)
    y = torch.randn(2, *grid, dtype=z.dtype)
    padded = resize_spectrum(y, (6, 5))
    torch.testing.assert_close(
        torch.vdot(y.flatten(), cut.flatten()), torch.vdot(padded.flatten(), z.flatten())
    )
    torch.testing.assert_close(resize_spectrum(padded, grid), y, rtol=0, atol=0)
    assert torch.autograd.gradcheck(lambda z: resize_spectrum(z, grid), z)
    assert torch.autograd.gradcheck(lambda z: resize_spectrum(z, (8, 7)), z)


@pytest.mark.parametrize("k", [2, 3, 4, 7, 16])
def test_phase_harmonic_and_its_derivatives(z, k):
    expected = z.abs() * torch.exp(1j * k * z.angle())
    torch.testing.assert_close(phase_harmonic(z, k), expected, rtol=1e-13, atol=1e-13)
    assert torch.autograd.gradcheck(lambda z: phase_harmonic(z, k), z)
    assert torch.autograd.gradgradcheck(lambda z: phase_harmonic(z, k), z)


def test_derivatives_of_the_squared_modulus(z):
    torch.testing.assert_close(squared_modulus(z), z.abs().square())
    assert torch.autograd.gradcheck(squared_modulus, z)
    assert torch.autograd.gradgradcheck(squared_modulus, z)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_gradients_at_and_near_zero_are_finite(dtype):
    z = torch.tensor([0, 1e-30, 1e-42, 1e-10], dtype=dtype).requires_grad_()
    (gradient,) = torch.autograd.grad(phase_harmonic(z, 4).real.sum(), z)
    assert gradient[0] == 0
    assert (gradient.abs() <= 1.001).all()


def test_third_moments_of_bands():
    J, L, shape = 3, 4, (64, 48)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 1, *shape, dtype=torch.float64, generator=generator).exp()
    bank, x_hat = bump_2d(shape, J, L), torch.fft.fft2(x[0, 0] - x.mean())
    spectra = [*bank.psi_hat.view(J, L, *shape).sum(1), bank.phi_hat]
    u = [torch.fft.ifft2(x_hat * f).real for f in spectra]
    triples = list(combinations_with_replacement(range(J + 1), 3))
    expected = torch.stack([(u[i] * u[j] * u[k]).mean() for i, j, k in triples])
    layout = moment_layout(shape, J, L, ("B",))
    assert [(row.j1, row.j2, row.j3) for row in layout.rows()] == triples
    for oversampling, tol in ((0, 1e-3), (1, 1e-13)):
        found = moment_family(layout, oversampling=oversampling).moments(x, None, False)[0]
        assert (found - expected).norm() < tol * expected.norm()
    moments = moment_family(layout).moments
    torch.testing.assert_close(moments(3 * x + 1, None, True), moments(x, None, True))
