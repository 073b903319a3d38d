"""Solid harmonics and the fields of Gaussians, against closed forms, FFTs and kymatio."""

import math

import pytest
import torch

from skwave.functional._molecules.gaussians import align, gaussian_modulus, integrals, map_modulus
from skwave.functional._molecules.solid_harmonics import wavelet_gain


def axes(half, step, **kwargs):
    n = math.ceil(half / step)
    return (step * torch.arange(-n, n + 1, dtype=torch.float64),) * 3


@pytest.fixture
def molecule(randn):
    """Five atoms of two densities."""
    return randn(1, 5, 3), randn(1, 2, 5)


@pytest.mark.parametrize("l", range(4))
@pytest.mark.parametrize(("sigma", "scale"), [(1.0, 1.0), (0.5, 1.3)])
def test_one_gaussian_has_the_closed_form(l, sigma, scale):
    # the integral of U is k^l, and that of U^2 follows from Plancherel
    grid = axes(9.0, 0.25)
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    u = gaussian_modulus(torch.zeros(1, 1, 3, dtype=torch.float64), one, grid, sigma, scale, l)
    s = math.hypot(sigma, scale)
    s1, s2 = integrals(u, (1.0, 2.0), 0.25**3)[0, 0].tolist()
    assert s1 == pytest.approx((scale / s) ** l, rel=2e-3 if l else 1e-9)
    radial = 0.5 * math.gamma(l + 1.5)  # of r^(2l + 2) exp(-r^2)
    expected = 4 * math.pi * (wavelet_gain(l) * (scale / s) ** l) ** 2 * radial / s**3
    assert s2 == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("l", range(4))
def test_convolution_of_a_sampled_density_is_the_analytic_field(molecule, l):
    positions, weights = molecule
    grid, out = axes(9.0, 0.4), axes(4.0, 0.9)
    density = gaussian_modulus(positions, weights.abs(), grid, 1.0, 0.0, 0)
    found = map_modulus(density, grid, out, 1.4, l)
    expected = gaussian_modulus(positions, weights.abs(), out, 1.0, 1.4, l)
    assert torch.allclose(found, expected, atol=1e-9 * float(expected.max()))


def test_float32_is_not_slowed_or_spoiled_by_subnormal_numbers(molecule):
    positions, weights = molecule
    grid = axes(20.0, 0.7)
    u = gaussian_modulus(
        positions.float(), weights.float(), tuple(a.float() for a in grid), 1.0, 1.0, 2
    )
    expected = gaussian_modulus(positions, weights, grid, 1.0, 1.0, 2)
    tiny = torch.finfo(torch.float32).tiny
    assert not ((u > 0) & (u < tiny)).any()
    assert torch.allclose(u.double(), expected, atol=1e-6 * float(expected.max()))


@pytest.mark.parametrize("l", [0, 1, 2])
def test_gradient(molecule, l):
    positions, weights = molecule
    grid = axes(2.0, 0.9)

    def f(r):
        u = gaussian_modulus(r, weights, grid, 0.8, 0.9, l)
        v = map_modulus(u, grid, grid, 1.1, l)
        return integrals(torch.cat([u, v]), (0.5, 1.0, 1.5, 2.0, 3.0), 0.9**3)

    assert torch.autograd.gradcheck(f, positions.requires_grad_())


@pytest.mark.parametrize("l", [1, 3])
def test_a_floor_smooths_the_cusps_and_keeps_the_energy(l):
    one, zero = (torch.ones(1, 1, 1), torch.zeros(1, 1, 3))
    one, zero = one.double(), zero.double()
    grid = axes(9.0, 0.2)
    bound = gaussian_modulus(zero, one, grid, 1.0, 1.0, 0)
    floor = 0.25**l * bound
    kept, smoothed = (gaussian_modulus(zero, one, grid, 1.0, 1.0, l, f) for f in (None, floor))
    near = kept < floor
    assert 0 < near.sum() < 0.01 * near.numel()
    assert kept.min() == 0 and (smoothed[near] > 0.3 * floor[near]).all()
    assert torch.equal(smoothed[~near], kept[~near])
    first, second = (float(u.square().sum()) for u in (kept, smoothed))
    assert second == pytest.approx(first, rel=1e-3)
    r = torch.tensor([[[0.03, 0.1, -0.05]]], dtype=torch.float64, requires_grad=True)
    few = axes(1.0, 0.5)

    def f(r):
        floor = 0.7 * gaussian_modulus(r, one, few, 1.0, 1.0, 0)
        u = gaussian_modulus(r, one, few, 1.0, 1.0, l, floor)
        return integrals(u, (0.5, 1.0, 3.0), 1.0)

    assert torch.autograd.gradcheck(f, r)
    assert torch.autograd.gradgradcheck(f, r)


