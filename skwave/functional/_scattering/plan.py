r"""Plan of a scattering transform: its layout, and its filters cut for the grids of the maps."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from skwave.functional._scattering.layout import (
    Geometry,
    Layout,
    Pair,
    Scale,
    map_shape,
    scattering_layout,
)
from skwave.functional._wavelets.bank import Bank
from skwave.functional._wavelets.fourier import (
    Tile,
    cut_filters,
    extension_index,
    resize_spectrum,
)
from skwave.functional._wavelets.morlet import morlet_1d, morlet_2d

# the part of a filter's spectrum that is left out, relative to its peak
_TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-14}


def even_size(n: int, largest: int) -> int:
    """Size of equal parts that ``n`` things are cut into, as few parts as the limit allows.

    Parameters
    ----------
    n : int
        Number of things.
    largest : int
        Largest size of a part; taken as 1 if it is less.

    Returns
    -------
    size : int
        At most ``largest``.

    Examples
    --------
    >>> even_size(8, 6)
    4
    """
    return math.ceil(n / math.ceil(n / max(1, largest)))


class Stage(NamedTuple):
    """Filters of one scale, cut for the grid that they act on.

    Their maps are sampled every ``2**k`` samples; the stages ``following`` act on them.
    """

    n_filters: int
    k: int
    tiles: list[Tile]
    following: "tuple[Stage, ...]"


@dataclass(frozen=True)
class Plan(Layout):
    """Layout and filters that `scattering` needs; made by `scattering_plan`.

    Attributes
    ----------
    index : tuple of Tensor
        Samples that extend the signal, for each axis.
    stages : tuple of Stage
        Filters of the first order, and of what follows.
    lowpass : dict of int to tuple of Tensor
        Low-pass filter for maps of step ``2**k``.
    block : int
        Number of complex values that are worked on at once.
    """

    index: tuple[Tensor, ...]
    stages: tuple[Stage, ...]
    lowpass: dict[int, tuple[Tensor, ...]]
    block: int


def stage_shape(stage: Stage, plan: Plan) -> tuple[int, int, int]:
    """Shape of the averages that a stage gives of each map that it acts on.

    Parameters
    ----------
    stage : Stage
        One of ``plan.stages``, or of those that follow.
    plan : Plan
        Made by `scattering_plan`.

    Returns
    -------
    shape : (int, int, int)
        Paths, rows and columns.
    """
    return (stage.n_filters * (plan.n_phases or 1), *map_shape(plan, stage.k))


def n_kept(plan: Plan) -> int:
    """Number of wavelet coefficients of the second order that a gradient needs to be kept.

    Parameters
    ----------
    plan : Plan
        Made by `scattering_plan`.

    Returns
    -------
    n : int
        Complex values for each signal.
    """
    return sum(
        first.n_filters * (plan.n_phases or 1) * s.n_filters * math.prod(plan.geometry.grid(s.k))
        for first in plan.stages
        for s in first.following
    )


def _lowpass_rows(phi_hat: Tensor, k: int, step: int, first: int, count: int) -> Tensor:
    # matrix (count, n >> k) that takes a map sampled every 2**k samples to its low-pass at the
    # positions first * step, (first + 1) * step, ... of the extended signal; row i holds phi
    # around position i, periodic
    n = len(phi_hat) >> k
    phi = torch.fft.ifft(resize_spectrum(phi_hat[:, None], (n, 1))[:, 0]).real
    position = (first + torch.arange(count)) * (step >> k)
    return phi[(position[:, None] - torch.arange(n)) % n]


def _lowpass(phi_hat: Tensor, geometry: Geometry, k: int) -> tuple[Tensor, ...]:
    # 2-D: phi is separable, and a pair of matrices filters, samples and crops at once;
    # 1-D: half a spectrum, up to the Nyquist frequency of the coefficients
    if geometry.ndim == 1:
        return (phi_hat[: len(phi_hat) // geometry.step // 2 + 1, None],)
    root = phi_hat[0, 0].sqrt()
    return tuple(
        _lowpass_rows(profile / root, k, geometry.step, first, count)
        for profile, first, count in zip(
            (phi_hat[:, 0], phi_hat[0]), geometry.first, geometry.count, strict=True
        )
    )


def _cut(bank: Bank, n: tuple[int, ...], source: Pair, target: Pair) -> list[Tile]:
    psi_hat = bank.psi_hat[n[0] : n[-1] + 1].reshape(len(n), bank.shape[0], -1)
    return cut_filters(resize_spectrum(psi_hat, source), target, _TOLERANCE[psi_hat.dtype])


def _stages(
    banks: list[Bank], scales: tuple[Scale, ...], geometry: Geometry, k: int, block: int
) -> tuple[Stage, ...]:
    # cut the filters for maps of step 2**k, in groups whose maps fill at most a block
    stages = []
    for n, k_j, following in scales:
        deeper = _stages(banks[1:], following, geometry, k_j, block)
        size = even_size(len(n), block // math.prod(geometry.grid(k_j)))
        for part in (n[i : i + size] for i in range(0, len(n), size)):
            tiles = _cut(banks[0], part, geometry.grid(k), geometry.grid(k_j))
            stages.append(Stage(len(part), k_j, tiles, deeper))
    return tuple(stages)


def _bank(geometry: Geometry, J: int, L: int, Q: int, T: float | None) -> Bank:
    if geometry.ndim == 1:
        return morlet_1d(geometry.extended[0], J, Q, T)
    return morlet_2d(geometry.extended, J, L, Q, T)


def scattering_plan(
    shape: tuple[int, ...],
    J: int,
    *,
    L: int = 8,
    Q: tuple[int, int] = (1, 1),
    T: float | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    block: int = 2**19,
    **parameters: Any,
) -> Plan:
    r"""Plan of the scattering transform of signals of one shape.

    Parameters
    ----------
    shape : tuple of int
        ``(N,)`` or ``(H, W)``.
    J, L, Q, T : int
        Scales, orientations, wavelets per octave of both orders, and support of the low-pass:
        see `scattering_layout`.
    dtype : torch.dtype, default=torch.float32
        Type float32 or float64.
    device : torch.device or str, default="cpu"
        Device of the filters.
    block : int, default=2**19
        Complex values worked on at once: few enough to stay in the cache of a CPU.
    **parameters
        The other parameters of `scattering_layout`: ``max_order``, ``n_phases``,
        ``averaging``, ``oversampling`` and ``boundary``.

    Returns
    -------
    plan : Plan
        The layout with its filters.
    """
    layout = scattering_layout(shape, J, L=L, Q=Q, T=T, **parameters)
    geometry = layout.geometry

    banks = {q: _bank(geometry, J, L, q, T) for q in set(Q)}
    cast = {q: b.to(device, dtype) for q, b in banks.items()}
    stages = _stages([cast[q] for q in Q], layout.scales, geometry, 0, block)
    used = {0} | {s.k for s in stages} | {s.k for first in stages for s in first.following}
    lowpass = {
        k: tuple(m.to(device, dtype) for m in _lowpass(banks[Q[0]].phi_hat, geometry, k))
        for k in (used if layout.averaging == "local" else ())
    }
    index = tuple(
        extension_index(n, left, size - n - left, layout.boundary).to(device)
        for n, left, size in zip(geometry.shape, geometry.left, geometry.extended, strict=True)
    )
    return Plan(**vars(layout), index=index, stages=stages, lowpass=lowpass, block=block)
