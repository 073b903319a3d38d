"""The scattering transform as a scikit-learn transformer."""

import warnings
from math import prod
from numbers import Real
from typing import ClassVar

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from skwave._core.arrays import (
    from_tensor,
    records_gradient,
    reshape,
    resolve_device,
    resolve_dtype,
    to_tensor,
)
from skwave._core.checks import check_scales, default_scale, random_numbers, validate_features
from skwave._core.compat import Interval, StrOptions, check_feature_names_in
from skwave._core.progress import step_reporter
from skwave._core.rows import CACHE_CONSTRAINT
from skwave._core.transformer import TorchTransformer
from skwave.functional import scattering
from skwave.functional._wavelets.nonlinearity import power_of_two
from skwave.scattering._inversion import check_minimisation, invert
from skwave.scattering._long import Pieces, is_long
from skwave.scattering._plans import (
    CONSTRAINTS,
    cached_layout,
    cached_plan,
    layout_parameters,
    path_names,
    path_table,
)
from skwave.scattering._reductions import (
    STATISTICS,
    mean_over,
    orbits,
    renormalized,
    statistics,
)

_LOG_EPSILON = 1e-6
_RELATIVE = 1e-3


class ScatteringTransformer(TorchTransformer):
    r"""Wavelet scattering of signals and images.

    A cascade of Morlet wavelet transforms and nonlinearities, averaged at scale
    :math:`2^J`: features that do not move with small translations, are stable to
    deformations, and keep what a Fourier modulus loses,

    .. math:: S_J x = \big( x\star\phi_J,\; \rho(x\star\psi_\lambda)\star\phi_J,\;
       \rho(\rho(x\star\psi_\lambda)\star\psi_{\lambda'})\star\phi_J \big),
       \quad j' > j .

    Axis 0 of ``X`` is samples, the last ``ndim`` axes are the signal, axes between are
    channels; a 2-D array with ``shape=(H, W)`` is folded. The filters are fixed: ``fit``
    learns the shape alone. Signals may also come as a list of arrays ``(length,)`` or
    ``(n_channels, length)`` of different lengths, or as columns of a data frame that hold lists:
    each is transformed at its own length.

    Parameters
    ----------
    J : int, default=None
        Log2 of the largest scale, in samples; ``2**J`` is at most the smallest side. None for
        the largest that leaves four coefficients a side, from 1 to 8 for signals, to 3 for
        images.
    L : int, default=8
        Number of orientations in :math:`[0, \pi)`, for ``ndim=2``.
    Q : int or (int, int), default=1
        Wavelets per octave, of the first order or of the first and the second. One number
        stands for ``(Q, 1)`` in 1-D, for ``(Q, Q)`` in 2-D.
    ndim : {1, 2}, default=None
        Signals or images. None infers it, from ``shape`` or from ``X``: 2-D are signals, 4-D
        are images with channels. Of 3-D it has to be told: ``ndim=2`` for images
        ``(n, H, W)``, ``ndim=1`` for signals with channels ``(n, C, N)``.
    max_order : {0, 1, 2}, default=2
        Largest number of wavelets of a path.
    T : float, default=None
        Support of the low-pass :math:`\phi` in samples, ``2**J`` by default.
        Coefficients are ``T`` samples apart, rounded down to a power of two.
    shape : tuple of int, default=None
        Shape of the signal, ``(N,)`` or ``(H, W)``, if the rows of ``X`` are flat; one
        entry may be -1. Rows longer than the signal hold several channels.
    nonlinearity : {"modulus", "rectifier"}, default="modulus"
        :math:`|x\star\psi_\lambda|`, or
        :math:`\max(0, \mathrm{Re}(e^{i\alpha} x\star\psi_\lambda))` at ``n_phases`` phases
        :math:`\alpha`, each a path of its own. A rectified wave has harmonics, which alias: of
        photographs by up to a tenth of order 1 and a fifth of order 2, with
        ``oversampling=1`` by 1 and 2 %, as moduli do without.
    n_phases : int, default=4
        Phases of the rectifier, a regular grid of :math:`[0, 2\pi)`.
    averaging : {"local", "global", "stats"} or None, default="local"
        Low-pass :math:`\phi_J` and subsampling, the mean over the signal, or the maps
        :math:`\rho(\cdot)` themselves, each on the grid of its scale. ``"stats"`` gives mean,
        standard deviation, and the quantiles 0.1, 0.5 and 0.9 over the positions of the local
        averages, after the logarithm if there is ``log``.
    oversampling : int, default=0
        Compute every map on a grid finer by ``2**oversampling``; the coefficients come
        nearer to those without any subsampling, their number stays the same unless
        ``averaging=None``.
    boundary : {"reflect", "periodic", "zero"}, default="reflect"
        What lies beyond the border of a signal: its mirror image, its repetition, or zeros.
        Periodic signals whose sides ``2**J`` divides are not extended at all.
    reduce : {"isotropic"}, default=None
        For images, ``"isotropic"`` averages over rotations of all wavelets of a path by multiples
        of :math:`\pi/L`, so that differences :math:`\theta' - \theta` are kept: with
        ``averaging="global"`` features do not change when an image is rotated. Paths and names
        are those that begin with the orientation 0.
    log : bool, float or "relative", default=False
        Give :math:`\log(|S| + \epsilon)`, with :math:`\epsilon = 10^{-6}` or the value
        itself, in units of ``X``; ``"relative"`` for a thousandth of the mean :math:`|x|` of each
        signal, so that a gain adds a constant whatever the units are.
    renormalize : bool, default=False
        Divide order 2 by the order 1 that it comes from, and orders 0 and 1 by the average of
        :math:`|x|` [3]_, each with a thousandth of the mean :math:`|x|` added: what remains does
        not depend on the gain, nor order 2 on the power spectrum.
    sampling_rate : float, default=None
        Samples per second. Then ``paths_`` has frequencies in Hz, and so have names, with times in
        seconds. For ``ndim=1``; it changes no coefficient, and ``T`` stays in samples.
    cache : FeatureCache, str, Path or None, default=None
        Keep the features of each sample for the next time: a folder, or a
        :class:`~skwave.FeatureCache`, which bounds the size.
    device : str or torch.device, default=None
        Where to compute: None for where ``X`` lives, ``"cuda"``, or ``"auto"``. Results
        come back to the device of ``X``.
    dtype : {"float32", "float64"}, default=None
        Type to compute in and to give back; None for that of ``X``, which is float32 for booleans
        and integers of up to 16 bits.
    batch_size : int or "auto", default="auto"
        Samples at once; ``"auto"`` keeps within scikit-learn's ``working_memory``.
    n_jobs : int, default=None
        Number of batches computed at the same time on a CPU, in threads.
    verbose : int, default=0
        Print the progress if positive.

    Attributes
    ----------
    n_features_in_ : int
        Length of axis 1 of ``X``.
    feature_names_in_ : ndarray of str
        Names of the columns of ``X``, if it is a data frame.
    J_ : int
        Log2 of the largest scale: ``J``, or what stands for None.
    ndim_ : int
        Number of axes of a signal.
    sample_shape_ : tuple of int
        Shape of one sample of ``X``.
    signal_shape_ : tuple of int
        ``(N,)`` or ``(H, W)``.
    n_channels_ : int
        Signals per sample.
    any_length_ : bool
        Whether the transformer was fitted to signals of different lengths, of which
        ``sample_shape_`` and ``signal_shape_`` then are those of the shortest.
    paths_ : structured ndarray, shape (n_paths,)
        Table of the paths.
    output_shape_ : tuple of int
        Shape of the features of one sample.

    See Also
    --------
    skwave.functional.scattering : The same cascade as a function of torch tensors.

    Notes
    -----
    In 2-D with ``Q=1`` the coefficients are those of kymatio 0.3 to 1e-6, path for path. In
    1-D they agree with the definition (filter, modulus, low-pass, decimate) to 1e-3 of the
    norm of each order; kymatio 0.3.0 does not.

    A long signal, from about 250 000 samples on, is transformed in pieces with margins of 13
    supports: the same to 1e-6, in linear time and in the memory of a few pieces; a memory map is
    read piece by piece. ``n_jobs`` then counts pieces. A gradient takes the signal as a whole.

    References
    ----------
    .. [1] Mallat, S., Group invariant scattering, Comm. Pure Appl. Math. 65, 2012.
    .. [2] Bruna, J. and Mallat, S., Invariant scattering convolution networks, IEEE Trans.
       PAMI 35, 2013.
    .. [3] Andén, J. and Mallat, S., Deep scattering spectrum, IEEE Trans. Signal Process. 62,
       2014.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skwave import ScatteringTransformer
    >>> X, y = load_digits(return_X_y=True)
    >>> scattering = ScatteringTransformer(shape=(8, 8))
    >>> model = make_pipeline(scattering, StandardScaler(), LogisticRegression())
    >>> model.fit(X[:500], y[:500]).score(X[500:], y[500:]) > 0.93
    True
    >>> scattering.get_feature_names_out()[[0, 16]]
    array(['s0_y0x0', 's1_j0t0_y0x0'], dtype=object)
    """

    _parameter_constraints: ClassVar[dict] = {
        **TorchTransformer._parameter_constraints,
        "cache": CACHE_CONSTRAINT,
        **CONSTRAINTS,
        "J": [*CONSTRAINTS["J"], None],
        "averaging": [StrOptions({"local", "global", "stats"}), None],
        "log": ["boolean", Interval(Real, 0, None, closed="neither"), StrOptions({"relative"})],
        "reduce": [StrOptions({"isotropic"}), None],
        "renormalize": ["boolean"],
        "sampling_rate": [Interval(Real, 0, None, closed="neither"), None],
    }

    _takes_lengths = True

    def __init__(
        self,
        J=None,
        L=8,
        Q=1,
        *,
        ndim=None,
        max_order=2,
        T=None,
        shape=None,
        nonlinearity="modulus",
        n_phases=4,
        averaging="local",
        oversampling=0,
        boundary="reflect",
        reduce=None,
        log=False,
        renormalize=False,
        sampling_rate=None,
        cache=None,
        device=None,
        dtype=None,
        batch_size="auto",
        n_jobs=None,
        verbose=0,
    ):
        self.J = J
        self.L = L
        self.Q = Q
        self.ndim = ndim
        self.max_order = max_order
        self.T = T
        self.shape = shape
        self.nonlinearity = nonlinearity
        self.n_phases = n_phases
        self.averaging = averaging
        self.oversampling = oversampling
        self.boundary = boundary
        self.reduce = reduce
        self.log = log
        self.renormalize = renormalize
        self.sampling_rate = sampling_rate
        self.cache = cache
        self.device = device
        self.dtype = dtype
        self.batch_size = batch_size
        self.n_jobs = n_jobs
        self.verbose = verbose

    @property
    def J_(self):  # numpydoc ignore=RT01
        """Log2 of the largest scale."""
        return default_scale(self.signal_shape_) if self.J is None else self.J

    @property
    def paths_(self):  # numpydoc ignore=RT01,SS06
        """Table of the paths, in the order of the coefficients: ``order``, and for each
        order ``n`` (index of the wavelet), ``j``, ``theta`` and ``phase`` (indices), ``xi`` and
        ``sigma`` (centre frequency and bandwidth in cycles per sample). Beyond the order of a
        path stand -1 and NaN.
        """
        table = path_table(*self._layout())
        for name in ("xi", "sigma"):
            table[name] *= self.sampling_rate or 1
        return table

    @property
    def output_shape_(self):  # numpydoc ignore=RT01,SS06
        """Channels, paths and grid of the features of one sample, which
        ``transform(X).reshape(len(X), *output_shape_)`` unfolds; ``(n_channels, n)`` if
        ``averaging=None``.
        """
        _, paths = self._layout()
        if self.averaging is None:
            return (self.n_channels_, sum(prod(path.grid) for path in paths))
        if self.averaging == "stats":
            return (self.n_channels_, len(paths), len(STATISTICS))
        grid = paths[0].grid if self.averaging == "local" and not self.any_length_ else ()
        return (self.n_channels_, len(paths), *grid)

    def get_feature_names_out(self, input_features=None):
        """Names of the features: order, wavelets, position.

        ``s2_j0t3_j2t1_y0x1`` is an order 2 coefficient of an image, along scale 0 and
        orientation 3, then scale 2 and orientation 1, in row 0 and column 1;
        ``s1_n5_t3`` one of a signal, wavelet 5 at time 3. Phases follow as ``a1``,
        channels come first as ``c0_``, statistics last, as ``std`` or ``q90``. Of signals of
        different lengths there are no positions. ``paths_`` tells the frequencies.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Checked against the fitted names, else not used.

        Returns
        -------
        names : ndarray of str, shape (n_features_out,)
            Names.
        """
        self._check_fit()
        check_feature_names_in(self, input_features, generate_names=False)
        if self.averaging == "local" and not self.any_length_:
            return self._channel_names(path_names(*self._layout(), self.sampling_rate))
        layout = self._layout(averaging="global" if self.averaging else None)
        names = path_names(*layout, self.sampling_rate)
        if self.averaging == "stats":
            names = [f"{name}_{statistic}" for name in names for statistic in STATISTICS]
        return self._channel_names(names)

    def explained_energy_ratio(self, X):
        r"""Share of the energy of each sample that each order holds.

        .. math:: E_m(x) = \frac{\sum_{|p| = m} \langle |S_J[p]x|^2 \rangle}
           {\langle |x|^2 \rangle}

        with means over the signal, whatever ``averaging`` and ``log``. A rectifier's
        coefficients are scaled to the energy of a modulus, :math:`4 / A` for ``A`` phases
        and order. What is missing to 1 is in the variations that the average removes, in
        higher orders, and in frequencies that the filters attenuate.

        Parameters
        ----------
        X : array-like or Tensor, shape (n_samples, ...)
            Signals of the fitted shape.

        Returns
        -------
        ratio : array, shape (n_samples, max_order + 1)
            Zero for a signal that is zero.
        """
        X = self._validate(X)
        n_paths = [0] * (self.max_order + 1)
        for path in self._all_paths(averaging="local")[1]:
            n_paths[len(path.n)] += 1
        gain = 4 / self.n_phases if self.nonlinearity == "rectifier" else 1.0

        def shares(energies, total):  # numpydoc ignore=GL08
            # of the channels (B, C, n_paths) and (B, C)
            orders = energies.sum(1).split(n_paths, -1)
            total = total.sum(1)
            total = torch.where(total > 0, total, 1.0)
            return torch.stack([e.sum(-1) * gain**m / total for m, e in enumerate(orders)], -1)

        def ratio(x):
            x = x / power_of_two(x, tuple(range(1, x.ndim)))  # squares of float32 reach 1e38
            s = scattering(x, self._plan(x.dtype, x.device, averaging="local"))
            return shares(s.flatten(3).square().mean(-1), x.flatten(2).square().mean(-1))

        if self._in_pieces(X):
            pieces = self._pieces(X, averaging="local")
            y = shares(*pieces.energies(**self._options())).to(pieces.dtype)
            return from_tensor(y.to(X.device) if isinstance(X, torch.Tensor) else y, X)
        return self._map(ratio, X, self.max_order + 1)

    def inverse_transform(self, X, *, init=None, max_iter=200, tol=1e-3, random_state=None):
        r"""Recover signals from their features.

        .. math:: \min_x \|S x - s\|^2 / \|s\|^2

        by L-BFGS, for each sample on its own. A signal is recovered up to what the
        coefficients are invariant to, and as far as the minimisation goes: small ``J`` and
        order 2 keep more. With ``log``, order 0 is taken as positive, its sign being lost.

        Parameters
        ----------
        X : array-like or Tensor, shape (n_samples, n_features_out)
            Features, as `transform` gives them.
        init : array-like or Tensor, shape (n_samples, ...), default=None
            Signals to start from, of the fitted shape; None for white noise.
        max_iter : int, default=200
            Largest number of steps.
        tol : float, default=1e-3
            A sample is done when :math:`\|Sx - s\| \le \mathrm{tol}\,\|s\|`.
        random_state : int, RandomState instance or None, default=None
            Draws the noise.

        Returns
        -------
        signals : array, shape (n_samples, ...)
            Signals of the fitted shape; same kind of array as ``X``. Ctrl-C gives those
            found so far, with a ``ConvergenceWarning``, unless ``n_jobs`` is above 1.

        Raises
        ------
        ValueError
            If ``X`` does not hold features of this transformer, or ``init`` one signal of the
            fitted shape for each row of ``X``; if ``max_iter`` or ``tol`` is out of range.

        Examples
        --------
        >>> import numpy as np
        >>> x = np.sin(np.linspace(0, 12, 256) ** 2)[None]
        >>> scattering = ScatteringTransformer(J=3).fit(x)
        >>> S = scattering.transform(x)
        >>> y = scattering.inverse_transform(S, random_state=0)
        >>> bool(np.linalg.norm(scattering.transform(y) - S) < 0.05 * np.linalg.norm(S))
        True
        """
        self._check_since_fit()
        reduced = self.averaging == "stats" or self.any_length_ or self.reduce
        if reduced or self._is_relative:
            raise ValueError(
                "signals are recovered from features of one length, at the positions or their "
                f"mean, in units of X: averaging={self.averaging!r}, log={self.log!r}, "
                f"renormalize={self.renormalize}, reduce={self.reduce!r}, any_length_="
                f"{self.any_length_}. Fit without them, to an array (n_samples, ..., length)."
            )
        check_minimisation(max_iter, tol, "inverse_transform")
        X = validate_features(X, self._n_out(), type(self).__name__)
        n, signal = X.shape[0], (self.n_channels_, *self.signal_shape_)
        if init is None:
            start = random_numbers(random_state).standard_normal((n, *signal))
        else:
            start = self._validate(init)
            if start.shape[0] != n:
                raise ValueError(
                    f"init has {start.shape[0]} signals for {n} rows of X: give one each."
                )
        dtype, device = resolve_dtype(self.dtype, X), resolve_device(self.device, X)
        home = X.device if isinstance(X, torch.Tensor) else torch.device("cpu")
        s, x = (to_tensor(part, dtype, home).detach() for part in (X, start))
        Y, interrupted = invert(
            self._linear(s).reshape(n, self.n_channels_, -1),
            x.reshape(n, *signal),
            self._plan(dtype, device),
            scale=init is None,
            max_iter=max_iter,
            tol=tol,
            device=device,
            on_step=step_reporter(type(self).__name__, max_iter) if self.verbose else None,
            batch_size=self.batch_size,
            n_jobs=self.n_jobs,
        )
        if interrupted:
            warnings.warn(
                "inverse_transform was interrupted: these are the signals found so far. Give "
                "them as init= to go on.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return from_tensor(Y.reshape(n, *self.sample_shape_), X)

    def _parameters(self, changes):
        return layout_parameters(self, self.signal_shape_) | changes

    def _plan(self, dtype, device, **changes):
        return cached_plan(self.signal_shape_, dtype, device, **self._parameters(changes))

    def _all_paths(self, **changes):
        return cached_layout(self.signal_shape_, **self._parameters(changes))

    def _layout(self, **changes):
        # with those paths that there are features of
        layout, paths = self._all_paths(**changes)
        if self.reduce == "isotropic":
            paths = [paths[first] for first, *_ in orbits(layout, paths, self.L)]
        return layout, paths

    def _features(self, X):
        if not self._in_pieces(X):
            return super()._features(X)
        if self._is_relative:
            raise ValueError(
                f"renormalize={self.renormalize} and log={self.log!r} are not for signals of "
                f"{self.signal_shape_[0]} samples, which are transformed in pieces: cut the "
                "signals, or give log= a number in units of X."
            )
        Y = self._pieces(X).features(self._logarithm, **self._options())
        if self.averaging != "stats":
            return Y
        s = to_tensor(Y, resolve_dtype(None, Y), resolve_device(None, Y))
        return from_tensor(statistics(s.reshape(len(s), *self.output_shape_[:2], -1)), X)

    def _in_pieces(self, X):
        if records_gradient(X):  # which takes the signal as a whole
            return False
        device = resolve_device(self.device, X)
        return is_long(self.signal_shape_, device, **self._parameters({}))

    def _pieces(self, X, **changes):
        dtype, device = resolve_dtype(self.dtype, X), resolve_device(self.device, X)
        (n,) = self.signal_shape_
        return Pieces(X, self.n_channels_, n, dtype, device, **self._parameters(changes))

    def _options(self):
        return {"n_jobs": self.n_jobs, "verbose": self.verbose, "name": type(self).__name__}

    def _forward(self, x):
        s = scattering(x, self._plan(x.dtype, x.device))
        if self._is_relative:
            floor = _RELATIVE * x.abs().flatten(2).mean(-1).clamp(min=torch.finfo(x.dtype).tiny)
            floor = floor.reshape(*floor.shape, *(s.ndim - 2) * [1])
        if self.renormalize:
            mean = scattering(x.abs(), self._plan(x.dtype, x.device, max_order=0)).clamp(min=0)
            s = renormalized(s, mean, floor, self._all_paths()[1])
        if self.reduce == "isotropic":
            s = mean_over(s, orbits(*self._all_paths(), self.L))
        s = self._logarithm(s, floor if self.log == "relative" and not self.renormalize else None)
        return statistics(s.flatten(3)) if self.averaging == "stats" else s.flatten(1)

    def _framed(self, Y):
        if self.averaging is None:
            raise ValueError(
                "averaging=None gives maps on several grids, of which signals of different lengths "
                "have no common order: use 'global', 'stats', or 'local' for frames."
            )
        if self.averaging != "local":
            return Y
        n_paths = self.n_channels_ * len(self._layout()[1])
        return list(reshape(Y, (len(Y), n_paths, -1)).swapaxes(1, 2))

    def _logarithm(self, s, epsilon=None):
        if not self.log:
            return s
        if epsilon is None:
            epsilon = self._epsilon
            # a GPU would have to be waited for
            largest = float(s.detach().abs().amax()) if s.device.type == "cpu" else 0.0
            if 0 < largest < epsilon:
                warnings.warn(
                    f"log={self.log!r} adds {epsilon:g} to coefficients of at most {largest:.1g}, "
                    "of which little is left: set log='relative', or give a number in units of X.",
                    UserWarning,
                    stacklevel=2,
                )
        return torch.log(s.abs() + epsilon)

    def _linear(self, s):
        # the coefficients that a tensor of features stands for
        return (s.exp() - self._epsilon).clamp(min=0) if self.log else s

    def _check_reduction(self, ndim):
        if self.averaging is None and (self.renormalize or self.reduce):
            raise ValueError(
                "averaging=None has orders on grids of their own, which renormalize=True and "
                "reduce= can't put together: set averaging='local', 'global' or 'stats'."
            )
        if ndim == 2 and self.sampling_rate is not None:
            raise ValueError(
                f"sampling_rate={self.sampling_rate} is for signals, ndim=1, and X are images."
            )
        if self.reduce and (ndim == 1 or self.nonlinearity == "rectifier"):
            raise ValueError(
                f"reduce={self.reduce!r} is for moduli of images, ndim=2: X have ndim={ndim}, "
                f"nonlinearity={self.nonlinearity!r}. Set reduce=None."
            )

    @property
    def _is_relative(self):
        return self.renormalize or self.log == "relative"

    @property
    def _epsilon(self):
        if self.log == "relative":  # of what is renormalised, which has no unit
            return _RELATIVE
        return _LOG_EPSILON if isinstance(self.log, bool | np.bool_) else self.log

    def _n_out(self):
        return prod(self.output_shape_)

    def _row_bytes(self, dtype):
        # what lies between input and output is bounded by the blocks of the plan
        return dtype.itemsize * (2 * prod(self.sample_shape_) + 3 * self._n_out())

    def _check_signal(self, signal_shape):
        J = default_scale(signal_shape) if self.J is None else self.J
        self._check_reduction(len(signal_shape))
        averaging = "local" if self.averaging == "stats" else self.averaging
        check_scales(signal_shape, J, self.T, averaging, self._note)
