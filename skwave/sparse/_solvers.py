"""Coding of batches by any of the algorithms, and online learning of dictionaries."""

import warnings
from importlib.util import find_spec
from math import prod
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array, issparse, vstack
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import gen_batches

from skwave._core.arrays import reshape, to_numpy
from skwave._core.batches import batch_rows, map_batches
from skwave._core.checks import naming
from skwave.functional._sparse.coding import (
    alpha_max,
    duality_gap,
    gap_scale,
    ista,
    istc,
    istc_step,
    lasso_objective,
    lipschitz,
)
from skwave.functional._sparse.dictionaries import omp, update_dictionary
from skwave.functional._sparse.lasso import Codes, implicit_codes, lasso
from skwave.functional._sparse.prox import normalize_atoms, power_of_two, threshold_of

EXACT = ("auto", "cd", "fista")
# samples count as the fourth power of when they came: Mairal et al. 2010, sec. 3.4.1, rho
_FORGETTING = 4
_MAX_ITER = {"istc": 12, "ista": 1000, "auto": 1000, "cd": 1000, "fista": 1000}
# where samples and atoms are scaled to 1, no penalty beyond makes a difference
LARGEST_ALPHA = 2.0**100


def compiled():
    """Whether numba is installed, which compiles the coordinate descent.

    Returns
    -------
    compiled : bool
        Looked up without importing it.
    """
    return find_spec("numba") is not None


def check_dictionary(D, name, dtype, n_features=None):
    """Atoms that a user gave, checked.

    Parameters
    ----------
    D : array-like or sparse matrix, shape (K, p)
        Rows are atoms.
    name : str
        Name of the parameter.
    dtype : str
        Type of the samples.
    n_features : int, default=None
        Length of a sample, if it is known.

    Returns
    -------
    D : ndarray of ``dtype``, shape (K, p)
        Finite. Atoms of zeros are allowed, no code has them.

    Raises
    ------
    ValueError
        If the shape does not fit, or the type does not hold an atom; it says which.
    """
    p = "n_features" if n_features is None else n_features
    with naming(name, f"finite numbers, shape (n_components, {p})"):
        D = np.array(D.toarray() if issparse(D) else to_numpy(D), dtype=float)
    if D.ndim != 2 or not D.size or n_features not in (None, D.shape[1]):
        raise ValueError(
            f"{name} has shape {D.shape}, but its rows must be atoms of the length of a sample, "
            f"(n_components, {p}): transpose it if atoms are its columns."
        )
    with np.errstate(over="ignore", under="ignore"):
        atoms = D.astype(dtype)
    advice = f"scale them into the range of {dtype}, or give the samples in float64"
    for bad, what, remedy in (
        (~np.isfinite(D).all(1), "not finite", "leave them out"),
        (~np.isfinite(atoms).all(1), f"too large for {dtype}", advice),
        (D.any(1) & ~atoms.any(1), f"too small for {dtype}", advice),
    ):
        if bad.any():
            which = np.flatnonzero(bad).tolist()
            raise ValueError(f"atoms {which} of {name} are {what}: {remedy}.")
    return atoms


def as_rows(X):
    """Maps of features unfolded to rows, one for each position.

    Parameters
    ----------
    X : array, shape (n, C, ...)
        Samples whose axis 1 is channels; every position is a sample to code.

    Returns
    -------
    rows : array, shape (n * positions, C)
        A view if there are no positions.
    """
    if len(X.shape) == 2:
        return X
    return X.reshape(*X.shape[:2], -1).swapaxes(1, 2).reshape(-1, X.shape[1])


def as_maps(rows, shape):
    """Rows folded back to maps, the inverse of `as_rows`.

    Parameters
    ----------
    rows : array, shape (n * positions, K)
        Codes of all positions.
    shape : tuple of int
        Shape of the samples, ``(n, C, ...)``.

    Returns
    -------
    X : array, shape (n, K, ...)
        Maps of codes.
    """
    if len(shape) == 2:
        return rows
    n, places = shape[0], shape[2:]
    return rows.reshape(n, prod(places), -1).swapaxes(1, 2).reshape(n, -1, *places)


