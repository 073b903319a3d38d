r"""Scaling moments: covariances of the smoothed signal and of its absolute value, group L."""

import math

import torch
from torch import Tensor

from skwave.functional._textures.fields import FieldPlan, divisor, index_on
from skwave.functional._textures.moments import Batch, Moment, MomentGroup, MomentLayout
from skwave.functional._wavelets.bump import gaussian_spectrum
from skwave.functional._wavelets.fourier import ifft

_WIDTH = 1 / (0.496 * 2**-0.55 * 0.85 * math.pi)  # of pywph's low-pass at scale 0, in samples
_POWERS = ((0, 0), (0, 1), (1, 1))  # 0 for |u| less its mean, 1 for u


class Scaling(MomentGroup):
    r"""Group of the covariances of :math:`u = x\star\phi_j` and :math:`|u|`.

    The low-pass filters :math:`\phi_j` are Gaussian, of width
    :math:`2^j / (0.496 \cdot 2^{-0.55}\, 0.85\pi)` samples, at the scales -1 to :math:`J / 4`.
    """

    name = "L"

    def channel_rows(self, layout: MomentLayout) -> list[Moment]:
        return [Moment("L", j, k1=p, k2=q) for j in _scales(layout) for p, q in _POWERS]

    def filters(self, layout: MomentLayout, plan: FieldPlan) -> tuple[Tensor, ...]:
        widths = [_WIDTH * 2**j for j in _scales(layout)]
        phi_hat = torch.stack([gaussian_spectrum(plan.shape, width) for width in widths])
        return (phi_hat.to(plan.filters[0]),)

    def values(self, batch: Batch, filters: tuple[Tensor, ...]) -> Tensor:
        fields = batch.fields
        u = ifft(fields.x_hat * filters[0]).real  # (B, C, n_scales, H, W)
        weights = None
        if batch.plan.masks:
            grid = batch.plan.shape
            weights = torch.stack([fields.mask(max(j, 0), grid) for j in _scales(batch.layout)])
        u = u - _mean(u, weights)
        if batch.deviations is not None:
            u = u / divisor(batch.deviations.std)[..., None, None, None]
        size = u.abs()
        of = torch.stack((size - _mean(size, weights), u), -3).flatten(-2)
        weighted = of if weights is None else of * weights.flatten(-2)[:, None]
        c = (weighted @ of.mT).flatten(-2) / of.shape[-1]  # (B, C, n_scales, 4)
        places = tuple(2 * p + q for p, q in _POWERS)
        return c.index_select(-1, index_on(places, c.device)).flatten(1)

    def words(self, row: Moment, layout: MomentLayout) -> list[str]:
        return ["L", f"j{row.j1}", f"k{row.k1}{row.k2}"]


def _mean(u: Tensor, weights: Tensor | None) -> Tensor:
    return (u if weights is None else u * weights).mean((-2, -1), keepdim=True)


def _scales(layout: MomentLayout) -> range:
    return range(-1, layout.J // 4 + 1)


L = Scaling()
