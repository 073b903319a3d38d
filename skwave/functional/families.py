r"""Families of moments under one face: a function, its reference, and its table."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from skwave.functional.field_plans import FieldPlan, field_plan
from skwave.functional.grids import fft, half_plane
from skwave.functional.harmonics import HarmonicPlan, harmonic_moments
from skwave.functional.higher_moments import band_filters, low_filters
from skwave.functional.moment_layouts import MomentLayout
from skwave.functional.references import Reference
from skwave.functional.scattering_covariance import (
    scattering_covariance,
)

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
