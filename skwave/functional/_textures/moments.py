r"""Groups of moments: the base class, the rows of a table, and the batch they are computed of."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from torch import Tensor

from skwave.functional._textures.fields import FieldPlan, Fields, Reference, own_reference
from skwave.functional._textures.offsets import Shifts


class Moment(NamedTuple):
    """One moment: the row of a table.

    Attributes
    ----------
    group : str
        Label of the group.
    j1, l1, k1, j2, l2, k2 : int
        Scale, orientation and harmonic of both factors; -1 where there is none.
    n, a : int
        Length and direction of the offset, as the group counts them.
    dy, dx : int
        Offset in samples.
    part : str
        ``"re"``, ``"im"``, or ``""`` for what is real.
    c1, c2 : int
        Channels.
    j3, l3 : int
        Scale and orientation of a last wavelet; -1 where there is none. Group B counts half
        octaves instead of scales.
    """

    group: str
    j1: int = -1
    l1: int = -1
    k1: int = -1
    j2: int = -1
    l2: int = -1
    k2: int = -1
    n: int = 0
    a: int = 0
    dy: int = 0
    dx: int = 0
    part: str = ""
    c1: int = 0
    c2: int = 0
    j3: int = -1
    l3: int = -1


class MomentGroup:
    """One group of moments: rows of the table, values, words of the names, and reductions.

    A group is stated in a module of its own: a subclass that writes ``channel_rows`` (or
    ``rows``) and ``values``, and one instance of it, which is listed in the registry.

    Attributes
    ----------
    name : str
        Name of the group, in ``moments=`` and in `Moment`.
    labels : tuple of str
        Values of ``Moment.group`` in the rows; by default the name alone.
    alone : bool
        Whether the group is a family of its own, which is not combined with other groups.
    reducible : bool
        Whether averages over rotations and scales are defined.
    images_only : bool
        Whether signals do not have these moments.
    one_shape : bool
        Whether the moments of signals of another shape are others.
    rectified : bool
        Whether rectified phases take the place of the modulus.
    shows_harmonics : tuple of str
        Labels whose names have the harmonics.
    """

    name: str
    labels: tuple[str, ...] = ()
    alone: bool = False
    reducible: bool = True
    images_only: bool = False
    one_shape: bool = False
    rectified: bool = False
    shows_harmonics: tuple[str, ...] = ()

    def channel_rows(self, layout: "MomentLayout") -> list[Moment]:
        """Rows of the moments of one channel.

        Parameters
        ----------
        layout : MomentLayout
            Layout that holds the group.

        Returns
        -------
        rows : list of Moment
            One row for each moment, in the order of `values`.
        """
        raise NotImplementedError(f"{type(self).__name__} must write channel_rows or rows.")

    def rows(self, layout: "MomentLayout", n_channels: int) -> list[Moment]:
        """Rows of the moments of all channels, by default each channel by itself.

        Parameters
        ----------
        layout : MomentLayout
            Layout that holds the group.
        n_channels : int
            Number of channels.

        Returns
        -------
        rows : list of Moment
            One row for each moment, in the order of `values`.
        """
        rows = self.channel_rows(layout)
        return [row._replace(c1=c, c2=c) for c in range(n_channels) for row in rows]

    def filters(self, layout: "MomentLayout", plan: FieldPlan) -> tuple[Tensor, ...]:
        """Filters that the group needs besides the wavelets, made once; by default none.

        Parameters
        ----------
        layout : MomentLayout
            Layout that holds the group.
        plan : FieldPlan
            Wavelets.

        Returns
        -------
        filters : tuple of Tensor
            Argument of `values`.
        """
        return ()

    def values(self, batch: "Batch", filters: tuple[Tensor, ...]) -> Tensor:
        """Moments of a batch of signals.

        Parameters
        ----------
        batch : Batch
            Wavelet fields of the signals, and the deviations to divide by.
        filters : tuple of Tensor
            Result of `filters`.

        Returns
        -------
        m : Tensor, shape (B, n_moments)
            Real moments in the order of `rows`.
        """
        raise NotImplementedError(f"{type(self).__name__} must write values.")

    def words(self, row: Moment, layout: "MomentLayout") -> list[str]:
        """Words of the name of a moment, without channels and part.

        Parameters
        ----------
        row : Moment
            Row of the table.
        layout : MomentLayout
            Layout that holds the group.

        Returns
        -------
        words : list of str
            Such as ``["C01", "j0", "l1", "j2", "l1", "t2a3"]``.
        """
        first, second = (row.j1, row.l1, row.k1), (row.j2, row.l2, row.k2)
        waves = [first[:2], second[:2] if second != first else (-1, -1), (row.j3, row.l3)]
        words = [row.group]
        for j, l in waves:
            words += [f"j{j}", self.orientation(l, layout)] if j >= 0 else []
        words += [f"k{row.k1}k{row.k2}"] if row.group in self.shows_harmonics else []
        return words + ([f"t{row.n}a{row.a}"] if row.n else [])

    def orientation(self, l: int, layout: "MomentLayout") -> str:
        """Word of an orientation.

        Parameters
        ----------
        l : int
            Orientation, as the rows count it.
        layout : MomentLayout
            Layout that holds the group.

        Returns
        -------
        word : str
            Such as ``"l3"``.
        """
        return f"l{l}"

    def relative_scales(self, rows: list[Moment]) -> list[Moment]:
        """Rows that are equal for moments which differ by a change of scale alone.

        Parameters
        ----------
        rows : list of Moment
            Rows of the group.

        Returns
        -------
        relative : list of Moment
            The same rows with ``j1=0``, and differences of scales ``j2, j3``.
        """
        return [shift_scales(row, row.j1) for row in rows]


def shift_scales(row: Moment, shift: int) -> Moment:
    """Row of the moment that lies finer by a number of scales.

    Parameters
    ----------
    row : Moment
        Row of the table.
    shift : int
        Number of scales.

    Returns
    -------
    row : Moment
        Row with smaller ``j1, j2, j3``; -1 stays, where there is no wavelet.
    """
    j2, j3 = (j - shift if j >= 0 else j for j in (row.j2, row.j3))
    return row._replace(j1=row.j1 - shift, j2=j2, j3=j3)


@dataclass(frozen=True)
class MomentLayout:
    """Layout of a vector of moments: its groups, and the scales and offsets that they have.

    Attributes
    ----------
    shape : (int, int)
        Grid of the signals.
    J, L : int
        Numbers of scales and of orientations.
    moments : str or tuple of str
        Name of the family, or names of groups.
    groups : tuple of MomentGroup
        Groups of moments, in their order.
    shifts : Shifts
        Offsets besides 0.
    harmonics : int or None
        Largest harmonic of a covariance; None for all.
    n_phases : int or None
        Phases of the rectifier that takes the place of the modulus; None for the modulus.
    """

    shape: tuple[int, int]
    J: int
    L: int
    moments: str | tuple[str, ...]
    groups: tuple[MomentGroup, ...]
    shifts: Shifts
    harmonics: int | None = None
    n_phases: int | None = None

    def rows(self, n_channels: int = 1) -> list[Moment]:
        """Table of the moments, in their order.

        Parameters
        ----------
        n_channels : int, default=1
            Number of channels.

        Returns
        -------
        rows : list of Moment
            One row for each moment.
        """
        return [row for group in self.groups for row in group.rows(self, n_channels)]

    def name(self, row: Moment, n_channels: int = 1) -> str:
        """Name of a moment.

        Parameters
        ----------
        row : Moment
            Row of the table, or of a reduced one.
        n_channels : int, default=1
            Number of channels; a single one is not named.

        Returns
        -------
        name : str
            Such as ``"C01_j0_l1_j2_l1_t2a3_re"``.
        """
        group = next(g for g in self.groups if row.group in (g.labels or (g.name,)))
        words = group.words(row, self)
        words += [row.part] if row.part else []
        if n_channels > 1:
            words.insert(0, f"c{row.c1}" + (f"c{row.c2}" if row.c2 != row.c1 else ""))
        return "_".join(words)


class Batch:
    """Batch of signals whose moments are computed; fields and deviations are made on demand.

    Parameters
    ----------
    x : Tensor, shape (B, C, H, W)
        Real signals.
    layout : MomentLayout
        Moments that are asked for.
    plan : FieldPlan
        Grids and filters.
    ref : Reference, default=None
        Means and deviations of a field; None for those of each signal itself.
    normalize : bool, default=True
        Whether moments are divided by deviations.
    """

    def __init__(
        self,
        x: Tensor,
        layout: MomentLayout,
        plan: FieldPlan,
        ref: Reference | None = None,
        normalize: bool = True,
    ):
        self.x, self.layout, self.plan = x, layout, plan
        self.ref, self.normalize = ref, normalize

    @cached_property
    def fields(self) -> Fields:  # numpydoc ignore=RT01
        """Wavelet fields of the signals less the means of the reference, or their own."""
        if self.ref is None:
            return Fields(self.x, self.plan)
        return Fields(self.x, self.plan, self.ref.mean, self.ref.means)

    @cached_property
    def deviations(self) -> Reference | None:  # numpydoc ignore=RT01
        """Deviations to divide by, of the reference or of each signal; None for none."""
        if not self.normalize:
            return None
        return own_reference(self.x, self.fields) if self.ref is None else self.ref
