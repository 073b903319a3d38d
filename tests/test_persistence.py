"""Fitted estimators in files: pickle, skops and safetensors give back the same, bit for bit."""

import copy
import importlib
import io
import pickle
import warnings

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone

from skwave import (
    CASEGenerator,
    MaxEntTextureModel,
    Molecules,
    MultilinearRegressor,
    PhaseHarmonicTransformer,
    ScatteringDictionaryClassifier,
    ScatteringTransformer,
    SolidHarmonicScattering,
    SparseCoder,
)
from skwave.interop import SKOPS_TYPES

rng = np.random.default_rng(0)
SIGNALS, IMAGES = rng.normal(size=(3, 32)), rng.uniform(size=(24, 8, 8))
ROWS, TARGETS = rng.normal(size=(24, 5)), rng.normal(size=24)
LABELS = np.array(["odd", "even"])[np.arange(24) % 2]
MOLECULES = Molecules.from_pairs(
    [([1, 1], [[0, 0, 0], [0, 0, 0.74]]), ([9, 1], [[0, 0, 0], [0, 0.2, 0.9]])]
)
NETWORK = {"J": 1, "L": 2, "n_iter": 2, "max_iter": 2, "random_state": 0}
CLASSIFIER = {**NETWORK, "n_atoms": 4, "projection": 3}
GENERATOR = {**NETWORK, "n_components": 3, "channels": 2, "n_atoms": (6, 4)}
MASK = np.arange(8) > 0

CASES = {
    "scattering": (ScatteringTransformer(J=3, Q=(4, 1), T=4), SIGNALS, None),
    "scattering, images": (ScatteringTransformer(J=1, L=2, ndim=2, log=True), IMAGES, None),
    "harmonics": (PhaseHarmonicTransformer(J=1, L=2, reduce="isotropic"), IMAGES, None),
    "textures": (MaxEntTextureModel(J=1, L=2, max_iter=3, random_state=0), IMAGES, None),
    "textures, masked": (
        MaxEntTextureModel(
            J=1, L=2, moments="wavelet_covariance", mask=np.ones((8, 8), bool) & MASK,
            max_iter=3, random_state=0,
        ),
        IMAGES,
        None,
    ),
    "molecules": (SolidHarmonicScattering(J=1, L=1, accuracy=0.1), MOLECULES, None),
    "regressor": (MultilinearRegressor(n_terms=3, max_iter=3, random_state=0), ROWS, TARGETS),
    "codes": (SparseCoder(4, alpha=0.1, max_iter=2, random_state=0), ROWS, None),
    "codes, given": (SparseCoder(alpha=0.1, algorithm="istc", dictionary=np.eye(5)), ROWS, None),
    **{
        f"classifier, {block}": (
            ScatteringDictionaryClassifier(**CLASSIFIER, block=block), IMAGES, LABELS,
        )
        for block in ("istc", "istc_free", "tight_frame", "relu", "phase_collapse", None)
    },
    "generator": (CASEGenerator(**GENERATOR, sampler="mixture"), IMAGES, None),
    "generator, linear": (
        CASEGenerator(**GENERATOR, decoder="linear", gaussianize="quantile"), IMAGES, None
    ),
    "generator, convolutional": (
        CASEGenerator(**GENERATOR, decoder="convolutional", gaussianize="log"), IMAGES, None
    ),
}  # fmt: skip


