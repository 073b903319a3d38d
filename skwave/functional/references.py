"""Means and deviations of wavelet fields, by which their moments are centred and divided."""

from typing import NamedTuple

from torch import Tensor

from skwave.functional.field_plans import FieldPlan
from skwave.functional.fields import Fields, deviation
from skwave.functional.nonlinearity import squared_modulus


class Reference(NamedTuple):
    """Means and standard deviations of a field, by which moments are centred and divided.

    Attributes
    ----------
    mean, std : Tensor, shape (C,)
        Of the samples.
    means : list of Tensor, shape (C, L)
        Means of the moduli of each scale.
    moduli, waves : list of Tensor, shape (C, L)
        Standard deviations of the moduli, and of the wavelet coefficients.
    """

    mean: Tensor
    std: Tensor
    means: list[Tensor] | None
    moduli: list[Tensor]
    waves: list[Tensor]


def reference(x: Tensor, plan: FieldPlan) -> Reference:
    """Reference of realisations of one field.

    Parameters
    ----------
    x : Tensor, shape (B, C, H, W)
        Realisations.
    plan : FieldPlan
        Made by `field_plan`.

    Returns
    -------
    reference : Reference
        Averages over the realisations.
    """
    fields = Fields(x, plan)
    means, moduli, waves = [], [], []
    for j, grid in enumerate(plan.grids):
        w = fields.harmonic(j, 1, grid)
        u = fields.envelope(w)
        mean = fields.average(u, j).mean(0)
        means.append(mean)
        moduli.append(deviation(fields.average((u - mean[..., None, None]).square(), j).mean(0)))
        waves.append(deviation(fields.average(squared_modulus(w), j).mean(0)))
    mean = x.mean((0, -2, -1))
    std = deviation((x - mean[:, None, None]).square().mean((0, -2, -1)))
    return Reference(mean, std, means, moduli, waves)


def own_reference(x: Tensor, fields: Fields) -> Reference:
    """Reference of each sample by itself.

    Parameters
    ----------
    x : Tensor, shape (B, C, H, W)
        Signals.
    fields : Fields
        Their wavelet fields.

    Returns
    -------
    reference : Reference
        Tensors (B, C) and (B, C, L), without means.
    """
    moduli, waves = [], []
    for j, grid in enumerate(fields.plan.grids):
        w, u = fields.harmonic(j, 1, grid), fields.harmonic(j, 0, grid)
        moduli.append(deviation(fields.average(u.square(), j)))
        waves.append(deviation(fields.average(squared_modulus(w), j)))
    mean = x.mean((-2, -1))
    std = deviation((x - mean[..., None, None]).square().mean((-2, -1)))
    return Reference(mean, std, None, moduli, waves)
