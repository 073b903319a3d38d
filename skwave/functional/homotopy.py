"""Sparse codes by thresholds that fall from step to step, ISTC."""

import torch
from torch import Tensor

from skwave.functional.lasso import lasso_objective
from skwave.functional.prox import threshold_of
from skwave.functional.sparse import lipschitz


def istc(
    x: Tensor,
    D: Tensor,
    alpha: float | Tensor,
    n_iter: int = 12,
    *,
    W: Tensor | None = None,
    alpha_max: float | Tensor | None = None,
    step: float | Tensor = 1.0,
    positive: bool = False,
) -> Tensor:
    r"""Iterative soft thresholding with continuation (homotopy): few steps, falling thresholds.

    .. math:: z_n = S_{\eta\alpha_n}\big(z_{n-1} + \eta\,(x - z_{n-1}D)W^\top\big), \qquad
       \alpha_n = \alpha_{\max}\Big(\frac{\alpha}{\alpha_{\max}}\Big)^{n/N}, \quad z_0 = 0

    With :math:`\eta = 1` and :math:`\langle d_k, w_k\rangle = 1`, if a sample has a code
    :math:`z` of :math:`s` atoms, :math:`\mu = \max_{i\ne j}|\langle d_i, w_j\rangle|` and
    :math:`1 < \gamma = (\alpha_{\max}/\alpha)^{1/N} < 1/(2\mu s)`, and
    :math:`\|z\|_\infty \le 2\alpha_{\max}`, then
    :math:`\|z_n - z\|_\infty \le 2\alpha_{\max}\gamma^{-n}` and no atom outside the support is
    chosen, as long as :math:`\alpha \ge \|(x - zD)W^\top\|_\infty/(1 - 2\gamma\mu s)` [1]_.

    Parameters
    ----------
    x : Tensor, shape (..., p)
        Samples.
    D : Tensor, shape (K, p)
        Rows are atoms.
    alpha : float or Tensor, broadcastable to (..., 1)
        Last threshold, positive.
    n_iter : int, default=12
        Number of steps :math:`N`.
    W : Tensor, shape (K, p), default=None
        Auxiliary dictionary of the generalised ISTC; None for ``D``.
    alpha_max : float or Tensor, broadcastable to (..., 1), default=None
        Threshold to start from; None for the largest correlation of each sample, as
        :math:`\|xW^\top\|_\infty`.
    step : float or Tensor, default=1.0
        Step :math:`\eta`. The theorem has 1; on a dictionary that was learned to reconstruct
        that diverges, see `istc_step`.
    positive : bool, default=False
        Codes that are not negative.

    Returns
    -------
    z : Tensor, shape (..., K)
        Codes, differentiable in ``x``, ``D``, ``W`` and ``alpha``.

    References
    ----------
    .. [1] Zarka, J., Thiry, L., Angles, T. and Mallat, S., Deep network classification by
       scattering and homotopy dictionary learning, ICLR 2020.

    Examples
    --------
    >>> istc(torch.tensor([3.0, -0.5]), torch.eye(2), 1.0)
    tensor([2., 0.])
    """
    W = D if W is None else W
    threshold, b = threshold_of(positive), x @ W.T
    if alpha_max is None:
        alpha_max = (b if positive else b.abs()).amax(-1, keepdim=True)
    # a code that is zero at alpha has all its thresholds there
    first, last = torch.as_tensor(alpha_max).to(x), torch.as_tensor(alpha).to(x)
    first = torch.maximum(first, last)
    b, kept = step * b, None
    if len(D) <= 2 * D.shape[1]:
        kept = torch.eye(len(D)).to(x) - step * (D @ W.T)
    z = threshold(b, step * first * (last / first) ** (1 / n_iter))
    for n in range(2, n_iter + 1):
        z = z + step * ((x - z @ D) @ W.T) if kept is None else z @ kept + b
        z = threshold(z, step * first * (last / first) ** (n / n_iter))
    return z


@torch.no_grad()
def istc_step(
    x: Tensor, D: Tensor, alpha: float, n_iter: int = 12, *, positive: bool = False
) -> float:
    r"""Step for `istc` that lowers the objective of given samples most, and of all of them.

    Steps from 1, the theorem's, down to :math:`1/\|D\|^2` are tried, each :math:`\sqrt2` below
    the last. One for which the objective of any sample ends above that of a zero code is out.
    Far above :math:`2/\|D\|^2` the homotopy is stable as long as codes stay sparse, since
    there only the products of few atoms count.

    Parameters
    ----------
    x : Tensor, shape (n, p)
        Samples, some hundred.
    D : Tensor, shape (K, p)
        Rows are atoms.
    alpha : float
        Weight of the :math:`\ell^1` norm.
    n_iter : int, default=12
        Number of steps.
    positive : bool, default=False
        Codes that are not negative.

    Returns
    -------
    step : float
        For codes of other samples like these. Check them by `lasso_objective`: no step above
        :math:`2/\|D\|^2` is safe for all samples.

    Examples
    --------
    >>> istc_step(torch.tensor([[3.0, -0.5]]), torch.eye(2), 1.0)
    1.0
    """
    safe = float(1 / lipschitz(D))
    zero = x.square().sum(-1) / 2
    best, step, lowest = safe, 1.0, torch.inf
    while step > safe / 2:
        z = istc(x, D, alpha, n_iter, step=max(step, safe), positive=positive)
        objective = lasso_objective(z, x, D, alpha)
        # rounding alone may lift that of a zero code
        if (objective <= zero * (1 + 1e-5)).all() and objective.sum() < lowest:
            best, lowest = max(step, safe), float(objective.sum())
        step /= 2**0.5
    return best