def _fit(est, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few steps
        return est.fit(X, y)


def outputs(est, X):
    """All that it computes from what it has learnt."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few steps
        found = [
            getattr(est, method)(X)
            for method in ("transform", "predict", "predict_proba", "codes", "energy")
            if hasattr(est, method)
        ]
        return [*found, est.sample(2)] if hasattr(est, "sample") else found


@pytest.fixture(scope="module", params=CASES)
def fitted(request):
    """Its name, a fitted estimator, samples, and what it gives for them."""
    est, X, y = CASES[request.param]
    _fit(est, X, y)
    return request.param, est, X, outputs(est, X)


def assert_the_same(again, est, X, expected):
    assert type(again) is type(est)
    assert repr(again) == repr(est)
    assert sorted(vars(again)) == sorted(vars(est))
    for a, b in zip(outputs(again, X), expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def _with_joblib(est):
    file = io.BytesIO()
    joblib.dump(est, file)
    file.seek(0)
    return joblib.load(file)


@pytest.mark.parametrize(
    "keep", [lambda est: pickle.loads(pickle.dumps(est)), _with_joblib, copy.deepcopy],
    ids=["pickle", "joblib", "copy"],
)  # fmt: skip
def test_pickle(fitted, keep):
    _, est, X, expected = fitted
    assert_the_same(keep(est), est, X, expected)


def test_skops(fitted):
    _, est, X, expected = fitted
    skops = pytest.importorskip("skops.io")
    data = skops.dumps(est)
    types = skops.get_untrusted_types(data=data)
    # of all other types skops knows that they run nothing
    assert set(types) <= set(SKOPS_TYPES)
    assert_the_same(skops.loads(data, trusted=SKOPS_TYPES), est, X, expected)
    with pytest.raises(skops.exceptions.UntrustedTypesFoundException):
        skops.loads(data)


@pytest.mark.parametrize("name", SKOPS_TYPES)
def test_types_of_skops_are_there(name):
    module, name = name.rsplit(".", 1)
    assert isinstance(getattr(importlib.import_module(module), name), type)


def test_safetensors(fitted):
    """Weights of a network go into another one of the same parameters."""
    _, est, X, expected = fitted
    network = getattr(est, "network_", None)
    if network is None:
        pytest.skip("no network")
    safetensors = pytest.importorskip("safetensors.torch")
    data = safetensors.save(network.state_dict())
    other = copy.deepcopy(est)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in other.network_.parameters():
            weight.normal_(generator=generator)
    other.network_.load_state_dict(safetensors.load(data))
    assert_the_same(other, est, X, expected)


def test_safetensors_of_atoms():
    """The atoms alone are a dictionary for another coder."""
    safetensors = pytest.importorskip("safetensors.numpy")
    coder = SparseCoder(4, alpha=0.1, max_iter=2, random_state=0).fit(ROWS)
    data = safetensors.save({"components": coder.components_})
    again = SparseCoder(alpha=0.1, dictionary=safetensors.load(data)["components"]).fit(ROWS)
    np.testing.assert_array_equal(again.transform(ROWS), coder.transform(ROWS))


def test_reading_draws_nothing():
    """It builds networks, but torch's global generator is left as it was."""
    for name in ("regressor", "classifier, istc", "generator"):
        est, X, y = CASES[name]
        data = pickle.dumps(_fit(est, X, y))
        state = torch.get_rng_state()
        pickle.loads(data)
        assert torch.equal(torch.get_rng_state(), state)


def test_a_file_holds_what_was_fitted():
    """Whatever the parameters are when it is written: set back, they give the same."""
    for name, changed in (
        ("regressor", {"degree": 1, "n_terms": 9}),
        ("classifier, istc", {"n_atoms": 9}),
        ("generator", {"channels": 9, "n_atoms": (9, 9)}),
    ):
        est, X, y = CASES[name]
        est = _fit(clone(est), X, y)
        before = {parameter: est.get_params()[parameter] for parameter in changed}
        again = pickle.loads(pickle.dumps(est.set_params(**changed)))
        assert again.get_params() == est.get_params()
        with pytest.raises(ValueError, match=r"set after fit.*fit again, or set it back"):
            outputs(again, X)
        again.set_params(**before)
        est.set_params(**before)
        for a, b in zip(outputs(again, X), outputs(est, X), strict=True):
            np.testing.assert_array_equal(a, b)


def test_networks_are_stored_as_arrays():
    """No file holds a module of torch, whose classes may move."""
    for name, holder in (
        ("regressor", None),
        ("classifier, istc", None),
        ("generator", "decoder_"),
    ):
        est, X, y = CASES[name]
        est = _fit(clone(est), X, y)
        assert isinstance(est.network_, torch.nn.Module) and not est.network_.training
        state = (getattr(est, holder) if holder else est).__getstate__()
        weights = state["network" if holder else "network_"]
        assert all(type(weight) is np.ndarray for weight in weights.values())
        assert b"torch" not in pickle.dumps(est)
