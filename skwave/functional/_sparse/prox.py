r"""Proximal operators: thresholds of sparse codes, normalisation and projection of atoms."""

from collections.abc import Callable

import torch
from torch import Tensor


def soft_threshold(x: Tensor, t: float | Tensor) -> Tensor:
    r"""Soft threshold, the proximal operator of :math:`t\|\cdot\|_1`.

    .. math:: S_t(x) = \operatorname{sign}(x)\max(|x| - t, 0)

    Parameters
    ----------
    x : Tensor, shape (...)
        Real.
    t : float or Tensor, broadcastable to ``x``
        Threshold, not negative.

    Returns
    -------
    z : Tensor, shape (...)
        Differentiable in both arguments.

    Examples
    --------
    >>> soft_threshold(torch.tensor([-2.0, 0.5, 3.0]), 1.0)
    tensor([-1.,  0.,  2.])
    """
    return torch.relu(x - t) - torch.relu(-x - t)


def nonnegative_threshold(x: Tensor, t: float | Tensor) -> Tensor:
    r"""Threshold of non-negative codes, a rectifier with a bias.

    .. math:: \rho_t(x) = \max(x - t, 0)

    Parameters
    ----------
    x : Tensor, shape (...)
        Real.
    t : float or Tensor, broadcastable to ``x``
        Threshold.

    Returns
    -------
    z : Tensor, shape (...)
        Differentiable in both arguments.

    Examples
    --------
    >>> nonnegative_threshold(torch.tensor([-2.0, 0.5, 3.0]), 1.0)
    tensor([0., 0., 2.])
    """
    return torch.relu(x - t)


def power_of_two(x: Tensor, dim: int | None = None) -> Tensor:
    r"""Largest power of two that does not exceed the largest absolute value.

    A division by it is exact, and leaves numbers whose squares neither overflow nor vanish.

    Parameters
    ----------
    x : Tensor, shape (...)
        Real and finite.
    dim : int, default=None
        Axis of the maximum; None for all of them.

    Returns
    -------
    scale : Tensor
        With ``dim`` kept at length 1, else all axes; 1 where ``x`` is zero. No gradient.

    Examples
    --------
    >>> power_of_two(torch.tensor([[3.0, -5.0], [0.3, 0.0]]), 1)
    tensor([[4.0000],
            [0.2500]])
    """
    dims = tuple(range(x.ndim)) if dim is None else dim
    top = x.detach().abs().amax(dims, keepdim=True)
    return torch.where(top > 0, top / (2 * torch.frexp(top).mantissa), 1.0)


def atom_norms(D: Tensor) -> Tensor:
    r"""Norms :math:`\|d_k\|` of atoms, 1 for one of zeros.

    Parameters
    ----------
    D : Tensor, shape (..., p)
        Rows are atoms.

    Returns
    -------
    norms : Tensor, shape (..., 1)
        A division by them leaves zeros, and their gradient, alone.
    """
    norms = torch.linalg.vector_norm(D, dim=-1, keepdim=True)
    return torch.where(norms > 0, norms, torch.ones_like(norms))


def normalize_atoms(D: Tensor) -> Tensor:
    r"""Atoms divided by their :math:`\ell^2` norms; zero atoms stay zero.

    .. math:: d_k \mapsto d_k / \|d_k\|

    Parameters
    ----------
    D : Tensor, shape (..., p)
        Rows are atoms.

    Returns
    -------
    D : Tensor, shape (..., p)
        Atoms of norm 1.

    Examples
    --------
    >>> normalize_atoms(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    return D / atom_norms(D)


def project_ball(D: Tensor) -> Tensor:
    r"""Atoms projected on the unit ball of :math:`\ell^2`.

    .. math:: d_k \mapsto d_k / \max(\|d_k\|, 1)

    Parameters
    ----------
    D : Tensor, shape (..., K, p)
        Rows are atoms.

    Returns
    -------
    D : Tensor, shape (..., K, p)
        Atoms of norm at most 1.

    Examples
    --------
    >>> project_ball(torch.tensor([[3.0, 4.0], [0.0, 0.5]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.5000]])
    """
    return D / atom_norms(D).clamp(min=1)


def threshold_of(positive: bool) -> Callable[[Tensor, float | Tensor], Tensor]:
    """Threshold function of codes, signed or not negative.

    Parameters
    ----------
    positive : bool
        Whether codes are not negative.

    Returns
    -------
    threshold : callable
        `nonnegative_threshold` or `soft_threshold`.
    """
    return nonnegative_threshold if positive else soft_threshold
