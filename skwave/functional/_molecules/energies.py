r"""Energies of molecules as sums over atoms: explicit features, and the model they collapse to.

The energy of an atom is a polynomial of degree two of the invariants :math:`\Phi` of its
environment. It is linear in its weights, so that a molecule has features of its own, sums over
its atoms, whose inner product is a kernel of molecules.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from skwave.functional._molecules.atom_derivatives import project_invariants
from skwave.functional._molecules.atoms import row_table, take_rows


class Compression(NamedTuple):
    """Principal components of the environments of each element."""

    mean: Tensor
    """Mean environment, shape (E, F)."""
    axes: Tensor
    """Principal axes, shape (E, F, k)."""
    deviations: Tensor
    """Standard deviations along them, shape (E, k)."""


class EnergyModel(NamedTuple):
    """Weights of the energies of atoms, for ``t`` targets."""

    constant: Tensor
    """Energy of an atom in the mean environment of its element, shape (E, t)."""
    linear: Tensor
    """Weights of its invariants, less their mean, shape (E, F, t)."""
    axes: Tensor
    """What its compressed environment is made by, shape (E, F, k)."""
    quadratic: Tensor
    """Symmetric matrices of the compressed environment, shape (E, k, k, t)."""
    reach: float
    """Length that bounds compressed environments."""


def principal_axes(phi: Tensor, n_components: int) -> tuple[Tensor, Tensor, Tensor]:
    r"""Mean and principal axes of environments.

    Parameters
    ----------
    phi : Tensor, shape (A, F)
        Environments.
    n_components : int
        Number of axes.

    Returns
    -------
    mean : Tensor, shape (F,)
        Mean environment.
    axes : Tensor, shape (F, n_components)
        Orthonormal axes, by decreasing deviation; 0 for those that the environments do not span,
        all of them if there are none.
    deviations : Tensor, shape (n_components,)
        Standard deviations along them.

    Examples
    --------
    >>> mean, axes, deviations = principal_axes(torch.eye(3).double(), 2)
    >>> [round(d, 3) for d in deviations.tolist()]
    [0.577, 0.577]
    """
    n, dim = phi.shape
    if n == 0:  # an element that may occur, but did not
        return phi.new_zeros(dim), phi.new_zeros(dim, n_components), phi.new_zeros(n_components)
    mean = phi.mean(0)
    x = phi - mean
    values, vectors = torch.linalg.eigh((x.T @ x if n > dim else x @ x.T) / n)
    values, vectors = values.flip(0)[:n_components], vectors.flip(1)[:, :n_components]
    known = values > 1e-12 * values[:1]
    deviations = torch.where(known, values.clamp_min(0).sqrt(), 0.0)
    if n <= dim:
        inverse = torch.where(known, 1 / deviations, 0.0) / n**0.5
        vectors = x.T @ vectors * inverse
    axes = phi.new_zeros(dim, n_components)
    axes[:, : len(values)] = vectors * known
    return mean, axes, torch.nn.functional.pad(deviations, (0, n_components - len(values)))


def compress(phi: Tensor, own: Tensor, compression: Compression) -> Tensor:
    r"""Principal components of environments, :math:`z(a) = V_e^T (\Phi(a) - \bar\Phi_e)`.

    Parameters
    ----------
    phi : Tensor, shape (A, F)
        Environments.
    own : Tensor, shape (A,)
        Element of each atom, from 0.
    compression : Compression
        Axes of each element.

    Returns
    -------
    z : Tensor, shape (A, k)
        Components.
    """
    mean, axes, _ = compression
    return project_invariants(phi - mean[own], own, axes)


def whitening(deviations: Tensor, power: float) -> Tensor:
    r"""Factors of components that make them more equal, :math:`\propto \sigma_i^{-p}`.

    .. math:: \sum_i (f_i \sigma_i)^2 = 1

    so that compressed environments have the mean square 1. Components without deviation get 0.

    Parameters
    ----------
    deviations : Tensor, shape (E, k)
        Standard deviations :math:`\sigma_i`.
    power : float
        Exponent :math:`p`: 0 leaves the ratios, 1 makes all components equal.

    Returns
    -------
    factors : Tensor, shape (E, k)
        Factors.
    """
    known = deviations > 0
    factors = torch.where(known, torch.where(known, deviations, 1.0) ** -power, 0.0)
    norm = (factors * deviations).square().sum(-1, keepdim=True).sqrt()
    return factors / torch.where(norm > 0, norm, 1.0)


def saturate(z: Tensor, reach: float) -> Tensor:
    r"""Compressed environments whose length is bounded, so that their squares do not extrapolate.

    .. math:: s(z) = z\, \Big(1 + \frac{|z|^4}{c^4}\Big)^{-1/4}, \qquad |s(z)| < c

    Parameters
    ----------
    z : Tensor, shape (..., k)
        Compressed environments, of the mean square 1 in training.
    reach : float
        Length :math:`c`.

    Returns
    -------
    s : Tensor, shape (..., k)
        Smooth, and ``z`` itself where that is short.
    """
    return z * (1 + (z.square().sum(-1, keepdim=True) / reach**2) ** 2) ** -0.25


def saturate_slopes(z: Tensor, jacobian: Tensor, reach: float) -> Tensor:
    r"""Derivatives of `saturate`.

    .. math:: \partial s = u^{-1/4}\, \partial z - u^{-5/4}\, \frac{|z|^2}{c^4}
       (z \cdot \partial z)\, z, \qquad u = 1 + |z|^4 / c^4

    Parameters
    ----------
    z : Tensor, shape (A, k)
        Compressed environments.
    jacobian : Tensor, shape (R, A, k)
        Their derivatives by ``R`` coordinates.
    reach : float
        Length :math:`c`.

    Returns
    -------
    slopes : Tensor, shape (R, A, k)
        Derivatives.
    """
    r2 = z.square().sum(-1, keepdim=True)
    u = 1 + (r2 / reach**2) ** 2
    along = (jacobian * z).sum(-1, keepdim=True)
    return u**-0.25 * jacobian - u**-1.25 * r2 / reach**4 * along * z


def element_sums(x: Tensor, own: Tensor, molecule: Tensor, n: int, n_elements: int) -> Tensor:
    r"""Sums over the atoms of each element of each molecule.

    Parameters
    ----------
    x : Tensor, shape (A, k)
        What is summed.
    own : Tensor, shape (A,)
        Element of each atom, from 0.
    molecule : Tensor, shape (A,)
        Molecule of each atom, from 0.
    n : int
        Number of molecules.
    n_elements : int
        Number of elements.

    Returns
    -------
    sums : Tensor, shape (n, n_elements, k)
        Sums.
    """
    sums = x.new_zeros(n * n_elements, x.shape[1])
    return sums.index_add_(0, molecule * n_elements + own, x).view(n, n_elements, -1)


def leading_products(deviations: Tensor, n_products: int) -> Tensor:
    r"""Pairs of components whose products vary most, :math:`\sigma_i \sigma_j` largest.

    Parameters
    ----------
    deviations : Tensor, shape (k,)
        Standard deviations :math:`\sigma_i` of the components.
    n_products : int
        Number of pairs; all of them, if there are no more.

    Returns
    -------
    pairs : Tensor, shape (2, D)
        Components :math:`i \le j`, in increasing order.

    Examples
    --------
    >>> leading_products(torch.tensor([4.0, 2.0, 0.5]), 3).T.tolist()
    [[0, 0], [0, 1], [1, 1]]
    """
    pairs = torch.triu_indices(len(deviations), len(deviations), device=deviations.device)
    if n_products >= pairs.shape[1]:
        return pairs
    order = deviations[pairs].prod(0).argsort(descending=True, stable=True)
    return pairs[:, order[:n_products].sort().values]


def product_sums(z: Tensor, molecule: Tensor, n: int, pairs: Tensor) -> Tensor:
    r"""Sums of the products of components over the atoms of molecules.

    .. math:: Q_{ij}(A) = \sqrt{2 - \delta_{ij}} \sum_{a \in A} z_i(a)\, z_j(a), \qquad i \le j

    The inner product of two, of all pairs, is :math:`\sum_{a \in A, b \in B} (z(a) \cdot z(b))^2`.

    Parameters
    ----------
    z : Tensor, shape (A, k)
        Compressed environments.
    molecule : Tensor, shape (A,)
        Molecule of each atom, increasing from 0.
    n : int
        Number of molecules.
    pairs : Tensor, shape (2, D)
        Components of the products.

    Returns
    -------
    q : Tensor, shape (n, D)
        Sums of products.

    Examples
    --------
    >>> z, w = torch.randn(2, 3, 4, dtype=torch.float64)
    >>> zero, pairs = torch.zeros(3, dtype=torch.int64), torch.triu_indices(4, 4)
    >>> kernel = (product_sums(z, zero, 1, pairs) * product_sums(w, zero, 1, pairs)).sum()
    >>> torch.testing.assert_close(kernel, (z @ w.T).square().sum())
    """
    padded = take_rows(z, row_table(molecule, n))
    products = (padded.mT @ padded).flatten(1).index_select(1, pairs[0] * z.shape[1] + pairs[1])
    return products * _multiplicity(pairs, z)


def product_slopes(z: Tensor, jacobian: Tensor, pairs: Tensor) -> Tensor:
    r"""Derivatives of `product_sums` of one molecule.

    .. math:: \frac{\partial Q_{ij}}{\partial r} = \sqrt{2 - \delta_{ij}} \sum_a
       \Big(\frac{\partial z_i(a)}{\partial r} z_j(a) + z_i(a) \frac{\partial z_j(a)}{\partial r}
       \Big)

    Parameters
    ----------
    z : Tensor, shape (A, k)
        Compressed environments.
    jacobian : Tensor, shape (R, A, k)
        Their derivatives by ``R`` coordinates.
    pairs : Tensor, shape (2, D)
        Components of the products.

    Returns
    -------
    slopes : Tensor, shape (R, D)
        Derivatives.
    """
    half = (jacobian.transpose(1, 2).flatten(0, 1) @ z).view(len(jacobian), z.shape[1], -1)
    slopes = (half + half.mT).flatten(1).index_select(1, pairs[0] * z.shape[1] + pairs[1])
    return slopes * _multiplicity(pairs, z)


def symmetric(weights: Tensor, k: int, pairs: Tensor) -> Tensor:
    r"""Symmetric matrices of weights of `product_sums`.

    .. math:: \langle w, Q(z) \rangle = \sum_a z(a)^T M z(a)

    Parameters
    ----------
    weights : Tensor, shape (D, ...)
        Weights :math:`w`.
    k : int
        Number of components.
    pairs : Tensor, shape (2, D)
        Components of the products.

    Returns
    -------
    matrix : Tensor, shape (k, k, ...)
        Matrices :math:`M`; 0 for products that are no features.
    """
    factor = _multiplicity(pairs, weights).view(-1, *[1] * (weights.ndim - 1))
    matrix = weights.new_zeros(k, k, *weights.shape[1:])
    matrix[pairs[0], pairs[1]] = weights * (factor / 2)
    return matrix + matrix.transpose(0, 1)


def _multiplicity(pairs: Tensor, like: Tensor) -> Tensor:
    # roots of how often a product stands in the square of a sum
    return (2 - (pairs[0] == pairs[1]).to(like)).sqrt()


def atomic_energies(phi: Tensor, own: Tensor, mean: Tensor, model: EnergyModel) -> Tensor:
    r"""Energies of atoms in their environments.

    .. math:: \varepsilon(a) = c_e + g_e^T x + s(A_e^T x)^T M_e\, s(A_e^T x), \qquad
       x = \Phi(a) - \bar\Phi_e

    with the bound :math:`s` of `saturate`.

    Parameters
    ----------
    phi : Tensor, shape (A, F)
        Environments.
    own : Tensor, shape (A,)
        Element of each atom, from 0.
    mean : Tensor, shape (E, F)
        Mean environments :math:`\bar\Phi_e`.
    model : EnergyModel
        Weights.

    Returns
    -------
    energies : Tensor, shape (A, t)
        Energies; differentiable. Those of a molecule add up to its energy.
    """
    energies = phi.new_zeros(len(own), model.constant.shape[1])
    for e in range(len(mean)):
        atoms = (own == e).nonzero()[:, 0]
        x = phi.index_select(0, atoms) - mean[e]
        z = saturate(x @ model.axes[e], model.reach)
        of_element = model.constant[e] + x @ model.linear[e]
        of_element = of_element + torch.einsum("ai,ijt,aj->at", z, model.quadratic[e], z)
        energies = energies.index_add(0, atoms, of_element)
    return energies
