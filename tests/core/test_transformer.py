"""The base class of transformers, by the smallest transformer that can be written."""

import numpy as np
import pytest

from skwave._core.transformer import TorchTransformer
from skwave.testing import assert_close, check_transformer


class Mean(TorchTransformer):
    """Mean of each channel of a signal or an image."""

    def __init__(
        self,
        *,
        ndim=None,
        shape=None,
        device=None,
        dtype=None,
        batch_size="auto",
        n_jobs=None,
        verbose=0,
    ):
        self.ndim = ndim
        self.shape = shape
        self.device = device
        self.dtype = dtype
        self.batch_size = batch_size
        self.n_jobs = n_jobs
        self.verbose = verbose

    def get_feature_names_out(self, input_features=None):
        return self._channel_names(["mean"])

    def _check_signal(self, signal_shape):
        if min(signal_shape) < 2:
            raise ValueError(f"signals of shape {signal_shape} are too short")

    def _n_out(self):
        return self.n_channels_

    def _row_bytes(self, dtype):
        return dtype.itemsize * np.prod(self.sample_shape_)

    def _forward(self, x):
        return x.mean(tuple(range(2, x.ndim)))


class MeanOfFields(Mean):
    """Mean of images, which a 3-D array holds."""

    _stacked = 2


def samples(*shape):
    return np.random.default_rng(0).standard_normal(shape)


@pytest.mark.parametrize(
    ("parameters", "shape"),
    [({}, (16,)), ({"ndim": 1}, (3, 8)), ({"ndim": 2}, (4, 6)), ({"shape": (2, 4)}, (24,))],
)
def test_the_smallest_transformer_keeps_what_all_promise(parameters, shape):
    check_transformer(Mean(**parameters), samples(3, *shape))


@pytest.mark.parametrize(
    ("parameters", "sample", "signal", "n_channels"),
    [
        ({}, (16,), (16,), 1),
        ({}, (3, 4, 6), (4, 6), 3),
        ({"ndim": 1}, (3, 4, 6), (6,), 12),
        ({"shape": 8}, (16,), (8,), 2),
        ({"shape": (8,)}, (3, 8), (8,), 3),
        ({"shape": (-1, 4)}, (16,), (4, 4), 1),
        ({"shape": (2, 4)}, (24,), (2, 4), 3),
        ({"shape": [2, 4]}, (3, 2, 4), (2, 4), 3),
    ],
)
def test_the_last_axes_are_the_signal_and_those_between_are_channels(
    parameters, sample, signal, n_channels
):
    X = samples(2, *sample)
    est = Mean(**parameters).fit(X)
    assert est.sample_shape_ == sample and est.signal_shape_ == signal
    assert est.ndim_ == len(signal) and est.n_channels_ == n_channels
    assert_close(est.transform(X), X.reshape(2, n_channels, -1).mean(-1))


def test_a_stack_of_two_axes_is_what_the_class_says():
    X = samples(2, 4, 6)
    with pytest.raises(ValueError, match=r"X has 3 axes.*give Mean ndim=2 for images, or ndim=1"):
        Mean().fit(X)
    est = MeanOfFields().fit(X)
    assert est.ndim_ == 2 and est.n_channels_ == 1
    assert MeanOfFields(ndim=1).fit(X).n_channels_ == 4


def test_parameters_set_since_the_fit_are_checked():
    X = samples(2, 16)
    est = Mean().fit(X)
    with pytest.raises(ValueError, match="'batch_size' parameter of Mean"):
        est.set_params(batch_size=0).transform(X)
