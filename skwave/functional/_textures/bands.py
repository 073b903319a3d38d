r"""Third moments of isotropic bands, a coarse bispectrum: group B."""

import math
from itertools import combinations_with_replacement

import torch
from torch import Tensor

from skwave.functional._textures.fields import FieldPlan, Fields, Reference, divisor, index_on
from skwave.functional._textures.moments import (
    Batch,
    Moment,
    MomentGroup,
    MomentLayout,
    shift_scales,
)
from skwave.functional._wavelets.fourier import ifft, opposite, resize_spectrum, wavenumbers
from skwave.functional._wavelets.nonlinearity import safe_sqrt

_CENTRE = 0.85 * math.pi  # frequency of the wavelets of scale 0


class Bands(MomentGroup):
    r"""Group of the third moments of half octaves.

    .. math:: B_{hik} = \frac{\langle u_h u_i u_k \rangle}{\sigma_h \sigma_i \sigma_k},
       \qquad u_{2j} + u_{2j+1} = \sum_\ell \mathrm{Re}(x\star\psi_{j,\ell}),
       \quad \sigma_{2j}^2 = \sigma_{2j+1}^2
       = \tfrac12\sum_\ell\langle|x\star\psi_{j,\ell}|^2\rangle,

    for :math:`h \le i \le k`. :math:`u_{2j}` has the frequencies from the middle of the octave up,
    :math:`0.85\pi/2^j`, and :math:`u_{2j+1}` those below; :math:`u_{2J}, u_{2J+1}` are the
    low-pass, from :math:`0.85\pi/2^{J+1/2}` up and below. Triples that have no triangle of
    frequencies, but for tails of filters, are left out.
    """

    name = "B"

    def channel_rows(self, layout: MomentLayout) -> list[Moment]:
        return [Moment("B", h, j2=i, j3=k) for h, i, k in _triples(layout.J)]

    def filters(self, layout: MomentLayout, plan: FieldPlan) -> tuple[Tensor, ...]:
        return band_filters(plan)

    def values(self, batch: Batch, filters: tuple[Tensor, ...]) -> Tensor:
        return band_moments(batch.fields, filters, batch.deviations)

    def words(self, row: Moment, layout: MomentLayout) -> list[str]:
        return ["B", f"h{row.j1}", f"h{row.j2}", f"h{row.j3}"]

    def relative_scales(self, rows: list[Moment]) -> list[Moment]:
        # A scale is two half octaves. The last two are the low-pass, which no scale is like.
        low = max(row.j3 for row in rows) - 1
        return [row if row.j3 >= low else shift_scales(row, row.j1 // 2 * 2) for row in rows]


B = Bands()


def band_filters(plan: FieldPlan) -> tuple[Tensor, ...]:
    r"""Isotropic filters of half octaves, two in each: the upper one + i times the lower one.

    Both give real fields, so that one inverse transform has them as real and imaginary part.

    Parameters
    ----------
    plan : FieldPlan
        Wavelets and low-pass, which are divided.

    Returns
    -------
    bands : tuple of Tensor, shape (h, w)
        Complex, on the grid of each scale and of the low-pass.
    """
    found = []
    for j, (grid, filters) in enumerate(zip(plan.grids, plan.filters, strict=True)):
        f_hat = filters.sum(0)[..., 0]
        even = (f_hat + opposite(f_hat)) / 2  # the field of an even filter is real
        y, x = (
            2 * math.pi / size * wavenumbers(n, device=even.device).to(torch.float64)
            for n, size in zip(grid, plan.shape, strict=True)
        )
        upper = torch.hypot(y[:, None], x) >= _CENTRE / 2 ** (j if j < plan.J else j + 0.5)
        found.append(torch.complex(even * upper, even * ~upper))
    return tuple(found)


def _triples(J: int) -> list[tuple[int, int, int]]:
    # half octaves h <= i <= k whose frequencies can close a triangle: the highest, of h, is a sum
    # of two lower ones, so i is at most an octave and a bit lower
    triples = combinations_with_replacement(range(2 * J + 2), 3)
    return [(h, i, k) for h, i, k in triples if i - h <= 2 + h % 2]


def band_moments(fields: Fields, bands: tuple[Tensor, ...], ref: Reference | None) -> Tensor:
    r"""Third moments of bands, each on a grid twice as fine as that of its finest band.

    A product :math:`u_h u_i u_k` with :math:`h \le i \le k` has a mean that this grid holds
    exactly: the bands :math:`i, k` are coarser, and are brought onto it.

    Parameters
    ----------
    fields : Fields
        Wavelet fields.
    bands : tuple of Tensor
        Filters, made by `band_filters`.
    ref : Reference or None
        Deviations that divide; None for none.

    Returns
    -------
    m : Tensor, shape (B, C * n_triples)
        Channel by channel, triples in lexicographic order.
    """
    J, grids, found = fields.plan.J, fields.plan.grids, []
    x_hat = fields.x_hat[:, :, 0]
    # spectra of both half octaves of each scale, upper + i lower: (B, C, h, w) on its own grid
    octaves = [resize_spectrum(x_hat, grid) * f for grid, f in zip(grids, bands, strict=True)]
    if ref is not None:
        # sigma^2 of both halves is the power of the real field of the octave: half that of the
        # complex wavelet fields, and all of that of the low-pass, which is real
        power = [w.square().sum(-1) / (2 if j < J else 1) for j, w in enumerate(ref.waves)]
        by = [divisor(safe_sqrt(p))[..., None, None] for p in power]
        octaves = [u / s for u, s in zip(octaves, by, strict=True)]
    triples, fine = _triples(J), [fields.plan.fine(j) for j in range(J + 1)]
    for grid in dict.fromkeys(fine):
        # all bands from the first of this grid on: (B, C, n_bands, h, w)
        first = fine.index(grid)
        waves = [ifft(resize_spectrum(u_hat, grid)) for u_hat in octaves[first:]]
        u = torch.stack([part for w in waves for part in (w.real, w.imag)], 2)
        weighted = u
        if fields.plan.masks:  # the mask of the coarsest factor k
            masks = [fields.mask(k // 2, grid) for k in range(2 * first, 2 * J + 2)]
            weighted = u * torch.stack(masks)
        of_grid = [tuple(i - 2 * first for i in t) for t in triples if fine[t[0] // 2] == grid]
        # <(u_h u_i) u_k> of all pairs h, i, and all k: (B, C, n_pairs, n_bands)
        pairs = list(dict.fromkeys(t[:2] for t in of_grid))
        h, i = (index_on(p, u.device) for p in zip(*pairs, strict=True))
        product = u.index_select(2, h) * u.index_select(2, i)
        third = (product.flatten(-2) @ weighted.flatten(-2).mT).flatten(2)
        places = tuple(pairs.index(t[:2]) * u.shape[2] + t[2] for t in of_grid)
        found.append(third.index_select(2, index_on(places, u.device)) / math.prod(grid))
    return torch.cat(found, 2).flatten(1)
