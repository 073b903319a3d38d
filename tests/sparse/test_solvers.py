"""Coding of batches at any scale, and one step of learning, against their definitions."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from sklearn import config_context

from skwave.functional import (
    alpha_max,
    istc_step,
    lasso,
    lasso_objective,
    normalize_atoms,
    update_dictionary,
)
from skwave.sparse._solvers import (
    Learning,
    as_maps,
    as_rows,
    check_dictionary,
    decode_batches,
    decode_sparse,
    encode,
    encode_batches,
    encode_sparse,
    homotopy_step,
    largest_correlation,
    learn,
    start,
)

ALGORITHMS = ["auto", "fista", "istc", "ista", "omp", "threshold"]
CODING = {"alpha": 0.2, "positive": False, "tol": 1e-10, "max_iter": None}


@pytest.fixture
def problem(randn):
    return randn(30, 10), normalize_atoms(randn(16, 10))


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 5), (4, 3, 5, 2)])
def test_rows_and_maps(shape):
    X = np.arange(np.prod(shape)).reshape(shape)
    rows = as_rows(X)
    assert rows.shape == (X.size // 3, 3)
    assert np.array_equal(as_maps(rows, shape), X)
    assert np.array_equal(rows, np.moveaxis(X, 1, -1).reshape(-1, 3))


def test_dictionaries_that_are_given():
    D = np.array([[3, 4], [0, 0]])
    for given in (D, D.tolist(), torch.tensor(D), csr_array(D)):
        checked = check_dictionary(given, "dictionary", "float32", 2)
        assert checked.dtype == np.float32 and np.array_equal(checked, D)
    assert check_dictionary(D, "dictionary", "float64").dtype == np.float64
    for given, dtype, message in (
        (D.T[:1], "float64", r"dictionary has shape \(1, 2\).*\(n_components, 3\): transpose"),
        (np.ones(3), "float64", r"shape \(3,\)"),
        ([[1, 2, 3], [1, np.inf, 3]], "float64", r"atoms \[1\] of dictionary are not finite"),
        ([[1, 2, 1e39]], "float32", r"atoms \[0\].*too large for float32: scale them"),
        ([[1e-50, 0, 0]], "float32", r"atoms \[0\].*too small for float32: scale them"),
    ):
        with pytest.raises(ValueError, match=message):
            check_dictionary(given, "dictionary", dtype, 3)


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_units_of_samples_and_atoms(problem, algorithm, positive):
    """codes(c x, D, c alpha) = c codes, and codes(x, c D, c alpha) = codes / c, exactly."""
    if algorithm == "omp" and positive:
        return
    x, D = problem
    step = homotopy_step(x, D, 0.2, 12, positive=positive)
    coding = CODING | {"algorithm": algorithm, "positive": positive}
    codes = encode(x, D, **coding, step=step)
    assert codes.z.any()
    for c in (2.0**-500, 2.0**400):
        of_samples = encode(c * x, D, **coding | {"alpha": 0.2 * c, "step": step})
        torch.testing.assert_close(of_samples.z / c, codes.z, rtol=0, atol=0)
        torch.testing.assert_close(of_samples.gap, codes.gap, rtol=0, atol=0, equal_nan=True)
        of_atoms = encode(x, c * D, **coding | {"alpha": 0.2 * c, "step": step / c / c})
        if step / c / c not in (0, np.inf) or algorithm != "istc":
            unit = 1 / c if algorithm == "threshold" else c
            torch.testing.assert_close(of_atoms.z * unit, codes.z, rtol=0, atol=0)


def test_a_gradient_passes_through_the_units(problem):
    x, D = problem
    x = (2.0**300 * x[:3]).requires_grad_()
    for algorithm in ("cd", "fista", "ista"):
        coding = CODING | {"algorithm": algorithm, "alpha": 0.2 * 2.0**300}
        (scaled,) = torch.autograd.grad(encode(x, D, **coding).z.sum(), x)
        (expected,) = torch.autograd.grad(lasso(x / 2.0**300, D, 0.2, tol=1e-12).z.sum(), x)
        torch.testing.assert_close(scaled, expected * 2.0**300, atol=1e-6, rtol=1e-6)


def test_step_of_the_homotopy(problem):
    x, D = problem
    assert homotopy_step(x, D, 0.2, 12, positive=False) == istc_step(x, D, 0.2)
    assert homotopy_step(x * 2.0**-300, D, 0.2 * 2.0**-300, 12, positive=True) == istc_step(
        x, D, 0.2, positive=True
    )
    step = homotopy_step(x, D * 2.0**40, 0.2 * 2.0**40, 12, positive=False)
    z = encode(x, D * 2.0**40, **CODING | {"alpha": 0.2 * 2.0**40}, algorithm="istc", step=step).z
    F = lasso_objective(z * 2.0**40, x, D, 0.2)
    assert (F < x.square().sum(1) / 2).all()


@pytest.mark.parametrize("split_sign", [False, True])
def test_sparse_codes_and_back(problem, split_sign):
    """The entries that are not zero of the dense ones, batch after batch."""
    x, D = problem
    coding = {"split_sign": split_sign, "batching": {"n_jobs": 1, "verbose": 0, "name": ""}}
    coding |= CODING | {"algorithm": "auto"}
    expected, gap, _ = encode_batches(x.numpy(), D, **coding)
    with config_context(working_memory=1e-3):  # seven batches
        Z, largest, finite = encode_sparse(x.numpy(), D, **coding)
    assert isinstance(Z, csr_array) and Z.nnz == np.count_nonzero(expected) and finite
    np.testing.assert_allclose(Z.toarray(), expected, atol=1e-12)
    assert largest == pytest.approx(gap, abs=1e-12)
    dense = decode_batches(expected, D, split_sign=split_sign)
    np.testing.assert_allclose(decode_sparse(Z, D.numpy(), split_sign=split_sign), dense)
    for X, kind in ((x, "a tensor"), (x.numpy().reshape(3, 10, 10), "of 3 axes")):
        with pytest.raises(ValueError, match=f"sparse_output=True, but X is {kind}"):
            encode_sparse(X, D, **coding)


@pytest.mark.parametrize("split_sign", [False, True])
def test_batches(problem, split_sign):
    x, D = problem
    batching = {"n_jobs": 2, "verbose": 0, "name": ""}
    coding = CODING | {"algorithm": "auto"}
    Z, gap, finite = encode_batches(
        x.numpy(), D, split_sign=split_sign, batching=batching, **coding
    )
    codes = encode(x, D, **coding)
    parts = [codes.z.clamp(min=0), -codes.z.clamp(max=0)] if split_sign else [codes.z]
    assert isinstance(Z, np.ndarray) and finite
    np.testing.assert_allclose(Z, torch.cat(parts, 1), atol=1e-12)
    assert gap == pytest.approx(float(codes.gap.max()), abs=1e-12)


@pytest.mark.parametrize("positive", [False, True])
def test_largest_correlation(problem, positive):
    x, D = problem
    top = largest_correlation(x.numpy(), D, positive=positive)
    assert top == pytest.approx(float(alpha_max(x, D, positive=positive).max()))
    coding = CODING | {"positive": positive, "algorithm": "auto"}
    assert not encode(x, D, **coding | {"alpha": 1.001 * top}).z.any()
    assert encode(x, D, **coding | {"alpha": 0.999 * top}).z.any()


def test_codes_beyond_the_type():
    x, D = torch.full((2, 2), 1e30), 1e-20 * torch.eye(2)
    x[0] = 1.0
    coding = CODING | {"alpha": 1e-30, "algorithm": "fista"}
    z, _, finite = encode_batches(x, D, batching={}, **coding)
    assert not finite
    assert z[0].isfinite().all() and not z[1].isfinite().any()


@pytest.mark.parametrize("positive", [False, True])
def test_first_atoms(positive):
    rows = np.array([[1.0, -1.0], [0.0, 0.0], [3e-200, 4e-200]])
    rng = np.random.RandomState(0)
    D = start(rows, 5, None, rng, positive=positive)
    np.testing.assert_allclose(np.linalg.norm(D, axis=1), 1)
    assert any(np.allclose(d, [0.6, 0.8]) for d in D)
    assert not positive or D.min() >= 0
    given = start(rows, 2, np.array([[3.0, 4.0], [0.0, 0.0]]), rng, positive=positive)
    np.testing.assert_allclose(given[0], [0.6, 0.8])
    np.testing.assert_allclose(np.linalg.norm(given, axis=1), 1)
    tensor = start(torch.from_numpy(rows), 5, None, np.random.RandomState(0), positive=positive)
    np.testing.assert_array_equal(tensor, D)


@pytest.mark.parametrize("with_numba", [True, False])
def test_a_step_of_learning(problem, with_numba, monkeypatch):
    """The statistics, the update of atoms, and samples in place of the one that no code has."""
    if not with_numba:
        monkeypatch.setattr("skwave.sparse._solvers.compiled", lambda: False)
    x, D = problem
    D, before = D.clone(), D.clone()
    A, B = torch.zeros(16, 16, dtype=D.dtype), torch.zeros(16, 10, dtype=D.dtype)
    z = encode(x, D, **CODING, algorithm="auto").z
    z[:, 3] = 0
    state = learn(Learning(D, A, B, 0), x, z, np.random.RandomState(0), positive=False)
    assert torch.equal(D, before) and state.n_steps == 1
    A, B = z.T @ z / len(x), z.T @ x / len(x)
    others = torch.arange(16) != 3
    expected = update_dictionary(D, A, B)
    torch.testing.assert_close(state.D[others], expected[others])
    torch.testing.assert_close((normalize_atoms(x) @ state.D[3]).max(), torch.tensor(1.0).double())
    torch.testing.assert_close(state.A, A)
    F = [lasso_objective(z, x, atoms, 0.2).mean() for atoms in (before, state.D)]
    assert F[1] < F[0]
    again = learn(state, x, z, np.random.RandomState(0), positive=False)
    torch.testing.assert_close(again.A, (1 + 0.5**4) * A)  # the first batch counts (1 - 1/2)^4