def encode_batches(X, D, *, split_sign=False, batching, **coding):
    """Codes of samples or maps of any kind of array, in batches that fit into memory.

    Parameters
    ----------
    X : array, shape (n, p, ...)
        Validated samples.
    D : Tensor, shape (K, p)
        Rows are atoms, of the type and on the device to compute with.
    split_sign : bool, default=False
        Whether the negative parts of codes stand behind the positive ones, as K more features.
    batching : dict
        ``n_jobs``, ``verbose`` and ``name`` of `map_batches`.
    **coding : object
        Parameters of `encode`.

    Returns
    -------
    Z : array, shape (n, K, ...)
        Codes; with ``split_sign`` there are 2 K of them. All but the first axis are flat.
    gap : float
        Largest relative gap, NaN if one is.
    finite : bool
        Whether the type holds all codes.
    """
    places, gaps = prod(X.shape[2:]), []

    def code(x):  # numpydoc ignore=GL08
        codes = encode(as_rows(x), D, **coding)
        z = torch.cat([codes.z.relu(), (-codes.z).relu()], 1) if split_sign else codes.z
        y = as_maps(z, x.shape).reshape(len(x), -1)
        # last, so that a batch that is halved adds nothing before
        extremes = torch.stack(codes.z.detach().aminmax())  # one pass; NaN passes through
        gaps.append((codes.gap.max(), extremes.isfinite().all()))
        return y

    Z = map_batches(
        code,
        X,
        n_out=(1 + split_sign) * len(D) * places,
        row_bytes=8 * len(D) * places * D.element_size(),
        dtype=D.dtype,
        device=D.device,
        finite=False,  # `gaps` tell
        **batching,
    )
    gap, finite = (torch.stack(values) for values in zip(*gaps, strict=True))
    return Z, float(gap.max()), bool(finite.all())


def encode_sparse(X, D, **parameters):
    """Codes of samples as a matrix of their entries that are not zero.

    Parameters
    ----------
    X : array, shape (n, p)
        Validated samples.
    D : Tensor, shape (K, p)
        As in `encode_batches`, and so are the others.
    **parameters : object
        Of `encode_batches`.

    Returns
    -------
    Z : csr_array, shape (n, K)
        Codes. Dense are those of a batch alone, within scikit-learn's ``working_memory``.
    gap, finite : float, bool
        As in `encode_batches`.

    Raises
    ------
    ValueError
        If ``X`` is a tensor, or has further axes.
    """
    if X.ndim > 2 or isinstance(X, torch.Tensor):
        kind = "a tensor" if isinstance(X, torch.Tensor) else f"of {X.ndim} axes"
        raise ValueError(
            f"sparse_output=True, but X is {kind}: sparse codes are matrices of SciPy. Give arrays "
            "of shape (n_samples, n_features), or sparse_output=False."
        )
    size = batch_rows("auto", 8 * len(D) * D.element_size(), len(X))
    parts = [encode_batches(X[rows], D, **parameters) for rows in gen_batches(len(X), size)]
    codes, gaps, finite = zip(*parts, strict=True)
    Z = vstack([csr_array(to_numpy(z)) for z in codes], format="csr")
    return Z, float(np.max(gaps)), all(finite)


