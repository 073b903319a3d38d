r"""Exact sparse codes where atoms are coherent: Newton's method on an active set that grows.

The objective is :math:`F(z) = \tfrac12\|x - zD\|^2 + \sum_k \alpha_k|z_k|`; rows of ``D`` are
atoms, of norm 1. Products ``q = (x - zD) D^T`` of the residual with the atoms are minus the
gradient of the quadratic part.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from skwave.functional._sparse.coding import gap_of_products, gap_scale

_FIRST = 4  # atoms that enter in the first round; one more in each that follows
_STALE = 50  # rounds without a lower gap, after which rounding alone is left
_NUMBERS = 2**26  # in the Gram matrices of the supports of the samples of a chunk


def correlate(z: Tensor, b: Tensor, D: Tensor, gram: Tensor) -> Tensor:
    r"""Products of residuals with the atoms.

    .. math:: q = (x - zD)D^\top = b - zDD^\top

    Parameters
    ----------
    z : Tensor, shape (n, K)
        Codes.
    b : Tensor, shape (n, K)
        Products of the samples with the atoms.
    D : Tensor, shape (K, p)
        Rows are atoms.
    gram : Tensor, shape (K, K)
        Their products, which are used unless there are many more atoms than dimensions.

    Returns
    -------
    q : Tensor, shape (n, K)
        Products.
    """
    return b - (z @ gram if len(D) <= 2 * D.shape[1] else (z @ D) @ D.T)


def relative_gap(
    b: Tensor, q: Tensor, z: Tensor, x2: Tensor, alpha: Tensor, *, positive: bool
) -> Tensor:
    r"""Duality gaps of codes over :math:`\tfrac12\|x\|^2`, by products with the atoms alone.

    .. math:: \|r\|^2 = \|x\|^2 - \langle b + q, z\rangle, \qquad
       \langle x, r\rangle = \|x\|^2 - \langle b, z\rangle, \qquad r = x - zD

    Parameters
    ----------
    b, q : Tensor, shape (n, K)
        Products of the samples, and of their residuals, with the atoms.
    z : Tensor, shape (n, K)
        Codes.
    x2 : Tensor, shape (n, 1)
        Squared norms of the samples.
    alpha : Tensor, shape (n, 1) or (n, K)
        Weight of the :math:`\ell^1` norm, of all atoms or of each.
    positive : bool
        Whether codes are not negative.

    Returns
    -------
    gap : Tensor, shape (n,)
        NaN where a number is.
    """
    bz, qz = (torch.linalg.vecdot(a, z)[:, None] for a in (b, q))
    top = ((q if positive else q.abs()) / alpha).amax(1, keepdim=True)
    r2, l1 = (x2 - bz - qz).clamp(min=0), (alpha * z.abs()).sum(1, keepdim=True)
    return (gap_of_products(r2, x2 - bz, l1, top, 1.0) / gap_scale(x2))[:, 0]


def gram_of_supports(gram: Tensor, on: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gram matrices of the supports of codes, padded with zeros to the size s of the largest.

    Parameters
    ----------
    gram : Tensor, shape (K, K)
        Products of the atoms.
    on : Tensor of bool, shape (n, K)
        Supports.

    Returns
    -------
    A : Tensor, shape (n, s, s)
        Gram matrices.
    atoms : Tensor of int, shape (n, s)
        Their rows.
    chosen : Tensor of bool, shape (n, s)
        False for the padding.
    """
    atoms = on.to(torch.uint8).topk(int(on.sum(1).max()), 1).indices
    chosen = on.gather(1, atoms)
    A = gram[atoms[:, :, None], atoms[:, None, :]]
    return A * (chosen[:, :, None] & chosen[:, None, :]), atoms, chosen


def factor(A: Tensor, chosen: Tensor, ridge: float | Tensor) -> Tensor:
    r"""Cholesky factors of :math:`A + \varepsilon I`, of the identity in the padding.

    Parameters
    ----------
    A : Tensor, shape (n, s, s)
        Gram matrices by `gram_of_supports`; their diagonal is changed.
    chosen : Tensor of bool, shape (n, s)
        False for the padding.
    ridge : float or Tensor, shape ()
        The :math:`\varepsilon`, without which atoms that are combinations of others have no
        factor.

    Returns
    -------
    L : Tensor, shape (n, s, s)
        Lower factors.
    """
    A.diagonal(dim1=1, dim2=2).add_(torch.where(chosen, ridge, 1.0))
    return torch.linalg.cholesky_ex(A).L


def _segment(
    z: Tensor, signs: Tensor, b: Tensor, alpha: Tensor, gram: Tensor
) -> tuple[Tensor, Tensor]:
    # A step of Newton's method from codes z (n, K) over codes of the given signs (n, K), which may
    # be those of atoms that are still 0. The ridge counts from z, so that the minimum is a fixed
    # point whatever it is, and where atoms are dependent the step is long. It ends where the first
    # atom reaches 0, whose sign becomes 0. The objective never grows.
    A, atoms, chosen = gram_of_supports(gram, signs != 0)
    w, s = z.gather(1, atoms) * chosen, signs.gather(1, atoms) * chosen
    a = alpha.expand_as(z).gather(1, atoms)
    slope = (b.gather(1, atoms) - a * s) * chosen - (A @ w[..., None])[..., 0]
    L = factor(A, chosen, 100 * torch.finfo(z.dtype).eps)
    p = torch.cholesky_solve(slope[..., None], L)[..., 0] * chosen
    falls = p * s < 0
    reach = torch.where(falls, -w / torch.where(falls, p, 1.0), torch.inf).clamp(min=0)
    step = reach.amin(1, keepdim=True).clamp(max=1)
    out = falls & (reach <= step)
    w, s = torch.where(out, 0.0, w + step * p), torch.where(out, 0.0, s)
    zero = torch.zeros_like(z)
    return zero.scatter(1, atoms, w), zero.scatter(1, atoms, s)


