"""Grids and filters of wavelet fields, each scale on a grid of its own."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from skwave.functional.bump import bump_1d, bump_2d
from skwave.functional.grids import Grid, resize_spectrum
from skwave.functional.masks import averaging_masks
from skwave.functional.morlet import morlet_1d, morlet_2d


@dataclass(frozen=True)
class FieldPlan:
    """Grids and filters of the scales of a bank.

    Attributes
    ----------
    shape : (int, int)
        Grid of the signals ``(H, W)``; 1-D signals are ``(N, 1)``.
    J, L : int
        Numbers of scales and of orientations.
    grids : tuple of (int, int)
        Grid of each scale, and of the low-pass.
    filters : tuple of Tensor, shape (L, h, w, 1)
        Wavelets in Fourier, cropped to the grid of their scale; last the low-pass, one alone.
    masks : tuple of Tensor, shape ``shape``
        Weights of the average for each scale, of mean 1; none for the mean over all samples.
    n_phases : int or None
        Phases of the rectifier that takes the place of the modulus; None for the modulus.
    """

    shape: Grid
    J: int
    L: int
    grids: tuple[Grid, ...]
    filters: tuple[Tensor, ...]
    masks: tuple[Tensor, ...] = ()
    n_phases: int | None = None


def _coarse(n: int, j: int, oversampling: int) -> int:
    return min(n, 2 * math.ceil(n / 2 ** max(j - oversampling, 0)))


def field_plan(
    shape: Grid,
    J: int,
    L: int,
    *,
    wavelet: str = "bump",
    oversampling: int = 0,
    n_phases: int | None = None,
    valid: Tensor | None = None,
    periodic: bool = False,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> FieldPlan:
    r"""Plan of the wavelet fields of signals of one shape.

    The fields of scale :math:`j` are sampled about every :math:`2^{j-1}` samples. Bump-steerable
    wavelets end at :math:`|\omega| = 1.7\pi/2^j`, so that nothing is lost; the tails of Morlet
    wavelets are cut there, at 0.7 % of the peak.

    Parameters
    ----------
    shape : (int, int)
        Grid ``(H, W)``, or ``(N, 1)`` for signals, with ``L=1``.
    J : int
        Number of scales.
    L : int
        Number of orientations in :math:`[0, \pi)`.
    wavelet : {"bump", "morlet"}, default="bump"
        Bank.
    oversampling : int, default=0
        Log2 of the factor by which the grids are finer, for moduli and harmonics, which alias.
    n_phases : int, default=None
        Phases of the rectifier, in place of the modulus.
    valid : Tensor of bool, shape ``shape``, default=None
        Samples that count. Averages of scale ``j`` leave out what is nearer than :math:`2^j` to
        others.
    periodic : bool, default=False
        Whether those that count continue at the opposite side; else the sides are like others.
    dtype : torch.dtype, default=torch.float64
        Type of the filters.
    device : torch.device, default="cpu"
        Where they are.

    Returns
    -------
    plan : FieldPlan
        Plan.
    """
    if shape[1] == 1:
        bank = bump_1d(shape[0], J) if wavelet == "bump" else morlet_1d(shape[0], J)
    else:
        bank = bump_2d(shape, J, L) if wavelet == "bump" else morlet_2d(shape, J, L)
    psi_hat = bank.psi_hat[: J * L].view(J, L, *shape)
    height, width = shape
    grids = tuple(
        (_coarse(height, j, oversampling), _coarse(width, j, oversampling)) for j in range(J)
    )
    grids += grids[-1:]
    filters = tuple(
        resize_spectrum(f_hat, grid)[..., None].to(device, dtype).contiguous()
        for f_hat, grid in zip([*psi_hat, bank.phi_hat.view(1, *shape)], grids, strict=True)
    )
    masks: tuple[Tensor, ...] = ()
    if valid is not None:
        masks = tuple(
            mask.to(device, dtype) for mask in averaging_masks(valid, J, periodic=periodic)
        )
    return FieldPlan(shape, J, L, grids, filters, masks, n_phases)
