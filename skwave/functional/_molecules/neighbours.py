r"""Pairs of near atoms, by cells: their number and cost grow linearly with the number of atoms."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from skwave.functional._wavelets.fourier import widest_float


class Pairs(NamedTuple):
    """Atoms and their neighbours; of a pair in both orders."""

    centre: Tensor
    """Rows of the atoms, increasing, shape (P,)."""
    neighbour: Tensor
    """Rows of their neighbours, shape (P,)."""
    shift: Tensor
    """Whole numbers of cell vectors from a neighbour to its image, shape (P, 3)."""


class _Images(NamedTuple):
    # what stands around: atoms, in which image of the cell, and the image that is the atom itself
    atom: Tensor
    shift: Tensor
    home: Tensor


def neighbour_pairs(
    positions: Tensor,
    offsets: Tensor,
    cutoff: float,
    cells: Tensor | None = None,
    periodic: Tensor | None = None,
) -> Pairs:
    r"""Pairs of atoms of the same molecule, or of images in a crystal, nearer than a distance.

    .. math:: \{(a, b, s) : |r_b + s\,h - r_a| < r_c,\ (b, s) \ne (a, 0)\}

    where the rows of :math:`h` are the vectors of the cell. Space is divided into boxes of the
    size :math:`r_c`, and an atom is compared with those of its own and the adjacent boxes.

    Parameters
    ----------
    positions : Tensor, shape (A, 3)
        Atoms of all molecules, in Å.
    offsets : Tensor, shape (M + 1,)
        Molecule ``i`` has the atoms ``offsets[i]`` to ``offsets[i + 1] - 1``.
    cutoff : float
        Distance :math:`r_c` in Å.
    cells : Tensor, shape (M, 3, 3), default=None
        Vectors of the cells as rows. None if nothing is periodic.
    periodic : Tensor of bool, shape (M, 3), default=None
        Along which of its vectors a molecule is periodic. None if along none.

    Returns
    -------
    pairs : Pairs
        In the order of their centres.

    Examples
    --------
    >>> positions = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.7], [0.0, 0.0, 9.0]])
    >>> pairs = neighbour_pairs(positions, torch.tensor([0, 3]), 5.0)
    >>> pairs.centre.tolist(), pairs.neighbour.tolist()
    ([0, 1], [1, 0])
    """
    positions = positions.detach().to(widest_float(positions.device))
    n = len(offsets) - 1
    molecule = torch.arange(n, device=positions.device).repeat_interleave(offsets.diff())
    images = _images(positions, offsets, cutoff, cells, periodic)
    around, centres = positions[images.atom], positions
    if cells is not None:
        h = cells.detach().to(positions)[molecule]
        around = around + _translation(images.shift, h[images.atom])
        centres = centres + _translation(images.home, h)
    i, k = _candidates(centres, molecule, around, molecule[images.atom], n, cutoff)
    shift = images.shift[k] - images.home[i]
    near = (around[k] - centres[i]).square().sum(-1) < cutoff**2
    near &= (images.atom[k] != i) | (shift != 0).any(-1)
    return Pairs(i[near], images.atom[k[near]], shift[near])


def pair_vectors(
    positions: Tensor, pairs: Pairs, cells: Tensor | None = None, molecule: Tensor | None = None
) -> Tensor:
    r"""Vectors from atoms to their neighbours, :math:`r_b + s\,h - r_a`.

    Parameters
    ----------
    positions : Tensor, shape (A, 3)
        Atoms.
    pairs : Pairs
        Pairs of them.
    cells : Tensor, shape (M, 3, 3), default=None
        Vectors of the cells as rows. None if nothing is periodic.
    molecule : Tensor, shape (A,), default=None
        Molecule of each atom; needed with ``cells``.

    Returns
    -------
    vectors : Tensor, shape (P, 3)
        Differentiable in ``positions`` and ``cells``, so that the derivative by a strain of both
        gives the stress.
    """
    vectors = positions.index_select(0, pairs.neighbour) - positions.index_select(0, pairs.centre)
    if cells is None or molecule is None:
        return vectors
    return vectors + _translation(pairs.shift, cells[molecule[pairs.centre]])


def count_up(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers from 0 in each of some groups, and the group of each number.

    Parameters
    ----------
    counts : Tensor, shape (n,)
        Sizes of the groups.

    Returns
    -------
    rank, group : Tensor, shape (counts.sum(),)
        ``0, ..., counts[0] - 1, 0, ..., counts[1] - 1, ...``, and ``0, ..., 0, 1, ..., 1, ...``.
    """
    group = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
    start = counts.cumsum(0) - counts
    return torch.arange(len(group), device=counts.device) - start[group], group


