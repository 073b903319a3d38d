"""Coefficients of one channel of one sample, ready to be drawn."""

import numpy as np
import torch

from skwave._arrays import to_tensor
from skwave.plotting._checks import check_index


def sample_coefficients(estimator, X, sample, channel):
    """Transform one sample.

    Parameters
    ----------
    estimator : ScatteringTransformer
        Fitted.
    X : array-like or Tensor, shape (n_samples, ...)
        Samples of the fitted shape.
    sample, channel : int
        Which sample, and which of its channels.

    Returns
    -------
    coefficients : ndarray of float64, shape (n_paths, *grid)
        Means over the phases of a rectifier.
    paths : structured ndarray, shape (n_paths,)
        Their rows of ``paths_``, with the first phase.
    positions : tuple of ndarray
        Where the coefficients lie in the signal, for each axis of the grid.

    Raises
    ------
    ValueError
        If ``averaging=None``, or if there is no such sample or channel.
    """
    if estimator.averaging is None:
        raise ValueError(
            "averaging=None gives maps of different sizes, which have no grid in common to be "
            "drawn on: use estimator.set_params(averaging='local'), or 'global'."
        )
    check_index("sample", sample, X.shape[0] if hasattr(X, "shape") else len(X))
    check_index("channel", channel, estimator.n_channels_)
    row = slice(sample, sample + 1)
    # an array of the array API wants all its axes indexed, a data frame only the first
    row = (row, ...) if hasattr(X, "__array_namespace__") else row
    S = _to_numpy(estimator.transform(X[row]))
    S = S.reshape(estimator.output_shape_)[channel]
    return *_mean_over_phases(S, estimator.paths_), _positions(estimator)


def _to_numpy(S):
    S = S.to_numpy() if hasattr(S, "to_numpy") else S  # a data frame
    return to_tensor(S, torch.float64, torch.device("cpu")).detach().numpy()


def _mean_over_phases(S, paths):
    # one row for all phases of a path, in the order of the paths
    _, rows, group = np.unique(paths["n"], axis=0, return_index=True, return_inverse=True)
    total = np.zeros((len(rows), *S.shape[1:]))
    np.add.at(total, group.ravel(), S)
    counts = np.bincount(group.ravel()).reshape(-1, *[1] * (S.ndim - 1))
    order = np.argsort(rows)
    return (total / counts)[order], paths[rows[order]]


def _positions(estimator):
    if estimator.averaging == "global":
        return ()
    geometry = estimator._layout()[0].geometry
    axes = list(zip(geometry.first, geometry.count, geometry.left, strict=True))
    return tuple(
        geometry.step * (first + np.arange(count)) - left
        for first, count, left in axes[: geometry.ndim]
    )
