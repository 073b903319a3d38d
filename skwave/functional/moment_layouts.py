"""What the moments of a family are, before any is computed."""

from dataclasses import dataclass

from skwave.functional.covariances import Block, Moment, block_rows
from skwave.functional.grids import half_plane
from skwave.functional.groups import (
    GROUPS,
    Shifts,
    group_blocks,
    published_blocks,
    rectifier_blocks,
)
from skwave.functional.higher_moments import extra_rows
from skwave.functional.scattering_covariance import scattering_covariance_rows

_EXTRA = ("K", "B", "L")
FAMILIES: dict[str, tuple[str, ...]] = {
    "phase_harmonic": ("S11", "S00", "S01", "C01", "Cphase", "C00", "K", "B", "L"),
    "pywph": ("S11", "S00", "S01", "C01", "Cphase", "L"),
    "wavelet_covariance": ("S11", "C11"),
}
OTHERS = ("rectifier", "scattering_covariance", "gaussian")
PUBLISHED = ("model_a", "model_b", "model_c", "model_d")


@dataclass(frozen=True)
class MomentLayout:
    """Which moments there are: all but the filters.

    Attributes
    ----------
    shape : (int, int)
        Grid of the signals.
    J, L : int
        Numbers of scales and of orientations.
    moments : str or tuple of str
        Name of the family, or groups.
    blocks : tuple of Block
        Covariances of phase harmonics.
    kurtosis : bool
        Whether there is the group K.
    bands : bool
        Whether there is the group B.
    low : tuple of int
        Scales of the group L.
    n_phases : int or None
        Phases of the rectifier.
    """

    shape: tuple[int, int]
    J: int
    L: int
    moments: str | tuple[str, ...]
    blocks: tuple[Block, ...] = ()
    kurtosis: bool = False
    bands: bool = False
    low: tuple[int, ...] = ()
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
            One for each.
        """
        if self.moments == "gaussian":
            ky, kx = half_plane(self.shape)
            k = list(zip(ky.tolist(), kx.tolist(), strict=True))
            return [Moment("P", dy=y, dx=x, c1=c, c2=c) for c in range(n_channels) for y, x in k]
        if self.moments == "scattering_covariance":
            return scattering_covariance_rows(self.J, self.L, n_channels)
        rows = [row for block in self.blocks for row in block_rows(block, n_channels)]
        return rows + extra_rows(self.J, self.L, self.kurtosis, self.bands, self.low, n_channels)


def moment_layout(
    shape: tuple[int, int],
    J: int,
    L: int,
    moments: str | tuple[str, ...] = "phase_harmonic",
    *,
    n_lengths: int = 2,
    n_directions: int = 4,
    harmonics: int | None = None,
    n_phases: int = 4,
) -> MomentLayout:
    r"""Layout of a family of moments by name.

    Parameters
    ----------
    shape : (int, int)
        Grid ``(H, W)``, or ``(N, 1)`` for signals.
    J, L : int
        Numbers of scales and of orientations; ``L=1`` for signals.
    moments : str or tuple of str, default="phase_harmonic"
        ``"phase_harmonic"``, ``"pywph"``, ``"wavelet_covariance"``, ``"rectifier"``,
        ``"scattering_covariance"``, ``"gaussian"``, a published model, ``"model_a"`` to
        ``"model_d"``, or names of groups.
    n_lengths, n_directions : int, default=2, 4
        Offsets, see `Shifts`.
    harmonics : int, default=None
        Largest harmonic :math:`k`; None for all.
    n_phases : int, default=4
        Phases of the rectifier.

    Returns
    -------
    layout : MomentLayout
        Layout.

    Raises
    ------
    ValueError
        If there is no such family or group.

    Examples
    --------
    >>> len(moment_layout((256, 256), J=5, L=8, moments="model_b").rows())
    6895
    """
    ndim = 1 if shape[1] == 1 else 2
    shifts = Shifts(n_lengths, n_directions if ndim == 2 else 1, ndim)
    if moments in ("gaussian", "scattering_covariance"):
        return MomentLayout(shape, J, L, moments)
    if moments == "rectifier":
        phases = tuple(rectifier_blocks(J, L, n_phases, shifts))
        return MomentLayout(shape, J, L, moments, phases, n_phases=n_phases)
    names: tuple[str, ...] = ()
    if moments in PUBLISHED:
        blocks = published_blocks(moments[-1].upper(), J, L)
    else:
        names = check_groups(
            FAMILIES.get(moments, moments) if isinstance(moments, str) else moments
        )
        blocks = group_blocks(tuple(g for g in names if g not in _EXTRA), J, L, shifts)
    if harmonics is not None:
        blocks = [block for block in blocks if max(block.k1, block.k2) <= harmonics]
    low = tuple(range(-1, J // 4 + 1)) if "L" in names else ()
    return MomentLayout(shape, J, L, moments, tuple(blocks), "K" in names, "B" in names, low)


def check_groups(names: str | tuple[str, ...]) -> tuple[str, ...]:
    """Refuse what are no groups.

    Parameters
    ----------
    names : str or tuple of str
        Names of groups; one string is refused.

    Returns
    -------
    names : tuple of str
        The same.

    Raises
    ------
    ValueError
        With those there are.
    """
    known = (*GROUPS, *_EXTRA)
    if isinstance(names, str) or not names or set(names) - set(known):
        raise ValueError(
            f"moments={names!r} must be one of {(*FAMILIES, *OTHERS, *PUBLISHED)}, or a tuple of "
            f"groups of {known}."
        )
    return names
