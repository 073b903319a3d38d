r"""Power spectrum, frequency by frequency: all moments that a Gaussian field has."""

from torch import Tensor

from skwave.functional._textures.fields import FieldPlan, divisor
from skwave.functional._textures.moments import Batch, Moment, MomentGroup, MomentLayout
from skwave.functional._wavelets.fourier import fft, half_plane


class Gaussian(MomentGroup):
    r"""Group of the powers :math:`|\hat x(\omega)|^2`, one for each pair of opposite frequencies.

    Normalised powers are multiplied by the number of frequencies and divided by the variance of
    the signal: those of white noise are about 1.
    """

    name = "gaussian"
    labels = ("P",)
    alone = True
    reducible = False
    one_shape = True

    def channel_rows(self, layout: MomentLayout) -> list[Moment]:
        ky, kx = half_plane(layout.shape)
        return [Moment("P", dy=y, dx=x) for y, x in zip(ky.tolist(), kx.tolist(), strict=True)]

    def filters(self, layout: MomentLayout, plan: FieldPlan) -> tuple[Tensor, ...]:
        ky, kx = half_plane(plan.shape)
        places = ky % plan.shape[0] * plan.shape[1] + kx % plan.shape[1]
        return (places.to(plan.filters[0].device),)

    def values(self, batch: Batch, filters: tuple[Tensor, ...]) -> Tensor:
        x = batch.x
        power = fft(x).abs().square().flatten(-2).index_select(-1, filters[0])
        if batch.normalize:
            std = x.std((-2, -1), correction=0) if batch.ref is None else batch.ref.std
            power = power * (x[0, 0].numel() - 1) / divisor(std).square()[..., None]
        return power.flatten(1)

    def words(self, row: Moment, layout: MomentLayout) -> list[str]:
        return ["P", f"y{row.dy}x{row.dx}"]


gaussian = Gaussian()
