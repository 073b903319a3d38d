r"""Grids, scales and paths of a scattering transform, known without its filters."""

import math
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from skwave.functional._wavelets.bank import Wavelet
from skwave.functional._wavelets.morlet import wavelet_grid_1d, wavelet_grid_2d

# a 1-D signal is extended on each side by so many supports of the low-pass, at the least: what
# lies beyond changes an order of the coefficients by less than 5e-4 of its norm
_EXTENDED_SUPPORTS = 9
# a period is resampled by products with matrices, one row for each coefficient, and its FFT is
# slow: it has to be a good deal shorter than the extension
_MOST_ROWS = 64
_SHORTER = 0.75
# what lies farther than so many supports from a piece of a long signal changes its coefficients
# by less than 1e-6 of their norm
_MARGIN_SUPPORTS = 13
# a piece is at least so many margins long, which are computed for it and thrown away
_PIECE_MARGINS = 4

Pair = tuple[int, int]


@dataclass(frozen=True)
class Geometry:
    """Grids of a signal, of its extension and of its coefficients, axis by axis.

    Attributes
    ----------
    ndim : int
        1 or 2.
    shape : (int, int)
        Signal.
    extended : (int, int)
        Grid of the extended signal, a multiple of every step.
    span : (int, int)
        Samples of the extended signal: ``extended``, unless it is one period of the signal
        that no step divides. Maps that are sampled less often than the signal then have
        ``extended >> k`` samples in a period.
    left : (int, int)
        Samples added before the signal.
    step : int
        Samples between two coefficients of the local average, a power of two.
    first : (int, int)
        Position of the first coefficient in the extended signal, in steps.
    count : (int, int)
        Number of coefficients of the local average.
    """

    ndim: int
    shape: Pair
    extended: Pair
    span: Pair
    left: Pair
    step: int
    first: Pair
    count: Pair

    @property
    def resampled(self) -> bool:  # numpydoc ignore=RT01
        """Whether coarse maps have their samples between those of the signal."""
        return self.span != self.extended

    @property
    def axes(self) -> tuple[int, ...]:  # numpydoc ignore=RT01
        """Axes of the signal in ``(..., H, W)``."""
        return (-2, -1) if self.ndim == 2 else (-2,)

    def grid(self, k: int) -> Pair:
        """Shape of the extended signal sampled every ``2**k`` samples.

        Parameters
        ----------
        k : int
            Log2 of the step.

        Returns
        -------
        shape : (int, int)
            Rows and columns.
        """
        height, width = self.extended if k else self.span
        return height >> k, width >> k if self.ndim == 2 else 1

    def inside(self, k: int) -> tuple[slice, slice]:
        """Part of `grid` ``k`` that lies on the signal itself.

        Parameters
        ----------
        k : int
            Log2 of the step.

        Returns
        -------
        rows, columns : slice
            At least one sample each.
        """
        slices = []
        for n, left in zip(self.shape, self.left, strict=True):
            start, stop = -(-left // 2**k), -(-(left + n) // 2**k)
            slices.append(slice(start, max(stop, start + 1)))
        return slices[0], slices[1] if self.ndim == 2 else slice(0, 1)


def next_fast_length(n: int) -> int:
    """Smallest size from ``n`` on at which FFTs are quick: its prime factors are at most 7.

    Parameters
    ----------
    n : int
        Positive.

    Returns
    -------
    m : int
        Size.

    Examples
    --------
    >>> next_fast_length(17)
    18
    """
    while True:
        rest = n
        for p in (2, 3, 5, 7):
            while rest % p == 0:
                rest //= p
        if rest == 1:
            return n
        n += 1


def _margin(support: float, scale: int) -> int:
    # samples on each side of a piece, a multiple of every step
    return scale * math.ceil(_MARGIN_SUPPORTS * support / scale)


def piece_size(J: int, T: float | None = None, extended: int = 2**17) -> int:
    """Size of the pieces that a long signal is cut into, a multiple of every step.

    Parameters
    ----------
    J : int
        Log2 of the largest scale.
    T : float, default=None
        Support of the low-pass, ``2**J`` by default.
    extended : int, default=2**17
        Samples of a piece and its margins, which become more if the margins, of 13 supports each,
        would be most of them.

    Returns
    -------
    size : int
        Samples of a piece.

    Examples
    --------
    >>> piece_size(J=8)
    124416
    """
    support = max(2**J, T or 0)
    scale = 2 ** math.floor(math.log2(support))
    margin = _margin(support, scale)
    whole = max(extended, (_PIECE_MARGINS + 2) * margin)
    return scale * next_fast_length(math.ceil(whole / scale)) - 2 * margin


def _axis(n: int, support: float, step: int, ndim: int, boundary: str) -> tuple[int, ...]:
    # extended size, span, left, first, count of one axis
    scale = 2 ** math.floor(math.log2(support))  # the largest sampling step
    if boundary == "periodic" and n % scale == 0:
        return n, n, 0, 0, max(1, n // step)
    count = max(1, n // step) if ndim == 2 else -(-n // step)
    if boundary == "given":
        left = _margin(support, scale)
        extended = scale * next_fast_length(math.ceil((n + 2 * left) / scale))
        return extended, extended, left, left // step, count
    if ndim == 2 and boundary != "periodic":
        # the sizes of kymatio, one scale added on each side
        extended = (n // scale + 2) * scale
        left = (extended - n) // 2
        return extended, extended, left, -(-left // step), count
    # the slower a signal, the less its first order holds beside the jump where extensions meet
    supports = max(_EXTENDED_SUPPORTS, 6.5 + math.log2(max(n / support, 1)) / 2)
    left = scale * math.ceil(supports * min(support, n) / scale)
    extended = scale * next_fast_length(math.ceil((n + 2 * left) / scale))
    # for n = 1 the mirror is constant
    period = {"periodic": n, "reflect": max(2 * n - 2, 1)}.get(boundary, extended)
    whole = scale * next_fast_length(math.ceil(period / scale))
    if ndim == 2 or (whole <= _SHORTER * extended and count <= _MOST_ROWS):
        return whole, period, 0, 0, count
    return extended, extended, left, left // step, count


def scattering_geometry(
    shape: tuple[int, ...], J: int, T: float | None = None, boundary: str = "reflect"
) -> Geometry:
    r"""Grids of a signal that is extended, and of its scattering coefficients.

    In 2-D the sizes and positions are kymatio's, unless the signal is periodic: it then is
    extended by nothing. In 1-D it is extended by 9 to 13 supports of the low-pass on each side, or
    to one period of the extension exactly, if that is less. Coefficient ``n`` of a signal, or of
    a periodic image, lies at sample ``n * step``.

    Parameters
    ----------
    shape : tuple of int
        ``(N,)`` or ``(H, W)``.
    J : int
        Log2 of the largest scale.
    T : float, default=None
        Support of the low-pass, ``2**J`` by default.
    boundary : {"reflect", "periodic", "zero", "given"}
        What lies beyond the border. A signal that mirrors has the period ``2 * N - 2``. Of a piece
        of a longer 1-D signal it is given: 13 supports on each side.

    Returns
    -------
    geometry : Geometry
        The step is ``T`` rounded down to a power of two.

    Examples
    --------
    >>> scattering_geometry((32, 32), J=2).extended
    (40, 40)
    """
    T = 2**J if T is None else T
    step, ndim = 2 ** math.floor(math.log2(T)), len(shape)
    rows = [_axis(n, max(2**J, T), step, ndim, boundary) for n in shape]
    if ndim == 1:
        shape, rows = (*shape, 1), [*rows, (1, 1, 0, 0, 1)]
    height, width = shape
    extended, span, left, first, count = zip(*rows, strict=True)
    return Geometry(ndim, (height, width), extended, span, left, step, first, count)


# samples of the modulus of a 1-D wavelet, per inverse bandwidth: aliases 1e-4 of its norm
_SAMPLES_PER_SIGMA = 17


class Scale(NamedTuple):
    """Wavelets of one scale, and the scales that follow them.

    ``n`` are the indices of the wavelets, whose maps are sampled every ``2**k`` samples;
    ``following`` are the scales of the next order that act on these maps.
    """

    n: tuple[int, ...]
    k: int
    following: "tuple[Scale, ...]"


@dataclass(frozen=True)
class Layout:
    """Grids, wavelets and scales of a scattering transform, without its filters.

    Attributes
    ----------
    geometry : Geometry
        Grids of the signal and of the coefficients.
    wavelets : (tuple of Wavelet, tuple of Wavelet)
        Wavelets of the first and of the second order.
    scales : tuple of Scale
        First order, and what follows.
    averaging : {"local", "global", None}
        Kind of average.
    boundary : str
        What lies beyond the border of a signal.
    n_phases : int or None
        Phases of the rectifier; None for the modulus.
    """

    geometry: Geometry
    wavelets: tuple[tuple[Wavelet, ...], tuple[Wavelet, ...]]
    scales: tuple[Scale, ...]
    averaging: str | None
    boundary: str
    n_phases: int | None

    @property
    def given(self) -> Pair:  # numpydoc ignore=RT01
        """Shape of what is transformed: the signal, or a piece of one and what lies around it."""
        return self.geometry.extended if self.boundary == "given" else self.geometry.shape


def _step(wavelet: Wavelet, following: tuple[Wavelet, ...], fine: bool) -> int:
    # log2 of the step at which a 1-D modulus is sampled if only its average counts: the
    # modulus does not see the carrier, so its bandwidth decides, and the highest frequency
    # that the wavelets which follow look at. But a wavelet that lets frequencies of both signs
    # through, across 0 or across the Nyquist frequency, gives a modulus with kinks
    if wavelet.xi + 4 * wavelet.sigma > 0.5:
        return 0
    top = max((f.xi + 2 * f.sigma for f in following if f.j > wavelet.j), default=0.0)
    margin = 2 if following else 1
    step = math.floor(-math.log2(max(margin * _SAMPLES_PER_SIGMA * wavelet.sigma, 2 * top)))
    if wavelet.xi >= wavelet.sigma:
        step = max(step, math.floor(wavelet.j))
    if fine:
        step -= 2 if following and wavelet.xi < 3 * wavelet.sigma else 1
    return step


def _scales(
    orders: list[tuple[tuple[Wavelet, ...], list[int]]], above: float, k: int
) -> tuple[Scale, ...]:
    # scales of the wavelets of the first of the orders, for maps sampled every 2**k samples:
    # those with j > above, grouped by scale and step, each with the scales that follow it
    if not orders:
        return ()
    wavelets, steps = orders[0]
    groups: dict[tuple[float, int], list[int]] = {}
    for i, wavelet in enumerate(wavelets):
        if wavelet.j > above:
            groups.setdefault((wavelet.j, max(steps[i], k)), []).append(i)
    return tuple(
        Scale(tuple(n), k_j, _scales(orders[1:], j, k_j)) for (j, k_j), n in groups.items()
    )


def scattering_layout(
    shape: tuple[int, ...],
    J: int,
    *,
    L: int = 8,
    Q: tuple[int, int] = (1, 1),
    T: float | None = None,
    max_order: int = 2,
    n_phases: int | None = None,
    averaging: str | None = "local",
    oversampling: int = 0,
    boundary: str = "reflect",
) -> Layout:
    r"""Layout of the scattering transform of signals of one shape.

    Parameters
    ----------
    shape : tuple of int
        ``(N,)`` or ``(H, W)``.
    J : int
        Log2 of the largest scale; ``2**J`` is at most the smallest size.
    L : int, default=8
        Orientations, in 2-D.
    Q : (int, int), default=(1, 1)
        Wavelets per octave of the first and of the second order.
    T : float, default=None
        Support of the low-pass in samples, ``2**J`` by default.
    max_order : {0, 1, 2}, default=2
        Number of nonlinearities.
    n_phases : int, default=None
        Phases of the rectifier; None for the modulus.
    averaging : {"local", "global", None}, default="local"
        Low-pass and subsample, mean over the signal, or the maps themselves.
    oversampling : int, default=0
        Every map is computed on a grid finer by ``2**oversampling``: nearer to the
        definition without subsampling. The grid of the coefficients stays.
    boundary : {"reflect", "periodic", "zero", "given"}, default="reflect"
        What lies beyond the border of the signal. A piece of a longer signal, in 1-D, is given
        with what lies there: ``layout.given`` samples, the piece from ``geometry.left`` on.

    Returns
    -------
    layout : Layout
        Grids, wavelets and scales.
    """
    geometry = scattering_geometry(shape, J, T, boundary)
    ndim = geometry.ndim
    first, second = (wavelet_grid_1d(J, q) if ndim == 1 else wavelet_grid_2d(J, L, q) for q in Q)
    wavelets = first, second
    largest = int(math.log2(geometry.step)) if averaging == "local" else J
    # edges and their mirror images meet in the maps of a short signal, which gives kinks; of a
    # few small scales every path counts
    fine = (geometry.left[0] == 0 and geometry.count[0] <= _MOST_ROWS) or J <= 3
    orders = []
    for i in range(max_order):
        steps = [math.floor(wavelet.j) for wavelet in wavelets[i]]
        if ndim == 1 and averaging is not None and n_phases is None:
            following = () if i + 1 == max_order else wavelets[i + 1]
            steps = [_step(wavelet, following, fine) for wavelet in wavelets[i]]
        orders.append((wavelets[i], [max(min(k, largest) - oversampling, 0) for k in steps]))
    scales = _scales(orders, -1.0, 0)
    return Layout(geometry, wavelets, scales, averaging, boundary, n_phases)


class Path(NamedTuple):
    """A sequence of wavelets: the indices of one scattering coefficient.

    ``n`` are wavelet indices and ``phase`` rectifier phases, one for each order; ``grid``
    is the shape of its map of coefficients.
    """

    n: tuple[int, ...]
    phase: tuple[int, ...]
    grid: tuple[int, ...]


def map_shape(layout: Layout, k: int) -> Pair:
    """Shape of the averages of a map.

    Parameters
    ----------
    layout : Layout
        A layout, or a plan.
    k : int
        The map is sampled every ``2**k`` samples.

    Returns
    -------
    shape : (int, int)
        Rows and columns.
    """
    if layout.averaging is None:
        rows, columns = layout.geometry.inside(k)
        return rows.stop - rows.start, columns.stop - columns.start
    return layout.geometry.count if layout.averaging == "local" else (1, 1)


def scattering_paths(layout: Layout) -> list[Path]:
    """Paths of the coefficients, order by order, then wavelet after wavelet.

    Parameters
    ----------
    layout : Layout
        A layout, or a plan.

    Returns
    -------
    paths : list of Path
        One for each map of coefficients.
    """
    phase, ndim = range(layout.n_phases or 1), layout.geometry.ndim

    paths = [Path((), (), map_shape(layout, 0)[:ndim])]
    paths += [
        Path((n,), (a,), map_shape(layout, s.k)[:ndim])
        for s in layout.scales
        for n, a in product(s.n, phase)
    ]
    for first in layout.scales:
        for n1, a1 in product(first.n, phase):
            for s in first.following:
                shape_2 = map_shape(layout, s.k)[:ndim]
                paths += [Path((n1, n2), (a1, a2), shape_2) for n2, a2 in product(s.n, phase)]
    return paths
