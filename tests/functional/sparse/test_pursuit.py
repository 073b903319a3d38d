"""The active set: certified codes in coherent dictionaries, where FISTA takes for ever."""

import pytest
import torch

from skwave.functional import alpha_max, duality_gap, fista, lasso, normalize_atoms
from skwave.functional._sparse.pursuit import (
    correlate,
    factor,
    gram_of_supports,
    pursue,
    relative_gap,
)


def bumps(randn):
    """300 shifted bumps of 100 samples: neighbours have a product of 0.9993."""
    t = torch.arange(100, dtype=torch.float64)
    D = normalize_atoms(torch.exp(-(((t - torch.linspace(0, 99, 300)[:, None]) / 4) ** 2) / 2))
    x = torch.where(randn(40, 300) > 2, randn(40, 300), 0.0) @ D + 0.01 * randn(40, 100)
    return x, D, 0.1


def overcomplete(randn):
    """2000 atoms of 32 dimensions."""
    return randn(20, 32), normalize_atoms(randn(2000, 32)), 0.05


def norms(randn):
    """Atoms of norms from 0.01 to 100."""
    scale = torch.logspace(-2, 2, 100, dtype=torch.float64)[torch.randperm(100)]
    return randn(20, 40), normalize_atoms(randn(100, 40)) * scale[:, None], 0.5


def twins(randn):
    """Each atom twice, its opposite, and one of zeros: codes are not unique."""
    D = normalize_atoms(randn(12, 8))
    return randn(20, 8), torch.cat([D, D, -D, torch.zeros(1, 8, dtype=D.dtype)]), 0.1


COHERENT = [bumps, overcomplete, norms, twins]


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("case", COHERENT)
def test_d_coherent_dictionaries(randn, case, positive):
    """All codes are certified, by the gap of the definition, where FISTA alone is far off."""
    x, D, alpha = case(randn)
    codes = lasso(x, D, alpha, positive=positive, tol=1e-6)
    gap = duality_gap(codes.z, x, D, alpha, positive=positive) / (x.square().sum(1) / 2)
    assert gap.max() <= 1.01e-6 and codes.gap.max() <= 1e-6
    torch.testing.assert_close(gap, codes.gap, atol=1e-9, rtol=0)
    assert codes.n_iter.max() < 300
    assert not positive or (codes.z >= 0).all()
    if case is not twins:
        plain = fista(x, D, alpha, 300, positive=positive)
        far = duality_gap(plain, x, D, alpha, positive=positive) / (x.square().sum(1) / 2)
        assert far.max() > 1e-5


@pytest.mark.parametrize("case", [bumps, overcomplete, twins])
def test_d_coherent_dictionaries_in_single_precision(randn, case):
    x, D, alpha = case(randn)
    codes = lasso(x.float(), D.float(), alpha, tol=1e-6)
    assert codes.gap.max() <= 2e-6
    gap = duality_gap(codes.z.double(), x, D.float().double(), alpha) / (x.square().sum(1) / 2)
    assert gap.max() < 1e-5


def test_scale_of_each_atom(randn):
    """z_k(D, alpha_k) of atoms c_k d_k is z_k / c_k for penalties c_k alpha: the codes of norms."""
    x, D = randn(6, 10), normalize_atoms(randn(20, 10))
    scale = torch.logspace(-8, 8, 20, dtype=torch.float64)
    alpha = (0.2 / scale).expand(6, 20)
    b, x2 = x @ D.T, x.square().sum(1, keepdim=True)
    z, gap, _ = pursue(b, x2, alpha, D, D @ D.T, positive=False, tol=1e-12, max_iter=100)
    expected = lasso(x, D * scale[:, None], 0.2, tol=1e-12)
    torch.testing.assert_close(z / scale, expected.z, rtol=1e-6, atol=0)
    assert gap.max() <= 1e-12


def test_rounds(randn):
    """The gap is the lowest found; samples do not see each other; zeros are done at once."""
    x, D, alpha = bumps(randn)
    x = torch.cat([x[:5], torch.zeros_like(x[:1])])
    b, x2 = x @ D.T, x.square().sum(1, keepdim=True)
    a = torch.full_like(x2, alpha)
    gaps = []
    for n in (0, 2, 4, 8, 100):
        z, gap, n_iter = pursue(b, x2, a, D, D @ D.T, positive=False, tol=1e-9, max_iter=n)
        assert (n_iter <= n).all() and n_iter[-1] == 0 and not z[-1].any()
        gaps.append(gap)
    assert (torch.stack(gaps).diff(dim=0) <= 0).all() and gaps[-1].max() <= 1e-9
    for i in range(5):
        alone, *_ = pursue(
            b[i : i + 1], x2[i : i + 1], a[i : i + 1], D, D @ D.T,
            positive=False, tol=1e-9, max_iter=100,
        )  # fmt: skip
        torch.testing.assert_close(alone[0], z[i], atol=1e-6, rtol=0)


def test_rounding_ends_it(randn, monkeypatch):
    """A tolerance that no rounding allows does not take all rounds; NaN touches no other sample."""
    monkeypatch.setattr("skwave.functional._sparse.pursuit._NUMBERS", 3 * 16**2)  # in chunks
    x, D = randn(7, 16), normalize_atoms(randn(40, 16))
    x[3, 2] = torch.nan
    b, x2 = x @ D.T, x.square().sum(1, keepdim=True)
    a = 0.3 * alpha_max(x, D).nan_to_num(1.0)
    z, gap, n_iter = pursue(b, x2, a, D, D @ D.T, positive=False, tol=-1.0, max_iter=10_000)
    others = torch.arange(7) != 3
    assert gap[others].abs().max() < 1e-12 and gap[3].isinf() and not z[3].any()
    assert n_iter[others].max() < 200


def test_products_and_gap(randn):
    x, z = randn(3, 6), randn(3, 20)
    for D in (normalize_atoms(randn(20, 6)), normalize_atoms(randn(20, 15))[:, :6]):
        b, gram = x @ D.T, D @ D.T
        q = correlate(z, b, D, gram)
        torch.testing.assert_close(q, (x - z @ D) @ D.T)
        x2 = x.square().sum(1, keepdim=True)
        for positive, codes in ((False, z), (True, z.abs())):
            q = correlate(codes, b, D, gram)
            for weight in (torch.full_like(x2, 0.2), torch.full_like(b, 0.2)):
                gap = relative_gap(b, q, codes, x2, weight, positive=positive)
                expected = duality_gap(codes, x, D, 0.2, positive=positive) / (x2[:, 0] / 2)
                torch.testing.assert_close(gap, expected)


def test_factors_of_supports(randn):
    D = randn(6, 4)
    on = torch.tensor([[1, 0, 1, 0, 0, 1], [0, 1, 0, 0, 0, 0]], dtype=torch.bool)
    A, atoms, chosen = gram_of_supports(D @ D.T, on)
    assert sorted(atoms[0].tolist()) == [0, 2, 5] and chosen.sum(1).tolist() == [3, 1]
    expected = D[atoms[0]] @ D[atoms[0]].T
    torch.testing.assert_close(A[0], expected)
    L = factor(A, chosen, 1e-3)
    torch.testing.assert_close(L[0] @ L[0].T, expected + 1e-3 * torch.eye(3, dtype=torch.float64))
    one = D[1] @ D[1] + 1e-3
    padded = torch.where(chosen[1], one, 1.0)
    torch.testing.assert_close(L[1] @ L[1].T, torch.diag(padded))
