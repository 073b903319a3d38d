r"""Statistics of stationary fields: increments, excursion sets, spectra and bispectra.

Fields are real, ``(..., H, W)``, and float64 is best. They are periodic by default; if not, no
pair of pixels goes across the edges.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from skwave.functional._wavelets.fourier import wavenumbers

ORDERS = (1, 2, 3, 4, 5)


def increments(x: Tensor, distance: int, *, periodic: bool = True) -> tuple[Tensor, ...]:
    r"""Increments :math:`x(u + \tau) - x(u)` of fields along the axes and the diagonals.

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
    r"""Structure functions: absolute moments of the increments of fields.

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
    r"""Kurtosis of the increments of fields, 3 for Gaussian fields.

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
    """Kurtosis from second and fourth moments about a mean of 0.

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
    r"""Area, perimeter and Euler characteristic of the sets where fields exceed thresholds.

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


def _radii(x: Tensor) -> Tensor:
    # radii of the frequencies of a real transform, in radians per pixel
    height, width = x.shape[-2:]
    y = wavenumbers(height, device=x.device)[:, None].to(x.dtype) / height
    return (
        2
        * math.pi
        * torch.hypot(y, wavenumbers(width, half=True, device=x.device).to(x.dtype) / width)
    )


def hann_window(x: Tensor) -> Tensor:
    """Hann window of mean square 1, for fields that are not periodic.

    Parameters
    ----------
    x : Tensor, shape (..., H, W)
        Gives the shape, the type and the device. An axis of one sample has none.

    Returns
    -------
    window : Tensor, shape (H, W)
        Positive.
    """
    rows, columns = (
        torch.sin(math.pi * (torch.arange(n, dtype=x.dtype, device=x.device) + 0.5) / n).square()
        for n in x.shape[-2:]
    )
    window = rows[:, None] * columns
    return window / window.square().mean().sqrt()


def windowed(x: Tensor, periodic: bool) -> Tensor:
    """Fields less their means, times a Hann window if they are not periodic.

    Parameters
    ----------
    x : Tensor, shape (..., H, W)
        Real fields.
    periodic : bool
        Whether they are.

    Returns
    -------
    y : Tensor, shape (..., H, W)
        Of about the same variance; its spectrum is not that of jumps at the border.
    """
    if periodic:
        return x - x.mean((-2, -1), keepdim=True)
    window = hann_window(x)
    mean = (window * x).sum((-2, -1), keepdim=True) / window.sum()
    return window * (x - mean)


def power_spectrum(
    x: Tensor, *, bins_per_octave: int = 4, periodic: bool = True
) -> tuple[Tensor, Tensor]:
    r"""Power spectrum of fields, averaged over rings of frequencies.

    .. math:: P(k) = \frac{1}{H W} \operatorname{mean}_{|\omega| \in \text{ring } k}
       |\hat x(\omega)|^2

    Its mean over all frequencies, each ring weighted by what it holds, is the variance.

    Parameters
    ----------
    x : Tensor, shape (..., H, W)
        Real fields.
    bins_per_octave : int, default=4
        Rings in each octave, from the lowest frequency to the corner; those that hold no
        frequency are left out.
    periodic : bool, default=True
        Whether the fields are; else they are multiplied by a Hann window.

    Returns
    -------
    omega : Tensor, shape (n_rings,)
        Mean frequency of each ring, in radians per pixel.
    power : Tensor, shape (..., n_rings)
        Spectrum.

    Examples
    --------
    >>> row = torch.arange(32, dtype=torch.float64) * 2 * math.pi / 8
    >>> omega, power = power_spectrum(torch.cos(row).expand(32, 32))
    >>> round(float(omega[power.argmax()]) * 8 / (2 * math.pi), 1)  # one period is 8 pixels
    1.0
    """
    omega = _radii(x)
    lowest = omega[omega > 0].min()
    ring = torch.round(bins_per_octave * torch.log2(omega / lowest)).clamp(min=-1).long() + 1
    # columns that stand for themselves and for their conjugates
    weight = torch.full_like(omega, 2.0)
    weight[:, 0] = 1
    if x.shape[-1] % 2 == 0:
        weight[:, -1] = 1
    n = int(ring.max()) + 1
    ring, power = ring.flatten(), torch.fft.rfft2(windowed(x, periodic)).abs().square()
    power = (power * weight / omega.new_tensor(x.shape[-2:]).prod()).flatten(-2)
    total = power.new_zeros(*power.shape[:-1], n).index_add_(-1, ring, power)
    count, omega = (
        omega.new_zeros(n).index_add_(0, ring, values.flatten())
        for values in (weight, weight * omega)
    )
    kept = (count > 0) & (omega > 0)
    return (omega / count)[kept], (total / count)[..., kept]


