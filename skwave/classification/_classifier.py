"""Classifier of images by learned sparse codes of their scattering coefficients."""

import warnings
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, validate_data

from skwave._core.arrays import native, resolve_device, resolve_dtype, to_numpy
from skwave._core.checks import validate_array
from skwave._core.compat import Estimator, Interval, StrOptions, fit_context
from skwave._core.samples import refuse_swapped
from skwave._networks.fitting import (
    TRAINING_CONSTRAINTS,
    draw_seed,
    relative_weights,
    split_classes,
    training_parameters,
)
from skwave._networks.persistence import network_from_arrays, network_to_arrays
from skwave.classification._network import describe, make_network, run
from skwave.scattering._features import (
    cached_transform,
    channel_scales,
    feature_views,
    fit_scattering,
    map_coefficients,
)
from skwave.scattering._transformer import ScatteringTransformer

_N_DESCRIBED = 1000  # images whose codes the sparsity is measured on
_OF_SCATTERING = ("L", "max_order", "nonlinearity", "boundary", "log", "shape")
_OF_NETWORK = (
    *("block", "n_iter", "alpha", "learn_dictionary", "projection", "n_atoms"),
    *("kernel_size", "stride", "pooling", "classifier", "n_hidden", "dropout"),
)


class ScatteringDictionaryClassifier(ClassifierMixin, Estimator):
    r"""Scattering, sparse codes in a learned dictionary, and a classifier, trained end to end.

    .. math:: S_J x \;\to\; u = \frac{P\,\bar S_J x}{\|P\,\bar S_J x\|} \;\to\;
       z = \arg\min_{z \ge 0} \tfrac12\|u - zD\|^2 + \alpha\|z\|_1 \;\to\;
       \text{batch norm, average pool} \;\to\; \text{classifier}

    The scattering coefficients :math:`S_J x` are computed once and standardised, each channel
    by itself. At each position a learned projection :math:`P` makes a vector of them, of norm
    1, and :math:`N` unrolled steps of ISTC its code :math:`z`. :math:`P`, the dictionary
    :math:`D`, the threshold :math:`\alpha` and the classifier are learned by one gradient
    descent.

    Parameters
    ----------
    J : int, default=None
        Log2 of the largest scale of the scattering, in pixels. Coefficients are ``2**J``
        pixels apart. None for the largest scale that leaves four positions a side, from 1 to 3.
    L : int, default=8
        Number of orientations.
    n_atoms : int, default=256
        Number of atoms :math:`K`, or of units of another block.
    block : {"istc", "istc_free", "tight_frame", "relu", "phase_collapse", None}, default="istc"
        Layer that codes the vectors: ISTC with residuals correlated with the atoms, or with a
        matrix :math:`W` learned apart; a thresholded tight frame; one layer of rectifiers;
        moduli of products with complex atoms. None for no projection and no codes: the
        classifier sees the standardised coefficients.
    n_iter : int, default=6
        Number of steps :math:`N` of ISTC.
    alpha : float, default=0.1
        Last threshold, or that of the tight frame, to begin with, in (0, 1). Vectors and atoms
        have norm 1, so 1 makes all codes zero.
    learn_dictionary : bool, default=True
        Whether to learn the dictionary of ISTC, or to keep the random one.
    projection : int, default=128
        Length of the projected vectors.
    kernel_size : int, default=1
        Positions along each axis that the projection takes together; the official networks
        have 3.
    stride : int, default=1
        Positions from one projected vector to the next.
    pooling : int, default=4
        Cells along each axis over which codes are averaged.
    classifier : {"linear", "mlp"}, default="linear"
        Linear, or with one hidden layer of rectifiers.
    n_hidden : int, default=256
        Width of the hidden layer.
    max_order : {0, 1, 2}, default=2
        Largest order of the scattering.
    nonlinearity : {"modulus", "rectifier"}, default="modulus"
        Nonlinearity of the scattering.
    boundary : {"reflect", "periodic", "zero"}, default="reflect"
        What lies beyond the border of the images.
    log : bool or float, default=False
        Logarithm of the coefficients, see `ScatteringTransformer`.
    shape : tuple of int, default=None
        ``(H, W)`` if the rows of ``X`` are flat.
    memory : str, joblib.Memory or None, default=None
        Where to keep scattering coefficients, so that another fit on the same images computes
        none. ``Memory(folder, mmap_mode="r")`` reads them from disk batch by batch.
    mirror : bool, default=False
        Train on mirrored images as well, and average the predictions of each image and its
        mirror image. Right for photographs, wrong for letters.
    shift : int, default=0
        Train on images moved by up to this many positions of the coefficients.
    dropout : float, default=0.3
        Share of the classifier's inputs that are dropped in training.
    label_smoothing : float, default=0.0
        Share of each label that is spread over all classes.
    learning_rate_init : float, default=1e-3
        First step of the optimiser, AdamW.
    weight_decay : float, default=1e-2
        Decay of the weights.
    schedule : {"cosine", "steps"} or None, default="cosine"
        Fall of the step along a cosine to 0 at ``max_iter``, by 10 after each third of the
        epochs, or none.
    batch_size : int, default=128
        Images of a step.
    max_iter : int, default=30
        Largest number of epochs.
    early_stopping : bool, default=True
        Whether to set images apart, stop when their loss no longer falls, and keep the weights
        for which it was lowest.
    validation_fraction : float, default=0.1
        Share of the images that are set apart, of each class.
    n_iter_no_change : int, default=10
        Epochs without a lower loss before training stops.
    checkpoint : str or Path, default=None
        Folder for the state after each epoch. A fit with the same parameters and data goes on
        from there, others have their own place in it. Needs an integer as ``random_state``.
    mixed_precision : bool, default=False
        Train in bfloat16 where that is exact enough, on CUDA only.
    device : str or torch.device, default=None
        Where to compute: None for where ``X`` lives, ``"cuda"``, or ``"auto"``.
    dtype : {"float32", "float64"} or None, default="float32"
        Type to compute in; None for that of ``X``.
    random_state : int, RandomState instance or None, default=None
        Seed of the first weights, the split, the order of images and their views. torch's
        global generator is left as it was.
    verbose : int, default=0
        Print the progress if positive.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        Labels.
    dictionary_ : ndarray, shape (n_atoms, projection)
        Atoms; complex with ``block="phase_collapse"``, absent with None.
    coherence_ : float
        Largest cosine of the angle between two atoms, or largest
        :math:`|\langle d_i, w_j\rangle|`, :math:`i \ne j`, with ``block="istc_free"``.
    sparsity_ : float
        Mean share of the codes that is not zero, on up to 1000 training images.
    scattering_ : ScatteringTransformer
        Fitted scattering transform.
    J_ : int
        Log2 of its largest scale.
    network_ : skwave.nn.ScatteringDictionary
        Trained network, in evaluation mode.
    n_iter_ : int
        Epochs run.
    loss_curve_ : list of float
        Training loss of each epoch.
    validation_loss_curve_ : list of float or None
        Loss of the images set apart; None without early stopping.
    n_features_in_ : int
        Length of axis 1 of ``X``.
    feature_names_in_ : ndarray of str
        Names of the columns of ``X``, if it is a data frame.

    See Also
    --------
    skwave.nn.ScatteringDictionary : The network.
    ScatteringTransformer : Coefficients for other classifiers, better with few labels.

    Notes
    -----
    Ctrl-C ends the training and keeps the best weights so far. A pickle of a classifier that was
    trained on a GPU is read on any machine, and computes on the CPU there.

    References
    ----------
    .. [1] Zarka, J., Thiry, L., Angles, T. and Mallat, S., Deep network classification by
       scattering and homotopy dictionary learning, ICLR 2020.
    .. [2] Zarka, J., Guth, F. and Mallat, S., Separation and concentration in deep networks,
       ICLR 2021.
    .. [3] Guth, F., Zarka, J. and Mallat, S., Phase collapse in neural networks, ICLR 2022.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skwave import ScatteringDictionaryClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> model = ScatteringDictionaryClassifier(
    ...     J=1, L=4, n_atoms=32, projection=16, shape=(8, 8), max_iter=10,
    ...     learning_rate_init=0.01, random_state=0,
    ... )
    >>> bool(model.fit(X[:1000], y[:1000]).score(X[1000:], y[1000:]) > 0.93)
    True
    >>> model.codes(X[:5]).shape
    (5, 32, 4, 4)
    """

    _of_fit = ("J", *_OF_SCATTERING, *_OF_NETWORK, "mirror", "shift", "label_smoothing", "dtype")
    _parameter_constraints: ClassVar[dict] = {
        **{name: ScatteringTransformer._parameter_constraints[name] for name in _OF_SCATTERING},
        "J": [Interval(Integral, 1, None, closed="left"), None],
        "n_atoms": [Interval(Integral, 1, 2**20, closed="both")],
        "block": [
            StrOptions({"istc", "istc_free", "tight_frame", "relu", "phase_collapse"}),
            None,
        ],
        "n_iter": [Interval(Integral, 1, 1000, closed="both")],
        "alpha": [Interval(Real, 0, None, closed="neither")],
        "learn_dictionary": ["boolean"],
        "projection": [Interval(Integral, 1, 2**16, closed="both")],
        "kernel_size": [Interval(Integral, 1, 64, closed="both")],
        "stride": [Interval(Integral, 1, None, closed="left")],
        "pooling": [Interval(Integral, 1, None, closed="left")],
        "classifier": [StrOptions({"linear", "mlp"})],
        "n_hidden": [Interval(Integral, 1, 2**20, closed="both")],
        "mirror": ["boolean"],
        "shift": [Interval(Integral, 0, 32, closed="both")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        **TRAINING_CONSTRAINTS,
    }

    def __init__(
        self,
        J=None,
        L=8,
        n_atoms=256,
        *,
        block="istc",
        n_iter=6,
        alpha=0.1,
        learn_dictionary=True,
        projection=128,
        kernel_size=1,
        stride=1,
        pooling=4,
        classifier="linear",
        n_hidden=256,
        max_order=2,
        nonlinearity="modulus",
        boundary="reflect",
        log=False,
        shape=None,
        memory=None,
        mirror=False,
        shift=0,
        dropout=0.3,
        label_smoothing=0.0,
        learning_rate_init=1e-3,
        weight_decay=1e-2,
        schedule="cosine",
        batch_size=128,
        max_iter=30,
        early_stopping=True,
        validation_fraction=0.1,
        n_iter_no_change=10,
        checkpoint=None,
        mixed_precision=False,
        device=None,
        dtype="float32",
        random_state=None,
        verbose=0,
    ):
        self.J = J
        self.L = L
        self.n_atoms = n_atoms
        self.block = block
        self.n_iter = n_iter
        self.alpha = alpha
        self.learn_dictionary = learn_dictionary
        self.projection = projection
        self.kernel_size = kernel_size
        self.stride = stride
        self.pooling = pooling
        self.classifier = classifier
        self.n_hidden = n_hidden
        self.max_order = max_order
        self.nonlinearity = nonlinearity
        self.boundary = boundary
        self.log = log
        self.shape = shape
        self.memory = memory
        self.mirror = mirror
        self.shift = shift
        self.dropout = dropout
        self.label_smoothing = label_smoothing
        self.learning_rate_init = learning_rate_init
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.checkpoint = checkpoint
        self.mixed_precision = mixed_precision
        self.device = device
        self.dtype = dtype
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Compute the coefficients and train the network.

        Parameters
        ----------
        X : array-like or Tensor, shape (n_samples, H, W), (n_samples, C, H, W) or \
                (n_samples, n_features)
            Images; flat ones with ``shape=(H, W)``, several channels one after the other.
        y : array-like, shape (n_samples,)
            Labels.
        sample_weight : array-like, shape (n_samples,), default=None
            Weights of the images in the loss.

        Returns
        -------
        self : estimator
            Fitted classifier.

        Warns
        -----
        ConvergenceWarning
            If a loss was not finite. The weights are the best until then.
        """
        # skorch takes seconds to import
        from skwave._networks.training import ClassLoss, WeightedNet, train

        refuse_swapped(X, y)
        y = validate_data(self, y=to_numpy(y))  # before X, since it forgets the names of columns
        X = native(validate_array(self, X, reset=True))
        check_consistent_length(X, y)
        labels = self._encode(y)
        weight = relative_weights(sample_weight, labels)
        self._check_alpha()
        seed = draw_seed(self)
        device = resolve_device(self.device, X)
        self.scattering_ = fit_scattering(
            self, X, max_order=self.max_order, boundary=self.boundary, log=self.log
        )
        self.J_ = self.scattering_.J_
        self._check_grid()
        S = cached_transform(self, X)
        target = np.stack([labels, weight], 1).astype(S.dtype)
        rows = None
        if self.early_stopping:
            rows = split_classes(labels, self.validation_fraction, seed)
        self._design = self._make_design(S)
        images = None
        if self.checkpoint is not None:  # whose name depends on them
            images = np.ascontiguousarray(to_numpy(X), dtype=S.dtype)
        self.network_, self.loss_curve_, self.validation_loss_curve_ = train(
            WeightedNet,
            lambda: make_network(**self._design).to(resolve_dtype(None, S)),
            S,
            target,
            rows=rows,
            seed=seed,
            criterion=ClassLoss,
            criterion__reduction="none",
            criterion__label_smoothing=self.label_smoothing,
            **training_parameters(self, device, (images, target, self.classes_)),
        )
        self.n_iter_ = len(self.loss_curve_)
        self._n_views = 1 + self.mirror
        for name in ("dictionary_", "coherence_", "sparsity_"):
            vars(self).pop(name, None)  # of an earlier fit
        if self.block is not None:
            found = describe(self.network_, S[:_N_DESCRIBED])
            self.dictionary_, self.coherence_, self.sparsity_ = found
            self._warn_of_zeros()
        return self

    def _encode(self, y):
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y holds one class only, {self.classes_[0]}: a classifier needs samples of two "
                "or more classes."
            )
        return labels

    def _check_alpha(self):
        if self.alpha >= 1:
            raise ValueError(
                f"alpha={self.alpha!r} must be below 1: vectors and atoms have norm 1, so no "
                "correlation exceeds 1 and all codes would be zero. Try 0.05 to 0.3."
            )

    def _warn_of_zeros(self):
        if self.sparsity_ == 0:
            warnings.warn(
                f"all codes are zero: the threshold is above every correlation. alpha={self.alpha} "
                "is too large for these images; give a smaller one.",
                stacklevel=4,
            )

    def _check_grid(self):
        grid = self.scattering_.output_shape_[2:]
        if self.block is not None and self.kernel_size % 2 == 0 and 1 in grid:
            raise ValueError(
                f"kernel_size={self.kernel_size} does not fit the {grid} positions of the "
                "coefficients: use an odd one."
            )

    def _make_design(self, S):
        # parameters of the network, in numbers and arrays, which a pickle holds
        mean, scale = channel_scales(S, int(np.prod(self.scattering_.output_shape_[:2])))
        return {
            "mean": mean,
            "scale": scale,
            "views": feature_views(self.scattering_, self.mirror, self.shift),
            "n_classes": len(self.classes_),
            **{name: getattr(self, name) for name in _OF_NETWORK},
        }

    def __getstate__(self):
        return network_to_arrays(super().__getstate__())

    def __setstate__(self, state):
        state = network_from_arrays(state, lambda: make_network(**state["_design"]))
        super().__setstate__(state)

    def _map(self, f, X):
        self._check_fit()
        X = native(validate_array(self, X, reset=False))
        return map_coefficients(self, lambda S: run(self.network_, f, S), X).numpy()

    def predict_proba(self, X):
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like or Tensor, shape (n_samples, ...)
            Images of the fitted shape.

        Returns
        -------
        probability : ndarray, shape (n_samples, n_classes)
            In the order of ``classes_``; with ``mirror``, means over the image and its mirror
            image.
        """

        def probability(x):  # numpydoc ignore=GL08
            views = range(self._n_views)
            return torch.stack([self.network_(x, view).softmax(1) for view in views]).mean(0)

        return self._map(probability, X)

    def predict(self, X):
        """Most probable labels.

        Parameters
        ----------
        X : array-like or Tensor, shape (n_samples, ...)
            Images of the fitted shape.

        Returns
        -------
        y : ndarray, shape (n_samples,)
            Labels.
        """
        best = self.predict_proba(X).argmax(1)
        return self.classes_[best]

    def codes(self, X):
        """Codes of the coefficients at each position, as the block gives them.

        Parameters
        ----------
        X : array-like or Tensor, shape (n_samples, ...)
            Images of the fitted shape.

        Returns
        -------
        z : ndarray, shape (n_samples, n_atoms, height, width)
            Codes, on the grid of the projected coefficients; the standardised coefficients with
            ``block=None``.
        """
        return self._map(lambda x: self.network_.codes(x), X)

    def score(self, X, y, sample_weight=None):
        """Accuracy.

        Parameters
        ----------
        X : array-like or Tensor, shape (n_samples, ...)
            Images of the fitted shape.
        y : array-like, shape (n_samples,)
            Labels. Those that were not in ``fit`` count as errors, with a warning.
        sample_weight : array-like, shape (n_samples,), default=None
            Weights of the images.

        Returns
        -------
        accuracy : float
            Share of the images whose label is predicted.
        """
        self._check_fit()
        y = to_numpy(y)
        unseen = np.setdiff1d(y, self.classes_)
        if len(unseen):
            warnings.warn(
                f"y holds labels that were not in fit, {unseen[:5].tolist()}: no image can be "
                f"recognised as one of them. Those in fit: {self.classes_[:10].tolist()}.",
                stacklevel=2,
            )
        return super().score(X, y, to_numpy(sample_weight))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags
