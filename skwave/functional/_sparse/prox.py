r"""Thresholds and projections: the proximal operators of sparse codes and their dictionaries."""

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
    r"""Threshold of codes that are not negative, a rectifier with a bias.

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


def _norms(D: Tensor) -> Tensor:
    # of rows; 1 where they are 0, so that a division leaves them, and their gradient, alone
    norms = torch.linalg.vector_norm(D, dim=-1, keepdim=True)
    return torch.where(norms > 0, norms, torch.ones_like(norms))


def normalise_atoms(D: Tensor) -> Tensor:
    r"""Divide atoms by their :math:`\ell^2` norms; zero atoms stay zero.

    .. math:: d_k \mapsto d_k / \|d_k\|

    Parameters
    ----------
    D : Tensor, shape (..., K, p)
        Rows are atoms.

    Returns
    -------
    D : Tensor, shape (..., K, p)
        Atoms of norm 1.

    Examples
    --------
    >>> normalise_atoms(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    return D / _norms(D)


def project_ball(D: Tensor) -> Tensor:
    r"""Project atoms on the unit ball of :math:`\ell^2`.

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
    return D / _norms(D).clamp(min=1)


def threshold_of(positive: bool) -> Callable[[Tensor, float | Tensor], Tensor]:
    """Threshold of codes.

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
