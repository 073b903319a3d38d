"""The classifier by sparse codes of scattering coefficients."""

import pickle
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from joblib import Memory
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch import NeuralNet

from skwave import ScatteringDictionaryClassifier, ScatteringTransformer
from skwave.nn import ScatteringDictionary
from skwave.scattering._mirror import mirror_features

TINY = {
    "J": 1, "L": 4, "n_atoms": 24, "n_iter": 3, "projection": 16, "learning_rate_init": 0.01,
    "max_iter": 4, "random_state": 0,
}  # fmt: skip
BLOCKS = ["istc", "istc_free", "tight_frame", "relu", "phase_collapse", None]


@pytest.fixture(scope="module")
def digits():
    """Digits of eight pixels a side: 900 to learn from, the rest to test on."""
    X, y = load_digits(return_X_y=True)
    X = (X / 16).reshape(-1, 8, 8).astype(np.float32)
    return X[:900], y[:900], X[900:], y[900:]


@pytest.fixture(scope="module")
def model(digits):
    """Fitted, tiny."""
    return ScatteringDictionaryClassifier(**TINY).fit(*digits[:2])


@pytest.mark.parametrize("block", BLOCKS)
def test_every_block_learns(digits, block):
    X, y, X_test, y_test = digits
    model = ScatteringDictionaryClassifier(**{**TINY, "max_iter": 8}, block=block).fit(X, y)
    assert model.score(X_test, y_test) > 0.9
    assert model.loss_curve_[-1] < 0.5 * model.loss_curve_[0]
    if block is None:
        assert not hasattr(model, "dictionary_") and model.codes(X[:2]).shape == (2, 5, 4, 4)
        return
    assert model.dictionary_.shape == (24, 16) and model.codes(X[:2]).shape == (2, 24, 4, 4)
    assert 0 < model.coherence_ < (2 if block == "istc_free" else 1)
    if block in ("istc", "tight_frame"):
        assert 0 < model.sparsity_ < 0.9


def test_the_network_is_the_chain_of_its_parts(digits, model):
    X = digits[2][:50]
    scattering = ScatteringTransformer(J=1, L=4, ndim=2)
    S = scattering.fit_transform(digits[0]).reshape(900, 5, 16)
    mean, scale = S.mean((0, 2)), S.std((0, 2))
    x = (scattering.transform(X).reshape(50, 5, 16) - mean[:, None]) / scale[:, None]
    module = model.network_
    P = module.projection.weight.detach().numpy()[:, :, 0, 0]
    u = np.einsum("pc,ncg->ngp", P, x)
    u /= np.linalg.norm(u, axis=-1, keepdims=True)
    D, alpha = model.dictionary_, module.block.alpha.item()
    assert np.allclose(np.linalg.norm(D, axis=1), 1, atol=1e-6)
    largest = np.maximum((u @ D.T).max(-1, keepdims=True), alpha)
    z = np.zeros((50, 16, 24))
    for n in (1, 2, 3):
        z = np.maximum(z + (u - z @ D) @ D.T - largest * (alpha / largest) ** (n / 3), 0)
    assert np.allclose(model.codes(X).reshape(50, 24, 16), z.transpose(0, 2, 1), atol=1e-4)
    maps = torch.from_numpy(z.transpose(0, 2, 1).reshape(50, 24, 4, 4)).float()
    scores = module.classifier(module.norm(maps)).softmax(1).detach().numpy()
    assert np.allclose(model.predict_proba(X), scores, atol=1e-4)
    assert np.array_equal(model.predict(X), model.classes_[scores.argmax(1)])


def test_learned_and_kept_dictionaries(digits):
    X, y, *_ = digits
    one, more = [
        [
            ScatteringDictionaryClassifier(
                **{**TINY, "max_iter": epochs}, learn_dictionary=learned, early_stopping=False
            )
            .fit(X[:100], y[:100])
            .dictionary_
            for epochs in (1, 3)
        ]
        for learned in (False, True)
    ]
    assert np.array_equal(*one) and not np.allclose(*more)


