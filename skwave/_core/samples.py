"""Samples of every kind that users hold them in: what they are, or why they can't be taken."""

import os

import numpy as np
import torch

from skwave._core.arrays import to_numpy

_PAD = "pad or crop them to one shape; transformers of signals, ndim=1, take any length"


def as_samples(X, estimator=None):
    """Samples as one array, of lists of arrays and images too.

    Parameters
    ----------
    X : array-like
        Samples, but no torch tensor.
    estimator : estimator, default=None
        One with a parameter ``mask`` is named as a remedy for masked samples.

    Returns
    -------
    X : object
        An array of a list, or of an array of objects, that holds arrays or images of PIL of one
        shape; anything else as it is.

    Raises
    ------
    TypeError
        If ``X`` is a path.
    ValueError
        If samples have different shapes, ``X`` is a data frame of nested series, complex, masked,
        or has fewer than two axes. The message tells shape and type, and the remedy.
    """
    refuse_path(X)
    refuse_masked(X, estimator)
    _refuse_nested(X)
    if _has_parts(X):
        X = _stack(X)
    _refuse_complex(X)
    _refuse_flat(X)
    return X


def refuse_path(X):
    """Raise an error if samples are a path or any text.

    Parameters
    ----------
    X : object
        Array, or sequence of arrays.

    Raises
    ------
    TypeError
        If ``X`` is a string or a path.
    """
    if isinstance(X, str | os.PathLike):
        path = os.fspath(X)
        raise TypeError(
            f"X={path!r} is text, not an array of real numbers: read the file first, such as "
            f"np.load({path!r}, mmap_mode='r')."
        )


def refuse_masked(X, estimator=None):
    """Raise an error if samples are masked: the values under the mask would count as any others.

    Parameters
    ----------
    X : object
        Array, or sequence of arrays.
    estimator : estimator, default=None
        One with a parameter ``mask`` is named as a remedy.

    Raises
    ------
    ValueError
        If ``X`` is a masked array of numpy, or holds one, in which anything is masked.
    """
    parts = X if isinstance(X, list | tuple) else [X]
    n_masked = sum(int(np.ma.count_masked(x)) for x in parts if isinstance(x, np.ma.MaskedArray))
    if not n_masked:
        return
    remedy = "impute them, X.filled(value), or leave these samples out"
    if hasattr(estimator, "mask"):
        remedy += ". If all have one mask, fill them and give it as mask=~X.mask[0]"
    raise ValueError(
        f"X is a masked array with {n_masked} masked values, which would be taken for data: "
        f"{remedy}."
    )


def counting_samples(X, mask, shape):
    """Samples with 0 where they do not count: NaN, infinity and sentinels are allowed there.

    Parameters
    ----------
    X : array-like or Tensor
        Samples.
    mask : array-like of bool or None
        True for the samples that count, of the shape of a signal.
    shape : tuple of int or None
        Shape of the signal, if the rows of ``X`` are flat.

    Returns
    -------
    X : array or Tensor
        Samples; the argument without a mask.

    Raises
    ------
    ValueError
        If ``X`` is a masked array that hides samples which count.
    """
    if mask is None:
        return X
    hidden = np.ma.getmaskarray(X) if isinstance(X, np.ma.MaskedArray) else None
    if isinstance(X, np.ndarray | torch.Tensor):
        mask = np.asarray(to_numpy(mask)).astype(bool)
        mask = mask.ravel() if shape is not None and X.ndim == 2 else mask
        if X.ndim > mask.ndim and tuple(X.shape[-mask.ndim :]) == mask.shape:
            hidden = None if hidden is None else hidden & mask
            if isinstance(X, torch.Tensor):
                X = torch.where(torch.from_numpy(mask).to(X.device), X, 0)
            else:
                X = np.where(mask, np.ma.getdata(X), 0)
    if hidden is not None and hidden.any():
        raise ValueError(
            f"X is a masked array that hides {int(hidden.sum())} samples, which mask lets count: "
            "give mask=, True for the samples that count in all of X, such as ~X.mask.any(0)."
        )
    return X


def refuse_swapped(X, y):
    """Raise an error if samples stand where the targets should, and the other way round.

    Parameters
    ----------
    X : object
        First argument of a fit.
    y : object
        The second.

    Raises
    ------
    ValueError
        If ``X`` is one number for each sample, and ``y`` is not.
    """
    if _is_flat(X) and hasattr(y, "__len__") and not isinstance(y, str) and not _is_flat(y):
        raise ValueError(
            f"X has the shape {np.shape(X)}, one value for each sample, and y is of more: are "
            "they swapped? Call fit(X, y), samples first."
        )


def _is_flat(x):
    # one number or label for each sample
    if hasattr(x, "ndim"):
        return x.ndim == 1 and not _has_parts(x)
    return isinstance(x, list | tuple) and len(x) > 0 and np.isscalar(x[0])


def _is_array(x):
    # numbers of numpy have an array's interface too; images have no ndim
    array = isinstance(x, torch.Tensor) or hasattr(x, "__array_interface__")
    return array and getattr(x, "ndim", 1) > 0


def is_series(x):
    """Whether a sample is an array or a list of its own.

    Parameters
    ----------
    x : object
        A sample, or a cell of a data frame.

    Returns
    -------
    series : bool
        False for a number.
    """
    return _is_array(x) or isinstance(x, list | tuple) or hasattr(x, "iloc")


def _has_parts(X):
    # a sequence of arrays or of lists; lists of numbers and data frames are none
    if isinstance(X, np.ndarray) and X.dtype == object:
        return X.ndim == 1 and len(X) > 0 and is_series(X[0])
    return isinstance(X, list | tuple) and len(X) > 0 and is_series(X[0])


def _stack(X):
    try:
        parts = [np.asarray(to_numpy(x)) for x in X]
    except ValueError:  # a list of them has no shape
        parts = []
    shapes = {part.shape for part in parts}
    if len(shapes) == 1:
        return np.stack(parts)
    some = ", ".join(map(str, sorted(shapes)[:3])) or "of lists of different lengths"
    raise ValueError(f"X has samples of different shapes, {some}: {_PAD}.")


def _refuse_nested(X):
    if not (hasattr(X, "iloc") and hasattr(X, "columns")) or not len(X):
        return
    nested = [c for i, c in enumerate(X.columns) if is_series(X.iloc[0, i])]
    if nested:
        raise ValueError(
            f"X is a data frame whose column {nested[0]!r} holds a series in each cell, not a real "
            "number: give an array of shape (n_samples, n_channels, length), "
            "np.stack([np.stack(X[c]) for c in X], axis=1), of series that have one length."
        )


def _refuse_complex(X):
    if isinstance(X, np.ndarray) and X.dtype.kind == "c":
        raise ValueError(
            f"Complex data not supported: X is an array of {X.dtype}, shape {tuple(X.shape)}. Give "
            "np.abs(X), or real and imaginary part as channels, np.stack([X.real, X.imag], 1)."
        )


def _refuse_flat(X):
    shape = X.shape if isinstance(X, np.ndarray) else np.shape(X) if _is_flat(X) else (0, 0)
    if len(shape) < 2:
        raise ValueError(
            f"Expected 2D array, got {len(shape)}D array of shape {tuple(shape)} instead: the "
            "first axis of X is samples. Reshape your data: X.reshape(1, -1) if it is one sample, "
            "X.reshape(-1, 1) if each value is one. If it is the targets, call fit(X, y)."
        )
