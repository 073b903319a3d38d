r"""Covariances of the phase harmonics of wavelet coefficients, block after block."""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from skwave.functional._textures.fields import FieldPlan, Fields, Reference, divisor, index_on
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
    c = _products(block, fields)
    places = _block_places(block, tuple(c.shape[1:]))
    shape = len(channel_pairs(block, fields.x_hat.shape[1])), len(block.pairs), -1
    return c.flatten(1).index_select(1, index_on(tuple(places), c.device)).unflatten(1, shape)


def _products(block: Block, fields: Fields) -> Tensor:
    # Covariances of a block and others beside them, whichever come in one product: of shape
    # (B, P, n) for the pairs of orientations without offsets, (B, P, n1, n2) for all orientations
    # with all, (B, P, n, n_x, n_y) for the pairs at all combinations of the two parts of offsets.
    plan = fields.plan
    # The sum ends where the spectrum of one factor does, so both are taken on a coarse grid: that
    # of the coarser scale j2, unless the harmonic k2 has frequencies as high as those of j1.
    grid = plan.grids[block.j1 if block.k2 > 1 else block.j2]
    channels = channel_pairs(block, fields.x_hat.shape[1])
    l1, l2 = zip(*block.pairs, strict=True)
    # Averages over what counts have the mask of the coarser scale on the first factor.
    a = fields.spectrum(block.j1, block.k1, grid, block.j2)  # (B, C, L, h, w)
    same = l1 == l2 == tuple(range(a.shape[2]))  # each orientation with itself
    auto = same and (block.j1, block.k1) == (block.j2, block.k2) and len(channels) == 1
    if auto and not plan.masks:  # a = b: the product is the power spectrum, which is real
        square = fields.once((block.j1, block.k1, "square"), lambda: squared_modulus(a))
        return _inverse(square, block, plan)
    b = fields.spectrum(block.j2, block.k2, grid)
    if len(channels) > 1:
        first, second = zip(*channels, strict=True)
        a = a.index_select(1, index_on(first, a.device))  # (B, n_channel_pairs, L, h, w)
        b = b.index_select(1, index_on(second, a.device))
    if block.angular or max(*l1, *l2) >= a.shape[2]:
        a, b = _wide(a), _wide(b)
    if block.angular:  # orientations become frequencies of a series along all 2L of them
        a, b = (torch.fft.fft(h, dim=2, norm="ortho") for h in (a, b))
    if not same and block.shifts == (Shift(),):
        c = a.flatten(-2) @ b.flatten(-2).mH
        return c.real if block.real else c
    if not same:
        a = a.index_select(2, index_on(l1, a.device))
        b = b.index_select(2, index_on(l2, a.device))
    return _inverse(a * b.conj(), block, plan)


def _inverse(product: Tensor, block: Block, plan: FieldPlan) -> Tensor:
    # Inverse transform of cross spectra (B, P, n, h, w) at offsets alone -> (B, P, n, n_x, n_y),
    # or the mean of the product, (B, P, n)
    if block.shifts == (Shift(),):
        c = product.sum((-2, -1))
        return c.real if block.real else c
    ys, xs = _offsets(block)
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
    c = c.mT @ y  # then along the columns, (..., n_x, h) @ (h, n_y)
    return c.real if block.real else c


def _offsets(block: Block) -> tuple[tuple[int, ...], tuple[int, ...]]:
    # all vertical and all horizontal parts of the offsets of a block
    ys, xs = (tuple(sorted({s[axis] for s in block.shifts})) for axis in (2, 3))
    return ys, xs


def _block_places(block: Block, shape: tuple[int, ...]) -> list[int]:
    # Places of the covariances of a block in the flat result of `_products`, whose shape without
    # the batch is given: pairs of channels, then pairs of orientations, then offsets.
    ys, xs = _offsets(block)
    chosen = block.chosen or (range(len(block.shifts)),) * len(block.pairs)

    def place(c: int, p: int, shift: Shift) -> int:  # numpydoc ignore=GL08
        if len(shape) == 2:
            return c * shape[1] + p
        if len(shape) == 3:
            return (c * shape[1] + block.pairs[p][0]) * shape[2] + block.pairs[p][1]
        of_pair = (c * shape[1] + p) * shape[2] + xs.index(shift.dx)
        return of_pair * shape[3] + ys.index(shift.dy)

    return [
        place(c, p, block.shifts[i])
        for c in range(shape[0])
        for p, of_pair in enumerate(chosen)
        for i in of_pair
    ]


