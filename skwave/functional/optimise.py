r"""Minimisation of many independent objectives at once, by L-BFGS."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

# decrease and curvature of the weak Wolfe conditions
_C1, _C2 = 1e-4, 0.9
_MAX_EVALUATIONS = 20

Pair = tuple[Tensor, Tensor, Tensor]


class Minimum(NamedTuple):
    """Result of a minimisation.

    ``x``, of shape (B, ...), are the best points, and ``history``, of shape (n_steps + 1, B),
    their objectives after each step; its last row belongs to ``x``. ``interrupted`` tells
    whether Ctrl-C ended the minimisation; the objectives are NaN if that was before the first
    evaluation.
    """

    x: Tensor
    history: Tensor
    interrupted: bool


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return torch.linalg.vecdot(a, b)[:, None]


def _direction(gradient: Tensor, pairs: list[Pair], gamma: Tensor) -> Tensor:
    # the two loops of Nocedal and Wright, algorithm 7.4, for each row
    q, alphas = gradient.clone(), []
    for s, y, rho in reversed(pairs):
        alphas.append(rho * _dot(s, q))
        q.addcmul_(alphas[-1], y, value=-1)
    q.mul_(gamma)
    for (s, y, rho), alpha in zip(pairs, reversed(alphas), strict=True):
        q.addcmul_(alpha - rho * _dot(y, q), s)
    return q.neg_()


def _line_search(
    evaluate: Callable[[Tensor], tuple[Tensor, Tensor]],
    x: Tensor,
    f: Tensor,
    gradient: Tensor,
    d: Tensor,
) -> tuple[Tensor, ...]:
    # weak Wolfe conditions by bisection, which bears an objective with kinks: Lewis and
    # Overton, algorithm 4.6; rows which find no decrease stay where they are
    best: tuple[Tensor, ...] = x, f, gradient
    # rounding may turn a direction upwards; it must not make an increase acceptable
    slope, t = _dot(gradient, d).clamp(max=0), torch.ones_like(f)
    low, high = torch.zeros_like(f), torch.full_like(f, math.inf)
    for _ in range(_MAX_EVALUATIONS):
        x_new = torch.addcmul(x, t, d)
        f_new, gradient_new = evaluate(x_new)
        too_far = ~(f_new <= f + _C1 * t * slope)
        too_short = ~too_far & (_dot(gradient_new, d) < _C2 * slope)
        trial = x_new, f_new, gradient_new
        best = tuple(torch.where(too_far, a, b) for a, b in zip(best, trial, strict=True))
        if not (too_far | too_short).any():
            break
        high, low = torch.where(too_far, t, high), torch.where(too_short, t, low)
        middle = torch.where(high < math.inf, (low + high) / 2, 2 * t)
        t = torch.where(too_far | too_short, middle, t)
    return best


def _first_step(f: Tensor, gradient: Tensor) -> Tensor:
    # to the zero of the linear model of an objective that is not negative
    return torch.nan_to_num(f / _dot(gradient, gradient), nan=0.0, posinf=0.0)


def _curvature(s: Tensor, y: Tensor, gamma: Tensor) -> tuple[Pair, Tensor]:
    # what a step says of the inverse Hessian, and its scale; nothing where y turns away from s
    sy, yy = _dot(s, y), _dot(y, y)
    curved = sy > 1e-8 * (yy * _dot(s, s)).sqrt()
    one = torch.ones_like(sy)
    rho = curved / torch.where(curved, sy, one)
    return (s, y, rho), torch.where(curved, sy / torch.where(curved, yy, one), gamma)


def lbfgs(
    objective: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    max_iter: int = 200,
    tol: float = 0.0,
    memory: int = 10,
    on_step: Callable[[int, Tensor, Tensor], bool | None] | None = None,
) -> Minimum:
    r"""Minimise the objective of each row by the limited-memory BFGS method.

    All rows share the calls of ``objective``, but each has its own step lengths and its own
    model of the curvature: a row comes out as if it had been alone.

    .. math:: x_{n+1} = x_n - t_n H_n \nabla f(x_n)

    with :math:`H_n` the inverse Hessian that the last ``memory`` steps imply, and :math:`t_n`
    from the weak Wolfe conditions.

    Parameters
    ----------
    objective : callable
        Tensor (B, ...) -> Tensor (B,), not negative, differentiable by autograd; value ``b``
        depends on row ``b`` alone. Where it or its gradient is not finite, no step leads.
    x : Tensor, shape (B, ...)
        Starting points, real.
    max_iter : int, default=200
        Largest number of steps.
    tol : float, default=0.0
        A row is done when its objective is at most this.
    memory : int, default=10
        Steps that are remembered, 1 at least.
    on_step : callable, default=None
        Called as ``on_step(n, x, f)`` after step ``n`` from 1 on; true ends the minimisation.

    Returns
    -------
    minimum : Minimum
        Points, and the objectives after every step; none is above that of the step before.
        Ctrl-C gives what was found until then.

    Raises
    ------
    ValueError
        If ``memory`` is under 1, if the objective does not give one number for each row, or
        if one of the first numbers or their gradients is not finite.

    References
    ----------
    .. [1] Nocedal, J. and Wright, S. J., Numerical optimization, 2nd ed., 2006, algorithm 7.4.
    .. [2] Lewis, A. S. and Overton, M. L., Nonsmooth optimization via quasi-Newton methods,
       Math. Program. 141, 2013, algorithm 4.6.

    Examples
    --------
    >>> target = torch.tensor([[1.0, -2.0], [3.0, 0.5]])
    >>> weight = torch.tensor([1.0, 100.0])
    >>> minimum = lbfgs(lambda x: (weight * (x - target) ** 2).sum(-1), torch.zeros(2, 2))
    >>> torch.allclose(minimum.x, target, atol=1e-4)
    True
    """

    def evaluate(x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            x = x.reshape(shape).detach().requires_grad_()
            f = objective(x)
            if f.shape != x.shape[:1]:
                raise ValueError(
                    f"objective gave shape {tuple(f.shape)} for {len(x)} rows: it must give one "
                    f"number for each, shape ({len(x)},): sum over all axes but the first."
                )
            (gradient,) = torch.autograd.grad(f.sum(), x)
        gradient = gradient.reshape(len(x), -1)
        finite = gradient.sum(1).isfinite()
        return torch.where(finite, f.detach(), math.nan)[:, None], gradient

    if memory < 1:
        raise ValueError(f"memory={memory!r} must be an integer from 1 on.")
    shape, x, interrupted = x.shape, x.detach().reshape(len(x), -1), False
    history = [x.new_full((len(x), 1), math.nan)]
    try:
        f, gradient = evaluate(x)
        if not f.isfinite().all():
            rows = (~f.isfinite()).nonzero()[:, 0].tolist()
            raise ValueError(
                f"objective or its gradient is not finite at the start of rows {rows}: start from "
                "other points, or bring the data to a scale near 1."
            )
        history = [f]
        pairs: list[Pair] = []
        failed = stalled = torch.zeros_like(f, dtype=torch.bool)
        gamma = _first_step(f, gradient)
        for n in range(1, max_iter + 1):
            active = (f > tol) & ~stalled
            if not active.any():
                break
            d = _direction(gradient, pairs, gamma) * active
            x_new, f_new, gradient_new = _line_search(evaluate, x, f, gradient, d)
            pair, gamma = _curvature(x_new - x, gradient_new - gradient, gamma)
            stalled = stalled | (failed & (f_new >= f))
            failed = f_new >= f
            # a row which found no decrease tries the gradient alone before it gives up
            pairs = [(s, y, rho * ~failed) for s, y, rho in [*pairs, pair][-memory:]]
            x, f, gradient = x_new, f_new, gradient_new
            history.append(f)
            gamma = torch.where(failed, _first_step(f, gradient), gamma)
            if on_step is not None and on_step(n, x.reshape(shape), f[:, 0]):
                break
    except KeyboardInterrupt:
        interrupted = True
    return Minimum(x.reshape(shape), torch.cat(history, 1).T, interrupted)
