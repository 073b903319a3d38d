import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import NotFittedError

from skwave import ScatteringTransformer
from skwave.scattering._mirror import mirror_features
from skwave.testing import assert_close, relative_error

rng = np.random.default_rng(0)


def images(*shape):
    return rng.standard_normal((2, *shape))


def check(X, axis=-1, rtol=1e-12, step=None, **parameters):
    """Compare with the transform of the mirrored images, on a periodic grid."""
    scattering = ScatteringTransformer(
        **{"J": 2, "L": 4, "ndim": 2, "boundary": "periodic", **parameters}
    ).fit(X)
    step = step or 2**scattering.J
    X_mirrored = np.roll(np.flip(X, axis), 1 - step, axis)
    expected = scattering.transform(X_mirrored)
    S = scattering.transform(X)
    assert_close(mirror_features(S, scattering, axis), expected, rtol)
    if scattering.L > 2 or scattering.averaging == "local":
        assert relative_error(S, expected) > 0.01


@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("L", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("averaging", ["local", "global"])
def test_mirror_is_exact_on_a_periodic_grid(axis, L, averaging):
    check(images(3, 16, 24), axis, L=L, averaging=averaging)


@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("n_phases", [1, 3, 4])
@pytest.mark.parametrize("L", [3, 4])
def test_phases_of_the_rectifier_are_mirrored(axis, n_phases, L):
    check(images(8, 16), axis, L=L, nonlinearity="rectifier", n_phases=n_phases)


@pytest.mark.parametrize(
    "parameters",
    [
        {"max_order": 0},
        {"max_order": 1, "J": 3},
        {"log": 0.1},
        {"T": 2, "step": 2},
        {"T": 11, "step": 8},
        # filters of the second order are cut at the Nyquist frequency of coarser maps
        {"J": 3, "L": 8, "rtol": 1e-5},
        {"J": 3, "Q": (2, 1), "rtol": 1e-4},
        {"J": 3, "Q": (1, 2), "rtol": 1e-3},
        {"J": 3, "L": 5, "Q": 2, "oversampling": 2},
    ],
)
@pytest.mark.parametrize("axis", [-1, -2])
def test_mirror_whatever_the_parameters(parameters, axis):
    check(images(16, 32), axis, **parameters)


def test_extended_images_are_mirrored_away_from_the_border():
    X = images(32, 32)
    scattering = ScatteringTransformer(J=2, ndim=2).fit(X)
    shape = (2, *scattering.output_shape_)
    mirrored = mirror_features(scattering.transform(X), scattering).reshape(shape)
    expected = scattering.transform(np.roll(X[..., ::-1], -3, -1)).reshape(shape)
    assert relative_error(mirrored[..., 2:-2, 2:-2], expected[..., 2:-2, 2:-2]) < 0.01


def test_a_global_mean_is_that_of_the_flipped_image():
    X = images(32, 32)
    scattering = ScatteringTransformer(J=2, ndim=2, averaging="global", log=True).fit(X)
    S = scattering.transform(X)
    expected = scattering.transform(np.flip(X, -1))
    assert relative_error(mirror_features(S, scattering), expected) < 0.005
    assert relative_error(S, expected) > 0.01


def test_the_mirror_of_the_mirror_is_the_image():
    X = images(2, 20, 27)
    for nonlinearity in ("modulus", "rectifier"):
        scattering = ScatteringTransformer(2, L=5, ndim=2, nonlinearity=nonlinearity).fit(X)
        S = scattering.transform(X)
        for axis in (-1, -2):
            once = mirror_features(S, scattering, axis)
            np.testing.assert_array_equal(mirror_features(once, scattering, axis), S)


def test_kinds_of_arrays():
    X = images(8, 8)
    scattering = ScatteringTransformer(J=1, ndim=2).fit(X)
    S = scattering.transform(X)
    expected = mirror_features(S, scattering)
    x = torch.from_numpy(S).requires_grad_()
    y = mirror_features(x, scattering)
    assert isinstance(y, torch.Tensor) and y.requires_grad
    np.testing.assert_array_equal(y.detach().numpy(), expected)
    for kind in (pd.DataFrame, np.ndarray.tolist):
        np.testing.assert_array_equal(mirror_features(kind(S), scattering), expected)


@pytest.mark.parametrize(
    ("parameters", "axis", "error", "message"),
    [
        ({"ndim": 1}, -1, ValueError, "ndim=1: there is no mirror for signals"),
        ({"averaging": None}, -1, ValueError, "averaging=None.*'local' or 'global'"),
        ({}, 0, ValueError, "axis=0 must be -1"),
    ],
)
def test_what_has_no_mirror_is_refused(parameters, axis, error, message):
    scattering = ScatteringTransformer(**{"J": 1, "ndim": 2, **parameters}).fit(images(8, 8))
    with pytest.raises(error, match=message):
        mirror_features(np.ones((2, 1)), scattering, axis)


def test_bad_input_is_refused():
    scattering = ScatteringTransformer(J=1, ndim=2)
    with pytest.raises(NotFittedError):
        mirror_features(np.ones((2, 144)), scattering)
    scattering.fit(images(8, 8))
    for shape in ((2, 143), (144,), (2, 1, 9, 4, 4)):
        with pytest.raises(ValueError, match=r"S has the shape .*gives \(n_samples, 144\)"):
            mirror_features(np.ones(shape), scattering)
    with pytest.raises(TypeError, match="scattering=None must be a fitted"):
        mirror_features(np.ones((2, 144)), None)
