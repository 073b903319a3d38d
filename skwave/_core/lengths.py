"""Signals of different lengths: lists and columns of arrays."""

import numpy as np
import torch

from skwave._core.arrays import refuse_sparse, to_numpy
from skwave._core.samples import is_series, refuse_masked, refuse_path


def signals_of(X, length=None, estimator=None):
    """Signals of different lengths, one array for each sample.

    Parameters
    ----------
    X : object
        What a transformer is given.
    length : int, default=None
        Length that is expected, if there is one: a list of arrays of another length has samples of
        any length, too.
    estimator : estimator, default=None
        One with a parameter ``mask`` is told that masked samples go there.

    Returns
    -------
    signals : list of ndarray or of Tensor, shape (n_i,) or (n_channels, n_i), or None
        Of one floating type; None if ``X`` is an array, or a list of signals of the same length.

    Raises
    ------
    ValueError
        If samples have different numbers of axes or channels, no values, or values that are not
        finite or not real. The message tells which.
    """
    refuse_path(X)
    parts = _parts(X)
    if parts is None:
        return None
    refuse_masked(parts, estimator)
    columns = hasattr(X, "iloc") or hasattr(X, "to_frame")  # of pandas or polars
    try:
        parts = [_as_array(x) for x in parts]
    except (TypeError, ValueError):  # what as_samples says of them
        return None
    lengths = {part.shape[-1] if part.ndim else 0 for part in parts}
    given = all(hasattr(x, "ndim") for x in X) if isinstance(X, list | tuple) else True
    same = length is None or not given or lengths == {length}
    if len(lengths) == 1 and same and not columns:
        return None
    if max(part.ndim for part in parts) > 2 or len({part.shape[-2:-1] for part in parts}) > 1:
        if all(part.ndim > 1 for part in parts):
            return None  # images of different sizes
        _refuse_channels(parts)
    return _of_one_type(parts)


def _parts(X):
    # the samples, if each is an array or a list of its own
    if hasattr(X, "columns") and hasattr(X, "__getitem__"):
        names = list(X.columns) if len(X) else []
        if not names or not is_series(next(iter(X[names[0]]))):
            return None
        columns = [list(X[name]) for name in names]
        if not all(is_series(column[0]) for column in columns):
            return None
        rows = zip(*columns, strict=True)
        return [row[0] if len(row) == 1 else [np.asarray(to_numpy(x)) for x in row] for row in rows]
    if isinstance(X, np.ndarray) and (X.dtype != object or X.ndim != 1):
        return None
    column = hasattr(X, "iloc") or hasattr(X, "to_list")
    if not isinstance(X, list | tuple | np.ndarray) and not column:
        return None
    parts = list(X)
    return parts if parts and all(map(is_series, parts)) else None


def _as_array(x):
    if isinstance(x, torch.Tensor):
        refuse_sparse(x)
        return x
    x = np.asarray(to_numpy(x))
    if x.dtype.kind not in "fiub":
        raise TypeError
    return x


def _refuse_channels(parts):
    first = parts[0].shape[:-1]
    i = next(i for i, part in enumerate(parts) if part.shape[:-1] != first)
    raise ValueError(
        f"sample {i} of X has the shape {tuple(parts[i].shape)}, sample 0 {tuple(parts[0].shape)}: "
        "all signals must have the same channels, as arrays (length,) or (n_channels, length)."
    )


def _of_one_type(parts):
    tensors = [isinstance(part, torch.Tensor) for part in parts]
    if not all(tensors):
        parts = [np.asarray(to_numpy(part)) for part in parts]
    small = all(_is_small(part) for part in parts)
    if all(tensors):
        signals = [part.to(torch.float32 if small else torch.float64) for part in parts]
        finite = [bool(torch.isfinite(s).all()) for s in signals]
    else:
        signals = [part.astype(np.float32 if small else np.float64, copy=False) for part in parts]
        finite = [bool(np.isfinite(s).all()) for s in signals]
    for i, signal in enumerate(signals):
        if 0 in signal.shape:
            raise ValueError(f"sample {i} of X has no values: leave it out.")
        if not finite[i]:
            raise ValueError(
                f"Input X contains NaN or infinity in sample {i}: impute it, or leave it out."
            )
    return signals


def _is_small(part):
    # whether float32 holds what it has
    if isinstance(part, torch.Tensor):
        return part.element_size() <= (4 if part.is_floating_point() else 2)
    return part.dtype.itemsize <= (4 if part.dtype.kind == "f" else 2)


def by_length(signals):
    """Samples of each length.

    Parameters
    ----------
    signals : list of array, shape (..., n_i)
        Signals.

    Returns
    -------
    groups : dict
        Lists of indices by their length, the shortest first.
    """
    groups = {}
    for i in np.argsort([s.shape[-1] for s in signals], kind="stable").tolist():
        groups.setdefault(signals[i].shape[-1], []).append(i)
    return groups


def stack(signals):
    """Signals of one length as one array.

    Parameters
    ----------
    signals : list of ndarray or of Tensor
        Signals.

    Returns
    -------
    X : ndarray or Tensor
        Of the same kind, shape (n, ...).
    """
    return torch.stack(signals) if isinstance(signals[0], torch.Tensor) else np.stack(signals)
