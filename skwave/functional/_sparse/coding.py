r"""Sparse codes by a given number of steps, their objective and its duality gap.

All minimise :math:`F(z) = \tfrac12\|x - zD\|^2 + \alpha\|z\|_1`. Rows of ``D`` are atoms, as in
scikit-learn's ``components_``. Every step is differentiable, so that the unrolled steps are the
layers of a network.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from skwave.functional._sparse.prox import threshold_of


def lasso_objective(z: Tensor, x: Tensor, D: Tensor, alpha: float | Tensor) -> Tensor:
    r"""Lasso objective :math:`F(z) = \tfrac12\|x - zD\|^2 + \alpha\|z\|_1` of each sample.

    Parameters
    ----------
    z : Tensor, shape (..., K)
        Codes.
    x : Tensor, shape (..., p)
        Samples.
    D : Tensor, shape (K, p)
        Rows are atoms.
    alpha : float or Tensor, broadcastable to (..., 1)
        Weight of the :math:`\ell^1` norm.

    Returns
    -------
    F : Tensor, shape (...)
        Objectives.

    Examples
    --------
    >>> lasso_objective(torch.tensor([2.0, 0.0]), torch.tensor([3.0, 0.0]), torch.eye(2), 1.0)
    tensor(2.5000)
    """
    return (x - z @ D).square().sum(-1) / 2 + (alpha * z.abs()).sum(-1)


def gap_of_products(
    r2: Tensor, xr: Tensor, l1: Tensor, top: Tensor, alpha: float | Tensor
) -> Tensor:
    r"""Duality gap of codes from the products that it is made of.

    .. math:: \tfrac12\|r\|^2 + \alpha\|z\|_1 -
       \Big(s\langle x, r\rangle - \tfrac{s^2}{2}\|r\|^2\Big), \qquad
       s = \min\Big(1, \frac{\alpha}{\max_k (rD^\top)_k}\Big)

    The dual variable is the residual :math:`r = x - zD`, shrunk by :math:`s` until no atom has a
    product with it above :math:`\alpha`.

    Parameters
    ----------
    r2, xr : Tensor, shape (..., 1)
        Squared norm of the residual, and its product with the sample.
    l1 : Tensor, shape (..., 1)
        Norm :math:`\|z\|_1`.
    top : Tensor, shape (..., 1)
        Largest product of the residual and an atom, in absolute value unless codes are positive.
    alpha : float or Tensor, broadcastable to (..., 1)
        Weight of the :math:`\ell^1` norm.

    Returns
    -------
    gap : Tensor, shape (..., 1)
        Not negative but for rounding.
    """
    s = torch.where(top > alpha, alpha / top, 1.0)
    return r2 / 2 + alpha * l1 - (s * xr - s**2 / 2 * r2)


def gap_scale(x2: Tensor) -> Tensor:
    r"""Objective :math:`\tfrac12\|x\|^2` of a zero code, by which gaps become relative.

    Parameters
    ----------
    x2 : Tensor, shape (...)
        Squared norms of samples.

    Returns
    -------
    scale : Tensor, shape (...)
        1 for a sample of zeros, whose gap is 0.
    """
    return torch.where(x2 > 0, x2 / 2, 1.0)


def duality_gap(
    z: Tensor, x: Tensor, D: Tensor, alpha: float | Tensor, *, positive: bool = False
) -> Tensor:
    r"""Duality gap of each code, a bound on its objective above the minimum.

    .. math:: F(z) - \Big(s\langle x, r\rangle - \tfrac{s^2}{2}\|r\|^2\Big), \qquad
       r = x - zD, \quad s = \min\Big(1, \frac{\alpha}{\|rD^\top\|_\infty}\Big)

    Parameters
    ----------
    z : Tensor, shape (..., K)
        Codes.
    x : Tensor, shape (..., p)
        Samples.
    D : Tensor, shape (K, p)
        Rows are atoms.
    alpha : float or Tensor, broadcastable to (..., 1)
        Weight of the :math:`\ell^1` norm.
    positive : bool, default=False
        Codes that are not negative; then the maximum is of ``r @ D.T`` without absolute values.

    Returns
    -------
    gap : Tensor, shape (...)
        Not negative but for rounding; 0 at the minimum, NaN where the code or sample is.

    References
    ----------
    .. [1] Kim, S.-J., Koh, K., Lustig, M., Boyd, S. and Gorinevsky, D., An interior-point method
       for large-scale l1-regularized least squares, IEEE J. Sel. Top. Signal Process. 1, 2007.

    Examples
    --------
    >>> duality_gap(torch.tensor([2.0, 0.0]), torch.tensor([3.0, 0.5]), torch.eye(2), 1.0)
    tensor(0.)
    """
    r = x - z @ D
    q = r @ D.T
    top = (q if positive else q.abs()).amax(-1, keepdim=True)
    r2, xr = (torch.linalg.vecdot(a, r)[..., None] for a in (r, x))
    return gap_of_products(r2, xr, z.abs().sum(-1, keepdim=True), top, alpha)[..., 0]


def alpha_max(x: Tensor, D: Tensor, *, positive: bool = False) -> Tensor:
    r"""Smallest :math:`\alpha` for which the code of a sample is zero.

    .. math:: \alpha_{\max}(x) = \|xD^\top\|_\infty

    Parameters
    ----------
    x : Tensor, shape (..., p)
        Samples.
    D : Tensor, shape (K, p)
        Rows are atoms.
    positive : bool, default=False
        Largest correlation, not the largest absolute one: for codes that are not negative.

    Returns
    -------
    alpha : Tensor, shape (..., 1)
        Negative where no atom of a code that is not negative helps.

    Examples
    --------
    >>> alpha_max(torch.tensor([[1.0, -2.0]]), torch.eye(2))
    tensor([[2.]])
    """
    b = x @ D.T
    return (b if positive else b.abs()).amax(-1, keepdim=True)


def lipschitz(D: Tensor) -> Tensor:
    r"""Squared spectral norm :math:`\|D\|^2`, the Lipschitz constant of the gradient.

    Parameters
    ----------
    D : Tensor, shape (K, p)
        Rows are atoms.

    Returns
    -------
    constant : Tensor, shape ()
        Steps up to its inverse never let the objective grow.

    Examples
    --------
    >>> float(lipschitz(torch.diag(torch.tensor([1.0, 3.0]))))
    9.0
    """
    return torch.linalg.eigvalsh(D @ D.T if len(D) < D.shape[1] else D.T @ D)[-1]


def correlations(x: Tensor, D: Tensor, W: Tensor | None = None) -> Callable[[Tensor], Tensor]:
    r"""Function from codes to the products of their residual with the atoms.

    .. math:: z \mapsto (x - zD)\,W^\top

    With ``W=D`` it is minus the gradient of the quadratic part of the objective.

    Parameters
    ----------
    x : Tensor, shape (..., p)
        Samples.
    D : Tensor, shape (K, p)
        Rows are atoms.
    W : Tensor, shape (K, p), default=None
        Vectors that the residual is multiplied with; None for ``D``.

    Returns
    -------
    f : callable
        Tensor (..., K) -> Tensor (..., K), through the matrix :math:`DW^\top` where that takes
        fewer multiplications.

    Examples
    --------
    >>> D = torch.eye(3)
    >>> correlations(torch.tensor([1.0, 2.0, 3.0]), D)(torch.tensor([1.0, 0.0, 0.0]))
    tensor([0., 2., 3.])
    """
    W = D if W is None else W
    if len(D) > 2 * D.shape[1]:
        return lambda z: (x - z @ D) @ W.T
    gram, b = D @ W.T, x @ W.T
    return lambda z: b - z @ gram


def ista(
    x: Tensor,
    D: Tensor,
    alpha: float | Tensor,
    n_iter: int,
    *,
    step: float | Tensor | None = None,
    positive: bool = False,
    z: Tensor | None = None,
) -> Tensor:
    r"""Iterative soft thresholding.

    .. math:: z_{n+1} = S_{\eta\alpha}\big(z_n + \eta\,(x - z_nD)D^\top\big), \qquad
       F(z_n) - F(z_*) \le \frac{\|z_0 - z_*\|^2}{2\eta n}

    Parameters
    ----------
    x : Tensor, shape (..., p)
        Samples.
    D : Tensor, shape (K, p)
        Rows are atoms.
    alpha : float or Tensor, broadcastable to (..., 1)
        Weight of the :math:`\ell^1` norm.
    n_iter : int
        Number of steps.
    step : float or Tensor, default=None
        Step :math:`\eta`; None for :math:`1/\|D\|^2`, for which the objective never grows.
    positive : bool, default=False
        Codes that are not negative.
    z : Tensor, shape (..., K), default=None
        Codes to start from; None for zeros.

    Returns
    -------
    z : Tensor, shape (..., K)
        Codes.

    References
    ----------
    .. [1] Daubechies, I., Defrise, M. and De Mol, C., An iterative thresholding algorithm for
       linear inverse problems with a sparsity constraint, Comm. Pure Appl. Math. 57, 2004.

    Examples
    --------
    >>> ista(torch.tensor([3.0, -0.5]), torch.eye(2), 1.0, n_iter=10)
    tensor([2., 0.])
    """
    threshold, correlate = threshold_of(positive), correlations(x, D)
    step = 1 / lipschitz(D) if step is None else step
    z = x.new_zeros(*x.shape[:-1], len(D)) if z is None else z
    for _ in range(n_iter):
        z = threshold(z + step * correlate(z), step * alpha)
    return z


def momentum(z: Tensor, previous: Tensor, y: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Extrapolated point from which FISTA takes its next step, with restarts row by row.

    Parameters
    ----------
    z, previous : Tensor, shape (..., K)
        Codes of this step and of the one before.
    y : Tensor, shape (..., K)
        Point that this step started from.
    t : Tensor, shape (..., 1)
        Momenta, 1 at first; that of a row that goes uphill is lost.

    Returns
    -------
    y, t : Tensor, shapes (..., K) and (..., 1)
        Next point, next momenta.

    References
    ----------
    .. [1] O'Donoghue, B. and Candès, E., Adaptive restart for accelerated gradient schemes,
       Found. Comput. Math. 15, 2015, eq. 13.
    """
    change = z - previous
    uphill = torch.linalg.vecdot(y - z, change)[..., None] > 0
    t = torch.where(uphill, 1.0, t)
    t_next = (1 + (1 + 4 * t**2).sqrt()) / 2
    return z + (t - 1) / t_next * change, t_next


