"""Codes of scattering coefficients."""

import numpy as np
import pytest
from scipy.stats import kstest, kurtosis
from sklearn.decomposition import PCA

from skwave.generation._embedding import compress, fit_embedding, to_sphere


@pytest.fixture
def coefficients():
    """Skewed coefficients of three paths at four positions each, that depend on each other."""
    rng = np.random.default_rng(0)
    return np.exp(rng.standard_normal((200, 8)) @ rng.standard_normal((8, 12)) / 4)


def embed(S, n_components=5, kind="pca", whiten=True):
    return fit_embedding(S, n_components, kind, whiten, n_positions=4, seed=0)


@pytest.mark.parametrize("whiten", [True, False])
def test_principal_components(coefficients, whiten):
    Z = embed(coefficients, whiten=whiten)(coefficients)
    expected = PCA(5, whiten=whiten, svd_solver="full").fit_transform(coefficients)
    assert np.allclose(np.abs(Z), np.abs(expected))


def test_logarithms(coefficients):
    means = coefficients.reshape(200, 3, 4).mean((0, 2)).repeat(4)
    expected = PCA(5, whiten=True).fit_transform(np.log1p(coefficients / (0.1 * means)))
    Z = embed(coefficients, kind="log")(coefficients)
    assert np.allclose(np.abs(Z), np.abs(expected))
    assert np.abs(kurtosis(Z)).mean() < np.abs(kurtosis(embed(coefficients)(coefficients))).mean()


def test_quantiles(coefficients):
    Z = embed(coefficients, kind="quantile")(coefficients)
    assert all(kstest(z, "norm").statistic < 0.02 for z in Z.T)
    order = np.argsort(embed(coefficients)(coefficients), axis=0)
    assert np.array_equal(order, np.argsort(Z, axis=0))


def test_sphere(coefficients):
    Z = embed(coefficients, kind="sphere")(coefficients)
    assert np.allclose(np.linalg.norm(Z, axis=1), 5**0.5)
    assert np.allclose(Z, to_sphere(embed(coefficients)(coefficients)))
    assert not to_sphere(np.zeros((2, 3))).any()


def test_compression_is_odd_and_linear_near_zero():
    S, scale = np.linspace(-3, 3, 13)[:, None], np.array([0.5])
    assert np.allclose(compress(S, scale), -compress(-S, scale))
    assert np.allclose(compress(1e-6 * S, scale), 2e-6 * S)
    assert compress(np.float32(S), scale).dtype == np.float32
    assert compress(np.array([[0.5]]), scale) == pytest.approx(np.log(2))


def test_number_of_components(coefficients):
    assert embed(coefficients, None).pca.n_components_ == 8 + 4  # exponentials of eight factors
    many = np.random.default_rng(0).standard_normal((100, 80))
    assert embed(many, None).pca.n_components_ == 64
    assert embed(coefficients[:7], None).pca.n_components_ == 6
    flat = np.outer(np.arange(50.0), np.ones(12)) + 3
    assert embed(flat, None).pca.n_components_ == 1
    with pytest.raises(ValueError, match=r"n_components=13 is more than the 12 directions"):
        embed(coefficients, 13)
    with pytest.raises(ValueError, match=r"n_components=7 is more than the 6 directions"):
        embed(coefficients[:7], 7)
    with pytest.raises(ValueError, match="vary in 1 directions only: use n_components <= 1"):
        embed(flat, 2)
