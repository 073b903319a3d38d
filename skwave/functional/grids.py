r"""Fields and spectra on grids of several sizes."""

from typing import Any

import torch
from torch import Tensor

Grid = tuple[int, int]


def _corners(large: Tensor, small: Tensor) -> list[tuple[Tensor, Tensor]]:
    # what spectra on two grids have in common: parts of both, in the four corners
    rows, columns = (
        [(slice(None), slice(None))]
        if size == n
        else [(slice(n - n // 2),) * 2, (slice(size - n // 2, None), slice(n - n // 2, None))]
        for size, n in zip(large.shape[-2:], small.shape[-2:], strict=True)
    )
    return [(large[..., y, x], small[..., v, u]) for y, v in rows for x, u in columns]


class _Crop(torch.autograd.Function):
    @staticmethod
    def forward(x_hat: Tensor, grid: Grid) -> Tensor:
        y_hat = x_hat.new_empty((*x_hat.shape[:-2], *grid))
        for a, b in _corners(x_hat, y_hat):
            b.copy_(a)
        return y_hat

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.grid = tuple(inputs[0].shape[-2:])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _Pad.apply(grad, ctx.grid), None


class _Pad(torch.autograd.Function):
    @staticmethod
    def forward(x_hat: Tensor, grid: Grid) -> Tensor:
        y_hat = x_hat.new_zeros((*x_hat.shape[:-2], *grid))
        for a, b in _corners(y_hat, x_hat):
            a.copy_(b)
        return y_hat

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.grid = tuple(inputs[0].shape[-2:])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _Crop.apply(grad, ctx.grid), None


def resize_spectrum(x_hat: Tensor, grid: Grid) -> Tensor:
    """Spectrum on a coarser grid, its lowest frequencies; or on a finer one, zero beyond them.

    Parameters
    ----------
    x_hat : Tensor, shape (..., h, w)
        Spectrum in FFT order.
    grid : (int, int)
        Grid, no side of it on the other side of ``(h, w)`` than the other.

    Returns
    -------
    y_hat : Tensor, shape ``(..., *grid)``
        Spectrum. At even sizes the Nyquist bin is the negative one.
    """
    own = tuple(x_hat.shape[-2:])
    if own == tuple(grid):
        return x_hat
    return (_Pad if own < tuple(grid) else _Crop).apply(x_hat, tuple(grid))


def opposite(x_hat: Tensor, axes: tuple[int, ...] = (-2, -1)) -> Tensor:
    r"""Spectrum at the opposite frequencies, :math:`\hat x(-\omega)`.

    Parameters
    ----------
    x_hat : Tensor, shape (...)
        Spectrum in FFT order.
    axes : tuple of int, default=(-2, -1)
        Axes of the frequencies.

    Returns
    -------
    y_hat : Tensor, shape (...)
        Spectrum.
    """
    return x_hat.flip(axes).roll((1,) * len(axes), axes)


def fft(x: Tensor) -> Tensor:
    """Spectrum whose sum of products is the mean of products of samples.

    Parameters
    ----------
    x : Tensor, shape (..., h, w)
        Field.

    Returns
    -------
    x_hat : Tensor, shape (..., h, w)
        Complex.
    """
    return torch.fft.fft2(x, norm="forward")


def ifft(x_hat: Tensor) -> Tensor:
    """Inverse of `fft`.

    Parameters
    ----------
    x_hat : Tensor, shape (..., h, w)
        Spectrum.

    Returns
    -------
    x : Tensor, shape (..., h, w)
        Complex field.
    """
    return torch.fft.ifft2(x_hat, norm="forward")


def half_plane(shape: Grid) -> tuple[Tensor, Tensor]:
    """One of each pair of opposite frequencies, and those that are their own opposites but zero.

    Parameters
    ----------
    shape : (int, int)
        Grid.

    Returns
    -------
    ky, kx : Tensor of int64, shape (n_frequencies,)
        Whole cycles over the grid.
    """
    ky, kx = (torch.fft.fftfreq(n, 1 / n).round().long() for n in shape)
    ky, kx = (k.flatten() for k in torch.meshgrid(ky, kx, indexing="ij"))
    here, there = (k[0] % shape[0] * shape[1] + k[1] % shape[1] for k in ((ky, kx), (-ky, -kx)))
    half = (here <= there) & (here > 0)
    return ky[half], kx[half]
