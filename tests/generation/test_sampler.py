"""Distributions of codes."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture

from skwave.generation._sampler import between, draw_codes, fit_sampler


@pytest.fixture(scope="module")
def codes():
    """Codes in two clouds, of deviations 1 to 3."""
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((2000, 3))
    Z[:, 0] = 0.1 * Z[:, 0] + np.where(np.arange(2000) % 2, 1, -1)
    return Z * np.array([1.0, 2.0, 3.0])


@pytest.mark.parametrize("kind", ["normal", "norm", "mixture"])
def test_moments(codes, kind):
    Z = fit_sampler(codes, True, 0)(4000, kind, np.random.RandomState(0))
    assert Z.shape == (4000, 3) and np.allclose(Z.mean(0), 0, atol=0.15)
    assert np.allclose(Z.std(0), codes.std(0), rtol=0.06)


def test_what_each_distribution_keeps(codes):
    sampler, levels = fit_sampler(codes, True, 0), [0.05, 0.5, 0.95]
    draws = {k: sampler(4000, k, np.random.RandomState(0)) for k in ("normal", "norm", "mixture")}
    norms = {k: np.linalg.norm(z / codes.std(0), axis=1) for k, z in draws.items()}
    expected = np.quantile(np.linalg.norm(codes / codes.std(0), axis=1), levels)
    assert np.allclose(np.quantile(norms["norm"], levels), expected, rtol=0.05)
    assert not np.allclose(np.quantile(norms["normal"], levels), expected, rtol=0.05)
    # the mixture alone has found two clouds, and they come in any order
    gap = {k: np.mean(np.abs(z[:, 0]) < 0.5) for k, z in draws.items()}
    assert gap["mixture"] < 0.02 < 0.3 < gap["normal"]
    cloud = draws["mixture"][:, 0] > 0
    assert 0.4 < np.mean(cloud[1:] != cloud[:-1]) < 0.6


def test_coordinates_that_do_not_vary():
    Z = np.zeros((10, 2))
    Z[:, 0] = np.arange(10)
    drawn = fit_sampler(Z, False, 0)(5, "norm", np.random.RandomState(0))
    assert np.isfinite(drawn).all()


def test_draws_by_name_or_by_an_estimator(codes):
    fitted, rng = fit_sampler(codes, False, 0), np.random.RandomState(0)
    expected = fitted(3, "normal", np.random.RandomState(0))
    assert np.array_equal(draw_codes(fitted, 3, "normal", rng), expected)
    density = GaussianMixture(2, random_state=0).fit(codes)
    found = draw_codes(fitted, 3, density, rng)
    assert np.array_equal(found, GaussianMixture(2, random_state=0).fit(codes).sample(3)[0])
    with pytest.raises(ValueError, match="sampler='cauchy' must be"):
        draw_codes(fitted, 3, "cauchy", rng)
    with pytest.raises(ValueError, match="was not fitted"):
        draw_codes(fitted, 3, "mixture", rng)


def test_mixture_in_threads(codes):
    fitted = fit_sampler(codes, True, 0)
    expected = [fitted(20, "mixture", np.random.RandomState(seed)) for seed in range(100)]
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda s: fitted(20, "mixture", np.random.RandomState(s)), range(100))
        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_straight_lines(kind):
    A, B = np.random.default_rng(0).standard_normal((2, 3, 4))
    Z = between(kind(A), kind(B), 5)
    assert type(Z) is type(kind(A)) and tuple(Z.shape) == (15, 4)
    t = np.linspace(0, 1, 5)[:, None]
    expected = [(1 - t) * a + t * b for a, b in zip(A, B, strict=True)]
    assert np.allclose(Z, np.concatenate(expected), atol=1e-7)
