"""Checks of samples, features and scales that users give."""

import math
import re
import warnings
from contextlib import contextmanager
from numbers import Integral

import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, validate_data

from skwave._core.arrays import refuse_sparse
from skwave._core.compat import REMEDIES, get_namespace
from skwave._core.samples import as_samples

# a last axis of more than these is no axis of channels
_MOST_CHANNELS = 16


def validate_array(estimator, X, *, reset):
    """Check samples for an estimator: real, finite, not empty, at least 2-D.

    Torch tensors stay torch tensors, on their device and with their graph, whether or not
    array-API dispatch is on. Whatever else comes is treated as scikit-learn does.

    Parameters
    ----------
    estimator : estimator
        Its ``n_features_in_`` and ``feature_names_in_`` are set or compared.
    X : array-like or Tensor, shape (n_samples, ...)
        Samples.
    reset : bool
        True in ``fit``.

    Returns
    -------
    X : ndarray, Tensor or array of the array API
        Samples in float32 or float64; integers of up to 16 bits become float32, others
        float64.
    """
    if not isinstance(X, torch.Tensor):
        X = as_samples(X, estimator)
    else:
        refuse_sparse(X)
    if not reset:
        _refuse_other_shape(X, estimator)
    if isinstance(X, torch.Tensor):
        return validate_data(estimator, _check_tensor(X), reset=reset, skip_check_array=True)
    small = isinstance(X, np.ndarray) and X.dtype.kind in "iub" and X.dtype.itemsize <= 2
    dtype = np.float32 if small else _float_dtypes(X)
    with naming("X", "real, finite numbers, shape (n_samples, ...)"):
        return validate_data(estimator, X, reset=reset, allow_nd=True, dtype=dtype)


def _refuse_other_shape(X, estimator):
    # samples with more axes, or fewer, than those of the fit, whose number of features is no help
    fitted = getattr(getattr(estimator, "scattering_", estimator), "sample_shape_", None)
    shape = tuple(getattr(X, "shape", ()))[1:]
    if fitted is None or not shape or len(shape) == len(fitted) or 0 in shape:
        return
    remedy = "fit it again, or give samples of that shape"
    if len(fitted) == 2 and shape[1:] == fitted:
        remedy = "give each channel as a sample, X[:, 0] say, or their mean, X.mean(1)"
    elif len(shape) == 2 and fitted[1:] == shape:
        remedy = f"repeat the one channel, np.repeat(X[:, None], {fitted[0]}, 1), or fit it again"
    raise ValueError(
        f"X has samples of shape {shape}, but {type(estimator).__name__} was fitted to samples of "
        f"shape {fitted}: {remedy}."
    )


def random_numbers(random_state):
    """Random numbers of numpy.

    Parameters
    ----------
    random_state : int, RandomState instance or None
        Seed, or the numbers themselves.

    Returns
    -------
    rng : RandomState
        As scikit-learn makes it.

    Raises
    ------
    ValueError
        If ``random_state`` is anything else.
    """
    try:
        return check_random_state(random_state)
    except ValueError as error:
        raise ValueError(
            f"random_state={random_state!r} must be an int from 0 to 2**32 - 1, a "
            f"numpy.random.RandomState or None. {REMEDIES['random_state']}"
        ) from error


