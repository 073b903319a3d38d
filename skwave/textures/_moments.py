"""Moments of fields: those that an estimator chooses, and fields standardised by a fitted one."""

from dataclasses import dataclass
from math import prod
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import torch

from skwave._core.arrays import resolve_device, resolve_dtype, to_numpy, to_tensor
from skwave._core.batches import batch_rows
from skwave._core.cache import Cache
from skwave._core.checks import check_scales, default_scale
from skwave._core.compat import Interval, StrOptions
from skwave.functional._textures.families import Family, moment_family, moment_layout
from skwave.functional._textures.fields import Reference, averaging_masks, reference
from skwave.functional._textures.maxent import (
    MomentDistance,
    moment_distance,
    resample_spectrum,
    smoothed_spectrum,
)
from skwave.functional._textures.moments import MomentLayout
from skwave.functional._textures.reductions import Reduction, moment_reduction, reduce_moments
from skwave.functional._textures.registry import FAMILIES

# of the parameters that choose moments, which both estimators have
MOMENT_CONSTRAINTS: dict = {
    "J": [Interval(Integral, 1, None, closed="left"), None],
    "L": [Interval(Integral, 1, 1024, closed="both")],
    "moments": [str, tuple, list],
    "shifts": [Interval(Integral, 0, 32, closed="both")],
    "harmonics": [Interval(Integral, 0, None, closed="left"), None],
    "n_phases": [Interval(Integral, 1, 1024, closed="both")],
    "wavelet": [StrOptions({"bump", "morlet"})],
    "boundary": [StrOptions({"periodic", "crop"})],
    "mask": ["array-like", None],
    "oversampling": [Interval(Integral, 0, None, closed="left")],
}


@Cache
def _layout(shape, **parameters) -> MomentLayout:
    return moment_layout(shape if len(shape) == 2 else (*shape, 1), **parameters)


@Cache
def _family(layout, mask, **parameters) -> Family:
    if mask is not None:
        mask = torch.from_numpy(np.frombuffer(mask, bool).copy()).view(layout.shape)
    return moment_family(layout, valid=mask, **parameters)


@Cache
def _reduction(layout, n_channels, reduce) -> Reduction:
    return moment_reduction(layout.rows(n_channels), reduce)


@Cache
def _rows(layout, n_channels, reduce) -> tuple:
    return tuple(
        layout.rows(n_channels) if reduce is None else _reduction(layout, n_channels, reduce).rows
    )


