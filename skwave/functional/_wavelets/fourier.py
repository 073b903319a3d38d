r"""Fourier tools: extension of signals, grids of frequencies, filters that subsample.

Spectra are stored as ``(..., H, W)`` complex tensors in FFT order; a 1-D signal is an
image one pixel wide, ``(..., N, 1)``, so that the same few functions serve both.
"""

from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor


def extension_index(n: int, left: int, right: int, mode: str) -> Tensor:
    r"""Index of the samples that extend a signal of ``n`` samples on both sides.

    Parameters
    ----------
    n : int
        Number of samples.
    left, right : int
        Samples to add before and after; any number, also more than ``n``.
    mode : {"reflect", "periodic", "zero"}
        ``"reflect"`` mirrors about the end samples (period ``2n - 2``), ``"periodic"``
        repeats (period ``n``), ``"zero"`` gives the index ``n`` outside of the signal.

    Returns
    -------
    index : Tensor of int64, shape (left + n + right,)
        Indices in ``0..n-1`` (``0..n`` for ``"zero"``).

    Examples
    --------
    >>> extension_index(3, 2, 3, "reflect").tolist()
    [2, 1, 0, 1, 2, 1, 0, 1]
    """
    return sample_at(torch.arange(-left, n + right), n, mode)


def sample_at(i: Tensor, n: int, mode: str) -> Tensor:
    """Index of the samples at any positions of an extended signal.

    Parameters
    ----------
    i : Tensor of int64, shape (...)
        Positions: 0 is the first sample of the signal.
    n : int
        Number of samples.
    mode : {"reflect", "periodic", "zero"}
        As in `extension_index`.

    Returns
    -------
    index : Tensor of int64, shape (...)
        Indices in ``0..n-1`` (``0..n`` for ``"zero"``).
    """
    if mode == "zero":
        return torch.where((i >= 0) & (i < n), i, n)
    if mode == "periodic":
        return i % n
    period = max(2 * n - 2, 1)
    i = i % period
    return torch.minimum(i, period - i)


def extend(x: Tensor, index: tuple[Tensor, ...], mode: str) -> Tensor:
    """Extend the last axes of ``x`` by the indices of `extension_index`.

    Parameters
    ----------
    x : Tensor, shape (..., H, W)
        Real signal.
    index : tuple of Tensor
        One index tensor for each of the last axes.
    mode : {"reflect", "periodic", "zero"}
        The mode that made the indices.

    Returns
    -------
    y : Tensor, shape (..., len(index[0]), len(index[1]))
        Extended signal.
    """
    for axis, i in zip(range(-len(index), 0), index, strict=True):
        if mode == "zero":
            x = torch.cat((x, torch.zeros_like(x.narrow(axis, 0, 1))), axis)
        x = x.index_select(axis, i)
    return x


def extend_adjoint(y: Tensor, index: tuple[Tensor, ...], shape: tuple[int, ...]) -> Tensor:
    """Adjoint of `extend`: every sample of the extension is added to the one that it repeats.

    Parameters
    ----------
    y : Tensor, shape (..., len(index[0]), len(index[1]))
        Extended signal.
    index : tuple of Tensor
        Indices of `extension_index`.
    shape : tuple of int
        Sizes of the last axes of the result.

    Returns
    -------
    x : Tensor, shape ``(..., *shape)``
        Folded signal.
    """
    for axis, i, n in zip(range(-len(index), 0), index, shape, strict=True):
        sizes = list(y.shape)
        sizes[axis] = n + 1  # one more for what lies outside, of the mode "zero"
        y = y.new_zeros(sizes).index_add_(axis, i, y).narrow(axis, 0, n)
    return y


