r"""Ridge regression of energies: factors in place, and choices by errors left out in closed form.

A design matrix :math:`\Phi` of ``n`` rows has a part :math:`H` that is not penalised, the numbers
of atoms of each element, with an orthonormal basis :math:`Q`. With :math:`\tilde\Phi = \Phi -
QQ^T\Phi` the regression is :math:`w = (\tilde\Phi^T\tilde\Phi + \lambda)^{-1} \tilde\Phi^T y =
\tilde\Phi^T (K + \lambda)^{-1} (y - QQ^T y)` with the kernel :math:`K = \tilde\Phi\tilde\Phi^T`.
"""

import math

import torch
from torch import Tensor

_BLOCK = 2048
_RATE = 0.25  # of Adam, by logarithms
# a sample whose error in the fit is less than this share of the one left out is not predicted by
# the others: it is the only one of its composition
_ALONE = 1e-8


def cholesky_in_place(a: Tensor) -> Tensor:
    r"""Lower factor :math:`A = LL^T` in the place of the lower blocks of ``a``.

    torch's own needs twice the memory, and LAPACK's integers overflow from 23 171 rows on.

    Parameters
    ----------
    a : Tensor, shape (n, n)
        Symmetric and positive definite; its upper blocks are not read, and left as they are.

    Returns
    -------
    a : Tensor, shape (n, n)
        The same memory. `solve_lower` and `solve` read it.

    Raises
    ------
    torch.linalg.LinAlgError
        If ``a`` is not positive definite, by rounding perhaps.
    """
    n = len(a)
    for i in range(0, n, _BLOCK):
        j = min(i + _BLOCK, n)
        corner = a[i:j, i:j] = torch.linalg.cholesky(a[i:j, i:j])
        for k in range(j, n, _BLOCK):
            rows = slice(k, min(k + _BLOCK, n))
            a[rows, i:j] = torch.linalg.solve_triangular(
                corner.mT, a[rows, i:j], upper=True, left=False
            )
        for k in range(j, n, _BLOCK):
            columns = slice(k, min(k + _BLOCK, n))
            a[k:, columns].addmm_(a[k:, i:j], a[columns, i:j].mT, alpha=-1)
    return a


def solve_lower(factor: Tensor, b: Tensor) -> Tensor:
    r"""Solution of :math:`L x = b`.

    Parameters
    ----------
    factor : Tensor, shape (n, n)
        What `cholesky_in_place` gives.
    b : Tensor, shape (n, k)
        Right-hand sides.

    Returns
    -------
    x : Tensor, shape (n, k)
        Solutions.
    """
    x = b.clone()
    for i in range(0, len(b), _BLOCK):
        rows = slice(i, i + _BLOCK)
        x[rows] = torch.linalg.solve_triangular(
            factor[rows, rows], x[rows] - factor[rows, :i] @ x[:i], upper=False
        )
    return x


def solve(factor: Tensor, b: Tensor) -> Tensor:
    r"""Solution of :math:`LL^T x = b`.

    Parameters
    ----------
    factor : Tensor, shape (n, n)
        What `cholesky_in_place` gives.
    b : Tensor, shape (n, k)
        Right-hand sides.

    Returns
    -------
    x : Tensor, shape (n, k)
        Solutions.

    Examples
    --------
    >>> a = torch.tensor([[2.0, 1.0], [1.0, 3.0]])
    >>> torch.testing.assert_close(solve(cholesky_in_place(a.clone()), a), torch.eye(2))
    """
    x = solve_lower(factor, b)
    for i in reversed(range(0, len(b), _BLOCK)):
        rows, after = slice(i, i + _BLOCK), min(i + _BLOCK, len(b))
        right = x[rows] - factor[after:, rows].mT @ x[after:]
        x[rows] = torch.linalg.solve_triangular(factor[rows, rows].mT, right, upper=True)
    return x


