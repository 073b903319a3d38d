r"""Wavelet fields of a batch of signals and their phase harmonics, each scale on its own grid."""

import math
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

import torch
from torch import Tensor

from skwave.functional._wavelets.bump import bump_1d, bump_2d
from skwave.functional._wavelets.fourier import Grid, fft, ifft, resize_spectrum
from skwave.functional._wavelets.morlet import morlet_1d, morlet_2d
from skwave.functional._wavelets.nonlinearity import (
    modulus,
    phase_harmonic,
    power_of_two,
    rectifier,
    safe_sqrt,
    squared_modulus,
)

_BAND_FLOOR = 1e-2  # deviation of a band, to that of white noise of the variance of the field
_MODULUS_FLOOR = 0.1  # deviation of a modulus, to that of the wavelet coefficients


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
    gains : tuple of Tensor, shape (L,)
        Deviations that the wavelets of each scale give white noise of variance 1.
    n_phases : int or None
        Phases of the rectifier that takes the place of the modulus; None for the modulus.
    """

    shape: Grid
    J: int
    L: int
    grids: tuple[Grid, ...]
    filters: tuple[Tensor, ...]
    gains: tuple[Tensor, ...]
    masks: tuple[Tensor, ...] = ()
    n_phases: int | None = None

    def fine(self, j: int) -> Grid:
        """Grid of a scale for moduli and products, whose frequencies reach further.

        Parameters
        ----------
        j : int
            Scale.

        Returns
        -------
        grid : (int, int)
            Twice as fine as that of the scale, if the signal is; four times with a rectifier,
            which has a kink.
        """
        return self.grids[max(j - (1 if self.n_phases is None else 2), 0)]


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
    r"""Grids and filters of the wavelet fields of signals of one shape.

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
        # the Morlet bank has one wavelet more than scales: a wider low-pass takes its place
        low = 2.0 ** (J - 1)
        bank = bump_1d(shape[0], J) if wavelet == "bump" else morlet_1d(shape[0], J, T=low)
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
    gains = tuple((f.square().sum((-3, -2, -1)) / math.prod(shape)).sqrt() for f in filters)
    return FieldPlan(shape, J, L, grids, filters, gains, masks, n_phases)


def averaging_masks(valid: Tensor, J: int, *, periodic: bool = False) -> list[Tensor]:
    """Averaging weights of each scale, 0 near the samples that do not count.

    Parameters
    ----------
    valid : Tensor of bool, shape (H, W)
        Samples that count.
    J : int
        Number of scales.
    periodic : bool, default=False
        Whether samples continue at the opposite side; else the sides are like what is not valid.

    Returns
    -------
    masks : list of Tensor of float64, shape (H, W)
        Of mean 1, for the scales and the low-pass.

    Raises
    ------
    ValueError
        If nothing is left.
    """
    good = [_eroded(valid, 2 ** min(j, J - 1), periodic) for j in range(J + 1)]
    if not all(mask.any() for mask in good):
        raise ValueError(
            f"no valid sample is farther than 2**(J - 1) = {2 ** (J - 1)} from "
            f"{'' if periodic else 'the sides and '}those that are not valid: use a smaller J."
        )
    return [mask / mask.mean() for mask in good]


def _eroded(valid: Tensor, radius: int, periodic: bool) -> Tensor:
    # 1 where all samples within the radius are valid, 0 elsewhere
    bad = 1.0 - valid.to(torch.float64)
    for axis in range(2):
        if valid.shape[axis] > 1:
            moved = bad.movedim(axis, -1)[:, None]
            if periodic:
                padded = torch.nn.functional.pad(moved, (radius, radius), mode="circular")
            else:
                padded = torch.nn.functional.pad(moved, (radius, radius), value=1.0)
            moved = torch.nn.functional.max_pool1d(padded, 2 * radius + 1, 1)
            bad = moved[:, 0].movedim(-1, axis)
    return 1.0 - bad


def divisor(deviation: Tensor) -> Tensor:
    """Divisor for quantities of a given deviation: the deviation, or 1 where it is 0.

    Parameters
    ----------
    deviation : Tensor, shape (...)
        Not negative.

    Returns
    -------
    divisor : Tensor, shape (...)
        1 in place of 0: what is constant has moments 0, whatever the divisor is.
    """
    return torch.where(deviation > 0, deviation, 1.0)