def _enter(z: Tensor, q: Tensor, alpha: Tensor, n: int, positive: bool) -> Tensor:
    # signs of the codes, and of the n atoms that would lower the objective the most
    excess = torch.where(z != 0, -torch.inf, (q if positive else q.abs()) - alpha)
    top = excess.topk(min(n, z.shape[1]), 1)
    entering = torch.zeros_like(z).scatter(1, top.indices, (top.values > 0).to(z))
    return torch.where(z != 0, z.sign(), entering * q.sign())


class _State(NamedTuple):
    # the samples that are not done, one in each row: products with the atoms, squared norms,
    # weights of the norm, codes, and rounds since the gap was at its lowest
    rows: Tensor
    b: Tensor
    x2: Tensor
    alpha: Tensor
    z: Tensor
    since: Tensor


def _pursue(
    b: Tensor,
    x2: Tensor,
    alpha: Tensor,
    D: Tensor,
    gram: Tensor,
    positive: bool,
    tol: float,
    max_iter: int,
) -> tuple[Tensor, Tensor, Tensor]:
    out, best = torch.zeros_like(b), torch.full_like(x2[:, 0], torch.inf)
    n_iter = torch.full_like(best, max_iter, dtype=torch.long)
    rows = torch.arange(len(b), device=b.device)
    state = _State(rows, b, x2, alpha, out, torch.zeros_like(rows))
    for n in range(max_iter + 1):
        q = correlate(state.z, state.b, D, gram)
        gap = relative_gap(state.b, q, state.z, state.x2, state.alpha, positive=positive)
        lower = gap < best[state.rows]
        out = out.index_copy(0, state.rows[lower], state.z[lower])
        best = best.index_copy(0, state.rows[lower], gap[lower])
        state = state._replace(since=torch.where(lower, 0, state.since + 1))
        done = (gap <= tol) | (state.since >= _STALE)
        n_iter[state.rows[done]] = n
        going = ~done & ~gap.isnan()
        if n == max_iter or not going.any():
            break
        state, q = _State(*(a[going] for a in state)), q[going]
        # one alone now and then: it is sure to lower the objective
        signs = _enter(state.z, q, state.alpha, 1 if n % 3 == 2 else _FIRST + n, positive)
        z, before = state.z, signs.new_zeros(())
        while not torch.equal(signs, before):  # each time an atom leaves
            before = signs
            z, signs = _segment(z, signs, state.b, state.alpha, gram)
        state = state._replace(z=z)
    return out, best, n_iter


@torch.no_grad()
def pursue(
    b: Tensor,
    x2: Tensor,
    alpha: Tensor,
    D: Tensor,
    gram: Tensor,
    *,
    positive: bool,
    tol: float,
    max_iter: int,
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Codes that minimise :math:`F`, from zero codes on, by an active set.

    In each round some of the atoms for which :math:`|q_k| > \alpha_k` enter, those with the largest
    excess; then Newton's method finds the minimum over codes of these signs, along segments that
    end where a sign would flip: that atom leaves. Each set of signs is seen once, whatever the
    coherence of the atoms is; on ordinary dictionaries, with large supports, FISTA takes less time.

    Parameters
    ----------
    b : Tensor, shape (n, K)
        Products of the samples with the atoms.
    x2 : Tensor, shape (n, 1)
        Squared norms of the samples.
    alpha : Tensor, shape (n, 1) or (n, K)
        Weight of the :math:`\ell^1` norm, of all atoms or of each.
    D : Tensor, shape (K, p)
        Rows are atoms, of norm 1 or 0.
    gram : Tensor, shape (K, K)
        Their products.
    positive : bool
        Codes that are not negative.
    tol : float
        A sample is done when its relative duality gap is at most this.
    max_iter : int
        Largest number of rounds.

    Returns
    -------
    z : Tensor, shape (n, K)
        Codes.
    gap : Tensor, shape (n,)
        Relative gaps, the lowest that were found; infinite for a sample that is not finite.
    n_iter : Tensor of int, shape (n,)
        Rounds.

    References
    ----------
    .. [1] Lee, H., Battle, A., Raina, R. and Ng, A., Efficient sparse coding algorithms, NIPS 2006.

    Examples
    --------
    >>> D, x = torch.eye(2), torch.tensor([[3.0, -0.5]])
    >>> z, gap, n_iter = pursue(
    ...     x @ D.T, x.square().sum(1, keepdim=True), torch.ones(1, 1), D, D @ D.T,
    ...     positive=False, tol=1e-6, max_iter=10,
    ... )
    >>> z.round(decimals=3)
    tensor([[2., 0.]])
    """
    size = max(_NUMBERS // min(D.shape) ** 2, 1)
    parts = [
        _pursue(b[rows], x2[rows], alpha[rows], D, gram, positive, tol, max_iter)
        for rows in torch.arange(len(b), device=b.device).split(size)
    ]
    z, gap, n_iter = (torch.cat(found) for found in zip(*parts, strict=True))
    return z, gap, n_iter