def test_mirror(digits):
    X, y, *_ = digits
    parameters = {**TINY, "boundary": "periodic", "mirror": True, "max_iter": 1}
    model = ScatteringDictionaryClassifier(**parameters).fit(X, y)
    mirrored = np.roll(np.flip(X[:20], -1), -1, axis=-1)
    probability = model.predict_proba(X[:20])
    assert np.allclose(model.predict_proba(mirrored), probability, atol=1e-5)
    S = model.scattering_.transform(X[:5])
    M = mirror_features(S, model.scattering_)
    views = model.network_.views.flatten(1).numpy()
    assert len(views) == 2 and np.array_equal(S[:, views[1]], M[:, views[0]])
    model.set_params(mirror=False, block=None)  # for the next fit
    with pytest.raises(ValueError, match=r"block=None was set after fit.*'istc'"):
        model.predict_proba(X[:20])
    assert not hasattr(model.fit(X, y), "dictionary_")


def test_shift():
    model = ScatteringDictionaryClassifier(**{**TINY, "shift": 1, "max_iter": 1})
    X = np.random.default_rng(0).standard_normal((20, 12, 8)).astype(np.float32)
    model.fit(X, np.arange(20) % 2)
    views = model.network_.views
    assert views.shape == (9, 6, 4, 5)
    S = model.scattering_.transform(X[:1]).reshape(5, 6, 4)
    maps = S.ravel()[views.numpy()].transpose(0, 3, 1, 2)
    assert np.array_equal(maps[0], S)
    padded = np.pad(S, ((0, 0), (1, 1), (1, 1)), mode="edge")
    moved = [padded[:, i : i + 6, j : j + 4] for i in range(3) for j in range(3)]
    assert {m.tobytes() for m in maps} == {m.tobytes() for m in moved}


@pytest.mark.parametrize("kind", ["numpy", "torch", "flat", "channels", "float64"])
def test_kinds_of_images(digits, model, kind):
    X, y, X_test, _ = digits
    X, y, X_test, parameters = X[:200], y[:200], X_test[:20], dict(TINY)
    expected = clone(model).fit(X, y).predict_proba(X_test)
    if kind == "torch":
        X, y, X_test = torch.from_numpy(X), torch.from_numpy(y), torch.from_numpy(X_test)
    elif kind == "flat":
        X, X_test, parameters["shape"] = X.reshape(200, -1), X_test.reshape(20, -1), (8, 8)
    elif kind == "channels":
        X, X_test = np.stack([X, X], 1), np.stack([X_test, X_test], 1)
    elif kind == "float64":
        X, X_test, parameters["dtype"] = X.astype(float), X_test.astype(float), None
    model = ScatteringDictionaryClassifier(**parameters).fit(X, y)
    probability = model.predict_proba(X_test)
    assert isinstance(probability, np.ndarray) and np.allclose(probability.sum(1), 1, atol=1e-5)
    if kind == "channels":
        assert model.codes(X_test).shape == (20, 24, 4, 4)
    else:
        assert np.allclose(probability, expected, atol=1e-3 if kind == "float64" else 1e-6)
    dtype = torch.float64 if kind == "float64" else torch.float32
    assert model.network_.projection.weight.dtype == dtype


def test_projection_of_neighbours_and_pool(digits):
    X, y, *_ = digits
    model = ScatteringDictionaryClassifier(
        **{**TINY, "max_iter": 1}, kernel_size=3, stride=2, pooling=1, classifier="mlp", n_hidden=7
    ).fit(X, y)
    assert model.codes(X[:3]).shape == (3, 24, 2, 2)
    widths = [layer.weight.shape for layer in model.network_.classifier if hasattr(layer, "weight")]
    assert widths == [(7, 24), (10, 7)]
    assert [m.p for m in model.network_.modules() if isinstance(m, torch.nn.Dropout)] == [0.3] * 2


