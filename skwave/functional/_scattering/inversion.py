r"""Recovery of signals from their scattering coefficients."""

from collections.abc import Callable
from math import prod

import torch
from torch import Tensor

from skwave.functional._scattering.cascade import scattering
from skwave.functional._scattering.layout import map_shape
from skwave.functional._scattering.plan import Plan
from skwave.functional.optimise import Minimum, lbfgs


def _rows(x: Tensor, plan: Plan) -> Tensor:
    # signals (B, C, ...) -> coefficients (B, C, n), path after path
    return scattering(x, plan).flatten(2)


def _norm(s: Tensor) -> Tensor:
    # of each row, 1 for a row of zeros
    norm = s.flatten(1).norm(dim=1)
    return torch.where(norm > 0, norm, 1.0)


def scale_noise(noise: Tensor, s: Tensor, plan: Plan) -> Tensor:
    r"""Noise, scaled so that its coefficients are as large as those given.

    Orders 1 and 2 alone count, since the mean of a signal says nothing about its variations;
    without them the signal is zero. Scattering is homogeneous, :math:`S(ax) = a\,Sx` for
    :math:`a > 0`.

    Parameters
    ----------
    noise : Tensor, shape (B, C, N) or (B, C, H, W)
        Signals.
    s : Tensor, shape (B, C, ...)
        Scattering coefficients.
    plan : Plan
        Made by `scattering_plan`.

    Returns
    -------
    x : Tensor
        Noise times one number for each row.
    """
    n_mean = prod(map_shape(plan, 0))
    s, s_noise = (t[..., n_mean:] for t in (s.flatten(2), _rows(noise, plan)))
    ratio = s.flatten(1).norm(dim=1) / _norm(s_noise)
    return noise * ratio.view(-1, *[1] * (noise.ndim - 1))


def invert_scattering(
    s: Tensor,
    plan: Plan,
    x: Tensor,
    *,
    max_iter: int = 200,
    tol: float = 0.0,
    on_step: Callable[[int, Tensor, Tensor], bool | None] | None = None,
) -> Minimum:
    r"""Signals whose scattering coefficients are those given.

    .. math:: \min_x \frac{\|S x - s\|^2}{\|s\|^2}

    by `lbfgs`, for each row on its own. The minimum is not unique: :math:`Sx` determines a
    signal up to what it is invariant to, such as the phases of what oscillates quickly.

    Parameters
    ----------
    s : Tensor, shape (B, C, ...)
        Coefficients of ``C`` channels, as `scattering` gives them, or flat.
    plan : Plan
        Made by `scattering_plan`.
    x : Tensor, shape (B, C, N) or (B, C, H, W)
        Signals to start from.
    max_iter : int, default=200
        Largest number of steps.
    tol : float, default=0.0
        A row is done when :math:`\|Sx - s\| \le \mathrm{tol}\,\|s\|`.
    on_step : callable, default=None
        See `lbfgs`.

    Returns
    -------
    minimum : Minimum
        Signals, and squared relative errors after every step.

    References
    ----------
    .. [1] Bruna, J. and Mallat, S., Audio texture synthesis with scattering moments, 2013,
       arXiv:1311.0407.

    Examples
    --------
    >>> from skwave.functional import scattering_plan
    >>> plan = scattering_plan((256,), J=3)
    >>> t = torch.arange(256) / 256
    >>> x = torch.sin(40 * t**2)[None, None]
    >>> noise = torch.randn(1, 1, 256, generator=torch.Generator().manual_seed(0))
    >>> minimum = invert_scattering(scattering(x, plan), plan, noise, max_iter=100)
    >>> bool(minimum.history[-1, 0].sqrt() < 0.05)
    True
    """
    s = s.flatten(2)
    norm = _norm(s)

    def objective(x: Tensor) -> Tensor:
        difference = _rows(x, plan) - s
        return (difference.flatten(1) / norm[:, None]).square().sum(1)

    return lbfgs(objective, x, max_iter=max_iter, tol=tol**2, on_step=on_step)
