"""Labels of every kind as numbers, weights of classes, and probabilities of several views."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from skwave.classification._labels import (
    as_labels,
    encode_labels,
    log_odds,
    log_probabilities,
    weigh_classes,
)

INDICATOR = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]])


def test_one_label_of_each():
    for y in (np.array(["b", "a", "c", "b"]), np.array([5, -1, 7, 5]), np.array([2.0, 1.0, 3, 2])):
        classes, labels = encode_labels(y)
        assert labels.shape == (4, 1) and list(labels[:, 0]) == [1, 0, 2, 1]
        assert np.array_equal(classes[labels[:, 0]], y)
    with pytest.raises(ValueError, match="one class only, 3"):
        encode_labels(np.full(4, 3))
    with pytest.raises(ValueError, match="label type: continuous"):
        encode_labels(np.linspace(0, 1, 4))


def test_indicators():
    for y in (INDICATOR, csr_array(INDICATOR), torch.tensor(INDICATOR), INDICATOR.astype(bool)):
        classes, labels = encode_labels(as_labels(y))
        assert np.array_equal(labels, INDICATOR) and list(classes) == [0, 1, 2]
    with pytest.raises(ValueError, match=r"indicator matrix|label type"):
        encode_labels(2 * INDICATOR)


@pytest.mark.parametrize(
    "y", [["a", 1, "b"], ("a", None), np.array(["a", 1.5], object), np.array(["a", np.nan], object)]
)
def test_c_labels_of_mixed_type(y):
    with pytest.raises(ValueError, match=r"y holds labels of several types, .*str.*\[str\(label"):
        as_labels(y)


def test_labels_of_one_type_stay():
    for y in ([1, 2.0, True], ["a", "b"], np.array(["a", "b"], object), np.arange(3)):
        assert np.array_equal(as_labels(y), y)
    assert as_labels(None) is None
    with pytest.raises(ValueError) as raised:
        as_labels([[1], [1, 0]])
    assert "y must be" in raised.value.__notes__[0]


def test_class_weights():
    """Balanced classes weigh the same, and weights of samples count beside them."""
    y, ones = np.array([0, 0, 0, 1]), np.ones(4)
    assert weigh_classes(None, y, ones) is ones
    weight = weigh_classes("balanced", y, ones)
    assert weight[:3].sum() == pytest.approx(weight[3]) and weight.mean() == pytest.approx(1)
    weight = weigh_classes({0: 1.0, 1: 5.0}, y, np.array([1.0, 2, 1, 1]))
    np.testing.assert_allclose(weight / weight[0], [1, 2, 1, 5])
    weight = weigh_classes([{0: 1, 1: 2}] * 3, INDICATOR, ones)
    np.testing.assert_allclose(weight / weight[1], [4, 1, 8, 2])
    for bad in ([{0: 1}], "x", {0: -1.0, 1: 1.0}, {0: 0.0, 1: 0.0}, {0: "a", 1: 1}):
        with pytest.raises(ValueError, match="class_weight="):
            weigh_classes(bad, y, ones)


@pytest.mark.parametrize("multilabel", [False, True])
def test_log_probabilities(multilabel):
    scores = torch.randn(3, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    p = (scores.sigmoid() if multilabel else scores.softmax(2)).mean(0)
    log_p = log_probabilities(scores, multilabel=multilabel)
    torch.testing.assert_close(log_p, p.log())
    expected = torch.logit(p) if multilabel else p.log()
    torch.testing.assert_close(log_odds(scores, multilabel=multilabel), expected)
    far = log_probabilities(1e4 * scores, multilabel=multilabel)
    assert far.isfinite().all() and far.min() < -1e3


def test_odds_of_two_classes():
    scores = torch.randn(2, 5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    p = scores.softmax(2).mean(0)[:, 1]
    torch.testing.assert_close(log_odds(scores, multilabel=False), torch.logit(p))