def centred(x: Tensor, *, scaled: bool = True) -> Tensor:
    """Signals less their means, divided by powers of two, so that nothing else is lost.

    Parameters
    ----------
    x : Tensor, shape (..., H, W)
        Real signals.
    scaled : bool, default=True
        Whether to divide by the power of two next to the largest magnitude of each.

    Returns
    -------
    y : Tensor, shape (..., H, W)
        Signals; 0 where a signal is constant up to rounding.
    """
    y = x - x.mean((-2, -1), keepdim=True)
    y = y - y.mean((-2, -1), keepdim=True)  # the mean of a large offset is rounded itself
    largest = [torch.linalg.vector_norm(z.detach(), math.inf, (-2, -1), True) for z in (y, x)]
    y = torch.where(largest[0] > 4 * torch.finfo(x.dtype).eps * largest[1], y, 0.0)
    return y / power_of_two(y, (-2, -1)) if scaled else y


@lru_cache(maxsize=512)
def index_on(places: tuple[int, ...], device: torch.device) -> Tensor:
    """Index on a device, which is copied there once.

    Parameters
    ----------
    places : tuple of int
        Places along an axis.
    device : torch.device
        Device.

    Returns
    -------
    index : Tensor of int64, shape (n,)
        Kept for the next call.
    """
    with torch.inference_mode(False):  # it is kept for others
        return torch.tensor(places, dtype=torch.int64, device=device)


