"""Environments of atoms: orthonormal radial functions, invariances, brute force."""

import math

import pytest
import torch

from skwave.functional import (
    Environments,
    LocalBasis,
    local_environments,
    local_fields,
    local_invariants,
    neighbour_pairs,
    radial_functions,
    radial_weight,
    solid_harmonics,
)
from skwave.functional._molecules.atoms import split_environments

WIDTHS = (0.4, 0.8, 1.6)
BASIS = LocalBasis(WIDTHS, L=3, n_elements=2, cutoff=4.0, decay_radius=1.5, decay_power=6.0)
ELEMENTS = torch.tensor([0, 1, 1, 0, 1])


def environments(positions, elements=ELEMENTS, offsets=(0, 5), cells=None, periodic=None):
    """Environments of atoms of one molecule, or of several."""
    offsets = torch.tensor(offsets)
    pairs = neighbour_pairs(positions, offsets, BASIS.cutoff, cells, periodic)
    molecule = torch.repeat_interleave(torch.arange(len(offsets) - 1), offsets.diff())
    return local_environments(positions, elements, pairs, cells, molecule)


def invariants(*arguments, **keywords):
    return local_invariants(local_fields(environments(*arguments, **keywords), BASIS))


@pytest.fixture
def positions(randn):
    """Five atoms."""
    return 1.5 * randn(5, 3)


@pytest.mark.parametrize("l", [0, 2, 5])
def test_radial_functions_are_orthonormal(l):
    r = torch.linspace(0, 25, 50001, dtype=torch.float64)
    f = radial_functions(r.square(), WIDTHS, l) * (r**l)[:, None]
    gram = torch.trapezoid(f[:, :, None] * f[:, None] * r.square()[:, None, None], r, dim=0)
    assert torch.allclose(gram, torch.eye(3, dtype=torch.float64), atol=1e-8)


@pytest.mark.parametrize("l", [0, 3, 6])
def test_radial_functions_are_those_of_the_overlaps_in_closed_form(l):
    r2 = torch.linspace(0, 25, 30, dtype=torch.float64)
    inverse = 0.5 * torch.tensor(WIDTHS, dtype=torch.float64) ** -2
    overlap = 0.5 * math.gamma(l + 1.5) * (inverse[:, None] + inverse) ** -(l + 1.5)
    values, vectors = torch.linalg.eigh(overlap)
    expected = torch.exp(-r2[:, None] * inverse) @ (vectors * values.rsqrt()) @ vectors.T
    found = radial_functions(r2, WIDTHS, l)
    assert torch.allclose(found, expected, rtol=1e-9, atol=1e-9 * float(expected.abs().max()))


def test_close_widths_give_an_orthonormal_frame_of_their_span():
    r = torch.linspace(0, 15, 20001, dtype=torch.float64)
    widths = tuple(0.3 * 2 ** (i / 16) for i in range(33))
    f = radial_functions(r.square(), widths, 2) * (r**2)[:, None]
    values = torch.linalg.eigvalsh(torch.trapezoid(f.mT[:, None] * f.mT * r.square(), r))
    assert torch.allclose(values[-12:], torch.ones(12, dtype=torch.float64), atol=1e-3)
    assert -1e-6 < values[0] and values[-1] < 1.001


def test_weight_is_a_half_at_its_radius_and_ends_smoothly():
    r = torch.tensor([1e-3, 1.5, 3.0, 4.0, 5.0], dtype=torch.float64)
    expected = torch.tensor([1.0, 0.5, 1 / (1 + 2**6), 0.0, 0.0], dtype=torch.float64)
    assert torch.allclose(radial_weight(r.square(), BASIS), expected)
    near = torch.tensor([3.2 - 1e-9, 3.2 + 1e-9, 4 - 1e-9], dtype=torch.float64).square()
    near.requires_grad_()
    weight = radial_weight(near, BASIS)
    (slope,) = torch.autograd.grad(weight.sum(), near, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), near)
    for before, after, last in (v.detach() for v in (weight, slope, bend)):
        assert abs(before - after) < 1e-6 and abs(last) < 1e-6


