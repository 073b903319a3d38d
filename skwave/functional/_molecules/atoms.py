r"""Environments of atoms: wavelet fields of their neighbours, and invariants of these fields."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from skwave.functional._molecules.neighbours import Pairs, count_up, pair_vectors
from skwave.functional._molecules.solid_harmonics import solid_harmonics_up_to

# singular values of radial functions below this share of the largest are rounding errors
_RANK = 3e-7
# the weight of a neighbour ends over the last part of the cutoff
END = 0.2


@dataclass(frozen=True)
class LocalBasis:
    """Functions in which the neighbours of an atom are expanded."""

    widths: tuple[float, ...]
    """Widths of the radial functions in Å."""
    L: int
    """Largest degree of the harmonics."""
    n_elements: int
    """Number of elements, each with fields of its own."""
    cutoff: float = 5.0
    """Distance in Å from which on atoms are no neighbours."""
    decay_radius: float = 2.0
    """Distance in Å at which a neighbour counts half."""
    decay_power: float = 8.0
    """How steeply the weight of a neighbour falls there."""

    @property
    def n_channels(self) -> int:  # numpydoc ignore=RT01
        """Number of fields of a degree: elements times widths."""
        return self.n_elements * len(self.widths)


class Environments(NamedTuple):
    """Vectors from atoms to their neighbours, and the elements of both."""

    vectors: Tensor
    """From atoms to their neighbours in Å, shape (P, 3)."""
    centre: Tensor
    """Row of the atom of each pair, increasing, shape (P,)."""
    element: Tensor
    """Element of the neighbour, from 0 to ``n_elements - 1``, shape (P,)."""
    own: Tensor
    """Element of each atom, shape (A,)."""


def local_environments(
    positions: Tensor,
    elements: Tensor,
    pairs: Pairs,
    cells: Tensor | None = None,
    molecule: Tensor | None = None,
) -> Environments:
    """Environments of atoms, from their pairs.

    Parameters
    ----------
    positions : Tensor, shape (A, 3)
        Atoms in Å.
    elements : Tensor, shape (A,)
        Element of each, from 0.
    pairs : Pairs
        Those of `neighbour_pairs`.
    cells : Tensor, shape (M, 3, 3), default=None
        Vectors of the cells as rows. None if nothing is periodic.
    molecule : Tensor, shape (A,), default=None
        Molecule of each atom; needed with ``cells``.

    Returns
    -------
    environments : Environments
        Differentiable in ``positions`` and ``cells``.

    Examples
    --------
    >>> from skwave.functional import neighbour_pairs
    >>> positions = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.74]])
    >>> pairs = neighbour_pairs(positions, torch.tensor([0, 2]), cutoff=5.0)
    >>> hydrogen = local_environments(positions, torch.tensor([0, 0]), pairs)
    >>> hydrogen.vectors.shape
    torch.Size([2, 3])
    """
    vectors = pair_vectors(positions, pairs, cells, molecule)
    return Environments(vectors, pairs.centre, elements[pairs.neighbour], elements)


def split_environments(environments: Environments, size: int) -> list[Environments]:
    """Environments in parts, since fields and invariants take more memory than they.

    Parameters
    ----------
    environments : Environments
        Those of ``A`` atoms.
    size : int
        Largest number of atoms of a part.

    Returns
    -------
    parts : list of Environments
        In the order of the atoms; rows begin with 0 in each.
    """
    vectors, centre, element, own = environments
    starts = range(0, len(own), size)
    bounds = torch.searchsorted(centre, torch.tensor([*starts, len(own)], device=centre.device))
    parts = []
    for start, first, last in zip(starts, bounds.tolist(), bounds[1:].tolist(), strict=False):
        of = slice(first, last)
        atoms = own[start : start + size]
        parts.append(Environments(vectors[of], centre[of] - start, element[of], atoms))
    return parts


def radial_weight(r2: Tensor, basis: LocalBasis) -> Tensor:
    r"""Weight of a neighbour, which falls with the distance and ends smoothly at the cutoff.

    .. math:: u(r) = \frac{s(r)}{1 + (r/r_0)^p}

    with the ``decay_radius`` :math:`r_0`, the ``decay_power`` :math:`p`, and :math:`s` which is 1
    up to four fifths of the cutoff, and then falls to 0 with two continuous derivatives.

    Parameters
    ----------
    r2 : Tensor, shape (...)
        Squared distances, greater than 0.
    basis : LocalBasis
        Radius, power and cutoff.

    Returns
    -------
    u : Tensor, shape (...)
        Weights from 0 to 1.
    """
    t = ((r2.sqrt() / basis.cutoff - (1 - END)) / END).clamp(0, 1)
    end = 1 - t**3 * (10 - 15 * t + 6 * t * t)
    return end / (1 + (r2 / basis.decay_radius**2) ** (basis.decay_power / 2))


def radial_functions(r2: Tensor, widths: tuple[float, ...], l: int) -> Tensor:
    r"""Gaussian radial functions of several widths, made orthonormal.

    .. math:: f_a(r) = \sum_b (O^{-1/2})_{ab}\, r^\ell e^{-r^2/2 s_b^2}, \qquad
       \int_0^\infty f_a f_b\, r^2\, dr = \delta_{ab}

    given without the factor :math:`r^\ell`, which solid harmonics hold. :math:`O` is the matrix
    of the overlaps. Of widths so close that their functions depend on each other to rounding,
    the span is kept.

    Parameters
    ----------
    r2 : Tensor, shape (...)
        Squared distances, whose derivative exists at 0.
    widths : tuple of float
        Widths :math:`s_b`, in the unit of distances.
    l : int
        Degree.

    Returns
    -------
    f : Tensor, shape (..., len(widths))
        Functions over :math:`r^\ell`.
    """
    return gaussians(r2, widths) @ orthonormal_mixing(widths, l).to(r2)


@lru_cache(256)
def orthonormal_mixing(widths: tuple[float, ...], l: int) -> Tensor:
    r"""Matrix :math:`O^{-1/2}` that makes Gaussian radial functions orthonormal.

    Parameters
    ----------
    widths : tuple of float
        Widths of the Gaussians.
    l : int
        Degree.

    Returns
    -------
    mixing : Tensor, shape (len(widths), len(widths))
        Symmetric, in float64.
    """
    with torch.inference_mode(False):  # it is kept for others
        s = torch.tensor(widths, dtype=torch.float64)
        # the functions are smooth, even and vanish: the trapezoidal rule is exact to rounding;
        # their singular values are twice as precise as the eigenvalues of their overlaps
        step = float(s.min()) / 4
        reach = float(s.max()) * (8 + math.sqrt(2 * l))
        r = torch.arange(0, reach, step, dtype=torch.float64)[:, None]
        values = math.sqrt(step) * r ** (l + 1) * torch.exp(-0.5 * (r / s) ** 2)
        _, sizes, axes = torch.linalg.svd(values, full_matrices=False)
        scale = torch.where(sizes > _RANK * sizes[0], 1 / sizes, 0.0)
        return (axes.T * scale) @ axes


def local_fields(environments: Environments, basis: LocalBasis) -> list[Tensor]:
    r"""Wavelet fields of the atoms of each element, at the atoms.

    .. math:: W_{e,j,\ell,m}(r_a) = \delta_{e e_a} f_{j,\ell}(0)\, Y_{\ell m}(0) +
       \sum_{b \in e} u(|r_{ab}|)\, f_{j,\ell}(|r_{ab}|)\, Y_{\ell m}(r_{ab}), \qquad
       r_{ab} = r_b - r_a

    with the weight of `radial_weight`, the functions of `radial_functions` and real orthonormal
    spherical harmonics. The first term, the atom itself, is there for :math:`\ell = 0` alone.

    Parameters
    ----------
    environments : Environments
        Atoms and their neighbours within the cutoff of the basis.
    basis : LocalBasis
        Widths, degrees, elements and the weight.

    Returns
    -------
    fields : list of Tensor, shape (2 * l + 1, A, n_channels)
        For ``l = 0, ..., L``; channels are elements, and for each of them widths.
    """
    vectors, centre, element, own = environments
    n_atoms, n_widths = len(own), len(basis.widths)
    radial, harmonics = weighted_gaussians(vectors, basis), solid_harmonics_up_to(vectors, basis.L)
    table = row_table(centre, n_atoms)
    of_element = nn.functional.one_hot(pad_rows(element)[table], basis.n_elements).to(vectors)
    of_channel = of_element[..., None] * take_rows(radial, table)[:, :, None]
    # the sum over neighbours first, with few functions, then their orthonormal combinations
    raw = take_rows(harmonics, table).mT @ of_channel.flatten(2)
    raw = raw.transpose(0, 1).reshape(len(raw[0]), n_atoms * basis.n_elements, n_widths)
    itself = nn.functional.one_hot(own, basis.n_elements).to(vectors).view(-1, 1)
    fields = []
    for l in range(basis.L + 1):
        sums = raw[l * l : (l + 1) ** 2]
        mixing = math.sqrt((2 * l + 1) / (4 * math.pi)) * orthonormal_mixing(basis.widths, l)
        mixed = (sums + itself if l == 0 else sums) @ mixing.to(vectors)
        fields.append(mixed.view(-1, n_atoms, basis.n_channels))
    return fields


def local_invariants(
    fields: Sequence[Tensor], groups: Tensor | None = None, n_groups: int | None = None
) -> Tensor:
    r"""Products of wavelet fields, which do not change when an environment is turned.

    .. math:: \Phi_{c c' \ell}(a) = \sqrt{\frac{2 - \delta_{c c'}}{2\ell + 1}} \sum_m
       W_{c\ell m}(r_a)\, W_{c'\ell m}(r_a), \qquad c \le c'

    for channels :math:`c = (e, j)`. Half of a symmetric matrix stands for the whole, so that the
    inner product of two :math:`\Phi` is the squared overlap of two environments, averaged over
    all rotations.

    Parameters
    ----------
    fields : sequence of Tensor, shape (2 * l + 1, A, n_channels)
        Those of `local_fields`.
    groups : Tensor, shape (A,), default=None
        Group of each atom, from 0, over which :math:`\Phi` is summed. None for the
        :math:`\Phi` of each atom.
    n_groups : int, default=None
        Number of groups. None for those that there are.

    Returns
    -------
    phi : Tensor, shape (A or n_groups, L + 1, n_channels * (n_channels + 1) / 2)
        Invariants, pairs of channels in the order of ``torch.triu_indices``; differentiable.

    Examples
    --------
    >>> from skwave.functional import local_environments, neighbour_pairs
    >>> positions = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.74]])
    >>> pairs = neighbour_pairs(positions, torch.tensor([0, 2]), cutoff=5.0)
    >>> hydrogen = local_environments(positions, torch.tensor([0, 0]), pairs)
    >>> fields = local_fields(hydrogen, LocalBasis((0.3, 0.6), L=2, n_elements=1))
    >>> local_invariants(fields).shape
    torch.Size([2, 3, 3])
    >>> local_invariants(fields, torch.tensor([0, 0])).shape
    torch.Size([1, 3, 3])
    """
    table = None
    if groups is not None:
        order = groups.argsort(stable=True)
        table = pad_rows(order, len(groups))[row_table(groups[order], n_groups)].T
    flat, factor = triangle(fields[0].shape[-1], fields[0])
    products = []
    for w in fields:
        if table is not None:  # the products of the atoms of a group at once
            n_rows = table.shape[0] * len(w)
            w = pad_rows(w.transpose(0, 1)).transpose(0, 1)
            w = w.index_select(1, table.flatten()).view(n_rows, table.shape[1], -1)
        products.append((w.permute(1, 2, 0) @ w.transpose(0, 1)).flatten(1).index_select(1, flat))
    norm = factor.new_tensor([2 * l + 1 for l in range(len(fields))]).rsqrt()
    return torch.stack(products, 1) * (factor * norm[:, None])


def triangle(n: int, like: Tensor) -> tuple[Tensor, Tensor]:
    r"""Half of a symmetric matrix that stands for the whole.

    Parameters
    ----------
    n : int
        Rows of the matrix.
    like : Tensor
        What type and device the factors are to have.

    Returns
    -------
    flat : Tensor, shape (n * (n + 1) / 2,)
        Entries of the upper triangle in the flattened matrix.
    factor : Tensor, shape (n * (n + 1) / 2,)
        Their factors: :math:`\sqrt 2` off the diagonal, where they stand for two.
    """
    rows, columns = torch.triu_indices(n, n, device=like.device)
    return rows * n + columns, (2 - (rows == columns).to(like)).sqrt()


def weighted_gaussians(vectors: Tensor, basis: LocalBasis) -> Tensor:
    r"""Gaussians times the weight of a neighbour, :math:`u(r)\, e^{-r^2/2s_j^2}`.

    Parameters
    ----------
    vectors : Tensor, shape (..., 3)
        Vectors to neighbours.
    basis : LocalBasis
        Widths and the weight.

    Returns
    -------
    g : Tensor, shape (..., len(basis.widths))
        Values.
    """
    r2 = vectors.square().sum(-1)
    return radial_weight(r2, basis)[..., None] * gaussians(r2, basis.widths)


def gaussians(r2: Tensor, widths: tuple[float, ...]) -> Tensor:
    r"""Gaussians of several widths, :math:`e^{-r^2/2s_j^2}`.

    Parameters
    ----------
    r2 : Tensor, shape (...)
        Squared distances.
    widths : tuple of float
        Widths :math:`s_j`.

    Returns
    -------
    g : Tensor, shape (..., len(widths))
        Values.
    """
    exponents = -0.5 * torch.tensor(widths, dtype=r2.dtype, device=r2.device) ** -2
    return torch.exp(r2[..., None] * exponents)


def row_table(group: Tensor, n_groups: int | None = None) -> Tensor:
    """Rows of each group, filled up to the size of the largest.

    Parameters
    ----------
    group : Tensor, shape (n,)
        Group of each row, increasing.
    n_groups : int, default=None
        Number of groups. None for those that there are.

    Returns
    -------
    table : Tensor, shape (n_groups, size)
        Rows, then ``n``, the row that `pad_rows` adds.
    """
    counts = group.bincount(minlength=n_groups or 0)
    rank, _ = count_up(counts)
    table = group.new_full((len(counts), int(counts.max()) if len(counts) else 0), len(group))
    table[group, rank] = torch.arange(len(group), device=group.device)
    return table


def pad_rows(x: Tensor, value: float = 0) -> Tensor:
    """Add a row of zeros, or of another value.

    Parameters
    ----------
    x : Tensor, shape (n, ...)
        Rows.
    value : float, default=0
        Value of the row that is added.

    Returns
    -------
    padded : Tensor, shape (n + 1, ...)
        Rows, and one more.
    """
    return torch.cat([x, x.new_full((1, *x.shape[1:]), value)])


def take_rows(x: Tensor, table: Tensor) -> Tensor:
    """Rows by a table that `row_table` gives.

    Parameters
    ----------
    x : Tensor, shape (n, ...)
        Rows.
    table : Tensor of int, shape (a, b)
        Which; ``n`` for a row of zeros.

    Returns
    -------
    rows : Tensor, shape (a, b, ...)
        Rows.
    """
    return pad_rows(x).index_select(0, table.flatten()).unflatten(0, table.shape)