@dataclass(frozen=True, eq=False)
class SignalMoments:
    """Moments of signals of one shape, as the parameters of an estimator choose them.

    Layouts and filters are kept for the next call, in the process: an estimator makes this
    object whenever it needs it.

    Attributes
    ----------
    shape : tuple of int
        Signal, ``(N,)`` or ``(H, W)``.
    J, L : int
        Numbers of scales and of orientations; signals have one orientation.
    moments : str, tuple of str or callable
        Family, groups, or a function of the user's.
    shifts : int
        Number of lengths of the offsets.
    harmonics : int or None
        Largest harmonic; None for all.
    n_phases : int
        Phases of the rectifier.
    wavelet : {"bump", "morlet"}
        Wavelets.
    boundary : {"periodic", "crop"}
        Whether samples continue at the opposite side.
    mask : array-like of bool, shape of a signal, or None
        True for the samples that count.
    oversampling : int
        Log2 of the factor by which grids are finer.
    """

    shape: tuple
    J: int
    L: int
    moments: Any
    shifts: int
    harmonics: int | None
    n_phases: int
    wavelet: str
    boundary: str
    mask: Any
    oversampling: int

    PARAMETERS: ClassVar[tuple] = (
        "moments", "shifts", "harmonics", "n_phases", "wavelet", "boundary", "mask",
        "oversampling",
    )  # fmt: skip

    @classmethod
    def of(cls, estimator, shape):
        """Moments that the parameters of an estimator choose.

        Parameters
        ----------
        estimator : estimator
            Estimator with the parameters.
        shape : tuple of int
            Signal.

        Returns
        -------
        moments : SignalMoments
            Moments; those of a function if ``moments`` is a callable.
        """
        kind = CalledMoments if callable(estimator.moments) else cls
        J = default_scale(shape) if estimator.J is None else estimator.J
        L = estimator.L if len(shape) == 2 else 1
        return kind(shape, J, L, **{n: getattr(estimator, n) for n in cls.PARAMETERS})

    @property
    def ndim(self):  # numpydoc ignore=RT01
        """Number of axes of a signal."""
        return len(self.shape)

    @property
    def layout(self):  # numpydoc ignore=RT01
        """Layout of the moments."""
        return self.layout_of(self.shape)

    def layout_of(self, shape):
        """Layout of the moments of signals of another shape.

        Parameters
        ----------
        shape : tuple of int
            Signal.

        Returns
        -------
        layout : MomentLayout
            Layout.
        """
        return _layout(
            shape,
            J=self.J,
            L=self.L,
            moments=self.moments if isinstance(self.moments, str) else tuple(self.moments),
            n_lengths=self.shifts,
            harmonics=self.harmonics,
            n_phases=self.n_phases,
        )

    def check(self, note=""):
        """Refuse moments that the signals do not have, and masks that do not fit.

        Parameters
        ----------
        note : str, default=""
            Put behind the shape in the message about scales.

        Raises
        ------
        ValueError
            With the parameter to change.
        """
        self.check_moments()
        check_scales(self.shape, self.J, None, None, note)
        if self.J == 1 and not self.rows(1):  # with more scales no group is empty
            raise ValueError(
                f"moments={self.moments!r} has none for J={self.J}: its groups compare scales. Use "
                "a larger J, or other groups."
            )
        if self.mask is not None:
            mask = np.asarray(to_numpy(self.mask))
            if mask.shape != tuple(self.shape) or not mask.astype(bool).any():
                raise ValueError(
                    f"mask of shape {mask.shape} must have the shape {tuple(self.shape)} of the "
                    "signals, and True somewhere."
                )
            if not np.isin(mask, (0, 1)).all():
                raise ValueError(
                    f"mask has values from {mask.min():.3g} to {mask.max():.3g}, but a sample "
                    "counts or does not: give booleans, such as mask > 0.5. Apodised masks are "
                    "not supported."
                )
            averaging_masks(self.counting(), self.J, periodic=self.boundary == "periodic")
        elif self.boundary == "crop" and 2**self.J >= min(n for n in self.shape if n > 1):
            raise ValueError(
                f"boundary='crop' leaves nothing of signals of shape {self.shape} at scale "
                f"J={self.J}: use a smaller J, or boundary='periodic'."
            )

    def check_moments(self):
        """Refuse families and groups that do not exist, or not for such signals.

        Raises
        ------
        ValueError
            With those there are.
        """
        layout = self.layout
        if self.ndim == 1 and any(group.images_only for group in layout.groups):
            raise ValueError(f"moments={self.moments!r} are of images: use ndim=2.")

    def check_reduction(self, reduce):
        """Refuse a reduction that the moments or the signals do not have.

        Parameters
        ----------
        reduce : str or None
            Name of the reduction.

        Raises
        ------
        ValueError
            With what to use instead.
        """
        if reduce is None:
            return
        if not all(group.reducible for group in self.layout.groups):
            able = [n for n, groups in FAMILIES.items() if all(g.reducible for g in groups)]
            raise ValueError(
                f"reduce={reduce!r} is not defined for moments={self.moments!r}: use "
                f"reduce=None, or moments that are one of {tuple(able)}."
            )
        if self.ndim == 1 and reduce != "scale":
            raise ValueError(
                f"reduce={reduce!r} is over rotations, which signals do not have: use "
                "reduce='scale' or None, or ndim=2."
            )

    def counting(self):
        """Samples that count, on the grid of two axes.

        Returns
        -------
        valid : Tensor of bool, shape (H, W) or (N, 1)
            All samples if there is no mask.
        """
        mask = np.ones(self.shape, bool) if self.mask is None else to_numpy(self.mask)
        mask = torch.from_numpy(np.array(mask, dtype=bool))
        return mask if self.ndim == 2 else mask[:, None]

    def on_grid(self, x):
        """Signals on a grid of two axes.

        Parameters
        ----------
        x : Tensor, shape (B, C, H, W) or (B, C, N)
            Signals.

        Returns
        -------
        x : Tensor, shape (B, C, H, W) or (B, C, N, 1)
            The same memory.
        """
        return x if self.ndim == 2 else x.unsqueeze(-1)

    def row_bytes(self, itemsize, n_channels, shape=None, planes=60):
        """Memory that the moments of one signal need.

        Parameters
        ----------
        itemsize : int
            Bytes of a number.
        n_channels : int
            Number of channels.
        shape : tuple of int, default=None
            Signal; None for the fitted one.
        planes : int, default=60
            Fields that are held for each orientation: 60 in a forward pass.

        Returns
        -------
        row_bytes : int
            Bytes.
        """
        return (
            itemsize * n_channels * prod(self.shape if shape is None else shape) * planes * self.L
        )

    def family(self, like, *, sampled=False, periodic=True):
        """Function of the moments, and its wavelets.

        Parameters
        ----------
        like : Tensor, shape (B, C, H, W)
            Type, device and, with ``sampled``, grid of the signals.
        sampled : bool, default=False
            Whether signals are samples of a model: without a mask, of any shape.
        periodic : bool, default=True
            Whether such samples continue at the opposite side.

        Returns
        -------
        family : Family
            Kept for the next call; threads that ask for the same wait for one to make it.
        """
        layout = self.layout_of(tuple(like.shape[2 : 2 + self.ndim])) if sampled else self.layout
        mask = None
        if sampled and not periodic:
            mask = np.ones(layout.shape, bool).tobytes()
        elif not sampled and (self.mask is not None or self.boundary == "crop"):
            mask = self.counting().numpy().tobytes()
        return _family(
            layout,
            mask,
            periodic=periodic if sampled else self.boundary == "periodic",
            wavelet=self.wavelet,
            oversampling=self.oversampling,
            dtype=like.dtype,
            device=like.device,
        )

    def values(self, x, *, normalize=True, reduce=None):
        """Moments of signals, each normalised by its own deviations.

        Parameters
        ----------
        x : Tensor, shape (B, C, H, W) or (B, C, N)
            Signals.
        normalize : bool, default=True
            Whether to divide by standard deviations.
        reduce : str or None, default=None
            Name of a reduction.

        Returns
        -------
        m : Tensor, shape (B, n_moments)
            Moments, in the order of `rows`.
        """
        x = self.on_grid(x)
        if self.mask is not None:
            valid = self.counting().to(x.device)
            mean = x[..., valid].mean(-1)[..., None, None]
            x = torch.where(valid, x - mean, 0.0)  # others have no part in the wavelets
        moments = self.family(x).moments(x, None, normalize)
        if reduce is None:
            return moments
        return reduce_moments(moments, _reduction(self.layout, x.shape[1], reduce))

    def rows(self, n_channels, reduce=None):
        """Table rows of the moments.

        Parameters
        ----------
        n_channels : int
            Number of channels.
        reduce : str or None, default=None
            Name of a reduction.

        Returns
        -------
        rows : tuple of Moment
            One row for each moment.
        """
        return _rows(self.layout, n_channels, reduce)

    def labels(self, n_channels):
        """Label of the group of each moment.

        Parameters
        ----------
        n_channels : int
            Number of channels.

        Returns
        -------
        labels : list of str
            One for each moment.
        """
        return [row.group for row in self.rows(n_channels)]

    def table(self, n_channels, reduce=None):
        """Table of the moments.

        Parameters
        ----------
        n_channels : int
            Number of channels.
        reduce : str or None, default=None
            Name of a reduction.

        Returns
        -------
        table : structured ndarray, shape (n_moments,)
            Fields of `skwave.functional.Moment`.
        """
        rows = self.rows(n_channels, reduce)
        kinds = [
            (name, "U16" if isinstance(value, str) else "i4")
            for name, value in zip(rows[0]._fields, rows[0], strict=True)
        ]
        return np.array([tuple(row) for row in rows], dtype=kinds)

    def names(self, n_channels, reduce=None):
        """Names of the moments.

        Parameters
        ----------
        n_channels : int
            Number of channels.
        reduce : str or None, default=None
            Name of a reduction.

        Returns
        -------
        names : ndarray of str, shape (n_moments,)
            Such as ``"C01_j0_l1_j2_l1_t2a3_re"``.
        """
        layout = self.layout
        names = [layout.name(row, n_channels) for row in self.rows(n_channels, reduce)]
        return np.array(names, dtype=object)


