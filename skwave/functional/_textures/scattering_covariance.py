r"""Scattering covariances, also called scattering spectra: moduli seen by a second wavelet."""

import torch
from torch import Tensor

from skwave.functional._textures.fields import FieldPlan, Fields, divisor, index_on, wave_deviation
from skwave.functional._textures.moments import Batch, Moment, MomentGroup, MomentLayout
from skwave.functional._wavelets.nonlinearity import safe_sqrt, squared_modulus


class ScatteringCovariance(MomentGroup):
    """Group of the scattering covariances S1 to S4."""

    name = "scattering_covariance"
    labels = ("S1", "S2", "S3", "S4")
    alone = True

    def channel_rows(self, layout: MomentLayout) -> list[Moment]:
        return scattering_covariance_rows(layout.J, layout.L)

    def values(self, batch: Batch, filters: tuple[Tensor, ...]) -> Tensor:
        mean, waves = (None, None) if batch.ref is None else (batch.ref.mean, batch.ref.waves)
        return scattering_covariance(batch.x, batch.plan, mean, waves, normalize=batch.normalize)


scattering = ScatteringCovariance()


def _parts(c: Tensor, real: tuple[bool, ...]) -> Tensor:
    # (B, C, n) complex -> (B, C, m) real, without the imaginary parts that are 0
    keep = tuple(2 * i + k for i, r in enumerate(real) for k in range(1 if r else 2))
    return torch.stack((c.real, c.imag), -1).flatten(-2).index_select(-1, index_on(keep, c.device))


def _triangle(J: int, L: int) -> list[tuple[int, int, int, int]]:
    # (j1, l1, j2, l2) of the scales up to J, each pair once
    waves = [(j, l) for j in range(J) for l in range(L)]
    return [(*a, *b) for i, a in enumerate(waves) for b in waves[i:]]


def scattering_covariance(
    x: Tensor,
    plan: FieldPlan,
    mean: Tensor | None = None,
    waves: list[Tensor] | None = None,
    *,
    normalize: bool = True,
) -> Tensor:
    r"""Scattering covariances of signals.

    .. math:: S_1 = \frac{\langle|x\star\psi_\lambda|\rangle}{\sigma_\lambda}, \quad
       S_2 = \frac{\langle|x\star\psi_\lambda|^2\rangle}{\sigma^2}, \quad
       S_3 = \frac{\langle |x\star\psi_\lambda|\star\psi_{\lambda_3}\,
       (x\star\psi_{\lambda_3})^*\rangle}{\sigma_\lambda\sigma_{\lambda_3}}, \quad
       S_4 = \frac{\langle |x\star\psi_\lambda|\star\psi_{\lambda_3}\,
       (|x\star\psi_{\lambda'}|\star\psi_{\lambda_3})^*\rangle}
       {\sigma_\lambda\sigma_{\lambda'}}

    for :math:`j \le j' \le j_3`, with :math:`\sigma_\lambda^2 =
    \langle|x\star\psi_\lambda|^2\rangle`.

    Parameters
    ----------
    x : Tensor, shape (B, C, H, W)
        Real signals; each channel by itself.
    plan : FieldPlan
        Made by `field_plan`.
    mean : Tensor, shape (C,), default=None
        Mean to subtract; None for that of each signal.
    waves : list of Tensor, shape (C, L), default=None
        Deviations :math:`\sigma_\lambda` of a field, by which all is divided, :math:`S_2` by
        :math:`\sigma_\lambda^2`. None for those of each signal, and its variance
        :math:`\sigma^2`.
    normalize : bool, default=True
        Whether to divide by deviations.

    Returns
    -------
    m : Tensor, shape (B, n_moments)
        Real, in the order of `scattering_covariance_rows`.

    References
    ----------
    .. [1] Cheng, S., Morel, R., Allys, E., Ménard, B. and Mallat, S., Scattering spectra models
       for physics, PNAS Nexus 3, 2024.
    """
    fields = Fields(x, plan, mean)
    J = plan.J
    powers, means = [], []  # (B, C, L) of each scale
    for j in range(J):
        w = fields.harmonic(j, 1, plan.fine(j))
        powers.append(fields.average(squared_modulus(w), j))
        means.append(fields.average(fields.envelope(w), j))
    sigma = over = None  # what S1, S3 and S4 are divided by, and S2
    if normalize and waves is None:
        total = safe_sqrt((x - x.mean((-2, -1), keepdim=True)).square().mean((-2, -1)))
        floored = zip(powers, plan.gains, strict=False)
        sigma = torch.stack([divisor(wave_deviation(p, total, g)) for p, g in floored], -2)
        over = divisor(total)[..., None, None]
    elif normalize and waves is not None:
        sigma = over = torch.stack([divisor(s) for s in waves[:J]], -2)
    first, second = torch.stack(means, -2), torch.stack(powers, -2)  # (B, C, J, L)
    if sigma is not None and over is not None:
        first, second = first / sigma, second / over / over  # a product may underflow
    found = [first.flatten(2), second.flatten(2)]
    for j3 in range(J):
        found += _at_scale(fields, j3, sigma)
    return torch.cat(found, -1).flatten(1)


