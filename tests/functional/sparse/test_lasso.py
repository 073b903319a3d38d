"""Exact codes: the objective of scikit-learn, certified gaps, derivatives of the solution."""

import pytest
import torch
from torch.autograd import gradcheck

from skwave.functional import (
    alpha_max,
    duality_gap,
    fista,
    implicit_codes,
    ista,
    istc,
    lasso,
    lasso_objective,
    normalize_atoms,
)

ALPHA = 0.3


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize(
    "solve",
    [
        lambda x, D, a, positive: ista(x, D, a, 2000, positive=positive),
        lambda x, D, a, positive: fista(x, D, a, 500, positive=positive),
        lambda x, D, a, positive: lasso(x, D, a, positive=positive, tol=1e-12).z,
        lambda x, D, a, positive: lasso(x, D[:12], a, positive=positive, tol=1e-12).z,
    ],
)
def test_agrees_with_sklearn(solve, problem, positive, sklearn_codes):
    x, D = problem
    z = solve(x, D, ALPHA, positive)
    D = D[: z.shape[-1]]
    expected = sklearn_codes(x, D, algorithm="lasso_cd", alpha=ALPHA, positive=positive)
    F, F_least = (lasso_objective(c, x, D, ALPHA) for c in (z, expected))
    torch.testing.assert_close(F, F_least, rtol=1e-4, atol=0)
    if positive:
        assert (z >= 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_certificate(correlated, dtype):
    x, D = (a.to(dtype) for a in correlated)
    codes = lasso(x, D, 0.02, tol=1e-6)
    assert codes.gap.max() <= (2e-6 if dtype == torch.float32 else 1e-6)
    true = duality_gap(codes.z.double(), x.double(), D.double(), 0.02)
    assert (true / (x.double().square().sum(1) / 2)).max() < 3e-6
    early = lasso(x, D, 0.02, tol=1e-6, max_iter=3)
    assert early.gap.max() > 1e-6
    assert (early.n_iter == 3).any()


def test_rows_do_not_see_each_other(correlated):
    x, D = correlated
    together = lasso(x, D, 0.05, tol=1e-12).z
    alone = torch.cat([lasso(row[None], D, 0.05, tol=1e-12).z for row in x[:5]])
    torch.testing.assert_close(together[:5], alone, atol=1e-8, rtol=0)


def test_alpha_per_sample_and_alpha_max(problem):
    x, D = problem
    top = alpha_max(x, D)
    assert not lasso(x, D, top * 1.0001).z.any()
    assert (lasso(x, D, top * 0.99).z != 0).any(-1).all()
    assert not istc(x, D, top * 1.0001, step=0.1).any()
    assert (alpha_max(x, D, positive=True) <= top).all()
    zero = lasso(torch.zeros_like(x), D, ALPHA)
    assert not zero.z.any() and not zero.gap.any()


@pytest.mark.parametrize("positive", [False, True])
def test_gradcheck_implicit(positive, randn):
    x, D = randn(2, 4).requires_grad_(), normalize_atoms(randn(6, 4)).requires_grad_()

    def solve(x, D, alpha):
        return lasso(x, D, alpha, positive=positive, tol=1e-10).z

    scalar = torch.tensor(ALPHA, dtype=torch.float64, requires_grad=True)
    assert (solve(x, D, scalar) != 0).any(1).all()
    assert gradcheck(solve, (x, D, scalar))
    each = torch.full((2, 1), ALPHA, dtype=torch.float64, requires_grad=True)
    assert gradcheck(solve, (x, D, each))


def test_implicit_derivative_is_the_limit_of_the_unrolled(problem):
    x, D = problem
    gradients = []
    for f in (
        lambda D: fista(x, D, ALPHA, 500),
        lambda D: implicit_codes(lasso(x, D, ALPHA, tol=1e-14).z, x, D, ALPHA),
    ):
        atoms = D.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(f(atoms).square().sum(), atoms)
        gradients.append(gradient)
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-6)


def test_device(correlated, device):
    x, D = (a.to(device) for a in correlated)
    codes = lasso(x, D, 0.05)
    assert codes.z.device.type == device
    torch.testing.assert_close(codes.z.cpu(), lasso(x.cpu(), D.cpu(), 0.05).z, atol=1e-5, rtol=0)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_what_is_not_a_number_is_not_certified(correlated, bad):
    """Nor does it touch the samples beside it."""
    x, D = correlated
    expected = lasso(x, D, 0.05, tol=1e-10)
    x = x.clone()
    x[3, 2] = bad
    codes = lasso(x, D, 0.05, tol=1e-10, max_iter=300)
    assert codes.gap[3].isnan() and codes.n_iter[3] == 300
    others = torch.arange(len(x)) != 3
    torch.testing.assert_close(codes.z[others], expected.z[others])
    assert codes.gap[others].max() <= 1e-10
