"""Exact sparse codes on a CPU: Gram coordinate descent with an active set, compiled by numba.

Imported where it is used, since numba takes a while. A call runs on one core and holds no lock:
callers may have several in threads.

Names, the same in all functions: K atoms, rows of ``D``; ``gram`` = D Dᵀ (K, K), whose diagonal
is ``norm`` (K,), with inverses ``inverse`` (K,), 0 for atoms of zeros. Of one sample x: its
products with the atoms ``b`` = D x (K,), its squared norm ``x2``, its code ``z`` (K,), and
``q`` = b - gram z (K,), the products of the residual with the atoms, which is minus the gradient of
the quadratic part: an atom is at its minimum where |q| <= alpha, or q = alpha sign(z) if it is
active. The first n entries of ``S`` (K,) are the active atoms, those of ``w`` (K,) their codes, and
``c`` (K,) is room for right sides and directions.
"""

import numpy as np
import torch
from numba import njit

from skwave.functional._sparse.dictionaries import used_atoms


def jit(f):
    """Compile a function, which then holds no lock.

    Parameters
    ----------
    f : callable
        Of arrays and numbers.

    Returns
    -------
    f : callable
        Compiled at the first call with given types, and cached on the disk.
    """
    options = {
        "nogil": True,
        "error_model": "numpy",
        "fastmath": {"contract", "reassoc", "nsz"},  # infinities and NaN keep their meaning
    }
    try:
        return njit(cache=True, **options)(f)
    except RuntimeError:  # no directory for the cache can be written
        return njit(**options)(f)


# homotopy of the first sweeps: ratio of a threshold to the last, and number at most; cycles over
# the active set before a linear system is solved
_RATIO, _LEVELS, _CYCLES = 0.8, 100, 8


# rows are named by their index: a slice would be counted as a reference, by an atomic operation
@jit
def _subtract(q, n, d, A, k):
    for j in range(n):
        q[j] -= d * A[k, j]


@jit
def _dot(A, i, k, n):
    s = A.dtype.type(0)
    for j in range(n):
        s += A[i, j] * A[k, j]
    return s


@jit
def _threshold(u, alpha, positive):
    if u > alpha:
        return u - alpha
    if u < -alpha and not positive:
        return u + alpha
    return u - u


@jit
def _excess(q_k, positive):
    return q_k if positive else abs(q_k)


@jit
def _sweep(gram, norm, inverse, q, z, alpha, positive):
    # one pass over all coordinates, which keeps q up to date; number of atoms that entered
    entered = 0
    for k in range(len(q)):
        old = z[k]
        if old == 0 and _excess(q[k], positive) <= alpha:
            continue
        new = _threshold(q[k] + norm[k] * old, alpha, positive) * inverse[k]
        if new != old:
            entered += old == 0
            z[k] = new
            _subtract(q, len(q), new - old, gram, k)
    return entered


@jit
def _gather(gram, S, n):
    A = np.empty((n, n), gram.dtype)
    for i in range(n):
        k = S[i]
        for j in range(n):
            A[i, j] = gram[k, S[j]]
    return A


@jit
def _cycle(gram, norm, inverse, S, n, q, w, alpha, positive):
    # passes over the active set alone, with the n x n block A of the Gram matrix and the part r of
    # q; q itself is left behind; number of atoms left
    A, r = _gather(gram, S, n), np.empty_like(w)
    for i in range(n):
        r[i] = q[S[i]]
    for _ in range(_CYCLES):
        for i in range(n):
            old, k = w[i], S[i]
            new = _threshold(r[i] + norm[k] * old, alpha, positive) * inverse[k]
            if new != old:
                w[i] = new
                _subtract(r, n, new - old, A, i)
    left = 0
    for i in range(n):
        if w[i] != 0:
            S[left], w[left] = S[i], w[i]
            left += 1
    return left


@jit
def _factor(A, rounding):
    # Cholesky, into A's lower half with inverse pivots; number of rows until A is singular
    for i in range(len(A)):
        norm = A[i, i]
        for j in range(i):
            A[i, j] = (A[i, j] - _dot(A, i, j, j)) * A[j, j]
        pivot = norm - _dot(A, i, i, i)
        if not pivot > rounding * norm:
            return i
        A[i, i] = 1 / np.sqrt(pivot)
    return len(A)


@jit
def _back(L, n, c):
    for i in range(n - 1, -1, -1):
        c[i] *= L[i, i]
        _subtract(c, i, c[i], L, i)


