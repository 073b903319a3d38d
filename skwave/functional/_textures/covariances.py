r"""Covariances of the phase harmonics of wavelet coefficients, block after block."""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from skwave.functional._textures.fields import FieldPlan, Fields, Reference, divisor
from skwave.functional._textures.moments import Batch, Moment, MomentGroup, MomentLayout
from skwave.functional._textures.offsets import Shift, Shifts
from skwave.functional._wavelets.fourier import opposite, wavenumbers
from skwave.functional._wavelets.nonlinearity import safe_sqrt, squared_modulus

Pairs = tuple[tuple[int, int], ...]


class Block(NamedTuple):
    r"""Block of covariances: a harmonic at one scale with a harmonic at another scale.

    .. math:: C(\tau) = \big\langle [x\star\psi_{j_1,\ell_1}]^{k_1}(u)\;
       [x\star\psi_{j_2,\ell_2}]^{k_2}(u - \tau)^* \big\rangle_u

    Attributes
    ----------
    group : str
        Name of the group.
    j1, k1, j2, k2 : int
        Scales, ``j1 <= j2``, and harmonics. The scale ``J`` is the low-pass.
    pairs : tuple of (int, int)
        Orientations :math:`(\ell_1, \ell_2)`. Orientations from ``L`` on are opposite ones, whose
        coefficients are conjugate.
    shifts : tuple of Shift
        Offsets :math:`\tau`.
    chosen : tuple of tuple of int, or None
        Offsets of each pair, by their places in ``shifts``; None for all.
    real : bool
        Whether the covariances are real: those of moduli.
    own : bool
        Whether they are variances, which are real between a channel and itself.
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


def same_pairs(n: int) -> Pairs:
    """Pairs of each orientation with itself.

    Parameters
    ----------
    n : int
        Number of orientations.

    Returns
    -------
    pairs : tuple of (int, int)
        ``n`` pairs.
    """
    return tuple((l, l) for l in range(n))


def all_pairs(n: int) -> Pairs:
    """Pairs of all orientations with all.

    Parameters
    ----------
    n : int
        Number of orientations.

    Returns
    -------
    pairs : tuple of (int, int)
        ``n * n`` pairs.
    """
    return tuple((a, b) for a in range(n) for b in range(n))


def upper_pairs(n: int) -> Pairs:
    """Pairs of different orientations, each pair in one order.

    Parameters
    ----------
    n : int
        Number of orientations.

    Returns
    -------
    pairs : tuple of (int, int)
        ``n * (n - 1) / 2`` pairs.
    """
    return tuple((a, b) for a in range(n) for b in range(a + 1, n))


def at_offsets(
    block: Block, shifts: Shifts, L: int, n_lengths: int, whole: bool, n_phases: int = 1
) -> list[Block]:
    """Block at offsets whose directions are counted from the wave vector of each pair.

    Parameters
    ----------
    block : Block
        Block without offsets.
    shifts : Shifts
        Lengths and directions.
    L : int
        Number of orientations.
    n_lengths : int
        Number of lengths to take.
    whole : bool
        Whether to take all directions, or those in half a turn: if both factors are one field,
        C(-tau) is the conjugate of C(tau).
    n_phases : int, default=1
        Phases of a rectifier, which count along with the orientations.

    Returns
    -------
    blocks : list of Block
        One block, or none if there are no offsets.
    """
    of_pairs = [shifts.of(l2 // n_phases, L, n_lengths, whole) for _, l2 in block.pairs]
    union = tuple(sorted({shift for of_pair in of_pairs for shift in of_pair}))
    if not union:
        return []
    chosen = tuple(tuple(union.index(shift) for shift in of_pair) for of_pair in of_pairs)
    return [block._replace(shifts=union, chosen=chosen, own=False)]


def channel_pairs(block: Block, n_channels: int) -> Pairs:
    """Pairs of channels whose fields are multiplied; variances have each pair in one order.

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
    """Table rows of the moments of a block, in their order.

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
        turns = wavenumbers(size)[:, None] * torch.tensor(offsets)
        angle = 2 * math.pi / n * turns.to(torch.float64)
        return torch.complex(angle.cos().to(device, dtype), angle.sin().to(device, dtype))


def _wide(h_hat: Tensor) -> Tensor:
    # (B, C, L, h, w) -> (B, C, 2L, h, w): opposite orientations have the conjugate field, whose
    # spectrum is the conjugate at the opposite frequencies
    return torch.cat((h_hat, opposite(h_hat).conj()), 2)


def block_covariances(block: Block, fields: Fields) -> Tensor:
    r"""Covariances of the fields of a block, at all of its offsets.

    .. math:: C(\tau) = \langle a(u)\, b(u - \tau)^* \rangle_u
       = \sum_\omega \hat a(\omega)\, \hat b(\omega)^*\, e^{i\omega\tau}

    by Plancherel's formula, with the phase harmonics :math:`a, b` of the two factors: the field
    that is moved forwards by :math:`\tau` has the spectrum :math:`\hat b\, e^{-i\omega\tau}`.

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
    # The sum ends where the spectrum of one factor does, so both are taken on a coarse grid: that
    # of the coarser scale j2, unless the harmonic k2 has frequencies as high as those of j1.
    grid = plan.grids[block.j1 if block.k2 > 1 else block.j2]
    channels = channel_pairs(block, fields.x_hat.shape[1])
    first, second = (list(c) for c in zip(*channels, strict=True))
    l1, l2 = (list(l) for l in zip(*block.pairs, strict=True))
    # Averages over what counts have the mask of the coarser scale on the first factor.
    a = fields.spectrum(block.j1, block.k1, grid, block.j2)  # (B, C, L, h, w)
    same = l1 == l2 == list(range(a.shape[2]))  # each orientation with itself
    auto = same and (block.j1, block.k1) == (block.j2, block.k2) and len(channels) == 1
    if auto and not plan.masks:  # a = b: the product is the power spectrum, which is real
        square = fields.once((block.j1, block.k1, "square"), lambda: squared_modulus(a))
        return _chosen(_inverse(square, block, plan), block)
    b = fields.spectrum(block.j2, block.k2, grid)
    if len(channels) > 1:
        a, b = a[:, first], b[:, second]  # (B, n_channel_pairs, L, h, w)
    if block.angular or max(*l1, *l2) >= a.shape[2]:
        a, b = _wide(a), _wide(b)
    if block.angular:  # orientations become frequencies of a series along all 2L of them
        a, b = (torch.fft.fft(h, dim=2, norm="ortho") for h in (a, b))
    if not same and block.shifts == (Shift(),):
        # all pairs of orientations in one matrix product, then those of the block
        c = (a.flatten(-2) @ b.flatten(-2).mH)[..., l1, l2, None]
    else:
        product = (a if same else a[:, :, l1]) * (b if same else b[:, :, l2]).conj()
        c = _inverse(product, block, plan)
    return _chosen(c.real if block.real else c, block)


