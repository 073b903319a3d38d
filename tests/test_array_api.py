"""Kinds of arrays and devices: numpy, torch, the array API; fitted with one, used with another."""

import os
import pickle
import pickletools
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags

from skwave import (
    CASEGenerator,
    MaxEntTextureModel,
    MultilinearRegressor,
    PhaseHarmonicTransformer,
    ScatteringDictionaryClassifier,
    ScatteringTransformer,
    SparseCoder,
)
from skwave.testing import assert_close

strict = pytest.importorskip("array_api_strict")
rng = np.random.default_rng(0)
IMAGES, TARGETS = rng.normal(size=(24, 8, 8)), rng.normal(size=24)
LABELS = np.arange(24) % 2
ROWS, WEIGHTS = IMAGES.reshape(24, 64), 1.0 + LABELS
NETWORK = {"J": 1, "L": 2, "n_iter": 2, "max_iter": 2, "dtype": "float64", "random_state": 0}

TRANSFORMERS = {
    "scattering": (ScatteringTransformer(J=1, L=2, ndim=2), IMAGES),
    "harmonics": (PhaseHarmonicTransformer(J=1, L=2), IMAGES),
    "textures": (MaxEntTextureModel(J=1, L=2, max_iter=2, random_state=0), IMAGES),
    "codes": (SparseCoder(4, alpha=0.1, max_iter=2, random_state=0), ROWS),
    "codes, istc": (SparseCoder(4, alpha=0.1, algorithm="istc", max_iter=2, random_state=0), ROWS),
    "generator": (CASEGenerator(**NETWORK, n_components=3, channels=2, n_atoms=(6, 4)), IMAGES),
}
CLASSIFIER = ScatteringDictionaryClassifier(**NETWORK, n_atoms=4, projection=3)
REGRESSOR = MultilinearRegressor(n_terms=3, max_iter=3, random_state=0)


def _cuda(X):
    if not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    return torch.as_tensor(X, device="cuda")


KINDS = {
    "numpy": np.asarray,
    "torch": torch.as_tensor,
    "torch, CUDA": _cuda,
    "strict": strict.asarray,
    "strict, other device": lambda X: strict.asarray(X, device=strict.Device("device1")),
}


@pytest.fixture(params=KINDS)
def kind(request):
    """Numpy array -> array of the kind, with dispatch on."""
    with config_context(array_api_dispatch=True), warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*(gap of|energies of|loss)")  # of few steps
        yield KINDS[request.param]


@pytest.fixture(params=TRANSFORMERS)
def transformer(request):
    """Not fitted, and samples for it."""
    est, X = TRANSFORMERS[request.param]
    return clone(est), X


def as_numpy(Y):
    return Y.numpy(force=True) if isinstance(Y, torch.Tensor) else np.from_dlpack(Y)


def assert_same_kind(Y, X):
    assert type(Y) is type(X)
    assert Y.dtype == X.dtype
    assert Y.device == X.device if not isinstance(X, np.ndarray) else True


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_comes_out_is_of_the_kind_that_came_in(transformer, kind, dtype):
    est, X = transformer
    X = X.astype(dtype)
    if isinstance(est, CASEGenerator):
        est.set_params(dtype=dtype)
    expected = clone(est).fit(X).transform(X)
    A = kind(X)
    Y = est.fit(A).transform(A)
    assert_same_kind(Y, A)
    assert_close(as_numpy(Y), expected, 1e-3 if dtype == "float32" else 1e-7)
    if hasattr(est, "inverse_transform"):
        steps = {"max_iter": 2} if isinstance(est, ScatteringTransformer) else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert_same_kind(est.inverse_transform(Y, **steps), A)


@pytest.mark.parametrize("other", KINDS)
def test_fitted_with_one_kind_and_used_with_another(transformer, kind, other):
    """Also when it was stored in between."""
    est, X = transformer
    A, B = kind(X), KINDS[other](X)
    est.fit(A)
    Y = pickle.loads(pickle.dumps(est)).transform(B)
    assert_same_kind(Y, B)
    assert_close(as_numpy(Y), as_numpy(est.transform(A)), 1e-9)


def test_generator(kind):
    est = clone(TRANSFORMERS["generator"][0]).fit(kind(IMAGES))
    A = kind(IMAGES)
    assert_same_kind(est.interpolate(A[:2, ...], A[2:4, ...], n_steps=3), A)
    for images in est.coarse_to_fine(est.transform(A)):
        assert_same_kind(images, A)
    assert est.score(A) == pytest.approx(est.score(IMAGES))


@pytest.mark.parametrize("labels", [np.asarray, None])
def test_classifier(kind, labels):
    """It gives numpy arrays, whatever comes."""
    make = kind if labels is None else labels
    X, y, weights = kind(IMAGES), make(LABELS), make(WEIGHTS)
    est = clone(CLASSIFIER).fit(X, y, weights)
    expected = clone(CLASSIFIER).fit(IMAGES, LABELS, WEIGHTS)
    for method in ("predict", "predict_proba", "codes"):
        found = getattr(est, method)(X)
        assert isinstance(found, np.ndarray)
        np.testing.assert_allclose(found, getattr(expected, method)(IMAGES), atol=1e-7)
    assert est.score(X, y, weights) == expected.score(IMAGES, LABELS, WEIGHTS)


