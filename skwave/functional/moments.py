r"""Moments of increments of stationary fields, and the shapes of their excursion sets.

Fields are real, ``(..., H, W)``, and float64 is best. They are periodic unless told: else no pair
of pixels goes across the edges.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

ORDERS = (1, 2, 3, 4, 5)


def increments(x: Tensor, distance: int, *, periodic: bool = True) -> tuple[Tensor, ...]:
    r"""Increments :math:`x(u + \tau) - x(u)` along the axes and the diagonals.

    Parameters
    ----------
    x : Tensor, shape (..., H, W)
        Real fields.
    distance : int
        :math:`r`; the shifts :math:`\tau` are (0, r), (r, 0), (r, r) and (r, -r).
    periodic : bool, default=True
        Whether pairs of pixels go across the edges.

    Returns
    -------
    differences : tuple of 4 Tensor, shape (..., H', W')
        Smaller than the fields by the shift, if they are not periodic.

    Examples
    --------
    >>> [d.tolist() for d in increments(torch.tensor([[0.0, 1.0], [2.0, 4.0]]), 1, periodic=False)]
    [[[1.0], [2.0]], [[2.0, 3.0]], [[4.0]], [[1.0]]]
    """
    r = distance
    if periodic:
        shifts = ((0, r), (r, 0), (r, r), (r, -r))
        return tuple(torch.roll(x, (-dy, -dx), (-2, -1)) - x for dy, dx in shifts)
    top, bottom = x[..., :-r, :], x[..., r:, :]
    return (
        x[..., r:] - x[..., :-r],
        bottom - top,
        bottom[..., r:] - top[..., :-r],
        bottom[..., :-r] - top[..., r:],
    )


def structure_functions(
    x: Tensor,
    distances: tuple[int, ...],
    *,
    orders: tuple[float, ...] = ORDERS,
    periodic: bool = True,
) -> Tensor:
    r"""Moments of increments.

    .. math:: S_q(\tau) = \operatorname{mean}_u |x(u + \tau) - x(u)|^q

    Parameters
    ----------
    x : Tensor, shape (..., H, W)
        Real fields.
    distances : tuple of int
        Distances :math:`r` of `increments`.
    orders : tuple of float, default=(1, 2, 3, 4, 5)
        Orders :math:`q`.
    periodic : bool, default=True
        Whether pairs of pixels go across the edges.

    Returns
    -------
    moments : Tensor, shape (..., 4, n_distances, n_orders)
        For the shifts (0, r), (r, 0), (r, r) and (r, -r).

    References
    ----------
    Frisch, U., Turbulence, Cambridge University Press, 1995, sec. 8.2.

    Examples
    --------
    >>> ramp = torch.arange(8.0).expand(8, 8)
    >>> structure_functions(ramp, (1, 2), orders=(1, 2), periodic=False)[0].tolist()
    [[1.0, 1.0], [2.0, 4.0]]
    """
    moments = []
    for distance in distances:
        moduli = [d.abs() for d in increments(x, distance, periodic=periodic)]
        rows = [torch.stack([_mean_power(d, q) for q in orders], -1) for d in moduli]
        moments.append(torch.stack(rows, -2))
    return torch.stack(moments, -2)


def _mean_power(modulus: Tensor, q: float) -> Tensor:
    if q not in ORDERS:
        return modulus.pow(q).mean((-2, -1))
    power = modulus
    for _ in range(1, int(q)):  # pow is ten times slower
        power = power * modulus
    return power.mean((-2, -1))


def increment_kurtosis(x: Tensor, distances: tuple[int, ...], *, periodic: bool = True) -> Tensor:
    r"""Kurtosis of increments, 3 for Gaussian fields.

    .. math:: K(\tau) = S_4(\tau) / S_2(\tau)^2

    with the structure functions :math:`S_q`, and 0 where all increments are 0. That it rises as
    the distance falls is what is called intermittency.

    Parameters
    ----------
    x : Tensor, shape (..., H, W)
        Real fields.
    distances : tuple of int
        Distances of `increments`.
    periodic : bool, default=True
        Whether pairs of pixels go across the edges.

    Returns
    -------
    kurtosis : Tensor, shape (..., 4, n_distances)
        For the shifts (0, r), (r, 0), (r, r) and (r, -r).

    Examples
    --------
    >>> spike = torch.zeros(10, 10).index_put((torch.tensor(3), torch.tensor(4)), torch.tensor(1.0))
    >>> round(float(increment_kurtosis(spike, (1,))[0, 0]))  # 2 increments of 100 are +-1
    50
    """
    second, fourth = structure_functions(x, distances, orders=(2, 4), periodic=periodic).unbind(-1)
    return kurtosis(second, fourth)


def kurtosis(second: Tensor, fourth: Tensor) -> Tensor:
    """Kurtosis of what has mean 0.

    Parameters
    ----------
    second, fourth : Tensor, shape (...)
        Moments.

    Returns
    -------
    kurtosis : Tensor, shape (...)
        0 where both are 0.
    """
    square = second.square()
    return fourth / torch.where(square > 0, square, 1.0)


def minkowski_functionals(x: Tensor, thresholds: Tensor, *, periodic: bool = True) -> Tensor:
    r"""Area, perimeter and Euler characteristic of the sets where a field is above thresholds.

    Pixels are closed squares, so that those that touch at a corner are connected. With the numbers
    :math:`F, E, V` of squares, edges and vertices of a set, its Euler characteristic, the
    number of its pieces less that of its holes, is

    .. math:: \chi = V - E + F

    and its perimeter is counted in edges between a pixel in the set and one outside.

    Parameters
    ----------
    x : Tensor, shape (..., H, W)
        Real fields.
    thresholds : Tensor, shape (n_thresholds,)
        The set of a threshold :math:`t` is :math:`x \ge t`.
    periodic : bool, default=True
        Whether the fields are. If not, edges of the image are no perimeter.

    Returns
    -------
    functionals : Tensor, shape (..., 3, n_thresholds)
        All three per pixel.

    References
    ----------
    Mantz, H., Jacobs, K. and Mecke, K., Utilizing Minkowski functionals for image analysis: a
    marching square algorithm, J. Stat. Mech. P12015, 2008.

    Examples
    --------
    >>> ring = torch.zeros(6, 6)
    >>> ring[1:4, 1:4] = 1
    >>> ring[2, 2] = 0
    >>> (36 * minkowski_functionals(ring, torch.tensor([0.5])).squeeze()).tolist()
    [8.0, 16.0, 0.0]
    """
    low, high = _pair(x, -1, periodic, torch.minimum), _pair(x, -1, periodic, torch.maximum)
    low_y, high_y = _pair(x, -2, periodic, torch.minimum), _pair(x, -2, periodic, torch.maximum)
    cells = x if periodic else torch.nn.functional.pad(x, (1, 1, 1, 1), value=-math.inf)
    # an edge is in the set if one of its two pixels is, a vertex if one of its four
    beside, above = (_pair(cells, axis, periodic, torch.maximum) for axis in (-1, -2))
    corners = _pair(beside, -2, periodic, torch.maximum)

    def count(values: Tensor) -> Tensor:  # numpydoc ignore=GL08
        ordered = values.flatten(-2).sort(-1).values
        t = thresholds.to(ordered).expand(*ordered.shape[:-1], -1).contiguous()
        return ordered.shape[-1] - torch.searchsorted(ordered, t)

    area = count(x)
    perimeter = count(high) - count(low) + count(high_y) - count(low_y)
    euler = count(corners) - count(beside) - count(above) + area
    return torch.stack((area, perimeter, euler), -2).to(x) / (x.shape[-2] * x.shape[-1])


def _pair(
    x: Tensor, axis: int, periodic: bool, reduce: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    if periodic:
        return reduce(x, x.roll(1, axis))
    n = x.shape[axis]
    return reduce(x.narrow(axis, 0, n - 1), x.narrow(axis, 1, n - 1))