def test_fields_are_the_sum_over_neighbours(positions):
    fields = local_fields(environments(positions), BASIS)
    for l, w in enumerate(fields):
        others = [0, 1, 2, 4]
        r = positions[others] - positions[3]
        radial = radial_functions(r.square().sum(-1), WIDTHS, l)
        radial = radial * radial_weight(r.square().sum(-1), BASIS)[:, None]
        harmonics = math.sqrt((2 * l + 1) / (4 * math.pi)) * solid_harmonics(r, l)
        weights = torch.eye(2, dtype=torch.float64)[ELEMENTS[others]]
        expected = torch.einsum("ke,kj,km->mej", weights, radial, harmonics)
        if l == 0:
            itself = radial_functions(torch.zeros(1, dtype=torch.float64), WIDTHS, 0)[0]
            expected[0, 0] += itself / math.sqrt(4 * math.pi)
        assert torch.allclose(w[:, 3], expected.flatten(1), rtol=1e-10, atol=1e-12)


def test_invariants_are_the_products_of_fields(positions):
    fields = local_fields(environments(positions), BASIS)
    gram = torch.einsum("mac,mad->acd", fields[1], fields[1]) / math.sqrt(3)
    rows, columns = torch.triu_indices(6, 6)
    factor = (2 - (rows == columns).double()).sqrt()
    phi = local_invariants(fields)
    assert phi.shape == (5, 4, 21)
    assert torch.allclose(phi[:, 1], factor * gram[:, rows, columns], rtol=1e-13, atol=1e-15)


def test_the_inner_product_is_that_of_the_symmetric_matrices(positions):
    fields = local_fields(environments(positions), BASIS)
    phi, product = local_invariants(fields), 0.0
    for l, w in enumerate(fields):
        gram = torch.einsum("mac,mad->acd", w, w)
        product += (gram[0] * gram[1]).sum() / (2 * l + 1)
    assert torch.allclose((phi[0] * phi[1]).sum(), product)


def test_groups_add_up_invariants(positions):
    fields = local_fields(environments(positions), BASIS)
    phi = local_invariants(fields)
    for groups, n in (([0, 0, 0, 0, 0], None), ([2, 0, 2, 2, 0], 4)):
        groups = torch.tensor(groups)
        expected = phi.new_zeros(n or 1, *phi.shape[1:]).index_add(0, groups, phi)
        assert torch.allclose(local_invariants(fields, groups, n), expected, atol=1e-14)


def test_invariances(positions, randn):
    phi = invariants(positions)
    rotation, _ = torch.linalg.qr(randn(3, 3))
    assert torch.allclose(invariants(positions @ rotation.T + 3), phi, atol=1e-12)
    assert torch.allclose(invariants(-positions), phi, atol=1e-12)
    order = torch.tensor([3, 1, 4, 0, 2])
    assert torch.allclose(invariants(positions[order], ELEMENTS[order]), phi[order], atol=1e-12)


def test_molecules_do_not_see_each_other(positions):
    both, elements = torch.cat([positions, positions + 0.1]), ELEMENTS.repeat(2)
    phi = invariants(positions)
    apart = invariants(both, elements, (0, 5, 10))
    assert torch.allclose(apart, torch.cat([phi, phi]), atol=1e-12)
    far = invariants(torch.cat([positions, positions + 100]), elements, (0, 10))
    assert torch.allclose(far, torch.cat([phi, phi]), atol=1e-12)


def test_an_atom_that_leaves_through_the_cutoff_does_so_smoothly(randn):
    r = torch.zeros(2, 3, dtype=torch.float64)
    alone = invariants(r[:1], ELEMENTS[:1], (0, 1))
    for distance, change in ((3.0, 1e-2), (3.999, 1e-8), (4.001, 1e-15)):
        r[1, 0] = distance
        phi = invariants(r, ELEMENTS[:2], (0, 2))[:1]
        assert float((phi - alone).abs().max()) < change


