"""Multilinear regression."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skwave import MultilinearRegressor
from skwave.molecules._multilinear import Multilinear

QUICK = {"n_terms": 8, "learning_rate_init": 0.02, "max_iter": 60, "random_state": 0}


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


def test_randomness(data):
    X, y = data
    state = torch.get_rng_state()
    a, b = (MultilinearRegressor(**{**QUICK, "max_iter": 3}).fit(X, y).predict(X) for _ in "ab")
    assert np.array_equal(a, b) and torch.equal(torch.get_rng_state(), state)
    c = MultilinearRegressor(**{**QUICK, "max_iter": 3, "random_state": 1}).fit(X, y).predict(X)
    assert not np.allclose(a, c)


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
