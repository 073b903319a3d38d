"""Solid harmonic scattering, against kymatio and for its invariances."""

import math

import pytest
import torch

from skwave.functional._molecules.gaussians import align
from skwave.functional._molecules.solid_scattering import (
    Quadrature,
    quadrature,
    solid_paths,
    solid_scattering,
)

WIDTHS = {"sigma": 1.5, "scales": (1.5, 3.0), "L": 2, "powers": (0.5, 1.0, 2.0, 3.0)}
DOUBLE = quadrature(1e-3)._replace(dtype=torch.float64)
_CORNERS = [[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]
_RING = [[math.cos(k * math.pi / 3), math.sin(k * math.pi / 3), 0.0] for k in range(6)]
# charges and positions in units of their widths
SYMMETRIC = {
    "H2": ([1.0, 1], [[0, 0, -1.6], [0, 0, 1.6]]),
    "CO2": ([6.0, 8, 8], [[0, 0, 0], [0, 0, 5], [0, 0, -5]]),
    "CH4": ([6.0, 1, 1, 1, 1], [[0, 0, 0], *(2.7 * torch.tensor(_CORNERS)).tolist()]),
    "CF4": ([6.0, 9, 9, 9, 9], [[0, 0, 0], *(3.3 * torch.tensor(_CORNERS)).tolist()]),
    "C6H6": (
        [6.0] * 6 + [1.0] * 6,
        [*(6 * torch.tensor(_RING)).tolist(), *(10.7 * torch.tensor(_RING)).tolist()],
    ),
}


def symmetric(name):
    charges, positions = (torch.tensor(v, dtype=torch.float64) for v in SYMMETRIC[name])
    return positions[None], charges[None, None]


def derivative(positions, weights, direction, sampling):
    """Coefficients and their derivatives along a direction."""

    def f(r):
        return solid_scattering(r, weights, **WIDTHS, quadrature=sampling)[:, :, 1:]

    return torch.autograd.functional.jvp(f, positions, direction)


@pytest.fixture
def molecule(randn):
    """Four atoms of two densities, some pixels apart."""
    return 2.5 * randn(1, 4, 3), randn(1, 2, 4).abs() + 0.5


def test_paths():
    paths = solid_paths(3, 2, cross_degrees=True)
    assert len(paths) == 1 + 9 + 3 * 9
    assert len(solid_paths(3, 2)) == 1 + 9 + 3 * 3
    assert len(solid_paths(3, 2, max_order=0)) == 1
    assert all(p.j[0] < p.j[1] for p in paths if len(p.j) == 2)


def test_agrees_with_kymatio(molecule, kymatio):
    positions, weights = molecule
    n, powers = 48, [0.5, 1.0, 2.0, 3.0]
    grid = torch.arange(-n // 2, n // 2, dtype=torch.float64)
    x, y, z = torch.meshgrid(grid, grid, grid, indexing="ij")
    density = sum(
        w * torch.exp(-((x - r[0]) ** 2 + (y - r[1]) ** 2 + (z - r[2]) ** 2) / (2 * 1.5**2))
        for w, r in zip(weights[0, 0], positions[0], strict=True)
    ) / ((2 * math.pi) ** 1.5 * 1.5**3)
    peer = kymatio.HarmonicScattering3D(
        J=1, shape=(n,) * 3, L=2, sigma_0=1.5, integral_powers=powers, frontend="torch"
    )
    expected = peer(torch.fft.ifftshift(density).float()[None])[0].double()
    s = solid_scattering(positions, weights[:, :1], **WIDTHS, quadrature=quadrature(1e-5))[0, 0]
    # theirs: scales of both orders, then degrees, then powers
    ours = torch.cat([s[1:4], s[4:7], s[7:10]]).view(3, 3, 4)
    error = ((ours - expected) / expected).abs()
    assert error[..., 1:].median() < 1e-4
    assert error[..., 1:].max() < 2e-3
    assert error[..., 0].max() < 2e-2  # the power 1/2 sees the float32 and the box of kymatio


def test_accuracy_sets_the_error(molecule):
    positions, weights = molecule
    reference = solid_scattering(positions, weights, **WIDTHS, quadrature=quadrature(1e-6))
    medians = []
    for accuracy in (1e-2, 1e-3, 1e-4):
        s = solid_scattering(positions, weights, **WIDTHS, quadrature=quadrature(accuracy))
        medians.append(float(((s - reference) / reference).abs().median()))
    assert medians[0] < 1e-2 and medians[1] < 1e-3 and medians[2] < 1e-4
    assert medians[0] > medians[1] > medians[2]


def test_invariances(molecule, randn):
    positions, weights = molecule
    occupied = torch.ones(1, 4, dtype=torch.bool)

    def s(r, w):
        return solid_scattering(align(r, occupied), w, **WIDTHS, quadrature=DOUBLE)

    reference = s(positions, weights)
    rotation, _ = torch.linalg.qr(randn(3, 3))
    order = torch.tensor([2, 0, 3, 1])
    assert torch.allclose(s(positions @ rotation.T, weights), reference, rtol=1e-9)
    assert torch.allclose(s(positions + 10.0, weights), reference, rtol=1e-9)
    assert torch.allclose(s(positions[:, order], weights[:, :, order]), reference, rtol=1e-9)


def test_rotation_without_alignment_is_invariant_to_the_quadrature(molecule, randn):
    positions, weights = molecule
    rotation, _ = torch.linalg.qr(randn(3, 3))
    s = solid_scattering(positions, weights, **WIDTHS)
    turned = solid_scattering(positions @ rotation.T, weights, **WIDTHS)
    assert torch.allclose(turned, s, rtol=1e-2)
    assert not torch.equal(turned, s)


def test_a_batch_is_padded_without_effect(molecule):
    positions, weights = molecule
    padded = torch.cat([positions, torch.full((1, 2, 3), 50.0, dtype=torch.float64)], 1)
    zeros = torch.zeros(1, 2, 2, dtype=torch.float64)
    s = solid_scattering(padded, torch.cat([weights, zeros], -1), **WIDTHS)
    assert torch.allclose(s, solid_scattering(positions, weights, **WIDTHS))


def test_order_0_is_the_density(molecule):
    positions, weights = molecule
    s = solid_scattering(positions, weights, **WIDTHS)
    assert torch.allclose(s[0, :, 0, 1], weights[0].sum(-1), rtol=1e-4)
    # the integral of the square is a sum over pairs
    r2 = torch.cdist(positions, positions)[0].square()
    pairs = torch.exp(-r2 / (4 * 1.5**2)) / (4 * math.pi * 1.5**2) ** 1.5
    expected = torch.einsum("ck,kl,cl->c", weights[0], pairs, weights[0])
    assert torch.allclose(s[0, :, 0, 2], expected, rtol=1e-6)


def test_force_is_the_finite_difference(molecule):
    positions, weights = molecule
    occupied = torch.ones(1, 4, dtype=torch.bool)

    def energy(r):
        return solid_scattering(
            align(r, occupied), weights, **WIDTHS, quadrature=quadrature(1e-4)
        ).sum()

    (gradient,) = torch.autograd.grad(energy(positions.requires_grad_()), positions)
    h = torch.zeros_like(positions)
    h[0, 1, 2] = 1e-2
    with torch.no_grad():
        difference = (energy(positions + h) - energy(positions - h)) / 2e-2
    assert float(gradient[0, 1, 2]) == pytest.approx(float(difference), rel=1e-2)


def test_a_point_shows_the_wavelets_themselves():
    weights = torch.tensor([[[3.0]]], dtype=torch.float64)
    s = solid_scattering(
        torch.zeros(1, 1, 3, dtype=torch.float64),
        weights,
        sigma=0.0,
        scales=(0.5, 1.0),
        L=3,
        powers=(0.5, 1.0, 2.0),
        max_order=1,
        quadrature=quadrature(1e-5),
    )[0, 0]
    # the modulus of a wavelet has the integral 1, and for l = 1 a cusp, where sums converge slowly
    assert torch.allclose(s[1:, 1], torch.full((8,), 3.0, dtype=torch.float64), rtol=3e-4)
    for l, rtol in ((0, 1e-9), (2, 3e-6), (3, 1e-6)):  # the smoothed zero shows most at l = 2
        found = s[[1 + l, 5 + l], 1]
        assert torch.allclose(found, torch.full((2,), 3.0, dtype=torch.float64), rtol=rtol)
    # that of an isotropic Gaussian, squared: 1 / (8 pi^1.5 sigma^3)
    assert s[1, 2].item() == pytest.approx(9 / (8 * math.pi**1.5 * 0.5**3), rel=1e-6)


def test_order_0_of_points_counts_their_weights():
    weights = torch.tensor([[[4.0, 9.0, 0.0]]], dtype=torch.float64)
    s = solid_scattering(
        torch.zeros(1, 3, 3, dtype=torch.float64), weights, sigma=0.0, scales=(0.5,), L=0,
        powers=(0.5, 1.0, 2.0), max_order=0,
    )  # fmt: skip
    assert torch.allclose(s[0, 0, 0], torch.tensor([5.0, 13.0, 97.0], dtype=torch.float64))


@pytest.mark.parametrize("name", SYMMETRIC)
def test_derivatives_at_symmetric_molecules_are_those_of_a_fine_grid(name):
    positions, weights = symmetric(name)
    direction = torch.zeros_like(positions)
    direction[0, -1] = torch.tensor([0.36, 0.48, 0.8])
    _, fine = derivative(positions + 0.37, weights, direction, Quadrature(0.4, 7.0))
    # moduli vanish at the centre, where a grid point lies or nearly lies
    for shift in (0.0, 1e-9, 1e-5, 1e-2):
        s, found = derivative(positions + shift, weights, direction, DOUBLE)
        # in units of the coefficients and of the distance over which they change
        error = WIDTHS["sigma"] * (found - fine).abs() / s
        assert error.amax((0, 1, 2)).max() < 3e-2
        assert error.median() < 1e-3


@pytest.mark.parametrize("name", ["H2", "CO2", "CH4", "CF4"])
def test_derivatives_converge_at_symmetric_molecules(name):
    positions, weights = symmetric(name)
    direction = torch.zeros_like(positions)
    direction[0, -1] = torch.tensor([0.0, 0.6, 0.8])
    _, fine = derivative(positions + 0.37, weights, direction, Quadrature(0.35, 7.0))
    errors = []
    for accuracy in (1e-2, 1e-4):
        sampling = quadrature(accuracy)._replace(dtype=torch.float64)
        s, found = derivative(positions, weights, direction, sampling)
        errors.append(float(((found - fine).abs() / s).mean()))
    assert errors[1] < errors[0] / 4


def test_net_force_is_zero(molecule):
    for positions, weights in (molecule, symmetric("CH4"), symmetric("H2")):
        r = positions.clone().requires_grad_()
        s = solid_scattering(r + 0.1, weights, **WIDTHS, quadrature=DOUBLE)
        for q in range(4):
            (force,) = torch.autograd.grad(s[..., q].sum(), r, retain_graph=True)
            assert force.sum(1).abs().max() < 1e-12 * force.abs().max()


@pytest.mark.parametrize("name", SYMMETRIC)
def test_integrals_do_not_turn_with_a_molecule_of_any_symmetry(name, randn):
    positions, weights = symmetric(name)
    occupied = torch.ones(positions.shape[:2], dtype=torch.bool)
    reference = solid_scattering(align(positions, occupied), weights, **WIDTHS)
    for _ in range(3):
        rotation, _ = torch.linalg.qr(randn(3, 3))
        turned = align(positions @ rotation.T + 4.0, occupied)
        s = solid_scattering(turned, weights, **WIDTHS)
        assert torch.allclose(s, reference, rtol=1e-4)  # single precision


@pytest.mark.parametrize("name", ["H2", "CH4"])
def test_second_derivatives(name):
    positions, weights = symmetric(name)

    def log_s(r):
        return solid_scattering(r, weights, **WIDTHS, quadrature=DOUBLE)[0, 0].log().sum(0)

    def force(r):
        r = r.requires_grad_()
        return torch.autograd.grad(log_s(r)[[0, 1]].sum(), r, create_graph=True)[0]

    direction = torch.zeros_like(positions)
    direction[0, 0, 2], direction[0, -1, 2] = 0.6, -0.6  # no shift of the whole
    (found,) = torch.autograd.grad((force(positions) * direction).sum(), positions)
    assert found.isfinite().all()
    h = 1e-4
    difference = force(positions.detach() + h * direction) - force(
        positions.detach() - h * direction
    )
    expected = (difference / (2 * h)).detach()
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_single_precision_is_chosen_by_the_accuracy(molecule):
    positions, weights = molecule
    assert quadrature(1e-3).dtype == torch.float32 and quadrature(1e-5).dtype == torch.float64
    s = solid_scattering(positions, weights, **WIDTHS)
    expected = solid_scattering(positions, weights, **WIDTHS, quadrature=DOUBLE)
    assert s.dtype == torch.float64
    error = ((s - expected) / expected).abs()
    assert error.median() < 2e-6 and error.max() < 1e-4
    single = solid_scattering(positions.float(), weights.float(), **WIDTHS)
    assert single.dtype == torch.float32
    assert torch.allclose(single.double(), expected, rtol=1e-4)


@pytest.mark.parametrize("size", [1e-9, 1e9])
def test_coefficients_are_homogeneous_in_single_precision(molecule, size):
    positions, weights = molecule
    s = solid_scattering(positions, size * weights, **WIDTHS)
    expected = solid_scattering(positions, weights, **WIDTHS)
    scale = size ** torch.tensor(WIDTHS["powers"], dtype=torch.float64)
    small = [0, 1] if size < 1 else [0, 1, 2, 3]  # squares of 1e-12 leave the range
    assert torch.allclose((s / scale)[..., small], expected[..., small], rtol=1e-3)