def leave_one_out(
    kernel: Tensor, y: Tensor, basis: Tensor, noise: Tensor | float
) -> tuple[Tensor, Tensor]:
    r"""Errors of a kernel regression on samples that are left out, in closed form.

    .. math:: e_i = \frac{(Gy)_i}{G_{ii}}, \qquad G = (K + \lambda)^{-1} - QQ^T/\lambda

    where the part in the span of :math:`Q`, to which the rows and columns of :math:`K` are
    orthogonal, is not penalised.

    Parameters
    ----------
    kernel : Tensor, shape (n, n)
        Kernel :math:`K`.
    y : Tensor, shape (n, t)
        Targets.
    basis : Tensor, shape (n, c)
        Orthonormal columns :math:`Q`.
    noise : Tensor or float
        Regulariser :math:`\lambda`.

    Returns
    -------
    errors : Tensor, shape (n, t)
        Targets less predictions by the others; 0 for a sample that these say nothing of, as the
        only one with an element.
    free : Tensor, shape (n,)
        Shares :math:`\lambda G_{ii}` of them that the errors of the fit are.
    """
    eye = torch.eye(len(kernel), dtype=kernel.dtype, device=kernel.device)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(kernel + noise * eye))
    inverse = inverse - basis @ basis.T / noise
    diagonal = inverse.diagonal()
    return divide_by_free(inverse @ y, noise * diagonal, noise), noise * diagonal


def divide_by_free(weights: Tensor, free: Tensor, noise: Tensor | float) -> Tensor:
    r"""Errors left out from weights of samples, :math:`e_i = \lambda \alpha_i / f_i`.

    Parameters
    ----------
    weights : Tensor, shape (n, t)
        Weights :math:`\alpha` of the samples.
    free : Tensor, shape (n,)
        Shares :math:`f` of the errors left out that the errors of the fit are.
    noise : Tensor or float
        Regulariser :math:`\lambda`.

    Returns
    -------
    errors : Tensor, shape (n, t)
        Errors; 0 where the share is 0 but for rounding.
    """
    known = free > _ALONE
    factor = torch.where(known, noise / torch.where(known, free, 1.0), 0.0)
    return weights * factor[:, None]


def choose_weights(
    kernels: Tensor, y: Tensor, basis: Tensor, start: Tensor, n_steps: int = 30
) -> tuple[Tensor, float]:
    r"""Weights of kernels, and the regulariser, for which the errors left out are smallest.

    .. math:: \min_{w, \lambda} \sum_i |e_i|, \qquad K = \sum_g w_g K_g

    by Adam on the logarithms; :math:`|e|` is rounded off below a tenth of its mean.

    Parameters
    ----------
    kernels : Tensor, shape (G, n, n)
        Kernels :math:`K_g`, orthogonal to ``basis``.
    y : Tensor, shape (n, t)
        Targets, which are standardised after what ``basis`` explains is taken off.
    basis : Tensor, shape (n, c)
        Orthonormal columns of what is not penalised.
    start : Tensor, shape (G + 1,)
        Logarithms of the weights and of the regulariser to start from.
    n_steps : int, default=30
        Number of steps.

    Returns
    -------
    log_weights : Tensor, shape (G + 1,)
        Logarithms of the weights, then of the regulariser.
    error : float
        Mean absolute error of the standardised targets.
    """
    y = y - basis @ (basis.T @ y)
    y = y / y.square().mean(0).sqrt().clamp_min(torch.finfo(y.dtype).tiny)
    x = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([x], lr=_RATE)
    best, error = start, math.inf
    with torch.enable_grad():
        for step in range(n_steps):
            optimiser.param_groups[0]["lr"] = _RATE * (1 - step / n_steps) + 0.01
            kernel = torch.einsum("g,gij->ij", x[:-1].exp(), kernels)
            e, _ = leave_one_out(kernel, y, basis, x[-1].exp())
            found = float(e.detach().abs().mean())
            if found < error:
                best, error = x.detach().clone(), found
            optimiser.zero_grad()
            (e.square() + (0.1 * found) ** 2).sqrt().mean().log().backward()
            optimiser.step()
    return best, error
