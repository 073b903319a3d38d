r"""Scaling moments: covariances of the smoothed signal and of its absolute value, group L."""

import math

import torch
from torch import Tensor

from skwave.functional._textures.fields import FieldPlan, divisor
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
        like, widths = plan.filters[0], [_WIDTH * 2**j for j in _scales(layout)]
        return tuple(gaussian_spectrum(plan.shape, width).to(like) for width in widths)

    def values(self, batch: Batch, filters: tuple[Tensor, ...]) -> Tensor:
        fields, found = batch.fields, []
        for scale, phi_hat in zip(_scales(batch.layout), filters, strict=True):
            u, j = ifft(fields.x_hat[:, :, 0] * phi_hat).real, max(scale, 0)
            u = u - fields.average(u, j)[..., None, None]
            if batch.deviations is not None:
                u = u / divisor(batch.deviations.std)[..., None, None]
            of = u.abs() - fields.average(u.abs(), j)[..., None, None], u
            found.append(torch.stack([fields.average(of[p] * of[q], j) for p, q in _POWERS], -1))
        return torch.stack(found, 2).flatten(1)

    def words(self, row: Moment, layout: MomentLayout) -> list[str]:
        return ["L", f"j{row.j1}", f"k{row.k1}{row.k2}"]


def _scales(layout: MomentLayout) -> range:
    return range(-1, layout.J // 4 + 1)


L = Scaling()
