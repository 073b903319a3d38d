r"""What a scattering transform needs to know of its signals' shape, computed once."""

import math
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from skwave.functional.bank import Bank, Wavelet
from skwave.functional.fourier import Tile, crop_spectrum, cut_filters, extension_index
from skwave.functional.geometry import Geometry, Pair, scattering_geometry
from skwave.functional.morlet import morlet_1d, morlet_2d

# the part of a filter's spectrum that is left out, relative to its peak
_TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-14}
# samples of the modulus of a 1-D wavelet, per inverse bandwidth: aliases 1e-4 of its norm
_SAMPLES_PER_SIGMA = 17


class Scale(NamedTuple):
    """Wavelets of one scale ``j`` that share the sampling step ``2**k``.

    ``tiles`` are the filters, cut for the grid that they act on; ``following`` are the
    scales of the next order, cut for the grid of step ``2**k``.
    """

    n: tuple[int, ...]
    k: int
    tiles: list[Tile]
    following: "tuple[Scale, ...]" = ()


@dataclass(frozen=True)
class Plan:
    """All that `scattering` needs beside the signal; made by `scattering_plan`.

    Attributes
    ----------
    geometry : Geometry
        Grids of the signal and of the coefficients.
    wavelets : (tuple of Wavelet, tuple of Wavelet)
        Wavelets of the first and of the second order.
    index : tuple of Tensor
        Samples that extend the signal, for each axis.
    scales : tuple of Scale
        First order, and what follows.
    lowpass : dict of int to tuple of Tensor
        Low-pass filter for maps of step ``2**k``.
    averaging : {"local", "global", None}
        Kind of average.
    padding : str
        Kind of extension.
    n_phases : int or None
        Phases of the rectifier; None for the modulus.
    block : int
        Number of complex values that are worked on at once.
    """

    geometry: Geometry
    wavelets: tuple[tuple[Wavelet, ...], tuple[Wavelet, ...]]
    index: tuple[Tensor, ...]
    scales: tuple[Scale, ...]
    lowpass: dict[int, tuple[Tensor, ...]]
    averaging: str | None
    padding: str
    n_phases: int | None
    block: int


def _lowpass_rows(phi_hat: Tensor, k: int, step: int, first: int, count: int) -> Tensor:
    # matrix (count, n >> k): low-pass the samples of step 2**k, at `count` positions
    n = len(phi_hat) >> k
    phi = torch.fft.ifft(crop_spectrum(phi_hat, (n,))).real
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


def _step(wavelet: Wavelet, following: tuple[Wavelet, ...]) -> int:
    # log2 of the step at which a 1-D modulus is sampled if only its average counts: the
    # modulus does not see the carrier, so its bandwidth decides, and the highest frequency
    # that the wavelets which follow look at
    top = max((f.xi + 2 * f.sigma for f in following if f.j > wavelet.j), default=0.0)
    margin = 2 if following else 1
    return math.floor(-math.log2(max(margin * _SAMPLES_PER_SIGMA * wavelet.sigma, 2 * top)))


def _cut(bank: Bank, n: list[int], source: Pair, target: Pair) -> list[Tile]:
    psi_hat = bank.psi_hat[n[0] : n[-1] + 1].reshape(len(n), bank.shape[0], -1)
    return cut_filters(crop_spectrum(psi_hat, source), target, _TOLERANCE[psi_hat.dtype])


