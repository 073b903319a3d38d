r"""Filter banks as plain data, and the wavelet transforms that they define."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from skwave.functional._wavelets.fourier import opposite


class Wavelet(NamedTuple):
    """Scale, orientation, frequency and bandwidth of one wavelet.

    Attributes
    ----------
    j : float
        Log2 scale; a wavelet may be followed by those of larger ``j``.
    theta : int
        Orientation index, 0 in 1-D.
    xi : float
        Centre frequency in cycles per sample.
    sigma : float
        Bandwidth along the wave vector: the standard deviation of the Gaussian, in cycles
        per sample.
    """

    j: float
    theta: int
    xi: float
    sigma: float


@dataclass(frozen=True)
class Bank:
    r"""Wavelets and a low-pass filter on one grid, in the Fourier domain, where they are real.

    Attributes
    ----------
    psi_hat : Tensor, shape ``(n_filters, *shape)``
        Wavelets, in FFT order.
    phi_hat : Tensor, shape ``(*shape,)``
        Low-pass filter.
    wavelets : tuple of Wavelet
        Scale, orientation, frequency and bandwidth of each.
    """

    psi_hat: Tensor
    phi_hat: Tensor
    wavelets: tuple[Wavelet, ...]

    @property
    def shape(self) -> tuple[int, ...]:  # numpydoc ignore=RT01
        """Grid of the filters."""
        return tuple(self.phi_hat.shape)

    @property
    def axes(self) -> tuple[int, ...]:  # numpydoc ignore=RT01
        """Axes of the signal, counted from the last."""
        return tuple(range(-self.phi_hat.ndim, 0))

    def to(self, *args: Any, **kwargs: Any) -> "Bank":
        """Move the filters to another device or dtype.

        Parameters
        ----------
        *args, **kwargs
            Those of `torch.Tensor.to`.

        Returns
        -------
        bank : Bank
            Moved copy.
        """
        psi_hat, phi_hat = self.psi_hat.to(*args, **kwargs), self.phi_hat.to(*args, **kwargs)
        return replace(self, psi_hat=psi_hat, phi_hat=phi_hat)


def littlewood_paley(bank: Bank) -> Tensor:
    r"""Littlewood–Paley sum of a bank, for real signals.

    .. math:: A(\omega) = |\hat\phi(\omega)|^2
       + \frac12 \sum_\lambda |\hat\psi_\lambda(\omega)|^2 + |\hat\psi_\lambda(-\omega)|^2

    Parameters
    ----------
    bank : Bank
        Filters.

    Returns
    -------
    A : Tensor, shape ``(*shape,)``
        :math:`\|Wx\|^2 = \langle A |\hat x|^2 \rangle`: 1 everywhere is an isometry.
    """
    power = bank.psi_hat.square().sum(0)
    return bank.phi_hat.square() + (power + opposite(power, bank.axes)) / 2


def frame_bounds(bank: Bank) -> tuple[float, float]:
    r"""Smallest and largest value of the Littlewood–Paley sum.

    Parameters
    ----------
    bank : Bank
        Filters.

    Returns
    -------
    lower, upper : float
        :math:`a \|x\|^2 \le \|Wx\|^2 \le b \|x\|^2` for every real ``x``.
    """
    lower, upper = littlewood_paley(bank).aminmax()
    return float(lower), float(upper)


def tight_frame(bank: Bank) -> Bank:
    r"""Bank whose Littlewood–Paley sum is 1: every filter divided by :math:`\sqrt A`.

    Parameters
    ----------
    bank : Bank
        Filters; the lower frame bound must be positive.

    Returns
    -------
    tight : Bank
        An isometry: :math:`\|Wx\| = \|x\|` for every real ``x``.
    """
    root = littlewood_paley(bank).sqrt()
    return replace(bank, psi_hat=bank.psi_hat / root, phi_hat=bank.phi_hat / root)


def wavelet_transform(x: Tensor, bank: Bank) -> tuple[Tensor, Tensor]:
    r"""Wavelet transform :math:`Wx = (x\star\phi, (x\star\psi_\lambda)_\lambda)`, periodic.

    Parameters
    ----------
    x : Tensor, shape ``(..., *shape)``
        Real signals on the grid of the bank.
    bank : Bank
        Filters.

    Returns
    -------
    low : Tensor, shape ``(..., *shape)``
        Real, :math:`x \star \phi`.
    high : Tensor, shape ``(..., n_filters, *shape)``
        Complex, :math:`x \star \psi_\lambda` at full resolution.
    """
    x_hat = torch.fft.fftn(x, dim=bank.axes)
    low = torch.fft.ifftn(x_hat * bank.phi_hat, dim=bank.axes).real
    high_hat = x_hat.unsqueeze(-len(bank.axes) - 1) * bank.psi_hat
    return low, torch.fft.ifftn(high_hat, dim=bank.axes)


def inverse_wavelet_transform(low: Tensor, high: Tensor, bank: Bank) -> Tensor:
    r"""Inverse of `wavelet_transform` by the dual frame.

    .. math:: \hat x = \frac{1}{A} \Big( \hat\phi\,\widehat{x\star\phi}
       + \mathrm{H} \sum_\lambda \hat\psi_\lambda\,\widehat{x\star\psi_\lambda} \Big)

    where H keeps the Hermitian part, that of a real signal.

    Parameters
    ----------
    low : Tensor, shape ``(..., *shape)``
        Low frequencies.
    high : Tensor, shape ``(..., n_filters, *shape)``
        Wavelet coefficients.
    bank : Bank
        Filters of the transform; the lower frame bound must be positive.

    Returns
    -------
    x : Tensor, shape ``(..., *shape)``
        Real signals.
    """
    axes = bank.axes
    x_hat = torch.fft.fftn(low, dim=axes) * bank.phi_hat
    x_hat = x_hat + (torch.fft.fftn(high, dim=axes) * bank.psi_hat).sum(-len(axes) - 1)
    return torch.fft.ifftn(x_hat / littlewood_paley(bank), dim=axes).real
