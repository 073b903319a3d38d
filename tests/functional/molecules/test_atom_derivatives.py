"""Derivatives of local invariants, against those of autograd."""

import pytest
import torch

from skwave.functional import (
    LocalBasis,
    local_environments,
    local_fields,
    local_invariants,
    neighbour_pairs,
    project_invariants,
    projected_jacobian,
    projection,
    summed_jacobian,
)
from skwave.functional._molecules.atoms import split_environments

BASIS = LocalBasis((0.4, 0.7, 1.2), L=3, n_elements=3, cutoff=3.0, decay_radius=1.5)
OFFSETS = torch.tensor([0, 5, 6, 10])
# none of the element 1 in the first molecules, and an atom without neighbours
ELEMENTS = torch.tensor([0, 2, 2, 0, 2, 0, 1, 1, 0, 2])


@pytest.fixture(params=["molecules", "cells"])
def case(request, randn):
    """Ten atoms, their pairs, and cells if any."""
    positions, cells, periodic = 1.2 * randn(10, 3), None, None
    if request.param == "cells":
        cells = 3.5 * torch.eye(3).double() + 0.2 * randn(3, 3, 3)
        periodic = torch.tensor([[True, True, True], [False] * 3, [True, False, False]])
    pairs = neighbour_pairs(positions, OFFSETS, BASIS.cutoff, cells, periodic)
    molecule = torch.repeat_interleave(torch.arange(3), OFFSETS.diff())
    return positions, pairs, cells, molecule


def invariants(positions, pairs, cells, molecule):
    environments = local_environments(positions, ELEMENTS, pairs, cells, molecule)
    return environments, local_fields(environments, BASIS)


def test_combinations_are_those_of_the_own_element(case, randn):
    _, fields = invariants(*case)
    phi = local_invariants(fields)
    weights = randn(3, phi[0].numel(), 4)
    z = project_invariants(phi, ELEMENTS, weights)
    expected = torch.einsum("ai,aik->ak", phi.flatten(1), weights[ELEMENTS])
    assert torch.allclose(z, expected)


def test_projected_jacobian_is_that_of_autograd(case, randn):
    positions, pairs, *rest = case
    environments, fields = invariants(*case)
    weights = randn(3, local_invariants(fields)[0].numel(), 4)
    jacobian = projected_jacobian(environments, fields, projection(weights, BASIS), BASIS)
    assert jacobian.shape == (len(pairs.centre), 3, 4)

    def z(r):
        _, fields = invariants(r, pairs, *rest)
        return project_invariants(local_invariants(fields), ELEMENTS, weights)

    expected = torch.autograd.functional.jacobian(z, positions)  # (atoms, k, atoms, 3)
    found = torch.zeros_like(expected).permute(0, 2, 3, 1).contiguous()
    found.index_put_((pairs.centre, pairs.neighbour), jacobian, accumulate=True)
    found.index_put_((pairs.centre, pairs.centre), -jacobian, accumulate=True)
    assert torch.allclose(found.permute(0, 3, 1, 2), expected, atol=1e-9)


def test_summed_jacobian_is_that_of_autograd(case):
    positions, pairs, *rest = case
    environments, fields = invariants(*case)
    jacobian = summed_jacobian(environments, pairs.neighbour, fields, BASIS, 10)
    expected = torch.autograd.functional.jacobian(
        lambda r: local_invariants(invariants(r, pairs, *rest)[1]).sum(0), positions
    )
    assert torch.allclose(jacobian, expected.permute(2, 3, 0, 1), atol=1e-9)


def test_parts_give_the_jacobian_of_the_whole(case, randn):
    environments, fields = invariants(*case)
    weights = projection(randn(3, local_invariants(fields)[0].numel(), 2), BASIS)
    whole = projected_jacobian(environments, fields, weights, BASIS)
    parts = [
        projected_jacobian(part, local_fields(part, BASIS), weights, BASIS)
        for part in split_environments(environments, 3)
    ]
    assert torch.allclose(torch.cat(parts), whole, atol=1e-10)


def test_virial_is_the_derivative_by_strain(case, randn):
    positions, pairs, cells, molecule = case
    environments, fields = invariants(*case)
    weights = randn(3, local_invariants(fields)[0].numel(), 1)
    jacobian = projected_jacobian(environments, fields, projection(weights, BASIS), BASIS)
    virial = torch.einsum("pj,pi->ij", jacobian[..., 0], environments.vectors)

    def energy(strain):
        deformation = torch.eye(3).double() + strain
        strained = None if cells is None else cells @ deformation
        _, fields = invariants(positions @ deformation, pairs, strained, molecule)
        return project_invariants(local_invariants(fields), ELEMENTS, weights).sum()

    expected = torch.autograd.functional.jacobian(energy, torch.zeros(3, 3, dtype=torch.float64))
    assert torch.allclose(virial, expected, atol=1e-9)


def test_pairs_at_the_cutoff_have_no_derivative(randn):
    r = torch.tensor([[0.0, 0, 0], [3 - 1e-9, 0, 0]], dtype=torch.float64)
    pairs = neighbour_pairs(r, torch.tensor([0, 2]), 3.0)
    environments = local_environments(r, torch.tensor([0, 0]), pairs)
    fields = local_fields(environments, BASIS)
    jacobian = summed_jacobian(environments, pairs.neighbour, fields, BASIS, 2)
    assert jacobian.isfinite().all() and float(jacobian.abs().max()) < 1e-12
