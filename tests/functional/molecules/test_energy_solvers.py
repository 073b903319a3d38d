"""Solvers against torch's, and errors left out against regressions that leave out."""

import pytest
import torch

from skwave.functional._molecules import energy_solvers
from skwave.functional._molecules.energy_solvers import (
    cholesky_in_place,
    choose_weights,
    leave_one_out,
    solve,
    solve_lower,
)


@pytest.fixture
def randn():
    generator = torch.Generator().manual_seed(0)
    return lambda *shape: torch.randn(*shape, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("block", [7, 16, 100])
def test_factor_in_blocks_is_that_of_torch(randn, monkeypatch, block):
    monkeypatch.setattr(energy_solvers, "_BLOCK", block)
    x = randn(33, 40)
    a, b = x @ x.T, randn(33, 2)
    garbage = a + torch.triu(torch.full_like(a, torch.nan), block)
    factor = cholesky_in_place(garbage)
    expected = torch.linalg.cholesky(a)
    torch.testing.assert_close(torch.tril(factor), expected)
    torch.testing.assert_close(solve(factor, b), torch.linalg.solve(a, b))
    lower = torch.linalg.solve_triangular(expected, b, upper=False)
    torch.testing.assert_close(solve_lower(factor, b), lower)


def test_a_matrix_that_is_not_positive_is_refused(randn):
    with pytest.raises(torch.linalg.LinAlgError):
        cholesky_in_place(-torch.eye(3))


def regression(phi, h, y, noise):
    """Ridge on ``phi``, least squares on ``h``, in one system."""
    x = torch.cat([h, phi], 1)
    penalty = torch.diag(torch.cat([torch.zeros(h.shape[1]), torch.full(phi.shape[1:], noise)]))
    return torch.linalg.solve(x.T @ x + penalty.double(), x.T @ y)


def test_errors_left_out_are_those_of_regressions_without_the_sample(randn):
    phi, h, y, noise = randn(12, 20), randn(12, 2), randn(12, 2), 0.3
    basis = torch.linalg.qr(h).Q
    centred = phi - basis @ (basis.T @ phi)
    projected = y - basis @ (basis.T @ y)
    errors, free = leave_one_out(centred @ centred.T, projected, basis, noise)
    for i in range(12):
        others = torch.arange(12) != i
        weights = regression(phi[others], h[others], y[others], noise)
        expected = y[i] - torch.cat([h[i], phi[i]]) @ weights
        torch.testing.assert_close(errors[i], expected)
    weights = regression(phi, h, y, noise)
    residuals = y - torch.cat([h, phi], 1) @ weights
    torch.testing.assert_close(residuals, errors * free[:, None])


def test_a_sample_that_the_others_say_nothing_of_has_no_error(randn):
    phi, h = randn(6, 3), torch.zeros(6, 2, dtype=torch.float64)
    h[:5, 0] = h[5, 1] = 1
    basis = torch.linalg.qr(h).Q
    phi = phi - basis @ (basis.T @ phi)
    y = randn(6, 1)
    errors, free = leave_one_out(phi @ phi.T, y - basis @ (basis.T @ y), basis, 0.1)
    assert errors[5] == 0
    assert abs(free[5]) < 1e-8
    assert torch.all(errors[:5] != 0)


def test_weights_are_given_to_the_kernel_that_explains(randn):
    useful, useless = randn(60, 3), randn(60, 30)
    y, basis = useful @ randn(3, 1) + 0.01 * randn(60, 1), randn(60, 1) * 0 + 60**-0.5
    kernels = []
    for phi in (useful, useless):
        phi = phi - basis @ (basis.T @ phi)
        kernels.append(phi @ phi.T / (phi @ phi.T).diagonal().mean())
    start = torch.tensor([0.0, 0.0, -2.0], dtype=torch.float64)
    chosen, error = choose_weights(torch.stack(kernels), y, basis, start)
    assert chosen[0] - chosen[1] > 3
    before, _ = leave_one_out(sum(kernels), y - basis @ (basis.T @ y), basis, start[2].exp())
    deviation = (y - basis @ (basis.T @ y)).square().mean().sqrt()
    assert error < 0.8 * float(before.abs().mean() / deviation)
