r"""Wavelet fields of a batch of signals, each scale on a grid of its own, and their harmonics."""

from collections.abc import Callable, Hashable
from functools import partial

import torch
from torch import Tensor

from skwave.functional.field_plans import FieldPlan
from skwave.functional.grids import Grid, fft, ifft, resize_spectrum
from skwave.functional.nonlinearity import modulus, phase_harmonic, rectifier


def deviation(variance: Tensor) -> Tensor:
    """Standard deviation, with gradient 0 where it is 0.

    Parameters
    ----------
    variance : Tensor, shape (...)
        Not negative.

    Returns
    -------
    deviation : Tensor, shape (...)
        Its root.
    """
    positive = variance > 0
    return torch.where(positive, torch.where(positive, variance, 1.0).sqrt(), 0.0)


def divisor(deviation: Tensor) -> Tensor:
    """Deviation to divide by.

    Parameters
    ----------
    deviation : Tensor, shape (...)
        Not negative.

    Returns
    -------
    divisor : Tensor, shape (...)
        1 in place of 0: what is constant has moments 0, whatever they are divided by.
    """
    return torch.where(deviation > 0, deviation, 1.0)


class Fields:
    r"""Wavelet fields of a batch, their phase harmonics and spectra, each computed once.

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
        """What a function makes, once for each key.

        Parameters
        ----------
        key : hashable
            Name of the result.
        make : callable
            Makes it, without arguments.

        Returns
        -------
        result : Tensor
            Of the first call.
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
        r"""Phase harmonic :math:`[x\star\psi_{j,\ell}]^k` on a grid, a modulus without its mean.

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
        """Modulus of wavelet coefficients, or their rectified parts.

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
        own = self.plan.grids[j]
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
        """Average over space, with the mask of a scale.

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
