"""Which algorithm codes a batch, and dictionaries learnt from mini-batches."""

import warnings
from importlib.util import find_spec
from math import prod
from typing import NamedTuple

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from skwave._core.arrays import to_numpy
from skwave._core.checks import naming
from skwave.functional._sparse.coding import duality_gap, ista, istc, lasso_objective, lipschitz
from skwave.functional._sparse.dictionaries import omp, update_dictionary
from skwave.functional._sparse.lasso import Codes, implicit_codes, lasso
from skwave.functional._sparse.prox import normalise_atoms

EXACT = ("auto", "cd", "fista")
# samples count as the fourth power of when they came: Mairal et al. 2010, sec. 3.4.1, rho
_FORGETTING = 4
_MAX_ITER = {"istc": 12, "ista": 1000, "auto": 1000, "cd": 1000, "fista": 1000}


def compiled():
    """Whether numba is there.

    Returns
    -------
    compiled : bool
        Looked up without importing it.
    """
    return find_spec("numba") is not None


def check_dictionary(D, n_features, name):
    """Atoms that a caller gave.

    Parameters
    ----------
    D : array-like, shape (K, p)
        Rows are atoms.
    n_features : int
        Length of a sample.
    name : str
        Name of the parameter.

    Returns
    -------
    D : ndarray, shape (K, p)
        Finite, without zero atoms.

    Raises
    ------
    ValueError
        Otherwise; it says which atoms are bad.
    """
    with naming(name, f"finite numbers, shape (n_components, {n_features})"):
        D = np.array(to_numpy(D), dtype=float)
    if D.ndim != 2 or D.shape[1] != n_features:
        raise ValueError(
            f"{name} has shape {D.shape}, but its rows must be atoms of the length of a sample, "
            f"(n_components, {n_features}): transpose it if atoms are its columns."
        )
    for bad, what in ((~np.isfinite(D).all(1), "not finite"), (~D.any(1), "zero")):
        if bad.any():
            raise ValueError(
                f"atoms {np.flatnonzero(bad).tolist()} of {name} are {what}: leave them out."
            )
    return D


def as_rows(X):
    """Samples in one axis, channels in the other.

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
    """Undo `as_rows`.

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