def _inverse(product: Tensor, block: Block, plan: FieldPlan) -> Tensor:
    # Inverse transform of cross spectra (B, P, n, h, w) at the offsets alone -> (B, P, n, n_shifts)
    if block.shifts == (Shift(),):
        return product.sum((-2, -1))[..., None]
    ys, xs = (tuple(sorted({s[axis] for s in block.shifts})) for axis in (2, 3))
    real = torch.float64 if product.dtype in (torch.float64, torch.complex128) else torch.float32
    (h, w), (H, W) = product.shape[-2:], plan.shape
    y, x = waves(h, H, ys, real, product.device), waves(w, W, xs, real, product.device)
    # along the rows first, (..., h, w) @ (w, n_x); a real product takes both parts of the waves
    if product.is_complex():
        c = product @ x
    else:
        c = torch.view_as_complex(
            (product @ torch.view_as_real(x).flatten(1)).unflatten(-1, (-1, 2))
        )
    # then along the columns, (..., n_x, h) @ (h, n_y), and of all (dx, dy) those of the block
    c = (c.mT @ y)[
        ..., [xs.index(s.dx) for s in block.shifts], [ys.index(s.dy) for s in block.shifts]
    ]
    return c.real if block.real else c


def _chosen(c: Tensor, block: Block) -> Tensor:
    # of the offsets of all pairs those of each one: (B, P, n_pairs, n_shifts) -> (..., n_chosen)
    if block.chosen is None:
        return c
    return c[:, :, torch.arange(len(block.chosen))[:, None], torch.tensor(block.chosen)]


