"""Fields at the atoms: orthonormal radial functions, invariances, brute force."""

import math

import pytest
import torch

from skwave.functional._molecules.atoms import local_fields, local_invariants, radial_functions
from skwave.functional._molecules.solid_harmonics import solid_harmonics

WIDTHS = (0.4, 0.8, 1.6)


@pytest.fixture
def molecule(randn):
    """Five atoms of two elements."""
    return randn(1, 5, 3), torch.eye(2, dtype=torch.float64)[[0, 1, 1, 0, 1]].T[None]


@pytest.mark.parametrize("l", [0, 2, 5])
def test_radial_functions_are_orthonormal(l):
    r = torch.linspace(0, 25, 50001, dtype=torch.float64)
    f = radial_functions(r.square(), WIDTHS, l) * (r**l)[:, None]
    gram = torch.trapezoid(f[:, :, None] * f[:, None] * r.square()[:, None, None], r, dim=0)
    assert torch.allclose(gram, torch.eye(3, dtype=torch.float64), atol=1e-8)


def test_close_widths_give_an_orthonormal_frame_of_their_span():
    r = torch.linspace(0, 15, 20001, dtype=torch.float64)
    widths = tuple(0.3 * 2 ** (i / 16) for i in range(33))
    f = radial_functions(r.square(), widths, 2) * (r**2)[:, None]
    values = torch.linalg.eigvalsh(torch.trapezoid(f.mT[:, None] * f.mT * r.square(), r))
    assert torch.allclose(values[-12:], torch.ones(12, dtype=torch.float64), atol=1e-3)
    assert -1e-6 < values[0] and values[-1] < 1.001


def test_fields_are_the_sum_over_atoms(molecule):
    positions, weights = molecule
    fields = local_fields(positions, weights, WIDTHS, 2)
    r = positions[0, 3] - positions[0]
    radial = radial_functions(r.square().sum(-1), WIDTHS, 2)
    harmonics = math.sqrt(5 / (4 * math.pi)) * solid_harmonics(r, 2)
    expected = torch.einsum("ek,kj,km->ejm", weights[0], radial, harmonics)
    assert torch.allclose(fields[0, 3], expected)


def test_invariants_are_the_products_over_atoms(molecule):
    positions, weights = molecule
    phi = local_invariants(positions, weights, WIDTHS, 2)
    fields = local_fields(positions, weights, WIDTHS, 1).flatten(2, 3)[0]
    gram = torch.einsum("kam,kbm->ab", fields, fields) / math.sqrt(3)
    rows, columns = torch.triu_indices(6, 6)
    factor = (2 - (rows == columns).double()).sqrt()
    assert torch.allclose(phi[0, 1], factor * gram[rows, columns], rtol=1e-13, atol=1e-15)


def test_the_norm_is_that_of_the_symmetric_matrices(molecule):
    positions, weights = molecule
    phi = local_invariants(positions, weights, WIDTHS, 2)
    norm = 0.0
    for l in range(3):
        fields = local_fields(positions, weights, WIDTHS, l).flatten(2, 3)[0]
        gram = torch.einsum("kam,kbm->ab", fields, fields)
        norm += gram.square().sum() / (2 * l + 1)
    assert torch.allclose(phi.square().sum(), norm)


def test_groups_add_up_to_the_sum_over_all_atoms(molecule):
    positions, weights = molecule
    parts = local_invariants(positions, weights, WIDTHS, 3, groups=weights)
    assert parts.shape == (1, 2, 4, 21)
    assert torch.allclose(parts.sum(1), local_invariants(positions, weights, WIDTHS, 3))
    alone = local_invariants(positions, weights, WIDTHS, 3, groups=torch.eye(5)[:1, None])
    field = local_fields(positions, weights, WIDTHS, 0)[0, 0].flatten()
    assert torch.allclose(alone[0, 0, 0, 0], field[0] ** 2)


def test_products_in_another_type(molecule):
    positions, weights = molecule
    phi = local_invariants(positions, weights, WIDTHS, 2)
    small = local_invariants(positions, weights, WIDTHS, 2, dtype=torch.float32)
    assert small.dtype == torch.float32 and torch.allclose(small.double(), phi, rtol=1e-4)


def test_invariances_and_padding(molecule, randn):
    positions, weights = molecule
    rotation, _ = torch.linalg.qr(randn(3, 3))
    order = torch.tensor([3, 1, 4, 0, 2])
    phi = local_invariants(positions, weights, WIDTHS, 4)
    moved = local_invariants(positions @ rotation.T + 3.0, weights, WIDTHS, 4)
    assert torch.allclose(moved, phi)
    assert torch.allclose(
        local_invariants(positions[:, order], weights[:, :, order], WIDTHS, 4), phi
    )
    padded = torch.cat([positions, positions[:, :1]], 1)
    zeros = torch.zeros(1, 2, 1, dtype=torch.float64)
    assert torch.allclose(local_invariants(padded, torch.cat([weights, zeros], -1), WIDTHS, 4), phi)


def test_gradient(molecule):
    positions, weights = molecule
    positions.requires_grad_()
    assert torch.autograd.gradcheck(lambda r: local_invariants(r, weights, WIDTHS, 2), positions)