class Fields:
    r"""Wavelet fields, phase harmonics and spectra of a batch of signals, each computed once.

    Parameters
    ----------
    x : Tensor, shape (B, C, H, W)
        Real signals.
    plan : FieldPlan
        Made by `field_plan`.
    mean : Tensor, shape (C,), default=None
        Mean of the signals, to be subtracted; None for that of each sample itself.
    means : sequence of Tensor, shape (C, L), default=None
        Means of the moduli of each scale, to be subtracted; None for those of each sample itself.
    """

    def __init__(
        self,
        x: Tensor,
        plan: FieldPlan,
        mean: Tensor | None = None,
        means: list[Tensor] | None = None,
    ):
        self.plan, self.means = plan, means
        mean = x.mean((-2, -1)) if mean is None else mean
        self.x_hat = fft(x - mean[..., None, None])[:, :, None]
        self._found: dict[Hashable, Tensor] = {}

    def once(self, key: Hashable, make: Callable[[], Tensor]) -> Tensor:
        """Result of a function that is called once for each key.

        Parameters
        ----------
        key : hashable
            Name of the result.
        make : callable
            Makes it, without arguments.

        Returns
        -------
        result : Tensor
            Result of the first call.
        """
        if key not in self._found:
            self._found[key] = make()
        return self._found[key]

    def wavelet_spectrum(self, j: int) -> Tensor:
        """Spectrum of the wavelet coefficients of a scale.

        Parameters
        ----------
        j : int
            Scale.

        Returns
        -------
        w_hat : Tensor, shape (B, C, L, h, w)
            On the grid of the scale.
        """

        def make() -> Tensor:  # numpydoc ignore=GL08
            x_hat = torch.view_as_real(resize_spectrum(self.x_hat, self.plan.grids[j]))
            return torch.view_as_complex(x_hat * self.plan.filters[j])

        return self.once(j, make)

    def harmonic(self, j: int, k: int, grid: Grid) -> Tensor:
        r"""Phase harmonic :math:`[x\star\psi_{j,\ell}]^k` on a grid; moduli are centred.

        Parameters
        ----------
        j : int
            Scale.
        k : int
            Harmonic.
        grid : (int, int)
            That of the scale, or a finer one.

        Returns
        -------
        h : Tensor, shape (B, C, L, h, w)
            Real for ``k=0``, else complex; for ``k=0`` with a rectifier there are ``n_phases``
            maps for each orientation.
        """

        def make() -> Tensor:  # numpydoc ignore=GL08
            if k == 1:
                return ifft(resize_spectrum(self.wavelet_spectrum(j), grid))
            w = self.harmonic(j, 1, grid)
            if k:
                return phase_harmonic(w, k)
            h = self.envelope(w)
            mean = self.average(h, j) if self.means is None else self.means[j]
            return h - mean[..., None, None]

        return self.once((j, k, grid), make)

    def envelope(self, w: Tensor) -> Tensor:
        """Modulus of wavelet coefficients, or their rectified real parts at several phases.

        Parameters
        ----------
        w : Tensor, shape (B, C, L, h, w)
            Wavelet coefficients.

        Returns
        -------
        u : Tensor, shape (B, C, L, h, w) or (B, C, L * n_phases, h, w)
            Real.
        """
        if self.plan.n_phases is None:
            return modulus(w)
        return rectifier(w, self.plan.n_phases).flatten(2, 3)

    def spectrum(self, j: int, k: int, grid: Grid, scale: int | None = None) -> Tensor:
        """Spectrum of a phase harmonic.

        Parameters
        ----------
        j : int
            Scale.
        k : int
            Harmonic.
        grid : (int, int)
            Grid to give it on.
        scale : int, default=None
            Scale whose mask multiplies the field, if there are masks; None for no mask.

        Returns
        -------
        h_hat : Tensor, shape (B, C, L, h, w)
            Spectrum.
        """
        masked_by = scale if self.plan.masks else None
        own = self.plan.grids[j] if k else self.plan.fine(j)
        own = (max(own[0], grid[0]), max(own[1], grid[1]))

        def make() -> Tensor:  # numpydoc ignore=GL08
            if k == 1 and masked_by is None:
                return resize_spectrum(self.wavelet_spectrum(j), own)
            h = self.harmonic(j, k, own)
            return fft(h if masked_by is None else h * self.mask(masked_by, own))

        key = (j, k, masked_by, "hat")
        h_hat = self.once((*key, own), make)
        # from each grid to the next one: gradients meet on the coarsest grid that they share
        for coarser in sorted(set(self.plan.grids), reverse=True):
            if grid <= coarser < own:
                resize = partial(resize_spectrum, h_hat, coarser)
                h_hat = self.once((*key, own, coarser), resize)
        return h_hat

    def mask(self, j: int, grid: Grid) -> Tensor:
        """Mask of a scale on a grid.

        Parameters
        ----------
        j : int
            Scale.
        grid : (int, int)
            Grid.

        Returns
        -------
        mask : Tensor, shape (h, w)
            Weights of mean 1.
        """

        def make() -> Tensor:  # numpydoc ignore=GL08
            index = [
                (torch.arange(n, device=self.x_hat.device) * size) // n
                for n, size in zip(grid, self.plan.shape, strict=True)
            ]
            mask = self.plan.masks[j][index[0][:, None], index[1]]
            return mask / mask.mean()

        return self.once(("mask", j, grid), make)

    def average(self, u: Tensor, j: int) -> Tensor:
        """Average of fields over space, weighted by the mask of a scale.

        Parameters
        ----------
        u : Tensor, shape (..., h, w)
            Field.
        j : int
            Scale.

        Returns
        -------
        mean : Tensor, shape (...)
            Averages.
        """
        if self.plan.masks:
            u = u * self.mask(j, (u.shape[-2], u.shape[-1]))
        return u.mean((-2, -1))


class Reference(NamedTuple):
    """Means and standard deviations of a field, which centre and divide moments.

    Attributes
    ----------
    mean, std : Tensor, shape (C,)
        Mean and standard deviation of the samples.
    means : list of Tensor, shape (C, L)
        Means of the moduli of each scale.
    moduli, waves : list of Tensor, shape (C, L)
        Standard deviations of the moduli, and of the wavelet coefficients.
    """

    mean: Tensor
    std: Tensor
    means: list[Tensor] | None
    moduli: list[Tensor]
    waves: list[Tensor]


def wave_deviation(power: Tensor, std: Tensor, gain: Tensor) -> Tensor:
    r"""Deviation of wavelet coefficients that divides, with a floor where a band is empty.

    .. math:: \sigma_\lambda = \max\big(\langle|x\star\psi_\lambda|^2\rangle^{1/2},\;
       0.01\, \sigma\, g_\lambda\big)

    with :math:`\sigma` the deviation of the signal, and :math:`g_\lambda` that which the wavelet
    gives white noise of variance 1.

    Parameters
    ----------
    power : Tensor, shape (..., L)
        Mean squared modulus of the coefficients.
    std : Tensor, shape (...)
        Deviation of the signal.
    gain : Tensor, shape (L,)
        Of `FieldPlan`.

    Returns
    -------
    deviation : Tensor, shape (..., L)
        Deviation.
    """
    return torch.maximum(safe_sqrt(power), _BAND_FLOOR * gain * std[..., None])


