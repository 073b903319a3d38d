"""The generative autoencoder."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.stats import kurtosis
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import Ridge
from sklearn.mixture import GaussianMixture

from skwave import CASEGenerator, ScatteringTransformer
from skwave.generation._embedding import to_sphere
from skwave.nn import DictionaryDecoder
from skwave.validation import code_report, psnr

TINY = {
    "J": 2, "n_components": 12, "L": 2, "channels": 3, "n_atoms": (48, 8), "n_iter": 3,
    "max_iter": 4, "batch_size": 64, "learning_rate_init": 0.01, "random_state": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def digits():
    """Digits of eight pixels a side, to learn from and to test on."""
    X = (load_digits().images / 16).astype(np.float32)
    return X[:400], X[900:1100]


@pytest.fixture(scope="module")
def model(digits):
    """Fitted, tiny."""
    return CASEGenerator(**TINY).fit(digits[0])


@pytest.fixture(scope="module")
def linear(digits):
    """The same without a network."""
    return CASEGenerator(**TINY, decoder="linear").fit(digits[0])


def test_encoder_is_pca_of_scattering(digits, linear):
    X, X_test = digits
    scattering = ScatteringTransformer(J=2, L=2, ndim=2, max_order=1, nonlinearity="rectifier").fit(
        X
    )
    S, S_test = scattering.transform(X), scattering.transform(X_test)
    pca = PCA(12, whiten=True, svd_solver="full").fit(S)
    Z = linear.transform(X_test)
    signs = np.sign(np.sum(Z * pca.transform(S_test), 0))
    assert np.allclose(Z, pca.transform(S_test) * signs, atol=2e-3)
    assert np.allclose(np.cov(linear.transform(X).T), np.eye(12), atol=1e-2)
    ridge = Ridge(1.0).fit(linear.transform(X), X.reshape(400, -1))
    expected = ridge.predict(Z).reshape(-1, 8, 8)
    assert np.allclose(linear.inverse_transform(Z), expected, atol=1e-5)
    assert linear.score(X_test) == pytest.approx(psnr(expected, X_test), abs=1e-4)
    assert linear.network_ is None and linear.dictionaries_ == []


@pytest.mark.parametrize("decoder", ["dictionary", "convolutional"])
def test_better_than_linear_and_never_worse(digits, linear, decoder):
    X, X_test = digits
    model = CASEGenerator(**{**TINY, "max_iter": 10}, decoder=decoder).fit(X)
    gain = 0.03 if decoder == "dictionary" else 0
    assert model.score(X_test) >= linear.score(X_test) + gain
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    # steps so large that nothing is learned leave the regression
    lost = clone(model).set_params(learning_rate_init=3.0, max_iter=1).fit(X)
    Z = lost.transform(X_test)
    regression = (Z @ lost.coef_.T + lost.intercept_).reshape(X_test.shape)
    assert np.allclose(lost.inverse_transform(Z), regression, atol=1e-5)


def test_images_set_apart_are_not_learned_from(digits, linear):
    X, groups = digits[0][:60], np.arange(60) % 2
    halves = [clone(linear).fit(X[groups == g]) for g in (0, 1)]
    model = clone(linear).set_params(decoder="dictionary", validation_fraction=0.5, max_iter=1)
    model.fit(X, groups=groups)
    train, validation = (model.latent_report_[name] for name in ("train", "validation"))
    same = [np.allclose(half.intercept_, model.intercept_, atol=1e-5) for half in halves]
    assert sorted(same) == [False, True]
    half = halves[same.index(True)]
    assert train["variance"] == pytest.approx(half.latent_report_["train"]["variance"], rel=1e-3)
    Z = model.transform(X[groups == same.index(False)])
    assert validation == pytest.approx(code_report(Z), rel=1e-3)


def test_output_is_the_sum_of_regression_and_chain(digits, model):
    Z = model.transform(digits[1])
    module = model.network_.eval()
    with torch.no_grad():
        G = module(torch.from_numpy(Z))[:, 0].numpy()
    expected = (Z @ model.coef_.T + model.intercept_).reshape(-1, 8, 8) + G
    assert np.abs(G).max() > 0.01
    assert np.allclose(model.inverse_transform(Z), expected, atol=1e-5)
    images = model.coarse_to_fine(Z)
    assert [x.shape[1:] for x in images] == [(2, 2), (4, 4), (8, 8)]
    for coarse, fine in pairwise(images):
        blocks = fine.reshape(len(Z), *(len(coarse[0]), 2) * 2).mean((2, 4))
        assert np.allclose(blocks, coarse, atol=1e-5)
    assert np.array_equal(model.coarse_to_fine(Z, scales=[1])[0], images[1])


def test_dictionaries(model):
    shapes = [(8, 1, 6, 6), (8, 3, 6, 6), (48, 6, 2, 2)]
    assert [D.shape for D in model.dictionaries_] == shapes
    assert len(model.sparsity_) == len(model.coherence_) == 3
    assert all(0 < s < 1 for s in model.sparsity_) and all(0 < c <= 1 for c in model.coherence_)
    sizes = [p.numel() for p in model.network_.parameters()]
    assert model.n_parameters_ == sum(sizes)


def test_codes_by_kind(digits):
    X, _ = digits
    models = {
        kind: CASEGenerator(**TINY, decoder="linear", gaussianize=kind).fit(X)
        for kind in ("pca", "log", "sphere", "quantile")
    }
    for kind, model in models.items():
        Z = model.transform(X)
        assert Z.dtype == np.float32 and Z.shape == (400, 12)
        assert np.allclose(Z, model.embedding_(model.scattering_.transform(X)), atol=1e-5), kind
    drawn = models["sphere"].sampler_(2, "normal", np.random.RandomState(0))
    images = models["sphere"].inverse_transform(to_sphere(drawn))
    assert np.allclose(models["sphere"].sample(2, random_state=0), images, atol=1e-5)
    plain = CASEGenerator(**TINY, decoder="linear", whiten=False).fit(X)
    deviation = np.sqrt(models["pca"].embedding_.pca.explained_variance_)
    assert np.allclose(plain.transform(X), models["pca"].transform(X) * deviation, atol=2e-3)


def test_defaults():
    """The scale leaves four positions a side; the codes are as long as images vary, up to 64."""
    rng = np.random.default_rng(0)
    for side, n, J, d in ((5, 20, 1, 19), (8, 40, 1, 39), (32, 90, 3, 64)):
        X = rng.uniform(size=(n, side, side))
        model = CASEGenerator(decoder="linear").fit(X)
        assert model.J_ == J and model.transform(X[:2]).shape == (2, d)
        assert len(model.coarse_to_fine(np.zeros((1, d)))) == J + 1
    model = CASEGenerator()
    assert repr(model) == "CASEGenerator()" and repr(clone(model)) == "CASEGenerator()"
    model.set_params(random_state=0).fit(X[:, :6, :6])
    assert 0 < model.n_iter_ <= 30 and model.sample(2).shape == (2, 6, 6)


def test_working_memory_does_not_matter(digits, model):
    Z, X = model.transform(digits[1]), model.inverse_transform(model.transform(digits[1]))
    with config_context(working_memory=0.05):  # 50 kB
        assert np.allclose(model.transform(digits[1]), Z, atol=1e-5)
        assert np.allclose(model.inverse_transform(Z), X, atol=1e-5)


def test_samples_are_validated_once(digits, linear, monkeypatch):
    """By the generator; the scattering, an estimator of its own, checks what it is given."""
    from skwave.generation import _case

    calls, validate = [], _case.validate_array
    monkeypatch.setattr(
        _case, "validate_array", lambda *a, **k: calls.append(1) or validate(*a, **k)
    )
    X = digits[1][:20]
    for call, n in (
        (lambda: clone(linear).fit(X), 1), (lambda: linear.transform(X), 1),
        (lambda: linear.score(X), 1), (lambda: linear.interpolate(X[:2], X[2:4]), 2),
    ):  # fmt: skip
        calls.clear()
        call()
        assert len(calls) == n


def test_threads_agree(digits):
    """Weights, order and noise come from generators of each fit."""
    X = digits[0][:200]
    model = CASEGenerator(**{**TINY, "max_iter": 2}, sampler="mixture")
    expected = clone(model).fit(X)
    with ThreadPoolExecutor(4) as pool:
        for fitted in pool.map(lambda _: clone(model).fit(X), range(4)):
            assert fitted.loss_curve_ == expected.loss_curve_
            assert np.array_equal(fitted.sample(3), expected.sample(3))


def test_latent_report(digits, model, linear):
    Z = linear.transform(digits[0])
    report = code_report(Z)
    assert report["variance"] == pytest.approx(Z.var(0).mean(), rel=1e-5)
    assert report["kurtosis"] == pytest.approx(kurtosis(Z).mean(), rel=1e-3)
    norms = (Z**2).sum(1)
    assert report["norm_spread"] == pytest.approx(norms.std() / norms.mean(), rel=1e-4)
    assert report["norm_spread_gaussian"] == pytest.approx((2 / 12) ** 0.5)
    assert linear.latent_report_ == {"train": report}
    assert set(model.latent_report_) == {"train", "validation"}
    with pytest.raises(ValueError, match="rows of codes"):
        code_report(np.zeros((3, 2, 2)))


def test_samples(digits):
    X, _ = digits
    model = CASEGenerator(**TINY, decoder="linear", sampler="mixture").fit(X)
    Z = model.transform(X)
    for kind in ("normal", "norm", "mixture"):
        drawn = model.sampler_(3, kind, np.random.RandomState(1))
        images = model.sample(3, sampler=kind, random_state=1)
        assert np.allclose(images, model.inverse_transform(drawn), atol=1e-5)
    images = model.sample(3, random_state=1)
    assert images.shape == (3, 8, 8) and np.array_equal(images, model.sample(3, random_state=1))
    assert not np.allclose(images, model.sample(3, random_state=2))
    density = GaussianMixture(2, covariance_type="diag", random_state=0).fit(Z)
    Y = model.sample(3, sampler=density)
    assert np.allclose(Y, model.inverse_transform(clone(density).fit(Z).sample(3)[0]), atol=1e-5)
    for arguments, match in (
        ({"n_samples": 0}, "n_samples"),
        ({"sampler": "cauchy"}, "sampler"),
    ):
        with pytest.raises(ValueError, match=match):
            model.sample(**arguments)
    with pytest.raises(ValueError, match="was not fitted"):
        CASEGenerator(**TINY, decoder="linear").fit(X).sample(sampler="mixture")


def test_interpolate(digits, model):
    X, Y = digits[1][:3], digits[1][3:6]
    images = model.interpolate(X, Y, 5)
    A, B = model.transform(X), model.transform(Y)
    assert images.shape == (3, 5, 8, 8)
    assert np.allclose(images[:, 0], model.inverse_transform(A), atol=1e-5)
    middle = model.inverse_transform((A + B) / 2)
    assert np.allclose(images[:, 2], middle, atol=1e-5)
    assert not np.allclose(middle, (images[:, 0] + images[:, 4]) / 2, atol=1e-3)
    with pytest.raises(ValueError, match="n_steps"):
        model.interpolate(X, Y, 1)


@pytest.mark.parametrize("kind", ["torch", "flat", "colour", "float64", "odd"])
def test_kinds_of_images(digits, kind):
    X, X_test = digits[0][:200], digits[1][:5]
    parameters = {**TINY, "max_iter": 1}
    if kind == "torch":
        X, X_test = torch.from_numpy(X), torch.from_numpy(X_test)
    elif kind == "flat":
        X, X_test, parameters["shape"] = X.reshape(200, -1), X_test.reshape(5, -1), (8, 8)
    elif kind == "colour":
        X, X_test = (np.stack([x, 1 - x, x**2], 1) for x in (X, X_test))
    elif kind == "float64":
        X, X_test, parameters["dtype"] = X.astype(float), X_test.astype(float), None
    elif kind == "odd":
        X, X_test = X[:, :7, :5], X_test[:, :7, :5]
    model = CASEGenerator(**parameters).fit(X)
    Z = model.transform(X_test)
    Y = model.inverse_transform(Z)
    assert type(Z) is type(Y) is type(X) and Y.shape == X_test.shape and Z.shape == (5, 12)
    assert "float64" in str(Y.dtype) if kind == "float64" else "float32" in str(Y.dtype)
    assert psnr(Y.reshape(5, -1, 1), X_test.reshape(5, -1, 1)) > 10
    shape = {"colour": (5, 3, 2, 2), "odd": (5, 2, 2)}.get(kind, (5, 2, 2))
    assert tuple(model.coarse_to_fine(Z)[0].shape) == shape
    assert model.interpolate(X_test[:2], X_test[2:4], 3).shape == (2, 3, *X_test.shape[1:])
    assert model.get_feature_names_out()[1] == "casegenerator1"


def test_groups_are_not_split(digits, monkeypatch):
    from skwave._networks import training as _training
    from skwave.generation import _training as _case_net

    X, _ = digits
    X, seen = np.concatenate([X[:100], X[:100, :, ::-1]]), []

    def spy(*args, rows, **kwargs):
        seen.append(rows)
        return _training.train(*args, rows=rows, **kwargs)

    monkeypatch.setattr(_case_net, "train", spy)
    groups = np.tile(np.arange(100) // 2, 2)
    CASEGenerator(**{**TINY, "max_iter": 1}).fit(X, groups=groups)
    train_rows, test_rows = seen[0]
    assert not set(groups[train_rows]) & set(groups[test_rows])
    assert len(set(groups[test_rows])) == 5 and len(train_rows) + len(test_rows) == 200
    with pytest.raises(ValueError, match="1 group"):
        CASEGenerator(**TINY).fit(X, groups=np.zeros(200))


def _interrupted(monkeypatch, error, calls=15):
    forward, count = DictionaryDecoder.forward, []

    def stopped(self, z):
        count.append(None)
        if len(count) == calls:
            raise error
        return forward(self, z)

    monkeypatch.setattr(DictionaryDecoder, "forward", stopped)


def test_interrupt_and_resume(digits, tmp_path, monkeypatch, capsys):
    X, _ = digits
    whole = CASEGenerator(**TINY).fit(X)
    model = clone(whole).set_params(checkpoint=tmp_path)
    _interrupted(monkeypatch, RuntimeError("power cut"))
    with pytest.raises(RuntimeError, match="power"):
        clone(model).fit(X)
    monkeypatch.undo()
    resumed = clone(model).set_params(verbose=1).fit(X)
    assert "goes on after 2 epochs" in capsys.readouterr().out
    assert np.allclose(resumed.loss_curve_, whole.loss_curve_, rtol=1e-5)
    assert np.allclose(resumed.validation_loss_curve_, whole.validation_loss_curve_, rtol=1e-5)
    assert np.allclose(resumed.sample(3), whole.sample(3), atol=1e-5)
    again = clone(model).fit(X)
    assert np.array_equal(again.sample(3), resumed.sample(3))
    assert len(list(tmp_path.iterdir())) == 1
    clone(model).set_params(max_iter=1).fit(X[::-1].copy())
    clone(model).fit(X, groups=np.arange(len(X)) // 2)
    assert len(list(tmp_path.iterdir())) == 3
    with pytest.raises(ValueError, match="integer as random_state"):
        clone(model).set_params(random_state=None).fit(X)


def test_ctrl_c_keeps_the_best(digits, linear, monkeypatch):
    X, X_test = digits
    _interrupted(monkeypatch, KeyboardInterrupt)
    model = CASEGenerator(**{**TINY, "learning_rate_init": 0.02}).fit(X)
    monkeypatch.undo()
    assert model.n_iter_ == 2 and model.score(X_test) >= linear.score(X_test) - 0.02


@pytest.mark.parametrize("early_stopping", [True, False])
def test_nan_stops(digits, linear, monkeypatch, early_stopping):
    X, X_test = digits
    forward, count = DictionaryDecoder.forward, []

    def broken(self, z):
        count.append(None)
        return forward(self, z) * (float("nan") if len(count) == 15 else 1)

    monkeypatch.setattr(DictionaryDecoder, "forward", broken)
    with pytest.warns(ConvergenceWarning, match="epoch 3 had a loss of nan"):
        model = CASEGenerator(**TINY, early_stopping=early_stopping).fit(X)
    monkeypatch.undo()
    assert model.n_iter_ == 2 and np.isfinite(model.sample(3)).all()
    assert model.score(X_test) > linear.score(X_test) - 0.5


def test_early_stopping(digits):
    X, _ = digits
    model = CASEGenerator(
        **{**TINY, "max_iter": 40, "learning_rate_init": 0.05}, n_iter_no_change=2, schedule=None
    ).fit(X[:60])
    curve = model.validation_loss_curve_
    assert model.n_iter_ == len(curve) < 40 and min(curve[:-2]) == min(curve)
    whole = clone(model).set_params(early_stopping=False, max_iter=2).fit(X[:60])
    assert whole.n_iter_ == 2 and whole.validation_loss_curve_ is None


def test_parameters_of_the_training(digits, model):
    X, _ = digits
    for parameters in (
        {"latent_noise": 0.0}, {"loss": "absolute_error"}, {"scale_weight": 1.0},
        {"scattering_weight": 1.0}, {"weight_decay": 1.0}, {"alpha": 1.0}, {"n_iter": 1},
        {"ridge_alpha": 1e4}, {"nonlinearity": "modulus"}, {"linear_skip": False},
    ):  # fmt: skip
        other = clone(model).set_params(**parameters, max_iter=1).fit(X)
        assert not np.allclose(other.loss_curve_[0], model.loss_curve_[0], rtol=1e-7), parameters
    assert not other.coef_.any()
    whole = clone(other).set_params(early_stopping=False).fit(X)
    assert np.allclose(whole.intercept_, X.mean(0).ravel(), atol=1e-5)


def test_memory(digits, tmp_path, monkeypatch):
    X, _ = digits
    calls, transform = [], ScatteringTransformer.transform
    monkeypatch.setattr(
        ScatteringTransformer, "transform", lambda *a: calls.append(1) or transform(*a)
    )
    model = CASEGenerator(**TINY, decoder="linear", memory=str(tmp_path)).fit(X)
    clone(model).set_params(n_components=3).fit(X)
    assert len(calls) == 1


def test_same_seed_same_result_and_pickle(digits, model):
    X, X_test = digits
    state = torch.get_rng_state()
    again = clone(model).fit(X)
    assert torch.equal(torch.get_rng_state(), state)
    assert again.loss_curve_ == model.loss_curve_
    assert np.array_equal(again.sample(2), model.sample(2))
    other = clone(model).set_params(random_state=1, max_iter=1).fit(X)
    assert other.loss_curve_[0] != model.loss_curve_[0]
    copy = pickle.loads(pickle.dumps(model))
    assert np.array_equal(copy.inverse_transform(copy.transform(X_test)),
                          model.inverse_transform(model.transform(X_test)))  # fmt: skip


def test_d_values_outside_of_the_range(digits, model):
    """A hot pixel is told, and neither refused nor felt by other images."""
    X = digits[1].copy()
    expected = model.transform(X)
    X[3, 2, 2] = X.max() + 100 * np.ptp(X)
    for call in (model.transform, model.score):
        with pytest.warns(UserWarning, match=r"1 of \d+ samples of X, \[3\], .*far outside the r"):
            found = call(X)
        assert np.isfinite(found).all()
    with pytest.warns(UserWarning, match="far outside"):
        found = model.transform(torch.from_numpy(X)).numpy()
    others = np.arange(len(X)) != 3
    np.testing.assert_allclose(found[others], expected[others], rtol=1e-4, atol=1e-4)


def test_bad_input(digits, model):
    X, X_test = digits
    with pytest.raises(NotFittedError):
        CASEGenerator(J=1).transform(X)
    with pytest.raises(ValueError, match=r"J=4 is too large"):
        clone(model).set_params(J=4).fit(X)
    with pytest.raises(ValueError, match="n_components <= 9, or more samples"):
        clone(model).fit(X[:12])
    with pytest.raises(ValueError, match="vary in 1 directions only"):
        ramp = np.linspace(0, 1, 50, dtype=np.float32)[:, None, None] * np.ones((8, 8), np.float32)
        clone(model).fit(ramp)
    with pytest.raises(ValueError, match=r"different shapes.*\(8, 8\)"):
        clone(model).fit([X[0], X[1, :4]])
    with pytest.raises(ValueError, match="NaN"):
        clone(model).fit(np.where(np.arange(400)[:, None, None] == 3, np.nan, X))
    with pytest.raises(ValueError, match="samples of shape"):
        model.transform(X_test[:, :, :4])
    with pytest.raises(ValueError, match="gives 12 features"):
        model.inverse_transform(np.zeros((2, 5)))
    with pytest.raises(ValueError, match="NaN"):
        model.inverse_transform(np.full((2, 12), np.nan))
    with pytest.raises(ValueError, match="channels=3 is less than the 4 channels"):
        clone(model).fit(X.reshape(-1, 4, 8, 8))
    with pytest.raises(ValueError, match="n_atoms"):
        clone(model).set_params(n_atoms=(3, 0)).fit(X)
    with pytest.raises(ValueError, match="scales"):
        model.coarse_to_fine(np.zeros((2, 12)), scales=[3])
    for parameters in (
        {"alpha": 0}, {"decoder": "gan"}, {"gaussianize": "rank"}, {"sampler": "t"},
        {"learning_rate_init": 0}, {"loss": "huber"}, {"latent_noise": -1.0},
        {"channels": 0}, {"n_components": 0},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=next(iter(parameters))):
            clone(model).set_params(**parameters).fit(X)
