import pytest
import torch

from skwave.functional._wavelets.fourier import crop_spectrum, resize_spectrum


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