def fista(
    x: Tensor,
    D: Tensor,
    alpha: float | Tensor,
    n_iter: int,
    *,
    step: float | Tensor | None = None,
    positive: bool = False,
    z: Tensor | None = None,
) -> Tensor:
    r"""Fast iterative soft thresholding, each sample with its own restarts.

    .. math:: z_{n+1} = S_{\eta\alpha}\big(y_n + \eta\,(x - y_nD)D^\top\big), \qquad
       F(z_n) - F(z_*) \le \frac{2\|z_0 - z_*\|^2}{\eta(n + 1)^2}

    with :math:`y_n = z_n + \frac{t_n - 1}{t_{n+1}}(z_n - z_{n-1})` and :math:`t_{n+1} =
    \tfrac12(1 + \sqrt{1 + 4t_n^2})`. A sample for which :math:`\langle y_n - z_{n+1}, z_{n+1} -
    z_n\rangle > 0` goes uphill: it starts again from :math:`t = 1` [2]_.

    Parameters
    ----------
    x : Tensor, shape (..., p)
        Samples.
    D : Tensor, shape (K, p)
        Rows are atoms.
    alpha : float or Tensor, broadcastable to (..., 1)
        Weight of the :math:`\ell^1` norm.
    n_iter : int
        Number of steps.
    step : float or Tensor, default=None
        Step :math:`\eta`; None for :math:`1/\|D\|^2`, the largest that is safe.
    positive : bool, default=False
        Codes that are not negative.
    z : Tensor, shape (..., K), default=None
        Codes to start from; None for zeros.

    Returns
    -------
    z : Tensor, shape (..., K)
        Codes.

    References
    ----------
    .. [1] Beck, A. and Teboulle, M., A fast iterative shrinkage-thresholding algorithm for
       linear inverse problems, SIAM J. Imaging Sci. 2, 2009.
    .. [2] O'Donoghue, B. and Candès, E., Adaptive restart for accelerated gradient schemes,
       Found. Comput. Math. 15, 2015.

    Examples
    --------
    >>> fista(torch.tensor([3.0, -0.5]), torch.eye(2), 1.0, n_iter=10)
    tensor([2., 0.])
    """
    threshold, correlate = threshold_of(positive), correlations(x, D)
    step = 1 / lipschitz(D) if step is None else step
    z = x.new_zeros(*x.shape[:-1], len(D)) if z is None else z
    y, t = z, z.new_ones(*z.shape[:-1], 1)
    for _ in range(n_iter):
        previous, z = z, threshold(y + step * correlate(y), step * alpha)
        y, t = momentum(z, previous, y, t)
    return z


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
    r"""Step of `istc` with the least mean objective, among those that no sample diverges with.

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
