r"""Families of moments under one face: a function, its reference, and its table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from skwave.functional._textures.covariances import Block, Moment, block_rows
from skwave.functional._textures.fields import FieldPlan, Reference, field_plan
from skwave.functional._textures.groups import (
    GROUPS,
    Shifts,
    group_blocks,
    published_blocks,
    rectifier_blocks,
)
from skwave.functional._textures.harmonics import HarmonicPlan, harmonic_moments
from skwave.functional._textures.higher_moments import band_filters, extra_rows, low_filters
from skwave.functional._textures.scattering_covariance import (
    scattering_covariance,
    scattering_covariance_rows,
)
from skwave.functional._wavelets.fourier import fft, half_plane

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


Moments = Callable[[Tensor, Reference | None, bool], Tensor]


class Family(NamedTuple):
    """A family of moments of signals of one shape.

    Attributes
    ----------
    moments : callable
        ``moments(x, ref, normalize)``: Tensor (B, C, H, W) -> Tensor (B, M).
    fields : FieldPlan
        Its wavelets.
    """

    moments: Callable[[Tensor, Reference | None, bool], Tensor]
    fields: FieldPlan


def moment_family(
    layout: MomentLayout,
    *,
    wavelet: str = "bump",
    oversampling: int = 0,
    valid: Tensor | None = None,
    periodic: bool = False,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> Family:
    """Functions that compute the moments of a layout.

    Parameters
    ----------
    layout : MomentLayout
        Made by `moment_layout`.
    wavelet : {"bump", "morlet"}, default="bump"
        Bank.
    oversampling : int, default=0
        Log2 of the factor by which grids are finer.
    valid : Tensor of bool, default=None
        Samples that count.
    periodic : bool, default=False
        Whether those that count continue at the opposite side.
    dtype : torch.dtype, default=torch.float64
        Type of the filters.
    device : torch.device, default="cpu"
        Where they are.

    Returns
    -------
    family : Family
        Functions.

    Examples
    --------
    >>> from skwave.functional import moment_layout
    >>> layout = moment_layout((32, 32), J=3, L=4)
    >>> family = moment_family(layout)
    >>> x = torch.randn(1, 1, 32, 32, dtype=torch.float64)
    >>> family.moments(x, None, True).shape[1] == len(layout.rows())
    True
    """
    fields = field_plan(
        layout.shape,
        layout.J,
        layout.L,
        wavelet=wavelet,
        oversampling=oversampling,
        n_phases=layout.n_phases,
        valid=valid,
        periodic=periodic,
        dtype=dtype,
        device=device,
    )
    if layout.moments == "gaussian":
        return Family(_gaussian_moments(layout.shape), fields)
    if layout.moments == "scattering_covariance":
        return Family(_scattering_moments(fields), fields)
    low = low_filters(fields, layout.low)
    bands = band_filters(fields) if layout.bands else ()
    plan = HarmonicPlan(fields, layout.blocks, layout.kurtosis, bands, low)
    return Family(
        lambda x, ref, normalize: harmonic_moments(x, plan, ref, normalize=normalize), fields
    )


def _scattering_moments(fields: FieldPlan) -> Moments:
    def moments(
        x: Tensor, ref: Reference | None, normalize: bool
    ) -> Tensor:  # numpydoc ignore=GL08
        if ref is not None:
            return scattering_covariance(x, fields, ref.mean, ref.waves)
        ones = [torch.ones(1, fields.L).to(x) for _ in range(fields.J)]
        return scattering_covariance(x, fields, None, None if normalize else ones)

    return moments


def _gaussian_moments(shape: tuple[int, int]) -> Moments:
    ky, kx = half_plane(shape)

    def moments(
        x: Tensor, ref: Reference | None, normalize: bool
    ) -> Tensor:  # numpydoc ignore=GL08
        power = fft(x).abs().square()[..., ky, kx]
        if normalize:
            std = x.std((-2, -1), correction=0) if ref is None else ref.std
            power = (
                power * (x[0, 0].numel() - 1) / torch.where(std > 0, std, 1.0).square()[..., None]
            )
        return power.flatten(1)

    return moments
