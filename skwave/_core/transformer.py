"""The face that all transformers share."""

import warnings
from math import prod
from numbers import Integral
from typing import ClassVar

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skwave._core.arrays import resolve_device, resolve_dtype
from skwave._core.batches import map_batches
from skwave._core.checks import default_scale, resolve_ndim, validate_array
from skwave._core.compat import Estimator, Interval, StrOptions, fit_context


class TorchTransformer(TransformerMixin, Estimator):
    """Transformer of signals computed by torch, whatever array they come in.

    Axis 0 of ``X`` is samples, the last ``ndim`` axes are the signal, axes between are
    channels; rows of a 2-D array are folded to ``shape``. A subclass has the parameters
    ``J, ndim, shape, device, dtype, batch_size, n_jobs, verbose`` and writes
    ``_check_signal()``, ``_n_out()``, ``_row_bytes(dtype)`` and ``_forward(x)``. ``fit`` resolves
    ``J`` and ``ndim`` to ``J_`` and ``ndim_``; ``_stacked_ndim`` is the second of these for samples
    of two axes each, and None if the user has to say it.
    """

    _stacked_ndim: ClassVar[int | None] = None

    _parameter_constraints: ClassVar[dict] = {
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
            Signals: the last axes are the signal, axes between are channels.
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
        # learn the shape of the signals; the validated samples
        X = validate_array(self, X, reset=True)
        resolve_device(self.device, X)
        resolve_dtype(self.dtype, X)
        name = type(self).__name__
        self.ndim_ = resolve_ndim(self.ndim, self.shape, X.ndim, name, self._stacked_ndim)
        sample_shape = tuple(X.shape[1:])
        signal_shape = self._signal_shape(sample_shape)
        self.J_ = default_scale(signal_shape) if self.J is None else self.J
        self._check_signal(signal_shape)
        self.sample_shape_ = sample_shape
        self.signal_shape_ = signal_shape
        self.n_channels_ = prod(sample_shape) // prod(signal_shape)
        return X

    def transform(self, X):
        """Compute the coefficients of signals.

        Parameters
        ----------
        X : array-like or Tensor, shape (n_samples, ...)
            Signals of the fitted shape.

        Returns
        -------
        Y : array, shape (n_samples, n_features_out)
            Same kind of array, on the same device, as ``X``.
        """
        X = self._validate(X)
        return self._map(self._forward, X, self._n_out())

    def _validate(self, X):
        check_is_fitted(self)
        self._check_signal(self.signal_shape_)  # a parameter may have been set since
        X = validate_array(self, X, reset=False)
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

    def _signal_shape(self, sample_shape):
        if self.shape is None:
            return self._unfolded(sample_shape)
        shape = (self.shape,) if isinstance(self.shape, Integral) else tuple(self.shape)
        if len(shape) != self.ndim_ or not all(isinstance(n, Integral) for n in shape):
            raise ValueError(
                f"shape={self.shape!r} must be a tuple of {self.ndim_} integers for "
                f"ndim={self.ndim_}; one of them may be -1, to be inferred."
            )
        size = prod(sample_shape)
        if shape.count(-1) == 1:
            known = max(-prod(shape), 1)
            shape = tuple(size // known if n == -1 else n for n in shape)
        if len(sample_shape) == 1 and min(shape) > 0 and size % prod(shape) == 0:
            return tuple(int(n) for n in shape)
        if sample_shape[-self.ndim_ :] != shape:
            raise ValueError(
                f"shape={self.shape!r} does not fit samples of shape {sample_shape}: rows must "
                "be a multiple of its product, and unfolded samples must end with it."
            )
        return shape

    def _unfolded(self, sample_shape):
        if len(sample_shape) >= self.ndim_:
            return sample_shape[-self.ndim_ :]
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

    def _channel_names(self, names):
        names = list(names)
        channels = [""] if self.n_channels_ == 1 else [f"c{i}_" for i in range(self.n_channels_)]
        return np.array([c + name for c in channels for name in names], dtype=object)
