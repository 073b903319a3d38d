import pickle

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skwave import ScatteringTransformer
from skwave.functional import scattering, scattering_plan
from skwave.testing import assert_close, relative_error

rng = np.random.default_rng(0)


def image_scattering(**parameters):
    return ScatteringTransformer(**{"J": 2, "L": 4, "ndim": 2, **parameters})


def test_grid_search_over_wavelets_compares_them():
    X, y = load_digits(return_X_y=True)
    X, y = X[:400], y[:400]
    pipeline = make_pipeline(
        ScatteringTransformer(J=1, ndim=2, shape=(8, 8)), StandardScaler(), LogisticRegression()
    )
    grid = {"scatteringtransformer__J": [1, 2, 3], "scatteringtransformer__L": [2, 8]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(X, y)
    assert len(set(search.cv_results_["mean_test_score"])) > 3
    assert search.best_score_ > 0.9


def test_set_params_takes_effect_and_leaves_a_clone_alone():
    X = rng.standard_normal((2, 16, 16))
    est = image_scattering(J=1).fit(X)
    other = clone(est)
    n_features = est.transform(X).shape[1]
    assert est.set_params(J=3).fit(X).transform(X).shape[1] != n_features
    assert_close(est.transform(X), image_scattering(J=3).fit_transform(X))
    assert other.fit_transform(X).shape[1] == n_features
    with pytest.raises(ValueError, match="J=5 is too large"):
        est.set_params(J=5).transform(X)
    with pytest.raises(ValueError, match="'averaging' parameter"):
        est.set_params(J=1, averaging="mean").transform(X)


@pytest.mark.parametrize(
    ("parameters", "sample", "J", "ndim"),
    [
        ({}, (64,), 4, 1),
        ({}, (3, 32, 32), 3, 2),
        ({"ndim": 1}, (3, 16), 2, 1),
        ({"ndim": 2}, (28, 28), 2, 2),
        ({"shape": (8, 8)}, (64,), 1, 2),
        ({"shape": 32}, (64,), 3, 1),
        ({"J": 2}, (64,), 2, 1),
    ],
)
def test_scale_and_number_of_axes_follow_the_data(parameters, sample, J, ndim):
    X = rng.standard_normal((2, *sample))
    est = ScatteringTransformer(**parameters).fit(X)
    assert (est.J_, est.ndim_) == (J, ndim)
    shape = est.signal_shape_
    assert min(est.output_shape_[2:]) >= 4
    told = ScatteringTransformer(J=J, ndim=ndim, shape=shape).fit(X)
    assert np.array_equal(est.transform(X), told.transform(X))
    assert clone(est).get_params() == est.get_params()


def test_features_are_the_functional_coefficients():
    X = rng.standard_normal((3, 2, 20, 16))
    est = image_scattering().fit(X)
    plan = scattering_plan((20, 16), 2, L=4, dtype=torch.float64)
    expected = scattering(torch.from_numpy(X), plan)
    assert est.output_shape_ == tuple(expected.shape[1:])
    assert_close(est.transform(X).reshape(expected.shape), expected)


def test_log():
    X = rng.standard_normal((2, 64))
    s = ScatteringTransformer(J=3).fit_transform(X)
    assert_close(ScatteringTransformer(J=3, log=True).fit_transform(X), np.log(abs(s) + 1e-6))
    numpy_true = ScatteringTransformer(J=3, log=np.bool_(True))
    assert_close(numpy_true.fit_transform(X), np.log(abs(s) + 1e-6))
    assert_close(ScatteringTransformer(J=3, log=0.1).fit_transform(X), np.log(abs(s) + 0.1))


@pytest.mark.parametrize("nonlinearity", ["modulus", "rectifier"])
@pytest.mark.parametrize("averaging", ["local", "global", None])
@pytest.mark.parametrize("max_order", [0, 1, 2])
def test_names_shapes_and_paths_agree(nonlinearity, averaging, max_order):
    X = rng.standard_normal((2, 3, 12, 8))
    est = image_scattering(
        nonlinearity=nonlinearity, n_phases=3, averaging=averaging, max_order=max_order
    ).fit(X)
    names, table = est.get_feature_names_out(), est.paths_
    assert est.transform(X).shape == (2, len(names)) == (2, np.prod(est.output_shape_))
    A = 3 if nonlinearity == "rectifier" else 1
    assert len(table) == [1, 1 + 8 * A, 1 + 8 * A + 16 * A * A][max_order]
    # a name without channel and position tells the path
    paths = dict.fromkeys("_".join(name.split("_")[1:]).split("_y")[0] for name in names)
    assert len(paths) == len(table)
    for name, row in zip(paths, table, strict=True):
        assert int(name[1]) == row["order"]
        for order, part in enumerate(name.split("_")[1:]):
            expected = f"j{row['j'][order]:g}t{row['theta'][order]}"
            assert part == expected + f"a{row['phase'][order]}" * (A > 1)
        assert np.isnan(row["xi"][row["order"] :]).all()


def test_names_of_a_signal():
    est = ScatteringTransformer(J=3, Q=2).fit(np.ones((1, 20)))
    names, table = est.get_feature_names_out(), est.paths_
    assert names[0] == "s0_t0"
    assert names[3] == "s1_n0_t0"
    assert names[-1].startswith("s2_n") and names[-1].endswith("_t2")
    assert (np.diff(table["xi"][table["order"] == 1, 0]) < 0).all()
    assert (table["j"][table["order"] == 2, 1] > table["j"][table["order"] == 2, 0]).all()


def test_feature_positions_follow_the_image():
    X = np.zeros((1, 32, 32))
    X[0, 26, 3] = 1  # coefficients lie at multiples of 8
    est = image_scattering(J=3).fit(X)
    names = est.get_feature_names_out()
    s1 = [i for i, name in enumerate(names) if name.startswith("s1_j0t0_")]
    peak = names[s1[np.argmax(est.transform(X)[0, s1])]]
    assert peak == "s1_j0t0_y3x0"


def test_explained_energy_ratio():
    X = rng.standard_normal((3, 2, 32, 32))
    X[2] = 0
    ratio = image_scattering(L=8).fit(X).explained_energy_ratio(X)
    assert ratio.shape == (3, 3) and (ratio[2] == 0).all()
    assert ((ratio[:2] > 0) & (ratio[:2].sum(1, keepdims=True) < 1.2)).all()
    constant = np.ones((1, 2, 32, 32))
    assert_close(image_scattering().fit(X).explained_energy_ratio(constant), [[1, 0, 0]], 1e-3)
    # the mean of a rectified cosine is 1 / pi, that of its square 1 / 4
    phases = image_scattering(nonlinearity="rectifier", n_phases=8, max_order=1, L=8).fit(X)
    expected = ratio[:2, 1] * 4 / np.pi**2
    assert relative_error(phases.explained_energy_ratio(X)[:2, 1], expected) < 0.1
    averaged = ScatteringTransformer(J=4, averaging="global", log=True).fit(np.ones((1, 64)))
    assert averaged.explained_energy_ratio(np.ones((1, 64))).shape == (1, 3)


def test_persistence():
    X = rng.standard_normal((2, 64))
    est = ScatteringTransformer(J=3)
    with pytest.raises(NotFittedError):
        est.transform(X)
    est.fit(X)
    assert len(pickle.dumps(est)) < 1000
    expected_hash = joblib.hash(est)
    est.transform(X), est.paths_
    assert joblib.hash(est) == expected_hash


def test_what_needs_a_fit_says_so():
    est = ScatteringTransformer(J=3)
    for f in (est.transform, est.explained_energy_ratio):
        with pytest.raises(NotFittedError):
            f(np.ones((2, 64)))
    with pytest.raises(NotFittedError):
        est.get_feature_names_out()
    assert not hasattr(est, "paths_") and not hasattr(est, "output_shape_")


def test_a_refused_fit_keeps_the_shape_of_the_last():
    est = ScatteringTransformer(J=3, ndim=1).fit(np.ones((2, 64)))
    with pytest.raises(ValueError, match="too large"):
        est.fit(np.ones((2, 5, 4)))
    assert est.sample_shape_ == est.signal_shape_ == (64,)


def test_html_repr_links_to_the_documentation():
    html = ScatteringTransformer(J=2)._repr_html_()
    assert "skwave.ScatteringTransformer.html" in html


def test_torch_keeps_the_graph():
    x = torch.randn(2, 64, dtype=torch.float64, requires_grad=True)
    est = ScatteringTransformer(J=3, batch_size=1).fit(x)
    y = est.transform(x)
    assert y.requires_grad
    (gradient,) = torch.autograd.grad(y.square().sum(), x)
    assert gradient.shape == x.shape and gradient.abs().min() > 0
    with torch.no_grad():
        assert not est.transform(x).requires_grad


@pytest.mark.parametrize(
    ("parameters", "shape", "message"),
    [
        ({"J": 0}, (64,), "'J' parameter"),
        ({"J": 1.5}, (64,), "'J' parameter"),
        ({"J": 7}, (64,), r"J=7 is too large: 2\*\*J = 128 .* Use J <= 6"),
        ({"J": 1}, (1,), r"n_features=1\).*too short for any J"),
        ({"J": 2, "L": 4.0, "ndim": 2}, (8, 8), "'L' parameter"),
        ({"J": 2, "Q": 0}, (64,), "'Q' parameter"),
        ({"J": 2, "Q": (1, 2, 3)}, (64,), "'Q' parameter .* a tuple of two, such as .* each"),
        ({"J": 2, "Q": (1, 0)}, (64,), "'Q' parameter .* a tuple of two, such as .* each"),
        ({"J": 2, "T": 0.5}, (64,), "'T' parameter"),
        ({"J": 2, "T": 65}, (64,), "T=65 exceeds"),
        ({"J": 2, "ndim": 3}, (8, 8), "'ndim' parameter"),
        ({"J": 2, "max_order": 3}, (64,), "'max_order' parameter"),
        ({"J": 2, "nonlinearity": "relu"}, (64,), "'nonlinearity' parameter"),
        ({"J": 2, "averaging": "mean"}, (64,), "'averaging' parameter"),
        ({"J": 2, "boundary": "symmetric"}, (64,), "'boundary' parameter"),
        ({"J": 2, "oversampling": -1}, (64,), "'oversampling' parameter"),
        ({"J": 2, "log": -1.0}, (64,), "'log' parameter"),
        ({"J": 2, "batch_size": 0}, (64,), "'batch_size' parameter"),
        ({"J": 2, "dtype": "float16"}, (64,), "dtype='float16'.*float32"),
        ({"J": 2, "device": "cuda:99"}, (64,), r"device='cuda:99'.*\['cpu'"),
        ({"J": 2, "device": "gpu"}, (64,), r"device='gpu'.*\['cpu'"),
        ({"J": 2, "shape": (10,)}, (64,), r"shape=\(10,\) does not fit"),
        ({"J": 2, "ndim": 1, "shape": (8, 8)}, (64,), "shape=.* 1 integers"),
        ({"J": 2, "shape": (4, 4, 4)}, (64,), r"shape=\(4, 4, 4\) must be \(N,\) .* \(H, W\)"),
        ({"J": 2}, (8, 8), r"X has 3 axes.*give ScatteringTransformer ndim=2 for images"),
        ({"J": 2}, (2, 2, 8, 8), "X has 5 axes"),
        ({"J": True}, (64,), "'J' parameter"),
        ({"J": 2, "shape": (0,)}, (64,), "shape=.* does not fit"),
        ({"J": 2, "ndim": 2, "shape": (8, 4)}, (8, 8), "shape=.* does not fit"),
        ({"J": 2, "ndim": 2, "shape": (-1, -1)}, (64,), "shape=.* does not fit"),
        ({"J": 2, "ndim": 2, "shape": (-1, 7)}, (64,), "shape=.* does not fit"),
    ],
)
def test_bad_parameters_are_named(parameters, shape, message):
    est = ScatteringTransformer(**parameters)
    with pytest.raises((ValueError, TypeError), match=f"(?s){message}"):
        est.fit(np.zeros((2, *shape)))
    with pytest.raises(NotFittedError):
        est.transform(np.zeros((2, *shape)))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.full((2, 64), np.nan), "NaN"),
        (np.full((2, 64), np.inf), "infinity"),
        (np.ones((2, 64), complex), "Complex"),
        (np.full((2, 64), "a", dtype=object), "could not convert|numeric"),
        (np.ones((0, 64)), "0 sample"),
        (np.ones(64), "Expected 2D"),
        (np.ones((2, 32)), "32 features|shape"),
        (torch.full((2, 64), torch.nan), "NaN"),
        (torch.ones(2, 64, dtype=torch.complex64), "Complex"),
        (torch.ones(0, 64), "0 sample"),
        (torch.ones(64), "Expected 2D"),
        (torch.ones(2, 3, 64), "features|shape"),
    ],
)
def test_bad_input_is_refused(X, message):
    est = ScatteringTransformer(J=2).fit(np.ones((1, 64)))
    with pytest.raises((ValueError, TypeError), match=message):
        est.transform(X)


