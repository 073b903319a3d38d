"""Maximum-entropy models of stationary fields as a scikit-learn estimator."""

from math import prod
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skwave._core.arrays import resolve_device, resolve_dtype, to_numpy, to_tensor
from skwave._core.checks import check_scales
from skwave._core.compat import Interval, StrOptions, fit_context
from skwave.functional._textures.families import Family
from skwave.functional._textures.fields import reference
from skwave.functional._textures.maxent import moment_distance, smoothed_spectrum
from skwave.textures._moments import cached_family, cached_layout
from skwave.textures._synthesis import batches, minimise, reference_arrays, start_noise, to_tensors
from skwave.textures._transformer import PhaseHarmonicTransformer


class Restoration:
    """What `skwave.MaxEntTextureModel` does with fields of which something is known."""

    def inpaint(self, X, mask):
        """Keep known samples of fields, and make the others so that all have the moments.

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
        layout, shape = X.shape, self.signal_shape_
        X, known = X.reshape(self._batch_shape()), np.asarray(to_numpy(mask), dtype=bool)
        try:
            known = np.broadcast_to(known, X.shape if known.shape == shape else layout)
        except ValueError:
            raise ValueError(
                f"mask of shape {known.shape} must have the shape of X, {layout}, of a sample, "
                f"or of a signal, {shape}."
            ) from None
        known = known.reshape(X.shape)
        noise = start_noise(self, len(X), shape, check_random_state(self.random_state))

        def fixed(energy, rows):  # numpydoc ignore=GL08
            is_known, x = (self._on_device(a[rows]) for a in (known, X))
            x = self._standardised(self._grid(x))
            is_known = self._grid(is_known) > 0
            return lambda z: energy(torch.where(is_known, x, z))

        found = minimise(self, np.where(known, X, noise), shape, fixed)
        return np.where(known, X, found.reshape(X.shape)).reshape(layout)

    def denoise(self, X, noise, *, n_draws=8):
        r"""Fields that, with noise added, have the moments of noisy ones.

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
        draws = draws.reshape(n_draws, self.n_channels_, *self.signal_shape_) / self._unit()

        def noisy(energy, rows):  # numpydoc ignore=GL08
            n = self._grid(self._on_device(draws))

            def moments(x):  # numpydoc ignore=GL08
                all_ = (x[:, None] + n).flatten(0, 1)
                return self._moments(all_, self._sampling(x)).unflatten(0, (-1, n_draws)).mean(1)

            y = self._standardised(
                self._grid(self._on_device(X.reshape(self._batch_shape())[rows]))
            )
            with torch.no_grad():
                target = self._moments(y, self._sampling(y))
            return moment_distance(moments, target)

        start = X.reshape(self._batch_shape())
        return minimise(self, start, self.signal_shape_, noisy, n_draws).reshape(X.shape)


