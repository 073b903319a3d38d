"""Codes by unrolled steps: the papers' recursions, the theorem of ISTC, gaps, derivatives."""

import itertools

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from skwave.functional import (
    alpha_max,
    duality_gap,
    fista,
    ista,
    istc,
    istc_step,
    lasso,
    lasso_objective,
    lipschitz,
    mu_s,
    normalize_atoms,
)
from skwave.functional._sparse.coding import gap_scale

ALPHA = 0.3


def test_homotopy_ends_at_alpha(problem):
    x, D = problem
    z = istc(x, D, ALPHA, 3000, step=float(1 / lipschitz(D)))
    expected = lasso(x, D, ALPHA, tol=1e-12).z
    F, F_least = lasso_objective(z, x, D, ALPHA), lasso_objective(expected, x, D, ALPHA)
    torch.testing.assert_close(F, F_least, rtol=1e-3, atol=0)


@pytest.mark.parametrize("n_iter", [1, 4, 12])
def test_thresholds_of_the_homotopy(n_iter):
    """In an orthogonal dictionary each step gives the soft threshold at its alpha."""
    x = torch.tensor([[4.0, -1.0, 0.3]], dtype=torch.float64)
    D = torch.eye(3, dtype=torch.float64)
    for n in range(1, n_iter + 1):
        alpha_n = 4 * (0.5 / 4) ** (n / n_iter)
        expected = x.sign() * (x.abs() - alpha_n).clamp(min=0)
        got = istc(x, D, alpha_n, n, alpha_max=4.0)
        torch.testing.assert_close(got, expected)
    torch.testing.assert_close(istc(x, D, 0.5, n_iter), x.sign() * (x.abs() - 0.5).clamp(min=0))


def test_theorem_of_the_homotopy(planted):
    """Zarka et al. 2020: the error falls as gamma^-n, and no atom outside the support is chosen."""
    D, z = planted
    x = z @ D
    mu_times_s = float(mu_s(z, D).max())
    assert mu_times_s < 0.2
    first, gamma = 4.0, 2.0
    assert 1 < gamma < 1 / (2 * mu_times_s)
    for n in range(1, 31):
        found = istc(x, D, first * gamma**-n, n, alpha_max=first)
        assert not found[z == 0].any()
        assert (found - z).abs().max() <= 2 * first * gamma**-n
    assert torch.equal(found.sign(), z.sign())


def test_theorem_with_noise(planted, randn):
    """Down to alpha = eta / (1 - 2 gamma mu s) the support holds, and no noise enters it."""
    D, z = planted
    noise = 0.01 * randn(len(z), D.shape[1])
    x = z @ D + noise
    gamma = 1.5
    eta = (noise @ D.T).abs().amax(1, keepdim=True)
    alpha = eta / (1 - 2 * gamma * mu_s(z, D)[:, None])
    n = int(torch.ceil(torch.log(4 / alpha).max() / np.log(gamma)))
    found = istc(x, D, alpha, n, alpha_max=alpha * gamma**n)
    assert torch.equal(found.sign(), z.sign())
    assert ((found - z).abs() <= 2 * alpha * (1 + 1e-9)).all()


def test_auxiliary_dictionary(planted):
    """Any W with unit products recovers; a rotation of both leaves the codes as they are."""
    D, z = planted
    W = D / 2
    torch.testing.assert_close(
        istc(z @ D, 2 * D, 0.01, 40, W=W), istc(z @ D, 2 * D, 0.01, 40, W=W, alpha_max=None)
    )
    found = istc(z @ (2 * D), 2 * D, 1e-4, 40, W=W)
    torch.testing.assert_close(found, z, atol=2e-4, rtol=0)


def test_unit_step_diverges_and_the_rule_does_not(correlated):
    x, D = correlated
    alpha = 0.05
    zero = x.square().sum(1) / 2
    assert (lasso_objective(istc(x, D, alpha), x, D, alpha) > 100 * zero).any()
    step = istc_step(x, D, alpha)
    safe = float(1 / lipschitz(D))
    assert safe <= step < 1
    F = lasso_objective(istc(x, D, alpha, step=step), x, D, alpha)
    assert (F < zero).all()
    assert F.mean() <= lasso_objective(istc(x, D, alpha, step=safe), x, D, alpha).mean()