def test_memory(digits, tmp_path, monkeypatch):
    X, y, X_test, _ = digits
    calls, transform = [], ScatteringTransformer.transform
    monkeypatch.setattr(
        ScatteringTransformer, "transform", lambda *a: calls.append(1) or transform(*a)
    )
    parameters = {**TINY, "max_iter": 1}
    expected = ScatteringDictionaryClassifier(**parameters).fit(X, y).predict_proba(X_test)
    for memory in (str(tmp_path), Memory(str(tmp_path), mmap_mode="r", verbose=0)):
        model = ScatteringDictionaryClassifier(**parameters, memory=memory).fit(X, y)
        assert np.array_equal(model.predict_proba(X_test), expected)
    assert len(calls) == 4
    clone(model).set_params(n_atoms=5).fit(X, y)
    assert len(calls) == 4


def test_checkpoint_goes_on(digits, tmp_path, monkeypatch, capsys):
    X, y, X_test, y_test = digits
    model = ScatteringDictionaryClassifier(**{**TINY, "max_iter": 6}, checkpoint=tmp_path)
    forward, calls = ScatteringDictionary.forward, []

    def interrupted(self, X, view=0):
        calls.append(None)
        if len(calls) == 21:
            raise RuntimeError("power cut")
        return forward(self, X, view)

    monkeypatch.setattr(ScatteringDictionary, "forward", interrupted)
    with pytest.raises(RuntimeError, match="power"):
        clone(model).fit(X, y)
    monkeypatch.undo()
    resumed = clone(model).set_params(verbose=1).fit(X, y)
    assert "goes on after 2 epochs" in capsys.readouterr().out
    assert resumed.n_iter_ == 6 and len(resumed.loss_curve_) == 6
    assert resumed.score(X_test, y_test) > 0.9
    whole = clone(model).set_params(checkpoint=None).fit(X, y)
    assert resumed.loss_curve_ == whole.loss_curve_
    assert resumed.validation_loss_curve_ == whole.validation_loss_curve_
    assert np.array_equal(resumed.predict_proba(X_test), whole.predict_proba(X_test))
    # nothing left to do; other parameters and other labels start anew
    again = clone(model).fit(X, y)
    assert np.array_equal(again.predict_proba(X_test), resumed.predict_proba(X_test))
    assert len(list(tmp_path.iterdir())) == 1
    clone(model).set_params(max_iter=1).fit(X, y)
    clone(model).set_params(max_iter=1).fit(X, y[::-1])
    other = X.copy()
    other[7] += 0.1
    clone(model).set_params(max_iter=1).fit(other, y)
    assert len(list(tmp_path.iterdir())) == 4
    with pytest.raises(ValueError, match="integer as random_state"):
        clone(model).set_params(random_state=None).fit(X, y)


def test_early_stopping_keeps_the_best_weights(digits):
    X, y = digits[0][:120], np.random.default_rng(0).integers(2, size=120)
    model = ScatteringDictionaryClassifier(
        **{**TINY, "max_iter": 40, "learning_rate_init": 0.05},
        n_iter_no_change=3,
        validation_fraction=0.4,
        schedule=None,
    ).fit(X, y)
    curve = model.validation_loss_curve_
    best = int(np.argmin(curve))
    assert model.n_iter_ == len(curve) == best + 4 < 40
    shorter = clone(model).set_params(max_iter=best + 1).fit(X, y)
    assert np.allclose(shorter.predict_proba(X), model.predict_proba(X), atol=1e-6)
    whole = clone(model).set_params(early_stopping=False, max_iter=2).fit(X, y)
    assert whole.n_iter_ == 2 and whole.validation_loss_curve_ is None


def test_interruption_keeps_what_was_learnt(digits, monkeypatch):
    X, y, *_ = digits
    forward, calls = ScatteringDictionary.forward, []

    def interrupted(self, X, view=0):
        calls.append(None)
        if len(calls) == 21:
            raise KeyboardInterrupt
        return forward(self, X, view)

    monkeypatch.setattr(ScatteringDictionary, "forward", interrupted)
    model = ScatteringDictionaryClassifier(**TINY).fit(X, y)
    monkeypatch.undo()
    assert model.n_iter_ == len(model.loss_curve_) == 2 and model.score(X, y) > 0.3