def decode_batches(Z, D, *, split_sign):
    """Samples or maps rebuilt from codes of any kind of array, in batches that fit into memory.

    Parameters
    ----------
    Z : array, shape (n, K, ...)
        Validated codes.
    D : Tensor, shape (K, p)
        Rows are atoms, of the type and on the device to compute with.
    split_sign : bool
        Whether the codes are split, as in `encode_batches`.

    Returns
    -------
    X : array, shape (n, p, ...)
        Sums of atoms, the same kind of array as the codes.
    """
    (K, p), places = D.shape, prod(Z.shape[2:])

    def decode(z):  # numpydoc ignore=GL08
        rows = as_rows(z)
        if split_sign:
            rows = rows[:, :K] - rows[:, K:]
        return as_maps(rows @ D, z.shape).reshape(len(z), -1)

    X = map_batches(
        decode,
        Z,
        n_out=p * places,
        row_bytes=2 * (K + p) * places * D.element_size(),
        dtype=D.dtype,
        device=D.device,
    )
    return reshape(X, (Z.shape[0], p, *Z.shape[2:]))


def decode_sparse(Z, D, *, split_sign):
    """Samples rebuilt from sparse codes.

    Parameters
    ----------
    Z : csr_array, shape (n, K)
        Codes, with ``split_sign`` (n, 2 K).
    D : ndarray, shape (K, p)
        Rows are atoms.
    split_sign : bool
        Whether the codes are split.

    Returns
    -------
    X : ndarray, shape (n, p)
        Sums of atoms, of the type of the codes.
    """
    D = D.astype(Z.dtype)
    return Z @ (np.concatenate([D, -D]) if split_sign else D)


def _unit_of_atoms(D):
    # 1 for what the step 1 of ISTC is made for, atoms with norms of the order of 1
    t = power_of_two(D)
    return torch.where((t > 2.0**-20) & (t < 2.0**20), 1.0, t)


def encode(x, D, *, alpha, step=None, **coding):
    """Codes of a batch, whatever the scale of its samples and atoms.

    The problem does not change where a sample, its code and ``alpha`` are multiplied by one
    number, nor where the atoms are and codes are divided by it. Each sample, and a dictionary far
    from the norm 1, is divided by a power of two, which is exact: no square overflows or vanishes.

    Parameters
    ----------
    x : Tensor, shape (n, p)
        Samples.
    D : Tensor, shape (K, p)
        Rows are atoms, of the type and on the device of ``x``.
    alpha : float
        Weight of the l1 norm, positive.
    step : float, default=None
        Step of ISTC.
    **coding : object
        The parameters ``algorithm, positive, tol, max_iter, n_nonzero`` of `encode_scaled`.

    Returns
    -------
    codes : Codes
        Infinite where their type does not hold them. The gap of OMP and of thresholds, which
        solve another problem, is NaN.
    """
    s, t = power_of_two(x, 1), _unit_of_atoms(D)
    a = (alpha / s / t).clamp(torch.finfo(x.dtype).tiny, LARGEST_ALPHA)
    step = None if step is None else step * float(t) * float(t)
    codes = encode_scaled(x / s, D / t, alpha=a, step=step, **coding)
    # products with the atoms are of the unit of both; in place where no graph is kept: codes are
    # the largest arrays here
    unit = s * t if coding["algorithm"] == "threshold" else s / t
    z = codes.z * unit if codes.z.requires_grad else codes.z.mul_(unit)
    return Codes(z, codes.gap, codes.n_iter)