def test_gradient_is_finite_where_there_is_nothing():
    r = torch.zeros(1, 1, 3, dtype=torch.float64, requires_grad=True)
    u = gaussian_modulus(r, torch.zeros(1, 1, 1, dtype=torch.float64), axes(2.0, 0.5), 0.3, 0.3, 1)
    integrals(u, (0.5, 1.0, 2.0), 1.0).sum().backward()
    assert torch.equal(r.grad, torch.zeros_like(r))


def test_forces_can_be_learned_where_a_field_is_zero():
    r = torch.zeros(1, 1, 3, dtype=torch.float64, requires_grad=True)
    c = torch.ones(2, dtype=torch.float64, requires_grad=True)
    u = gaussian_modulus(r, torch.ones(1, 1, 1, dtype=torch.float64), axes(2.0, 0.5), 0.3, 0.3, 1)
    assert u.min() == 0
    energy = (c * integrals(u, (0.5, 1.0), 1.0)).sum()
    (force,) = torch.autograd.grad(energy, r, create_graph=True)
    (gradient,) = torch.autograd.grad(force.square().sum(), c)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("size", [1e-12, 1e6, 1e12])
def test_small_and_large_fields_in_single_precision(molecule, size):
    grid = axes(2.0, 0.5)
    for l in (1, 3):
        u, expected = (
            gaussian_modulus(
                *(v.to(dtype) for v in (molecule[0], size * molecule[1])),
                [a.to(dtype) for a in grid], 0.3, 0.3, l,
            )
            for dtype in (torch.float32, torch.float64)
        )  # fmt: skip
        assert torch.allclose(u.double(), expected, atol=1e-5 * float(expected.max()))


def test_align_turns_the_long_axis_to_x_and_centres_the_box(randn):
    r = randn(3, 6, 3) * torch.tensor([0.5, 3.0, 1.0], dtype=torch.float64)
    occupied = torch.arange(6) < torch.tensor([6, 4, 5])[:, None]
    aligned = align(r, occupied)
    assert (aligned[~occupied] == 0).all()
    for before, after, mask in zip(r, aligned, occupied, strict=True):
        assert torch.allclose(torch.pdist(before[mask]), torch.pdist(after[mask]))
        low, high = after[mask].amin(0), after[mask].amax(0)
        assert torch.allclose(low, -high)
        spread = after[mask].var(0)
        assert spread[0] >= spread[1] >= spread[2]


@pytest.mark.parametrize("kind", ["tetrahedron", "octahedron", "ring", "pyramid", "line"])
def test_align_does_not_depend_on_the_rotation(randn, kind):
    corners = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    angle = torch.arange(3) * (2 * math.pi / 3)
    triangle = torch.stack([angle.cos(), angle.sin(), -0.3 * torch.ones(3)], 1)
    flat = torch.tensor([1.0, 1.0, 0.0])
    r = {
        "tetrahedron": torch.cat([torch.zeros(1, 3), corners]),
        "octahedron": torch.cat([torch.eye(3), -torch.eye(3)]),
        "ring": torch.cat([triangle * flat, -triangle * flat]),
        "pyramid": torch.cat([torch.tensor([[0.0, 0, 1]]), triangle]),
        "line": torch.tensor([[0.0, 0, -1], [0, 0, 0.2], [0, 0, 1]]),
    }[kind].double()[None]  # fmt: skip
    occupied = torch.ones(r.shape[:2], dtype=torch.bool)

    def positions_up_to_mirrors(r):
        found = align(r, occupied)[0].abs()
        return found[sorted(range(len(found)), key=lambda i: found[i].mul(1e6).round().tolist())]

    expected = positions_up_to_mirrors(r)
    for _ in range(5):
        rotation, _ = torch.linalg.qr(randn(3, 3))
        found = positions_up_to_mirrors(r @ rotation.T + 3)
        assert torch.allclose(found, expected, atol=1e-6)


def test_empty_batches():
    u = gaussian_modulus(torch.zeros(0, 1, 3), torch.ones(0, 1, 1), axes(1.0, 0.5), 0.3, 0.3, 1)
    assert u.shape == (0, 1, 5, 5, 5)
