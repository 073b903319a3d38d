r"""Derivatives of local invariants by the positions of neighbours, written out.

Fields are sums over neighbours, and invariants are products of two fields, so that
:math:`\partial \Phi_{cc'} = (\partial W_c) W_{c'} + W_c\, \partial W_{c'}`: a neighbour moves the
fields of its own element alone.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from skwave.functional._molecules.atoms import (
    END,
    Environments,
    LocalBasis,
    gaussians,
    orthonormal_mixing,
    radial_weight,
    row_table,
    take_rows,
    triangle,
    weighted_gaussians,
)
from skwave.functional._molecules.solid_harmonics import harmonic_gradients, solid_harmonics_up_to


class Projection(NamedTuple):
    """Linear combinations of invariants, prepared for `projected_jacobian`."""

    matrices: list[Tensor]
    """For each degree, shape (E, E, n_channels, n_widths * k): their derivative by the sums of
    weighted Gaussians times harmonics of an element is the fields times it."""


def project_invariants(phi: Tensor, own: Tensor, weights: Tensor) -> Tensor:
    r"""Linear combinations of the invariants of each atom, of its own element.

    .. math:: z_k(a) = \sum_i w_{e_a, i, k}\, \Phi_i(a)

    Parameters
    ----------
    phi : Tensor, shape (A, L + 1, P)
        Invariants of the atoms.
    own : Tensor, shape (A,)
        Element of each, from 0.
    weights : Tensor, shape (E, (L + 1) * P, k)
        Weights of each element.

    Returns
    -------
    z : Tensor, shape (A, k)
        Combinations, in the type of ``weights``.
    """
    z = weights.new_empty(len(phi), weights.shape[2])
    order = own.argsort(stable=True)
    counts = own.bincount(minlength=len(weights))
    parts = [
        phi[rows].flatten(1).to(weights) @ w
        for rows, w in zip(order.split(counts.tolist()), weights, strict=True)
    ]
    return z.index_copy(0, order, torch.cat(parts))


def projection(weights: Tensor, basis: LocalBasis) -> Projection:
    r"""Prepare linear combinations of invariants for their derivatives.

    .. math:: \frac{\partial z_k}{\partial W_{c\ell m}} = \sum_{c'} S_{k\ell c c'}\,
       W_{c'\ell m}

    where the symmetric matrices :math:`S` are those that the weights stand for. The matrices
    that make the radial functions orthonormal are multiplied in.

    Parameters
    ----------
    weights : Tensor, shape (E, (L + 1) * P, k)
        Weights as `project_invariants` has them.
    basis : LocalBasis
        Functions of the fields.

    Returns
    -------
    projection : Projection
        It serves any number of environments.
    """
    n, n_widths, k = basis.n_channels, len(basis.widths), weights.shape[2]
    flat, factor = triangle(n, weights)
    of_degree = weights.view(len(weights), basis.L + 1, -1, k) * factor[:, None]
    matrices = []
    for l in range(basis.L + 1):
        half = weights.new_zeros(len(weights), n * n, k)
        half[:, flat] = of_degree[:, l] / math.sqrt(2 * l + 1)
        half = half.view(len(weights), n, n, k)
        whole = (half + half.transpose(1, 2)).unflatten(2, (basis.n_elements, n_widths))
        raw = torch.einsum("ecfjk,ji->efcik", whole, _mixing(basis, l).to(weights))
        matrices.append(raw.flatten(3))
    return Projection(matrices)


def projected_jacobian(
    environments: Environments,
    fields: Sequence[Tensor],
    projection: Projection,
    basis: LocalBasis,
) -> Tensor:
    r"""Derivatives of linear combinations of invariants by the positions of the neighbours.

    .. math:: J_{ab} = \frac{\partial z(a)}{\partial r_b}, \qquad
       \frac{\partial z(a)}{\partial r_a} = -\sum_b J_{ab}

    Its time is about that of two products of the fields and the weights for each atom, and
    hardly depends on how many neighbours there are. The virial, from which stress follows, is
    :math:`\sum_{ab} J_{ab} \otimes r_{ab}`.

    Parameters
    ----------
    environments : Environments
        Atoms and their neighbours.
    fields : sequence of Tensor
        Those of `local_fields`.
    projection : Projection
        Weights of the combinations.
    basis : LocalBasis
        Functions of the fields.

    Returns
    -------
    jacobian : Tensor, shape (P, 3, k)
        In the order of the pairs.
    """
    pairs = _PairGradients(environments.vectors, basis)
    n_widths = len(basis.widths)
    k = projection.matrices[0].shape[3] // n_widths
    jacobian = fields[0].new_empty(len(environments.vectors), 3, k)
    for own, element, rows, atoms, table in _blocks(environments, basis.n_elements):
        gradients = take_rows(pairs.of(rows).flatten(2).to(jacobian), table).flatten(1, 2)
        block = jacobian.new_zeros(len(atoms), gradients.shape[1], k)
        for l, w in enumerate(fields):
            # the fields of all m of an atom, times the weights: (atoms, m and width, k)
            mine = w.index_select(1, atoms).transpose(0, 1).flatten(0, 1)
            slopes = (mine @ projection.matrices[l][own, element]).view(len(atoms), -1, k)
            of_degree = slice(l * l * n_widths, (l + 1) ** 2 * n_widths)
            block = block.baddbmm(gradients[:, :, of_degree], slopes)
        jacobian[rows] = block.view(-1, 3, k)[(table < len(rows)).flatten()]
    return jacobian


def summed_jacobian(
    environments: Environments,
    neighbour: Tensor,
    fields: Sequence[Tensor],
    basis: LocalBasis,
    n_atoms: int,
) -> Tensor:
    r"""Derivatives of all invariants, summed over the environments, by the positions of atoms.

    .. math:: J_b = \frac{\partial}{\partial r_b} \sum_a \Phi(a)

    Parameters
    ----------
    environments : Environments
        Atoms and their neighbours. In parts, the results of the parts add up.
    neighbour : Tensor, shape (P,)
        Row of each neighbour among all ``n_atoms``; the first row of ``environments`` is row 0.
    fields : sequence of Tensor
        Those of `local_fields`.
    basis : LocalBasis
        Functions of the fields.
    n_atoms : int
        Number of atoms by which to differentiate.

    Returns
    -------
    jacobian : Tensor, shape (n_atoms, 3, L + 1, n_channels * (n_channels + 1) / 2)
        Derivatives, as many as there are: a molecule has invariants of its own alone.
    """
    vectors, centre, element, _ = environments
    pairs = _PairGradients(vectors, basis)
    n, n_widths = basis.n_channels, len(basis.widths)
    flat, factor = triangle(n, fields[0])
    gradients = pairs.of(slice(None)).to(fields[0])  # (P, 3, harmonics, widths)
    columns = []
    for l, w in enumerate(fields):
        moved = gradients[:, :, l * l : (l + 1) ** 2] @ _mixing(basis, l).to(w)
        # rows of the channels of the neighbour's element: (P, 3 * widths, n)
        change = moved.permute(0, 1, 3, 2).flatten(1, 2) @ w.transpose(0, 1)[centre]
        total = w.new_zeros(n_atoms * basis.n_elements, 3 * n_widths, n)
        total = total.index_add(0, neighbour * basis.n_elements + element, change)
        total = total.index_add(0, centre * basis.n_elements + element, change, alpha=-1)
        total = total.view(n_atoms, basis.n_elements, 3, n_widths, n).transpose(1, 2)
        total = total.reshape(n_atoms, 3, n, n)
        half = (total + total.mT).flatten(2)[:, :, flat]
        columns.append(half * (factor / math.sqrt(2 * l + 1)))
    return torch.stack(columns, 2)


def _mixing(basis: LocalBasis, l: int) -> Tensor:
    return math.sqrt((2 * l + 1) / (4 * math.pi)) * orthonormal_mixing(basis.widths, l)


class _PairGradients:
    # gradients of weighted Gaussians times solid harmonics, for each pair

    def __init__(self, vectors: Tensor, basis: LocalBasis):
        self._vectors = vectors
        self._radial = weighted_gaussians(vectors, basis)
        self._slopes = _radial_slopes(vectors, self._radial, basis)
        self._harmonics = solid_harmonics_up_to(vectors, basis.L)
        g = harmonic_gradients(basis.L).to(vectors)
        self._gradients = (self._harmonics @ g).transpose(0, 1)  # (P, 3, harmonics)

    def of(self, rows: Tensor | slice) -> Tensor:
        """Gradients of some pairs, shape (..., 3, harmonics, widths)."""
        radial, slopes = self._radial[rows][:, None, None], self._slopes[rows][:, None, None]
        along = self._vectors[rows][:, :, None] * self._harmonics[rows][:, None]
        return self._gradients[rows][..., None] * radial + along[..., None] * slopes


def _radial_slopes(vectors: Tensor, radial: Tensor, basis: LocalBasis) -> Tensor:
    # derivatives of the weighted Gaussians by r, over r
    r2 = vectors.square().sum(-1)
    t = ((r2.sqrt() / basis.cutoff - (1 - END)) / END).clamp(0, 1)
    end = -30 * t**2 * (1 - t) ** 2 / (END * basis.cutoff * r2.sqrt())
    power = (r2 / basis.decay_radius**2) ** (basis.decay_power / 2)
    decay = -basis.decay_power * power / (r2 * (1 + power))
    slope = end / (1 + power) + radial_weight(r2, basis) * decay
    inverse = vectors.new_tensor(basis.widths) ** -2
    return slope[:, None] * gaussians(r2, basis.widths) - radial * inverse


def _blocks(
    environments: Environments, n_elements: int
) -> Iterator[tuple[int, int, Tensor, Tensor, Tensor]]:
    # for each element of atoms and of neighbours: pairs, atoms, and a table of the pairs of each
    _, centre, element, own = environments
    place = torch.zeros_like(own)
    for a in range(n_elements):
        atoms = (own == a).nonzero()[:, 0]
        place[atoms] = torch.arange(len(atoms), device=own.device)
        of_own = own[centre] == a
        for b in range(n_elements):
            rows = (of_own & (element == b)).nonzero()[:, 0]
            if len(rows):
                yield a, b, rows, atoms, row_table(place[centre[rows]], len(atoms))
