r"""Nonlinearities of complex wavelet coefficients, point by point, and the safe square root."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def safe_sqrt(x: Tensor) -> Tensor:
    r"""Square root whose derivatives, of any order, are 0 where :math:`x = 0`.

    Parameters
    ----------
    x : Tensor, shape (...)
        Real, not negative.

    Returns
    -------
    y : Tensor, shape (...)
        :math:`\sqrt x`.

    Examples
    --------
    >>> x = torch.tensor([0.0, 4.0], requires_grad=True)
    >>> safe_sqrt(x).sum().backward()
    >>> x.grad
    tensor([0.0000, 0.2500])
    """
    zero = x == 0
    return torch.where(zero, 0.0, torch.where(zero, 1.0, x).sqrt())


def power_of_two(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    r"""Powers of two next to the largest magnitudes, by which samples can be divided exactly.

    Squares of what is left neither overflow nor vanish: what is homogeneous, as the modulus is, is
    computed of :math:`x / c` and multiplied by :math:`c`, for samples of any scale.

    Parameters
    ----------
    x : Tensor, shape (...)
        Real samples.
    axes : tuple of int
        Axes of a sample.

    Returns
    -------
    c : Tensor
        Shape of ``x`` with one in place of ``axes``, without a graph; 1 where ``x`` is 0, and
        within what has an inverse.

    Examples
    --------
    >>> power_of_two(torch.tensor([[3e20, 1.0], [0.0, -5.0]]), (-1,)).log2().tolist()
    [[68.0], [2.0]]
    """
    largest = torch.linalg.vector_norm(x.detach(), math.inf, dim=axes, keepdim=True)
    mantissa, _ = torch.frexp(largest)  # in [0.5, 1): the quotient is a power of two, exactly
    tiny = torch.finfo(x.dtype).tiny
    return torch.where(largest > 0, largest / (2 * mantissa), 1.0).clamp_(tiny, 1 / tiny)


def _norm(squares: Tensor) -> Tensor:
    # root of the sum of the squares of real and imaginary part, shape (..., 2) -> (...);
    # torch.abs of a complex tensor is several times slower, being safe against overflow
    return torch.add(squares[..., 0], squares[..., 1]).sqrt_()


def _scaled(z: Tensor, u: Tensor) -> Tensor:
    # complex times real, which torch would make complex first
    return torch.view_as_complex(torch.view_as_real(z) * u[..., None])


class _SquaredModulus(torch.autograd.Function):
    @staticmethod
    def forward(z: Tensor) -> Tensor:
        squares = torch.view_as_real(z).square()
        return squares[..., 0] + squares[..., 1]  # quicker than a sum over an axis of two

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (z,) = ctx.saved_tensors
        return _scaled(z, 2 * grad)


def squared_modulus(z: Tensor) -> Tensor:
    r"""Squared modulus :math:`|z|^2`.

    Parameters
    ----------
    z : Tensor, shape (...)
        Complex tensor.

    Returns
    -------
    u : Tensor, shape (...)
        Real.
    """
    return _SquaredModulus.apply(z.resolve_conj())


class _Modulus(torch.autograd.Function):
    @staticmethod
    def forward(z: Tensor) -> Tensor:
        return _norm(torch.view_as_real(z).square())

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (z,) = ctx.saved_tensors
        return _scaled(torch.sgn(z), grad)


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
        :math:`u\, z / |z|`, and towards 0 where :math:`|z|^2` is less than the smallest number.
    """
    parts = torch.view_as_real(z)
    gradient = parts.square()
    scale = _norm(gradient).clamp_(min=torch.finfo(u.dtype).tiny ** 0.5)
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


class _PhaseHarmonic(torch.autograd.Function):
    @staticmethod
    def forward(z: Tensor, k: int) -> Tensor:
        r = _norm(torch.view_as_real(z).square())
        unit = _scaled(z, 1 / r.clamp(min=torch.finfo(r.dtype).tiny ** 0.5))
        while k % 2 == 0:
            k //= 2
            torch.mul(unit, unit, out=unit)
        power = unit
        while k := k // 2:
            unit = unit * unit
            if k % 2:
                power = power * unit
        torch.view_as_real(power).mul_(r[..., None])
        return power

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.k = inputs[1]
        ctx.save_for_backward(inputs[0], output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        # d[z]^k: the modulus changes as that of z, the phase k times as much
        z, out = ctx.saved_tensors
        h = torch.conj_physical(grad) * out
        torch.view_as_real(h)[..., 1].mul_(-ctx.k)
        squares = squared_modulus(z)
        return _scaled(h * z, 1 / squares.clamp(min=torch.finfo(squares.dtype).tiny)), None


def phase_harmonic(z: Tensor, k: int) -> Tensor:
    r"""Phase harmonic :math:`[z]^k = |z|\,e^{ik\arg z}`.

    :math:`[z]^0` is the modulus, :math:`[z]^1 = z`, :math:`[z]^{-k}` the conjugate of
    :math:`[z]^k`. The phase turns ``k`` times as fast, the modulus stays: frequencies are
    multiplied by ``k``, so that scales can be compared. It is Lipschitz,
    :math:`|[z]^k - [z']^k| \le \max(|k|, 1)\,|z - z'|`.

    Parameters
    ----------
    z : Tensor, shape (...)
        Complex tensor.
    k : int
        Harmonic.

    Returns
    -------
    h : Tensor, shape (...)
        Complex, but real for ``k=0``. Its gradient is 0 where ``z`` is 0.

    References
    ----------
    .. [1] Mallat, S., Zhang, S. and Rochette, G., Phase harmonic correlations and convolutional
       neural networks, Information and Inference 9, 2020.

    Examples
    --------
    >>> phase_harmonic(torch.tensor([2j, 0j]), 2)
    tensor([-2.+0.j, 0.+0.j])
    """
    if k == 0:
        return modulus(z)
    if k < 0:
        return phase_harmonic(z, -k).conj()
    return z if k == 1 else _PhaseHarmonic.apply(z.resolve_conj(), k)


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
    r"""Fourier coefficients of a nonlinearity applied to a cosine.

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