def _deviation_columns(
    block: Block, row: Moment, own: bool, sizes: dict[tuple[str, int], int]
) -> list[tuple[str, int, int]]:
    # What divides a covariance by both of its factors: kind, scale and orientation of deviations.
    # If they are of the signal itself a variance would become 1: variances of wavelet
    # coefficients are divided by that of the signal instead, and variances of moduli by those of
    # the wavelet coefficients. Frequencies of a series along orientations share one.
    of = [("modulus" if k == 0 else "wave", j, l) for j, l, k in (row[1:4], row[4:7])]
    if own and block.own and block.k1:
        return [("std", 0, 0)] * 2
    if own and block.own:  # with a rectifier each orientation has several phases
        n_phases = sizes["modulus", block.j1] // sizes["wave", block.j1]
        of = [("wave", j, l // n_phases) for _, j, l in of]
    return [(f"mean {kind}" if block.angular else kind, j, l) for kind, j, l in of]


def _deviation_table(ref: Reference, angular: bool) -> dict[tuple[str, int], Tensor]:
    table = {("std", 0): ref.std[..., None]}
    for kind, scales in (("wave", ref.waves), ("modulus", ref.moduli)):
        for j, s in enumerate(scales):
            table[kind, j] = s
            if angular:
                table[f"mean {kind}", j] = safe_sqrt(s.square().mean(-1, keepdim=True))
    return table


def _places(
    blocks: tuple[Block, ...],
    shapes: tuple[tuple[tuple[int, ...], bool], ...],
    sizes: dict[tuple[str, int], int],
    own: bool,
    n_channels: int,
) -> tuple[list[int], list[int], list[int]]:
    # The products in a row are real and imaginary parts of the complex ones, then the real ones.
    n_complex = sum(math.prod(shape) for shape, is_complex in shapes if is_complex)
    ends = [0, 2 * n_complex]  # of what has been placed, complex and real
    starts, width = {}, 0
    for key, size in sizes.items():
        starts[key], width = width, width + size
    moments: list[int] = []
    divisors: tuple[list[int], list[int]] = [], []
    for block, (shape, is_complex) in zip(blocks, shapes, strict=True):
        start, of_rows = ends[not is_complex], iter(_block_places(block, shape))
        ends[not is_complex] += math.prod(shape)
        for row in block_rows(block, n_channels):
            if row.part != "im":
                place = start + next(of_rows)
            moments.append(place + (n_complex if row.part == "im" else 0))
            if sizes:
                columns = _deviation_columns(block, row, own, sizes)
                for c, (kind, j, l), to in zip((row.c1, row.c2), columns, divisors, strict=True):
                    to.append(c * width + starts[kind, j] + l % sizes[kind, j])
    return moments, *divisors


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
        blocks = _blocks(self, batch.layout)
        if not blocks:
            return batch.x.new_zeros(len(batch.x), 0)
        products = [_products(block, batch.fields) for block in blocks]
        parts = [c.flatten(1) for c in products if not c.is_complex()]
        waves = [c.flatten(1) for c in products if c.is_complex()]
        if waves:
            together = torch.cat(waves, 1)
            parts = [together.real, together.imag, *parts]
        shapes = tuple((tuple(c.shape[1:]), c.is_complex()) for c in products)
        table = {}
        if batch.deviations is not None:
            angular = any(block.angular for block in blocks)
            table = _deviation_table(batch.deviations, angular)
        sizes = tuple((key, s.shape[-1]) for key, s in table.items())
        own, n_channels = batch.ref is None, batch.x.shape[1]
        found, first, second = _placed(
            self, batch.layout, shapes, sizes, own, n_channels, batch.x.device
        )
        m = torch.cat(parts, 1).index_select(1, found)
        if table:  # one by one: the product of both may overflow
            inverse = (1 / divisor(torch.cat(list(table.values()), -1))).flatten(-2)
            m = m * inverse.index_select(-1, first) * inverse.index_select(-1, second)
        return m


@lru_cache(maxsize=256)
def _placed(
    group: CovarianceGroup,
    layout: MomentLayout,
    shapes: tuple[tuple[tuple[int, ...], bool], ...],
    sizes: tuple[tuple[tuple[str, int], int], ...],
    own: bool,
    n_channels: int,
    device: torch.device,
) -> list[Tensor]:
    places = _places(_blocks(group, layout), shapes, dict(sizes), own, n_channels)
    with torch.inference_mode(False):  # they are kept for others
        return [torch.tensor(of, dtype=torch.int64, device=device) for of in places]


@lru_cache(maxsize=256)
def _blocks(group: CovarianceGroup, layout: MomentLayout) -> tuple[Block, ...]:
    blocks, largest = group.blocks(layout), layout.harmonics
    return tuple(b for b in blocks if largest is None or max(b.k1, b.k2) <= largest)
