import numpy as np
import pytest
import torch

from skwave.functional._wavelets.fourier import (
    cut_filters,
    extend,
    extension_index,
    fft,
    filter_fold,
    half_plane,
    opposite,
    resize_spectrum,
    wavenumbers,
)
from skwave.functional._wavelets.morlet import morlet_1d, morlet_2d

NUMPY_MODES = {"reflect": "reflect", "periodic": "wrap", "zero": "constant"}

# grid of the spectrum, coarse grid
GRIDS = [
    ((8, 12), (8, 12)),
    ((8, 12), (4, 6)),
    ((8, 12), (2, 3)),
    ((12, 8), (6, 2)),
    ((24, 1), (12, 1)),
    ((24, 1), (6, 1)),
]


@pytest.mark.parametrize("mode", NUMPY_MODES)
@pytest.mark.parametrize(("n", "pad"), [(5, (0, 0)), (5, (2, 3)), (4, (9, 17)), (1, (2, 1))])
def test_extension_is_that_of_numpy(randn, mode, n, pad):
    x = randn(2, n, 3)
    index = (extension_index(n, *pad, mode), extension_index(3, 4, 1, mode))
    expected = np.pad(x.numpy(), ((0, 0), pad, (4, 1)), NUMPY_MODES[mode])
    assert np.array_equal(extend(x, index, mode).numpy(), expected)


@pytest.mark.parametrize("n", range(1, 10))
def test_wavenumbers_are_those_of_numpy(n):
    k = wavenumbers(n)
    assert k.dtype == torch.int64
    np.testing.assert_array_equal(k, np.fft.fftfreq(n, 1 / n).round())
    np.testing.assert_array_equal(wavenumbers(n, half=True), np.fft.rfftfreq(n, 1 / n).round())


@pytest.mark.parametrize(("n", "m"), [(8, 4), (8, 3), (9, 4), (9, 5), (12, 6), (6, 6)])
def test_a_coarser_grid_keeps_the_lowest_frequencies(n, m):
    k, expected = wavenumbers(n), wavenumbers(m)
    assert torch.equal(resize_spectrum(k[:, None], (m, 1))[:, 0], expected)
    assert torch.equal(
        resize_spectrum(100 * k[:, None] + k, (m, m)), 100 * expected[:, None] + expected
    )


@pytest.mark.parametrize("grid", [(4, 5), (3, 2), (6, 3), (1, 1), (6, 5)])
def test_cutting_a_spectrum_and_its_adjoint(randn, grid):
    z = torch.complex(randn(2, 6, 5), randn(2, 6, 5)).requires_grad_()
    y = torch.complex(randn(2, *grid), randn(2, *grid))
    cut, padded = resize_spectrum(z, grid), resize_spectrum(y, (6, 5))
    torch.testing.assert_close(
        torch.vdot(y.flatten(), cut.flatten()), torch.vdot(padded.flatten(), z.flatten())
    )
    torch.testing.assert_close(resize_spectrum(padded, grid), y, rtol=0, atol=0)
    assert torch.autograd.gradcheck(lambda z: resize_spectrum(z, grid), z)
    assert torch.autograd.gradcheck(lambda z: resize_spectrum(z, (8, 7)), z)


@pytest.mark.parametrize("shape", [(5, 6), (4, 4), (1, 7), (8, 1), (3, 5)])
def test_half_plane_holds_one_of_each_pair_of_opposite_frequencies(shape):
    half = {tuple(k) for k in torch.stack(half_plane(shape), -1).tolist()}
    rest = {tuple(-k % n for k, n in zip(pair, shape, strict=True)) for pair in half}
    half = {tuple(k % n for k, n in zip(pair, shape, strict=True)) for pair in half}
    every = {(y, x) for y in range(shape[0]) for x in range(shape[1])}
    assert half | rest == every - {(0, 0)}
    own = {pair for pair in half if tuple(-k % n for k, n in zip(pair, shape, strict=True)) == pair}
    assert half & rest == own


@pytest.mark.parametrize("shape", [(5, 6), (4, 1)])
def test_opposite_frequencies_of_a_real_field_are_conjugate(randn, shape):
    x_hat = fft(randn(3, *shape))
    torch.testing.assert_close(opposite(x_hat), x_hat.conj().resolve_conj())


def spectra(randn, grid, batch=2, n_filters=3):
    x_hat = torch.complex(randn(batch, *grid), randn(batch, *grid))
    return x_hat, randn(n_filters, *grid)