def wavenumbers(n: int, *, half: bool = False, device: torch.device | None = None) -> Tensor:
    r"""Frequencies of the bins of a Fourier transform, in whole cycles over the grid.

    Every grid of frequencies is made from them: :math:`2\pi k / n` in radians per sample,
    :math:`k / n` in cycles per sample.

    Parameters
    ----------
    n : int
        Number of samples.
    half : bool, default=False
        Only the frequencies :math:`k \ge 0` that the transform of a real signal keeps.
    device : torch.device, default=None
        Device of the result.

    Returns
    -------
    k : Tensor of int64, shape (n,) or (n // 2 + 1,)
        In FFT order; at even sizes the Nyquist frequency is negative, but positive if ``half``.

    Examples
    --------
    >>> wavenumbers(6).tolist(), wavenumbers(6, half=True).tolist()
    ([0, 1, 2, -3, -2, -1], [0, 1, 2, 3])
    """
    if half:
        return torch.arange(n // 2 + 1, device=device)
    k = torch.arange(n, device=device)
    return torch.where(k < (n + 1) // 2, k, k - n)


def widest_float(device: torch.device) -> torch.dtype:
    """Widest floating type of a device: float64, but float32 on Apple's MPS, which has no other.

    Parameters
    ----------
    device : torch.device
        Device.

    Returns
    -------
    dtype : torch.dtype
        Type float64 or float32.
    """
    return torch.float32 if device.type == "mps" else torch.float64


class Tile(NamedTuple):
    """Tile of a fine grid of frequencies, as large as the coarse grid, with the filters on it.

    The tile begins at row ``top`` and column ``left`` of the fine grid. ``values``, of shape
    ``(p, rows, w, 2)``, are the ``p`` filters from ``first`` on, on the rows of the tile from
    ``row`` on; the others are negligible there. Values stand twice, for the real and for the
    imaginary part of a spectrum, and hold the factor of the folding.
    """

    top: int
    left: int
    first: int
    row: int
    values: Tensor


def cut_filters(psi_hat: Tensor, shape: tuple[int, int], tol: float) -> list[Tile]:
    r"""Tiles of the fine grid where filters hold energy, with the filters on them.

    Subsampling by ``r = H / h`` folds the spectrum,
    :math:`\hat y(k) = r^{-2} \sum_m \hat x(k + m h)\,\hat\psi(k + m h)`; a wavelet lives in
    few of the tiles ``m``, the others are left out.

    Parameters
    ----------
    psi_hat : Tensor, shape (P, H, W)
        Real Fourier-domain filters.
    shape : (int, int)
        Coarse grid ``(h, w)``; divides ``(H, W)``.
    tol : float
        Values under ``tol`` times the largest of a filter are left out.

    Returns
    -------
    tiles : list of Tile
        Largest first.
    """
    (_, height, width), (h, w) = psi_hat.shape, shape
    # (P, H, W), then (P, H, W / w): whether a filter has energy on a row of a column of tiles
    magnitude = psi_hat.abs()
    kept = magnitude > tol * magnitude.amax((-2, -1), keepdim=True)
    # zeros where nothing is kept: subnormal numbers would slow all that follows
    psi_hat = torch.where(kept, psi_hat, 0.0) * (h * w / (height * width))
    kept = kept.unflatten(-1, (-1, w)).any(-1).cpu()  # copied once, or else waited for at each tile
    tiles = []
    for left, top in product(range(0, width, w), range(0, height, h)):
        p, row = kept[:, top : top + h, left // w].nonzero(as_tuple=True)
        if len(p):
            filters = slice(int(p[0]), int(p[-1]) + 1)
            rows = slice(top + int(row.min()), top + int(row.max()) + 1)
            values = psi_hat[filters, rows, left : left + w, None].expand(-1, -1, -1, 2)
            tiles.append(Tile(top, left, filters.start, rows.start - top, values.contiguous()))
    return sorted(tiles, key=lambda tile: -tile.values.numel())


def _fold(x_hat: Tensor, tiles: list[Tile], n_filters: int, shape: tuple[int, int]) -> Tensor:
    # x_hat (B, H, W) and the tiles -> the sums y (B, P, h, w) over tiles of x_hat * psi_hat. In
    # the Fourier domain a real filter multiplies real and imaginary part alike, so all products
    # are of contiguous real vectors (last axis of 2): half the work of complex ones
    (batch, height, width), (h, w) = x_hat.shape, shape
    x = torch.view_as_real(x_hat.resolve_conj().contiguous())
    y = x.new_empty((batch, n_filters, h, w, 2))
    # if the largest tile has every filter on every row, its product is written, not added
    covered = bool(tiles) and tiles[0].values.numel() == n_filters * h * w * 2
    if not covered:
        y.zero_()
    for top, left, first, row, values in tiles:
        n, rows = values.shape[:2]
        # the rows of x_hat under the tile, (B, 1, rows, w, 2), and those of y that they go to,
        # (B, n, rows, w, 2): one view each, as slicing axis by axis would cost more than the
        # product
        x_tile = x.as_strided(
            (batch, 1, rows, w, 2),
            (height * width * 2, 0, width * 2, 2, 1),
            x.storage_offset() + ((top + row) * width + left) * 2,
        )
        if w % 16:  # uneven rows fill no vector register: let the rows of a tile follow on
            x_tile = x_tile.contiguous()
        y_tile = y.as_strided((batch, n, rows, w, 2), y.stride(), ((first * h + row) * w) * 2)
        if covered:
            torch.mul(x_tile, values, out=y_tile)
            covered = False
        else:
            y_tile.addcmul_(x_tile, values)
    return torch.view_as_complex(y)


def unfold_filter(y_hat: Tensor, tiles: list[Tile], out: Tensor) -> Tensor:
    """Adjoint of `filter_fold`, added to ``out``.

    Parameters
    ----------
    y_hat : Tensor, shape (B, P, h, w)
        Spectra on the coarse grid.
    tiles : list of Tile
        Filters cut by `cut_filters`.
    out : Tensor, shape (B, H, W)
        Contiguous spectra to add to.

    Returns
    -------
    out : Tensor, shape (B, H, W)
        The argument.
    """
    w = y_hat.shape[-1]
    x, y = torch.view_as_real(out), torch.view_as_real(y_hat.resolve_conj())
    for top, left, first, row, values in tiles:
        n, rows = values.shape[:2]
        start = top + row
        y_tile = y[:, first : first + n, row : row + rows]
        x[:, start : start + rows, left : left + w] += (y_tile * values).sum(1)
    return out


def filter_fold(x_hat: Tensor, tiles: list[Tile], n_filters: int, shape: tuple[int, int]) -> Tensor:
    r"""Spectra of filtered and subsampled signals, from the spectra of the signals.

    .. math:: \hat y_p(k) = \frac{hw}{HW} \sum_m \hat x(k + m)\,\hat\psi_p(k + m),
       \quad m \in h\mathbb{Z} \times w\mathbb{Z}

    so that the inverse transform of :math:`\hat y_p` on the grid ``(h, w)`` is
    :math:`x \star \psi_p` at every ``H / h``-th row and ``W / w``-th column, exactly.

    Parameters
    ----------
    x_hat : Tensor, shape (B, H, W)
        Complex spectra.
    tiles : list of Tile
        Filters cut by `cut_filters` for the same ``shape``.
    n_filters : int
        Number of filters :math:`P`.
    shape : (int, int)
        Coarse grid ``(h, w)``.

    Returns
    -------
    y_hat : Tensor, shape (B, P, h, w)
        Spectra on the coarse grid; differentiable in ``x_hat``.
    """
    fold = _FilterFold.apply if x_hat.requires_grad else _fold
    return fold(x_hat, tiles, n_filters, shape)


class _FilterFold(torch.autograd.Function):
    @staticmethod
    def forward(x_hat: Tensor, tiles: list[Tile], n_filters: int, shape: tuple[int, int]) -> Tensor:
        return _fold(x_hat, tiles, n_filters, shape)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.args = inputs[1], inputs[0].shape[-2:]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        return _UnfoldFilter.apply(grad, *ctx.args), None, None, None


class _UnfoldFilter(torch.autograd.Function):
    @staticmethod
    def forward(y_hat: Tensor, tiles: list[Tile], shape: tuple[int, int]) -> Tensor:
        return unfold_filter(y_hat, tiles, y_hat.new_zeros(len(y_hat), *shape))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.args = inputs[1], *inputs[0].shape[1:2], inputs[0].shape[-2:]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return _FilterFold.apply(grad, *ctx.args), None, None


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
    """Spectrum on another grid: its lowest frequencies on a coarser one, padded on a finer one.

    Parameters
    ----------
    x_hat : Tensor, shape (..., h, w)
        Spectrum in FFT order.
    grid : (int, int)
        New grid: both of its sides at most, or both at least, those of ``(h, w)``.

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
    """Spectrum of fields, scaled so that sums of its products are means over the field.

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
    """Frequencies of a half-plane: one of each pair of opposite ones, without frequency 0.

    Those that are their own opposites, such as the Nyquist frequency, are in it.

    Parameters
    ----------
    shape : (int, int)
        Grid.

    Returns
    -------
    ky, kx : Tensor of int64, shape (n_frequencies,)
        Whole cycles over the grid.
    """
    grid = torch.meshgrid(*(wavenumbers(n) for n in shape), indexing="ij")
    ky, kx = (k.flatten() for k in grid)
    here, there = (k[0] % shape[0] * shape[1] + k[1] % shape[1] for k in ((ky, kx), (-ky, -kx)))
    half = (here <= there) & (here > 0)
    return ky[half], kx[half]
