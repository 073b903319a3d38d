"""scikit-learn's own checks, and ours, over all estimators."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_classifiers_train, parametrize_with_checks

from skwave import (
    CASEGenerator,
    MaxEntTextureModel,
    MultilinearRegressor,
    PhaseHarmonicTransformer,
    ScatteringDictionaryClassifier,
    ScatteringTransformer,
    SparseCoder,
)
from skwave.testing import check_transformer

EXPECTED = {
    "check_array_api_same_namespace": "no fitted arrays: torch after numpy is served, not refused"
}


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    """The checks look at the kind and shape of what `inverse_transform` gives: two steps do."""
    monkeypatch.setitem(ScatteringTransformer.inverse_transform.__kwdefaults__, "max_iter", 2)


@parametrize_with_checks(
    [
        ScatteringTransformer(),
        ScatteringTransformer(J=1, nonlinearity="rectifier", averaging=None),
        ScatteringTransformer(L=2, shape=(1, -1)),
        PhaseHarmonicTransformer(),
    ],
    expected_failed_checks=lambda estimator: EXPECTED,
)
def test_sklearn(estimator, check):
    check(estimator)


@parametrize_with_checks([MaxEntTextureModel()])
def test_sklearn_textures(estimator, check):
    check(estimator)


WEIGHTS = {
    "check_sample_weight_equivalence_on_dense_data": "a sample of weight 2 is not drawn twice"
}
FEW_SAMPLES = {"check_classifiers_train": "30 epochs of three steps are too few to learn blobs"}


@pytest.mark.filterwarnings("ignore:the loss was still falling")  # as scikit-learn's own networks
@parametrize_with_checks([MultilinearRegressor()], expected_failed_checks=lambda _: WEIGHTS)
def test_sklearn_regressor(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore:X has flat samples")
@parametrize_with_checks(
    [ScatteringDictionaryClassifier()],
    expected_failed_checks=lambda _: {**WEIGHTS, **FEW_SAMPLES},
)
def test_sklearn_classifier(estimator, check):
    check(estimator)


def test_sklearn_classifier_learns():
    """What the defaults have too few steps for."""
    classifier = ScatteringDictionaryClassifier(
        J=1, L=2, n_atoms=8, n_iter=2, projection=4, nonlinearity="rectifier", shape=(1, -1),
        dropout=0.0, learning_rate_init=0.05, batch_size=32, max_iter=10, early_stopping=False,
        dtype="float64", random_state=0,
    )  # fmt: skip
    for parameters in ({}, {"readonly_memmap": True}, {"X_dtype": "float32"}):
        check_classifiers_train("ScatteringDictionaryClassifier", clone(classifier), **parameters)


@parametrize_with_checks(
    [
        SparseCoder(),
        SparseCoder(5, alpha=0.01, split_sign=True, positive_dict=True, max_iter=2, random_state=0),
        SparseCoder(5, alpha=0.01, max_iter=2, random_state=0),
        SparseCoder(5, alpha=0.01, algorithm="fista", positive=True, max_iter=2, random_state=0),
        SparseCoder(5, alpha=0.01, algorithm="istc", max_iter=2, random_state=0),
        SparseCoder(5, alpha=0.01, algorithm="omp", max_iter=2, random_state=0),
        SparseCoder(5, alpha=0.01, algorithm="threshold", max_iter=2, random_state=0),
        SparseCoder(5, alpha=0.01, sparse_output=True, max_iter=2, random_state=0),
    ]
)
@pytest.mark.filterwarnings("ignore:alpha=")  # some checks have samples of zeros
def test_sklearn_codes(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore:X has flat samples")
@parametrize_with_checks(
    [CASEGenerator(), CASEGenerator(decoder="linear")],
    expected_failed_checks=lambda estimator: (
        {} if estimator.decoder != "linear" else {"check_transformer_n_iter": "no epochs"}
    ),
)
def test_sklearn_generator(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore:X has flat samples")
@parametrize_with_checks(
    [ScatteringTransformer(ndim=2)], expected_failed_checks=lambda estimator: EXPECTED
)
def test_sklearn_flat_images(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    ("estimator", "shape"),
    [
        (ScatteringTransformer(), (64,)),
        (ScatteringTransformer(), (2, 16, 12)),
        (ScatteringTransformer(J=3, Q=4), (64,)),
        (ScatteringTransformer(J=2, Q=(4, 2), ndim=1, T=3, log=True), (2, 33)),
        (ScatteringTransformer(J=2, averaging="global", nonlinearity="rectifier"), (40,)),
        (ScatteringTransformer(J=2, L=4, ndim=2), (16, 16)),
        (ScatteringTransformer(J=2, L=3, ndim=2, boundary="periodic", oversampling=1), (2, 9, 14)),
        (ScatteringTransformer(J=2, L=2, Q=2, ndim=2, averaging=None, boundary="zero"), (12, 8)),
        (ScatteringTransformer(L=4, shape=(6, 8), max_order=1), (144,)),
        (PhaseHarmonicTransformer(), (16, 12)),
        (PhaseHarmonicTransformer(), (40,)),
        (PhaseHarmonicTransformer(J=2, moments="rectifier", n_phases=3, shape=(8, 9)), (72,)),
        (
            PhaseHarmonicTransformer(J=2, moments="scattering_covariance", boundary="crop"),
            (2, 24, 16),
        ),
        (PhaseHarmonicTransformer(J=2, L=2, moments="model_c", normalize=False), (16, 16)),
        (PhaseHarmonicTransformer(J=3, ndim=1, moments=("S11", "Cphase", "K")), (2, 40)),
        (MaxEntTextureModel(), (16, 12)),
        (MaxEntTextureModel(J=2, moments="gaussian", shape=(8, 9)), (72,)),
    ],
    ids=lambda value: "",
)
def test_ours(estimator, shape):
    X = np.random.default_rng(0).standard_normal((3, *shape))
    check_transformer(estimator, X)
