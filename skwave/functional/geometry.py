r"""Where the samples, the extended samples and the scattering coefficients lie.

Signals are ``(H, W)``; a 1-D signal of ``N`` samples is ``(N, 1)``.
"""

import math
from dataclasses import dataclass

# a 1-D signal is extended by this many supports of the low-pass on each side: what lies
# beyond changes an order of the coefficients by less than 1e-4 of its norm
_EXTENDED_SUPPORTS = 8

Pair = tuple[int, int]


@dataclass(frozen=True)
class Geometry:
    """Signal, extended signal and coefficients on one axis each.

    Attributes
    ----------
    ndim : int
        1 or 2.
    shape : (int, int)
        Signal.
    extended : (int, int)
        Extended signal.
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
    left: Pair
    step: int
    first: Pair
    count: Pair

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
        height, width = self.extended
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
    """Smallest integer not under ``n`` whose prime factors are at most 7.

    Parameters
    ----------
    n : int
        Positive.

    Returns
    -------
    m : int
        A size at which FFTs are quick.

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


def _axis(n: int, support: float, step: int, ndim: int, padding: str) -> tuple[int, ...]:
    # extended size, left, first, count of one axis
    scale = 2 ** math.floor(math.log2(support))  # the largest sampling step
    if padding == "periodic" and n % scale == 0:
        return n, 0, 0, max(1, n // step)
    if ndim == 2:
        # the sizes of kymatio, one scale added on each side
        extended = (n // scale + 2) * scale
        left = (extended - n) // 2
        return extended, left, -(-left // step), max(1, n // step)
    left = scale * math.ceil(min(_EXTENDED_SUPPORTS * support, 2 * n) / scale)
    extended = scale * next_fast_length(math.ceil((n + 2 * left) / scale))
    return extended, left, left // step, -(-n // step)


def scattering_geometry(
    shape: tuple[int, ...], J: int, T: float | None = None, padding: str = "reflect"
) -> Geometry:
    r"""Extension of a signal, and the positions of its scattering coefficients.

    In 2-D the sizes and positions are kymatio's. In 1-D the signal is extended by 8
    supports of the low-pass (by twice its own length if that is less) and coefficient
    ``n`` lies at sample ``n * step``.

    Parameters
    ----------
    shape : tuple of int
        ``(N,)`` or ``(H, W)``.
    J : int
        Log2 of the largest scale.
    T : float, default=None
        Support of the low-pass, ``2**J`` by default.
    padding : {"reflect", "periodic", "zero"}
        A periodic signal is not extended if ``2**J`` divides its sizes.

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
    rows = [_axis(n, max(2**J, T), step, ndim, padding) for n in shape]
    if ndim == 1:
        shape, rows = (*shape, 1), [*rows, (1, 0, 0, 1)]
    height, width = shape
    extended, left, first, count = zip(*rows, strict=True)
    return Geometry(ndim, (height, width), extended, left, step, first, count)