class CalledMoments(SignalMoments):
    """Moments that are a function of the user's; the wavelets serve the smoothed spectrum alone."""

    def layout_of(self, shape):
        """Layout of the wavelets of the smoothed spectrum.

        Parameters
        ----------
        shape : tuple of int
            Signal.

        Returns
        -------
        layout : MomentLayout
            Layout of the group S11.
        """
        return _layout(shape, J=self.J, L=self.L, moments=("S11",))

    def check_moments(self):
        """Nothing to check before the function is called."""

    def family(self, like, *, sampled=False, periodic=True):
        """Function of the moments, of any shape, and wavelets of the fitted shape.

        Parameters
        ----------
        like : Tensor, shape (B, C, H, W)
            Type and device of the signals.
        sampled, periodic : bool
            Not used: the function sees the whole field.

        Returns
        -------
        family : Family
            The function calls the user's one.
        """
        fields = _family(self.layout, None, dtype=like.dtype, device=like.device).fields
        return Family(lambda x, ref, normalize: self._called(x), fields)

    def _called(self, x):
        m = self.moments(x if self.ndim == 2 else x[..., 0])
        if not isinstance(m, torch.Tensor) or m.ndim != 2 or len(m) != len(x):
            raise ValueError(
                f"moments gave {getattr(m, 'shape', type(m))} for a batch of {len(x)}: it must "
                "give a tensor of shape (batch, n_moments)."
            )
        return m

    def labels(self, n_channels):
        """Nothing: the moments of a function are one group.

        Parameters
        ----------
        n_channels : int
            Number of channels.

        Returns
        -------
        labels : None
            No labels.
        """

    def table(self, n_channels, reduce=None):
        """Refuse: a function has no table.

        Parameters
        ----------
        n_channels : int
            Number of channels.
        reduce : str or None, default=None
            Not used.

        Raises
        ------
        AttributeError
            Always.
        """
        raise AttributeError("moment_table_ is of named groups; moments is a callable.")