def real_parts(c: Tensor, block: Block, n_channels: int) -> Tensor:
    """Real vector of the covariances of a block, in the order of `block_rows`.

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


def inverse_deviations(
    block: Block, ref: Reference, own: bool, n_channels: int
) -> tuple[Tensor, Tensor]:
    r"""Inverse deviations that normalise the covariances of a block, for both factors.

    A covariance is divided by the deviations :math:`\sigma_{\lambda,k}` of both its factors. If
    they are those of the signal itself, a variance would become 1: variances of wavelet
    coefficients are divided by that of the signal instead, and variances of moduli by those of
    the wavelet coefficients.

    Parameters
    ----------
    block : Block
        Block.
    ref : Reference
        Deviations, of a field or of each signal.
    own : bool
        Whether they are of each signal.
    n_channels : int
        Number of channels.

    Returns
    -------
    first, second : Tensor, shape (..., n_channel_pairs, n_pairs, 1)
        One over the deviations, or 1 where these are 0.
    """
    channels = [list(c) for c in zip(*channel_pairs(block, n_channels), strict=True)]
    if own and block.own:
        waves, moduli = ref.waves[block.j1], ref.moduli[block.j1]
        if block.k1:
            a = b = ref.std[..., None].expand(waves.shape)
        else:  # with a rectifier each orientation has several phases
            a = b = waves.repeat_interleave(moduli.shape[-1] // waves.shape[-1], -1)
    else:
        a, b = (
            (ref.waves if k else ref.moduli)[j]
            for j, k in ((block.j1, block.k1), (block.j2, block.k2))
        )
    if block.angular:  # frequencies of a Fourier series along the orientations share one
        a, b = (safe_sqrt(s.square().mean(-1, keepdim=True)) for s in (a, b))
    L = a.shape[-1]
    l1, l2 = ([l % L for l in side] for side in zip(*block.pairs, strict=True))
    a, b = (1 / divisor(s)[..., None] for s in (a, b))
    return a[..., channels[0], :, :][..., l1, :], b[..., channels[1], :, :][..., l2, :]


class CovarianceGroup(MomentGroup):
    """Group of moments that are covariances of phase harmonics; a subclass writes its blocks."""

    def blocks(self, layout: MomentLayout) -> list[Block]:
        """Blocks of the group.

        Parameters
        ----------
        layout : MomentLayout
            Numbers of scales and orientations, and offsets.

        Returns
        -------
        blocks : list of Block
            Blocks, of all harmonics.
        """
        raise NotImplementedError(f"{type(self).__name__} must write blocks.")

    def rows(self, layout: MomentLayout, n_channels: int) -> list[Moment]:
        return [row for b in _blocks(self, layout) for row in block_rows(b, n_channels)]

    def values(self, batch: Batch, filters: tuple[Tensor, ...]) -> Tensor:
        n_channels, ref, found = batch.x.shape[1], batch.deviations, []
        for block in _blocks(self, batch.layout):
            c = block_covariances(block, batch.fields)
            if ref is not None:
                for factor in inverse_deviations(block, ref, batch.ref is None, n_channels):
                    c = c * factor  # one by one: their product may overflow
            found.append(real_parts(c, block, n_channels))
        return torch.cat(found, 1) if found else batch.x.new_zeros(len(batch.x), 0)


@lru_cache(maxsize=256)
def _blocks(group: CovarianceGroup, layout: MomentLayout) -> tuple[Block, ...]:
    blocks, largest = group.blocks(layout), layout.harmonics
    return tuple(b for b in blocks if largest is None or max(b.k1, b.k2) <= largest)
