r"""Third and fourth moments of wavelet coefficients, group K."""

import torch
from torch import Tensor

from skwave.functional._textures.fields import divisor
from skwave.functional._textures.moments import Batch, Moment, MomentGroup, MomentLayout
from skwave.functional._wavelets.nonlinearity import squared_modulus


class Kurtosis(MomentGroup):
    r"""Group of the third and fourth moments of wavelet coefficients.

    They are :math:`\langle(\mathrm{Re}\,w)^3\rangle, \langle(\mathrm{Re}\,w)^4\rangle` and
    :math:`\langle|w|^4\rangle` of :math:`w = x\star\psi_\lambda`, without offsets.
    """

    name = "K"

    def channel_rows(self, layout: MomentLayout) -> list[Moment]:
        parts = ("re3", "re4", "abs4")
        waves = [(j, l) for j in range(layout.J) for l in range(layout.L)]
        return [Moment("K", j, l, 1, part=part) for j, l in waves for part in parts]

    def values(self, batch: Batch, filters: tuple[Tensor, ...]) -> Tensor:
        fields, found = batch.fields, []
        for j in range(batch.plan.J):
            # four factors have four times the frequencies of one: the finer grid holds them
            w = fields.harmonic(j, 1, batch.plan.fine(j))
            if batch.deviations is not None:
                by = divisor(batch.deviations.waves[j])[..., None, None, None]
                w = torch.view_as_complex(torch.view_as_real(w) / by)
            real, modulus2 = w.real, squared_modulus(w)
            powers = torch.stack((real, real, modulus2), -3)
            powers = powers * torch.stack((real.square(), real.square() * real, modulus2), -3)
            found.append(fields.average(powers, j))
        return torch.stack(found, 2).flatten(1)


K = Kurtosis()
