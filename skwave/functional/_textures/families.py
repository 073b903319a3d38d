r"""Families of moments: the layout of a family by name, and the function of its moments."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from skwave.functional._textures.fields import FieldPlan, Reference, centred, field_plan
from skwave.functional._textures.moments import Batch, MomentLayout
from skwave.functional._textures.offsets import Shifts
from skwave.functional._textures.registry import groups_of


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
    r"""Layout of the moments of a family, or of named groups.

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
    groups, ndim = groups_of(moments), 1 if shape[1] == 1 else 2
    shifts = Shifts(n_lengths, n_directions if ndim == 2 else 1, ndim)
    phases = n_phases if any(group.rectified for group in groups) else None
    return MomentLayout(shape, J, L, moments, groups, shifts, harmonics, phases)


@dataclass(frozen=True)
class HarmonicPlan:
    """Plan of a vector of moments: its layout, and the filters of the wavelets and the groups.

    Attributes
    ----------
    layout : MomentLayout
        Groups of moments.
    fields : FieldPlan
        Grids and wavelets.
    filters : tuple of tuple of Tensor
        Filters of each group, from `MomentGroup.filters`.
    """

    layout: MomentLayout
    fields: FieldPlan
    filters: tuple[tuple[Tensor, ...], ...]


def harmonic_moments(
    x: Tensor, plan: HarmonicPlan, ref: Reference | None = None, *, normalize: bool = True
) -> Tensor:
    r"""Moments of the phase harmonics of wavelet coefficients, and of the other groups of a plan.

    .. math:: C_{\lambda,k,\lambda',k'}(\tau) = \frac{1}{\sigma_{\lambda,k}\sigma_{\lambda',k'}}
       \Big\langle \big([x\star\psi_\lambda]^k(u) - \mu_{\lambda,k}\big)
       \big([x\star\psi_{\lambda'}]^{k'}(u - \tau) - \mu_{\lambda',k'}\big)^* \Big\rangle_u

    Other groups than covariances state their moments themselves.

    Parameters
    ----------
    x : Tensor, shape (B, C, H, W)
        Real signals.
    plan : HarmonicPlan
        Moments to compute.
    ref : Reference, default=None
        Means :math:`\mu` and deviations :math:`\sigma`, from `reference`; None for those of each
        signal itself. Then variances of wavelet coefficients are divided by that of the signal,
        and those of moduli by those of the wavelet coefficients. Deviations have floors, see
        `reference`.
    normalize : bool, default=True
        Whether to divide by deviations.

    Returns
    -------
    m : Tensor, shape (B, n_moments)
        Real: group after group, in the order of ``plan.layout.rows``.

    References
    ----------
    .. [1] Zhang, S. and Mallat, S., Maximum entropy models from phase harmonic covariances,
       Appl. Comput. Harmon. Anal. 53, 2021.
    """
    if ref is None:
        x = centred(x, scaled=normalize)
    batch = Batch(x, plan.layout, plan.fields, ref, normalize)
    groups = zip(plan.layout.groups, plan.filters, strict=True)
    return torch.cat([group.values(batch, filters) for group, filters in groups], 1)


class Family(NamedTuple):
    """Function of the moments of signals of one shape, and its wavelets.

    Attributes
    ----------
    moments : callable
        ``moments(x, ref, normalize)``: Tensor (B, C, H, W) -> Tensor (B, M).
    fields : FieldPlan
        Grids and wavelets.
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
    """Function that computes the moments of a layout, with filters of one type and device.

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
        Function and wavelets.

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
    filters = tuple(group.filters(layout, fields) for group in layout.groups)
    plan = HarmonicPlan(layout, fields, filters)
    return Family(partial(_moments, plan), fields)


def _moments(plan: HarmonicPlan, x: Tensor, ref: Reference | None, normalize: bool) -> Tensor:
    return harmonic_moments(x, plan, ref, normalize=normalize)
