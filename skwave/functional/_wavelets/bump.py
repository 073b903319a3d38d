r"""Bump-steerable wavelets, which are compact in frequency: a coarse grid holds them exactly."""

import math
from itertools import product

import torch
from torch import Tensor

from skwave.functional._wavelets.bank import Bank, Wavelet
from skwave.functional._wavelets.fourier import wavenumbers

_XI = 0.85 * math.pi  # centre frequency of the first scale, in radians per sample
_GAIN = 1.29
# width in samples of the low-pass over 2**(J-1) / _XI, as Zhang and Mallat have it
_LOW = 0.702 * 2**-0.55 * math.sqrt(2)


def bump(r: Tensor, xi: float) -> Tensor:
    r"""Smooth window around a frequency, 0 outside of :math:`(0, 2\xi)`.

    .. math:: b(r) = \exp\Big({-\frac{(r - \xi)^2}{\xi^2 - (r - \xi)^2}}\Big)

    Parameters
    ----------
    r : Tensor
        Frequencies.
    xi : float
        Centre, in the unit of ``r``.

    Returns
    -------
    b : Tensor, shape of ``r``
        Window; 1 at ``xi``.
    """
    square = (r - xi).square()
    inside = (r > 0) & (square < xi**2)
    return torch.where(inside, torch.exp(-square / (xi**2 - square).clamp_min(1e-300)), 0.0)


def steerable_gain(L: int) -> float:
    r"""Constant of bump-steerable wavelets, :math:`2^{L-1} (L-1)! / (1.29 \sqrt{L\,(2L-2)!})`.

    Parameters
    ----------
    L : int
        Number of orientations in :math:`[0, \pi)`.

    Returns
    -------
    c : float
        Constant.
    """
    root = math.sqrt(L * math.factorial(2 * L - 2))
    return 2 ** (L - 1) * math.factorial(L - 1) / (_GAIN * root)


def low_pass_width(J: int) -> float:
    r"""Width of the low-pass :math:`\phi_J`, a Gaussian, in samples.

    Parameters
    ----------
    J : int
        Number of scales.

    Returns
    -------
    sigma : float
        Its standard deviation.
    """
    return 2 ** (J - 1) / (_LOW * _XI)


def _aliases(n: int, n_periods: int = 1) -> Tensor:
    # frequencies of the bins in radians per sample, and those that alias to them: shape
    # (2 * n_periods + 1, n), a row for each period of 2 pi
    w = 2 * math.pi / n * wavenumbers(n).double()
    periods = torch.arange(-n_periods, n_periods + 1, dtype=torch.float64)
    return w + 2 * math.pi * periods[:, None]


def bump_2d(shape: tuple[int, int], J: int, L: int) -> Bank:
    r"""Bump-steerable wavelets of an image, and their Gaussian low-pass.

    .. math:: \hat\psi_{j,\ell}(\omega) = c\, b_j(|\omega|)\,
       \cos(\arg\omega - \theta_\ell)^{L-1}\, 1_{|\arg\omega - \theta_\ell| < \pi/2},
       \qquad \theta_\ell = \pi\ell/L

    with `bump` around :math:`\xi_j = 0.85\,\pi\,2^{-j}`, made periodic. Angles run from the
    second axis, the columns, to the first.

    Parameters
    ----------
    shape : (int, int)
        Grid ``(H, W)``.
    J : int
        Number of scales, an octave apart.
    L : int
        Number of orientations in :math:`[0, \pi)`.

    Returns
    -------
    bank : Bank
        Filters in float64, scale after scale, orientations within.

    References
    ----------
    .. [1] Zhang, S. and Mallat, S., Maximum entropy models from phase harmonic covariances,
       Appl. Comput. Harmon. Anal. 53, 2021, appendix.

    Examples
    --------
    >>> bank = bump_2d((32, 32), J=3, L=4)
    >>> bank.psi_hat.shape
    torch.Size([12, 32, 32])
    """
    rows, columns = (_aliases(n) for n in shape)
    psi_hat = torch.zeros(J, L, *shape, dtype=torch.float64)
    for wy, wx in product(rows, columns):
        wy, wx = wy[:, None], wx[None]
        radius, angle = torch.hypot(wy, wx), torch.atan2(wy, wx)
        if float(radius.min()) >= 2 * _XI:
            continue
        rings = [bump(radius, _XI / 2**j) for j in range(J)]
        for l in range(L):
            cosine = torch.cos(angle - math.pi * l / L)
            # exactly: cos of pi/2 is not 0 in floating point
            steering = torch.where(cosine > 1e-14, cosine ** (L - 1), 0.0)
            for j in range(J):
                psi_hat[j, l] += rings[j] * steering
    psi_hat *= steerable_gain(L)
    phi_hat = gaussian_spectrum(shape, low_pass_width(J))
    wavelets = tuple(Wavelet(j, l, 0.425 / 2**j, 0.0) for j, l in product(range(J), range(L)))
    return Bank(psi_hat.flatten(0, 1), phi_hat, wavelets)


def bump_1d(n: int, J: int) -> Bank:
    r"""Bump wavelets of a signal, analytic, and their Gaussian low-pass.

    .. math:: \hat\psi_j(\omega) = c\, b_j(\omega)

    with `bump` around :math:`\xi_j = 0.85\,\pi\,2^{-j}`, made periodic, and the constant of
    one orientation.

    Parameters
    ----------
    n : int
        Number of samples of the grid.
    J : int
        Number of scales, an octave apart.

    Returns
    -------
    bank : Bank
        Filters in float64.

    Examples
    --------
    >>> bump_1d(64, J=3).psi_hat.shape
    torch.Size([3, 64])
    """
    w = _aliases(n)
    psi_hat = steerable_gain(1) * torch.stack([bump(w, _XI / 2**j).sum(0) for j in range(J)])
    wavelets = tuple(Wavelet(j, 0, 0.425 / 2**j, 0.0) for j in range(J))
    return Bank(psi_hat, gaussian_spectrum((n, 1), low_pass_width(J))[:, 0], wavelets)


def gaussian_spectrum(shape: tuple[int, int], sigma: float) -> Tensor:
    r"""Fourier transform of a sampled Gaussian, :math:`e^{-\sigma^2|\omega|^2/2}`, periodic.

    Parameters
    ----------
    shape : (int, int)
        Grid; along an axis of one sample there is no frequency.
    sigma : float
        Width in samples.

    Returns
    -------
    g_hat : Tensor of float64, shape ``shape``
        In FFT order.
    """
    y, x = (
        torch.exp(-0.5 * (sigma * _aliases(n, 2)).square()).sum(0)
        if n > 1
        else torch.ones(1, dtype=torch.float64)
        for n in shape
    )
    return y[:, None] * x
