r"""Scattering covariances, also called scattering spectra: moduli seen by a second wavelet."""

import torch
from torch import Tensor

from skwave.functional._textures.covariances import Moment
from skwave.functional._textures.fields import FieldPlan, Fields, deviation, divisor
from skwave.functional._wavelets.nonlinearity import squared_modulus


def _parts(c: Tensor, real: list[bool]) -> Tensor:
    # (B, C, n) complex -> (B, C, m) real, without the imaginary parts that are 0
    keep = torch.tensor([part for r in real for part in (True, not r)])
    return torch.stack((c.real, c.imag), -1).flatten(-2)[..., keep]


def _triangle(J: int, L: int) -> list[tuple[int, int, int, int]]:
    # (j1, l1, j2, l2) of the scales up to J, each pair once
    waves = [(j, l) for j in range(J) for l in range(L)]
    return [(*a, *b) for i, a in enumerate(waves) for b in waves[i:]]


def scattering_covariance(
    x: Tensor, plan: FieldPlan, mean: Tensor | None = None, waves: list[Tensor] | None = None
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
    J, L = plan.J, plan.L
    powers, means = [], []
    for j, grid in enumerate(plan.grids[:J]):
        w = fields.harmonic(j, 1, grid)
        powers.append(fields.average(squared_modulus(w), j))
        means.append(fields.average(fields.envelope(w), j))
    if waves is None:
        sigma = [divisor(deviation(p)) for p in powers]
        total = deviation((x - x.mean((-2, -1), keepdim=True)).square().mean((-2, -1)))
        over = [divisor(total)[..., None]] * J
    else:
        sigma = over = [divisor(s) for s in waves[:J]]
    found = [torch.stack([m / s for m, s in zip(means, sigma, strict=True)], 2).flatten(2)]
    found.append(torch.stack([p / s / s for p, s in zip(powers, over, strict=True)], 2).flatten(2))
    for j3 in range(J):
        found += _at_scale(fields, j3, torch.cat(list(sigma[: j3 + 1]), -1), L)
    return torch.cat(found, -1).flatten(1)


def _at_scale(fields: Fields, j3: int, sigma: Tensor, L: int) -> list[Tensor]:
    # S3 and S4 whose last wavelet has the scale j3
    grid, psi = fields.plan.grids[j3], fields.plan.filters[j3][..., 0]
    moduli, left = (
        torch.cat([fields.spectrum(j, 0, grid, scale) for j in range(j3 + 1)], 2).flatten(-2)
        / sigma[..., None]
        for scale in (None, j3)
    )
    n = moduli.shape[2]
    w = fields.wavelet_spectrum(j3) * psi / sigma[..., -L:, None, None]
    third = left @ w.flatten(-2).mH
    rows, columns = torch.triu_indices(n, n)
    fourth = [((left * p.flatten().square()) @ moduli.mH)[..., rows, columns] for p in psi]
    equal = (rows == columns).tolist()
    return [_parts(third.flatten(-2), [False] * (n * L)), *(_parts(c, equal) for c in fourth)]


def scattering_covariance_rows(J: int, L: int, n_channels: int = 1) -> list[Moment]:
    """Table of the moments of `scattering_covariance`.

    Parameters
    ----------
    J, L : int
        Numbers of scales and of orientations.
    n_channels : int, default=1
        Number of channels.

    Returns
    -------
    rows : list of Moment
        One for each.
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
