r"""Moments of wavelet phase harmonics: what describes a stationary field, as one vector."""

import math
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import NamedTuple

import torch
from torch import Tensor

from skwave.functional.bump import gaussian_spectrum
from skwave.functional.covariances import (
    Block,
    Moment,
    block_covariances,
    channel_pairs,
    real_parts,
)
from skwave.functional.fields import FieldPlan, Fields, deviation, divisor
from skwave.functional.grids import ifft, opposite, resize_spectrum
from skwave.functional.nonlinearity import squared_modulus

_WIDTH = 1 / (0.496 * 2**-0.55 * 0.85 * math.pi)  # of pywph's low-pass at scale 0, in samples
_CENTRE = 0.85 * math.pi  # of the wavelets of scale 0
_KURTOSIS = ("re3", "re4", "abs4")
_SCALING = ((0, 0), (0, 1), (1, 1))


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


def band_filters(plan: FieldPlan) -> tuple[Tensor, ...]:
    r"""Isotropic filters of half octaves, two in each: the upper one + i times the lower.

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
        even = (f_hat + opposite(f_hat)) / 2
        y, x = (
            2 * math.pi / size * n * torch.fft.fftfreq(n, dtype=torch.float64, device=even.device)
            for n, size in zip(grid, plan.shape, strict=True)
        )
        upper = torch.hypot(y[:, None], x) >= _CENTRE / 2 ** (j if j < plan.J else j + 0.5)
        found.append(torch.complex(even * upper, even * ~upper))
    return tuple(found)


def low_filters(plan: FieldPlan, scales: tuple[int, ...]) -> tuple[tuple[int, Tensor], ...]:
    r"""Gaussian low-pass filters of scaling moments.

    Parameters
    ----------
    plan : FieldPlan
        Gives the grid, the type and the device.
    scales : tuple of int
        Scales ``j``; the width is :math:`2^j / (0.496 \cdot 2^{-0.55}\, 0.85\pi)` samples.

    Returns
    -------
    low : tuple of (int, Tensor)
        Scales and filters on the grid of the signals.
    """
    like = plan.filters[0]
    return tuple((j, gaussian_spectrum(plan.shape, _WIDTH * 2**j).to(like)) for j in scales)


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


def _of_each(x: Tensor, fields: Fields) -> Reference:
    # of each sample by itself: tensors (B, C) and (B, C, L)
    moduli, waves = [], []
    for j, grid in enumerate(fields.plan.grids):
        w, u = fields.harmonic(j, 1, grid), fields.harmonic(j, 0, grid)
        moduli.append(deviation(fields.average(u.square(), j)))
        waves.append(deviation(fields.average(squared_modulus(w), j)))
    mean = x.mean((-2, -1))
    std = deviation((x - mean[..., None, None]).square().mean((-2, -1)))
    return Reference(mean, std, None, moduli, waves)


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
        by = _of_each(x, fields) if ref is None else ref
    found = []
    for block in plan.blocks:
        c = block_covariances(block, fields)
        if by is not None:
            for factor in _factors(block, by, ref is None, x.shape[1]):
                c = c * factor  # one by one: their product may overflow
        found.append(real_parts(c, block, x.shape[1]))
    if plan.kurtosis:
        found.append(_kurtosis(fields, by))
    if plan.bands:
        found.append(_bands(fields, plan.bands, by))
    if plan.low:
        found.append(_scaling(fields, plan, by))
    return torch.cat(found, 1)


def _kurtosis(fields: Fields, ref: Reference | None) -> Tensor:
    # (B, C, J, L, 3)
    found = []
    for j, grid in enumerate(fields.plan.grids[:-1]):
        w = fields.harmonic(j, 1, grid)
        if ref is not None:
            by = divisor(ref.waves[j])[..., None, None, None]
            w = torch.view_as_complex(torch.view_as_real(w) / by)
        real = w.real
        square, modulus2 = real.square(), squared_modulus(w)
        powers = square * real, square.square(), modulus2.square()
        found.append(torch.stack([fields.average(p, j) for p in powers], -1))
    return torch.stack(found, 2).flatten(1)


def _triples(J: int) -> list[tuple[int, int, int]]:
    # half octaves with frequencies of which the highest is the sum of the others
    triples = combinations_with_replacement(range(2 * J + 2), 3)
    return [(h, i, k) for h, i, k in triples if i - h <= 2 + h % 2]


def _bands(fields: Fields, bands: tuple[Tensor, ...], ref: Reference | None) -> Tensor:
    # (B, C, n): each triple on the grid of its finest band
    J, grids, found = fields.plan.J, fields.plan.grids, []
    x_hat = fields.x_hat[:, :, 0]
    octaves = [resize_spectrum(x_hat, grid) * f for grid, f in zip(grids, bands, strict=True)]
    if ref is not None:
        power = [w.square().sum(-1) / (2 if j < J else 1) for j, w in enumerate(ref.waves)]
        by = [divisor(deviation(p))[..., None, None] for p in power]
        octaves = [u / s for u, s in zip(octaves, by, strict=True)]
    triples = _triples(J)
    for j, grid in enumerate(grids):
        if j == 0 or grid != grids[j - 1]:
            first, waves = 2 * j, [ifft(resize_spectrum(u_hat, grid)) for u_hat in octaves[j:]]
            u = torch.stack([part for w in waves for part in (w.real, w.imag)], 2)
            weighted = u
            if fields.plan.masks:
                masks = [fields.mask(k // 2, grid) for k in range(first, 2 * J + 2)]
                weighted = u * torch.stack(masks)
        for h in (2 * j - first, 2 * j + 1 - first):
            of_h = [(i - first - h, k - first - h) for a, i, k in triples if a == first + h]
            rows, columns = zip(*of_h, strict=True)
            pairs = u[:, :, h : h + rows[-1] + 1] * u[:, :, h, None]
            third = pairs.flatten(-2) @ weighted[:, :, h:].flatten(-2).mT
            found.append(third[..., rows, columns] / math.prod(grid))
    return torch.cat(found, 2).flatten(1)


def _scaling(fields: Fields, plan: HarmonicPlan, ref: Reference | None) -> Tensor:
    # (B, C, n_low, 3): covariances of a smoothed signal and of its absolute value
    found = []
    for j, phi_hat in plan.low:
        u = ifft(fields.x_hat[:, :, 0] * phi_hat).real
        j = max(j, 0)
        u = u - fields.average(u, j)[..., None, None]
        if ref is not None:
            u = u / divisor(ref.std)[..., None, None]
        of = u.abs() - fields.average(u.abs(), j)[..., None, None], u
        found.append(torch.stack([fields.average(of[p] * of[q], j) for p, q in _SCALING], -1))
    return torch.stack(found, 2).flatten(1)


def extra_rows(
    J: int, L: int, kurtosis: bool, bands: bool, low: tuple[int, ...], n_channels: int = 1
) -> list[Moment]:
    """Rows of the groups K, B and L, which follow the covariances.

    Parameters
    ----------
    J, L : int
        Numbers of scales and of orientations.
    kurtosis : bool
        Whether there is the group K.
    bands : bool
        Whether there is the group B.
    low : tuple of int
        Scales of the group L.
    n_channels : int, default=1
        Number of channels.

    Returns
    -------
    rows : list of Moment
        One for each.
    """
    rows = [
        Moment("K", j, l, 1, part=part, c1=c, c2=c)
        for c in range(n_channels if kurtosis else 0)
        for j in range(J)
        for l in range(L)
        for part in _KURTOSIS
    ]
    rows += [
        Moment("B", i, j2=j, j3=k, c1=c, c2=c)
        for c in range(n_channels if bands else 0)
        for i, j, k in _triples(J)
    ]
    return rows + [
        Moment("L", j, k1=p, k2=q, c1=c, c2=c)
        for c in range(n_channels)
        for j in low
        for p, q in _SCALING
    ]
