"""Multilinear regression as a scikit-learn estimator."""

from math import ceil
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import (
    check_consistent_length,
    check_is_fitted,
    check_random_state,
    validate_data,
)

from skwave._arrays import naming, resolve_device, resolve_dtype
from skwave._sklearn import Interval, StrOptions, check_sample_weight, fit_context
from skwave.nn import Multilinear

_LOSSES = {"squared_error": torch.nn.MSELoss, "absolute_error": torch.nn.L1Loss}
_ROWS = 4096  # of a prediction at once


class MultilinearRegressor(RegressorMixin, BaseEstimator):
    r"""Regression by a sum of products of affine forms, trained by Adam.

    .. math:: E(x) = c + \sum_{i=1}^n v_i \prod_{k=1}^r
       \big(\langle x, w_i^{(k)}\rangle + b_i^{(k)}\big)

    ``degree=1`` is a linear model; 2 and 3 add what products of features say, with far fewer
    weights than all products. The loss is the mean square, or absolute, error of the
    standardised target. Standardise the features too, or better whiten them: it decides how
    fast Adam gets anywhere.

    Parameters
    ----------
    degree : int, default=2
        Number of factors :math:`r` of each product.
    n_terms : int, default=64
        Number of products :math:`n`.
    loss : {"squared_error", "absolute_error"}, default="squared_error"
        Loss that is minimised.
    alpha : float, default=0.0
        Decay of the weights, decoupled from the loss (AdamW).
    learning_rate_init : float, default=1e-3
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
        Relative amount by which the loss must fall to count as lower.
    device : str or torch.device, default=None
        Where to compute: ``"cpu"`` (None), ``"cuda"`` or ``"auto"``.
    random_state : int, RandomState instance or None, default=None
        Seed of the first weights, the split and the order of samples. torch's global
        generator is left as it was.
    verbose : int, default=0
        Print a line for each epoch if positive.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The trained net.
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
    >>> model = MultilinearRegressor(n_terms=8, learning_rate_init=0.01, random_state=0)
    >>> bool(model.fit(X[:400], y[:400]).score(X[400:], y[400:]) > 0.99)
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        "degree": [Interval(Integral, 1, 64, closed="both")],
        "n_terms": [Interval(Integral, 1, 2**20, closed="both")],
        "loss": [StrOptions({"squared_error", "absolute_error"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "device": [object],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        degree=2,
        n_terms=64,
        *,
        loss="squared_error",
        alpha=0.0,
        learning_rate_init=1e-3,
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
        self.alpha = alpha
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
        """Train the net.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features. The net computes in their type, float32 or float64.
        y : array-like, shape (n_samples,)
            Targets.
        sample_weight : array-like, shape (n_samples,), default=None
            Weights of the samples in the loss, and in the scale of the targets.

        Returns
        -------
        self : estimator
            Fitted regressor.
        """
        with naming("y", "real, finite numbers, shape (n_samples,)"):
            y = validate_data(self, y=y, y_numeric=True).astype(np.float64)
        with naming("X", "real, finite numbers, shape (n_samples, n_features)"):
            X = validate_data(self, X, dtype=[np.float64, np.float32], ensure_min_samples=2)
        check_consistent_length(X, y)
        X = np.require(X, requirements="W")  # torch warns of a read-only array
        weight = check_sample_weight(sample_weight, X, ensure_non_negative=True)
        if not weight.sum() > 0:
            raise ValueError("sample_weight holds zeros alone: nothing would be learnt.")
        weight, self._dtype = weight / weight.mean(), X.dtype.name
        self._mean = np.average(y, weights=weight)
        self._scale = np.sqrt(np.average((y - self._mean) ** 2, weights=weight)) or 1.0
        target = np.stack([(y - self._mean) / self._scale, weight], 1).astype(X.dtype)
        if self.early_stopping and ceil(self.validation_fraction * len(X)) >= len(X):
            raise ValueError(
                f"validation_fraction={self.validation_fraction!r} of {len(X)} samples leaves none "
                "to train on: lower it, or use early_stopping=False."
            )
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        device = resolve_device(self.device, X)
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            module = Multilinear(X.shape[1], self.n_terms, self.degree)
            net = self._net(module.to(resolve_dtype(None, X)), device, seed)
            self.net_ = net.fit(X, target)
        if not all(p.isfinite().all() for p in self.net_.module_.parameters()):
            raise ValueError(
                f"training with learning_rate_init={self.learning_rate_init!r} and alpha="
                f"{self.alpha!r} diverged: weights are not finite. Lower them, or standardise X."
            )
        # an epoch that was interrupted has no losses
        epochs = [epoch for epoch in self.net_.history if "train_loss" in epoch]
        self.n_iter_ = len(epochs)
        self.loss_curve_ = [epoch["train_loss"] for epoch in epochs]
        self.validation_loss_curve_ = (
            [epoch["valid_loss"] for epoch in epochs] if self.early_stopping else None
        )
        return self

    def _net(self, module, device, seed=None):
        # skorch takes seconds to import
        from skorch.callbacks import EarlyStopping, LRScheduler
        from skorch.dataset import ValidSplit
        from skorch.utils import noop

        from skwave._net import WeightedNet

        callbacks = [("rate", LRScheduler("CosineAnnealingLR", T_max=self.max_iter))]
        if self.early_stopping:
            stop = EarlyStopping(
                patience=self.n_iter_no_change, threshold=self.tol, load_best=True, sink=noop
            )
            callbacks.append(("stop", stop))
        return WeightedNet(
            module,
            criterion=_LOSSES[self.loss],
            criterion__reduction="none",
            optimizer=torch.optim.AdamW,
            optimizer__weight_decay=self.alpha,
            lr=self.learning_rate_init,
            batch_size=self.batch_size,
            max_epochs=self.max_iter,
            iterator_train__shuffle=True,
            train_split=ValidSplit(self.validation_fraction, random_state=seed)
            if self.early_stopping
            else None,
            callbacks=callbacks,
            device=device,
            verbose=self.verbose,
        )

    def __getstate__(self):
        # weights as arrays, which every format holds and every device reads
        state = dict(super().__getstate__())
        if "net_" in state:
            net = state.pop("net_")
            weights = net.module_.state_dict()
            state["_weights"] = {name: w.cpu().numpy() for name, w in weights.items()}
            state["_epochs"] = [
                {name: value for name, value in epoch.items() if name != "batches"}
                for epoch in net.history
            ]
        return state

    def __setstate__(self, state):
        state = dict(state)
        weights, epochs = state.pop("_weights", None), state.pop("_epochs", None)
        super().__setstate__(state)
        if weights is not None:
            weights = {name: torch.tensor(w) for name, w in weights.items()}
            degree, n_features, n_terms = weights["weight"].shape
            with torch.random.fork_rng(devices=[]):
                module = Multilinear(n_features, n_terms, degree)
            module.to(weights["weight"].dtype).load_state_dict(weights)
            self.net_ = self._net(module, "cpu").initialize()
            self.net_.history.extend(epochs)

    def predict(self, X):
        """Predict targets.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features.

        Returns
        -------
        y : ndarray, shape (n_samples,)
            Predictions.
        """
        check_is_fitted(self)
        with naming("X", "real, finite numbers, shape (n_samples, n_features)"):
            X = validate_data(self, X, dtype=np.dtype(self._dtype), reset=False)
        module, device = self.net_.module_, self.net_.device
        with torch.no_grad():  # not by skorch, whose loaders draw from torch's global generator
            parts = torch.from_numpy(np.require(X, requirements="W")).split(_ROWS)
            y = torch.cat([module(part.to(device)) for part in parts])
        return self._mean + self._scale * y.cpu().numpy().astype(np.float64)
