r"""Covariances of the phase harmonics of wavelet coefficients, block after block."""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from skwave.functional._textures.fields import FieldPlan, Fields
from skwave.functional._wavelets.fourier import opposite
from skwave.functional._wavelets.nonlinearity import squared_modulus

Pairs = tuple[tuple[int, int], ...]


class Shift(NamedTuple):
    """Offset of the second factor.

    Attributes
    ----------
    n, a : int
        Length and direction, as a group counts them; 0 for none.
    dy, dx : int
        Samples.
    """

    n: int = 0
    a: int = 0
    dy: int = 0
    dx: int = 0


class Block(NamedTuple):
    r"""Covariances of one harmonic at one scale with another at another.

    .. math:: C(\tau) = \big\langle [x\star\psi_{j_1,\ell_1}]^{k_1}(u)\;
       [x\star\psi_{j_2,\ell_2}]^{k_2}(u - \tau)^* \big\rangle_u

    Attributes
    ----------
    group : str
        Name of the group.
    j1, k1, j2, k2 : int
        Scales, ``j1 <= j2``, and harmonics. The scale ``J`` is the low-pass.
    pairs : tuple of (int, int)
        Orientations :math:`(\ell_1, \ell_2)`. Those from ``L`` on are the opposite ones, whose
        coefficients are conjugate.
    shifts : tuple of Shift
        Offsets :math:`\tau`.
    chosen : tuple of tuple of int, or None
        Which of the offsets each pair has; None for all.
    real : bool
        Whether all of it is real: covariances of moduli.
    own : bool
        Whether these are variances: real between a channel and itself.
    angular : bool
        Whether orientations stand for frequencies of a Fourier series along all ``2 * L`` of
        them.
    """

    group: str
    j1: int
    k1: int
    j2: int
    k2: int
    pairs: Pairs
    shifts: tuple[Shift, ...] = (Shift(),)
    chosen: tuple[tuple[int, ...], ...] | None = None
    real: bool = False
    own: bool = False
    angular: bool = False


class Moment(NamedTuple):
    """What one moment is of: the row of a table.

    Attributes
    ----------
    group : str
        Name of the group.
    j1, l1, k1, j2, l2, k2 : int
        Scale, orientation and harmonic of both factors; -1 where there is none.
    n, a : int
        Length and direction of the offset, as the group counts them.
    dy, dx : int
        Offset in samples.
    part : str
        ``"re"``, ``"im"``, or ``""`` for what is real.
    c1, c2 : int
        Channels.
    j3, l3 : int
        Scale and orientation of a last wavelet; -1 where there is none. Group B counts half
        octaves instead of scales.
    """

    group: str
    j1: int = -1
    l1: int = -1
    k1: int = -1
    j2: int = -1
    l2: int = -1
    k2: int = -1
    n: int = 0
    a: int = 0
    dy: int = 0
    dx: int = 0
    part: str = ""
    c1: int = 0
    c2: int = 0
    j3: int = -1
    l3: int = -1


def channel_pairs(block: Block, n_channels: int) -> Pairs:
    """Channels whose fields are multiplied: each pair once, if the order says nothing.

    Parameters
    ----------
    block : Block
        Block.
    n_channels : int
        Number of channels.

    Returns
    -------
    pairs : tuple of (int, int)
        Channels of the two factors.
    """
    pairs = [(a, b) for a in range(n_channels) for b in range(n_channels)]
    return tuple((a, b) for a, b in pairs if a <= b or not block.own)


def block_rows(block: Block, n_channels: int) -> list[Moment]:
    """Rows of the moments of a block, in their order.

    Parameters
    ----------
    block : Block
        Block.
    n_channels : int
        Number of channels.

    Returns
    -------
    rows : list of Moment
        Channels first, then orientations, offsets, and parts.
    """
    shifts = [
        block.shifts if block.chosen is None else [block.shifts[i] for i in block.chosen[p]]
        for p in range(len(block.pairs))
    ]
    return [
        Moment(block.group, block.j1, l1, block.k1, block.j2, l2, block.k2, *shift, part, c1, c2)
        for c1, c2 in channel_pairs(block, n_channels)
        for (l1, l2), of_pair in zip(block.pairs, shifts, strict=True)
        for shift in of_pair
        for part in ([""] if block.real or (block.own and c1 == c2) else ["re", "im"])
    ]