class MaxEntTextureModel(Restoration, PhaseHarmonicTransformer):
    r"""Maximum-entropy model of a stationary field, from one realisation.

    ``fit`` computes moments :math:`\phi(x)` of the field, an average if there are several
    realisations; ``sample`` gives fields that have them and are as random as can be otherwise:
    Gaussian noise is moved by L-BFGS until its energy

    .. math:: E(x) = \frac{\|\phi(x) - \phi(\bar x)\|^2}{\|\phi(\bar x)\|^2}

    is close to 0. The moments are divided by the standard deviations of the fitted field.

    Parameters
    ----------
    J : int
        Number of scales, an octave apart; ``2**J`` is at most the smallest side.
    L : int, default=4
        Number of orientations in :math:`[0, \pi)`, for ``ndim=2``.
    ndim : {1, 2}, default=2
        Signals or images.
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
        True for the samples of ``X`` that count; others may be any finite numbers.
    oversampling : int, default=0
        Compute on grids finer by ``2**oversampling``.
    init : {"gaussian", "white"}, default="gaussian"
        Noise to start from: Gaussian of the smoothed power spectrum of the field, or white.
    max_iter : int, default=200
        Largest number of steps.
    tol : float, default=1e-4
        A sample is done when its energy is at most this.
    random_state : int, RandomState instance or None, default=None
        Draws the noise.
    shape : tuple of int, default=None
        Shape of the signal, if the rows of ``X`` are flat; one entry may be -1.
    device : str or torch.device, default=None
        Where to compute: ``"cpu"`` (None, for arrays), ``"cuda"``, or ``"auto"``.
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
    moment_table_ : structured ndarray, shape (n_moments,)
        Group, scales, orientations, harmonics and offset of each moment; absent with a callable.

    See Also
    --------
    PhaseHarmonicTransformer : The moments alone.
    skwave.validation.texture_report : What samples are worth.

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
        **PhaseHarmonicTransformer._parameter_constraints,
        "moments": [str, tuple, list, callable],
        "init": [StrOptions({"gaussian", "white"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
    }
    _parameter_constraints.pop("normalize")
    _parameter_constraints.pop("reduce")

    def __init__(
        self,
        J,
        L=4,
        *,
        ndim=2,
        moments="phase_harmonic",
        shifts=2,
        harmonics=None,
        n_phases=4,
        wavelet="bump",
        boundary="periodic",
        mask=None,
        oversampling=0,
        init="gaussian",
        max_iter=200,
        tol=1e-4,
        random_state=None,
        shape=None,
        device=None,
        dtype=None,
        batch_size="auto",
        n_jobs=None,
        verbose=0,
    ):
        super().__init__(
            J,
            L,
            ndim=ndim,
            moments=moments,
            shifts=shifts,
            harmonics=harmonics,
            n_phases=n_phases,
            wavelet=wavelet,
            boundary=boundary,
            mask=mask,
            oversampling=oversampling,
            shape=shape,
            device=device,
            dtype=dtype,
            batch_size=batch_size,
            n_jobs=n_jobs,
            verbose=verbose,
        )
        self.init = init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Compute the moments of the field, and what sampling starts from.

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
        super().fit(X, y)
        X = self._validate(X)
        dtype, device = resolve_dtype(self.dtype, X), resolve_device(self.device, X)
        x = self._grid(to_tensor(X, dtype, device).detach().reshape(self._batch_shape()))
        valid = self._counting(x)
        std, mean = torch.std_mean(x[..., valid], (0, -1), correction=0)
        if not (std > 1e-6 * mean.abs()).all():
            raise ValueError(
                f"channel {int((std <= 1e-6 * mean.abs()).nonzero()[0])} of X is constant: a field "
                "without variations has no moments. Leave the channel out."
            )
        self.mean_, self.scale_ = mean.cpu().numpy(), std.cpu().numpy()
        x = self._of_data(x)
        family = self._family(dtype, device)
        with torch.no_grad():
            self._reference = None
            if not callable(self.moments):
                self._reference = reference_arrays(reference(x, family.fields))
            self.moments_ = self._moments(x, family).mean(0).cpu().numpy()
            periodic = self.boundary == "periodic"
            spectrum = smoothed_spectrum(x, family.fields, periodic=periodic)
            spectrum /= valid.double().mean().to(x)
        self.spectrum_ = spectrum.reshape(len(std), *self.signal_shape_).cpu().numpy()
        self.spectrum_ *= self.scale_.reshape(-1, *[1] * self.ndim) ** 2
        self.n_moments_ = len(self.moments_)
        return self

    def sample(self, n_samples=1, *, shape=None, init=None):
        """Make fields that have the moments.

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
        check_is_fitted(self)
        shape = self._sample_shape(shape)
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
            start = start_noise(self, n_samples, shape, generator)
        else:
            raise ValueError(f"n_samples={n_samples!r} must be a positive integer.")
        return minimise(self, start, shape, lambda energy, rows: energy)

    def energy(self, X, *, return_gradient=False):
        """Energy of fields, the relative squared distance of their moments.

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
            By the samples of ``X``; if it is asked for.
        """
        X = to_numpy(self._validate(X))
        target, values, gradients = self._on_device(self.moments_), [], []
        for rows in batches(self, len(X), self.signal_shape_):
            x = self._on_device(X.reshape(self._batch_shape())[rows])
            x.requires_grad_(return_gradient)
            with torch.set_grad_enabled(return_gradient):
                family = self._family(x.dtype, x.device)
                energy = moment_distance(lambda x, f=family: self._moments(x, f), target)
                e = energy(self._of_data(self._grid(x)))
            values.append(e.detach().cpu().numpy())
            if return_gradient:
                gradients.append(torch.autograd.grad(e.sum(), x)[0].cpu().numpy())
        energy = np.concatenate(values)
        if not return_gradient:
            return energy
        return energy, np.concatenate(gradients).reshape(X.shape)

    def score_samples(self, X):
        """Minus the energy of fields: 0 for those that have the moments.

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
    def moment_table_(self):  # numpydoc ignore=GL08
        if callable(self.moments):
            raise AttributeError("moment_table_ is of named groups; moments is a callable.")
        return super().moment_table_

    def get_feature_names_out(self, input_features=None):
        """Names of the moments, as those of `PhaseHarmonicTransformer`; of a callable, numbers.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Checked against the fitted names, else not used.

        Returns
        -------
        names : ndarray of str, shape (n_moments,)
            Names.
        """
        if callable(self.moments):
            check_is_fitted(self)
            return np.array([f"m{i}" for i in range(self.n_moments_)], dtype=object)
        return super().get_feature_names_out(input_features)

    def _forward(self, x):
        family = self._family(x.dtype, x.device)
        return self._moments(self._of_data(self._grid(x)), family)

    def _family(self, dtype, device, shape=None, *, masked=True):
        if callable(self.moments):  # the wavelets of the smoothed spectrum alone
            layout = cached_layout(
                self.signal_shape_, J=self.J, L=self.L if self.ndim == 2 else 1, moments=("S11",)
            )
            fields = cached_family(layout, None, dtype=dtype, device=device).fields
            return Family(lambda x, ref, normalize: self._called(x), fields)
        return super()._family(dtype, device, shape, masked=masked)

    def _called(self, x):
        m = self.moments(x if self.ndim == 2 else x[..., 0])
        if not isinstance(m, torch.Tensor) or m.ndim != 2 or len(m) != len(x):
            raise ValueError(
                f"moments gave {getattr(m, 'shape', type(m))} for a batch of {len(x)}: it must "
                "give a tensor of shape (batch, n_moments)."
            )
        return m

    def _moments(self, x, family):
        ref = self._reference
        if ref is not None:
            ref = to_tensors(ref, x)
        return family.moments(x, ref, True)

    def _sampling(self, x):
        return self._family(x.dtype, x.device, tuple(x.shape[-2:][: self.ndim]), masked=False)

    def _n_out(self):
        return self.n_moments_

    def _batch_shape(self):
        return (-1, self.n_channels_, *self.signal_shape_)

    def _channels(self):
        # axes of a sample before those of the signal; flat samples are unfolded
        before = self.sample_shape_[: -self.ndim]
        return before if prod(before) == self.n_channels_ else (self.n_channels_,)

    def _unit(self):
        return self.scale_.reshape(-1, *[1] * self.ndim)

    def _middle(self):
        return self.mean_.reshape(self._unit().shape)

    def _standardised(self, x):
        mean, std = (torch.from_numpy(a).to(x)[:, None, None] for a in (self.mean_, self.scale_))
        return (x - mean) / std

    def _counting(self, x):
        mask = np.ones(self.signal_shape_, bool) if self.mask is None else self._mask()
        return torch.from_numpy(mask).to(x.device).view(x.shape[-2:])

    def _of_data(self, x):
        # what is masked is the mean
        return torch.where(self._counting(x), self._standardised(x), 0.0)

    def _on_device(self, X):
        dtype = resolve_dtype(None, self.mean_)
        return to_tensor(X, dtype, resolve_device(self.device, self.mean_))

    def _sample_shape(self, shape):
        if shape is None:
            return self.signal_shape_
        shape = (shape,) if isinstance(shape, Integral) else tuple(shape)
        if len(shape) != self.ndim or not all(isinstance(n, Integral) for n in shape):
            raise ValueError(
                f"shape={shape!r} must have {self.ndim} integers, for ndim={self.ndim}."
            )
        check_scales(shape, self.J, None, None)
        if self.moments == "gaussian" and shape != self.signal_shape_:
            raise ValueError(
                f"moments='gaussian' are of one shape, {self.signal_shape_}: leave shape out, or "
                "use moments='wavelet_covariance'."
            )
        return shape