def _translation(shift: Tensor, cells: Tensor) -> Tensor:
    return (shift.to(cells)[:, None] @ cells)[:, 0]


def _candidates(
    centres: Tensor, own: Tensor, around: Tensor, molecule: Tensor, n: int, size: float
) -> tuple[Tensor, Tensor]:
    # rows of centres and of what is around them, of adjacent boxes of the same molecule; boxes
    # begin at its lowest atoms, so that the order of pairs does not depend on other molecules
    low = around.new_full((n, 3), torch.inf)
    low = low.scatter_reduce(0, molecule[:, None].expand(-1, 3), around, "amin")
    box = ((around - low[molecule]) / size).floor().long() + 1
    sides = (box.amax(0) if len(around) else box.new_ones(3)) + 2

    def key(box: Tensor, molecule: Tensor) -> Tensor:  # numpydoc ignore=GL08
        x, y, z = box.unbind(-1)
        return ((molecule * sides[0] + x) * sides[1] + y) * sides[2] + z

    keys, order = key(box, molecule).sort(stable=True)
    steps = torch.cartesian_prod(*2 * [torch.arange(-1, 2, device=keys.device)])
    steps = nn.functional.pad(steps, (0, 1), value=-1)
    # boxes that follow each other along z have consecutive keys: nine rows of three boxes each
    box = ((centres - low[own]) / size).floor().long() + 1
    first = key(box[:, None] + steps, own[:, None])
    start = torch.searchsorted(keys, first.flatten())
    stop = torch.searchsorted(keys, first.flatten() + 2, right=True)
    rank, row = count_up(stop - start)
    return row // len(steps), order[start[row] + rank]


def _images(
    positions: Tensor,
    offsets: Tensor,
    cutoff: float,
    cells: Tensor | None,
    periodic: Tensor | None,
) -> _Images:
    # the atoms, moved into their cells, and their images not farther from it than the cutoff
    atom = torch.arange(len(positions), device=positions.device)
    home = atom.new_zeros(len(atom), 3)
    if cells is None or periodic is None or not bool(periodic.any()):
        return _Images(atom, home, home)
    atoms, shifts = [], []
    for i in range(len(cells)):
        mine = slice(int(offsets[i]), int(offsets[i + 1]))
        moved, shift, row = _images_of_cell(positions[mine], cells[i], periodic[i], cutoff)
        home[mine] = moved
        atoms.append(atom[mine][row])
        shifts.append(shift)
    return _Images(torch.cat(atoms), torch.cat(shifts), home)


def _images_of_cell(
    positions: Tensor, cell: Tensor, periodic: Tensor, cutoff: float
) -> tuple[Tensor, Tensor, Tensor]:
    # shifts into the cell, then the shifts and rows of the images within reach
    dual = torch.linalg.pinv(cell.detach().to(positions)[periodic])  # (3, directions)
    fractions = positions @ dual
    home = torch.zeros_like(positions, dtype=torch.int64)
    home[:, periodic] = -fractions.floor().long()
    fractions = fractions - fractions.floor()
    reach = cutoff * torch.linalg.vector_norm(dual, dim=0)
    ranges = [torch.arange(-int(k), int(k) + 1) for k in reach.ceil()]
    steps = torch.cartesian_prod(*ranges).view(-1, len(reach)) if ranges else torch.zeros(1, 0)
    steps = steps.to(home)
    moved = fractions + steps[:, None]
    image, row = ((moved >= -reach) & (moved < 1 + reach)).all(-1).nonzero(as_tuple=True)
    shift = home[row]
    shift[:, periodic] += steps[image]
    return home, shift, row
