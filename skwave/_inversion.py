"""Signals from features: the iterative inverse of the scattering transformer."""

import warnings
from math import prod
from numbers import Integral, Real

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skwave._arrays import from_tensor, resolve_device, resolve_dtype, to_tensor
from skwave._batch import map_batches
from skwave._progress import step_reporter
from skwave._samples import validate_features
from skwave.functional import invert_scattering
from skwave.functional.inversion import scale_noise
from skwave.functional.plan import n_kept


def _check(max_iter, tol):
    if not isinstance(max_iter, Integral) or max_iter < 1:
        raise ValueError(f"max_iter={max_iter!r} must be an integer from 1 on.")
    if not isinstance(tol, Real) or not tol >= 0:
        raise ValueError(f"tol={tol!r} must be a relative error, not under 0.")


def invert(est, X, init, max_iter, tol, random_state):
    """Signals whose features are ``X``: see `ScatteringTransformer.inverse_transform`.

    Parameters
    ----------
    est : ScatteringTransformer
        Fitted.
    X : array-like or Tensor, shape (n_samples, n_features_out)
        Features.
    init : array-like, Tensor or None
        Signals to start from.
    max_iter, tol, random_state : int, float, int or RandomState
        Parameters of the method.

    Returns
    -------
    signals : array, shape (n_samples, ...)
        Same kind of array as ``X``.
    """
    check_is_fitted(est)
    est._check_signal(est.signal_shape_)  # a parameter may have been set since
    _check(max_iter, tol)
    n_out, sample = est._n_out(), (est.n_channels_, *est.signal_shape_)
    X = validate_features(X, n_out, type(est).__name__)
    n = X.shape[0]
    if init is None:
        start = check_random_state(random_state).standard_normal((n, prod(sample)))
    else:
        start = est._validate(init)
        if start.shape[0] != n:
            raise ValueError(f"init has {start.shape[0]} signals for {n} rows of X: give one each.")
    dtype, device = resolve_dtype(est.dtype, X), resolve_device(est.device, X)
    plan = est._plan(dtype, device)
    report = step_reporter(type(est).__name__, max_iter) if est.verbose else None
    interrupted = False

    def invert_block(rows):
        nonlocal interrupted
        s, x = rows.split([n_out, rows.shape[1] - n_out], 1)
        s, x = est._unlog(s).reshape(len(s), sample[0], -1), x.reshape(-1, *sample)
        x = scale_noise(x, s, plan) if init is None else x
        if not interrupted:
            x, _, interrupted = invert_scattering(
                s, plan, x, max_iter=max_iter, tol=tol, on_step=report
            )
        return x.flatten(1)

    home, size = X.device if isinstance(X, torch.Tensor) else "cpu", prod(sample)
    # the memory of the method and of the gradient
    row_bytes = dtype.itemsize * (40 * size + 6 * n_out + 2 * sample[0] * n_kept(plan))
    with torch.inference_mode(False):
        rows = [to_tensor(part, dtype, home).detach().flatten(1) for part in (X, start)]
        Y = map_batches(
            invert_block,
            torch.cat(rows, 1),
            n_out=size,
            row_bytes=row_bytes,
            dtype=dtype,
            device=device,
            batch_size=est.batch_size,
            n_jobs=est.n_jobs,
        )
    if interrupted:
        warnings.warn(
            "inverse_transform was interrupted: these are the signals found so far. Give them as "
            "init= to go on.",
            ConvergenceWarning,
            stacklevel=3,
        )
    return from_tensor(Y.reshape(n, *est.sample_shape_), X)
