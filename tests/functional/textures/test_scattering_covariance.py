import numpy as np
import pytest
import torch

from skwave.functional._textures.fields import field_plan
from skwave.functional._textures.scattering_covariance import (
    scattering_covariance,
    scattering_covariance_rows,
)

from .._harmonics_reference import bump_steerable, filtered


def brute(x, J, L, rows):
    """Moments at full resolution, one row after the other; normalised by the image itself."""
    psi = {(j, l): bump_steerable(x.shape, j, np.pi * l / L, L) for j in range(J) for l in range(L)}
    w = {key: filtered(x - x.mean(), h) for key, h in psi.items()}
    sd = {key: np.sqrt((abs(v) ** 2).mean()) for key, v in w.items()}
    found = []
    for r in rows:
        a = r.j1, r.l1
        if r.group == "S1":
            c = abs(w[a]).mean() / sd[a]
        elif r.group == "S2":
            c = sd[a] ** 2 / x.var()
        elif r.group == "S3":
            b = r.j2, r.l2
            c = (filtered(abs(w[a]) / sd[a], psi[b]) * w[b].conj() / sd[b]).mean()
        else:
            b, last = (r.j2, r.l2), psi[r.j3, r.l3]
            left, right = (filtered(abs(w[i]) / sd[i], last) for i in (a, b))
            c = (left * right.conj()).mean()
        found.append(c.imag if r.part == "im" else c.real)
    return np.array(found)


@pytest.mark.parametrize(("shape", "J", "L"), [((32, 32), 3, 2), ((21, 24), 2, 3)])
def test_moments_by_brute_force(randn, shape, J, L):
    x = randn(*shape) ** 3 + 1
    rows = scattering_covariance_rows(J, L)
    expected = brute(x.numpy(), J, L, rows)
    for oversampling, bound in ((2, 1e-12), (1, 1e-3), (0, 2e-2)):
        plan = field_plan(shape, J, L, oversampling=oversampling)
        found = scattering_covariance(x[None, None], plan)[0].numpy()
        assert found.shape == expected.shape
        for group in ("S1", "S2", "S3", "S4"):
            some = [r.group == group for r in rows]
            error = np.linalg.norm((found - expected)[some]) / np.linalg.norm(expected[some])
            assert error < bound, (group, oversampling, error)


@pytest.mark.parametrize(("J", "L"), [(1, 1), (3, 2), (5, 4)])
def test_counts(J, L):
    rows = scattering_covariance_rows(J, L)
    assert len(set(rows)) == len(rows)
    third = 2 * L * L * J * (J + 1) // 2
    fourth = L**3 * J * (J + 1) * (2 * J + 1) // 6
    assert len(rows) == 2 * J * L + third + fourth
    assert len(scattering_covariance_rows(J, L, 3)) == 3 * len(rows)


def test_channels_and_samples_are_apart(randn):
    x = randn(2, 3, 16, 16)
    plan = field_plan((16, 16), 2, 2)
    m = scattering_covariance(x, plan).view(2, 3, -1)
    for i in range(2):
        for c in range(3):
            torch.testing.assert_close(
                m[i, c], scattering_covariance(x[i : i + 1, c : c + 1], plan)[0]
            )


def test_given_mean_and_deviations(randn):
    x, plan = randn(1, 1, 16, 16), field_plan((16, 16), 2, 2)
    waves = [torch.full((1, 2), s, dtype=torch.float64) for s in (2.0, 3.0)]
    ones = [torch.ones(1, 2, dtype=torch.float64)] * 2
    rows = scattering_covariance_rows(2, 2)
    plain = scattering_covariance(x, plan, None, ones)[0]
    found = scattering_covariance(x, plan, torch.zeros(1, dtype=torch.float64), waves)[0]
    sd = {0: 2.0, 1: 3.0}
    by = [sd[r.j1] if r.group == "S1" else sd[r.j1] * sd[r.j2] for r in rows]
    torch.testing.assert_close(found, plain / torch.tensor(by, dtype=torch.float64))


def test_averages_leave_out_the_sides(randn):
    x, J, L = randn(24, 24) ** 3, 2, 2
    plan = field_plan((24, 24), J, L, valid=torch.ones(24, 24, dtype=bool), oversampling=1)
    rows = scattering_covariance_rows(J, L)
    m = dict(zip(rows, scattering_covariance(x[None, None], plan)[0].tolist(), strict=True))
    for r, value in m.items():
        if r.group == "S1":
            w = filtered(
                x.numpy() - x.numpy().mean(), bump_steerable((24, 24), r.j1, np.pi * r.l1 / L, L)
            )
            inner = abs(w)[(cut := slice(2**r.j1, -(2**r.j1))), cut]
            assert value == pytest.approx(inner.mean() / np.sqrt((inner**2).mean()), rel=1e-12)


def test_derivatives(randn):
    plan = field_plan((8, 8), 2, 2)
    x = randn(1, 1, 8, 8).requires_grad_()
    weights = randn(2, len(scattering_covariance_rows(2, 2))) / 10
    assert torch.autograd.gradcheck(lambda x: scattering_covariance(x, plan) @ weights.T, x)
