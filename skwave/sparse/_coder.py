"""Sparse codes and dictionary learning as a scikit-learn estimator."""

import warnings
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_random_state

from skwave._core.arrays import (
    dtype_name,
    native,
    reshape,
    resolve_device,
    resolve_dtype,
    to_numpy,
    to_tensor,
)
from skwave._core.checks import check_values, validate_array
from skwave._core.compat import Estimator, Interval, StrOptions, fit_context, refuse_table
from skwave._core.progress import progress_lines
from skwave.functional import coherence, lasso_objective
from skwave.functional._sparse.prox import power_of_two
from skwave.sparse._solvers import (
    EXACT,
    LARGEST_ALPHA,
    Learning,
    as_rows,
    check_dictionary,
    compiled,
    decode_batches,
    decode_sparse,
    encode_batches,
    encode_sparse,
    homotopy_step,
    largest_correlation,
    learn,
    refuse_overflow,
    start,
)

_FIT_TOL = 1e-3  # of codes while the dictionary still moves
_STEP_SAMPLES = 256
_ALGORITHMS = {"auto", "cd", "fista", "istc", "ista", "omp", "threshold"}


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
    algorithm : {"auto", "cd", "fista", "istc", "ista", "omp", "threshold"}, default="auto"
        How `transform` codes. Exact are ``"cd"``, coordinate descent compiled by numba, and
        ``"fista"``, in torch; both finish by Newton's method on the
        support. ``"auto"`` is ``"cd"`` on a CPU, else ``"fista"``. ``"istc"``
        takes a few steps with falling thresholds, as networks do, ``"ista"`` is the slow
        classic, ``"omp"`` a greedy choice of ``transform_n_nonzero_coefs`` atoms, and
        ``"threshold"`` the soft threshold of the products with the atoms. `fit` codes exactly,
        whatever this is.
    dictionary : array-like, shape (n_components, n_features), default=None
        Atoms to use as they are: nothing is learnt, and `transform` needs no `fit`, but for the
        step of ISTC. Atoms should have norm 1; one of zeros is in no code.
    positive : bool, default=False
        Codes that are not negative.
    positive_dict : bool, default=False
        Learn atoms that are not negative.
    split_sign : bool, default=False
        Give the positive parts of codes, and behind them the negative ones, as
        ``2 * n_components`` features that are not negative.
    sparse_output : bool, default=False
        Give codes as a sparse matrix of SciPy, which holds those that are not zero, in the memory
        of a small part of them. Not with further axes, nor of tensors.
    max_iter : int, default=10
        Passes of `fit` over the samples. With 0 the atoms are those that learning would start
        from.
    tol : float, default=1e-6
        A code is done when its duality gap is at most this part of :math:`\|x\|^2/2`; float32
        leaves about 2e-6.
    transform_max_iter : int, default=None
        Largest number of steps for a code; None for 12 with ``"istc"``, else 1000.
    transform_n_nonzero_coefs : int, default=None
        Atoms of a code of ``"omp"``; None for a tenth of the features.
    dict_init : array-like, shape (n_components, n_features), default=None
        Atoms to start learning from, those of zeros to be drawn; None for samples drawn at
        random.
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
        Passes over the samples; 1 with a given dictionary, where ``alpha`` alone is checked.
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
    Each sample is scaled by a power of two, and so is what `fit` learns from: the result does not
    depend on the units of ``X`` and ``alpha``, as long as ``X`` can hold them.

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

    _of_fit = ("n_components", "dictionary", "positive_dict", "dict_init")
    _parameter_constraints: ClassVar[dict] = {
        "n_components": [Interval(Integral, 1, 2**20, closed="both"), None],
        "alpha": [Interval(Real, 0, None, closed="neither")],
        "algorithm": [StrOptions(_ALGORITHMS)],
        "dictionary": [object],
        "positive": ["boolean"],
        "positive_dict": ["boolean"],
        "split_sign": ["boolean"],
        "sparse_output": ["boolean"],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
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
        *,
        alpha=1.0,
        algorithm="auto",
        dictionary=None,
        positive=False,
        positive_dict=False,
        split_sign=False,
        sparse_output=False,
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
        self.positive_dict = positive_dict
        self.split_sign = split_sign
        self.sparse_output = sparse_output
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
            If ``dictionary`` or ``dict_init`` has the wrong width, or atoms that are not finite.

        Warns
        -----
        UserWarning
            If ``alpha`` is so large that all codes are zero.
        """
        rows = self._start(X)
        if self.dictionary is None:
            line = progress_lines(type(self).__name__)
            try:
                for epoch in range(1, self.max_iter + 1):
                    order = np.arange(len(rows))
                    self._pass(rows, self._rng.permutation(order) if self.shuffle else order)
                    self.n_iter_ = epoch
                    if self.verbose:
                        line(f"pass {epoch}/{self.max_iter}: objective {self.loss_curve_[-1]:.6g}")
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
            self._check_fit()
            self._check_sign()
            rows = self._rows(X, reset=False)
        else:
            rows = self._start(X)
        if self.dictionary is None:
            self._pass(rows, np.arange(len(rows)))
            self.n_iter_ = 1
        return self._finish(rows)

    def _rows(self, X, *, reset):
        rows = as_rows(native(validate_array(self, X, reset=reset)))
        return rows.detach() if isinstance(rows, torch.Tensor) else rows

    def _start(self, X):
        rows = self._rows(X, reset=True)
        resolve_device(self.device, X)
        if self.algorithm == "cd" and not compiled():
            raise ImportError(
                "algorithm='cd' needs numba, which is missing: pip install numba, or use 'auto' or "
                "'fista'."
            )
        self._check_sign()
        p, dtype = rows.shape[1], dtype_name(resolve_dtype(None, rows))
        self._rng = check_random_state(self.random_state)
        name = "dict_init" if self.dictionary is None else "dictionary"
        given = getattr(self, name)
        if given is not None:
            given = check_dictionary(given, name, dtype, p)
            if self.n_components not in (None, len(given)):
                raise ValueError(
                    f"n_components={self.n_components}, but {name} has {len(given)} atoms: leave "
                    "n_components out, or make them agree."
                )
        if self.dictionary is None:
            K = self.n_components or (p if given is None else len(given))
            given = start(rows, K, given, self._rng, positive=self.positive_dict)
        self.components_ = given.astype(dtype)
        self.n_iter_, self.n_steps_ = int(self.dictionary is not None), 0
        self.loss_curve_, self.dual_gap_ = [], np.nan
        # learning takes the samples in this unit, so that no mean product vanishes or overflows
        extremes = torch.tensor([float(rows.min()), float(rows.max())], dtype=torch.float64)
        self._unit = float(power_of_two(extremes))
        K = len(given)
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
        alpha = min(self.alpha / self._unit, LARGEST_ALPHA)
        coding = self._coding() | {"alpha": alpha, "tol": max(self.tol, _FIT_TOL), "step": None}
        if self.algorithm not in EXACT:
            coding |= {"algorithm": "auto", "max_iter": None}
        total, gap, n_seen = 0.0, 0.0, 0
        try:
            with torch.no_grad():
                for i in range(0, len(order), self.batch_size):
                    index = order[i : i + self.batch_size]
                    x, D = to_tensor(rows[index], dtype, device) / self._unit, state.D
                    z, largest, _ = encode_batches(x, D, batching={"n_jobs": 1}, **coding)
                    state = learn(state, x, z, self._rng, positive=self.positive_dict)
                    total += float(lasso_objective(z, x, D, alpha).sum())
                    gap, n_seen = np.maximum(gap, largest), n_seen + len(x)
        finally:  # what an interrupted pass has learned is kept
            self.components_, *statistics = (a.cpu().numpy() for a in state[:3])
            self._statistics, self.n_steps_ = tuple(statistics), state.n_steps
            if n_seen:
                mean = total / n_seen * self._unit * self._unit
                self.loss_curve_ = [*self.loss_curve_, mean]
                self.dual_gap_ = float(gap)

    def _finish(self, rows):
        dtype, device = resolve_dtype(None, self.components_), resolve_device(self.device, rows)
        D = to_tensor(self.components_, dtype, device)
        self.coherence_ = float(coherence(D))
        if self.algorithm == "istc":
            n_iter = self.transform_max_iter or 12
            x = to_tensor(rows[:_STEP_SAMPLES], dtype, device)
            self.step_ = homotopy_step(x, D, self.alpha, n_iter, positive=self.positive)
        else:
            vars(self).pop("step_", None)
        self._warn_of_alpha(rows, D)
        return self

    def _warn_of_alpha(self, rows, D):
        if self.algorithm == "omp":
            return
        for part in (rows[: self.batch_size], rows):  # some samples tell, unless alpha is too large
            largest = largest_correlation(part, D, positive=self.positive)
            if largest > self.alpha:
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
            Samples, in float32 or float64; booleans and integers of up to 16 bits are float32.

        Returns
        -------
        Z : array, shape (n_samples, n_components, ...)
            Codes: the same kind of array, on the same device, as ``X``. Those of a tensor that
            requires a gradient are differentiable, except for ``"omp"``. A ``csr_array`` with
            ``sparse_output``.

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
        self._check_fit()
        X = validate_array(self, X, reset=False)
        refuse_table(self, X.ndim)
        self._check_sign()
        if self.algorithm == "istc" and not hasattr(self, "step_"):
            raise ValueError(
                "algorithm='istc' has no step yet, which fit chooses: call fit after it is set."
            )
        dtype, device = resolve_dtype(None, X), resolve_device(self.device, X)
        D = to_tensor(self._atoms(dtype, X.shape[1]), dtype, device)
        batching = {"n_jobs": self.n_jobs, "verbose": self.verbose, "name": type(self).__name__}
        coding = {"split_sign": self.split_sign, "batching": batching, **self._coding()}
        Z, gap, finite = (encode_sparse if self.sparse_output else encode_batches)(X, D, **coding)
        tol = max(self.tol, 20 * torch.finfo(dtype).eps)
        if self.algorithm in EXACT and not gap <= tol:
            warnings.warn(
                f"the relative duality gap of a code is {gap:.1e}, above tol={self.tol:.1e}: "
                "raise transform_max_iter or tol, or give the samples in float64.",
                ConvergenceWarning,
                stacklevel=2,
            )
        if not finite:
            refuse_overflow(Z.toarray() if self.sparse_output else to_numpy(Z))
        if self.sparse_output:
            return Z
        return reshape(Z, (X.shape[0], self._n_features_out, *X.shape[2:]))

    def _atoms(self, dtype, n_features=None):
        # before fit, those given
        if hasattr(self, "components_"):
            return self.components_
        return check_dictionary(self.dictionary, "dictionary", dtype_name(dtype), n_features)

    def inverse_transform(self, X):
        """Samples rebuilt from codes.

        Parameters
        ----------
        X : array-like, sparse matrix or Tensor, shape (n_samples, n_components, ...)
            Codes, as `transform` gives them.

        Returns
        -------
        X : array, shape (n_samples, n_features, ...)
            Sums of atoms, the same kind of array as the codes.
        """
        self._check_fit()
        Z = check_array(X, accept_sparse="csr") if issparse(X) else check_values(X)
        if Z.shape[1] != self._n_features_out:
            raise ValueError(
                f"X has shape {tuple(Z.shape)}, but codes have {self._n_features_out} atoms in "
                "axis 1: pass what transform returned."
            )
        if issparse(Z):
            return decode_sparse(Z, self._atoms(Z.dtype), split_sign=self.split_sign)
        dtype, device = resolve_dtype(None, Z), resolve_device(self.device, Z)
        D = to_tensor(self._atoms(dtype), dtype, device)
        return decode_batches(Z, D, split_sign=self.split_sign)

    @property
    def _n_features_out(self):
        return (1 + self.split_sign) * np.shape(getattr(self, "components_", self.dictionary))[0]

    def __sklearn_is_fitted__(self):
        return hasattr(self, "components_") or self.dictionary is not None

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = self.dictionary is None
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
