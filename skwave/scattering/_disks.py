r"""Scattering disks: the Fourier plane cut into one sector for each path of an image."""

from itertools import product
from math import pi

import numpy as np


def wave_angle(theta, L):
    r"""Direction of the wave vector of a wavelet, in an image whose rows go down.

    The wave vector of orientation :math:`\theta` makes the angle
    :math:`(\lfloor L - L/2 - 1\rfloor - \theta)\,\pi/L` with the first axis, towards the second
    (`skwave.functional.morlet_2d`).

    Parameters
    ----------
    theta : int
        Index of the orientation.
    L : int
        Number of orientations.

    Returns
    -------
    angle : float
        From the second axis, that points right, to the first, that points down; in radians.

    Examples
    --------
    >>> wave_angle(3, 8) == pi / 2  # straight down: the crests are horizontal
    True
    """
    return pi / 2 - (int(L - L / 2 - 1) - theta) * pi / L


def disk_sectors(j, theta, L):
    r"""Cut a disk of radius 1 into sectors, one for each path.

    The first wavelet has a sector of width :math:`\pi/L` around its wave vector, in a ring:
    the finest scale is outermost, all rings are of one thickness. A second wavelet has a
    part of that sector, cut in the same way: its scales finest outside, its orientations
    one after the other.

    Parameters
    ----------
    j : ndarray, shape (n_paths, order)
        Scales of the wavelets of each path.
    theta : ndarray of int, shape (n_paths, order)
        Their orientations.
    L : int
        Number of orientations.

    Returns
    -------
    sectors : ndarray, shape (n_paths, 4)
        Inner radius, outer radius, first and last angle in radians.
    """
    scales = np.unique(j[:, 0])
    ring = 1 / (len(scales) + 1)
    outer = 1 - ring * np.searchsorted(scales, j[:, 0])
    first, width = wave_angle(theta[:, 0], L) - pi / L / 2, pi / L
    if j.shape[1] == 1:
        return np.stack([outer - ring, outer, first, first + width], axis=1)
    thickness, position = np.empty(len(j)), np.empty(len(j))
    for scale in scales:
        rows = j[:, 0] == scale
        following = np.unique(j[rows, 1])
        thickness[rows] = ring / len(following)
        position[rows] = np.searchsorted(following, j[rows, 1])
    outer, first, width = outer - thickness * position, first + theta[:, 1] * width / L, width / L
    return np.stack([outer - thickness, outer, first, first + width], axis=1)


def draw_disks(ax, values, j, theta, positions=()):
    """Draw one disk, or one at each position of a grid.

    Parameters
    ----------
    ax : matplotlib Axes
        Where to draw.
    values : ndarray, shape (n_paths, *grid)
        Values of the sectors.
    j, theta : ndarray, shape (n_paths, order)
        Scales and orientations, see `disk_sectors`.
    positions : tuple of ndarray, default=()
        Rows and columns of the grid, in pixels; empty for a single disk.

    Returns
    -------
    sectors : PatchCollection
        Position after position, path after path, each sector followed by the opposite one.
    """
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Wedge

    sectors = disk_sectors(j, theta, theta.max() + 1)
    sectors[:, 2:] = np.degrees(sectors[:, 2:])
    centres, radius = _place(ax, positions, np.unique(j[:, 0]))
    wedges = [
        Wedge(centre, radius * outer, first + turn, last + turn, width=radius * (outer - inner))
        for centre, (inner, outer, first, last), turn in product(centres, sectors, (0, 180))
    ]
    collection = PatchCollection(wedges, edgecolor="face", linewidth=0.2)
    collection.set_array(np.repeat(values.reshape(len(j), -1).T.ravel(), 2))
    return ax.add_collection(collection)


def _place(ax, positions, scales):
    # centres (x, y) and radius of the disks; the axis of rows points down
    ax.set_aspect("equal")
    if not positions:
        rings = 1 - (np.arange(len(scales)) + 0.5) / (len(scales) + 1)
        ax.set(xlim=(-1.02, 1.02), ylim=(1.02, -1.02), yticks=[])
        ax.set_xticks(rings, [f"{j:g}" for j in scales])
        ax.set(xlabel="horizontal frequency, rings of scale j", ylabel="vertical frequency")
        return [(0, 0)], 1.0
    y, x = positions
    step = max(np.diff(axis).max(initial=1) for axis in positions)
    ax.set(xlim=(x[0] - step / 2, x[-1] + step / 2), ylim=(y[-1] + step / 2, y[0] - step / 2))
    ax.set(xlabel="column (pixels)", ylabel="row (pixels)")
    return [(column, row) for row, column in product(y, x)], 0.48 * step