def encode_scaled(x, D, *, algorithm, alpha, positive, tol, max_iter, n_nonzero=None, step=None):
    """Codes of a batch whose numbers are of the order of 1.

    Parameters
    ----------
    x : Tensor, shape (n, p)
        Samples.
    D : Tensor, shape (K, p)
        Rows are atoms.
    algorithm : str
        As in `SparseCoder`, and so are the others.
    alpha : Tensor, shape (n, 1)
        Weight of the l1 norm for each sample.
    positive, tol, max_iter, n_nonzero : object
        As in `SparseCoder`.
    step : float, default=None
        Step of ISTC.

    Returns
    -------
    codes : Codes
        The gap of OMP and of thresholds is NaN.

    Warns
    -----
    ConvergenceWarning
        If the objective of a sample grew under ISTC.
    """
    max_iter = _MAX_ITER.get(algorithm) if max_iter is None else max_iter
    if algorithm == "cd" or (algorithm == "auto" and x.device.type == "cpu" and compiled()):
        return _descend(x, D, alpha, positive, tol, max_iter)
    if algorithm in EXACT:
        return lasso(x, D, alpha, positive=positive, tol=tol, max_iter=max_iter)
    if algorithm in ("omp", "threshold"):
        if algorithm == "omp":
            z = omp(x, D, max(D.shape[1] // 10, 1) if n_nonzero is None else n_nonzero)
        else:
            z = threshold_of(positive)(x @ D.T, alpha)
        return Codes(z, x.new_full(x.shape[:1], torch.nan), (z != 0).sum(1))
    if algorithm == "ista":
        z = ista(x, D, alpha, max_iter, positive=positive)
    else:
        z = _homotopy(x, D, alpha, max_iter, step, positive)
    gap = duality_gap(z, x, D, alpha, positive=positive) / gap_scale(x.square().sum(1))
    return Codes(z, gap.detach(), torch.full(x.shape[:1], max_iter))


def _descend(x, D, alpha, positive, tol, max_iter):
    # numba takes a while to import
    from skwave.sparse._compiled import lasso_gram

    arrays = (a.detach().cpu().numpy() for a in (x, D, alpha[:, 0]))
    found = lasso_gram(*arrays, positive=positive, tol=tol, max_iter=max_iter)
    z, gap, n_iter = (torch.from_numpy(a) for a in found)
    z, gap, n_iter = z.to(x.device), gap.to(x), n_iter.to(x.device)  # some devices have no float64
    if torch.is_grad_enabled():
        z = implicit_codes(z, x, D, alpha)
    return Codes(z, gap, n_iter)


def _homotopy(x, D, alpha, max_iter, step, positive):
    z = istc(x, D, alpha, max_iter, step=step, positive=positive)
    # also true where it is NaN
    grew = ~(lasso_objective(z, x, D, alpha) <= x.square().sum(1) / 2 * (1 + 1e-5))
    if not grew.any():
        return z
    warnings.warn(
        f"ISTC with the step_ that fit chose made the objective of {int(grew.sum())} of {len(x)} "
        "samples grow; these were coded again with the step 1/||D||², which is safe but slow. Fit "
        "on samples like these, raise alpha, or use algorithm='fista'.",
        ConvergenceWarning,
        stacklevel=2,
    )
    rows, safe = grew.nonzero()[:, 0], 1 / lipschitz(D)
    again = istc(x[rows], D, alpha[rows], max_iter, step=safe, positive=positive)
    return torch.where(grew[:, None], 0.0, z).index_add(0, rows, again)


def homotopy_step(x, D, alpha, n_iter, *, positive):
    """Step of ISTC for samples like some that are given, of any scale.

    Parameters
    ----------
    x : Tensor, shape (n, p)
        Samples.
    D : Tensor, shape (K, p)
        Rows are atoms.
    alpha : float
        Weight of the l1 norm.
    n_iter : int
        Number of steps.
    positive : bool
        Codes that are not negative.

    Returns
    -------
    step : float
        Step by `skwave.functional.istc_step`.
    """
    s, t = power_of_two(x), _unit_of_atoms(D)
    alpha = min(float(alpha / s / t), LARGEST_ALPHA)
    return istc_step(x / s, D / t, alpha, n_iter, positive=positive) / float(t) / float(t)


def largest_correlation(X, D, *, positive):
    """Smallest weight of the l1 norm for which all codes are zero.

    Parameters
    ----------
    X : array, shape (n, p)
        Samples.
    D : Tensor, shape (K, p)
        Rows are atoms.
    positive : bool
        Codes that are not negative.

    Returns
    -------
    alpha : float
        Largest of `skwave.functional.alpha_max`.
    """
    top = map_batches(
        lambda x: alpha_max(x, D, positive=positive),
        X,
        n_out=1,
        row_bytes=2 * len(D) * D.element_size(),
        dtype=D.dtype,
        device=D.device,
        n_jobs=1,
        finite=False,
    )
    return float(top.max())


def refuse_overflow(Z):
    """Raise a ValueError that names the samples whose codes are not finite.

    Parameters
    ----------
    Z : ndarray, shape (n, K)
        Codes.
    """
    lost = np.flatnonzero(~np.isfinite(Z).all(1))
    raise ValueError(
        f"the codes of samples {lost[:5].tolist()} exceed the range of {Z.dtype}: give smaller "
        "samples, larger atoms, or float64."
    )


class Learning(NamedTuple):
    """Dictionary ``D`` (K, p), statistics ``A`` (K, K) and ``B`` (K, p), and steps taken."""

    D: torch.Tensor
    A: torch.Tensor
    B: torch.Tensor
    n_steps: int


def start(rows, n_components, dict_init, rng, *, positive):
    """Atoms to start learning from: those given, or samples drawn at random.

    Parameters
    ----------
    rows : array, shape (n, p)
        Samples.
    n_components : int
        Number of atoms.
    dict_init : ndarray, shape (n_components, p), or None
        Atoms to start from.
    rng : RandomState
        Draws the samples, and Gaussian atoms in place of zeros or if there are too few samples.
    positive : bool
        Atoms that are not negative.

    Returns
    -------
    D : ndarray, shape (n_components, p)
        Atoms of norm 1.
    """
    if dict_init is None:
        order = rng.permutation(len(rows))[:n_components]
        D = rng.standard_normal((n_components, rows.shape[1]))
        D[: len(order)] = to_numpy(rows[order.tolist()])
    else:
        D = dict_init.astype(float)
    D = D.clip(min=0) if positive else D
    flat = ~D.any(1)
    drawn = rng.standard_normal((int(flat.sum()), rows.shape[1]))
    D[flat] = np.abs(drawn) if positive else drawn
    return _unit(torch.from_numpy(D)).numpy()


def _unit(D):
    # atoms of norm 1, also of numbers whose squares vanish or overflow
    return normalize_atoms(D / power_of_two(D, 1))


def learn(state, x, z, rng, *, positive):
    """One step of online dictionary learning.

    Parameters
    ----------
    state : Learning
        Dictionary and statistics so far.
    x : Tensor, shape (b, p)
        Mini-batch.
    z : Tensor, shape (b, K)
        Its codes.
    rng : RandomState
        Draws samples in place of atoms that no code has.
    positive : bool
        Atoms that are not negative.

    Returns
    -------
    state : Learning
        Dictionary and statistics after the step.

    References
    ----------
    .. [1] Mairal, J., Bach, F., Ponce, J. and Sapiro, G., Online learning for matrix
       factorization and sparse coding, J. Mach. Learn. Res. 11, 2010.
    """
    D, A, B, n = state
    beta, b = (1 - 1 / (n + 1)) ** _FORGETTING, len(x)
    A, B = beta * A + z.T @ z / b, beta * B + z.T @ x / b
    if x.device.type == "cpu" and compiled():
        from skwave.sparse._compiled import update_atoms

        arrays = (a.numpy() for a in (D, A, B))
        D = torch.from_numpy(update_atoms(*arrays, positive=positive))
    else:
        D = update_dictionary(D, A, B, positive=positive)
    dead = (A.diagonal() <= 1e-6 * A.diagonal().mean()).nonzero()[:, 0]
    drawn = x[torch.from_numpy(rng.randint(b, size=len(dead))).to(x.device)]
    drawn = drawn.clamp(min=0) if positive else drawn
    dead, drawn = dead[drawn.any(1)], drawn[drawn.any(1)]
    D[dead] = _unit(drawn)
    A[dead], A[:, dead], B[dead] = 0.0, 0.0, 0.0
    return Learning(D, A, B, n + 1)
