"""Multilinear regression: the estimator and its network."""

import warnings
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
import torch
from sklearn.base import RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import (
    check_consistent_length,
    check_random_state,
    validate_data,
)
from torch import Tensor, nn

from skwave._core.arrays import resolve_device, resolve_dtype, to_numpy
from skwave._core.batches import predict_batches
from skwave._core.checks import naming
from skwave._core.compat import Estimator, Interval, StrOptions, fit_context
from skwave._core.samples import as_samples, refuse_swapped
from skwave._networks.fitting import (
    TRAINING_CONSTRAINTS,
    epochs_without_fall,
    relative_weights,
    split_groups,
)
from skwave._networks.persistence import network_from_arrays, network_to_arrays

_LOSSES = {"squared_error": torch.nn.MSELoss, "absolute_error": torch.nn.L1Loss}
_OF_TRAINING = (
    *("learning_rate_init", "weight_decay", "batch_size", "max_iter", "early_stopping"),
    *("validation_fraction", "n_iter_no_change", "device", "random_state", "verbose"),
)


class MultilinearRegressor(RegressorMixin, Estimator):
    r"""Regression by a sum of products of affine forms, trained by Adam.

    .. math:: E(x) = c + \sum_{i=1}^n v_i \prod_{k=1}^r
       \big(\langle x, w_i^{(k)}\rangle + b_i^{(k)}\big)

    ``degree=1`` is a linear model; 2 and 3 add products of features, with far fewer weights than
    all products have. The loss is the mean square, or absolute, error of the standardised target.

    Parameters
    ----------
    degree : int, default=2
        Number of factors :math:`r` of each product.
    n_terms : int, default=64
        Number of products :math:`n`.
    loss : {"squared_error", "absolute_error"}, default="squared_error"
        Loss that is minimised.
    standardize : bool, default=True
        Whether to centre the features, divide them by their standard deviations, and turn them to
        their principal axes, in units of the deviation along the first. Directions are then
        learned the faster the more the features vary along them; whitened, the small ones would
        be noise, which products raise to a power. False takes features as they are, which should
        be of the order of 1.
    weight_decay : float, default=0.0
        Decay of the weights, decoupled from the loss (AdamW).
    learning_rate_init : float, default=1e-2
        First step of Adam. It falls along a cosine to 0 at ``max_iter``.
    batch_size : int, default=128
        Samples of a step.
    max_iter : int, default=200
        Largest number of epochs.
    early_stopping : bool, default=True
        Whether to set samples apart, stop when their loss no longer falls, and keep the
        weights for which it was lowest.
    validation_fraction : float, default=0.1
        Share of the samples that are set apart.
    n_iter_no_change : int, default=20
        Epochs without a lower loss before training stops.
    tol : float, default=1e-4
        Relative amount by which the loss must fall to count as lower. A loss below it, that is
        this share of the variance of the target, counts as convergence.
    device : str or torch.device, default=None
        Where to compute: ``"cpu"`` (None), ``"cuda"`` or ``"auto"``.
    random_state : int, RandomState instance or None, default=None
        Seed of the first weights, the split and the order of samples. torch's global
        generator is left as it was.
    verbose : int, default=0
        Print a line for each epoch if positive.

    Attributes
    ----------
    network_ : skwave.nn.Multilinear
        Trained network of the standardised features and target, in evaluation mode.
    n_iter_ : int
        Epochs run.
    loss_curve_ : list of float
        Training loss of each epoch.
    validation_loss_curve_ : list of float or None
        Loss of the samples set apart; None without early stopping.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str, shape (n_features,)
        Their names, if there were any.

    See Also
    --------
    sklearn.linear_model.Ridge : The linear model in closed form.
    sklearn.kernel_ridge.KernelRidge : Better with few samples.

    Notes
    -----
    Ctrl-C ends the training and keeps the best weights so far. A pickle is read on any machine, and
    computes on the CPU there.

    References
    ----------
    .. [1] Eickenberg, M., Exarchakis, G., Hirn, M., Mallat, S. and Thiry, L., Solid harmonic
       wavelet scattering for predictions of molecule properties, J. Chem. Phys. 148, 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from skwave import MultilinearRegressor
    >>> X = np.random.default_rng(0).standard_normal((500, 3))
    >>> y = 100 + 20 * X[:, 0] * X[:, 1]
    >>> model = MultilinearRegressor(n_terms=8, random_state=0)
    >>> bool(model.fit(X[:400], y[:400]).score(X[400:], y[400:]) > 0.99)
    True
    """

    _of_fit = ("degree", "n_terms", "loss", "standardize")
    _parameter_constraints: ClassVar[dict] = {
        "degree": [Interval(Integral, 1, 64, closed="both")],
        "n_terms": [Interval(Integral, 1, 2**20, closed="both")],
        "loss": [StrOptions({"squared_error", "absolute_error"})],
        "standardize": ["boolean"],
        "tol": [Interval(Real, 0, None, closed="left")],
        **{name: TRAINING_CONSTRAINTS[name] for name in _OF_TRAINING},
    }

    def __init__(
        self,
        degree=2,
        n_terms=64,
        *,
        loss="squared_error",
        standardize=True,
        weight_decay=0.0,
        learning_rate_init=1e-2,
        batch_size=128,
        max_iter=200,
        early_stopping=True,
        validation_fraction=0.1,
        n_iter_no_change=20,
        tol=1e-4,
        device=None,
        random_state=None,
        verbose=0,
    ):
        self.degree = degree
        self.n_terms = n_terms
        self.loss = loss
        self.standardize = standardize
        self.weight_decay = weight_decay
        self.learning_rate_init = learning_rate_init
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Train the network.

        Parameters
        ----------
        X : array-like or Tensor, shape (n_samples, n_features)
            Features. The network computes in their type, float32 or float64.
        y : array-like, shape (n_samples,)
            Targets.
        sample_weight : array-like, shape (n_samples,), default=None
            Weights of the samples in the loss, and in the scales of features and targets.

        Returns
        -------
        self : estimator
            Fitted regressor.

        Warns
        -----
        ConvergenceWarning
            If the loss, that of the samples set apart with early stopping, was still falling in
            the last ``n_iter_no_change`` epochs. If a loss was not finite; the weights are then
            the best until there.
        """
        # skorch takes seconds to import
        from skwave._networks.training import WeightedNet, train

        refuse_swapped(X, y)
        X = as_samples(to_numpy(X))
        with naming("y", "real, finite numbers, shape (n_samples,)"):
            y = validate_data(self, y=to_numpy(y), y_numeric=True).astype(np.float64)
        with naming("X", "real, finite numbers, shape (n_samples, n_features)"):
            X = validate_data(self, X, dtype=[np.float64, np.float32], ensure_min_samples=2)
        check_consistent_length(X, y)
        weight, self._dtype = relative_weights(sample_weight, X), X.dtype.name
        self._mean = np.average(y, weights=weight)
        self._scale = np.sqrt(np.average((y - self._mean) ** 2, weights=weight)) or 1.0
        target = np.stack([(y - self._mean) / self._scale, weight], 1).astype(X.dtype)
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        rows = None
        if self.early_stopping:
            rows = split_groups(len(X), None, self.validation_fraction, seed)
        self._axes = principal_axes(X, weight) if self.standardize else None
        Z = self._scaled(X)
        self._design = {
            "n_features": Z.shape[1], "n_terms": self.n_terms, "degree": self.degree
        }  # fmt: skip
        self.network_, self.loss_curve_, self.validation_loss_curve_ = train(
            WeightedNet,
            lambda: Multilinear(**self._design).to(resolve_dtype(None, X)),
            Z,
            target,
            rows=rows,
            seed=seed,
            device=resolve_device(self.device, X),
            name=type(self).__name__,
            criterion=_LOSSES[self.loss],
            criterion__reduction="none",
            learning_rate_init=self.learning_rate_init,
            weight_decay=self.weight_decay,
            schedule="cosine",
            batch_size=self.batch_size,
            max_iter=self.max_iter,
            n_iter_no_change=self.n_iter_no_change,
            tol=self.tol,
            verbose=self.verbose,
        )
        self.n_iter_ = len(self.loss_curve_)
        self._warn_if_falling()
        return self

    def _scaled(self, X):
        if self._axes is None:
            return X
        mean, axes = self._axes
        return (X - mean) @ axes

    def _warn_if_falling(self):
        losses = self.validation_loss_curve_ or self.loss_curve_
        if self.n_iter_ < self.max_iter or min(losses) <= self.tol:
            return
        if epochs_without_fall(losses, self.tol) < self.n_iter_no_change:
            warnings.warn(
                f"the loss was still falling after max_iter={self.max_iter} epochs: it is "
                f"{min(losses):.2g}, in units of the standardised target. Raise max_iter or "
                "learning_rate_init, or raise tol if that is good enough.",
                ConvergenceWarning,
                stacklevel=4,
            )

    def __getstate__(self):
        return network_to_arrays(super().__getstate__())

    def __setstate__(self, state):
        super().__setstate__(network_from_arrays(state, lambda: Multilinear(**state["_design"])))

    def predict(self, X):
        """Predict targets.

        Parameters
        ----------
        X : array-like or Tensor, shape (n_samples, n_features)
            Features.

        Returns
        -------
        y : ndarray, shape (n_samples,)
            Predictions.
        """
        self._check_fit()
        with naming("X", "real, finite numbers, shape (n_samples, n_features)"):
            X = as_samples(to_numpy(X))
            X = validate_data(self, X, dtype=np.dtype(self._dtype), reset=False)
        weight = self.network_.weight  # (degree, n_features, n_terms)
        numbers = 2 * weight.shape[1] + 2 * weight[:, 0].numel()
        with torch.no_grad():
            y = predict_batches(
                lambda x: self.network_(x).cpu(),
                self._scaled(X),
                row_bytes=numbers * weight.element_size(),
                device=weight.device,
            )
        return self._mean + self._scale * y.numpy().astype(np.float64)

    def score(self, X, y, sample_weight=None):
        """Coefficient of determination :math:`R^2`.

        Parameters
        ----------
        X : array-like or Tensor, shape (n_samples, n_features)
            Features.
        y : array-like or Tensor, shape (n_samples,)
            Targets.
        sample_weight : array-like or Tensor, shape (n_samples,), default=None
            Weights of the samples.

        Returns
        -------
        score : float
            1 at best, 0 for the mean of ``y``.
        """
        return super().score(X, to_numpy(y), to_numpy(sample_weight))


def principal_axes(X, weight):
    """Mean of features, and the principal axes of the standardised ones.

    Parameters
    ----------
    X : ndarray, shape (n_samples, n_features)
        Features.
    weight : ndarray, shape (n_samples,)
        Weights of the samples, of mean 1.

    Returns
    -------
    mean : ndarray, shape (n_features,)
        Weighted means.
    axes : ndarray, shape (n_features, n_axes)
        Columns that turn centred features to coordinates without correlations, of deviation 1
        for the first and less for the others. Constant features count as centred alone.
    """
    weight = weight.astype(X.dtype)[:, None]
    mean = np.average(X, axis=0, weights=weight[:, 0])
    Y = X - mean
    scale = np.sqrt(np.mean(weight * Y**2, axis=0))
    scale = np.where(scale > 10 * np.finfo(X.dtype).eps * np.abs(mean), scale, 1)
    Y *= np.sqrt(weight) / scale
    if len(Y) >= Y.shape[1]:
        variance, V = np.linalg.eigh(Y.T @ Y / len(Y))
        variance, V = variance[::-1], V[:, ::-1]
    else:
        _, s, V = np.linalg.svd(Y, full_matrices=False)
        variance, V = s**2 / len(Y), V.T
    V = V * np.sign(V[np.abs(V).argmax(0), range(V.shape[1])])  # the same on every machine
    return mean, V / (scale[:, None] * (np.sqrt(variance[0]) or 1))


class Multilinear(nn.Module):
    r"""Sum of products of affine forms.

    .. math:: E(x) = c + \sum_{i=1}^n v_i \prod_{k=1}^r
       \big(\langle x, w_i^{(k)}\rangle + b_i^{(k)}\big)

    a polynomial of degree ``r`` whose homogeneous parts are tensors of low rank. At the start
    the factors :math:`k > 1` are near 1, so that the function is near a linear one.

    Parameters
    ----------
    n_features : int
        Length of :math:`x`.
    n_terms : int
        Number of products :math:`n`.
    degree : int
        Number of factors :math:`r`.

    References
    ----------
    .. [1] Eickenberg, M., Exarchakis, G., Hirn, M., Mallat, S. and Thiry, L., Solid harmonic
       wavelet scattering for predictions of molecule properties, J. Chem. Phys. 148, 2018.

    Examples
    --------
    >>> Multilinear(5, n_terms=4, degree=2)(torch.zeros(3, 5)).shape
    torch.Size([3])
    """

    def __init__(self, n_features, n_terms, degree):
        super().__init__()
        scale = n_features**-0.5
        self.weight = nn.Parameter(scale * torch.randn(degree, n_features, n_terms))
        self.bias = nn.Parameter(torch.ones(degree, 1, n_terms))
        self.v = nn.Parameter(torch.randn(n_terms) / n_terms)
        self.constant = nn.Parameter(torch.zeros(()))
        with torch.no_grad():
            self.bias[0] = 0

    def forward(self, X: Tensor) -> Tensor:
        """Values of the function.

        Parameters
        ----------
        X : Tensor, shape (n, n_features)
            Points.

        Returns
        -------
        E : Tensor, shape (n,)
            Values.
        """
        return (
            torch.baddbmm(self.bias, X.expand(len(self.bias), -1, -1), self.weight).prod(0) @ self.v
            + self.constant
        )