def test_another_signal_shape_is_refused():
    est = image_scattering().fit(np.ones((1, 8, 8)))
    with pytest.raises(ValueError, match=r"shape \(8, 12\).*fitted to samples of shape \(8, 8\)"):
        est.transform(np.ones((1, 8, 12)))


def test_shapes_that_fold():
    X = rng.standard_normal((2, 3, 8, 12))
    expected = image_scattering().fit_transform(X)
    for shape in ((8, 12), (-1, 12), (8, -1)):
        rows = X[:, 0].reshape(2, -1)
        one = image_scattering(shape=shape).fit_transform(rows)
        assert_close(one, image_scattering().fit_transform(X[:, 0]))
    assert_close(image_scattering(shape=(8, 12)).fit_transform(X.reshape(2, -1)), expected)
    assert_close(image_scattering(shape=[8, 12]).fit_transform(X), expected)
    with pytest.warns(UserWarning, match=r"shape=\(H, W\)"):
        image_scattering().fit(X.reshape(2, -1))


def test_read_only_memmap(tmp_path):
    X = rng.standard_normal((5, 64)).astype(np.float32)
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    est = ScatteringTransformer(J=3, batch_size=2)
    assert_close(est.fit_transform(mapped), est.fit_transform(X))


@pytest.mark.parametrize("scale", [2.0**-100, 2.0**-73, 2.0**67, 2.0**110])
@pytest.mark.parametrize("nonlinearity", ["modulus", "rectifier"])
def test_a7_energies_at_scales_of_float32(scale, nonlinearity):
    X = np.random.default_rng(0).standard_normal((3, 2, 16, 16)).astype(np.float32)
    scattering = ScatteringTransformer(J=2, L=2, nonlinearity=nonlinearity).fit(X)
    ratio = scattering.explained_energy_ratio(X)
    X[1] *= np.float32(scale)
    assert np.array_equal(scattering.explained_energy_ratio(X), ratio)