@jit
def _direction(gram, b, S, n, w, c, alpha, rounding):
    # writes into c the step from w to the minimum over codes of its signs, G_SS^-1 (b_S - alpha
    # sign(w)) - w, and returns True. Where atom m is a combination of those before it, no such
    # minimum is unique: c is the combination of the first m + 1 atoms that adds up to zero, with
    # the sign that lets the l1 norm fall, and False says that any step along it is allowed
    L = _gather(gram, S, n)
    m = _factor(L, rounding)
    if m == n:
        for i in range(n):
            c[i] = b[S[i]] - (alpha if w[i] > 0 else -alpha)
            for j in range(i):
                c[i] -= L[i, j] * c[j]
            c[i] *= L[i, i]
        _back(L, n, c)
        for i in range(n):
            c[i] -= w[i]
        return True
    slope = -1.0 if w[m] > 0 else 1.0
    c[m:n] = 0
    c[m] = -1
    c[:m] = L[m, :m]
    _back(L, m, c)
    for i in range(m):
        slope += c[i] if w[i] > 0 else -c[i]
    if slope > 0:
        for i in range(m + 1):
            c[i] = -c[i]
    return False


@jit
def _newton(gram, b, S, n, w, c, alpha, rounding):
    # minimum over codes of the signs of w, along segments that end where a first sign would flip:
    # that atom leaves, so that there are at most n segments; number of atoms left
    while n:
        regular = _direction(gram, b, S, n, w, c, alpha, rounding)
        step, leaving = 1.0 if regular else np.inf, -1
        for i in range(n):
            if c[i] * w[i] < 0 and -w[i] < step * abs(c[i]) and w[i] < step * abs(c[i]):
                step, leaving = -w[i] / c[i], i
        left = 0
        for i in range(n):
            moved = w[i] + w.dtype.type(step) * c[i]
            if i != leaving and moved * w[i] > 0:
                S[left], w[left] = S[i], moved
                left += 1
        n = left
        if leaving < 0:
            break
    return n


@jit
def _gap(b, q, z, x2, alpha, positive):
    # 1/2 |r|^2 + alpha |z|_1 - (s <x, r> - s^2/2 |r|^2), with all products from b, q and z
    bz, qz, l1, top = 0.0, 0.0, 0.0, 0.0
    for k in range(len(q)):
        bz += b[k] * z[k]
        qz += q[k] * z[k]
        l1 += abs(z[k])
        top = max(top, _excess(q[k], positive))
    r2, xr = max(x2 - bz - qz, 0.0), x2 - bz
    s = min(1.0, alpha / top) if top > 0 else 1.0
    return 0.5 * r2 + alpha * l1 - (s * xr - 0.5 * s * s * r2)


@jit
def _code(
    gram, norm, inverse, b, x2, alpha, ratio, positive, tol, max_iter, rounding, z, q, S, w, c
):
    # one sample, into z; the absolute gap, inf or NaN where there is none, and rounds taken
    K = len(q)
    z[:] = 0
    q[:] = b
    # 1. Homotopy: sweeps with thresholds that fall from the largest product to alpha. The strong
    #    atoms enter first and explain what weaker, correlated ones would enter for.
    level = q.dtype.type(0)
    for k in range(K):
        level = max(level, _excess(q[k], positive))
    level *= ratio
    for _ in range(_LEVELS):
        if not level > alpha:
            break
        _sweep(gram, norm, inverse, q, z, level, positive)
        level *= ratio
    gap = np.inf
    for i in range(1, max_iter + 1):
        # 2. One sweep at alpha over all atoms: the only step in which atoms may enter.
        entered = _sweep(gram, norm, inverse, q, z, alpha, positive)
        # from the second round on, rounding alone is left unless an atom entered
        if i > 1 and entered == 0:
            return gap, i
        # 3. The active atoms alone, S[:n] with codes w[:n]: cycles of descent, then the exact
        #    minimum over their signs. Meanwhile z is zero and q is of no use.
        n = 0
        for k in range(K):
            if z[k] != 0:
                S[n], w[n] = k, z[k]
                z[k] = 0
                n += 1
        n = _cycle(gram, norm, inverse, S, n, q, w, alpha, positive)
        n = _newton(gram, b, S, n, w, c, alpha, rounding)
        # 4. The code goes back into z. q is computed anew from b, since updates gather rounding,
        #    and the gap is taken from it.
        q[:] = b
        for i_S in range(n):
            k = S[i_S]
            z[k] = w[i_S]
            _subtract(q, K, z[k], gram, k)
        gap = _gap(b, q, z, x2, alpha, positive)
        if gap <= tol or not gap < np.inf:
            return gap, i
    return gap, max_iter


