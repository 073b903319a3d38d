"""Labels of images: one of each image, or any number of them as columns of 0 and 1."""

import math

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.utils import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from skwave._core.arrays import to_numpy
from skwave._core.checks import naming


def as_labels(y):
    """Labels as an array, refused if they are text and numbers together.

    Parameters
    ----------
    y : array-like, shape (n_samples,) or (n_samples, n_labels)
        Labels, or an indicator matrix, dense or sparse.

    Returns
    -------
    y : ndarray or None
        A dense array; None as it is.

    Raises
    ------
    ValueError
        If some labels are text and others are not: numpy would make text of all of them.
    """
    y = y.toarray() if issparse(y) else to_numpy(y)
    values = y if isinstance(y, list | tuple) else np.ravel(y) if _holds_objects(y) else []
    texts = [isinstance(value, str) for value in values]
    if any(texts) and not all(texts):
        kinds = sorted({type(value).__name__ for value in values})
        raise ValueError(
            f"y holds labels of several types, {', '.join(kinds)}, which have no common order: "
            "give labels of one type, such as [str(label) for label in y]."
        )
    if y is None:
        return y
    with naming("y", "labels, shape (n_samples,), or of 0 and 1, shape (n_samples, n_labels)"):
        return np.asarray(y)


def _holds_objects(y):
    return isinstance(y, np.ndarray) and y.dtype.kind == "O"


def encode_labels(y):
    """Classes, and labels as numbers.

    Parameters
    ----------
    y : ndarray, shape (n_samples,) or (n_samples, n_labels)
        Labels, or an indicator matrix of 0 and 1.

    Returns
    -------
    classes : ndarray, shape (n_classes,)
        Labels, sorted; numbers of the columns of an indicator matrix.
    target : ndarray, shape (n_samples, 1) or (n_samples, n_labels)
        Numbers of the labels in ``classes``, or the indicator matrix.

    Raises
    ------
    ValueError
        If there is one class only, or ``y`` is something else.
    """
    check_classification_targets(y)
    if type_of_target(y) == "multilabel-indicator" and np.isin(y, (0, 1)).all():
        return np.arange(y.shape[1]), y.astype(int)
    if y.ndim > 1:
        raise ValueError(
            f"y has shape {y.shape} and values other than 0 and 1: give one label for each image, "
            "or an indicator matrix, a column of 0 and 1 for each label."
        )
    classes, labels = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"y holds one class only, {classes[0]}: a classifier needs samples of two or more "
            "classes."
        )
    return classes, labels[:, None]


def weigh_classes(class_weight, y, weight):
    """Weights of samples, times those of their classes.

    Parameters
    ----------
    class_weight : dict, list of dict, "balanced" or None
        Weights of classes, as scikit-learn has them.
    y : ndarray, shape (n_samples,) or (n_samples, n_labels)
        Labels.
    weight : ndarray, shape (n_samples,)
        Weights of the samples.

    Returns
    -------
    weight : ndarray, shape (n_samples,)
        Of mean 1.

    Raises
    ------
    ValueError
        If ``class_weight`` does not fit the labels, or leaves no weight.
    """
    if class_weight is None:
        return weight
    try:
        weight = weight * compute_sample_weight(class_weight, y)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"class_weight={class_weight!r} does not fit y: give 'balanced', or a dict of the "
            f"weight of each label; for an indicator matrix a list of dicts. {error}"
        ) from error
    if not (weight >= 0).all() or not 0 < weight.sum() < np.inf:
        raise ValueError(
            f"class_weight={class_weight!r} must hold weights that are not negative and do not "
            "leave every sample without weight."
        )
    return weight / weight.mean()


def log_probabilities(scores, *, multilabel):
    r"""Logarithms of the mean probabilities of several views.

    .. math:: \log \frac1V \sum_v p_v

    Parameters
    ----------
    scores : Tensor, shape (n_views, n, n_classes)
        Logits :math:`s`.
    multilabel : bool
        Whether each class is a label of its own, with the odds :math:`e^s`.

    Returns
    -------
    log_p : Tensor, shape (n, n_classes)
        Finite, also where the probability rounds to 0.
    """
    log_p = torch.nn.functional.logsigmoid(scores) if multilabel else scores.log_softmax(-1)
    return log_p.logsumexp(0) - math.log(len(scores))


def log_odds(scores, *, multilabel):
    r"""Scores that are the larger the more probable a class is, from those of several views.

    .. math:: \log p - \log(1 - p)

    of each label, or of the second of two classes; :math:`\log p` of three classes or more.

    Parameters
    ----------
    scores : Tensor, shape (n_views, n, n_classes)
        Logits.
    multilabel : bool
        As in `log_probabilities`.

    Returns
    -------
    odds : Tensor, shape (n, n_classes), or (n,) of two classes
        Those of a label, or of the second class, are positive where it is predicted.
    """
    log_p = log_probabilities(scores, multilabel=multilabel)
    if multilabel:
        return log_p - log_probabilities(-scores, multilabel=True)
    return log_p[:, 1] - log_p[:, 0] if log_p.shape[1] == 2 else log_p
