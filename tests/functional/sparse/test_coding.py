"""Sparse codes against scikit-learn, the theorem of ISTC, certified gaps, derivatives."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.decomposition import sparse_encode
from torch.autograd import gradcheck

from skwave.functional import (
    alpha_max,
    coherence,
    duality_gap,
    fista,
    implicit_codes,
    ista,
    istc,
    istc_step,
    lasso,
    lasso_objective,
    lipschitz,
    mu_s,
    normalize_atoms,
    omp,
    update_dictionary,
)

ALPHA = 0.3


@pytest.fixture
def problem(randn):
    return randn(3, 5, 8), normalize_atoms(randn(20, 8))


@pytest.fixture
def planted():
    """Codes of two atoms in an incoherent dictionary: mu s < 1/2."""
    generator = torch.Generator().manual_seed(1)
    identity = torch.eye(256, dtype=torch.float64)
    n = torch.arange(256, dtype=torch.float64)
    cosines = normalize_atoms(torch.cos(torch.pi / 256 * (n + 0.5) * n[:, None]))
    D = torch.cat([identity, cosines])  # spikes and cosines: coherence sqrt(2 / 256)
    z = torch.zeros(50, 512, dtype=torch.float64)
    chosen = torch.rand(50, 512, generator=generator).topk(2).indices
    signs = torch.randint(2, (50, 2), generator=generator, dtype=torch.float64) * 2 - 1
    sizes = signs * (1 + torch.rand(50, 2, generator=generator, dtype=torch.float64))
    return D, z.scatter_(1, chosen, sizes)


@pytest.fixture
def correlated(randn):
    """Atoms of a few directions and noise: like a learnt dictionary, far from incoherent."""
    D = normalize_atoms(randn(64, 6) @ randn(6, 16) + 0.5 * randn(64, 16))
    z = torch.where(randn(40, 64) > 1, randn(40, 64), 0.0)
    x = z @ D
    return x / x.norm(dim=1, keepdim=True), D


def sklearn_codes(x, D, **parameters):
    rows = x.reshape(-1, x.shape[-1]).numpy()
    z = sparse_encode(rows, D.numpy(), max_iter=100_000, **parameters)
    return torch.from_numpy(np.ascontiguousarray(z)).reshape(*x.shape[:-1], len(D))


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
def test_agrees_with_sklearn(solve, problem, positive):
    x, D = problem
    z = solve(x, D, ALPHA, positive)
    D = D[: z.shape[-1]]
    expected = sklearn_codes(x, D, algorithm="lasso_cd", alpha=ALPHA, positive=positive)
    F, F_least = (lasso_objective(c, x, D, ALPHA) for c in (z, expected))
    torch.testing.assert_close(F, F_least, rtol=1e-4, atol=0)
    if positive:
        assert (z >= 0).all()


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


def test_omp_agrees_with_sklearn(problem):
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


def test_device(correlated, device):
    x, D = (a.to(device) for a in correlated)
    codes = lasso(x, D, 0.05)
    assert codes.z.device.type == device
    torch.testing.assert_close(codes.z.cpu(), lasso(x.cpu(), D.cpu(), 0.05).z, atol=1e-5, rtol=0)
