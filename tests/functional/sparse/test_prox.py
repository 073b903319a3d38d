"""Thresholds against their variational definition, projections against their properties."""

import pytest
import torch
from torch.autograd import gradcheck

from skwave.functional import nonnegative_threshold, normalize_atoms, project_ball, soft_threshold
from skwave.functional._sparse.prox import power_of_two


@pytest.mark.parametrize("positive", [False, True])
def test_thresholds_minimise(positive, randn):
    x, t = 2 * randn(50), 0.7
    grid = torch.linspace(0 if positive else -6, 6, 12001, dtype=x.dtype)
    objective = (x[:, None] - grid) ** 2 / 2 + t * grid.abs()
    expected = grid[objective.argmin(1)]
    threshold = nonnegative_threshold if positive else soft_threshold
    torch.testing.assert_close(threshold(x, t), expected, atol=6e-4, rtol=0)


def test_threshold_per_row(randn):
    x, t = randn(3, 5), torch.tensor([[0.0], [0.5], [9.0]], dtype=torch.float64)
    z = soft_threshold(x, t)
    assert torch.equal(z[0], x[0])
    assert not z[2].any()


@pytest.mark.parametrize("threshold", [soft_threshold, nonnegative_threshold])
def test_gradients(threshold, randn):
    t = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(threshold, (randn(4, 5).requires_grad_(), t))


def test_atoms_of_norm_one(randn):
    D = randn(6, 4)
    D[2] = 0
    norms = normalize_atoms(D).norm(dim=1)
    assert norms[2] == 0
    torch.testing.assert_close(norms[[0, 1, 3, 4, 5]], torch.ones(5, dtype=D.dtype))
    D.requires_grad_()
    normalize_atoms(D).sum().backward()
    assert D.grad.isfinite().all()


def test_ball_is_a_projection(randn):
    D = randn(20, 3)
    P = project_ball(D)
    assert (P.norm(dim=1) <= 1 + 1e-12).all()
    inside = D.norm(dim=1) <= 1
    assert inside.any() and torch.equal(P[inside], D[inside])
    torch.testing.assert_close(project_ball(P), P)
    points = normalize_atoms(randn(200, 3))  # none is closer
    assert ((D[:, None] - points).norm(dim=2).amin(1) >= (D - P).norm(dim=1) - 1e-12)[~inside].all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_power_of_two(dtype, randn):
    """Numbers are divided to [1, 2) without an error, up to both ends of their range."""
    info = torch.finfo(dtype)
    x = randn(200, 5, dtype=dtype) * 10.0 ** torch.linspace(-37, 37, 200, dtype=dtype)[:, None]
    x[0], x[1], x[2], x[3] = info.max, -info.max, info.tiny, info.smallest_normal / 8
    scale = power_of_two(x, 1)
    assert (torch.frexp(scale).mantissa == 0.5).all()
    largest = (x / scale).abs().amax(1)
    assert ((largest >= 1) & (largest < 2)).all()
    assert torch.equal(x / scale * scale, x)
    assert torch.equal(power_of_two(x), scale.max().reshape(1, 1))
    assert torch.equal(power_of_two(torch.zeros(3, 2), 1), torch.ones(3, 1))
    assert not power_of_two(x.requires_grad_()).requires_grad