@pytest.mark.parametrize("early_stopping", [True, False])
def test_nan_stops(digits, monkeypatch, early_stopping):
    X, y, *_ = digits
    forward, calls = ScatteringDictionary.forward, []

    def broken(self, X, view=0):
        calls.append(None)
        return forward(self, X, view) * (float("nan") if len(calls) == 21 else 1)

    monkeypatch.setattr(ScatteringDictionary, "forward", broken)
    model = ScatteringDictionaryClassifier(**TINY, early_stopping=early_stopping)
    with pytest.warns(ConvergenceWarning, match="epoch 3 had a loss of nan"):
        model.fit(X, y)
    monkeypatch.undo()
    assert model.n_iter_ == len(model.loss_curve_) == 2 and model.score(X, y) > 0.3


def test_sample_weight(digits):
    X, y, X_test, y_test = digits
    wrong = np.where(np.arange(900) % 2, y, (y + 1) % 10)
    weight = np.arange(900) % 2
    model = ScatteringDictionaryClassifier(**{**TINY, "max_iter": 10}).fit(X, wrong, weight)
    assert model.score(X_test, y_test) > 0.85
    with pytest.raises(ValueError, match="zero"):
        model.fit(X, y, np.zeros(900))
    with pytest.raises(ValueError, match="egative"):
        model.fit(X, y, -np.ones(900))


@pytest.mark.parametrize("schedule", ["cosine", "steps", None])
def test_schedule(digits, schedule, monkeypatch):
    X, y, *_ = digits
    histories, fit = [], NeuralNet.partial_fit

    def kept(self, *arguments):
        histories.append(fit(self, *arguments).history)
        return self

    monkeypatch.setattr(NeuralNet, "partial_fit", kept)
    ScatteringDictionaryClassifier(
        **{**TINY, "max_iter": 3}, schedule=schedule, early_stopping=False
    ).fit(X[:50], y[:50])
    rates = [epoch.get("event_lr", 0.01) for epoch in histories[0]]
    expected = {"cosine": [0.01, 0.0075, 0.0025], "steps": [0.01, 0.001, 0.0001], None: [0.01] * 3}
    assert np.allclose(rates, expected[schedule])


def test_parameters_of_scattering_and_training(digits):
    X, y = digits[0][:100], digits[1][:100]
    model = ScatteringDictionaryClassifier(**{**TINY, "max_iter": 1}).fit(X, y)
    for parameters in (
        {"max_order": 0}, {"log": True}, {"boundary": "zero"}, {"nonlinearity": "rectifier"},
        {"label_smoothing": 0.2}, {"dropout": 0.0}, {"batch_size": 50},
        {"learning_rate_init": 0.001},
    ):  # fmt: skip
        other = clone(model).set_params(**parameters).fit(X, y)
        assert other.validation_loss_curve_ != model.validation_loss_curve_, parameters


def test_defaults(digits):
    """The scale leaves four positions a side."""
    rng = np.random.default_rng(0)
    for side, J in ((5, 1), (8, 1), (16, 2), (40, 3)):
        X, y = rng.uniform(size=(8, side, side)), np.arange(8) % 2
        model = ScatteringDictionaryClassifier(n_atoms=4, projection=3, max_iter=1)
        assert model.fit(X, y).J_ == J and model.codes(X).shape[1] == 4
    model = ScatteringDictionaryClassifier()
    assert repr(model) == repr(clone(model)) == "ScatteringDictionaryClassifier()"
    X, y, X_test, y_test = digits
    model.set_params(random_state=0).fit(X[:150], y[:150])
    assert model.J_ == 1 and model.score(X_test, y_test) > 0.5


