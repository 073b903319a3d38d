"""Preparation of a training."""

from types import SimpleNamespace

import numpy as np
import pytest

from skwave._networks.fitting import (
    draw_seed,
    epochs_without_fall,
    relative_weights,
    split_classes,
    split_groups,
)


@pytest.mark.parametrize(("n", "n_test"), [(2, 1), (10, 3), (11, 4)])
def test_split_of_samples(n, n_test):
    train, test = split_groups(n, None, 0.3, 0)
    assert len(test) == n_test and sorted([*train, *test]) == list(range(n))
    assert np.array_equal(test, split_groups(n, None, 0.3, 0)[1])
    with pytest.raises(ValueError, match="sets samples apart, but there is 1 sample:"):
        split_groups(1, None, 0.3, 0)


def test_split_of_groups():
    groups = np.repeat(list("abcd"), [1, 2, 3, 4])
    train, test = split_groups(10, groups, 0.5, 0)
    assert len({*groups[train]}) == len({*groups[test]}) == 2
    assert not {*groups[train]} & {*groups[test]} and len(train) + len(test) == 10
    assert len({*groups[split_groups(10, groups, 0.99, 0)[0]]}) == 1
    with pytest.raises(ValueError, match="1 group:"):
        split_groups(10, ["a"] * 10, 0.5, 0)


def test_split_of_classes():
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    train, test = split_classes(labels, 0.1, 0)
    assert np.bincount(labels[test]).tolist() == [6, 3, 1] and len(train) == 90
    assert not np.array_equal(test, split_classes(labels, 0.1, 1)[1])
    # where there is not one of each
    for few in (np.arange(20), np.repeat([0, 1, 2], [10, 9, 1])):
        train, test = split_classes(few, 0.1, 0)
        assert sorted([*train, *test]) == list(range(20)) and len(test) == 2
    assert len(split_classes(labels, 0.999, 0)[0]) == 1


def test_seed_of_a_checkpoint():
    seeds = [draw_seed(SimpleNamespace(checkpoint=c, random_state=0)) for c in (None, "folder")]
    assert seeds[0] == seeds[1] != draw_seed(SimpleNamespace(checkpoint=None, random_state=1))
    for state in (None, np.random.RandomState(0)):
        assert 0 <= draw_seed(SimpleNamespace(checkpoint=None, random_state=state)) < 2**31
        with pytest.raises(ValueError, match="integer as random_state"):
            draw_seed(SimpleNamespace(checkpoint="folder", random_state=state))


def test_weights():
    X = np.arange(250)
    assert np.array_equal(relative_weights([1, 0, 3], X[:3]), [0.75, 0, 2.25])
    assert np.array_equal(relative_weights(None, X[:3]), [1, 1, 1])
    for weight, match in (([0, 0], "zero"), ([-1, 2], "egative")):
        with pytest.raises(ValueError, match=match):
            relative_weights(weight, X[:2])


def test_epochs_without_fall():
    losses = [3.0, 1.0, 2.0, 1.001, 1.0]
    assert epochs_without_fall(losses, 0.0) == 3 and epochs_without_fall(losses[:1], 0.0) == 0
    assert epochs_without_fall([3.0, 1.01, 1.0], 0.1) == 1
    assert epochs_without_fall([3.0, 1.01, 1.0], 1e-4) == 0
