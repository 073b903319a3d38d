r"""Microcanonical maximum-entropy fields: start, coordinates and objective of the descent."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from skwave.functional._textures.fields import FieldPlan
from skwave.functional._textures.statistics import windowed
from skwave.functional._wavelets.fourier import fft, ifft, opposite, resize_spectrum, wavenumbers

Shape = tuple[int, int]
_FLOOR = 1e-6  # of the squared gain of a conditioner, relative to its mean


def _radii(shape: Shape) -> Tensor:
    # distances from frequency 0, in the step of the longest side, rounded
    longest = max(shape)
    y, x = (wavenumbers(n).to(torch.float64) * longest / n for n in shape)
    return torch.hypot(y[:, None], x).round().long()


def smoothed_spectrum(x: Tensor, plan: FieldPlan, *, periodic: bool = True) -> Tensor:
    r"""Power spectrum of a field, smoothed to the resolution of wavelets in scale and orientation.

    .. math:: P(\omega) = R(|\omega|)\, \frac{\sum_\lambda r_\lambda |\hat\psi_\lambda(\omega)|^2}
       {\sum_\lambda |\hat\psi_\lambda(\omega)|^2}, \qquad
       r_\lambda = \frac{\sum_\omega |\hat x|^2 |\hat\psi_\lambda|^2}
       {\sum_\omega R\,|\hat\psi_\lambda|^2}

    with :math:`R` the average of the periodogram over rings.

    Parameters
    ----------
    x : Tensor, shape (B, C, H, W)
        Realisations of a field.
    plan : FieldPlan
        Gives the wavelets; those that end within the grid of the signals.
    periodic : bool, default=True
        Whether the fields are; else they are multiplied by a Hann window.

    Returns
    -------
    P : Tensor, shape (C, H, W)
        Average of :math:`|\hat x|^2`; its sum is the variance. 0 at frequency 0.
    """
    power = fft(windowed(x, periodic)).abs().square().mean(0)
    shape = x.shape[-2], x.shape[-1]
    radii = _radii(shape).to(x.device).flatten()
    counts = torch.bincount(radii).to(power)
    rings = power.new_zeros(len(power), len(counts)).index_add_(1, radii, power.flatten(1))
    ring = (rings / counts.clamp_min(1))[:, radii].view(power.shape)
    weight = power.new_full(power.shape[1:], 1e-6)  # where there are no wavelets: the rings alone
    turned = weight * ring
    for filters in plan.filters[:-1]:
        for psi in filters[..., 0]:
            square = resize_spectrum(psi.square(), shape)
            square = square + opposite(square)
            total = (ring * square).sum((-2, -1), keepdim=True)
            ratio = (power * square).sum((-2, -1), keepdim=True) / total.clamp_min(
                torch.finfo(total.dtype).tiny
            )
            turned = turned + ratio * square * ring
            weight = weight + square
    return turned / weight


def resample_spectrum(P: Tensor, shape: Shape) -> Tensor:
    """Smooth power spectrum interpolated to the frequencies of another grid.

    Parameters
    ----------
    P : Tensor, shape (..., H, W)
        Spectrum whose sum is the variance.
    shape : (int, int)
        Other grid.

    Returns
    -------
    Q : Tensor, shape ``(..., *shape)``
        Linear interpolation, of about the same sum.
    """
    for axis, n in zip((-2, -1), shape, strict=True):
        size = P.shape[axis]
        if size != n:
            k = wavenumbers(n, device=P.device).to(torch.float64) * size / n
            low = k.floor()
            share = (k - low).to(P).view([-1] + [1] * (-1 - axis))
            low = low.long()
            P = P.index_select(axis, low % size) * (1 - share) + share * P.index_select(
                axis, (low + 1) % size
            )
            P = P * (size / n)
    return P


def gaussian_field(noise: Tensor, P: Tensor) -> Tensor:
    r"""Gaussian field that has a given power spectrum.

    Parameters
    ----------
    noise : Tensor, shape (..., H, W)
        White noise of variance 1.
    P : Tensor, shape (..., H, W)
        Power spectrum, even, whose sum is the variance.

    Returns
    -------
    x : Tensor, shape (..., H, W)
        Field.
    """
    return ifft(fft(noise) * (P * math.prod(P.shape[-2:])).sqrt()).real


def conditioner(
    P: Tensor, ndim: int
) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    r"""Coordinates in which the scales of a field are equally easy to move.

    .. math:: \hat x(\omega) = g(\omega)\, \hat w(\omega), \qquad
       g(\omega)^2 \propto P(\omega)\, |\omega|^d

    Moments of a scale that are normalised by its variance are averages over about
    :math:`|\omega|^d` waves, and each wave moves them by its own share. In :math:`w` these
    shares are equal, whatever the spectrum.

    Parameters
    ----------
    P : Tensor, shape (C, H, W)
        Smooth power spectrum of each channel.
    ndim : {1, 2}
        Dimension :math:`d` of the signals.

    Returns
    -------
    to_field, from_field : callable
        Tensor (B, C, H, W) -> Tensor (B, C, H, W): :math:`w \mapsto x`, and its inverse.
    """
    shape = P.shape[-2:]
    y, x = (wavenumbers(n, device=P.device).to(P.dtype) / n for n in shape)
    radius = torch.hypot(y[:, None], x)
    radius[0, 0] = 1 / max(shape)
    square = P * radius**ndim
    mean = square.mean((-2, -1), keepdim=True)
    g = (square / mean + _FLOOR).sqrt()
    g[..., 0, 0] = 1
    g = g[..., : shape[1] // 2 + 1]

    def to_field(w: Tensor) -> Tensor:  # numpydoc ignore=GL08
        return torch.fft.irfft2(torch.fft.rfft2(w) * g, s=shape)

    def from_field(x: Tensor) -> Tensor:  # numpydoc ignore=GL08
        return torch.fft.irfft2(torch.fft.rfft2(x) / g, s=shape)

    return to_field, from_field


def moment_distance(
    moments: Callable[[Tensor], Tensor], target: Tensor
) -> Callable[[Tensor], Tensor]:
    r"""Relative squared distance of moments to a target, :math:`\|\phi(x) - t\|^2 / \|t\|^2`.

    Parameters
    ----------
    moments : callable
        Tensor (B, ...) -> Tensor (B, M).
    target : Tensor, shape (M,) or (B, M)
        Moments :math:`t`, of all rows or of each.

    Returns
    -------
    energy : callable
        Tensor (B, ...) -> Tensor (B,).
    """
    norm = target.square().sum(-1).clamp_min(torch.finfo(target.dtype).tiny)

    def energy(x: Tensor) -> Tensor:  # numpydoc ignore=GL08
        return (moments(x) - target).square().sum(1) / norm

    return energy
