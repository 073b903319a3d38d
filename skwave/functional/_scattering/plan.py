r"""Plan of a scattering transform: its layout, and its filters cut for the grids of the maps."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from skwave.functional._scattering.layout import (
    Geometry,
    Layout,
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
    wavenumbers,
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
        What makes coefficients of maps of step ``2**k``: a matrix for each axis, the low-pass of
        a long signal, or nothing.
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


def is_padded(u_hat: Tensor, stage: Stage, plan: Plan) -> bool:
    """Whether spectra get the frequencies of a finer grid, which the step of a stage divides.

    Parameters
    ----------
    u_hat : Tensor, shape (B, H, W)
        Spectra of maps.
    stage : Stage
        Acts on them.
    plan : Plan
        Made by `scattering_plan`.

    Returns
    -------
    padded : bool
        True for spectra of samples whose period no step divides, if the stage samples its maps
        less often.
    """
    geometry = plan.geometry
    return stage.k > 0 and geometry.resampled and tuple(u_hat.shape[-2:]) == geometry.span


def is_spectral(layout: Layout) -> bool:
    """Whether the low-pass of a layout is a product of spectra: that of a long signal.

    Parameters
    ----------
    layout : Layout
        A layout, or a plan.

    Returns
    -------
    spectral : bool
        If not, it is a product with a matrix for each axis.
    """
    geometry = layout.geometry
    return layout.averaging == "local" and geometry.ndim == 1 and not geometry.resampled


def _rows(profile_hat: Tensor, position: Tensor, n: int) -> Tensor:
    """Matrix that filters the samples of a periodic map and gives its values at any positions.

    Parameters
    ----------
    profile_hat : Tensor, shape (m,)
        Filter in the Fourier domain; frequencies that the map has not are left out.
    position : Tensor, shape (count,)
        Positions in periods.
    n : int
        Samples of the map in a period.

    Returns
    -------
    rows : Tensor of float64, shape (count, n)
        By trigonometric interpolation.
    """
    # k cycles in a period: position u and sample i are apart by the phase 2 pi k (u - i / n)
    wave = torch.exp(2j * math.pi * position[:, None] * wavenumbers(n))
    filtered = wave * resize_spectrum(profile_hat[:, None], (n, 1))[:, 0]
    return torch.fft.fft(filtered).real / n


def _window(geometry: Geometry, axis: int, n: int, boundary: str) -> Tensor:
    # the same for the mean over the samples of the signal: a matrix of one row
    span, left, size = geometry.span[axis], geometry.left[axis], geometry.shape[axis]
    window = torch.zeros(span, dtype=torch.float64)
    window[left : left + size] = 1 / size
    mean_hat = resize_spectrum(torch.fft.fft(window).conj()[:, None], (n, 1))[:, 0]
    rows = torch.fft.fft(mean_hat).real[None] / n
    if boundary != "given":
        return rows
    # the window has ripples, which must not reach where what is given does not go on
    distance = (torch.arange(n) + 0.5).minimum(n - 0.5 - torch.arange(n)) * (span / n)
    return rows * torch.sin((distance / left).clamp(max=0.5) * math.pi) ** 2


def _lowpass(phi_hat: Tensor, layout: Layout, k: int) -> tuple[Tensor, ...]:
    """Low-pass filter that makes coefficients of maps of step ``2**k``.

    Parameters
    ----------
    phi_hat : Tensor, shape (N,) or (H, W)
        Filter on the samples of the extended signal.
    layout : Layout
        Grids, and the kind of average.
    k : int
        Log2 of the step of the maps.

    Returns
    -------
    lowpass : tuple of Tensor
        A matrix for each axis, which filters, samples and crops at once: the filter is separable.
        Where a signal would have many coefficients, half of a spectrum instead, up to the
        Nyquist frequency of the coefficients. Empty for maps that are given back as they are.
    """
    geometry = layout.geometry
    if layout.averaging == "global":
        sizes = enumerate(geometry.grid(k)[: geometry.ndim])
        return tuple(_window(geometry, axis, n, layout.boundary) for axis, n in sizes)
    if layout.averaging is None and not geometry.resampled:
        return ()
    if is_spectral(layout):
        return (phi_hat[: len(phi_hat) // geometry.step // 2 + 1, None],)
    profiles = [phi_hat]
    if geometry.ndim == 2:
        root = phi_hat[0, 0].sqrt()
        profiles = [phi_hat[:, 0] / root, phi_hat[0] / root]
    step, first = geometry.step, geometry.first
    if layout.averaging is None:  # the maps at multiples of their step from the first sample on
        profiles, step, first = [torch.ones_like(p) for p in profiles], 2**k, (0, 0)
    return tuple(
        _rows(profile, step * (start + torch.arange(count, dtype=torch.float64)) / span, n)
        for profile, start, count, span, n in zip(
            profiles, first, map_shape(layout, k), geometry.span, geometry.grid(k), strict=False
        )
    )


def _cut(bank: Bank, n: tuple[int, ...], geometry: Geometry, k: int, k_j: int) -> list[Tile]:
    # filters that act on maps of step 2**k and give maps of step 2**k_j
    psi_hat = bank.psi_hat[n[0] : n[-1] + 1].reshape(len(n), bank.shape[0], -1)
    source, target = geometry.grid(k), geometry.grid(k_j)
    if geometry.resampled and k == 0 < k_j:
        source = geometry.extended
        psi_hat = psi_hat * (math.prod(source) / math.prod(geometry.span))
    # a short axis may have fewer samples in a period than a map of large steps, a long one more
    height, width = (min(pair) for pair in zip(psi_hat.shape[-2:], source, strict=True))
    psi_hat = resize_spectrum(resize_spectrum(psi_hat, (height, width)), source)
    return cut_filters(psi_hat, target, _TOLERANCE[psi_hat.dtype])


def _stages(
    banks: list[Bank], scales: tuple[Scale, ...], geometry: Geometry, k: int, block: int
) -> tuple[Stage, ...]:
    # cut the filters for maps of step 2**k, in groups whose maps fill at most a block
    stages = []
    for n, k_j, following in scales:
        deeper = _stages(banks[1:], following, geometry, k_j, block)
        size = even_size(len(n), block // math.prod(geometry.grid(k_j)))
        for part in (n[i : i + size] for i in range(0, len(n), size)):
            tiles = _cut(banks[0], part, geometry, k, k_j)
            stages.append(Stage(len(part), k_j, tiles, deeper))
    return tuple(stages)


def _extension(n: int, left: int, size: int, boundary: str) -> Tensor:
    if boundary == "given":
        return torch.arange(size)
    return extension_index(n, left, size - n - left, boundary)


def _bank(geometry: Geometry, J: int, L: int, Q: int, T: float | None) -> Bank:
    if geometry.ndim == 1:
        return morlet_1d(geometry.span[0], J, Q, T)
    return morlet_2d(geometry.span, J, L, Q, T)


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
        k: tuple(m.to(device, dtype) for m in _lowpass(banks[Q[0]].phi_hat, layout, k))
        for k in used
    }
    index = tuple(
        _extension(n, left, size, layout.boundary).to(device)
        for n, left, size in zip(geometry.shape, geometry.left, geometry.span, strict=True)
    )
    return Plan(**vars(layout), index=index, stages=stages, lowpass=lowpass, block=block)