@pytest.mark.parametrize("asarray", [np.asarray, torch.as_tensor])
@pytest.mark.parametrize("batch_size", [2, "auto"])
def test_a7_what_cannot_be_represented_names_the_sample(asarray, batch_size):
    X = np.random.default_rng(0).standard_normal((5, 16, 16)).astype(np.float32)
    X[3] = np.finfo(np.float32).max
    scattering = ScatteringTransformer(J=2, L=2, ndim=2, batch_size=batch_size).fit(X)
    with pytest.raises(ValueError, match=r"float32 can't represent for sample 3 of X.*float64"):
        scattering.transform(asarray(X))
    X[3] /= 2
    assert np.isfinite(np.asarray(scattering.transform(asarray(X)))).all()


WAVES = np.random.default_rng(0).standard_normal((3, 2, 256)).astype(np.float32)


@pytest.mark.parametrize("averaging", ["local", "global", "stats", None])
def test_a_relative_logarithm_sees_ratios_in_any_unit(averaging):
    transformer = ScatteringTransformer(J=5, Q=2, ndim=1, averaging=averaging, log="relative")
    Y = transformer.fit_transform(WAVES)
    for gain in (1e-15, 1e-6, 1e6):
        gained = transformer.transform(np.float32(gain) * WAVES)
        if averaging != "stats":
            np.testing.assert_allclose(gained - Y, np.log(gain), atol=1e-3)
    assert np.isfinite(transformer.transform(0 * WAVES)).all()


