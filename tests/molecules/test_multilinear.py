"""Multilinear regression."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skwave import MultilinearRegressor, SolidHarmonicScattering
from skwave.datasets import load_qm7_sample
from skwave.molecules._multilinear import Multilinear, principal_axes

QUICK = {"n_terms": 8, "learning_rate_init": 0.02, "max_iter": 60, "random_state": 0}
FEW_STEPS = pytest.mark.filterwarnings("ignore:the loss was still falling")


@pytest.fixture(scope="module")
def data():
    """A quadratic function of three of five features."""
    X = np.random.default_rng(0).standard_normal((400, 5))
    return X, 50 + 3 * X[:, 0] * X[:, 1] + 2 * X[:, 2]


def test_the_module_is_the_formula():
    module = Multilinear(4, n_terms=3, degree=3).double()
    X = torch.randn(6, 4, dtype=torch.float64)
    with torch.no_grad():
        module.bias.normal_()
        module.constant.fill_(0.7)
        expected = [
            0.7
            + sum(
                module.v[i]
                * torch.stack(
                    [x @ module.weight[k, :, i] + module.bias[k, 0, i] for k in range(3)]
                ).prod()
                for i in range(3)
            )
            for x in X
        ]
        assert torch.allclose(module(X), torch.stack(expected))


@FEW_STEPS
@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
def test_degree_2_learns_a_product(data, loss):
    X, y = data
    model = MultilinearRegressor(**QUICK, loss=loss).fit(X[:300], y[:300])
    assert model.score(X[300:], y[300:]) > 0.995
    linear = MultilinearRegressor(1, **QUICK).fit(X[:300], y[:300])
    assert linear.score(X[300:], y[300:]) < 0.6


def test_degree_1_is_linear_regression(data):
    X, _ = data
    y = X @ np.arange(5.0) + np.random.default_rng(1).standard_normal(len(X))
    model = MultilinearRegressor(
        1,
        4,
        max_iter=300,
        learning_rate_init=0.03,
        batch_size=400,
        early_stopping=False,
        random_state=0,
    )
    expected = LinearRegression().fit(X, y).predict(X)
    assert np.abs(model.fit(X, y).predict(X) - expected).max() < 0.02


def scaled(X, rng):
    """The same features in other units and origins, and mixed with each other."""
    units = 10.0 ** rng.uniform(-6, 6, X.shape[1])
    return units * (X + 5 * rng.standard_normal(X.shape[1]))


def test_units_and_origins_of_the_features_do_not_matter(data):
    X, y = data
    rng = np.random.default_rng(1)
    models = [MultilinearRegressor(**QUICK).fit(Z, y) for Z in (X, scaled(X, rng))]
    a, b = models[0].predict(X), models[1].predict(scaled(X, np.random.default_rng(1)))
    assert np.allclose(a, b, rtol=1e-5) and models[0].score(X, y) > 0.99


@pytest.mark.parametrize("shape", [(30, 5), (5, 30)])
def test_principal_axes(shape):
    """Those of scikit-learn, for samples as often as their weights say."""
    rng = np.random.default_rng(0)
    X, weight = 7 + scaled(rng.standard_normal(shape), rng), np.arange(shape[0]) % 3
    mean, axes = principal_axes(X, weight / weight.mean())
    repeated = np.repeat(X, weight, axis=0)
    scaler = StandardScaler().fit(repeated)
    pca = PCA().fit(scaler.transform(repeated))
    n = len(repeated)
    first = np.sqrt(pca.explained_variance_[0] * (n - 1) / n)
    expected = pca.transform(scaler.transform(X)) / first
    found = (X - mean) @ axes
    k = int(np.sum(pca.explained_variance_ > 1e-9))
    signs = np.sign(np.sum(found[:, :k] * expected[:, :k], axis=0))
    assert np.allclose(found[:, :k] * signs, expected[:, :k], atol=1e-6)
    assert np.average(found[:, 0] ** 2, weights=weight) == pytest.approx(1)


def test_prediction_is_the_network_of_standardised_features(data):
    X, y = data
    weight = 1.0 + np.arange(400) % 2
    for standardize in (True, False):
        model = MultilinearRegressor(**QUICK, standardize=standardize).fit(X, y, weight)
        mean, axes = principal_axes(X, weight / weight.mean()) if standardize else (0, np.eye(5))
        with torch.no_grad():
            z = model.network_(torch.from_numpy((X - mean) @ axes)).numpy()
        mean = np.average(y, weights=weight)
        scale = np.average((y - mean) ** 2, weights=weight) ** 0.5
        assert np.allclose(model.predict(X), mean + scale * z)


@pytest.mark.parametrize("shape", [(6, 40), (40, 6)])
def test_more_features_than_samples_and_constants(shape):
    rng = np.random.default_rng(0)
    X = rng.standard_normal(shape)
    X[:, 2] = 7.0
    model = MultilinearRegressor(2, 4, early_stopping=False, tol=0.01, random_state=0)
    model.fit(X, X[:, 0] + X[:, 1])
    assert np.isfinite(model.predict(rng.standard_normal(shape))).all()
    constant = clone(model).fit(np.ones(shape), np.ones(len(X)))
    assert np.allclose(constant.predict(np.ones(shape)), 1)


@pytest.mark.parametrize("early_stopping", [True, False])
def test_warns_if_it_has_not_converged(data, early_stopping):
    X, y = data
    noisy = y + np.random.default_rng(1).standard_normal(400)
    model = MultilinearRegressor(**QUICK, early_stopping=early_stopping)
    slow = clone(model).set_params(learning_rate_init=1e-4)
    with pytest.warns(ConvergenceWarning, match="still falling after max_iter=60 epochs"):
        slow.fit(X, noisy)
    assert slow.score(X, noisy) < 0.5
    # no fall for long, or hardly any loss, is convergence
    if early_stopping:
        done = clone(model).set_params(n_iter_no_change=5).fit(X, noisy)
        assert done.n_iter_ < 60
    assert min(clone(model).set_params(tol=0.01).fit(X, y).loss_curve_) < 0.01


def test_molecules_are_learned():
    """Raw features, of all sizes, with an error like that of a tuned ridge regression."""
    molecules = load_qm7_sample()
    X = SolidHarmonicScattering(J=2, L=2, pooling="atoms").fit_transform(molecules.data)
    y, test = molecules.target, molecules.fold == 0
    counts, X = X[:, :5], X[:, 5:]
    y = y - LinearRegression().fit(counts[~test], y[~test]).predict(counts)
    ridge = make_pipeline(StandardScaler(), RidgeCV(10.0 ** np.arange(-5, 3)))
    model = MultilinearRegressor(n_terms=32, loss="absolute_error", random_state=0)
    error, smallest = (
        np.abs(m.fit(X[~test], y[~test]).predict(X[test]) - y[test]).mean() for m in (model, ridge)
    )
    assert error < 1.3 * smallest


def test_threads_agree(data):
    X, y = data
    model = MultilinearRegressor(**{**QUICK, "max_iter": 8}, early_stopping=False, tol=1.0)
    expected = clone(model).fit(X, y).predict(X)
    with ThreadPoolExecutor(4) as pool:
        for fitted in pool.map(lambda _: clone(model).fit(X, y), range(8)):
            assert np.array_equal(fitted.predict(X), expected)


def test_the_scale_of_the_target_does_not_matter(data):
    X, y = data
    a, b = (MultilinearRegressor(**QUICK).fit(X, t).predict(X) for t in (y, 1e6 * y - 3e8))
    assert np.allclose(b, 1e6 * a - 3e8, rtol=1e-6)


def test_sample_weight(data):
    X, y = data
    wrong = np.where(np.arange(400) % 2, y, -y)
    model = MultilinearRegressor(**QUICK).fit(X, wrong, sample_weight=np.arange(400) % 2)
    assert model.score(X, y) > 0.99
    with pytest.raises(ValueError, match="zero"):
        model.fit(X, y, sample_weight=np.zeros(400))
    with pytest.raises(ValueError, match="egative"):
        model.fit(X, y, sample_weight=-np.ones(400))


@FEW_STEPS
def test_early_stopping_keeps_the_best_weights():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 40)), rng.standard_normal(60)
    model = MultilinearRegressor(
        n_terms=30, learning_rate_init=0.01, n_iter_no_change=5, validation_fraction=0.3,
        random_state=0,
    ).fit(X, y)  # fmt: skip
    curve = model.validation_loss_curve_
    assert model.n_iter_ == len(curve) == len(model.loss_curve_) < 200
    assert min(curve[:-5]) == min(curve)
    whole = clone(model).set_params(early_stopping=False, max_iter=7).fit(X, y)
    assert whole.n_iter_ == 7 and whole.validation_loss_curve_ is None


@FEW_STEPS
def test_randomness(data):
    X, y = data
    state = torch.get_rng_state()
    a, b = (MultilinearRegressor(**{**QUICK, "max_iter": 3}).fit(X, y).predict(X) for _ in "ab")
    assert np.array_equal(a, b) and torch.equal(torch.get_rng_state(), state)
    c = MultilinearRegressor(**{**QUICK, "max_iter": 3, "random_state": 1}).fit(X, y).predict(X)
    assert not np.allclose(a, c)


@FEW_STEPS
def test_dtype_pickle_and_search(data):
    X, y = data
    model = MultilinearRegressor(**{**QUICK, "max_iter": 5})
    small = clone(model).fit(X.astype(np.float32), y)
    assert small.network_.v.dtype == torch.float32
    assert model.fit(X, y).network_.v.dtype == torch.float64
    assert np.array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))
    pipeline = make_pipeline(StandardScaler(), model)
    search = GridSearchCV(pipeline, {"multilinearregressor__degree": [1, 2]}, cv=2)
    assert search.fit(X, y).predict(X).shape == (400,)


def test_interruption_keeps_what_was_learnt(data, monkeypatch):
    X, y = data
    forward, calls = Multilinear.forward, []

    def interrupted(self, X):
        calls.append(None)
        if len(calls) > 40:
            raise KeyboardInterrupt
        return forward(self, X)

    monkeypatch.setattr(Multilinear, "forward", interrupted)
    model = MultilinearRegressor(**QUICK).fit(X, y)
    monkeypatch.undo()
    assert 0 < model.n_iter_ < 60 and np.isfinite(model.predict(X)).all()


def test_nan_stops(data, monkeypatch):
    X, y = data
    forward, calls = Multilinear.forward, []

    def broken(self, X):
        calls.append(None)
        return forward(self, X) * (float("nan") if len(calls) == 40 else 1)

    monkeypatch.setattr(Multilinear, "forward", broken)
    model = MultilinearRegressor(**QUICK)
    with pytest.warns(ConvergenceWarning, match="had a loss of nan"):
        model.fit(X, y)
    monkeypatch.undo()
    assert 0 < model.n_iter_ == len(model.loss_curve_) < 60
    assert np.isfinite(model.predict(X)).all()


@FEW_STEPS
def test_bad_input(data, capsys):
    X, y = data
    with pytest.raises(NotFittedError):
        MultilinearRegressor().predict(X)
    for parameters in (
        {"degree": 0},
        {"n_terms": 0},
        {"loss": "huber"},
        {"validation_fraction": 1.0},
        {"learning_rate_init": 0},
    ):
        with pytest.raises(ValueError, match=next(iter(parameters))):
            MultilinearRegressor(**parameters).fit(X, y)
    with pytest.raises(ValueError, match="NaN"):
        MultilinearRegressor().fit(np.where(X > 3, np.nan, X), np.full(400, np.nan))
    MultilinearRegressor(**{**QUICK, "max_iter": 2}, verbose=1).fit(X, y)
    assert "epoch" in capsys.readouterr().out
