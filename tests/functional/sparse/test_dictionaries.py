"""Dictionaries: greedy codes of scikit-learn, coherence, the update of atoms."""

import numpy as np
import pytest
import torch

from skwave.functional import (
    coherence,
    lasso,
    lipschitz,
    mu_s,
    normalize_atoms,
    omp,
    update_dictionary,
)
from skwave.functional._sparse.dictionaries import used_atoms


def test_omp_agrees_with_sklearn(problem, sklearn_codes):
    x, D = problem
    for n in (1, 3, 5):
        expected = sklearn_codes(x, D, algorithm="omp", n_nonzero_coefs=n)
        torch.testing.assert_close(omp(x, D, n), expected)
    few = omp(x, D, 8, tol=0.5)
    assert ((few != 0).sum(-1) < 8).any()
    assert ((x - few @ D).square().sum(-1) <= 0.5).all()
    assert not omp(torch.zeros(2, 8), D.float(), 3).any()
    assert (omp(D[:2], D, 5) != 0).sum() == 2  # nothing is left to choose


def test_coherence_and_norm(randn):
    D = normalize_atoms(randn(7, 4))
    G = np.abs(D.numpy() @ D.numpy().T) - np.eye(7)
    np.testing.assert_allclose(coherence(D), G.max())
    W = normalize_atoms(randn(7, 4))
    cross = np.abs(D.numpy() @ W.numpy().T)
    np.fill_diagonal(cross, 0)
    np.testing.assert_allclose(coherence(D, W), cross.max())
    np.testing.assert_allclose(lipschitz(D), np.linalg.norm(D.numpy(), 2) ** 2)
    z = torch.tensor([[0.0, 1, -2, 0, 0, 0, 0]])
    np.testing.assert_allclose(mu_s(z, D), [2 * G.max()])


def test_update_lowers_the_error(correlated, randn):
    x, D = correlated
    z = lasso(x, D, 0.05).z
    A, B = z.T @ z, z.T @ x
    new, error = D, (x - z @ D).square().sum()
    for _ in range(3):
        new = update_dictionary(new, A, B)
        after = (x - z @ new).square().sum()
        assert after < error
        error = after
    torch.testing.assert_close(new.norm(dim=1), torch.ones(len(D), dtype=D.dtype))
    k = int((z != 0).any(0).nonzero()[-1])  # the last to move: its minimum, the others fixed
    best = normalize_atoms((B[k] - A[k] @ new + A[k, k] * new[k])[None])[0]
    torch.testing.assert_close(new[k], best)
    unused = ~(z != 0).any(0)
    assert torch.equal(new[unused], D[unused])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_atoms_within_rounding_of_no_code_stay(dtype):
    """A mean square of 1e-8 of the largest is a code in float64, and rounding in float32."""
    D, B = torch.eye(2, dtype=dtype), torch.ones(2, 2, dtype=dtype)
    A = torch.diag(torch.tensor([1.0, 1e-8], dtype=dtype))
    assert used_atoms(A).tolist() == [True, dtype == torch.float64]
    half = torch.full((2,), 0.5**0.5, dtype=dtype)
    expected = torch.stack([half, half if dtype == torch.float64 else D[1]])
    torch.testing.assert_close(update_dictionary(D, A, B), expected)
    assert not used_atoms(torch.zeros(2, 2)).any()


def test_an_atom_without_a_minimum_stays():
    """Where u = 0 all atoms of norm 1 are equally good, and so they are for u < 0 if positive."""
    D, A = torch.eye(2), torch.tensor([[1.0, 0.5], [0.5, 1.0]])
    assert torch.equal(update_dictionary(D, A, A @ D - D), D)
    assert torch.equal(update_dictionary(D, A, A @ D - 2, positive=True), D)


def test_positive_atoms_are_the_best_ones(randn):
    """Of all atoms of norm 1 that are not negative, in a plane."""
    A, B = torch.ones(1, 1, dtype=torch.float64), randn(40, 1, 2)
    angle = torch.linspace(0, torch.pi / 2, 10_001, dtype=torch.float64)
    circle = torch.stack([angle.cos(), angle.sin()], 1)
    for b in B:
        if (b <= 0).all():
            continue
        d = update_dictionary(circle[:1], A, b, positive=True)
        assert (d >= 0).all()
        torch.testing.assert_close((b * d).sum(), (circle @ b[0]).max(), atol=1e-7, rtol=0)