def test_a_relative_logarithm_is_that_of_the_coefficients():
    S = ScatteringTransformer(J=5, Q=2, ndim=1).fit(WAVES)
    expected = S.transform(WAVES).reshape(3, *S.output_shape_)
    epsilon = 1e-3 * np.abs(WAVES).mean(-1)[..., None, None]
    Y = S.set_params(log="relative").transform(WAVES).reshape(expected.shape)
    assert_close(Y, np.log(np.abs(expected) + epsilon))


def test_a_logarithm_that_leaves_nothing_is_told():
    transformer = ScatteringTransformer(J=5, ndim=1, log=True).fit(WAVES)
    with pytest.warns(UserWarning, match=r"log=True adds 1e-06 to .* set log='relative'"):
        transformer.transform(1e-12 * WAVES)
    transformer.transform(0 * WAVES)


@pytest.mark.parametrize("averaging", ["local", "global"])
@pytest.mark.parametrize("nonlinearity", ["modulus", "rectifier"])
def test_renormalised_coefficients(averaging, nonlinearity):
    S = ScatteringTransformer(J=5, Q=2, ndim=1, averaging=averaging, nonlinearity=nonlinearity)
    plain = S.fit_transform(WAVES).reshape(3, 2, len(S.paths_), -1)
    paths = S.paths_
    floor = 1e-3 * np.abs(WAVES).mean(-1)[..., None]
    mean = ScatteringTransformer(J=5, Q=2, ndim=1, max_order=0, averaging=averaging)
    mean = mean.fit_transform(np.abs(WAVES)).reshape(3, 2, -1)
    Y = S.set_params(renormalize=True).transform(WAVES).reshape(plain.shape)
    for i, path in enumerate(paths):
        below = mean
        if path["order"] == 2:
            same = (paths["order"] == 1) & (paths["n"][:, 0] == path["n"][0])
            same &= paths["phase"][:, 0] == path["phase"][0]
            below = plain[:, :, int(np.flatnonzero(same)[0])]
        assert_close(Y[:, :, i], plain[:, :, i] / (below + floor), 1e-5)
    assert_close(S.transform(1e-10 * WAVES).reshape(Y.shape), Y, 1e-5)
    images = ScatteringTransformer(J=2, L=2, ndim=2, renormalize=True, max_order=1)
    assert np.isfinite(images.fit_transform(WAVES.reshape(6, 16, 16))).all()


