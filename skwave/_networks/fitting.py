"""Preparation of a training: its seed, weights of samples, splits, parameters."""

from math import ceil
from numbers import Integral, Real
from pathlib import Path

import joblib
import numpy as np
from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit, train_test_split
from sklearn.utils.validation import check_random_state

from skwave._core.arrays import to_numpy
from skwave._core.compat import Interval, StrOptions, check_sample_weight

_OF_TRAINING = (
    *("learning_rate_init", "weight_decay", "schedule", "batch_size", "max_iter"),
    *("n_iter_no_change", "verbose"),
)
TRAINING_CONSTRAINTS = {
    "learning_rate_init": [Interval(Real, 0, 1e6, closed="right")],
    "weight_decay": [Interval(Real, 0, 1e6, closed="both")],
    "schedule": [StrOptions({"cosine", "steps"}), None],
    "batch_size": [Interval(Integral, 1, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "memory": [str, Path, object],
    "checkpoint": [str, Path, None],
    "mixed_precision": ["boolean"],
    "device": [object],
    "dtype": [object],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}
_NOT_OF_THE_RESULT = ("checkpoint", "device", "memory", "verbose", "sampler")


def draw_seed(estimator):
    """Draw the seed of a fit from the ``random_state`` of an estimator.

    Parameters
    ----------
    estimator : estimator
        Estimator with the parameters ``random_state`` and ``checkpoint``.

    Returns
    -------
    seed : int
        Less than ``2**31``.

    Raises
    ------
    ValueError
        If there is a checkpoint, and another fit would draw another seed.
    """
    seed = estimator.random_state
    if estimator.checkpoint is not None and not isinstance(seed, Integral):
        raise ValueError(
            f"checkpoint needs an integer as random_state, not {seed!r}: a fit that goes on must "
            "set the same images apart."
        )
    return check_random_state(seed).randint(2**31 - 1)


def relative_weights(sample_weight, X):
    """Weights of samples divided by their mean.

    Parameters
    ----------
    sample_weight : array-like, shape (n_samples,), or None
        Weights; None for equal ones.
    X : array, shape (n_samples, ...)
        Samples.

    Returns
    -------
    weight : ndarray, shape (n_samples,)
        Not negative.
    """
    weight = check_sample_weight(to_numpy(sample_weight), X, ensure_non_negative=True)
    if not weight.sum() > 0:
        raise ValueError("sample_weight holds zeros alone: nothing would be learnt.")
    return weight / weight.mean()


def split_groups(n, groups, fraction, seed):
    """Set samples apart, or whole groups of them.

    Parameters
    ----------
    n : int
        Number of samples.
    groups : array-like, shape (n,), or None
        Groups of the samples.
    fraction : float
        Share of the samples, or of the groups, that is set apart.
    seed : int
        Seed of the draw.

    Returns
    -------
    train, test : ndarray of int
        Rows of the parts, each with one sample at least.

    Raises
    ------
    ValueError
        If there are less than two.
    """
    kind, n_units = "sample", n
    if groups is not None:
        kind, n_units = "group", len(np.unique(groups))
    if n_units < 2:
        raise ValueError(
            f"early_stopping sets {kind}s apart, but there is 1 {kind}: give more, or "
            "early_stopping=False."
        )
    n_test = min(ceil(fraction * n_units), n_units - 1)
    split = ShuffleSplit if groups is None else GroupShuffleSplit
    return next(split(1, test_size=n_test, random_state=seed).split(np.empty(n), None, groups))


def split_classes(labels, fraction, seed):
    """Set a share of each class apart, where there is one of each.

    Parameters
    ----------
    labels : ndarray, shape (n_samples,)
        Classes.
    fraction : float
        Share that is set apart.
    seed : int
        Seed of the draw.

    Returns
    -------
    train, test : ndarray of int
        Rows of the parts.
    """
    n, counts = len(labels), np.unique(labels, return_counts=True)[1]
    n_test = min(ceil(n * fraction), n - 1)
    enough = counts.min() > 1 and len(counts) <= min(n_test, n - n_test)
    train, test = train_test_split(
        np.arange(n), test_size=n_test, stratify=labels if enough else None, random_state=seed
    )
    return train, test


def training_parameters(estimator, device, data):
    """Arguments of `skwave._networks.training.train` that are parameters of an estimator.

    Parameters
    ----------
    estimator : estimator
        Estimator with the parameters of `TRAINING_CONSTRAINTS`.
    device : torch.device
        Where to compute.
    data : object
        Data of the fit. Their hash and that of the parameters name the folder of the checkpoint.

    Returns
    -------
    parameters : dict
        Arguments by name.
    """
    folder = None
    if estimator.checkpoint is not None:
        parameters = estimator.get_params().items()
        parameters = {k: v for k, v in parameters if k not in _NOT_OF_THE_RESULT}
        folder = Path(estimator.checkpoint).expanduser() / joblib.hash(
            (parameters, data), coerce_mmap=True
        )
    return {
        **{name: getattr(estimator, name) for name in _OF_TRAINING},
        "autocast": bool(estimator.mixed_precision) and device.type == "cuda",
        "device": device,
        "folder": folder,
        "name": type(estimator).__name__,
    }


def epochs_without_fall(losses, tol):
    """Number of epochs since the loss was first as low as it is at its lowest.

    Parameters
    ----------
    losses : list of float
        Loss of each epoch, one at least.
    tol : float
        Relative amount by which the loss must fall to count as lower.

    Returns
    -------
    n : int
        0 if the last epoch has the lowest loss.
    """
    lowest = np.argmax(np.array(losses) <= (1 + tol) * min(losses))
    return len(losses) - 1 - int(lowest)
