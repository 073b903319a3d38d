r"""Moments of wavelet phase harmonics: what describes a stationary field, as one vector."""

from dataclasses import dataclass

import torch
from torch import Tensor

from skwave.functional._textures.covariances import (
    Block,
    block_covariances,
    channel_pairs,
    real_parts,
)
from skwave.functional._textures.fields import (
    FieldPlan,
    Fields,
    Reference,
    deviation,
    divisor,
    own_reference,
)
from skwave.functional._textures.higher_moments import (
    band_moments,
    kurtosis_moments,
    scaling_moments,
)


@dataclass(frozen=True)
class HarmonicPlan:
    """Fields and blocks of covariances that make up a vector of moments.

    Attributes
    ----------
    fields : FieldPlan
        Grids and filters.
    blocks : tuple of Block
        Covariances.
    kurtosis : bool
        Whether third and fourth moments of the wavelet coefficients follow, group ``"K"``.
    bands : tuple of Tensor
        Filters of isotropic half octaves, from `band_filters`, whose third moments follow, group
        ``"B"``.
    low : tuple of (int, Tensor)
        Scales and low-pass filters whose moments come last, group ``"L"``.
    """

    fields: FieldPlan
    blocks: tuple[Block, ...]
    kurtosis: bool = False
    bands: tuple[Tensor, ...] = ()
    low: tuple[tuple[int, Tensor], ...] = ()


def _factors(block: Block, ref: Reference, itself: bool, n_channels: int) -> tuple[Tensor, ...]:
    # one over the deviations, (..., n_channel_pairs, n_pairs, 1)
    first, second = (list(c) for c in zip(*channel_pairs(block, n_channels), strict=True))
    if itself and block.own:  # variances: of the waves over that of x, of moduli over the waves'
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
        a, b = (deviation(s.square().mean(-1, keepdim=True)) for s in (a, b))
    L = a.shape[-1]
    l1, l2 = ([l % L for l in side] for side in zip(*block.pairs, strict=True))
    a, b = (1 / divisor(s)[..., None] for s in (a, b))
    return a[..., first, :, :][..., l1, :], b[..., second, :, :][..., l2, :]


def harmonic_moments(
    x: Tensor, plan: HarmonicPlan, ref: Reference | None = None, *, normalize: bool = True
) -> Tensor:
    r"""Moments of the phase harmonics of wavelet coefficients.

    .. math:: C_{\lambda,k,\lambda',k'}(\tau) = \frac{1}{\sigma_{\lambda,k}\sigma_{\lambda',k'}}
       \Big\langle \big([x\star\psi_\lambda]^k(u) - \mu_{\lambda,k}\big)
       \big([x\star\psi_{\lambda'}]^{k'}(u - \tau) - \mu_{\lambda',k'}\big)^* \Big\rangle_u

    and, if the plan has them, moments of order 3 and 4, and scaling moments. Those of bands,

    .. math:: B_{hik} = \frac{\langle u_h u_i u_k \rangle}{\sigma_h \sigma_i \sigma_k},
       \qquad u_{2j} + u_{2j+1} = \sum_\ell \mathrm{Re}(x\star\psi_{j,\ell}),
       \quad \sigma_{2j}^2 = \sigma_{2j+1}^2
       = \tfrac12\sum_\ell\langle|x\star\psi_{j,\ell}|^2\rangle,

    for :math:`h \le i \le k`, are a coarse bispectrum. :math:`u_{2j}` has the frequencies from
    the middle of the octave up, :math:`0.85\pi/2^j`, and :math:`u_{2j+1}` those below;
    :math:`u_{2J}, u_{2J+1}` are the low-pass, from :math:`0.85\pi/2^{J+1/2}` up and below.
    Triples that have no triangle of frequencies, but for tails of filters, are left out.

    Parameters
    ----------
    x : Tensor, shape (B, C, H, W)
        Real signals.
    plan : HarmonicPlan
        What to compute.
    ref : Reference, default=None
        Means :math:`\mu` and deviations :math:`\sigma`, from `reference`; None for those of each
        signal itself. Then variances of wavelet coefficients are divided by that of the signal,
        and those of moduli by those of the wavelet coefficients.
    normalize : bool, default=True
        Whether to divide by deviations.

    Returns
    -------
    m : Tensor, shape (B, n_moments)
        Real: block after block, then K, B and L.

    References
    ----------
    .. [1] Zhang, S. and Mallat, S., Maximum entropy models from phase harmonic covariances,
       Appl. Comput. Harmon. Anal. 53, 2021.
    """
    fields = Fields(x, plan.fields) if ref is None else Fields(x, plan.fields, ref.mean, ref.means)
    by = None
    if normalize:
        by = own_reference(x, fields) if ref is None else ref
    found = []
    for block in plan.blocks:
        c = block_covariances(block, fields)
        if by is not None:
            for factor in _factors(block, by, ref is None, x.shape[1]):
                c = c * factor  # one by one: their product may overflow
        found.append(real_parts(c, block, x.shape[1]))
    if plan.kurtosis:
        found.append(kurtosis_moments(fields, by))
    if plan.bands:
        found.append(band_moments(fields, plan.bands, by))
    if plan.low:
        found.append(scaling_moments(fields, plan.low, by))
    return torch.cat(found, 1)