@lru_cache(maxsize=64)
def waves(
    size: int, n: int, offsets: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> Tensor:
    r"""Waves :math:`e^{i\omega\tau}` along one axis, at the frequencies of a grid.

    Parameters
    ----------
    size : int
        Number of frequencies.
    n : int
        Length of the signals, whose samples are the unit of the offsets.
    offsets : tuple of int
        Offsets :math:`\tau`.
    dtype : torch.dtype
        Real type.
    device : torch.device
        Where they are.

    Returns
    -------
    e : Tensor, shape (size, n_offsets)
        Complex; kept for the next call.
    """
    with torch.inference_mode(False):  # it is kept for others
        omega = 2 * math.pi / n * torch.fft.fftfreq(size, 1 / size, dtype=torch.float64)
        angle = omega[:, None] * torch.tensor(offsets, dtype=torch.float64)
        return torch.complex(angle.cos().to(device, dtype), angle.sin().to(device, dtype))


def _wide(h_hat: Tensor) -> Tensor:
    # add the opposite orientations: the spectrum of the conjugate field
    return torch.cat((h_hat, opposite(h_hat).conj()), 2)


def block_covariances(block: Block, fields: Fields) -> Tensor:
    """Covariances of a block.

    Parameters
    ----------
    block : Block
        Block.
    fields : Fields
        Fields of a batch of signals.

    Returns
    -------
    c : Tensor, shape (B, n_channel_pairs, n_pairs, n_shifts)
        Real for blocks of moduli and for variances of one channel, else complex.
    """
    plan = fields.plan
    # on the finer grid the harmonic of the coarser scale is as fine as the other factor
    grid = plan.grids[block.j1 if block.k2 > 1 else block.j2]
    channels = channel_pairs(block, fields.x_hat.shape[1])
    first, second = (list(c) for c in zip(*channels, strict=True))
    l1, l2 = (list(l) for l in zip(*block.pairs, strict=True))
    a = fields.spectrum(block.j1, block.k1, grid, block.j2)
    same = l1 == l2 == list(range(a.shape[2]))
    auto = same and (block.j1, block.k1) == (block.j2, block.k2) and len(channels) == 1
    if auto and not plan.masks:
        square = fields.once((block.j1, block.k1, "square"), lambda: squared_modulus(a))
        return _chosen(_against_waves(square, block, plan), block)
    b = fields.spectrum(block.j2, block.k2, grid)
    if len(channels) > 1:
        a, b = a[:, first], b[:, second]
    if block.angular or max(*l1, *l2) >= a.shape[2]:
        a, b = _wide(a), _wide(b)
    if block.angular:
        a, b = (torch.fft.fft(h, dim=2, norm="ortho") for h in (a, b))
    if not same and block.shifts == (Shift(),):
        c = (a.flatten(-2) @ b.flatten(-2).mH)[..., l1, l2, None]
    else:
        product = (a if same else a[:, :, l1]) * (b if same else b[:, :, l2]).conj()
        c = _against_waves(product, block, plan)
    return _chosen(c.real if block.real else c, block)


def _against_waves(product: Tensor, block: Block, plan: FieldPlan) -> Tensor:
    # inverse transform of a cross spectrum, at the offsets alone: axis after axis
    if block.shifts == (Shift(),):
        return product.sum((-2, -1))[..., None]
    ys, xs = (tuple(sorted({s[axis] for s in block.shifts})) for axis in (2, 3))
    real = torch.float64 if product.dtype in (torch.float64, torch.complex128) else torch.float32
    (h, w), (H, W) = product.shape[-2:], plan.shape
    y, x = waves(h, H, ys, real, product.device), waves(w, W, xs, real, product.device)
    if product.is_complex():
        c = product @ x
    else:
        c = torch.view_as_complex(
            (product @ torch.view_as_real(x).flatten(1)).unflatten(-1, (-1, 2))
        )
    c = (c.mT @ y)[
        ..., [xs.index(s.dx) for s in block.shifts], [ys.index(s.dy) for s in block.shifts]
    ]
    return c.real if block.real else c


def _chosen(c: Tensor, block: Block) -> Tensor:
    if block.chosen is None:
        return c
    return c[:, :, torch.arange(len(block.chosen))[:, None], torch.tensor(block.chosen)]


def real_parts(c: Tensor, block: Block, n_channels: int) -> Tensor:
    """Covariances as one real vector, in the order of `block_rows`.

    Parameters
    ----------
    c : Tensor, shape (B, n_channel_pairs, n_pairs, n_shifts)
        Result of `block_covariances`.
    block : Block
        Block.
    n_channels : int
        Number of channels.

    Returns
    -------
    v : Tensor, shape (B, n)
        Real.
    """
    if not c.is_complex():
        return c.flatten(1)
    # not view_as_real: its gradient would need an even place in the vector
    if not block.own:
        return torch.stack((c.real, c.imag), -1).flatten(1)
    parts = [
        c[:, i].real if a == b else torch.stack((c[:, i].real, c[:, i].imag), -1)
        for i, (a, b) in enumerate(channel_pairs(block, n_channels))
    ]
    return torch.cat([part.flatten(1) for part in parts], 1)
