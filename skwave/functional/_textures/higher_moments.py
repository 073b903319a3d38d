"""Moments beside covariances: of order 3 and 4, of bands of frequencies, and of scaling."""

import math
from itertools import combinations_with_replacement

import torch
from torch import Tensor

from skwave.functional._textures.covariances import Moment
from skwave.functional._textures.fields import FieldPlan, Fields, Reference, deviation, divisor
from skwave.functional._wavelets.bump import gaussian_spectrum
from skwave.functional._wavelets.fourier import ifft, opposite, resize_spectrum
from skwave.functional._wavelets.nonlinearity import squared_modulus

_WIDTH = 1 / (0.496 * 2**-0.55 * 0.85 * math.pi)  # of pywph's low-pass at scale 0, in samples
_CENTRE = 0.85 * math.pi  # of the wavelets of scale 0
_KURTOSIS = ("re3", "re4", "abs4")
_SCALING = ((0, 0), (0, 1), (1, 1))


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


def kurtosis_moments(fields: Fields, ref: Reference | None) -> Tensor:
    """Third and fourth moments of wavelet coefficients, group K.

    Parameters
    ----------
    fields : Fields
        Wavelet fields.
    ref : Reference or None
        Whose deviations divide; None for none.

    Returns
    -------
    m : Tensor, shape (B, C * J * L * 3)
        In the order of `extra_rows`.
    """
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


def band_moments(fields: Fields, bands: tuple[Tensor, ...], ref: Reference | None) -> Tensor:
    """Third moments of bands, group B, each on the grid of its finest band.

    Parameters
    ----------
    fields : Fields
        Wavelet fields.
    bands : tuple of Tensor
        Made by `band_filters`.
    ref : Reference or None
        Whose deviations divide; None for none.

    Returns
    -------
    m : Tensor, shape (B, C * n_triples)
        In the order of `extra_rows`.
    """
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


def scaling_moments(
    fields: Fields, low: tuple[tuple[int, Tensor], ...], ref: Reference | None
) -> Tensor:
    """Covariances of the smoothed signal and of its absolute value, group L.

    Parameters
    ----------
    fields : Fields
        Wavelet fields.
    low : tuple of (int, Tensor)
        Made by `low_filters`.
    ref : Reference or None
        Whose deviations divide; None for none.

    Returns
    -------
    m : Tensor, shape (B, C * n_low * 3)
        In the order of `extra_rows`.
    """
    found = []
    for j, phi_hat in low:
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