def _at_scale(fields: Fields, j3: int, sigma: Tensor | None) -> list[Tensor]:
    # S3 and S4 whose last wavelet has the scale j3. By Plancherel's formula means of products are
    # sums of products of spectra, all on the grid of j3. `left` has the mask of j3, if there is
    # one; n = (j3 + 1) L moduli of the scales up to j3.
    grid, psi = fields.plan.grids[j3], fields.plan.filters[j3][..., 0]
    moduli, left = (
        torch.cat([fields.spectrum(j, 0, grid, scale) for j in range(j3 + 1)], 2).flatten(-2)
        for scale in (None, j3)
    )  # (B, C, n, h * w)
    # the wavelet of the modulus is taken to this side, as it is real in Fourier: (B, C, L, h, w)
    w = fields.wavelet_spectrum(j3) * psi
    if sigma is not None:
        by = sigma[..., : j3 + 1, :].flatten(-2)[..., None]
        moduli, left = moduli / by, left / by
        w = w / sigma[..., j3, :, None, None]
    third = left @ w.flatten(-2).mH  # (B, C, n, L)
    n, L = third.shape[-2:]
    pairs = [(a, b) for a in range(n) for b in range(a, n)]  # the others are the conjugates
    at, equal = (
        index_on(tuple(a * n + b for a, b in pairs), psi.device),
        tuple(a == b for a, b in pairs),
    )
    fourth = [((left * p.flatten().square()) @ moduli.mH).flatten(-2) for p in psi]
    return [
        _parts(third.flatten(-2), (False,) * (n * L)),
        *(_parts(c.index_select(-1, at), equal) for c in fourth),
    ]


def scattering_covariance_rows(J: int, L: int, n_channels: int = 1) -> list[Moment]:
    """Table rows of the moments of `scattering_covariance`.

    Parameters
    ----------
    J, L : int
        Numbers of scales and of orientations.
    n_channels : int, default=1
        Number of channels.

    Returns
    -------
    rows : list of Moment
        One row for each moment.
    """
    rows = [Moment("S1", j, l, 0) for j in range(J) for l in range(L)]
    rows += [Moment("S2", j, l, 0, j, l, 0) for j in range(J) for l in range(L)]
    for j3 in range(J):
        rows += [
            Moment("S3", j, l, 0, j3, l3, 1, part=part)
            for j in range(j3 + 1)
            for l in range(L)
            for l3 in range(L)
            for part in ("re", "im")
        ]
        rows += [
            Moment("S4", j1, l1, 0, j2, l2, 0, part=part, j3=j3, l3=l3)
            for l3 in range(L)
            for j1, l1, j2, l2 in _triangle(j3 + 1, L)
            for part in ([""] if (j1, l1) == (j2, l2) else ["re", "im"])
        ]
    return [row._replace(c1=c, c2=c) for c in range(n_channels) for row in rows]