@dataclass(frozen=True, eq=False)
class FieldMoments:
    r"""Standardised fields, their moments relative to a fitted field, and the energy of these.

    .. math:: z = \frac{x - \mu}{\sigma}, \qquad E(z) = d\big(\phi(z), \phi(\bar z)\big)

    with the mean :math:`\mu` and the deviation :math:`\sigma` of the fitted field in each channel,
    whose wavelet deviations divide the moments :math:`\phi`; :math:`d` is `MomentDistance`.

    Attributes
    ----------
    signals : SignalMoments
        Chosen moments.
    mean, scale : ndarray, shape (n_channels,)
        Mean and standard deviation of the fitted field.
    reference : Reference or None
        Deviations of its wavelet fields, as arrays; None for a function of the user's.
    target : ndarray, shape (n_moments,), or None
        Its moments :math:`\phi(\bar z)`.
    spectrum : ndarray, shape (n_channels, ...), or None
        Its smoothed power spectrum, in the unit of the data.
    device : str, torch.device or None, default=None
        Device of the tensors.
    """

    signals: SignalMoments
    mean: np.ndarray
    scale: np.ndarray
    reference: Reference | None = None
    target: np.ndarray | None = None
    spectrum: np.ndarray | None = None
    device: Any = None

    @classmethod
    def fitted(cls, signals, x, batch_size="auto"):
        """Moments of a field, with all that they are relative to.

        Parameters
        ----------
        signals : SignalMoments
            Chosen moments.
        x : Tensor, shape (B, C, H, W) or (B, C, N)
            Realisations of the field.
        batch_size : int or "auto", default="auto"
            Realisations at once; ``"auto"`` keeps within scikit-learn's ``working_memory``.

        Returns
        -------
        moments : FieldMoments
            Averages over the realisations.

        Raises
        ------
        ValueError
            If a channel is constant.
        """
        valid = signals.counting().to(x.device)
        std, mean = torch.std_mean(signals.on_grid(x)[..., valid], (0, -1), correction=0)
        constant = std <= 4 * torch.finfo(std.dtype).eps * mean.abs()
        if constant.any():
            raise ValueError(
                f"channel {int(constant.nonzero()[0])} of X is constant: a field "
                "without variations has no moments. Leave the channel out."
            )
        moments = {"mean": mean.cpu().numpy(), "scale": std.cpu().numpy(), "device": x.device}
        z = cls(signals, **moments).counted(x)
        family = signals.family(z)
        row_bytes = signals.row_bytes(x.element_size(), x.shape[1])
        size = batch_rows(batch_size, row_bytes, len(x))
        with torch.no_grad():
            if not isinstance(signals, CalledMoments):
                found = reference(z, family.fields, batch_size=size)
                moments["reference"] = _as_arrays(found)
            known = cls(signals, **moments)
            target = sum(known.of_data(part).sum(0) for part in x.split(size)) / len(x)
            periodic = signals.boundary == "periodic"
            spectrum = smoothed_spectrum(z, family.fields, periodic=periodic, batch_size=size)
            spectrum /= valid.double().mean().to(spectrum)  # what is masked has no power
        spectrum = spectrum.reshape(len(std), *signals.shape).cpu().numpy()
        spectrum *= moments["scale"].reshape(-1, *[1] * signals.ndim) ** 2
        return cls(signals, **moments, target=target.cpu().numpy(), spectrum=spectrum)

    @property
    def n_channels(self):  # numpydoc ignore=RT01
        """Number of channels."""
        return len(self.mean)

    def tensor(self, X):
        """Array as a tensor of the type and on the device of the model.

        Parameters
        ----------
        X : array
            Array.

        Returns
        -------
        x : Tensor
            Tensor of the shape of the array.
        """
        device = resolve_device(self.device, self.mean)
        return to_tensor(X, resolve_dtype(None, self.mean), device)

    def standardised(self, x):
        """Standardised fields.

        Parameters
        ----------
        x : Tensor, shape (B, C, H, W) or (B, C, N)
            Fields in the unit of the data.

        Returns
        -------
        z : Tensor, shape (B, C, H, W) or (B, C, N, 1)
            Fields of mean 0 and variance 1.
        """
        x = self.signals.on_grid(x)
        mean, std = (torch.from_numpy(a).to(x)[:, None, None] for a in (self.mean, self.scale))
        return (x - mean) / std

    def counted(self, x):
        """Standardised fields with the mean in place of the samples that do not count.

        Parameters
        ----------
        x : Tensor, shape (B, C, H, W) or (B, C, N)
            Fields of the fitted shape, in the unit of the data.

        Returns
        -------
        z : Tensor, shape (B, C, H, W) or (B, C, N, 1)
            Fields.
        """
        return torch.where(self.signals.counting().to(x.device), self.standardised(x), 0.0)

    def unit(self):
        """Mean and standard deviation along the axes of a field.

        Returns
        -------
        mean, scale : ndarray, shape (n_channels, 1, 1) or (n_channels, 1)
            Of each channel.
        """
        shape = (-1, *[1] * self.signals.ndim)
        return self.mean.reshape(shape), self.scale.reshape(shape)

    def of_data(self, x):
        """Moments of fields of the fitted shape, over the samples that count.

        Parameters
        ----------
        x : Tensor, shape (B, C, H, W) or (B, C, N)
            Fields in the unit of the data.

        Returns
        -------
        m : Tensor, shape (B, n_moments)
            Moments.
        """
        z = self.counted(x)
        return self._relative(self.signals.family(z), z)(z)

    def of_samples(self, like, *, periodic=True):
        """Function of the moments of standardised samples of any shape.

        Parameters
        ----------
        like : Tensor, shape (B, C, H, W)
            Grid, type and device of the samples.
        periodic : bool, default=True
            Whether samples continue at the opposite side, else averages leave out the sides.

        Returns
        -------
        moments : callable
            Tensor (B, C, H, W) -> Tensor (B, n_moments).
        """
        return self._relative(self.signals.family(like, sampled=True, periodic=periodic), like)

    def _relative(self, family, like):
        ref = None if self.reference is None else _as_tensors(self.reference, like)
        return lambda z: family.moments(z, ref, True)

    def energy(self, moments):
        """Energy of moments: their distance to those of the fitted field.

        Parameters
        ----------
        moments : callable
            Function of the moments, such as `of_data`.

        Returns
        -------
        energy : callable
            Tensor (B, ...) -> Tensor (B,).
        """
        return self.distance(moments, self.tensor(self.target))

    def distance(self, moments, target):
        """Distance of moments to a target, in which all groups count the same.

        Parameters
        ----------
        moments : callable
            Function of the moments.
        target : Tensor, shape (n_moments,) or (B, n_moments)
            Moments to be reached.

        Returns
        -------
        energy : callable
            Tensor (B, ...) -> Tensor (B,).
        """
        labels = self.signals.labels(self.n_channels)
        if labels is None:
            return moment_distance(moments, target)
        distance = MomentDistance(target, labels)
        return lambda z: distance(moments(z))

    def spectrum_of(self, shape):
        """Smoothed power spectrum on the grid of another shape.

        Parameters
        ----------
        shape : tuple of int
            Signal.

        Returns
        -------
        P : Tensor, shape (n_channels, H, W) or (n_channels, N, 1)
            Spectrum whose sum is about the variance.
        """
        after = [1] * (2 - len(shape))
        spectrum = torch.from_numpy(self.spectrum)
        spectrum = spectrum.view(self.n_channels, *self.signals.shape, *after)
        return resample_spectrum(spectrum, (*shape, *after))


def _as_arrays(ref):
    # a reference of arrays pickles small and has no device
    return Reference(
        *(
            a.cpu().numpy() if isinstance(a, torch.Tensor) else [b.cpu().numpy() for b in a]
            for a in ref
        )
    )


def _as_tensors(ref, like):
    def convert(a):  # numpydoc ignore=GL08
        return [convert(b) for b in a] if isinstance(a, list) else torch.from_numpy(a).to(like)

    return Reference(*map(convert, ref))