def test_sampling_rate_names_in_hertz():
    plain = ScatteringTransformer(J=5, Q=(4, 1)).fit(WAVES[:, 0])
    S = ScatteringTransformer(J=5, Q=(4, 1), sampling_rate=8000).fit(WAVES[:, 0])
    assert np.array_equal(S.transform(WAVES[:, 0]), plain.transform(WAVES[:, 0]))
    for name in ("xi", "sigma"):
        np.testing.assert_allclose(S.paths_[name], 8000 * plain.paths_[name])
    names = S.get_feature_names_out()
    assert len(set(names)) == len(names) and names[1] == "s0_t0.004s"
    assert names[8] == f"s1_{S.paths_['xi'][1, 0]:.5g}Hz_t0s"
    for averaging, last in (("global", "Hz"), ("stats", "Hz_q90"), (None, "_t0.031s")):
        names = S.set_params(averaging=averaging).get_feature_names_out()
        assert len(set(names)) == len(names) and names[-1].endswith(last)


def test_refusals_of_relative_features():
    x = WAVES[:, 0]
    for parameters in ({"log": "relative"}, {"renormalize": True}):
        transformer = ScatteringTransformer(J=3, **parameters).fit(x)
        with pytest.raises(ValueError, match="in units of X"):
            transformer.inverse_transform(transformer.transform(x))
        long = ScatteringTransformer(J=2, max_order=1, **parameters)
        with pytest.raises(ValueError, match="transformed in pieces"):
            long.fit_transform(np.ones((1, 300_000), np.float32))
    with pytest.raises(ValueError, match="averaging=None has orders on grids of their own"):
        ScatteringTransformer(J=3, renormalize=True, averaging=None).fit(x)
    with pytest.raises(ValueError, match="sampling_rate=8000 is for signals"):
        ScatteringTransformer(J=3, ndim=2, sampling_rate=8000).fit(WAVES.reshape(6, 16, 16))
    for bad in ("relativ", 0, -1):
        with pytest.raises(ValueError, match="'log' parameter"):
            ScatteringTransformer(log=bad).fit(x)
