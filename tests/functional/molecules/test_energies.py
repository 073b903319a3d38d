"""Explicit features of energies against the kernels and sums they stand for."""

import pytest
import torch

from skwave.functional._molecules.energies import (
    Compression,
    EnergyModel,
    atomic_energies,
    compress,
    element_sums,
    leading_products,
    principal_axes,
    product_slopes,
    product_sums,
    saturate,
    saturate_slopes,
    symmetric,
    whitening,
)


@pytest.fixture
def randn():
    generator = torch.Generator().manual_seed(0)
    return lambda *shape: torch.randn(*shape, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("shape", [(40, 6), (6, 40)])
def test_principal_axes_are_those_of_the_singular_value_decomposition(randn, shape):
    phi = randn(*shape) + 3
    mean, axes, deviations = principal_axes(phi, 4)
    _, sizes, right = torch.linalg.svd(phi - phi.mean(0), full_matrices=False)
    torch.testing.assert_close(mean, phi.mean(0))
    torch.testing.assert_close(deviations, sizes[:4] / len(phi) ** 0.5)
    torch.testing.assert_close((axes.T @ right[:4].T).abs(), torch.eye(4).double())


@pytest.mark.parametrize("n", [0, 1, 2])
def test_axes_that_are_not_spanned_are_zero(randn, n):
    _, axes, deviations = principal_axes(randn(n, 5), 8)
    assert axes.shape == (5, 8)
    rank = max(n - 1, 0)
    assert (deviations > 0).sum() == rank
    assert torch.all(axes[:, rank:] == 0)


def test_compressed_environments_are_those_of_each_element(randn):
    phi, own = randn(7, 5), torch.tensor([0, 1, 0, 1, 1, 0, 0])
    compression = Compression(randn(2, 5), randn(2, 5, 3), randn(2, 3).abs())
    z = compress(phi, own, compression)
    for a in range(7):
        expected = (phi[a] - compression.mean[own[a]]) @ compression.axes[own[a]]
        torch.testing.assert_close(z[a], expected)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_whitening_gives_the_mean_square_one(power):
    deviations = torch.tensor([[4.0, 1.0, 0.25], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    factors = whitening(deviations, power)
    sizes = (factors * deviations).square().sum(1)
    torch.testing.assert_close(sizes, torch.tensor([1.0, 1.0, 0.0]))
    ratio = factors[0, 0] / factors[0, 1]
    torch.testing.assert_close(ratio, torch.tensor(4.0**-power))


SOME = torch.tensor([[0, 0, 1, 2], [0, 3, 1, 3]])
ALL = torch.triu_indices(4, 4)


def test_leading_products_are_those_of_the_largest_deviations():
    deviations = torch.tensor([8.0, 4.0, 2.0, 1.0]) ** 1.1
    pairs = leading_products(deviations, 5)
    kept = deviations[pairs].prod(0)
    dropped = [
        float(deviations[i] * deviations[j])
        for i, j in ALL.T.tolist()
        if [i, j] not in pairs.T.tolist()
    ]
    assert pairs.shape == (2, 5)
    assert float(kept.min()) > max(dropped)
    assert torch.equal(leading_products(deviations, 10), ALL)
    assert torch.equal(leading_products(deviations, 99), ALL)


def test_product_sums_have_the_kernel_of_squares(randn):
    z, molecule = randn(6, 4), torch.tensor([0, 0, 1, 1, 1, 3])
    q = product_sums(z, molecule, 4, ALL)
    some = [ALL.T.tolist().index(pair) for pair in SOME.T.tolist()]
    torch.testing.assert_close(product_sums(z, molecule, 4, SOME), q[:, some])
    assert torch.all(q[2] == 0)
    squares = (z @ z.T).square()
    kernel = torch.stack(
        [
            torch.stack([squares[molecule == i][:, molecule == j].sum() for j in range(4)])
            for i in range(4)
        ]
    )
    torch.testing.assert_close(q @ q.T, kernel)


@pytest.mark.parametrize("pairs", [ALL, SOME])
def test_slopes_of_product_sums_are_those_of_autograd(pairs, randn):
    weights, r = randn(3, 5, 4), randn(3)

    def environments(r):
        return torch.sin(torch.einsum("r,rak->ak", r, weights))

    jacobian = torch.autograd.functional.jacobian(environments, r).permute(2, 0, 1)
    zero = torch.zeros(5, dtype=torch.int64)
    expected = torch.autograd.functional.jacobian(
        lambda r: product_sums(environments(r), zero, 1, pairs)[0], r
    )
    torch.testing.assert_close(product_slopes(environments(r), jacobian, pairs), expected.T)


def test_long_environments_are_bounded_and_short_ones_kept(randn):
    z = randn(5, 4)
    torch.testing.assert_close(saturate(1e-3 * z, 2.0), 1e-3 * z)
    torch.testing.assert_close(saturate(1e6 * z, 2.0).norm(dim=1), torch.full((5,), 2.0).double())
    jacobian = torch.autograd.functional.jacobian(lambda z: saturate(z, 2.0), z[0])
    eye = torch.eye(4, dtype=torch.float64)[:, None]
    torch.testing.assert_close(saturate_slopes(z[:1], eye, 2.0)[:, 0].T, jacobian)


@pytest.mark.parametrize("pairs", [ALL, SOME])
def test_weights_of_products_are_a_symmetric_matrix(pairs, randn):
    z, w = randn(5, 4), randn(pairs.shape[1], 2)
    matrix = symmetric(w, 4, pairs)
    zero = torch.zeros(5, dtype=torch.int64)
    expected = torch.einsum("ai,ijt,aj->t", z, matrix, z)
    torch.testing.assert_close(product_sums(z, zero, 1, pairs)[0] @ w, expected)
    torch.testing.assert_close(matrix, matrix.transpose(0, 1))


def test_energies_of_atoms_are_polynomials_of_their_environments(randn):
    phi, own, mean = randn(6, 5), torch.tensor([1, 0, 1, 1, 0, 0]), randn(2, 5)
    model = EnergyModel(randn(2, 2), randn(2, 5, 2), randn(2, 5, 3), randn(2, 3, 3, 2), 2.0)
    energies = atomic_energies(phi, own, mean, model)
    for a, e in enumerate(own.tolist()):
        x = phi[a] - mean[e]
        z = saturate(x @ model.axes[e], 2.0)
        for t in range(2):
            expected = model.constant[e, t] + model.linear[e, :, t] @ x
            expected = expected + z @ model.quadratic[e, :, :, t] @ z
            torch.testing.assert_close(energies[a, t], expected)
    assert torch.autograd.gradcheck(
        lambda x: atomic_energies(x, own, mean, model), phi.clone().requires_grad_()
    )


def test_sums_over_the_atoms_of_elements(randn):
    x, own = randn(5, 3), torch.tensor([0, 1, 0, 0, 1])
    sums = element_sums(x, own, torch.tensor([0, 0, 0, 1, 2]), 3, 2)
    torch.testing.assert_close(sums[0, 0], x[0] + x[2])
    torch.testing.assert_close(sums[2, 1], x[4])
    assert torch.all(sums[1, 1] == 0)
