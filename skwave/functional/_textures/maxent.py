r"""Microcanonical maximum-entropy fields: start, coordinates and objective of the descent."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from skwave.functional._textures.fields import FieldPlan
from skwave.functional._textures.statistics import windowed
from skwave.functional._wavelets.fourier import fft, ifft, opposite, resize_spectrum, wavenumbers

Shape = tuple[int, int]
_CHANCE = 0.05  # size of normalised moments that vanish but for chance
_FLOOR = 1e-6  # of the squared gain of a conditioner, relative to its mean


def _radii(shape: Shape) -> Tensor:
    # distances from frequency 0, in the step of the longest side, rounded
    longest = max(shape)
    y, x = (wavenumbers(n).to(torch.float64) * longest / n for n in shape)
    return torch.hypot(y[:, None], x).round().long()


def smoothed_spectrum(
    x: Tensor, plan: FieldPlan, *, periodic: bool = True, batch_size: int | None = None
) -> Tensor:
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
    batch_size : int, default=None
        Realisations at once; None for all.

    Returns
    -------
    P : Tensor, shape (C, H, W)
        Average of :math:`|\hat x|^2`; its sum is the variance. 0 at frequency 0.
    """
    power = x.new_zeros(x.shape[1:])
    for part in x.split(batch_size or len(x)):
        power = power + fft(windowed(part, periodic)).abs().square().sum(0) / len(x)
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


class MomentDistance:
    r"""Distance of moments to a target, in which all groups of moments count the same.

    .. math:: E(x) = \frac1G \sum_g \frac{\sum_{m\in g} h(d_m)}
       {\sum_{m\in g} (w_m^2 t_m^2 + \varepsilon^2)}, \qquad
       d_m = w_m (\phi_m(x) - t_m), \quad w_m = (1 + t_m^2)^{-1/2}, \quad
       h(d) = 2\sqrt{1 + d^2} - 2

    over :math:`G` groups, with :math:`\varepsilon = 0.05`. Where it is small it is the mean over
    groups of relative squared distances, as :math:`h(d) \approx d^2`. Covariances that are divided
    by deviations are at most 1, but third and fourth moments of heavy tails are not bounded, and
    known to a share of themselves at best: :math:`w` makes large ones relative. Moments of a group
    may all vanish but for chance: :math:`\varepsilon` is the size that they are compared with. And
    noise may have a band that the target has not: :math:`h` grows with the distance, not with
    its square, so that fourth moments there do not hide all others.

    Parameters
    ----------
    target : Tensor, shape (M,) or (B, M)
        Moments :math:`t` to be reached, by all rows or by each.
    labels : sequence of str, length M
        Group of each moment.

    Examples
    --------
    >>> distance = MomentDistance(torch.tensor([1.0, 1.0, 2000.0]), ["S11", "S11", "K"])
    >>> distance(torch.tensor([[1.0, 1.0, 2000.0], [1.1, 1.1, 2000.0], [1.0, 1.0, 2200.0]]))
    tensor([0.0000, 0.0050, 0.0050])
    """

    def __init__(self, target: Tensor, labels: Sequence[str]):
        self.target, square = target, target.square()
        names = list(dict.fromkeys(labels))
        group = torch.tensor([names.index(label) for label in labels], device=target.device)
        self.w = (1 + square).rsqrt()
        terms = self.w.square() * square + _CHANCE**2
        size = terms.new_zeros(*terms.shape[:-1], len(names)).index_add(-1, group, terms)
        self.share = 1 / (len(names) * size[..., group])

    def __call__(self, moments: Tensor) -> Tensor:
        """Distances of moments.

        Parameters
        ----------
        moments : Tensor, shape (B, M)
            Moments.

        Returns
        -------
        distance : Tensor, shape (B,)
            0 for the target.
        """
        d = (moments - self.target) * self.w
        square = d.square()
        h = 2 * square / (1 + (1 + square).sqrt())  # a difference would round small ones away
        return (h * self.share).sum(-1)


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