def encode(x, D, *, algorithm, alpha, positive, tol, max_iter, n_nonzero=None, step=None):
    """Code a batch.

    Parameters
    ----------
    x : Tensor, shape (n, p)
        Samples.
    D : Tensor, shape (K, p)
        Rows are atoms, of the type and on the device of ``x``.
    algorithm, alpha, positive, tol, max_iter, n_nonzero, step : object
        As in `SparseCoder`; ``step`` is that of ISTC.

    Returns
    -------
    codes : Codes
        The gap of OMP, which solves another problem, is NaN.

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
    if algorithm == "omp":
        n_nonzero = max(D.shape[1] // 10, 1) if n_nonzero is None else n_nonzero
        z = omp(x, D, n_nonzero)
        return Codes(z, x.new_full(x.shape[:1], torch.nan), (z != 0).sum(1))
    if algorithm == "ista":
        z = ista(x, D, alpha, max_iter, positive=positive)
    else:
        z = _homotopy(x, D, alpha, max_iter, step, positive)
    x2 = x.square().sum(1) / 2
    gap = duality_gap(z, x, D, alpha, positive=positive) / torch.where(x2 > 0, x2, 1.0)
    return Codes(z, gap.detach(), torch.full(x.shape[:1], max_iter))


def _descend(x, D, alpha, positive, tol, max_iter):
    # numba takes a while to import
    from skwave.sparse._compiled import lasso_gram

    arrays = (a.detach().cpu().numpy() for a in (x, D))
    codes = lasso_gram(*arrays, alpha, positive=positive, tol=tol, max_iter=max_iter)
    codes = Codes(*(torch.from_numpy(a).to(x.device) for a in codes))
    if torch.is_grad_enabled():
        codes = codes._replace(z=implicit_codes(codes.z, x, D, alpha))
    return codes


def _homotopy(x, D, alpha, max_iter, step, positive):
    z = istc(x, D, alpha, max_iter, step=step, positive=positive)
    # also true where it is NaN
    grew = ~(lasso_objective(z, x, D, alpha) <= x.square().sum(1) / 2 * (1 + 1e-5))
    if not grew.any():
        return z
    warnings.warn(
        f"ISTC with step {step:.3g} made the objective of {int(grew.sum())} of {len(x)} samples "
        "grow; these were coded again with the step 1/||D||², which is safe but slow. Fit on "
        "samples like these, raise alpha, or use algorithm='fista'.",
        ConvergenceWarning,
        stacklevel=2,
    )
    rows, safe = grew.nonzero()[:, 0], 1 / lipschitz(D)
    again = istc(x[rows], D, alpha, max_iter, step=safe, positive=positive)
    return torch.where(grew[:, None], 0.0, z).index_add(0, rows, again)


class Learning(NamedTuple):
    """Dictionary ``D`` (K, p), statistics ``A`` (K, K) and ``B`` (K, p), and steps taken."""

    D: torch.Tensor
    A: torch.Tensor
    B: torch.Tensor
    n_steps: int


def start(rows, n_components, dict_init, rng):
    """Begin to learn: from given atoms, or from samples drawn at random.

    Parameters
    ----------
    rows : array, shape (n, p)
        Samples.
    n_components : int
        Number of atoms.
    dict_init : ndarray, shape (n_components, p), or None
        Atoms to start from.
    rng : RandomState
        Draws the samples, and Gaussian atoms if there are too few.

    Returns
    -------
    D : ndarray, shape (n_components, p)
        Atoms of norm 1.
    """
    if dict_init is None:
        order = rng.permutation(len(rows))[:n_components]
        chosen = rows[order] if isinstance(rows, np.ndarray) else rows[order.tolist()]
        D = rng.standard_normal((n_components, rows.shape[1]))
        D[: len(chosen)] = chosen.detach().cpu() if isinstance(rows, torch.Tensor) else chosen
        flat = ~D.any(1)
        D[flat] = rng.standard_normal((int(flat.sum()), rows.shape[1]))
    else:
        D = dict_init
    return D / np.linalg.norm(D, axis=1, keepdims=True)


def learn(state, x, rng, **coding):
    """One step of online dictionary learning.

    Parameters
    ----------
    state : Learning
        What has been learnt.
    x : Tensor, shape (b, p)
        Mini-batch.
    rng : RandomState
        Draws samples in place of atoms that no code has.
    **coding
        Of `encode`.

    Returns
    -------
    state : Learning
        After the step.
    codes : Codes
        Of the batch in the dictionary from before.

    References
    ----------
    .. [1] Mairal, J., Bach, F., Ponce, J. and Sapiro, G., Online learning for matrix
       factorization and sparse coding, J. Mach. Learn. Res. 11, 2010.
    """
    D, A, B, n = state
    codes = encode(x, D, **coding)
    z, b = codes.z, len(x)
    beta = (1 - 1 / (n + 1)) ** _FORGETTING
    A, B = beta * A + z.T @ z / b, beta * B + z.T @ x / b
    if x.device.type == "cpu" and compiled():
        from skwave.sparse._compiled import update_atoms

        D = torch.from_numpy(update_atoms(D.numpy(), A.numpy(), B.numpy()))
    else:
        D = update_dictionary(D, A, B)
    dead = (A.diagonal() <= 1e-6 * A.diagonal().mean()).nonzero()[:, 0]
    drawn = x[torch.from_numpy(rng.randint(b, size=len(dead))).to(x.device)]
    dead, drawn = dead[drawn.any(1)], drawn[drawn.any(1)]
    D[dead] = normalise_atoms(drawn)
    A[dead], A[:, dead], B[dead] = 0.0, 0.0, 0.0
    return Learning(D, A, B, n + 1), codes