def test_ista_never_grows_and_fista_is_faster(correlated):
    x, D = correlated
    F = [lasso_objective(ista(x, D, 0.05, n), x, D, 0.05) for n in range(12)]
    assert all((after <= before + 1e-12).all() for before, after in itertools.pairwise(F))
    least = lasso_objective(lasso(x, D, 0.05, tol=1e-10).z, x, D, 0.05).mean()
    gaps = [
        float(lasso_objective(f(x, D, 0.05, 100), x, D, 0.05).mean() - least) for f in (ista, fista)
    ]
    assert 0 <= gaps[1] < gaps[0] / 10


def test_fista_step_by_step(correlated):
    """One sample, as Beck and Teboulle, and O'Donoghue and Candès write it."""
    x, D = (a.numpy() for a in correlated)
    L, restarts = np.linalg.norm(D, 2) ** 2, 0
    for row in x[:5]:
        z = y = np.zeros(len(D))
        t = 1.0
        for n in range(1, 41):
            u = y + D @ (row - y @ D) / L
            previous, z = z, np.sign(u) * np.maximum(np.abs(u) - 0.05 / L, 0)
            if (y - z) @ (z - previous) > 0:
                t, restarts = 1.0, restarts + 1
            t_next = (1 + np.sqrt(1 + 4 * t**2)) / 2
            y, t = z + (t - 1) / t_next * (z - previous), t_next
            found = fista(torch.from_numpy(row), torch.from_numpy(D), 0.05, n).numpy()
            np.testing.assert_allclose(found, z, atol=1e-10)
    assert restarts > 0


def test_start_from_codes(problem):
    x, D = problem
    z = fista(x, D, ALPHA, 50)
    for f in (ista, fista):
        better = lasso_objective(f(x, D, ALPHA, 5, z=z), x, D, ALPHA)
        assert (better <= lasso_objective(z, x, D, ALPHA) + 1e-12).all()


@pytest.mark.parametrize("positive", [False, True])
def test_gap_bounds_the_error(problem, positive):
    x, D = problem
    best = lasso(x, D, ALPHA, positive=positive, tol=1e-14).z
    assert duality_gap(best, x, D, ALPHA, positive=positive).abs().max() < 1e-10
    for n in (0, 1, 3, 10, 100):
        z = ista(x, D, ALPHA, n, positive=positive)
        gap = duality_gap(z, x, D, ALPHA, positive=positive)
        above = lasso_objective(z, x, D, ALPHA) - lasso_objective(best, x, D, ALPHA)
        assert (above <= gap + 1e-12).all()
        assert n > 3 or (gap > 0).any()


@pytest.mark.parametrize("shape", [(3, 4), (6, 4), (9, 4)])  # both ways to multiply
def test_gradcheck_unrolled(shape, randn):
    D = normalize_atoms(randn(*shape)).requires_grad_()
    W = normalize_atoms(randn(*shape)).requires_grad_()
    x = randn(2, shape[1]).requires_grad_()
    alpha = torch.tensor(ALPHA, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x, D, a: ista(x, D, a, 6), (x, D, alpha))
    assert gradcheck(lambda x, D, a: fista(x, D, a, 6), (x, D, alpha))
    assert gradcheck(lambda x, D, a, W: istc(x, D, a, 4, W=W, step=0.3), (x, D, alpha, W))
    assert gradcheck(lambda x, D, a: istc(x, D, a, 4, step=0.3, positive=True), (x, D, alpha))


def test_gap_of_a_zero_code(problem):
    """It is (1 - s)^2 |x|^2 / 2, with s = min(1, alpha / alpha_max)."""
    x, D = problem
    x[0, 0] = 0
    x2, s = x.square().sum(-1), (ALPHA / alpha_max(x, D)[..., 0]).clamp(max=1)
    gap = duality_gap(x.new_zeros(3, 5, 20), x, D, ALPHA)
    torch.testing.assert_close(gap, (1 - s) ** 2 * x2 / 2)
    assert gap_scale(x2)[0, 0] == 1
    torch.testing.assert_close((gap / gap_scale(x2)).flatten()[1:], ((1 - s) ** 2).flatten()[1:])


def test_gap_of_what_is_not_a_number(problem):
    x, D = problem
    z = fista(x, D, ALPHA, 3)
    z[1, 2, 3] = torch.nan
    assert duality_gap(z, x, D, ALPHA).isnan().nonzero().tolist() == [[1, 2]]
