r"""Pointwise nonlinearities of complex wavelet coefficients."""

import math

import torch
from torch import Tensor


def _norm(squares: Tensor) -> Tensor:
    # torch.abs of a complex tensor is several times slower, being safe against overflow
    return torch.add(squares[..., 0], squares[..., 1]).sqrt_()


class _Modulus(torch.autograd.Function):
    @staticmethod
    def forward(z):
        return _norm(torch.view_as_real(z).square())

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, grad):
        (z,) = ctx.saved_tensors
        return grad * torch.sgn(z)


def modulus(z: Tensor, *, overwrite_z: bool = False) -> Tensor:
    r"""Complex modulus :math:`|z|`, with gradient 0 where :math:`z = 0`.

    Parameters
    ----------
    z : Tensor, shape (...)
        Complex tensor.
    overwrite_z : bool, default=False
        Whether ``z`` may serve as scratch memory; it does if it requires no gradient.

    Returns
    -------
    u : Tensor, shape (...)
        Real, non-negative.

    Examples
    --------
    >>> modulus(torch.tensor([3 + 4j, 0j]))
    tensor([5., 0.])
    """
    z = z.resolve_conj()
    if z.requires_grad:
        return _Modulus.apply(z)
    parts = torch.view_as_real(z)
    return _norm(parts.square_() if overwrite_z else parts.square())


def modulus_adjoint(u: Tensor, z: Tensor) -> Tensor:
    r"""Gradient by ``z`` of a function of :math:`|z|`.

    Parameters
    ----------
    u : Tensor, shape (...)
        Gradient by the modulus.
    z : Tensor, shape (...)
        Complex tensor.

    Returns
    -------
    gradient : Tensor, shape (...)
        :math:`u\, z / |z|`, and 0 where :math:`z = 0`.
    """
    parts = torch.view_as_real(z)
    gradient = parts.square()
    scale = _norm(gradient).clamp_(min=torch.finfo(u.dtype).tiny)
    torch.div(u, scale, out=scale)
    return torch.view_as_complex(torch.mul(parts, scale[..., None], out=gradient))


def phases(n_phases: int) -> list[float]:
    r"""Regular grid of phases :math:`\alpha_a = 2\pi a / A`, in radians.

    Parameters
    ----------
    n_phases : int
        Number of phases :math:`A`.

    Returns
    -------
    alpha : list of float
        Phases.
    """
    return [2 * math.pi * a / n_phases for a in range(n_phases)]


def rectifier(z: Tensor, n_phases: int) -> Tensor:
    r"""Rectified real part of ``z`` at a regular grid of phases.

    .. math:: \rho(\mathrm{Re}(e^{i\alpha} z)) = |z|\,\rho(\cos(\alpha + \arg z)),
       \quad \rho(a) = \max(a, 0)

    Its Fourier series along :math:`\alpha` gives the phase harmonics of ``z``
    (`rectifier_harmonic`).

    Parameters
    ----------
    z : Tensor, shape (..., h, w)
        Complex tensor.
    n_phases : int
        Number of phases.

    Returns
    -------
    u : Tensor, shape (..., n_phases, h, w)
        Real, non-negative.
    """
    real, imag = z.real, z.imag
    maps = [math.cos(a) * real - math.sin(a) * imag for a in phases(n_phases)]
    return torch.stack(maps, -3).relu()


def rectifier_adjoint(u: Tensor, z: Tensor) -> Tensor:
    r"""Gradient by ``z`` of a function of its `rectifier`.

    Parameters
    ----------
    u : Tensor, shape (..., n_phases, h, w)
        Gradient by the rectified parts.
    z : Tensor, shape (..., h, w)
        Complex tensor.

    Returns
    -------
    gradient : Tensor, shape (..., h, w)
        :math:`\sum_\alpha u_\alpha e^{-i\alpha}` over the parts that are positive.
    """
    alpha = u.new_tensor(phases(u.shape[-3]))
    u = u * (rectifier(z, len(alpha)) > 0)
    parts = (torch.einsum("...ahw,a->...hw", u, f(alpha)) for f in (torch.cos, torch.sin))
    real, imag = parts
    return torch.complex(real, -imag)


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