def test_a_supercell_has_the_environments_of_its_cell(positions, randn):
    cell = (4 * torch.eye(3) + 0.3 * randn(3, 3)).double()[None]
    periodic = torch.ones(1, 3, dtype=torch.bool)
    phi = invariants(positions, cells=cell, periodic=periodic)
    assert not torch.allclose(phi, invariants(positions))
    shifts = torch.tensor([[1, 0, 0], [0, 0, 0], [-2, 5, 1], [0, 0, 3], [0, 0, 0]]).double()
    moved = invariants(positions + shifts @ cell[0], cells=cell, periodic=periodic)
    assert torch.allclose(moved, phi, atol=1e-11)
    double = torch.cat([positions, positions + cell[0, 0]])
    supercell = cell * torch.tensor([2.0, 1.0, 1.0])[:, None]
    phi_2 = invariants(double, ELEMENTS.repeat(2), (0, 10), supercell, periodic)
    assert torch.allclose(phi_2, torch.cat([phi, phi]), atol=1e-11)


def test_parts_have_the_environments_of_the_whole(positions):
    whole = environments(positions)
    fields = local_fields(whole, BASIS)
    for size in (1, 2, 7):
        parts = [local_fields(part, BASIS) for part in split_environments(whole, size)]
        for l, w in enumerate(fields):
            assert torch.allclose(torch.cat([p[l] for p in parts], 1), w, atol=1e-14)


def test_an_atom_alone_is_itself():
    vectors = torch.zeros(0, 3, dtype=torch.float64)
    none = torch.zeros(0, dtype=torch.int64)
    alone = Environments(vectors, none, none, torch.tensor([1]))
    fields = local_fields(alone, BASIS)
    itself = radial_functions(torch.zeros(1, dtype=torch.float64), WIDTHS, 0)[0]
    expected = torch.cat([torch.zeros(3), itself / math.sqrt(4 * math.pi)])
    assert torch.allclose(fields[0][0, 0], expected)
    assert not fields[2].any()


def test_products_in_another_type(positions):
    fields = local_fields(environments(positions), BASIS)
    phi = local_invariants(fields)
    small = local_invariants([w.float() for w in fields])
    assert small.dtype == torch.float32
    assert torch.allclose(small.double(), phi, rtol=1e-4, atol=1e-6 * float(phi.max()))


def test_gradient(positions):
    positions.requires_grad_()
    assert torch.autograd.gradcheck(invariants, positions)
    three = positions[:3].detach().requires_grad_()

    def some(r):
        return invariants(r, ELEMENTS[:3], (0, 3))[0, :, ::9]

    assert torch.autograd.gradgradcheck(some, three)


def test_gradient_of_symmetric_molecules_is_finite():
    tetrahedron = [[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]
    r = 0.63 * torch.tensor(tetrahedron, dtype=torch.float64)
    r.requires_grad_()
    phi = invariants(r, torch.tensor([0, 1, 1, 1, 1]))
    (gradient,) = torch.autograd.grad(phi.sum(), r, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), r)
    assert gradient.isfinite().all() and second.isfinite().all()
    # all directions of the centre are the same, so that it feels none
    assert float(gradient[0].detach().abs().max()) < 1e-9


def test_strain_derivative_is_that_of_finite_differences(positions, randn):
    cell, periodic = 4 * torch.eye(3).double()[None], torch.ones(1, 3, dtype=torch.bool)
    weights = randn(4, 21)

    def energy(strain):
        deformation = torch.eye(3) + strain
        phi = invariants(positions @ deformation, cells=cell @ deformation, periodic=periodic)
        return (phi.sum(0) * weights).sum()

    strain = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(energy, strain)
