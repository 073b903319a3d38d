"""Sparse codes and dictionary learning as a scikit-learn estimator."""

import time
import warnings
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skwave._core.arrays import (
    from_tensor,
    native,
    reshape,
    resolve_device,
    resolve_dtype,
    to_tensor,
)
from skwave._core.batches import map_batches
from skwave._core.checks import check_values, validate_array
from skwave._core.compat import Estimator, Interval, StrOptions, fit_context
from skwave.functional import coherence, istc_step, lasso_objective
from skwave.sparse._solvers import (
    EXACT,
    Learning,
    as_maps,
    as_rows,
    check_dictionary,
    compiled,
    encode,
    learn,
    start,
)

_FIT_TOL = 1e-3  # of codes while the dictionary still moves
_STEP_SAMPLES = 256


class SparseCoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Estimator):
    r"""Sparse codes in a dictionary, learnt from data or given.

    .. math:: z(x) = \arg\min_z \tfrac12\|x - zD\|^2 + \alpha\|z\|_1, \qquad
       D = \arg\min_{\|d_k\| = 1} \sum_i \tfrac12\|x_i - z(x_i)D\|^2 + \alpha\|z(x_i)\|_1

    The objective, ``alpha`` and ``components_`` are those of scikit-learn's
    ``MiniBatchDictionaryLearning`` with ``transform_algorithm="lasso_cd"``, and so are the codes.
    Every code of an exact algorithm is certified by its duality gap.

    Parameters
    ----------
    n_components : int, default=None
        Number of atoms; None for the number of features, or that of ``dictionary``.
    alpha : float, default=1.0
        Weight of the :math:`\ell^1` norm. Codes are zero above
        :math:`\alpha_{\max} = \|xD^\top\|_\infty`.
    algorithm : {"auto", "cd", "fista", "istc", "ista", "omp"}, default="auto"
        How `transform` codes. Exact are ``"cd"``, coordinate descent compiled by numba (install
        ``skwave[fast]``), and ``"fista"``, in torch; both finish by Newton's method on the
        support. ``"auto"`` is ``"cd"`` on a CPU if numba is there, else ``"fista"``. ``"istc"``
        takes a few steps with falling thresholds, as networks do, ``"ista"`` is the slow
        classic, ``"omp"`` a greedy choice of ``transform_n_nonzero_coefs`` atoms. `fit` codes
        exactly, whatever this is.
    dictionary : array-like, shape (n_components, n_features), default=None
        Atoms to use as they are: nothing is learnt. Atoms should have norm 1.
    positive : bool, default=False
        Codes that are not negative.
    max_iter : int, default=10
        Passes of `fit` over the samples.
    tol : float, default=1e-6
        A code is done when its duality gap is at most this part of :math:`\|x\|^2/2`; float32
        leaves about 2e-6.
    transform_max_iter : int, default=None
        Largest number of steps for a code; None for 12 with ``"istc"``, else 1000.
    transform_n_nonzero_coefs : int, default=None
        Atoms of a code of ``"omp"``; None for a tenth of the features.
    dict_init : array-like, shape (n_components, n_features), default=None
        Atoms to start learning from; None for samples drawn at random.
    batch_size : int, default=256
        Samples of a step of learning.
    shuffle : bool, default=True
        Whether each pass of `fit` goes through the samples in another order.
    random_state : int, RandomState instance or None, default=None
        Draws the first atoms, the order of samples, and samples in place of atoms that no code
        has.
    device : str or torch.device, default=None
        Where to compute: that of ``X`` (None), ``"cpu"``, ``"cuda"``, or ``"auto"``.
    n_jobs : int, default=None
        Batches at the same time in `transform`, each in a thread on a core of its own.
    verbose : int, default=0
        Print a line for each pass if positive.

    Attributes
    ----------
    components_ : ndarray, shape (n_components, n_features)
        Atoms, of norm 1 if they were learnt.
    coherence_ : float
        Largest product of two different atoms.
    n_iter_ : int
        Passes over the samples; 0 if nothing was learnt.
    n_steps_ : int
        Mini-batches learnt from.
    loss_curve_ : list of float
        Mean objective of each pass, or of each `partial_fit`, while the atoms moved.
    dual_gap_ : float
        Largest relative gap of a code in the last pass, where 1e-3 is asked for; NaN if nothing
        was learnt.
    step_ : float
        Step of ISTC, with ``algorithm="istc"``.
    n_features_in_ : int
        Length of axis 1 of ``X``.
    feature_names_in_ : ndarray of str
        Names of the columns of ``X``, if it is a data frame.

    See Also
    --------
    sklearn.decomposition.MiniBatchDictionaryLearning : The same on one core, without torch.
    skwave.functional.lasso : The codes as a differentiable function.

    Notes
    -----
    ``X`` of shape (n, C, H, W), or with any other axes after the channels, is coded at each
    position with one dictionary, a 1×1 convolution: codes have shape (n, n_components, H, W).

    References
    ----------
    .. [1] Mairal, J., Bach, F., Ponce, J. and Sapiro, G., Online learning for matrix
       factorization and sparse coding, J. Mach. Learn. Res. 11, 2010.
    .. [2] Zarka, J., Thiry, L., Angles, T. and Mallat, S., Deep network classification by
       scattering and homotopy dictionary learning, ICLR 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from skwave import SparseCoder
    >>> rng = np.random.default_rng(0)
    >>> Z = rng.standard_normal((500, 20)) * (rng.random((500, 20)) < 0.1)
    >>> X = Z @ rng.standard_normal((20, 10))
    >>> coder = SparseCoder(20, alpha=0.1, random_state=0).fit(X)
    >>> codes = coder.transform(X)
    >>> codes.shape
    (500, 20)
    >>> bool(np.mean((X - coder.inverse_transform(codes)) ** 2) < 0.02 * np.mean(X**2))
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_components": [Interval(Integral, 1, 2**20, closed="both"), None],
        "alpha": [Interval(Real, 0, None, closed="neither")],
        "algorithm": [StrOptions({"auto", "cd", "fista", "istc", "ista", "omp"})],
        "dictionary": [object],
        "positive": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "transform_max_iter": [Interval(Integral, 1, None, closed="left"), None],
        "transform_n_nonzero_coefs": [Interval(Integral, 1, None, closed="left"), None],
        "dict_init": [object],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "device": [object],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_components=None,
        alpha=1.0,
        *,
        algorithm="auto",
        dictionary=None,
        positive=False,
        max_iter=10,
        tol=1e-6,
        transform_max_iter=None,
        transform_n_nonzero_coefs=None,
        dict_init=None,
        batch_size=256,
        shuffle=True,
        random_state=None,
        device=None,
        n_jobs=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.alpha = alpha
        self.algorithm = algorithm
        self.dictionary = dictionary
        self.positive = positive
        self.max_iter = max_iter
        self.tol = tol
        self.transform_max_iter = transform_max_iter
        self.transform_n_nonzero_coefs = transform_n_nonzero_coefs
        self.dict_init = dict_init
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.random_state = random_state
        self.device = device
        self.n_jobs = n_jobs
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn the dictionary, unless one is given.

        Parameters
        ----------
        X : array-like or Tensor, shape (n_samples, n_features, ...)
            Samples; further axes are positions, each of which is coded.
        y : None
            Ignored.

        Returns
        -------
        self : estimator
            Fitted coder.

        Raises
        ------
        ImportError
            If ``algorithm="cd"`` and numba is missing.
        ValueError
            If ``dictionary`` or ``dict_init`` has the wrong width, or zero or infinite atoms.

        Warns
        -----
        UserWarning
            If ``alpha`` is so large that all codes are zero.
        """
        rows = self._start(X)
        if self.dictionary is None:
            rng, begin = self._rng, time.perf_counter()
            try:
                for epoch in range(1, self.max_iter + 1):
                    order = rng.permutation(len(rows)) if self.shuffle else np.arange(len(rows))
                    self._pass(rows, order)
                    self.n_iter_ = epoch
                    if self.verbose:
                        print(
                            f"[SparseCoder] pass {epoch}/{self.max_iter}: objective "
                            f"{self.loss_curve_[-1]:.6g}, {time.perf_counter() - begin:.1f} s",
                            flush=True,
                        )
            except KeyboardInterrupt:
                warnings.warn(
                    f"fit was interrupted in pass {self.n_iter_ + 1} of {self.max_iter}: the "
                    "dictionary is what was learnt until then.",
                    ConvergenceWarning,
                    stacklevel=2,
                )
        return self._finish(rows)

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None):
        """Learn from some more samples, in their order.

        Parameters
        ----------
        X : array-like or Tensor, shape (n_samples, n_features, ...)
            Samples, a block of a memory map, say. The atoms start from the first of them.
        y : None
            Ignored.

        Returns
        -------
        self : estimator
            Fitted coder.
        """
        if hasattr(self, "components_"):
            self._check_sign()
            rows = as_rows(native(validate_array(self, X, reset=False)))
        else:
            rows = self._start(X)
        if self.dictionary is None:
            self._pass(rows, np.arange(len(rows)))
            self.n_iter_ = 1
        return self._finish(rows)

    def _start(self, X):
        rows = as_rows(native(validate_array(self, X, reset=True)))
        resolve_device(self.device, X)
        if self.algorithm == "cd" and not compiled():
            raise ImportError(
                "algorithm='cd' needs numba: pip install 'skwave[fast]', or use 'auto' or 'fista'."
            )
        self._check_sign()
        p, given = rows.shape[1], None
        self._rng = check_random_state(self.random_state)
        for name in ("dictionary", "dict_init"):
            if getattr(self, name) is not None and given is None:
                given = check_dictionary(getattr(self, name), p, name)
                if self.n_components not in (None, len(given)):
                    raise ValueError(
                        f"n_components={self.n_components}, but {name} has {len(given)} atoms: "
                        "leave n_components out, or make them agree."
                    )
        if self.dictionary is None:
            given = start(rows, self.n_components or p, given, self._rng)
        self.components_ = given.astype(str(resolve_dtype(None, rows))[6:])
        self.n_iter_, self.n_steps_ = 0, 0
        self.loss_curve_, self.dual_gap_ = [], np.nan
        K, dtype = len(given), self.components_.dtype
        self._statistics = np.zeros((K, K), dtype), np.zeros((K, p), dtype)
        return rows

    def _check_sign(self):
        if self.positive and self.algorithm == "omp":
            raise ValueError(
                "positive=True is not for algorithm='omp', whose codes have both signs: use "
                "algorithm='auto', or positive=False."
            )

    def _pass(self, rows, order):
        dtype, device = resolve_dtype(None, self.components_), resolve_device(self.device, rows)
        arrays = (to_tensor(a, dtype, device) for a in (self.components_, *self._statistics))
        state = Learning(*arrays, self.n_steps_)
        coding = self._coding() | {"algorithm": self.algorithm, "tol": max(self.tol, _FIT_TOL)}
        if self.algorithm not in EXACT:
            coding |= {"algorithm": "auto", "max_iter": None}
        total, gap, n_seen = 0.0, 0.0, 0
        try:
            with torch.no_grad():
                for i in range(0, len(order), self.batch_size):
                    index = order[i : i + self.batch_size]
                    x = to_tensor(rows[index], dtype, device)
                    D = state.D
                    state, codes = learn(state, x, self._rng, **coding)
                    total += float(lasso_objective(codes.z, x, D, self.alpha).sum())
                    gap, n_seen = max(gap, float(codes.gap.max())), n_seen + len(x)
        finally:  # what an interrupted pass has learned is kept
            self.components_, *statistics = (a.cpu().numpy() for a in state[:3])
            self._statistics, self.n_steps_ = tuple(statistics), state.n_steps
            if n_seen:
                self.loss_curve_ = [*self.loss_curve_, total / n_seen]
                self.dual_gap_ = gap

    def _finish(self, rows):
        dtype, device = resolve_dtype(None, self.components_), resolve_device(self.device, rows)
        D = to_tensor(self.components_, dtype, device)
        self.coherence_ = float(coherence(D))
        x = to_tensor(rows[:_STEP_SAMPLES], dtype, device).detach()
        if self.algorithm == "istc":
            n_iter = self.transform_max_iter or 12
            self.step_ = istc_step(x, D, self.alpha, n_iter, positive=self.positive)
        else:
            vars(self).pop("step_", None)
        self._warn_of_alpha(rows, D)
        return self

    def _warn_of_alpha(self, rows, D):
        largest = -np.inf
        for i in range(0, len(rows), 4096):
            b = to_tensor(rows[i : i + 4096], D.dtype, D.device).detach() @ D.T
            largest = max(largest, float((b if self.positive else b.abs()).max()))
            if self.algorithm == "omp" or largest > self.alpha:
                return
        warnings.warn(
            f"alpha={self.alpha:.4g} is not below alpha_max={largest:.4g}, the largest product of "
            "a sample and an atom: all codes are zero. Lower alpha, a tenth of alpha_max say, or "
            "scale the samples.",
            UserWarning,
            stacklevel=3,
        )

    def _coding(self):
        return {
            "algorithm": self.algorithm,
            "alpha": self.alpha,
            "positive": self.positive,
            "tol": self.tol,
            "max_iter": self.transform_max_iter,
            "n_nonzero": self.transform_n_nonzero_coefs,
            "step": getattr(self, "step_", None),
        }

    def transform(self, X):
        """Code samples.

        Parameters
        ----------
        X : array-like or Tensor, shape (n_samples, n_features, ...)
            Samples, in float32 or float64.

        Returns
        -------
        Z : array, shape (n_samples, n_components, ...)
            Codes: the same kind of array, on the same device, as ``X``. Those of a tensor that
            requires a gradient are differentiable, except for ``"omp"``.

        Raises
        ------
        ValueError
            If the algorithm was set to ``"istc"`` after `fit`, which chooses its step, or to
            ``"omp"`` for positive codes.

        Warns
        -----
        ConvergenceWarning
            If the gap of a sample is above ``tol``, or ISTC diverged on one.
        """
        check_is_fitted(self)
        X = validate_array(self, X, reset=False)
        self._check_sign()
        if self.algorithm == "istc" and not hasattr(self, "step_"):
            raise ValueError("algorithm was set to 'istc' after fit, which chooses the step: fit.")
        dtype, device = resolve_dtype(None, X), resolve_device(self.device, X)
        coding, gaps = self._coding(), []
        D = to_tensor(self.components_, dtype, device)
        places = int(np.prod(X.shape[2:], dtype=int))

        def code(x):  # numpydoc ignore=GL08
            codes = encode(as_rows(x), D, **coding)
            gaps.append(float(codes.gap.max()))
            return as_maps(codes.z, x.shape).reshape(len(x), -1)

        Z = map_batches(
            code,
            X,
            n_out=len(D) * places,
            row_bytes=8 * len(D) * places * torch.finfo(dtype).bits // 8,
            dtype=dtype,
            device=device,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
            name=type(self).__name__,
        )
        tol = max(self.tol, 20 * torch.finfo(dtype).eps)
        if self.algorithm in EXACT and max(gaps) > tol:
            warnings.warn(
                f"the relative duality gap of a code is {max(gaps):.1e}, above tol={self.tol:.1e}: "
                "raise transform_max_iter or tol, or give the samples in float64.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return reshape(Z, (X.shape[0], len(D), *X.shape[2:]))

    def inverse_transform(self, X):
        """Samples that codes stand for.

        Parameters
        ----------
        X : array-like or Tensor, shape (n_samples, n_components, ...)
            Codes.

        Returns
        -------
        X : array, shape (n_samples, n_features, ...)
            Sums of atoms, the same kind of array as the codes.
        """
        check_is_fitted(self)
        Z = check_values(X)
        if Z.shape[1] != len(self.components_):
            raise ValueError(
                f"X has shape {tuple(Z.shape)}, but codes have {len(self.components_)} atoms in "
                "axis 1: pass what transform returned."
            )
        dtype, device = resolve_dtype(None, Z), resolve_device(self.device, Z)
        z = to_tensor(Z, dtype, device)
        D = to_tensor(self.components_, dtype, device)
        x = as_maps(as_rows(z) @ D, z.shape)
        return from_tensor(x.to(resolve_device(None, Z)), Z)

    @property
    def _n_features_out(self):
        return len(self.components_)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "components_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