@pytest.mark.parametrize(("grid", "shape"), GRIDS)
def test_filter_fold_is_filtering_then_subsampling(randn, grid, shape):
    x_hat, psi_hat = spectra(randn, grid)
    y_hat = filter_fold(x_hat, cut_filters(psi_hat, shape, 0.0), len(psi_hat), shape)
    steps = [n // m for n, m in zip(grid, shape, strict=True)]
    expected = torch.fft.ifft2(x_hat[:, None] * psi_hat)[..., :: steps[0], :: steps[1]]
    torch.testing.assert_close(torch.fft.ifft2(y_hat), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("tol", [1e-6, 1e-2])
@pytest.mark.parametrize("step", [1, 2, 4])
def test_tiles_leave_out_what_is_below_the_tolerance(tol, step):
    bank = morlet_2d((16, 32), J=2, L=3)
    shape = (16 // step, 32 // step)
    ones = torch.ones(1, 16, 32, dtype=torch.complex128)
    tiles = cut_filters(bank.psi_hat, shape, tol)
    whole = cut_filters(bank.psi_hat, shape, 0.0)
    error = filter_fold(ones, tiles, 6, shape) - filter_fold(ones, whole, 6, shape)
    assert (error[0].abs().amax((-2, -1)) <= tol * bank.psi_hat.amax((-2, -1))).all()
    nonzero = [sum(int(t.values.count_nonzero()) for t in cut) for cut in (tiles, whole)]
    assert nonzero[0] < nonzero[1]


def test_filters_without_energy_give_zero(randn):
    x_hat = torch.fft.fft2(randn(1, 4, 4))
    y_hat = filter_fold(x_hat, cut_filters(torch.zeros(2, 4, 4), (2, 2), 0.0), 2, (2, 2))
    assert torch.equal(y_hat, torch.zeros(1, 2, 2, 2, dtype=y_hat.dtype))


@pytest.mark.parametrize("requires_grad", [False, True])
def test_filter_fold_of_a_view(randn, requires_grad):
    # parts of a batch have an offset in memory; a transpose has other strides
    x_hat, psi_hat = spectra(randn, (8, 8), batch=4)
    tiles = cut_filters(psi_hat, (4, 4), 0.0)
    x_hat.requires_grad_(requires_grad)
    whole = filter_fold(x_hat, tiles, 3, (4, 4))
    parts = torch.cat([filter_fold(part, tiles, 3, (4, 4)) for part in x_hat.split((1, 2, 1))])
    assert torch.equal(parts, whole)
    transposed = filter_fold(x_hat.mT, tiles, 3, (4, 4))
    assert torch.equal(transposed, filter_fold(x_hat.mT.clone(), tiles, 3, (4, 4)))


@pytest.mark.parametrize(("grid", "shape"), GRIDS)
def test_gradient_of_filter_fold_is_its_adjoint(randn, grid, shape):
    x_hat, psi_hat = spectra(randn, grid)
    v_hat = torch.complex(randn(2, 3, *shape), randn(2, 3, *shape))
    x_hat.requires_grad_()
    y_hat = filter_fold(x_hat, cut_filters(psi_hat, shape, 0.0), 3, shape)
    (adjoint,) = torch.autograd.grad(y_hat, x_hat, v_hat)
    left = torch.vdot(v_hat.flatten(), y_hat.detach().flatten())
    right = torch.vdot(adjoint.flatten(), x_hat.detach().flatten())
    torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("bank", [morlet_1d(8, 2), morlet_2d((4, 8), 1, 2)], ids=["1-D", "2-D"])
@pytest.mark.parametrize("tol", [0.0, 1e-2])
def test_derivatives_of_filter_fold(randn, bank, tol):
    psi_hat = bank.psi_hat.reshape(len(bank.psi_hat), bank.shape[0], -1)
    shape = (bank.shape[0] // 2, max(psi_hat.shape[-1] // 2, 1))
    tiles = cut_filters(psi_hat, shape, tol)
    x_hat, _ = spectra(randn, psi_hat.shape[1:])
    x_hat.requires_grad_()

    def fold(x_hat):
        return filter_fold(x_hat, tiles, len(psi_hat), shape)

    assert torch.autograd.gradcheck(fold, x_hat)
    assert torch.autograd.gradgradcheck(fold, x_hat)
