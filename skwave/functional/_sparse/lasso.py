r"""Exact sparse codes: the lasso solved to a certified gap.

The objective is :math:`F(z) = \tfrac12\|x - zD\|^2 + \alpha\|z\|_1`; rows of ``D`` are atoms.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from skwave.functional._sparse.coding import lipschitz, momentum
from skwave.functional._sparse.prox import threshold_of

_EVERY = 10  # steps between two looks at the gap


class Codes(NamedTuple):
    """Sparse codes ``z`` (..., K), their relative duality ``gap`` (...) and ``n_iter`` (...).

    The gap is over half the squared norm of the sample, which is the objective of a zero code.
    """

    z: Tensor
    gap: Tensor
    n_iter: Tensor


class _Problem(NamedTuple):
    # rows that are not done: their indices, products with the atoms, squared norms, alphas
    rows: Tensor
    b: Tensor
    x2: Tensor
    alpha: Tensor

    def keep(self, mask: Tensor) -> "_Problem":
        return _Problem(*(a[mask] for a in self))

    def objective(self, z: Tensor, q: Tensor) -> Tensor:
        # up to the constant 1/2 |x|^2
        return (self.alpha * z.abs() - (self.b + q) * z / 2).sum(1)

    def gap(self, z: Tensor, q: Tensor, positive: bool) -> Tensor:
        bz, qz = torch.linalg.vecdot(self.b, z), torch.linalg.vecdot(q, z)
        r2, xr, alpha = (self.x2 - bz - qz).clamp(min=0), self.x2 - bz, self.alpha[:, 0]
        top = (q if positive else q.abs()).amax(1)
        s = torch.where(top > alpha, alpha / top, 1.0)
        gap = r2 / 2 + alpha * z.abs().sum(1) - (s * xr - s**2 / 2 * r2)
        return gap / torch.where(self.x2 > 0, self.x2 / 2, 1.0)


def _newton(problem: _Problem, gram: Tensor, z: Tensor) -> Tensor:
    # towards the minimum over codes with the signs of z, up to where the first would flip, some
    # times over: that atom leaves, and the objective never grows
    for _ in range(_EVERY):
        w = solve_on_support(gram, z != 0, problem.b - problem.alpha * z.sign())
        flips = w * z < 0
        reach = torch.where(flips, z / torch.where(flips, z - w, 1.0), 1.0)
        step = reach.amin(1, keepdim=True)
        z = torch.where(flips & (reach <= step), 0.0, z + step * (w - z))
        if not flips.any():
            break
    return z


@torch.no_grad()
def _solve(x: Tensor, D: Tensor, alpha: Tensor, positive: bool, tol: float, max_iter: int) -> Codes:
    threshold = threshold_of(positive)
    gram, step = D @ D.T, 1 / lipschitz(D)
    tol = max(tol, 16 * torch.finfo(x.dtype).eps)
    b = x @ D.T
    out, gaps = torch.zeros_like(b), torch.zeros_like(b[:, 0])
    n_iter = torch.full_like(gaps, max_iter, dtype=torch.long)
    problem = _Problem(torch.arange(len(x), device=x.device), b, x.square().sum(1), alpha)
    z, t = torch.zeros_like(b), torch.ones_like(b[:, :1])
    y, signs = z, z.sign()

    def correlate(z: Tensor, b: Tensor) -> Tensor:  # numpydoc ignore=GL08
        return b - (z @ gram if len(D) <= 2 * D.shape[1] else (z @ D) @ D.T)

    for n in range(max_iter + 1):
        if n % _EVERY == 0 or n == max_iter:
            q = correlate(z, problem.b)
            # signs stand still, or have had long enough: solve, go on from there where it is lower
            still = (z.sign() == signs).all(1) | (n % (10 * _EVERY) == 0)
            still = still & (z != 0).any(1)
            if still.any():
                part = problem.keep(still)
                w = _newton(part, gram, z[still])
                q_w = correlate(w, part.b)
                lower = part.objective(w, q_w) < part.objective(z[still], q[still])
                rows = still.nonzero()[:, 0][lower]
                z, y, q, t = z.clone(), y.clone(), q.clone(), t.clone()
                z[rows], y[rows], q[rows], t[rows] = w[lower], w[lower], q_w[lower], 1.0
            signs = z.sign()
            gap = problem.gap(z, q, positive)
            out[problem.rows], gaps[problem.rows] = z, gap
            going = gap > tol
            n_iter[problem.rows[~going]] = n
            if not going.any() or n == max_iter:
                break
            problem = problem.keep(going)
            z, y, t, signs = z[going], y[going], t[going], signs[going]
        previous, z = z, threshold(y + step * correlate(y, problem.b), step * problem.alpha)
        y, t = momentum(z, previous, y, t)
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
    r"""Solve the lasso for each sample, until the duality gap certifies it.

    .. math:: \min_z \tfrac12\|x - zD\|^2 + \alpha\|z\|_1

    FISTA with a restart for each sample; where the signs of a code stand still for ten steps,
    or after each hundred, the minimum over codes of these signs is computed, and taken where it is
    lower. Samples that are done leave the batch.

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
    z, gap, n_iter = _solve(x2d, D.detach(), a, positive, tol, max_iter)
    z = z.reshape(*shape, len(D))
    if torch.is_grad_enabled():
        z = implicit_codes(z, x, D, alpha)
    return Codes(z, gap.reshape(shape), n_iter.reshape(shape))


def _on_support(gram: Tensor, on: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    # the Gram matrices of supports (B, K), padded by the identity to the largest: their Cholesky
    # factors, the atoms, and which of these are in
    size = int(on.sum(1).max())
    atoms = on.to(torch.uint8).topk(size, 1).indices
    chosen = on.gather(1, atoms)
    A = gram[atoms[:, :, None], atoms[:, None, :]]
    A = A * (chosen[:, :, None] & chosen[:, None, :])
    # atoms that are linear combinations of others would have no factor
    ridge = 2 * torch.finfo(gram.dtype).eps * gram.diagonal().amax()
    A.diagonal(dim1=1, dim2=2).add_(torch.where(chosen, ridge, 1.0))
    return torch.linalg.cholesky_ex(A).L, atoms, chosen


def solve_on_support(gram: Tensor, on: Tensor, c: Tensor) -> Tensor:
    r"""Solve linear systems of the Gram matrices of supports.

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
    r"""Give codes that solve the lasso their derivative, whatever has computed them.

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