def _n_rings(shape: tuple[int, int]) -> int:
    return int(2 * math.log2(min(shape) / 6) + 1e-9)


def bispectrum_triangles(shape: tuple[int, int]) -> list[tuple[int, int, int]]:
    r"""Triangles of the rings of frequencies of `bispectrum`, by their numbers.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the field.

    Returns
    -------
    triangles : list of (int, int, int)
        Equilateral ones :math:`(i, i, i)`; flattened ones :math:`(i, i, i + 2)`, whose longest
        side is twice the others; squeezed ones :math:`(0, i, i)`, with the lowest frequencies.

    Examples
    --------
    >>> bispectrum_triangles((24, 24))
    [(0, 0, 0), (1, 1, 1), (2, 2, 2), (3, 3, 3), (0, 0, 2), (1, 1, 3), (0, 2, 2), (0, 3, 3)]
    """
    n = _n_rings(shape)
    equilateral = [(i, i, i) for i in range(n)]
    flattened = [(i, i, i + 2) for i in range(n - 2)]
    return equilateral + flattened + [(0, i, i) for i in range(2, n)]


def bispectrum(
    x: Tensor, *, triangles: list[tuple[int, int, int]] | None = None, periodic: bool = True
) -> Tensor:
    r"""Bispectrum of fields over triangles of rings of frequencies, normalised.

    .. math:: b(i, j, k) = \frac{\langle x_i x_j x_k \rangle}
       {\sqrt{\langle x_i^2 \rangle \langle x_j^2 \rangle \langle x_k^2 \rangle}}

    with :math:`x_i` the part of the field whose frequencies are in the ring :math:`i`, and means
    over the pixels. The mean of the product is the sum of :math:`\hat x(\omega_1) \hat x(\omega_2)
    \hat x(\omega_3)` over the triangles :math:`\omega_1 + \omega_2 + \omega_3 = 0` with one corner
    in each ring. It is 0 for Gaussian fields, up to their scatter.

    Parameters
    ----------
    x : Tensor, shape (..., H, W)
        Real fields.
    triangles : list of (int, int, int), default=None
        Rings, those of `bispectrum_triangles` if None. Rings are half an octave wide and end
        at two thirds of the highest frequency of an axis, beyond which triangles would close by
        aliasing; ring 0 begins at two periods over the shorter side, or just above.
    periodic : bool, default=True
        Whether the fields are; else they are multiplied by a Hann window.

    Returns
    -------
    b : Tensor, shape (..., n_triangles)
        Normalised bispectrum.

    References
    ----------
    Scoccimarro, R., Fast estimators for redshift-space clustering, Phys. Rev. D 92, 083532, 2015.

    Examples
    --------
    >>> x = torch.randn(32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> skewed = (x + x.roll(1, 0) + x.roll(1, 1)).exp()
    >>> bool(bispectrum(skewed).mean() > 4 * bispectrum(x).abs().mean())
    True
    """
    shape = x.shape[-2], x.shape[-1]
    triangles = bispectrum_triangles(shape) if triangles is None else triangles
    if not triangles:
        return x.new_zeros(*x.shape[:-2], 0)
    n = _n_rings(shape)
    omega, x_hat = _radii(x), torch.fft.rfft2(windowed(x, periodic))
    ring = n + torch.floor(2 * torch.log2(omega / (2 * math.pi / 3)))
    used = sorted({i for triangle in triangles for i in triangle})
    parts = {i: torch.fft.irfft2(x_hat * (ring == i), s=shape) for i in used}
    parts = {i: p / p.square().mean((-2, -1), keepdim=True).sqrt() for i, p in parts.items()}
    return torch.stack(
        [(parts[i] * parts[j] * parts[k]).mean((-2, -1)) for i, j, k in triangles], -1
    )


def shift_correlation(x: Tensor, y: Tensor) -> Tensor:
    r"""Largest correlation of two fields over all their circular shifts.

    .. math:: \max_\tau \frac{\operatorname{mean}_u (x(u) - \bar x)(y(u + \tau) - \bar y)}
       {\sigma_x \sigma_y}

    Parameters
    ----------
    x, y : Tensor, shape (..., H, W)
        Real fields, whose leading axes broadcast.

    Returns
    -------
    correlation : Tensor, shape (...)
        1 if one is a shift of the other.

    Examples
    --------
    >>> x = torch.randn(8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> round(float(shift_correlation(x, 2 * x.roll((3, 1), (0, 1)) + 5)), 6)
    1.0
    """
    x_hat, y_hat = (torch.fft.rfft2(windowed(z, True)) for z in (x, y))
    product = torch.fft.irfft2(x_hat.conj() * y_hat, s=x.shape[-2:]).amax((-2, -1))
    norms = (f.var((-2, -1), correction=0).sqrt() for f in (x, y))
    return product / math.prod(norms, start=x.shape[-2] * x.shape[-1])
