"""Scattering coefficients of images for networks: scales of channels, moved and mirrored views."""

import os
from itertools import product
from math import prod

import numpy as np
from sklearn.utils import gen_batches
from sklearn.utils.validation import check_memory

from skwave._core.arrays import resolve_dtype, to_numpy
from skwave._core.batches import batch_rows, predict_batches
from skwave.scattering._mirror import mirror_features
from skwave.scattering._transformer import ScatteringTransformer


def channel_scales(S, n_channels):
    """Mean and deviation of each channel, over samples and positions.

    Parameters
    ----------
    S : array, shape (n_samples, n_channels * n_positions)
        Coefficients, in memory or on disk.
    n_channels : int
        Number of channels.

    Returns
    -------
    mean, scale : ndarray of float64, shape (n_channels,)
        The scale of a constant channel is 1.
    """
    total, squares = np.zeros((2, n_channels))
    # in double precision, with its square
    for rows in gen_batches(len(S), batch_rows("auto", 16 * S.shape[1], len(S))):
        part = S[rows].reshape(rows.stop - rows.start, n_channels, -1).astype(np.float64)
        total += part.sum((0, 2))
        squares += (part**2).sum((0, 2))
    n = len(S) * part.shape[2]
    mean = total / n
    scale = np.sqrt(np.maximum(squares / n - mean**2, 0))
    return mean, np.where(scale > 1e-6 * np.abs(mean), scale, 1.0)


def feature_views(scattering, mirror, shift):
    """Columns of the features that hold the coefficients of an image, mirrored or moved.

    Parameters
    ----------
    scattering : ScatteringTransformer
        Fitted, of images, with local averages.
    mirror : bool
        Whether to mirror left and right.
    shift : int
        Largest number of positions to move by along each axis. What leaves the image is lost,
        what comes in repeats the border.

    Returns
    -------
    columns : ndarray of int, shape (n_views, height, width, n_channels)
        The image first, its mirror image second.
    """
    C, P, *grid = scattering.output_shape_
    columns = np.arange(C * P * np.prod(grid))[None]
    images = [columns, mirror_features(columns, scattering)] if mirror else [columns]
    images = [image.reshape(C * P, *grid).transpose(1, 2, 0) for image in images]
    steps = sorted(range(-shift, shift + 1), key=abs)
    moves = [
        np.ix_(*(np.clip(np.arange(n) + d, 0, n - 1) for n, d in zip(grid, move, strict=True)))
        for move in product(steps, steps)
    ]
    return np.stack([image[move] for move in moves for image in images])


_OF_SCATTERING = ("J", "L", "nonlinearity", "shape", "device", "dtype")


def fit_scattering(estimator, X, **others):
    """Fitted scattering transformer of images, with the parameters of an estimator.

    Parameters
    ----------
    estimator : estimator
        Estimator with the parameters ``J, L, nonlinearity, shape, device, dtype``.
    X : array, shape (n_samples, ...)
        Images.
    **others : object
        Other parameters of `skwave.ScatteringTransformer`.

    Returns
    -------
    scattering : ScatteringTransformer
        Fitted.
    """
    parameters = {name: getattr(estimator, name) for name in _OF_SCATTERING}
    return ScatteringTransformer(ndim=2, **parameters, **others).fit(X)


def transform(scattering, X):
    """Scattering coefficients of images, as a numpy array.

    Parameters
    ----------
    scattering : ScatteringTransformer
        Fitted.
    X : array, shape (n_samples, ...)
        Images.

    Returns
    -------
    S : ndarray, shape (n_samples, n_features)
        Coefficients.
    """
    return to_numpy(scattering.transform(X))


def cached_transform(estimator, X):
    """Scattering coefficients of images, computed once for the ``memory`` of an estimator.

    Parameters
    ----------
    estimator : estimator
        With ``memory`` and ``scattering_``.
    X : array, shape (n_samples, ...)
        Images.

    Returns
    -------
    S : ndarray, shape (n_samples, n_features)
        Coefficients, in memory or on disk.
    """
    memory = estimator.memory
    memory = os.path.expanduser(memory) if isinstance(memory, str | os.PathLike) else memory
    return check_memory(memory).cache(transform)(estimator.scattering_, X)


def map_coefficients(estimator, f, X):
    """Apply a function of scattering coefficients to images, within the working memory.

    Parameters
    ----------
    estimator : estimator
        Estimator with ``memory`` and ``scattering_``.
    f : callable
        Coefficients, ndarray of shape (n, n_features) -> Tensor of shape (n, ...).
    X : ndarray or Tensor, shape (n_samples, ...)
        Images.

    Returns
    -------
    y : Tensor, shape (n_samples, ...)
        Results. With ``memory`` the coefficients of all images are kept there.
    """
    if estimator.memory is not None:
        return f(cached_transform(estimator, X))
    scattering = estimator.scattering_
    n_bytes = prod(scattering.output_shape_) * resolve_dtype(scattering.dtype, X).itemsize
    return predict_batches(lambda x: f(transform(scattering, x)), X, row_bytes=3 * n_bytes)