def _scales(
    orders: list[tuple[Bank, list[int]]],
    geometry: Geometry,
    k: int,
    above: float,
    block: int,
) -> tuple[Scale, ...]:
    # group the wavelets of scale j > above by scale and step, for maps of step 2**k
    if not orders:
        return ()
    bank, steps = orders[0]
    groups: dict[tuple[float, int], list[int]] = {}
    for i, wavelet in enumerate(bank.wavelets):
        if wavelet.j > above:
            groups.setdefault((wavelet.j, max(steps[i], k)), []).append(i)
    scales = []
    for (j, k_j), n in groups.items():
        following = _scales(orders[1:], geometry, k_j, j, block)
        size = max(1, block // math.prod(geometry.grid(k_j)))
        for part in (n[i : i + size] for i in range(0, len(n), size)):
            tiles = _cut(bank, part, geometry.grid(k), geometry.grid(k_j))
            scales.append(Scale(tuple(part), k_j, tiles, following))
    return tuple(scales)


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
    max_order: int = 2,
    n_phases: int | None = None,
    averaging: str | None = "local",
    oversampling: int = 0,
    padding: str = "reflect",
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    block: int = 2**19,
) -> Plan:
    r"""Prepare `scattering` for signals of one shape.

    Parameters
    ----------
    shape : tuple of int
        ``(N,)`` or ``(H, W)``.
    J : int
        Log2 of the largest scale; ``2**J`` is at most the smallest size.
    L : int, default=8
        Orientations, in 2-D.
    Q : (int, int), default=(1, 1)
        Wavelets per octave of the first and of the second order.
    T : float, default=None
        Support of the low-pass in samples, ``2**J`` by default.
    max_order : {0, 1, 2}, default=2
        Number of nonlinearities.
    n_phases : int, default=None
        Phases of the rectifier; None for the modulus.
    averaging : {"local", "global", None}, default="local"
        Low-pass and subsample, mean over the signal, or the maps themselves.
    oversampling : int, default=0
        Every map is computed on a grid finer by ``2**oversampling``: nearer to the
        definition without subsampling. The grid of the coefficients stays.
    padding : {"reflect", "periodic", "zero"}, default="reflect"
        Extension of the signal.
    dtype : torch.dtype, default=torch.float32
        Type float32 or float64.
    device : torch.device or str, default="cpu"
        Device of the filters.
    block : int, default=2**19
        Complex values worked on at once: few enough to stay in the cache of a CPU.

    Returns
    -------
    plan : Plan
        Filters, cut and placed.
    """
    geometry = scattering_geometry(shape, J, T, padding)
    extended, to = geometry.extended, {"dtype": dtype, "device": device}
    banks = {q: _bank(geometry, J, L, q, T) for q in set(Q)}
    wavelets = tuple(banks[q].wavelets for q in Q)
    largest = int(math.log2(geometry.step)) if averaging == "local" else J
    orders = []
    for i, q in enumerate(Q[:max_order]):
        steps = [math.floor(wavelet.j) for wavelet in wavelets[i]]
        if geometry.ndim == 1 and averaging is not None and n_phases is None:
            following = () if i + 1 == max_order else wavelets[i + 1]
            steps = [max(k, _step(w, following)) for k, w in zip(steps, wavelets[i], strict=True)]
        orders.append((banks[q].to(**to), [max(min(k, largest) - oversampling, 0) for k in steps]))
    scales = _scales(orders, geometry, 0, -1.0, block)
    used = {0} | {s.k for s in scales} | {s.k for first in scales for s in first.following}
    lowpass = {
        k: tuple(m.to(**to) for m in _lowpass(banks[Q[0]].phi_hat, geometry, k))
        for k in (used if averaging == "local" else ())
    }
    index = tuple(
        extension_index(n, left, size - n - left, padding).to(device)
        for n, left, size in zip(geometry.shape, geometry.left, extended, strict=True)
    )
    return Plan(geometry, wavelets, index, scales, lowpass, averaging, padding, n_phases, block)


class Path(NamedTuple):
    """A sequence of wavelets: the indices of one scattering coefficient.

    ``n`` are wavelet indices and ``phase`` rectifier phases, one for each order; ``grid``
    is the shape of its map of coefficients.
    """

    n: tuple[int, ...]
    phase: tuple[int, ...]
    grid: tuple[int, ...]


def _map_shape(plan: Plan, k: int) -> tuple[int, ...]:
    # of what comes out of a map of step 2**k
    geometry = plan.geometry
    shape = {"local": geometry.count, "global": (1, 1)}.get(plan.averaging)
    if shape is None:
        shape = tuple(s.stop - s.start for s in geometry.inside(k))
    return shape[: geometry.ndim]


def scattering_paths(plan: Plan) -> list[Path]:
    """Paths of the coefficients, in their order: by order, then wavelet after wavelet.

    Parameters
    ----------
    plan : Plan
        Made by `scattering_plan`.

    Returns
    -------
    paths : list of Path
        One for each map of coefficients.
    """
    phase = range(plan.n_phases or 1)

    paths = [Path((), (), _map_shape(plan, 0))]
    paths += [
        Path((n,), (a,), _map_shape(plan, s.k)) for s in plan.scales for n, a in product(s.n, phase)
    ]
    for first in plan.scales:
        for n1, a1 in product(first.n, phase):
            for s in first.following:
                shape_2 = _map_shape(plan, s.k)
                paths += [Path((n1, n2), (a1, a2), shape_2) for n2, a2 in product(s.n, phase)]
    return paths