def modulus_deviation(spread: Tensor, power: Tensor, std: Tensor, gain: Tensor) -> Tensor:
    r"""Deviation of moduli that divides, with a floor where a modulus is constant.

    .. math:: \sigma_{\lambda,0} = \max\big(\mathrm{Var}(|x\star\psi_\lambda|)^{1/2},\;
       0.1\, \langle|x\star\psi_\lambda|^2\rangle^{1/2},\; 0.01\, \sigma\, g_\lambda\big)

    The modulus of a wave alone varies by rounding only; that of Gaussian noise by 0.46 of the
    deviation of the coefficients.

    Parameters
    ----------
    spread : Tensor, shape (..., L) or (..., L * n_phases)
        Variances of the moduli, or of rectified phases.
    power, std, gain : Tensor
        As in `wave_deviation`.

    Returns
    -------
    deviation : Tensor, shape of ``spread``
        Deviation.
    """
    floor = torch.maximum(_MODULUS_FLOOR * safe_sqrt(power), _BAND_FLOOR * gain * std[..., None])
    floor = floor.repeat_interleave(spread.shape[-1] // power.shape[-1], -1)
    return torch.maximum(safe_sqrt(spread), floor)


def reference(x: Tensor, plan: FieldPlan, *, batch_size: int | None = None) -> Reference:
    """Means and deviations of a field, averaged over its realisations.

    Parameters
    ----------
    x : Tensor, shape (B, C, H, W)
        Realisations.
    plan : FieldPlan
        Made by `field_plan`.
    batch_size : int, default=None
        Realisations at once; None for all.

    Returns
    -------
    reference : Reference
        Averages over the realisations.
    """
    mean = x.mean((0, -2, -1))
    std = safe_sqrt((x - mean[:, None, None]).square().mean((0, -2, -1)))
    batches = [_averages(part, plan) for part in x.split(batch_size or len(x))]
    means, moduli, waves = [], [], []
    for j, gain in enumerate(plan.gains):
        of_batches = [(n / len(x), *scales[j]) for n, scales in batches]
        center = _sum(p * m for p, m, _, _ in of_batches)
        # the variance within batches, and that of their means
        spread = _sum(p * (v + (m - center).square()) for p, m, v, _ in of_batches)
        power = _sum(p * w for p, _, _, w in of_batches)
        means.append(center)
        waves.append(wave_deviation(power, std, gain))
        moduli.append(modulus_deviation(spread, power, std, gain))
    return Reference(mean, std, means, moduli, waves)


def _sum(terms: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(terms)).sum(0)


def _averages(x: Tensor, plan: FieldPlan) -> tuple[int, list[tuple[Tensor, Tensor, Tensor]]]:
    # number of signals, and for each scale means and variances of moduli, and powers of waves
    fields, found = Fields(x, plan), []
    for j in range(plan.J + 1):
        w = fields.harmonic(j, 1, plan.fine(j))
        u = fields.envelope(w)
        mean = fields.average(u, j).mean(0)
        spread = fields.average((u - mean[..., None, None]).square(), j).mean(0)
        found.append((mean, spread, fields.average(squared_modulus(w), j).mean(0)))
    return len(x), found


def own_reference(x: Tensor, fields: Fields) -> Reference:
    """Deviations of each sample of a batch by itself.

    Parameters
    ----------
    x : Tensor, shape (B, C, H, W)
        Signals.
    fields : Fields
        Their wavelet fields.

    Returns
    -------
    reference : Reference
        Tensors (B, C) and (B, C, L); the fields are centred, so ``means`` is None.
    """
    mean = x.mean((-2, -1))
    std = safe_sqrt((x - mean[..., None, None]).square().mean((-2, -1)))
    moduli, waves = [], []
    for j in range(fields.plan.J + 1):
        w, u = (fields.harmonic(j, k, fields.plan.fine(j)) for k in (1, 0))
        spread = fields.average(u.square(), j)
        power = fields.average(squared_modulus(w), j)
        waves.append(wave_deviation(power, std, fields.plan.gains[j]))
        moduli.append(modulus_deviation(spread, power, std, fields.plan.gains[j]))
    return Reference(mean, std, None, moduli, waves)
