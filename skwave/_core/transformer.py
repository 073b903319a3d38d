"""Base class of the transformers of signals and images."""

import warnings
from copy import copy
from math import prod
from numbers import Integral
from typing import ClassVar

import numpy as np
import torch
from sklearn.base import TransformerMixin

from skwave._core.arrays import (
    dtype_name,
    from_tensor,
    native,
    records_gradient,
    resolve_device,
    resolve_dtype,
    to_numpy,
)
from skwave._core.batches import map_batches
from skwave._core.checks import resolve_ndim, validate_array, warn_channels_last
from skwave._core.compat import Estimator, Interval, StrOptions, fit_context
from skwave._core.lengths import by_length, signals_of, stack
from skwave._core.progress import progress_lines
from skwave._core.rows import cached_rows


class TorchTransformer(TransformerMixin, Estimator):
    """Transformer of signals or images that computes in torch and takes arrays of any kind.

    Axis 0 of ``X`` is samples, the last ``ndim`` axes are the signal, axes between are
    channels; rows of a 2-D array are folded to ``shape``. A subclass has the parameters
    ``ndim, shape, device, dtype, batch_size, n_jobs, verbose`` and writes four methods:

    ``_check_signal(signal_shape)``
        Refuses parameters that do not go with signals of that shape.
    ``_n_out()``
        Number of features of a sample.
    ``_row_bytes(dtype)``
        Memory that a sample needs while it is worked on.
    ``_forward(x)``
        Features, shape (B, n_out), of a tensor of signals, shape (B, C, N) or (B, C, H, W).

    With a parameter ``cache``, what was computed before is taken from there. ``_stacked`` is the
    number of axes of the signals in a 3-D ``X`` if ``ndim`` is None: 1 for signals with channels,
    2 for images, None if the user has to tell. With ``_takes_lengths`` there may be lists of
    signals of different lengths, each of which is transformed at its own; ``J_`` holds for all.
    """

    _stacked: ClassVar[int | None] = None
    _takes_lengths: ClassVar[bool] = False
    cache = None  # of those that have no such parameter
    _of_fit: ClassVar[tuple[str, ...]] = ("ndim", "shape")

    _parameter_constraints: ClassVar[dict] = {
        "ndim": [Interval(Integral, 1, 2, closed="both"), None],
        "shape": ["array-like", Integral, None],
        "device": [object],
        "dtype": [object],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn the shape of the signals; check them and every parameter.

        Parameters
        ----------
        X : array-like or Tensor, shape (n_samples, ...)
            Signals: the last axes are the signal, axes between are channels. A list of signals may
            have different lengths.
        y : None
            Ignored.

        Returns
        -------
        self : estimator
            Fitted transformer.
        """
        self._fit_signals(X)
        return self

    def _fit_signals(self, X):
        # learn the shape of the signals, and give back the validated samples
        if self._takes_lengths and (signals := signals_of(X, estimator=self)) is not None:
            return self._fit_lengths(signals)
        X = validate_array(self, self._admit(X), reset=True)
        resolve_device(self.device, X)
        resolve_dtype(self.dtype, X)
        sample_shape = tuple(X.shape[1:])
        ndim = resolve_ndim(self.ndim, self.shape, X.ndim, type(self).__name__, self._stacked)
        signal_shape = self._signal_shape(sample_shape, ndim)
        if self.shape is None:  # else it says what the signal is
            warn_channels_last(sample_shape, ndim, stacklevel=5)
        self._check_signal(signal_shape)
        self._learn(ndim, sample_shape, signal_shape, any_length=False)
        return X

    def _admit(self, X):
        # samples that do not count may be anything: estimators with a mask replace them
        return X

    def _learn(self, ndim, sample_shape, signal_shape, any_length):
        self.ndim_, self.any_length_ = ndim, any_length
        self.sample_shape_, self.signal_shape_ = sample_shape, signal_shape
        self.n_channels_ = prod(sample_shape) // prod(signal_shape)

    def _fit_lengths(self, signals):
        ndim = resolve_ndim(
            self.ndim, None, signals[0].ndim + 1, type(self).__name__, self._stacked
        )
        if ndim != 1 or self.shape is not None:
            raise ValueError(
                "X has samples of different lengths, which signals may have, but not images or "
                f"what shape= folds: set ndim=1 (it is {self.ndim}) and shape=None (it is "
                f"{self.shape})."
            )
        resolve_dtype(self.dtype, signals[0])
        vars(self).pop("n_features_in_", None)
        vars(self).pop("feature_names_in_", None)
        shortest = min(signals, key=lambda s: s.shape[-1])
        self._check_signal(tuple(shortest.shape[-1:]))
        self._learn(1, tuple(shortest.shape), tuple(shortest.shape[-1:]), any_length=True)
        return signals

    def transform(self, X):
        """Compute the coefficients of signals.

        Parameters
        ----------
        X : array-like or Tensor, shape (n_samples, ...)
            Signals of the fitted shape. A list of signals may have other and different lengths.

        Returns
        -------
        Y : array, shape (n_samples, n_features_out)
            Same kind of array, on the same device, as ``X``. With ``averaging="local"`` a list of
            arrays ``(n_frames, n_features_out)`` for signals of different lengths.
        """
        if (signals := self._signals(X)) is not None:
            return self._features_of_lengths(signals)
        X = self._validate(X)
        if self.cache is None or records_gradient(X):
            return self._features(X)
        return self._cached_features(X)

    def _signals(self, X):
        # a list of them, if they may have any length
        if not self._takes_lengths:
            return None
        self._check_since_fit()
        if self.ndim_ != 1 or self.shape is not None:
            return None
        signals = signals_of(X, None if self.any_length_ else self.signal_shape_[0])
        if signals is None and self.any_length_:
            signals = list(native(validate_array(self, X, reset=False)))
        if signals and prod(signals[0].shape[:-1]) != self.n_channels_:
            raise ValueError(
                f"X has signals of shape {tuple(signals[0].shape)}, but {type(self).__name__} was "
                f"fitted to signals of {self.n_channels_} channels. Fit it again."
            )
        return signals

    def _features_of_lengths(self, signals):
        signals = [s.reshape(self.n_channels_, -1) for s in signals]
        if self.cache is None or any(map(records_gradient, signals)):
            rows = self._rows_of_lengths(signals)
        else:
            rows = self._cached_lengths(signals)
        if rows[0].ndim > 1:
            return rows
        return stack(rows)

    def _rows_of_lengths(self, signals):
        # the signals of one length as a transformer of that length has them
        rows, report = [None] * len(signals), progress_lines(type(self).__name__)
        for n_done, (length, group) in enumerate(by_length(signals).items(), 1):
            try:
                self._check_signal((length,))
            except ValueError as error:
                error.add_note(f"It is sample {group[0]} of X.")
                raise
            part = copy(self)
            part.J, part.verbose = self.J_, 0
            part._learn(1, (self.n_channels_, length), (length,), any_length=False)
            found = self._framed(part._features(stack([signals[i] for i in group])))
            for i, row in zip(group, found, strict=True):
                rows[i] = row
            if self.verbose:
                report(f"{n_done} lengths")
        return rows

    def _cached_lengths(self, signals):
        order = [i for group in by_length(signals).values() for i in group]
        data = [np.ascontiguousarray(to_numpy(signals[i])) for i in order]

        def compute(quiet, indices):  # numpydoc ignore=GL08
            rows = quiet._rows_of_lengths([signals[order[i]] for i in indices])
            return list(map(to_numpy, rows))

        out, settings = [None] * len(signals), self._settings(signals[0])
        for indices, row in cached_rows(self, data, compute, **settings, shape=None):
            for i in indices:
                x, y = signals[order[i]], torch.from_numpy(row.copy())
                out[order[i]] = from_tensor(y.to(x.device) if isinstance(x, torch.Tensor) else y, x)
        return out

    def _framed(self, Y):
        # rows of signals of one length, which is any
        return Y

    def _settings(self, X):
        # what features depend on beside the samples and parameters
        dtypes = dtype_name(X.dtype), dtype_name(resolve_dtype(self.dtype, X))
        device = resolve_device(self.device, X).type
        return {"J": self.J_, "n_channels": self.n_channels_, "dtypes": dtypes, "device": device}

    def _cached_features(self, X):
        samples, rows = native(X), to_numpy(X)

        def compute(quiet, indices):  # numpydoc ignore=GL08
            # a batch of one signal is rounded in another way than all others
            some = indices * 2 if len(indices) == 1 else indices
            try:
                return to_numpy(quiet._features(samples[some]))[: len(indices)]
            except ValueError:
                self._features(X)  # its error gives the row of X
                raise

        out = np.empty((len(rows), self._n_out()), dtype_name(resolve_dtype(self.dtype, X)))
        rows, settings = map(np.ascontiguousarray, rows), self._settings(X)
        for indices, row in cached_rows(self, rows, compute, **settings, shape=self.signal_shape_):
            for i in indices:
                out[i] = row
        y = torch.from_numpy(out)
        return from_tensor(y.to(X.device) if isinstance(X, torch.Tensor) else y, X)

    def _features(self, X):
        # of validated samples
        return self._map(self._forward, X, self._n_out())

    def _check_since_fit(self):
        # parameters may have been set since the fit, and some of them count at each call
        self._check_fit()
        self._validate_params()
        self._check_signal(self.signal_shape_)

    def _validate(self, X):
        self._check_since_fit()
        X = validate_array(self, self._admit(X), reset=False)
        if tuple(X.shape[1:]) != self.sample_shape_:
            raise ValueError(
                f"X has samples of shape {tuple(X.shape[1:])}, but {type(self).__name__} was "
                f"fitted to samples of shape {self.sample_shape_}. Fit it again, or crop or pad "
                "the signals."
            )
        return X

    def _map(self, f, X, n_out):
        dtype = resolve_dtype(self.dtype, X)
        sample_shape = (self.n_channels_, *self.signal_shape_)
        return map_batches(
            lambda x: f(x.reshape(-1, *sample_shape)),
            X,
            n_out=n_out,
            row_bytes=self._row_bytes(dtype),
            dtype=dtype,
            device=resolve_device(self.device, X),
            batch_size=self.batch_size,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
            name=type(self).__name__,
        )

    def _signal_shape(self, sample_shape, ndim):
        # (N,) or (H, W), from the shape of a sample and the parameter shape. A flat sample
        # (n_features,) is folded: to one signal, or to several channels if it is a multiple of
        # the signal. Any other sample ends with the signal already, and shape repeats it.
        if self.shape is None:
            return self._unfolded(sample_shape, ndim)
        shape = (self.shape,) if isinstance(self.shape, Integral) else tuple(self.shape)
        if len(shape) != ndim or not all(isinstance(n, Integral) for n in shape):
            raise ValueError(
                f"shape={self.shape!r} must be a tuple of {ndim} integers for ndim={ndim}; one "
                "of them may be -1, to be inferred."
            )
        size = prod(sample_shape)
        if shape.count(-1) == 1:
            known = max(-prod(shape), 1)  # the product of the sides that are given
            shape = tuple(size // known if n == -1 else n for n in shape)
        if len(sample_shape) == 1 and min(shape) > 0 and size % prod(shape) == 0:
            return tuple(int(n) for n in shape)
        if sample_shape[-ndim:] != shape:
            raise ValueError(
                f"shape={self.shape!r} does not fit samples of shape {sample_shape}: rows must "
                "be a multiple of its product, and unfolded samples must end with it."
            )
        return shape

    def _unfolded(self, sample_shape, ndim):
        if len(sample_shape) >= ndim:
            return sample_shape[-ndim:]
        warnings.warn(
            f"X has flat samples of {sample_shape[0]} values, taken as images one pixel high. "
            "Give shape=(H, W) to fold them to images, or shape=(1, -1) if that is meant.",
            stacklevel=7,
        )
        return (1, *sample_shape)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __sklearn_is_fitted__(self):
        return hasattr(self, "n_channels_")

    @property
    def _note(self):
        # for errors about the length of signals
        n = getattr(self, "n_features_in_", None)
        return "" if n is None else f" (n_features={n})"

    def _channel_names(self, names):
        names = list(names)
        channels = [""] if self.n_channels_ == 1 else [f"c{i}_" for i in range(self.n_channels_)]
        return np.array([c + name for c in channels for name in names], dtype=object)
