r"""Offsets :math:`\tau` between the two factors of a covariance."""

import math
from typing import NamedTuple


class Shift(NamedTuple):
    """Offset of the second factor of a covariance.

    Attributes
    ----------
    n, a : int
        Length and direction, as a group counts them; 0 for none.
    dy, dx : int
        The offset in samples.
    """

    n: int = 0
    a: int = 0
    dy: int = 0
    dx: int = 0


class Shifts(NamedTuple):
    r"""Offsets of lengths :math:`2^n` in directions that are counted from the wave vector.

    Attributes
    ----------
    n_lengths : int
        Number of lengths 2, 4, ... in samples.
    n_directions : int
        Number of directions in :math:`[0, \pi)`.
    ndim : int
        1 or 2; the directions of signals are forwards and backwards.
    """

    n_lengths: int
    n_directions: int
    ndim: int = 2

    def of(self, l: int, L: int, n_lengths: int, whole: bool) -> list[Shift]:
        r"""Offsets for one orientation.

        Parameters
        ----------
        l, L : int
            Orientation, and the number of orientations.
        n_lengths : int
            Number of lengths to give.
        whole : bool
            Whether to give all directions, or those in :math:`[0, \pi)`.

        Returns
        -------
        shifts : list of Shift
            Lengths first; direction ``a`` is :math:`\theta_\ell - \pi a / A`.
        """
        shifts = []
        for n in range(1, n_lengths + 1):
            for a in range(self.n_directions * (2 if whole else 1)):
                angle = math.pi * l / L - math.pi * a / self.n_directions
                dy, dx = round(2.0**n * math.sin(angle)), round(2.0**n * math.cos(angle))
                if self.ndim == 1:
                    dy, dx = dx, 0
                shifts.append(Shift(n, a, dy, dx))
        return shifts
