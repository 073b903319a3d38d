import numpy as np
import pytest
import torch

from skwave import (
    CASEGenerator,
    PhaseHarmonicTransformer,
    ScatteringDictionaryClassifier,
    ScatteringTransformer,
)
from skwave._core.checks import warn_channels_last
from skwave.nn import Scattering

MESSAGE = r"np\.moveaxis\(X, -1, 1\)"


@pytest.mark.parametrize(
    ("shape", "ndim", "warned"),
    [
        ((32, 32, 3), 2, True),
        ((256, 12), 1, True),
        ((4, 256, 12), 1, True),
        ((32, 32, 1), 2, True),
        ((3, 32, 32), 2, False),
        ((3, 64, 12), 2, False),  # three narrow images
        ((12, 256), 1, False),
        ((64, 64), 1, False),
        ((32, 3), 2, False),  # no channels at all
        ((12,), 1, False),
    ],
)
def test_a5_channels_last_by_shapes(recwarn, shape, ndim, warned):
    warn_channels_last(shape, ndim)
    assert len(recwarn) == warned
    assert all("np.moveaxis(X, -1, 1)" in str(w.message) for w in recwarn)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: ScatteringTransformer(J=1, L=2), (32, 32, 3)),
        (lambda: ScatteringTransformer(J=1, ndim=1), (64, 12)),
        (lambda: PhaseHarmonicTransformer(J=1, L=2), (16, 16, 4)),
    ],
)
@pytest.mark.parametrize("asarray", [np.asarray, torch.as_tensor])
def test_a5_channels_last_of_transformers(make, shape, asarray):
    X = np.random.default_rng(0).standard_normal((4, *shape))
    with pytest.warns(UserWarning, match=MESSAGE) as record:
        make().fit(asarray(X))
    assert record[0].filename == __file__
    # what it says helps
    make().fit(asarray(np.moveaxis(X, -1, 1)))


def test_a5_channels_last_is_meant_where_the_shape_is_given():
    X = np.random.default_rng(0).standard_normal((4, 64, 12))
    ScatteringTransformer(J=1, shape=(12,)).fit(X)


@pytest.mark.parametrize("cls", [ScatteringDictionaryClassifier, CASEGenerator])
def test_a5_channels_last_of_networks(cls):
    X = np.random.default_rng(0).standard_normal((8, 16, 16, 3)).astype(np.float32)
    # warnings are errors here: it comes before any training, and before other errors
    with pytest.raises(UserWarning, match=MESSAGE):
        cls(J=1).fit(X, np.arange(8) % 2)


def test_a5_channels_last_of_the_layer():
    with pytest.warns(UserWarning, match=MESSAGE):
        Scattering(J=1, L=2)(torch.randn(2, 32, 32, 3))
    Scattering(J=1, L=2)(torch.randn(2, 3, 32, 32))
