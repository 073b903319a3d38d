r"""Vector of moments that describes a stationary field: all groups of a plan."""

from dataclasses import dataclass

import torch
from torch import Tensor

from skwave.functional._textures.fields import FieldPlan, Reference
from skwave.functional._textures.moments import Batch, MomentLayout


@dataclass(frozen=True)
class HarmonicPlan:
    """Plan of a vector of moments: its layout, and the filters of the wavelets and the groups.

    Attributes
    ----------
    layout : MomentLayout
        Groups of moments.
    fields : FieldPlan
        Grids and wavelets.
    filters : tuple of tuple of Tensor
        Filters of each group, from `MomentGroup.filters`.
    """

    layout: MomentLayout
    fields: FieldPlan
    filters: tuple[tuple[Tensor, ...], ...]


def harmonic_moments(
    x: Tensor, plan: HarmonicPlan, ref: Reference | None = None, *, normalize: bool = True
) -> Tensor:
    r"""Moments of the phase harmonics of wavelet coefficients, and of the other groups of a plan.

    .. math:: C_{\lambda,k,\lambda',k'}(\tau) = \frac{1}{\sigma_{\lambda,k}\sigma_{\lambda',k'}}
       \Big\langle \big([x\star\psi_\lambda]^k(u) - \mu_{\lambda,k}\big)
       \big([x\star\psi_{\lambda'}]^{k'}(u - \tau) - \mu_{\lambda',k'}\big)^* \Big\rangle_u

    Other groups than covariances state their moments themselves.

    Parameters
    ----------
    x : Tensor, shape (B, C, H, W)
        Real signals.
    plan : HarmonicPlan
        Moments to compute.
    ref : Reference, default=None
        Means :math:`\mu` and deviations :math:`\sigma`, from `reference`; None for those of each
        signal itself. Then variances of wavelet coefficients are divided by that of the signal,
        and those of moduli by those of the wavelet coefficients.
    normalize : bool, default=True
        Whether to divide by deviations.

    Returns
    -------
    m : Tensor, shape (B, n_moments)
        Real: group after group, in the order of ``plan.layout.rows``.

    References
    ----------
    .. [1] Zhang, S. and Mallat, S., Maximum entropy models from phase harmonic covariances,
       Appl. Comput. Harmon. Anal. 53, 2021.
    """
    batch = Batch(x, plan.layout, plan.fields, ref, normalize)
    groups = zip(plan.layout.groups, plan.filters, strict=True)
    return torch.cat([group.values(batch, filters) for group, filters in groups], 1)
