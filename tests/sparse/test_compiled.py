"""Compiled coordinate descent against scikit-learn and the torch solver."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.decomposition import sparse_encode

from skwave.functional import duality_gap, lasso, update_dictionary
from skwave.functional._sparse.coding import gap_scale
from skwave.sparse._compiled import _threshold, lasso_gram, update_atoms


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    D = rng.standard_normal((80, 6)) @ rng.standard_normal((6, 24))
    D += 0.5 * rng.standard_normal(D.shape)
    D /= np.linalg.norm(D, axis=1, keepdims=True)
    x = rng.standard_normal((60, 24)) @ (D.T @ D)
    return x / np.linalg.norm(x, axis=1, keepdims=True), D


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("alpha", [0.3, 0.05, 0.005])
def test_agrees_with_sklearn(problem, alpha, positive):
    x, D = problem
    z, gap, n_iter = lasso_gram(x, D, alpha, positive=positive, tol=1e-10)
    assert gap.max() <= 1e-10
    assert n_iter.max() < 50
    expected = sparse_encode(
        x, D, algorithm="lasso_cd", alpha=alpha, positive=positive, max_iter=100_000
    )
    F, F_sklearn = (((x - c @ D) ** 2).sum(1) / 2 + alpha * np.abs(c).sum(1) for c in (z, expected))
    np.testing.assert_allclose(F, F_sklearn, rtol=1e-5)
    assert (F <= F_sklearn + 1e-10).all()
    assert not positive or z.min() >= 0


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gap_is_the_gap(problem, dtype, positive):
    """That of `skwave.functional.duality_gap`, over `gap_scale`."""
    x, D = (a.astype(dtype) for a in problem)
    x[-1] = 0
    for max_iter in (1, 2, 1000):
        z, gap, _ = lasso_gram(x, D, 0.02, positive=positive, max_iter=max_iter)
        assert z.dtype == dtype
        exact = [torch.from_numpy(a).double() for a in (z, x, D)]
        scale = gap_scale(exact[1].square().sum(1))
        true = (duality_gap(*exact, 0.02, positive=positive) / scale).numpy()
        np.testing.assert_allclose(gap, true, rtol=1e-3, atol=3e-6 if dtype == np.float32 else 1e-9)
    assert gap.max() <= (3e-6 if dtype == np.float32 else 1e-6)


def test_agrees_with_torch(problem):
    x, D = problem
    z, _, _ = lasso_gram(x, D, 0.05, tol=1e-13)
    expected = lasso(*map(torch.from_numpy, problem), 0.05, tol=1e-13).z.numpy()
    np.testing.assert_allclose(z, expected, atol=1e-7)


def test_hard_dictionaries(problem):
    """Atoms twice, of other norms, zero: the Gram matrix of a support may be singular."""
    x, D = problem
    D = np.concatenate([D, D[:5], -D[5:10], 3 * D[10:15], np.zeros((1, 24))])
    z, gap, _ = lasso_gram(x, D, 0.05)
    assert gap.max() <= 1e-6
    expected = lasso(torch.from_numpy(x), torch.from_numpy(D), 0.05, tol=1e-9).z.numpy()
    F, F_torch = (((x - c @ D) ** 2).sum(1) / 2 + 0.05 * np.abs(c).sum(1) for c in (z, expected))
    np.testing.assert_allclose(F, F_torch, rtol=1e-5)
    assert not z[:, -1].any()


def test_threshold():
    for u, positive, expected in (
        (2.0, False, 1.5), (0.3, False, 0), (-2.0, False, -1.5), (-2.0, True, 0), (2.0, True, 1.5)
    ):  # fmt: skip
        assert _threshold(u, 0.5, positive) == expected


def test_more_atoms_than_dimensions():
    """Supports of dependent atoms: nearly parallel ones in a plane."""
    rng = np.random.default_rng(0)
    D = np.array([3.0, 2.0]) + 0.02 * rng.standard_normal((9, 2))
    D /= np.linalg.norm(D, axis=1, keepdims=True)
    x = 100 * rng.standard_normal((200, 2))
    _, gap, n_iter = lasso_gram(x, D, 0.01)
    assert gap.max() <= 1e-6
    assert n_iter.max() < 50


def test_zero_samples_and_large_alpha(problem):
    x, D = problem
    z, gap, _ = lasso_gram(np.zeros_like(x), D, 0.1)
    assert not z.any() and not gap.any()
    z, gap, _ = lasso_gram(x, D, 10.0)
    assert not z.any() and gap.max() <= 1e-12


def test_update_of_atoms(problem):
    x, D = problem
    z, _, _ = lasso_gram(x, D, 0.05)
    A, B = z.T @ z, z.T @ x
    expected = update_dictionary(*map(torch.from_numpy, (D, A, B))).numpy()
    before = D.copy()
    np.testing.assert_allclose(update_atoms(D, A, B), expected, atol=1e-10)
    assert np.array_equal(D, before)


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_updates_of_atoms_are_one(dtype, positive):
    """Also where codes have an atom rarely, hardly, or never, and where no minimum exists."""
    rng = np.random.default_rng(0)
    identity = np.eye(2)
    cases = [
        (identity, np.diag([1, 1e-8]), np.ones((2, 2))),
        (identity, np.array([[1, 0.5], [0.5, 1]]), np.array([[0, 0.5], [0.5, 0]])),
        (identity, np.zeros((2, 2)), np.zeros((2, 2))),
        (identity, identity, -identity),
    ]
    for _ in range(20):
        D = rng.standard_normal((12, 5))
        z = rng.standard_normal((200, 12)) * (rng.random((200, 12)) < 0.3)
        z *= 10.0 ** -rng.integers(0, 9, 12)
        z[:, 3] = 0
        x = rng.standard_normal((200, 5))
        cases.append((D / np.linalg.norm(D, axis=1, keepdims=True), z.T @ z, z.T @ x))
    for case in cases:
        D, A, B = (a.astype(dtype) for a in case)
        expected = update_dictionary(*map(torch.from_numpy, (D, A, B)), positive=positive)
        found = update_atoms(D, A, B, positive=positive)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, atol=2e-5 if dtype == np.float32 else 1e-12)


def test_alpha_for_each_sample(problem):
    x, D = problem
    alpha = np.geomspace(0.01, 1, len(x))
    z, gap, _ = lasso_gram(x, D, alpha)
    assert gap.max() <= 1e-6
    alone = [lasso_gram(x[i : i + 1], D, alpha[i])[0][0] for i in (0, 17, 59)]
    np.testing.assert_allclose(z[[0, 17, 59]], alone, atol=1e-12)


@pytest.mark.parametrize(
    ("scale", "alpha", "dtype"),
    [
        (2e38, 1.0, np.float32),  # the level is infinite
        (1.0, 1e-46, np.float32),  # alpha is 0
        (1e-170, 1e-171, np.float64),  # squares are 0
        (np.nan, 1.0, np.float64),
        (np.inf, 1.0, np.float64),
    ],
)
def test_every_loop_ends(problem, scale, alpha, dtype):
    """And what is not a number is not taken for converged."""
    x, D = (a.astype(dtype) for a in problem)
    with np.errstate(all="ignore"):
        z, gap, n_iter = lasso_gram(dtype(scale) * x[:5] * 3, D, alpha, max_iter=50)
    assert n_iter.max() <= 50
    assert np.isfinite(z).all() or not (gap <= 1e-6).any()
    if not np.isfinite(scale):
        assert not (gap <= 1e-6).any()


def test_no_directory_to_cache_in(tmp_path):
    """Where no cache can be written everything is compiled anew."""
    code = (
        "import numba.core.caching as c\n"
        "c.CacheImpl._locator_classes = []\n"
        "import numpy as np\n"
        "from skwave.sparse._compiled import _subtract\n"
        "q = np.ones(2); _subtract(q, 2, 1.0, np.eye(2), 0); print(q)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "NUMBA_CACHE_DIR": ""},
    )
    assert run.stdout.strip() == "[0. 1.]", run.stderr