@pytest.mark.parametrize("targets", [np.asarray, None])
def test_regressor(kind, targets):
    make = kind if targets is None else targets
    X, y, weights = kind(ROWS), make(TARGETS), make(WEIGHTS)
    est = clone(REGRESSOR).fit(X, y, weights)
    expected = clone(REGRESSOR).fit(ROWS, TARGETS, WEIGHTS)
    found = est.predict(X)
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(found, expected.predict(ROWS), atol=1e-7)
    assert est.score(X, y, weights) == pytest.approx(expected.score(ROWS, TARGETS, WEIGHTS))


def test_textures(kind):
    """Fields that are made are numpy arrays."""
    X, mask = kind(IMAGES[:2]), kind(np.arange(8) > 2)
    est = clone(TRANSFORMERS["textures"][0]).fit(X)
    expected = clone(est).fit(IMAGES[:2])
    noise = np.random.default_rng(1).normal(size=(2, 8, 8))
    for name, given, arguments in (
        ("energy", (X,), (IMAGES[:2],)),
        ("score_samples", (X,), (IMAGES[:2],)),
        ("inpaint", (X, mask), (IMAGES[:2], np.arange(8) > 2)),
        (
            "denoise",
            (
                X,
                lambda *_: kind(noise),
            ),
            (IMAGES[:2], lambda *_: noise),
        ),
    ):
        options = {"n_draws": 2} if name == "denoise" else {}
        found = getattr(est, name)(*given, **options)
        assert isinstance(found, np.ndarray)
        wanted = getattr(expected, name)(*arguments, **options)
        np.testing.assert_allclose(found, wanted, atol=1e-7)
    assert isinstance(est.sample(init=X), np.ndarray)


def test_arrays_in_parameters(kind):
    """A dictionary, or a mask, of any kind and on any device."""
    X, atoms = kind(ROWS), np.eye(64)[:5]
    Z = SparseCoder(alpha=0.1, dictionary=kind(atoms)).fit(X).transform(X)
    expected = SparseCoder(alpha=0.1, dictionary=atoms).fit(ROWS).transform(ROWS)
    assert_close(as_numpy(Z), expected, 1e-12)
    X, mask = kind(IMAGES), np.ones((8, 8), bool) & (np.arange(8) > 0)
    Y = PhaseHarmonicTransformer(J=1, L=2, mask=kind(mask)).fit(X).transform(X)
    expected = PhaseHarmonicTransformer(J=1, L=2, mask=mask).fit(IMAGES).transform(IMAGES)
    assert_close(as_numpy(Y), expected, 1e-12)


def _supported(*steps):
    for step in steps:
        if not get_tags(step).array_api_support:
            pytest.skip(f"this scikit-learn has no array-API support in {type(step).__name__}")


@pytest.mark.parametrize("name", ["scattering", "harmonics", "codes"])
@pytest.mark.parametrize("make", [torch.as_tensor, _cuda], ids=["cpu", "cuda"])
@pytest.mark.parametrize(
    ("last", "y"),
    [(Ridge(solver="svd"), TARGETS), (LogisticRegression(), LABELS)],
    ids=["ridge", "logistic"],
)
def test_pipelines_keep_tensors_end_to_end(name, make, last, y):
    est, X = TRANSFORMERS[name]
    scaler, pca = StandardScaler(), PCA(2, svd_solver="full")
    _supported(scaler, pca, last)
    expected = make_pipeline(clone(est), scaler, pca, last).fit(X, y)
    with config_context(array_api_dispatch=True):
        model = clone(expected)
        A, b = make(X), make(y)
        model.fit(A, b)
        for step in model[:-1]:
            A = step.transform(A)
            assert isinstance(A, torch.Tensor) and A.device == b.device
            assert A.dtype == torch.float64
        found = model.predict(make(X))
        assert isinstance(found, torch.Tensor) and found.device == b.device
        for learnt in (model[1].mean_, model[2].components_, model[3].coef_):
            assert isinstance(learnt, torch.Tensor) and learnt.device == b.device
        assert model.score(make(X), b) == pytest.approx(expected.score(X, y), abs=1e-6)
    np.testing.assert_allclose(found.numpy(force=True), expected.predict(X), atol=1e-6)


@pytest.mark.parametrize("est", [*TRANSFORMERS, "classifier", "regressor"])
def test_files_hold_no_tensors(est):
    """So that what was fitted on one device is read where that is absent."""
    if est in TRANSFORMERS:
        est, X = TRANSFORMERS[est]
        y = None
    else:
        est, X, y = {
            "classifier": (CLASSIFIER, IMAGES, LABELS),
            "regressor": (REGRESSOR, ROWS, TARGETS),
        }[est]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of few steps
        est = clone(est).fit(torch.as_tensor(X), y)
    named = {str(arg) for _, arg, _ in pickletools.genops(pickle.dumps(est))}
    assert not [name for name in named if name.split(".")[0] == "torch"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_fitted_on_cuda_and_read_without(name, tmp_path):
    est, X = TRANSFORMERS[name]
    est = clone(est).fit(torch.as_tensor(X, device="cuda"))
    (tmp_path / "est.pkl").write_bytes(pickle.dumps((est, X, est.transform(X))))
    read = (
        "import pickle, sys, torch; assert not torch.cuda.is_available();"
        "est, X, Y = pickle.load(open(sys.argv[1], 'rb'));"
        "assert abs(est.transform(X) - Y).max() <= 1e-7 * abs(Y).max()"
    )
    command = [sys.executable, "-W", "ignore", "-c", read, str(tmp_path / "est.pkl")]
    subprocess.run(command, check=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