@contextmanager
def naming(name, allowed):
    """Context whose errors name the argument that they are about.

    Parameters
    ----------
    name : str
        The argument.
    allowed : str
        What it must be.

    Yields
    ------
    None
        Nothing.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        if not re.search(rf"\b{name}\b", str(error)):
            error.add_note(f"{name} must be an array of {allowed}.")
        raise


def _float_dtypes(X):
    xp, _ = get_namespace(X)
    return [xp.float64, xp.float32]


def _check_tensor(X):
    refuse_sparse(X)
    if X.is_complex():
        raise ValueError(f"Complex data not supported: X is a tensor of {X.dtype}.")
    if X.ndim < 2:
        raise ValueError(
            f"Expected 2D array, got {X.ndim}D tensor of shape {tuple(X.shape)} instead: the "
            "first axis of X is samples. Reshape one sample with X.reshape(1, -1)."
        )
    if 0 in X.shape:
        raise ValueError(
            f"Found array with {X.shape[0]} sample(s) (shape={tuple(X.shape)}) while a minimum "
            "of 1 is required in every axis."
        )
    if not X.is_floating_point():
        return X.to(torch.float64 if X.element_size() > 2 else torch.float32)
    if X.dtype not in (torch.float32, torch.float64):
        X = X.to(torch.float32)
    if not torch.isfinite(X.detach()).all():
        raise ValueError("Input X contains NaN or infinity: remove or impute these samples.")
    return X


def check_values(X):
    """Check an array without an estimator: real, finite, not empty, at least 2-D.

    Parameters
    ----------
    X : array-like or Tensor, shape (n, ...)
        Features or codes, say.

    Returns
    -------
    X : ndarray, Tensor or array of the array API
        In float32 or float64; a tensor keeps its graph.
    """
    if isinstance(X, torch.Tensor):
        return _check_tensor(X)
    X = as_samples(X)
    with naming("X", "real, finite numbers, shape (n_samples, ...)"):
        return check_array(X, dtype=_float_dtypes(X), input_name="X", allow_nd=True)


def validate_features(X, n_features, name):
    """Check features that came from a transformer, by their number.

    Parameters
    ----------
    X : array-like or Tensor, shape (n_samples, n_features)
        Features.
    n_features : int
        Columns that the transformer gives.
    name : str
        Its name, for the message.

    Returns
    -------
    X : ndarray, Tensor or array of the array API
        Rows in float32 or float64, without a graph.
    """
    X = check_values(X.detach() if isinstance(X, torch.Tensor) else X)
    if tuple(X.shape[1:]) != (n_features,):
        raise ValueError(
            f"X has rows of shape {tuple(X.shape[1:])}, but this {name} gives {n_features} "
            "features: pass what its transform returned, one row for each sample."
        )
    return X


def check_scales(shape, J, T, averaging, note="") -> None:
    """Raise an error if the largest scale does not fit into a signal.

    Parameters
    ----------
    shape : tuple of int
        Signal.
    J : int
        Log2 of the largest scale.
    T : float or None
        Support of the low-pass.
    averaging : {"local", "global"} or None
        Kind of average.
    note : str, default=""
        Put behind the shape in the message.

    Raises
    ------
    ValueError
        If ``2**J``, or ``T`` with a local average, exceeds the smallest side.
    """
    # a side of one pixel is constant: no scale is too large for it
    sides = [n for n in shape if n != 1]
    largest = max(int(min(sides, default=0)).bit_length() - 1, 0)
    if J > largest:
        support = f" = {2**J}" if J < 64 else ""
        raise ValueError(
            f"J={J} is too large: 2**J{support} samples do not fit into signals of shape "
            f"{shape}{note}. "
            + (f"Use J <= {largest}." if largest else "They are too short for any J.")
        )
    if T is not None and averaging == "local" and min(sides) < T:
        raise ValueError(
            f"T={T} exceeds the signals of shape {shape}: use T <= {min(sides)}, or "
            "averaging='global' for the mean over the whole signal."
        )


def warn_channels_last(shape, ndim, stacklevel=2):
    """Warn of channels on the last axis, where the last axis of a signal should be.

    Parameters
    ----------
    shape : tuple of int
        Channels and signal, without the samples.
    ndim : int
        Axes of the signal.
    stacklevel : int, default=2
        As that of `warnings.warn`.

    Warns
    -----
    UserWarning
        If there is an axis of channels that looks like one of the signal, and a last axis that
        looks like channels.
    """
    if len(shape) <= ndim:
        return
    *others, last = shape[-ndim - 1 :]
    if last <= _MOST_CHANNELS and min(others) >= 2 * last:
        kind = "signals" if ndim == 1 else "images"
        signal = " x ".join(map(str, shape[-ndim:]))
        warnings.warn(
            f"X has samples of shape {tuple(shape)}, taken as {math.prod(shape[:-ndim])} channels "
            f"of {kind} of {signal}. If the {last} on the last axis are the channels, move them "
            "to where they belong: np.moveaxis(X, -1, 1), or X.movedim(-1, 1) of a tensor.",
            UserWarning,
            stacklevel=stacklevel + 1,
        )


def default_scale(shape):
    """Log2 of the largest scale, for a transform whose ``J`` is None.

    Parameters
    ----------
    shape : tuple of int
        Signal, ``(N,)`` or ``(H, W)``.

    Returns
    -------
    J : int
        The largest scale that leaves four positions a side, from 1 to 8 for a signal, to 3 for
        an image.
    """
    sides = [n for n in shape if n != 1]
    largest = int(min(sides, default=1)).bit_length() - 3
    return max(1, min(largest, 8 if len(shape) == 1 else 3))


def resolve_ndim(ndim, shape, n_axes, name, stacked=None):
    """Number of axes of a signal whose ``ndim`` may be None.

    Parameters
    ----------
    ndim : int or None
        Parameter of the estimator.
    shape : int, tuple of int or None
        Parameter of the estimator.
    n_axes : int
        Axes of ``X``, with that of the samples.
    name : str
        Name of the estimator, for the message.
    stacked : int or None, default=None
        What a stack of samples with two axes each holds: 1 for signals with channels, 2 for
        images; None if the user has to say so.

    Returns
    -------
    ndim : int
        1 or 2.

    Raises
    ------
    ValueError
        If neither parameter tells, and the axes of ``X`` do not; or if ``shape`` is of neither.
    """
    if ndim is not None:
        return ndim
    if shape is not None:
        n_sides = 1 if isinstance(shape, Integral) else len(shape)
        if n_sides not in (1, 2):
            raise ValueError(f"shape={shape!r} must be (N,) for signals or (H, W) for images.")
        return n_sides
    known = {2: 1, 3: stacked, 4: 2}.get(n_axes)
    if known is None:
        meaning = (
            "images (n, H, W) or signals with channels (n, C, N)"
            if n_axes == 3
            else "images or signals with several axes of channels"
        )
        raise ValueError(
            f"X has {n_axes} axes, which may be {meaning}: give {name} ndim=2 for images, or "
            "ndim=1 for signals."
        )
    return known
