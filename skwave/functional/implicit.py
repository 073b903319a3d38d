"""Derivatives of exact sparse codes."""

from typing import Any

import torch
from torch import Tensor


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
