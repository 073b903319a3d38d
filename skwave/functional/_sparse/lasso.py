r"""Exact sparse codes: the lasso solved until its duality gap certifies the code.

The objective is :math:`F(z) = \tfrac12\|x - zD\|^2 + \alpha\|z\|_1`; rows of ``D`` are atoms.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from skwave.functional._sparse.coding import lipschitz, momentum
from skwave.functional._sparse.prox import atom_norms, threshold_of
from skwave.functional._sparse.pursuit import (
    correlate,
    factor,
    gram_of_supports,
    pursue,
    relative_gap,
)

_EVERY = 10  # steps between two looks at the gap
# steps after which codes of few atoms, which an active set finds fast, are left to it
_PATIENCE, _FEW = 100, 128


class Codes(NamedTuple):
    """Sparse codes ``z`` (..., K), their relative duality ``gap`` (...) and ``n_iter`` (...).

    The gap is over half the squared norm of the sample, which is the objective of a zero code.
    """

    z: Tensor
    gap: Tensor
    n_iter: Tensor


class _State(NamedTuple):
    # The samples that are not done, one in each row of every field. K is the number of atoms and
    # G = D D^T. Signs: q = b - zG is the product of the residual with
    # the atoms, minus the gradient of the quadratic part, so that steps go along +q.
    rows: Tensor  # (n,), numbers of the samples in the batch
    b: Tensor  # (n, K), products of the samples with the atoms
    x2: Tensor  # (n, 1), squared norms of the samples
    alpha: Tensor  # (n, 1), or (n, K) with atoms of different norms
    z: Tensor  # (n, K), codes
    y: Tensor  # (n, K), points from which FISTA takes its step
    t: Tensor  # (n, 1), momenta
    signs: Tensor  # (n, K), signs of the codes when they were last looked at

    def keep(self, mask: Tensor) -> "_State":
        kept = mask.nonzero()[:, 0]  # counted once: a GPU is waited for each time
        return _State(*(a[kept] for a in self))

    def objective(self, q: Tensor) -> Tensor:
        # up to the constant |x|^2 / 2, by which values lose no digits to it
        return (self.alpha * self.z.abs() - (self.b + q) * self.z / 2).sum(1)

    def gap(self, q: Tensor, positive: bool) -> Tensor:
        return relative_gap(self.b, q, self.z, self.x2, self.alpha, positive=positive)


def _newton(state: _State, gram: Tensor) -> Tensor:
    # Codes (n, K) nearer to the minimum over the codes with the signs of z. That minimum w solves
    # a linear system. Where an atom of w has the other sign, the step ends where the first one
    # reaches 0: that atom leaves, and the smaller system is solved. On such a segment the
    # objective is a convex quadratic with its minimum at w: it never grows.
    z = state.z
    for _ in range(_EVERY):
        w = solve_on_support(gram, z != 0, state.b - state.alpha * z.sign())
        flips = w * z < 0
        reach = torch.where(flips, z / torch.where(flips, z - w, 1.0), 1.0)
        step = reach.amin(1, keepdim=True)
        z = torch.where(flips & (reach <= step), 0.0, z + step * (w - z))
        if not flips.any():
            break
    return z


def _polish(state: _State, q: Tensor, D: Tensor, gram: Tensor, n: int) -> tuple[_State, Tensor]:
    # Newton's method for the samples whose signs stand still, or have had ten looks (n % 100 == 0)
    # to do so. It is taken where it is lower; FISTA goes on from there without momentum.
    still = (state.z.sign() == state.signs).all(1) | (n % (10 * _EVERY) == 0)
    still = still & (state.z != 0).any(1)
    if still.any():
        before = state.keep(still)
        after = before._replace(z=_newton(before, gram))
        q_after = correlate(after.z, after.b, D, gram)
        lower = after.objective(q_after) < before.objective(q[still])
        rows, w, q_w = still.nonzero()[lower, 0], after.z[lower], q_after[lower]
        z, y = (a.index_copy(0, rows, w) for a in (state.z, state.y))
        t = state.t.index_fill(0, rows, 1.0)
        state, q = state._replace(z=z, y=y, t=t), q.index_copy(0, rows, q_w)
    return state._replace(signs=state.z.sign()), q


def _slow(z: Tensor, n: int, max_iter: int) -> Tensor:
    # samples that are left to the active set after n steps, some of which remain
    if n >= max(max_iter // 2, _PATIENCE):
        return z.new_ones(len(z), dtype=torch.bool)
    return (z != 0).sum(1) <= (_FEW if n >= _PATIENCE else -1)


@torch.no_grad()
def _solve(x: Tensor, D: Tensor, alpha: Tensor, positive: bool, tol: float, max_iter: int) -> Codes:
    # x (n, p), D (K, p) of atoms of norm 1, alpha (n, 1) or (n, K). FISTA on all samples at once.
    # Every tenth step looks at them: signs that stand still are solved for, samples whose gap is at
    # most tol are written into `out` and leave the state, so that the steps become cheaper as
    # samples are done. Those that take too many steps leave it for the active set.
    threshold = threshold_of(positive)
    gram, step = D @ D.T, 1 / lipschitz(D)
    tol = max(tol, 16 * torch.finfo(x.dtype).eps)
    b = x @ D.T
    out, gaps = torch.zeros_like(b), torch.zeros_like(b[:, 0])
    n_iter = torch.full_like(gaps, max_iter, dtype=torch.long)
    zero = torch.zeros_like(b)
    numbers, x2 = torch.arange(len(x), device=x.device), x.square().sum(1, keepdim=True)
    state = _State(numbers, b, x2, alpha, zero, zero, torch.ones_like(x2), zero)

    for n in range(max_iter + 1):
        if n % _EVERY == 0 or n == max_iter:
            state, q = _polish(state, correlate(state.z, state.b, D, gram), D, gram, n)
            gap = state.gap(q, positive)
            out[state.rows], gaps[state.rows] = state.z, gap
            going = ~(gap <= tol)  # a gap of NaN is none
            n_iter[state.rows[~going]] = n
            if n == max_iter or not going.any():
                break
            state = state.keep(going)
            slow = _slow(state.z, n, max_iter)
            if slow.any():
                some = state.keep(slow)
                z, gap, rounds = pursue(
                    some.b, some.x2, some.alpha, D, gram,
                    positive=positive, tol=tol, max_iter=max_iter - n,
                )  # fmt: skip
                lower = gap < gaps[some.rows]
                out[some.rows[lower]], gaps[some.rows[lower]] = z[lower], gap[lower]
                n_iter[some.rows] = n + rounds
                state = state.keep(~slow)
        y = state.y
        z = threshold(y + step * correlate(y, state.b, D, gram), step * state.alpha)
        y, t = momentum(z, state.z, y, state.t)
        state = state._replace(z=z, y=y, t=t)
    return Codes(out, gaps, n_iter)


def lasso(
    x: Tensor,
    D: Tensor,
    alpha: float | Tensor,
    *,
    positive: bool = False,
    tol: float = 1e-6,
    max_iter: int = 1000,
) -> Codes:
    r"""Lasso of each sample, solved until its duality gap certifies the code.

    .. math:: \min_z \tfrac12\|x - zD\|^2 + \alpha\|z\|_1

    FISTA with a restart for each sample, on atoms of norm 1; where the signs of a code stand still
    for ten steps, or after each hundred, the minimum over codes of these signs is computed, and
    taken where it is lower. Samples that are done leave the batch, and those that take more than a
    hundred steps, since atoms are coherent, are coded by an active set.

    Parameters
    ----------
    x : Tensor, shape (..., p)
        Samples.
    D : Tensor, shape (K, p)
        Rows are atoms.
    alpha : float or Tensor, broadcastable to (..., 1)
        Weight of the :math:`\ell^1` norm, positive.
    positive : bool, default=False
        Codes that are not negative.
    tol : float, default=1e-6
        A sample is done when its duality gap is at most this part of :math:`\|x\|^2/2`, or
        16 units of rounding: 2e-6 in float32.
    max_iter : int, default=1000
        Largest number of steps.

    Returns
    -------
    codes : Codes
        Codes, relative gaps and numbers of steps. The codes are differentiable in ``x``, ``D``
        and ``alpha``, by `implicit_codes`.

    Examples
    --------
    >>> codes = lasso(torch.tensor([[3.0, -0.5]]), torch.eye(2), 1.0)
    >>> codes.z, bool(codes.gap < 1e-6)
    (tensor([[2., 0.]]), True)
    """
    shape, x2d = x.shape[:-1], x.detach().reshape(-1, x.shape[-1])
    a = torch.as_tensor(alpha).detach().to(x).expand(*shape, 1).reshape(-1, 1)
    norms = atom_norms(D.detach())[:, 0]
    unit, largest = D.detach() / norms[:, None], torch.finfo(x.dtype).max
    a = (a / norms).clamp(torch.finfo(x.dtype).tiny, largest / 4)
    z, gap, n_iter = _solve(x2d, unit, a, positive, tol, max_iter)
    z = (z / norms).reshape(*shape, len(D))
    if torch.is_grad_enabled():
        z = implicit_codes(z, x, D, alpha)
    return Codes(z, gap.reshape(shape), n_iter.reshape(shape))


def _on_support(gram: Tensor, on: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    # Cholesky factors (B, s, s) of the Gram matrices of supports (B, K), padded by the identity
    # to the size s of the largest; the atoms (B, s), and the mask (B, s) of those not padded
    A, atoms, chosen = gram_of_supports(gram, on)
    ridge = 2 * torch.finfo(gram.dtype).eps * gram.diagonal().amax()
    return factor(A, chosen, ridge), atoms, chosen


def solve_on_support(gram: Tensor, on: Tensor, c: Tensor) -> Tensor:
    r"""Solutions of linear systems with the Gram matrices of supports.

    .. math:: w_S = G_{SS}^{-1} c_S

    Parameters
    ----------
    gram : Tensor, shape (K, K)
        Products :math:`G` of the atoms.
    on : Tensor of bool, shape (B, K)
        Supports :math:`S`.
    c : Tensor, shape (B, K)
        Right sides.

    Returns
    -------
    w : Tensor, shape (B, K)
        Solutions, 0 outside of the supports.
    """
    if not on.any():
        return torch.zeros_like(c)
    L, atoms, chosen = _on_support(gram, on)
    solution = torch.cholesky_solve((c.gather(1, atoms) * chosen)[..., None], L)[..., 0]
    return torch.zeros_like(c).scatter_(1, atoms, solution * chosen)


class _FixedPoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, D: Tensor, alpha: Tensor, z: Tensor) -> Tensor:
        ctx.save_for_backward(x, D, alpha, z)
        return z.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        # on the support z_S = G_SS^-1 (D_S x - alpha sign(z_S)), whose derivative is this
        x, D, alpha, z = ctx.saved_tensors
        rows = z.reshape(-1, z.shape[-1])
        u = solve_on_support(D @ D.T, rows != 0, grad.reshape(rows.shape)).reshape(z.shape)
        r, back = x - z @ D, u @ D
        flat = [a.reshape(-1, a.shape[-1]) for a in (u, r, z, back)]
        grad_D = flat[0].T @ flat[1] - flat[2].T @ flat[3]
        grad_alpha = -(u * z.sign()).sum(-1, keepdim=True)
        return back, grad_D, grad_alpha.sum_to_size(alpha.shape), None


def implicit_codes(z: Tensor, x: Tensor, D: Tensor, alpha: float | Tensor) -> Tensor:
    r"""Codes that solve the lasso, made differentiable, whatever has computed them.

    On the support :math:`S` of a solution, with its signs,

    .. math:: z_S = G_{SS}^{-1}\big(xD_S^\top - \alpha\operatorname{sign}(z_S)\big), \qquad
       G = DD^\top

    holds in a neighbourhood: its derivative is that of the solution, and takes no memory of the
    steps that led there. It is exact where ``z`` is.

    Parameters
    ----------
    z : Tensor, shape (..., K)
        Solutions.
    x : Tensor, shape (..., p)
        Samples.
    D : Tensor, shape (K, p)
        Rows are atoms.
    alpha : float or Tensor, broadcastable to (..., 1)
        Weight of the :math:`\ell^1` norm.

    Returns
    -------
    z : Tensor, shape (..., K)
        The same, differentiable once in ``x``, ``D`` and ``alpha``.

    References
    ----------
    .. [1] Mairal, J., Bach, F. and Ponce, J., Task-driven dictionary learning, IEEE Trans.
       Pattern Anal. Mach. Intell. 34, 2012, proposition 1.

    Examples
    --------
    >>> x = torch.tensor([3.0, -0.5], requires_grad=True)
    >>> z = implicit_codes(torch.tensor([2.0, 0.0]), x, torch.eye(2), 1.0)
    >>> torch.autograd.grad(z.sum(), x)[0].round()
    tensor([1., 0.])
    """
    return _FixedPoint.apply(x, D, torch.as_tensor(alpha).to(x), z.detach())
