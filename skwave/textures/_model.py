"""Maximum-entropy models of stationary fields as a scikit-learn estimator."""

import warnings
from math import prod
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
import torch
from sklearn.utils import check_random_state

from skwave._core.arrays import (
    available_devices,
    resolve_device,
    resolve_dtype,
    to_numpy,
    to_tensor,
)
from skwave._core.batches import run_batches
from skwave._core.checks import check_scales
from skwave._core.compat import Interval, StrOptions, check_feature_names_in, fit_context
from skwave._core.progress import step_reporter
from skwave._core.samples import counting_samples
from skwave._core.transformer import TorchTransformer
from skwave.textures._moments import (
    MOMENT_CONSTRAINTS,
    FieldMoments,
    SignalMoments,
)
from skwave.textures._synthesis import (
    batches,
    denoising,
    inpainting,
    sampling,
    start_noise,
    synthesise,
    warn_of,
)


class MaxEntTextureModel(TorchTransformer):
    r"""Maximum-entropy model of a stationary field, fitted to one realisation.

    ``fit`` computes moments :math:`\phi(x)` of the field, an average if there are several
    realisations; ``sample`` gives fields that have them and are as random as can be otherwise:
    Gaussian noise is moved by L-BFGS until its energy

    .. math:: E(x) = \frac1G \sum_g \frac{\sum_{m\in g} h\big(w_m (\phi_m(x) - t_m)\big)}
       {\sum_{m\in g} (w_m^2 t_m^2 + 0.05^2)}, \qquad t = \phi(\bar x), \quad
       w_m = (1 + t_m^2)^{-1/2}, \quad h(d) = 2\sqrt{1 + d^2} - 2

    is close to 0: about the mean over :math:`G` groups of moments of their relative squared
    distances. The moments are divided by the standard deviations of the fitted field. Those of a
    function of the user's have :math:`E = \|\phi(x) - t\|^2 / \|t\|^2`.

    Parameters
    ----------
    J : int, default=None
        Number of scales, an octave apart; ``2**J`` is at most the smallest side. None for the
        largest that leaves four positions a side, at least 1, and at most 3 for images and 8 for
        signals.
    L : int, default=4
        Number of orientations in :math:`[0, \pi)`, for images.
    ndim : {1, 2}, default=None
        Axes of a signal: 1 for signals, 2 for images. None for the length of ``shape`` if that is
        given, else 1 for ``X`` of two axes, and 2 for ``X`` of three or four axes: a stack of
        fields, or of fields with channels. Signals with channels need ``ndim=1``, and one image
        is ``X[None]``.
    moments : str, tuple of str or callable, default="phase_harmonic"
        Moments, as `PhaseHarmonicTransformer` has them; or any differentiable function of a
        tensor ``(B, C, H, W)``, ``(B, C, N)`` for signals, that gives a tensor ``(B, M)``:
        statistics of the features of a network, say. It sees the whole standardised field,
        whatever ``mask`` and ``boundary`` are.
    shifts : int, default=2
        Lengths of the offsets.
    harmonics : int, default=None
        Largest harmonic; None for all that the groups have.
    n_phases : int, default=4
        Phases of the rectifier.
    wavelet : {"bump", "morlet"}, default="bump"
        Wavelets.
    boundary : {"periodic", "crop"}, default="periodic"
        Whether realisations are periodic, or averages of scale ``j`` leave out what is within
        ``2**j`` of the sides. Samples are periodic.
    mask : array-like of bool, shape of a signal, default=None
        True for the samples of ``X`` that count; others may be anything, such as NaN.
    oversampling : int, default=0
        Compute on grids finer by ``2**oversampling``.
    init : {"gaussian", "white"}, default="gaussian"
        Noise to start from: Gaussian of the smoothed power spectrum of the field, or white.
    max_iter : int, default=300
        Largest number of steps.
    tol : float, default=5e-6
        A sample is done when its energy is at most this.
    random_state : int, RandomState instance or None, default=None
        Draws the noise.
    shape : tuple of int, default=None
        Shape of the signal, if the rows of ``X`` are flat; one entry may be -1.
    device : str or torch.device, default=None
        Where to compute: ``"cpu"`` (None, for arrays), ``"cuda"``, or ``"auto"``. With None a
        model that was fitted to tensors computes where they were.
    dtype : {"float32", "float64"}, default=None
        Type to compute in and to give back; None for that of ``X``. float32 is precise enough.
    batch_size : int or "auto", default="auto"
        Samples at once; ``"auto"`` keeps within scikit-learn's ``working_memory``.
    n_jobs : int, default=None
        Number of batches at the same time on a CPU, in threads, of ``transform``.
    verbose : int, default=0
        Print the progress if positive.

    Attributes
    ----------
    moments_ : ndarray, shape (n_moments,)
        Moments of the field.
    n_moments_ : int
        Their number.
    spectrum_ : ndarray, shape (n_channels, ...)
        Smoothed power spectrum, whose sum is the variance.
    mean_, scale_ : ndarray, shape (n_channels,)
        Mean and standard deviation of the field, where it counts.
    n_iter_ : int
        Number of steps of the last synthesis, by `sample`, `inpaint` or `denoise`: of its fields
        that took the most. 1 after `fit`, which passes over ``X`` once.
    loss_curve_ : ndarray, shape (n_steps + 1, n_samples)
        Energies of the last fields that were made, after every step; the last row is what they
        ended with.
    n_features_in_ : int
        Length of axis 1 of ``X``.
    feature_names_in_ : ndarray of str
        Names of the columns of ``X``, if it is a data frame.
    sample_shape_ : tuple of int
        Shape of one sample of ``X``.
    signal_shape_ : tuple of int
        ``(N,)`` or ``(H, W)``.
    n_channels_ : int
        Signals per sample.
    J_ : int
        Number of scales.
    ndim_ : int
        Axes of a signal.
    moment_table_ : structured ndarray, shape (n_moments,)
        Group, scales, orientations, harmonics and offset of each moment; absent with a callable.

    See Also
    --------
    PhaseHarmonicTransformer : The moments alone.
    skwave.validation.texture_report : Distances of samples to real maps.

    References
    ----------
    .. [1] Bruna, J. and Mallat, S., Multiscale sparse microcanonical models, Math. Stat. Learn.
       1, 2018.
    .. [2] Zhang, S. and Mallat, S., Maximum entropy models from phase harmonic covariances,
       Appl. Comput. Harmon. Anal. 53, 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from skwave import MaxEntTextureModel
    >>> x = np.random.default_rng(0).standard_normal((1, 32, 32)) ** 3
    >>> model = MaxEntTextureModel(J=3, tol=1e-3, random_state=0).fit(x)
    >>> model.sample(2).shape
    (2, 32, 32)
    >>> bool(model.loss_curve_[-1].max() < 2e-3)
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        **TorchTransformer._parameter_constraints,
        **MOMENT_CONSTRAINTS,
        "moments": [str, tuple, list, callable],
        "init": [StrOptions({"gaussian", "white"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
    }

    _stacked = 2
    _of_fit = ("ndim", "shape", *MOMENT_CONSTRAINTS)

    def __init__(
        self,
        J=None,
        L=4,
        *,
        ndim=None,
        moments="phase_harmonic",
        shifts=2,
        harmonics=None,
        n_phases=4,
        wavelet="bump",
        boundary="periodic",
        mask=None,
        oversampling=0,
        init="gaussian",
        max_iter=300,
        tol=5e-6,
        random_state=None,
        shape=None,
        device=None,
        dtype=None,
        batch_size="auto",
        n_jobs=None,
        verbose=0,
    ):
        self.J = J
        self.L = L
        self.ndim = ndim
        self.moments = moments
        self.shifts = shifts
        self.harmonics = harmonics
        self.n_phases = n_phases
        self.wavelet = wavelet
        self.boundary = boundary
        self.mask = mask
        self.oversampling = oversampling
        self.init = init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.shape = shape
        self.device = device
        self.dtype = dtype
        self.batch_size = batch_size
        self.n_jobs = n_jobs
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Compute the moments of the field, and the spectrum of the noise to start from.

        Parameters
        ----------
        X : array-like or Tensor, shape (n_samples, ...)
            Realisations of one stationary field: the last axes are the signal, axes between are
            channels.
        y : None
            Ignored.

        Returns
        -------
        self : estimator
            Fitted model.

        Raises
        ------
        ValueError
            If a channel is constant, the signals are too small for ``J``, or the family of
            moments is unknown.
        """
        X = self._fit_signals(X)
        self._warn_of_one_image(X)
        x = to_tensor(X, resolve_dtype(self.dtype, X), resolve_device(self.device, X))
        signals = SignalMoments.of(self, self.signal_shape_)
        moments = FieldMoments.fitted(
            signals, x.detach().reshape(self._batch_shape()), self.batch_size
        )
        self.mean_, self.scale_ = moments.mean, moments.scale
        self.moments_, self.spectrum_ = moments.target, moments.spectrum
        self._reference, self._fitted_on = moments.reference, str(x.device)
        self.n_moments_ = len(self.moments_)
        self.n_iter_ = 1
        return self

    def sample(self, n_samples=1, *, shape=None, init=None):
        """Make fields that have the moments of the fitted field.

        All of a batch are moved at the same time, each as if it were alone.

        Parameters
        ----------
        n_samples : int, default=1
            Number of fields.
        shape : tuple of int, default=None
            Shape of the signal; None for that of ``X``.
        init : array-like, shape (n_samples, ...), default=None
            Fields to start from, such as those of an earlier call, which say how many; None for
            noise.

        Returns
        -------
        X : ndarray, shape (n_samples, ...)
            Fields, periodic, unfolded if those of ``X`` were flat. After Ctrl-C those that were
            found until then, with a warning.

        Warns
        -----
        ConvergenceWarning
            If the energy of a field is above ``tol``.
        """
        self._check_since_fit()
        moments, shape = self._moments(), self._sample_shape(shape)
        generator = check_random_state(self.random_state)
        if init is not None:
            start = np.asarray(to_numpy(init), dtype=self.mean_.dtype)
            flat = (self.n_channels_ * prod(shape),)
            layouts = (*self._channels(), *shape), (self.n_channels_, *shape), flat
            if not start.size or start.shape[1:] not in layouts or not np.isfinite(start).all():
                raise ValueError(
                    f"init of shape {start.shape} must hold finite fields, shape "
                    f"{('n_samples', *layouts[0])}."
                )
            start = start.reshape(-1, self.n_channels_, *shape)
        elif isinstance(n_samples, Integral) and n_samples >= 1:
            start = start_noise(moments, n_samples, shape, generator, self.init)
        else:
            raise ValueError(f"n_samples={n_samples!r} must be a positive integer.")
        found = self._synthesise(moments, start, sampling(moments))
        return found.reshape(len(found), *self._channels(), *shape)

    def inpaint(self, X, mask):
        """Fill unknown samples of fields so that the whole fields have the moments.

        Parameters
        ----------
        X : array-like, shape (n_samples, ...)
            Fields of the fitted shape; what is unknown may hold anything finite.
        mask : array-like of bool, shape of ``X``, of a sample or of a signal
            True where ``X`` is known.

        Returns
        -------
        X : ndarray, shape (n_samples, ...)
            Completed fields.

        Warns
        -----
        ConvergenceWarning
            If the energy of a field is above ``tol``.
        """
        X = to_numpy(self._validate(X))
        shape, known = self.signal_shape_, np.asarray(to_numpy(mask), dtype=bool)
        fields = X.reshape(self._batch_shape())
        try:
            known = np.broadcast_to(known, fields.shape if known.shape == shape else X.shape)
        except ValueError:
            raise ValueError(
                f"mask of shape {known.shape} must have the shape of X, {X.shape}, of a sample, "
                f"or of a signal, {shape}."
            ) from None
        known = known.reshape(fields.shape)
        moments, generator = self._moments(), check_random_state(self.random_state)
        noise = start_noise(moments, len(X), shape, generator, self.init)
        objective = inpainting(moments, fields, known)
        found = self._synthesise(moments, np.where(known, fields, noise), objective)
        return np.where(known, fields, found).reshape(X.shape)

    def denoise(self, X, noise, *, n_draws=8):
        r"""Remove noise from fields: with noise added they have the moments of the noisy fields.

        .. math:: \min_x \Big\| \frac1D\sum_d \phi(x + n_d) - \phi(y) \Big\|^2

        from :math:`x = y` on: the part of :math:`y` that the noise does not explain, in its
        statistics rather than sample by sample. Fit the model to the noisy fields.

        Parameters
        ----------
        X : array-like, shape (n_samples, ...)
            Noisy fields :math:`y` of the fitted shape.
        noise : callable
            ``noise(n, random_state)`` gives ``n`` draws, an array ``(n, ...)`` of fields of the
            fitted shape.
        n_draws : int, default=8
            Draws :math:`D`, the same at every step.

        Returns
        -------
        X : ndarray, shape (n_samples, ...)
            Fields without noise.

        Warns
        -----
        ConvergenceWarning
            If the energy of a field is above ``tol``: few draws leave some.

        References
        ----------
        .. [1] Regaldo-Saint Blancard, B. et al., A new approach for the statistical denoising of
           Planck interstellar dust polarization data, Astron. Astrophys. 649, 2021.
        """
        X = to_numpy(self._validate(X))
        if not callable(noise):
            raise TypeError(f"noise={noise!r} must be a function of n and random_state.")
        if not isinstance(n_draws, Integral) or n_draws < 1:
            raise ValueError(f"n_draws={n_draws!r} must be a positive integer.")
        generator = check_random_state(self.random_state)
        draws = np.asarray(to_numpy(noise(n_draws, generator)))
        if draws.shape[1:] != self.sample_shape_ or len(draws) != n_draws:
            raise ValueError(
                f"noise gave shape {draws.shape}: it must give {n_draws} fields of shape "
                f"{self.sample_shape_}."
            )
        moments, fields = self._moments(), X.reshape(self._batch_shape())
        objective = denoising(moments, fields, draws.reshape(self._batch_shape()))
        return self._synthesise(moments, fields, objective, n_draws).reshape(X.shape)

    def energy(self, X, *, return_gradient=False):
        """Energy of fields: distance of their moments to those of the model.

        Parameters
        ----------
        X : array-like, shape (n_samples, ...)
            Fields of the fitted shape.
        return_gradient : bool, default=False
            Whether to give the gradient too.

        Returns
        -------
        energy : ndarray, shape (n_samples,)
            0 for fields that have the moments.
        gradient : ndarray, shape (n_samples, ...)
            Gradient with respect to the samples of ``X``, with ``return_gradient``.
        """
        X = to_numpy(self._validate(X))
        moments, fields = self._moments(), X.reshape(self._batch_shape())
        energy = moments.energy(moments.of_data)

        def compute(rows):  # numpydoc ignore=GL08
            x = moments.tensor(fields[rows.start : rows.stop]).requires_grad_(return_gradient)
            with torch.set_grad_enabled(return_gradient):
                e = energy(x)
            gradient = torch.autograd.grad(e.sum(), x)[0].cpu().numpy() if return_gradient else None
            return rows, (e.detach().cpu().numpy(), gradient)

        rows = batches(moments, len(X), self.signal_shape_, self.batch_size)
        found = [part for _, part in run_batches(compute, rows, n_samples=len(X), n_jobs=1)]
        values = np.concatenate([e for e, _ in found])
        if not return_gradient:
            return values
        return values, np.concatenate([gradient for _, gradient in found]).reshape(X.shape)

    def score_samples(self, X):
        """Score of fields: minus their energy, 0 for fields that have the moments.

        Parameters
        ----------
        X : array-like, shape (n_samples, ...)
            Fields of the fitted shape.

        Returns
        -------
        score : ndarray, shape (n_samples,)
            Higher is closer.
        """
        return -self.energy(X)

    @property
    def J_(self):  # numpydoc ignore=RT01
        """Number of scales."""
        return SignalMoments.of(self, self.signal_shape_).J

    @property
    def moment_table_(self):  # numpydoc ignore=RT01
        """Table of the moments, as that of `PhaseHarmonicTransformer`; absent with a callable."""
        self._check_fit()
        return SignalMoments.of(self, self.signal_shape_).table(self.n_channels_)

    def get_feature_names_out(self, input_features=None):
        """Names of the moments, as `PhaseHarmonicTransformer` has them; numbers for a callable.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Checked against the fitted names, else not used.

        Returns
        -------
        names : ndarray of str, shape (n_moments,)
            Names.
        """
        self._check_fit()
        check_feature_names_in(self, input_features)
        if callable(self.moments):
            return np.array([f"m{i}" for i in range(self.n_moments_)], dtype=object)
        return SignalMoments.of(self, self.signal_shape_).names(self.n_channels_)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.array_api_support = False  # fitted arrays are numpy's, wherever X lives
        return tags

    def _moments(self):
        # where it was fitted, unless that is on another machine
        device = self.device
        if device is None and self._fitted_on in available_devices():
            device = self._fitted_on
        return FieldMoments(
            SignalMoments.of(self, self.signal_shape_),
            self.mean_,
            self.scale_,
            self._reference,
            self.moments_,
            self.spectrum_,
            device,
        )

    def _synthesise(self, moments, start, objective, copies=1):
        name = type(self).__name__
        synthesis = synthesise(
            moments,
            start,
            objective,
            max_iter=self.max_iter,
            tol=self.tol,
            batch_size=self.batch_size,
            copies=copies,
            on_step=step_reporter(name, self.max_iter) if self.verbose else None,
        )
        self.loss_curve_ = synthesis.loss_curve
        self.n_iter_ = len(self.loss_curve_) - 1
        warn_of(synthesis, name, self.max_iter, self.tol)
        return synthesis.fields

    def _warn_of_one_image(self, X):
        side = self.signal_shape_[0]
        if self.ndim is None and self.shape is None and X.shape == (side, side) and side >= 16:
            warnings.warn(
                f"X of shape {(side, side)} is taken as {side} signals of {side} samples each. If "
                "it is one image, give X[None]; if it is signals, ndim=1 says so.",
                stacklevel=5,
            )

    def _forward(self, x):
        return self._moments().of_data(x)

    def _n_out(self):
        return self.n_moments_

    def _row_bytes(self, dtype):
        signals = SignalMoments.of(self, self.signal_shape_)
        return signals.row_bytes(dtype.itemsize, self.n_channels_)

    def _admit(self, X):
        return counting_samples(X, self.mask, self.shape)

    def _check_signal(self, signal_shape):
        SignalMoments.of(self, signal_shape).check(f" (n_features={self.n_features_in_})")

    def _batch_shape(self):
        return (-1, self.n_channels_, *self.signal_shape_)

    def _channels(self):
        # axes of a sample before those of the signal; flat samples are unfolded
        before = self.sample_shape_[: -self.ndim_]
        return before if prod(before) == self.n_channels_ else (self.n_channels_,)

    def _sample_shape(self, shape):
        if shape is None:
            return self.signal_shape_
        shape = (shape,) if isinstance(shape, Integral) else tuple(shape)
        if len(shape) != self.ndim_ or not all(isinstance(n, Integral) for n in shape):
            raise ValueError(
                f"shape={shape!r} must have {self.ndim_} integers, for ndim={self.ndim_}."
            )
        check_scales(shape, self.J_, None, None)
        groups = SignalMoments.of(self, self.signal_shape_).layout.groups
        if any(group.one_shape for group in groups) and shape != self.signal_shape_:
            raise ValueError(
                f"moments={self.moments!r} are of one shape, {self.signal_shape_}: leave shape "
                "out, or use moments='wavelet_covariance'."
            )
        return shape
