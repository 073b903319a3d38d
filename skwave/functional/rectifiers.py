"""Fourier coefficients of rectifiers of a cosine."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

_SAMPLES = 2**16  # of a cycle, for the coefficients of any function


def rectifier_harmonic(k: int) -> float:
    r"""Fourier coefficient of the rectified cosine.

    .. math:: c_k = \frac{1}{2\pi} \int_0^{2\pi} \max(\cos\alpha, 0)\,e^{-ik\alpha}\,d\alpha
       = \frac{\cos(k\pi/2)}{\pi (1 - k^2)}, \quad c_{\pm 1} = \tfrac14

    Parameters
    ----------
    k : int
        Harmonic.

    Returns
    -------
    c_k : float
        Coefficient; 0 for odd ``abs(k) > 1``.

    Examples
    --------
    >>> round(rectifier_harmonic(0) * math.pi, 12)
    1.0
    """
    if k % 2:
        return 0.25 if abs(k) == 1 else 0.0
    return (-1) ** (k // 2) / (math.pi * (1 - k * k))


def rectifier_harmonics(rho: str | Callable[[Tensor], Tensor], K: int) -> Tensor:
    r"""Fourier coefficients of a nonlinearity of a cosine.

    .. math:: c_k = \frac{1}{2\pi} \int_0^{2\pi} \rho(\cos\alpha)\,e^{-ik\alpha}\,d\alpha

    For a homogeneous :math:`\rho`, one with :math:`\rho(az) = a\rho(z)` for :math:`a > 0`,
    they tie what it does to wavelet coefficients to phase harmonics,
    :math:`\rho(\mathrm{Re}(e^{i\alpha} z)) = \sum_k c_k\, e^{ik\alpha}\, [z]^k`.

    Parameters
    ----------
    rho : {"relu", "abs"} or callable
        :math:`\max(a, 0)` or :math:`|a|`, in closed form; or any function of a tensor, whose
        coefficients come from samples.
    K : int
        Largest harmonic.

    Returns
    -------
    c : Tensor of float64, shape (K + 1,)
        Coefficients of ``k`` from 0 to ``K``; they are real, and even in ``k``.

    References
    ----------
    .. [1] Mallat, S., Zhang, S. and Rochette, G., Phase harmonic correlations and convolutional
       neural networks, Information and Inference 9, 2020, theorem 3.1.

    Examples
    --------
    >>> (rectifier_harmonics("abs", 2) * math.pi).tolist()
    [2.0, 0.0, 0.6666666666666666]
    """
    if callable(rho):
        n = max(_SAMPLES, 4 * K)
        alpha = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
        return torch.fft.rfft(rho(torch.cos(alpha)), norm="forward").real[: K + 1].clone()
    c = torch.tensor([rectifier_harmonic(k) for k in range(K + 1)], dtype=torch.float64)
    if rho == "relu":
        return c
    if rho == "abs":  # |a| is the sum of max(a, 0) and max(-a, 0): odd harmonics cancel
        c[1::2] = 0
        return 2 * c
    raise ValueError(f"rho={rho!r} must be 'relu', 'abs' or a callable.")