@jit
def _codes(gram, b, x2, alpha, ratio, positive, tol, max_iter, rounding, z, gap, n_iter):
    q, w, c = np.empty_like(b[0]), np.empty_like(b[0]), np.empty_like(b[0])
    norm, inverse, S = np.diag(gram).copy(), np.empty_like(b[0]), np.empty(len(gram), np.intp)
    for k in range(len(norm)):
        inverse[k] = 1 / norm[k] if norm[k] > 0 else 0
    for i in range(len(b)):
        limit = tol * x2[i] / 2
        gap[i], n_iter[i] = _code(
            gram, norm, inverse, b[i], x2[i], alpha[i], ratio, positive, limit, max_iter, rounding,
            z[i], q, S, w, c
        )  # fmt: skip


def lasso_gram(x, D, alpha, *, positive=False, tol=1e-6, max_iter=1000, gram=None):
    r"""Lasso codes by coordinate descent, finished by Newton's method on their signs.

    .. math:: \min_z \tfrac12\|x - zD\|^2 + \alpha\|z\|_1

    A few sweeps with falling thresholds, then rounds of: one sweep over all atoms, which lets
    atoms enter; cycles over the active ones; the exact minimum over the codes of these signs,
    atoms leaving where a sign would flip. The objective never grows.

    Parameters
    ----------
    x : ndarray, shape (n_samples, p)
        Samples, float32 or float64.
    D : ndarray, shape (K, p)
        Rows are atoms, of the same type.
    alpha : float or ndarray, shape (n_samples,)
        Weight of the :math:`\ell^1` norm, positive, of all samples or of each.
    positive : bool, default=False
        Codes that are not negative.
    tol : float, default=1e-6
        A code is done when its duality gap is at most this part of :math:`\|x\|^2/2`.
    max_iter : int, default=1000
        Largest number of rounds.
    gram : ndarray, shape (K, K), default=None
        Products of the atoms, if they are at hand.

    Returns
    -------
    z : ndarray, shape (n_samples, K)
        Codes.
    gap : ndarray, shape (n_samples,)
        Their duality gaps, over :math:`\|x\|^2/2`: 0 where ``x`` is, infinite or NaN where
        numbers overflow.
    n_iter : ndarray of int, shape (n_samples,)
        Rounds.

    References
    ----------
    .. [1] Friedman, J., Hastie, T. and Tibshirani, R., Regularization paths for generalized
       linear models via coordinate descent, J. Stat. Softw. 33, 2010.

    Examples
    --------
    >>> z, gap, n_iter = lasso_gram(np.array([[3.0, -0.5]]), np.eye(2), 1.0)
    >>> z
    array([[2., 0.]])
    """
    gram = np.ascontiguousarray(D @ D.T if gram is None else gram)
    b, x2 = x @ D.T, np.einsum("np,np->n", x, x, dtype=np.float64)
    z, gap, n_iter = np.empty_like(b), np.empty(len(b)), np.empty(len(b), dtype=np.intp)
    alpha = np.ascontiguousarray(np.broadcast_to(alpha, len(b)), dtype=b.dtype)
    ratio, rounding = b.dtype.type(_RATIO), 100 * np.finfo(b.dtype).eps
    _codes(gram, b, x2, alpha, ratio, positive, tol, max_iter, rounding, z, gap, n_iter)
    return z, gap / np.where(x2 > 0, x2 / 2, 1), n_iter


@jit
def _update(D, A, B, used, positive):
    K, p = D.shape
    u = np.empty_like(D[0])
    for k in range(K):
        if not used[k]:
            continue
        u[:] = B[k]
        for j in range(K):
            a = A[k, j]
            if a != 0 and j != k:
                for i in range(p):
                    u[i] -= a * D[j, i]
        if positive:
            for i in range(p):
                u[i] = max(u[i], 0)
        norm = np.sqrt(np.dot(u, u))
        if norm > 0:
            for j in range(p):
                D[k, j] = u[j] / norm


def update_atoms(D, A, B, *, positive=False):
    """Update of the atoms by `skwave.functional.update_dictionary`, compiled.

    Parameters
    ----------
    D : ndarray, shape (K, p)
        Rows are atoms, of norm 1.
    A : ndarray, shape (K, K)
        Mean products of codes.
    B : ndarray, shape (K, p)
        Mean products of codes and samples.
    positive : bool, default=False
        Atoms that are not negative.

    Returns
    -------
    D : ndarray, shape (K, p)
        Atoms.

    Examples
    --------
    >>> z, x = np.array([[2.0], [1.0]]), np.array([[4.0, 0.0], [2.0, 0.0]])
    >>> update_atoms(np.array([[0.6, 0.8]]), z.T @ z, z.T @ x)
    array([[1., 0.]])
    """
    D = D.copy()
    _update(D, A, B, used_atoms(torch.from_numpy(A)).numpy(), positive)
    return D