def test_working_memory_does_not_matter(digits, model):
    X = digits[2]
    probability, codes = model.predict_proba(X), model.codes(X)
    with config_context(working_memory=0.1):  # 100 kB
        assert np.allclose(model.predict_proba(X), probability, atol=1e-6)
        assert np.allclose(model.codes(X), codes, atol=1e-5)


def test_threads_agree(digits):
    """Weights, order, views and dropout come from generators of each fit."""
    X, y = digits[0][:200], digits[1][:200]
    model = ScatteringDictionaryClassifier(**{**TINY, "max_iter": 2}, mirror=True, shift=1)
    expected = clone(model).fit(X, y)
    with ThreadPoolExecutor(4) as pool:
        for fitted in pool.map(lambda _: clone(model).fit(X, y), range(4)):
            assert fitted.loss_curve_ == expected.loss_curve_
            assert np.array_equal(fitted.dictionary_, expected.dictionary_)


def test_randomness(digits, model):
    X, y, X_test, _ = digits
    state = torch.get_rng_state()
    again = clone(model).fit(X, y)
    assert np.array_equal(again.predict_proba(X_test), model.predict_proba(X_test))
    assert torch.equal(torch.get_rng_state(), state)
    other = clone(model).set_params(random_state=1, max_iter=1).fit(X, y)
    assert not np.allclose(other.dictionary_, model.dictionary_)


def test_pickle_labels_and_search(digits, model):
    X, y, X_test, y_test = digits
    state, probability = torch.get_rng_state(), model.predict_proba(X_test)
    changed = pickle.loads(pickle.dumps(model)).set_params(n_atoms=3)
    again = pickle.loads(pickle.dumps(changed)).set_params(n_atoms=model.n_atoms)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(again.predict_proba(X_test), probability)
    names = np.array(["zero", "one", "two"])
    few = y < 3
    named = clone(model).fit(X[few], names[y[few]])
    assert named.classes_.tolist() == sorted(names) and named.score(X[few], names[y[few]]) > 0.9
    pipeline = make_pipeline(FunctionTransformer(np.negative), clone(model))
    grid = {"scatteringdictionaryclassifier__alpha": [0.05, 0.2]}
    search = GridSearchCV(
        pipeline.set_params(scatteringdictionaryclassifier__max_iter=1), grid, cv=2
    )
    assert search.fit(X[:200], y[:200]).predict(X_test).shape == y_test.shape


def test_bad_input(digits, model, capsys):
    X, y, X_test, _ = digits
    with pytest.raises(NotFittedError):
        ScatteringDictionaryClassifier(J=1).predict(X)
    with pytest.raises(ValueError, match="one class only, 7"):
        clone(model).fit(X, np.full(900, 7))
    with pytest.raises(ValueError, match=re.escape("alpha=1.0 must be below 1")):
        clone(model).set_params(alpha=1.0).fit(X, y)
    for parameters in (
        {"alpha": 0.0}, {"n_atoms": 0}, {"block": "ista"}, {"n_iter": 0},
        {"classifier": "svm"}, {"dropout": 1.0}, {"learning_rate_init": 0}, {"projection": 0},
        {"schedule": "linear"}, {"J": 0},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=next(iter(parameters))):
            clone(model).set_params(**parameters).fit(X, y)
    with pytest.raises(ValueError, match="too large"):
        clone(model).set_params(J=4).fit(X, y)
    with pytest.raises(ValueError, match="samples of shape"):
        model.predict(X_test[:, :, :4])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        clone(model).fit(X, y[:-1])
    with pytest.raises(ValueError, match="kernel_size=2"):
        clone(model).set_params(kernel_size=2).fit(X[:, :1], y)
    with pytest.warns(UserWarning, match=r"not in fit, \[11\]"):
        assert model.score(X_test[:4], np.full(4, 11)) == 0
    with pytest.warns(UserWarning, match="all codes are zero"):
        clone(model).set_params(alpha=0.999, max_iter=1, learning_rate_init=1e-6).fit(X, y)
    clone(model).set_params(max_iter=1, verbose=1).fit(X[:50], y[:50])
    assert "valid_loss" in capsys.readouterr().out
