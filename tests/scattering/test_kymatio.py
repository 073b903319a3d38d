import warnings

import numpy as np
import pytest
import torch

from skwave import ScatteringTransformer
from skwave.scattering._kymatio import from_kymatio
from skwave.testing import assert_close

rng = np.random.default_rng(0)
FRONTENDS = ["numpy", "torch", "sklearn"]


@pytest.fixture
def make(kymatio):
    """A kymatio object of a frontend."""

    def make(name, frontend, **parameters):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(kymatio, name)(frontend=frontend, **parameters)

    return make


def coefficients(scattering, frontend, x):
    x = x.astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if frontend == "torch":
            return scattering(torch.from_numpy(x)).numpy()
        if frontend == "sklearn":
            return scattering.transform(x.reshape(len(x), -1))
        return scattering(x)


@pytest.mark.parametrize("frontend", FRONTENDS)
@pytest.mark.parametrize(
    "parameters",
    [
        {"J": 2, "shape": (16, 16)},
        {"J": 3, "shape": (24, 17), "L": 3},
        {"J": 1, "shape": (16, 12), "L": 5, "max_order": 1},
    ],
)
def test_images(make, frontend, parameters):
    scattering = make("Scattering2D", frontend, **parameters)
    est = from_kymatio(scattering)
    assert isinstance(est, ScatteringTransformer) and not hasattr(est, "n_channels_")
    for name, value in parameters.items():
        assert getattr(est, name) == value
    X = rng.standard_normal((3, *parameters["shape"]))
    expected = coefficients(scattering, frontend, X)
    S = est.fit_transform(X.astype(np.float32))
    assert_close(S, expected.reshape(len(X), -1), 1e-5)
    # rows unfold to its arrays, and flat ones are folded
    if frontend != "sklearn":
        assert S.reshape(len(X), *est.output_shape_)[:, 0].shape == expected.shape
    assert_close(est.fit_transform(X.astype(np.float32).reshape(len(X), -1)), S)


@pytest.mark.parametrize("frontend", FRONTENDS)
@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"J": 4, "shape": 256}, {"Q": (1, 1), "T": 16}),
        ({"J": 4, "shape": (200,), "Q": 8}, {"Q": (8, 1), "T": 16}),
        ({"J": 5, "shape": 256, "Q": (6, 2), "T": 20}, {"Q": (6, 2), "T": 20}),
        ({"J": 4, "shape": 256, "Q": (4,), "max_order": 1}, {"Q": (4, 1), "max_order": 1}),
    ],
)
def test_signals(make, frontend, parameters, expected):
    scattering = make("Scattering1D", frontend, **parameters)
    est = from_kymatio(scattering)
    n = int(np.ravel(parameters["shape"])[0])
    expected = {"J": parameters["J"], "shape": (n,), "ndim": 1, "averaging": "local", **expected}
    for name, value in expected.items():
        assert getattr(est, name) == value
    # the same paths on the same grid; the values differ, and why is in the docstring
    X = rng.standard_normal((2, n))
    S = est.fit(X).transform(X).reshape(len(X), *est.output_shape_[1:])
    theirs = coefficients(scattering, frontend, X).reshape(S.shape)
    meta, paths = scattering.meta(), est.paths_
    assert (meta["order"] == paths["order"]).all()
    for order in range(est.max_order):
        ours, kymatios = paths["xi"][:, order], meta["xi"][:, order]
        assert np.allclose(ours, kymatios, equal_nan=True)
        assert np.allclose(paths["sigma"][:, order], meta["sigma"][:, order], equal_nan=True)
    if n == 256:  # of other lengths kymatio's grid begins later
        assert_close(S[:, 0], theirs[:, 0], 1e-3)


@pytest.mark.parametrize("frontend", FRONTENDS)
def test_without_average(make, frontend):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scattering = make("Scattering1D", frontend, J=3, shape=64, T=0, out_type="list")
    est = from_kymatio(scattering)
    assert est.averaging is None and est.T is None


def test_other_parameters(make):
    scattering = make("Scattering2D", "torch", J=2, shape=(16, 16))
    est = from_kymatio(scattering, log=True, device="cpu", L=4)
    assert est.log is True and est.device == "cpu" and est.L == 4 and est.J == 2
    with pytest.raises(TypeError, match="colour"):
        from_kymatio(scattering, colour=True)


class ScatteringBase:
    """What kymatio's classes have in common."""


class ScatteringBase1D(ScatteringBase):
    """As in kymatio's development version."""

    def __init__(self, **attributes):
        default = {"J": 3, "shape": (64,), "_Q": 8, "_T": None, "_stride": None, "max_order": 2}
        vars(self).update({**default, "_oversampling": 0, **attributes})

    T = 8  # a property there, of what _T is parsed to


class TimeFrequencyScatteringBase(ScatteringBase1D):
    """Joint scattering, of the development version."""


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, {"T": None, "averaging": "local", "Q": 8}),
        ({"_T": 12, "_Q": (8, 2)}, {"T": 12, "averaging": "local", "Q": (8, 2)}),
        ({"_Q": (8,)}, {"Q": (8, 1)}),
        ({"_T": 0}, {"T": None, "averaging": None}),
        ({"_T": "global"}, {"T": None, "averaging": "global"}),
        ({"shape": 64}, {"shape": (64,)}),
    ],
)
def test_development_version(attributes, expected):
    est = from_kymatio(ScatteringBase1D(**attributes))
    for name, value in expected.items():
        assert getattr(est, name) == value
    est.fit(np.ones((1, 64)))


def test_what_has_no_counterpart(make):
    with pytest.raises(ValueError, match=r"pre_pad=True.*pre_pad=False"):
        from_kymatio(make("Scattering2D", "torch", J=2, shape=(16, 16), pre_pad=True))
    with pytest.raises(ValueError, match="oversampling=1 changes the grid"):
        from_kymatio(make("Scattering1D", "numpy", J=2, shape=16, oversampling=1))
    with pytest.raises(ValueError, match="stride=4 changes the grid"):
        from_kymatio(ScatteringBase1D(_stride=4))
    with pytest.raises(ValueError, match="TimeFrequencyScatteringBase has no counterpart"):
        from_kymatio(TimeFrequencyScatteringBase())
    with pytest.raises(ValueError, match=r"HarmonicScattering.* has no counterpart"):
        from_kymatio(make("HarmonicScattering3D", "torch", J=1, shape=(8, 8, 8), L=1))


@pytest.mark.parametrize("thing", [None, 3, "Scattering2D", ScatteringTransformer(J=2)])
def test_other_things(thing):
    with pytest.raises(TypeError, match="is not a kymatio object"):
        from_kymatio(thing)
