"""Generative autoencoder: scattering as encoder, dictionaries as decoder."""

from math import prod
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_consistent_length

from skwave._core.arrays import (
    from_tensor,
    native,
    reshape,
    resolve_device,
    resolve_dtype,
    to_tensor,
)
from skwave._core.checks import random_numbers, validate_array, validate_features
from skwave._core.compat import Estimator, Interval, StrOptions, fit_context
from skwave._networks.fitting import TRAINING_CONSTRAINTS, draw_seed, split_groups
from skwave.generation._decoder import check_atoms, fit_regression
from skwave.generation._embedding import fit_embedding, to_sphere
from skwave.generation._metrics import code_report, decibels
from skwave.generation._sampler import between, draw_codes, fit_sampler
from skwave.scattering._features import cached_transform, fit_scattering, map_coefficients
from skwave.scattering._transformer import ScatteringTransformer

_PARTS = ("train", "validation")
_OF_SCATTERING = ("L", "nonlinearity", "shape")
_OF_CODES = ("J", "n_components", "gaussianize", "whiten")
_OF_DECODER = (
    *("decoder", "channels", "n_atoms", "n_iter", "alpha", "linear_skip", "ridge_alpha"),
    *("latent_noise", "loss", "scale_weight", "scattering_weight", "dtype"),
)


class CASEGenerator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Estimator):
    r"""Generative autoencoder: scattering as encoder, sparse dictionaries as decoder.

    The encoder is known: the scattering :math:`S_J x` of order 1 with phases, averaged at scale
    :math:`2^J`, and its principal components, of variance 1. Only the decoder is learned,

    .. math:: z = \Lambda^{-1/2} P^\top (S_J x - \bar S), \qquad
       \hat x = Bz + b + G(z), \qquad G = G_{D_0} \circ \dots \circ G_{D_{J-1}} \circ G_{D_J}

    by ridge regression, and by a chain :math:`G` of sparse codes in dictionaries from coarse to
    fine, see `skwave.nn.DictionaryDecoder`, trained end to end on the residuals of the regression.
    The chain begins at zero, and unless it makes the error of images that were set apart smaller
    it stays there. So images can be reconstructed, interpolated, and drawn from noise, without an
    adversary, and without an encoder to train.

    Parameters
    ----------
    J : int, default=None
        Log2 of the largest scale of the scattering, in pixels. None for the largest scale that
        leaves four positions a side, from 1 to 3.
    n_components : int, default=None
        Length of the codes, less than the number of samples. None for 64, or fewer if the
        coefficients of the training images vary in fewer directions.
    L : int, default=8
        Number of orientations.
    nonlinearity : {"rectifier", "modulus"}, default="rectifier"
        Nonlinearity of the scattering; the rectifier keeps phases.
    gaussianize : {"pca", "log", "sphere", "quantile"}, default="pca"
        Kind of codes: principal components; those of logarithms of the coefficients, nearer
        to Gaussian and harder to decode; divided by their norms, times ``sqrt(n_components)``;
        or each coordinate mapped to a normal distribution by its quantiles.
    whiten : bool, default=True
        Whether coordinates have variance 1. Without it they have that of the principal components.
    decoder : {"dictionary", "convolutional", "linear"}, default="dictionary"
        Network that is added to the ridge regression: the chain of dictionaries, a plain
        convolutional network, or none.
    channels : int, default=16
        Maps of the decoder; those of the finest scale for ``"convolutional"``.
    n_atoms : tuple of int, default=(512, 32)
        Atoms of the fully connected dictionary, and of each of the ``J`` convolutional ones.
    n_iter : int, default=4
        Steps of ISTC that a sparse code takes.
    alpha : float, default=0.1
        Last thresholds of the sparse codes to begin with, in units of the root mean square norm
        of the coded vectors; they are learned.
    linear_skip : bool, default=True
        Whether to add the ridge regression. Without it the network adds to the mean image.
    ridge_alpha : float, default=1.0
        Penalty of the regression.
    latent_noise : float, default=0.1
        Standard deviation of the noise that is added to the network's codes in training, in units
        of the codes.
    loss : {"squared_error", "absolute_error"}, default="squared_error"
        Error of a pixel.
    scale_weight : float, default=0.0
        Weight of the errors of the images at coarser scales, averages over blocks of pixels.
    scattering_weight : float, default=0.0
        Weight of the errors of scattering coefficients up to order 2, in units of their deviations
        times that of the pixels. They make images sharp where the squared error alone makes them
        smooth, and samples more like images, for a little more error of the pixels.
    learning_rate_init : float, default=3e-3
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
        Whether to set images apart, stop when their error no longer falls, and keep the weights
        for which it was lowest. Codes, regression and sampler are learned without them.
    validation_fraction : float, default=0.1
        Share of the images, or of the groups, that are set apart.
    n_iter_no_change : int, default=5
        Epochs without a lower error before training stops.
    sampler : {"normal", "norm", "mixture"}, default="normal"
        Distribution that `sample` draws codes from: :math:`\mathcal N(0, I)`, or its directions
        with the norms of the training codes, or a mixture of Gaussians fitted to them.
    shape : tuple of int, default=None
        ``(H, W)`` if the rows of ``X`` are flat.
    memory : str, joblib.Memory or None, default=None
        Where to keep scattering coefficients, so that another fit on the same images computes
        none.
    checkpoint : str or Path, default=None
        Folder for the state after each epoch. A fit with the same parameters and data goes on
        from there, others have their own place in it. Needs an integer as ``random_state``.
    mixed_precision : bool, default=False
        Train in bfloat16 where that is exact enough, on CUDA only.
    device : str or torch.device, default=None
        Where to compute: None for where ``X`` lives, ``"cuda"``, or ``"auto"``.
    dtype : {"float32", "float64"} or None, default="float32"
        Type of the codes, the images and the weights; None for that of ``X``.
    random_state : int, RandomState instance or None, default=None
        Draws the first weights, the order, the noise, the images set apart, and samples.
    verbose : int, default=0
        Print the progress of the training if positive.

    Attributes
    ----------
    scattering_ : ScatteringTransformer
        Fitted scattering transform.
    J_ : int
        Log2 of its largest scale.
    embedding_ : Embedding
        Map from coefficients to codes; ``embedding_.pca`` is scikit-learn's PCA, with its inverse.
    decoder_ : Decoder
        Map from codes to images, a regression and a network.
    coef_, intercept_ : ndarray, shape (n_pixels, n_components) and (n_pixels,)
        Ridge regression of the pixels of an image, channel by channel.
    network_ : skwave.nn.DictionaryDecoder, skwave.nn.ConvolutionalDecoder or None
        Trained network, in evaluation mode; None for ``decoder="linear"``.
    n_parameters_ : int
        Number of weights of the network.
    n_iter_ : int
        Epochs that the network was trained for; 0 for ``decoder="linear"``.
    loss_curve_ : list of float
        Loss of each epoch.
    validation_loss_curve_ : list of float or None
        Loss of the images set apart; None without early stopping.
    dictionaries_ : list of ndarray
        ``dictionaries_[j]`` are the atoms of scale ``j``: patches of 6 by 6 pixels of ``channels``
        maps on the grid of spacing ``2**j``, shape (n_atoms, n_maps, 6, 6); for ``j = J`` maps,
        shape (n_atoms, channels, height, width). The first ``C`` maps are the image.
    sparsity_ : list of float
        Share of the sparse codes that is not zero, at each scale.
    coherence_ : list of float
        Largest product of two atoms as they are observed, at each scale.
    latent_report_ : dict
        `skwave.validation.code_report` of the training codes, and with early stopping of the
        codes of images that were set apart.
    sampler_ : Sampler
        Distributions of the codes that `sample` draws from.
    data_range_ : tuple of float
        Smallest and largest value of ``X``.
    sample_shape_ : tuple of int
        Shape of one sample of ``X``.
    n_features_in_ : int
        Length of axis 1 of ``X``.

    See Also
    --------
    skwave.nn.DictionaryDecoder : The chain of dictionaries.
    skwave.validation.generation_report : How samples compare with real images.

    Notes
    -----
    The system was published in a talk; its equations, the sizes of its dictionaries and its
    figures are not available to us. The chain is our reading, from what is certain: each
    :math:`G_{D_j}` a sparse recovery by homotopy, first fully connected and then convolutional,
    all weights dictionaries, trained end to end with the loss of reconstruction.

    Images are not clipped to the fitted range. Ctrl-C ends the training and keeps the best weights
    so far. A pickle is read on any machine, and decodes on the CPU there.

    References
    ----------
    .. [1] Angles, T. and Mallat, S., Generative networks as inverse problems with scattering
       transforms, ICLR 2018.
    .. [2] Zarka, J., Thiry, L., Angles, T. and Mallat, S., Deep network classification by
       scattering and homotopy dictionary learning, ICLR 2020.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skwave import CASEGenerator
    >>> X = load_digits().images / 16
    >>> model = CASEGenerator(J=2, n_components=16, L=4, max_iter=3, random_state=0)
    >>> Z = model.fit_transform(X[:1000])
    >>> bool(model.score(X[1000:]) > 15)
    True
    >>> model.sample(3).shape
    (3, 8, 8)
    """

    _of_fit = (*_OF_SCATTERING, *_OF_CODES, *_OF_DECODER)
    _parameter_constraints: ClassVar[dict] = {
        **{name: ScatteringTransformer._parameter_constraints[name] for name in _OF_SCATTERING},
        "J": [Interval(Integral, 1, None, closed="left"), None],
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "gaussianize": [StrOptions({"pca", "log", "sphere", "quantile"})],
        "whiten": ["boolean"],
        "decoder": [StrOptions({"dictionary", "convolutional", "linear"})],
        "channels": [Interval(Integral, 1, 4096, closed="both")],
        "n_atoms": [tuple, list],
        "n_iter": [Interval(Integral, 1, 1000, closed="both")],
        "alpha": [Interval(Real, 0, None, closed="neither")],
        "linear_skip": ["boolean"],
        "ridge_alpha": [Interval(Real, 0, None, closed="left")],
        "latent_noise": [Interval(Real, 0, None, closed="left")],
        "loss": [StrOptions({"squared_error", "absolute_error"})],
        "scale_weight": [Interval(Real, 0, None, closed="left")],
        "scattering_weight": [Interval(Real, 0, None, closed="left")],
        "sampler": [StrOptions({"normal", "norm", "mixture"})],
        **TRAINING_CONSTRAINTS,
    }

    def __init__(
        self,
        J=None,
        n_components=None,
        *,
        L=8,
        nonlinearity="rectifier",
        gaussianize="pca",
        whiten=True,
        decoder="dictionary",
        channels=16,
        n_atoms=(512, 32),
        n_iter=4,
        alpha=0.1,
        linear_skip=True,
        ridge_alpha=1.0,
        latent_noise=0.1,
        loss="squared_error",
        scale_weight=0.0,
        scattering_weight=0.0,
        learning_rate_init=3e-3,
        weight_decay=1e-2,
        schedule="cosine",
        batch_size=128,
        max_iter=30,
        early_stopping=True,
        validation_fraction=0.1,
        n_iter_no_change=5,
        sampler="normal",
        shape=None,
        memory=None,
        checkpoint=None,
        mixed_precision=False,
        device=None,
        dtype="float32",
        random_state=None,
        verbose=0,
    ):
        self.J = J
        self.n_components = n_components
        self.L = L
        self.nonlinearity = nonlinearity
        self.gaussianize = gaussianize
        self.whiten = whiten
        self.decoder = decoder
        self.channels = channels
        self.n_atoms = n_atoms
        self.n_iter = n_iter
        self.alpha = alpha
        self.linear_skip = linear_skip
        self.ridge_alpha = ridge_alpha
        self.latent_noise = latent_noise
        self.loss = loss
        self.scale_weight = scale_weight
        self.scattering_weight = scattering_weight
        self.learning_rate_init = learning_rate_init
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.sampler = sampler
        self.shape = shape
        self.memory = memory
        self.checkpoint = checkpoint
        self.mixed_precision = mixed_precision
        self.device = device
        self.dtype = dtype
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, *, groups=None):
        """Compute codes, regress, and train the network.

        Parameters
        ----------
        X : array-like or Tensor, shape (n_samples, H, W), (n_samples, C, H, W) or \
                (n_samples, n_features)
            Images; flat ones with ``shape=(H, W)``, several channels one after the other.
        y : None
            Ignored.
        groups : array-like, shape (n_samples,), default=None
            Groups of images, of a person say, or an image and its mirror image. The images that are
            set apart are whole groups.

        Returns
        -------
        self : estimator
            Fitted generator.

        Raises
        ------
        ValueError
            If images differ in size, are smaller than ``2**J`` or not finite, or there are not more
            of them than ``n_components``; if there are too few groups.

        Warns
        -----
        ConvergenceWarning
            If the loss was not finite. The decoder is the best until then.
        """
        X = native(self._validate(X))
        check_atoms(self.n_atoms)
        check_consistent_length(X, groups)
        seed = draw_seed(self)
        self.scattering_ = fit_scattering(self, X, max_order=1)
        self.J_ = self.scattering_.J_
        self._check_channels()
        rows = None
        if self.early_stopping and self.decoder != "linear":
            rows = split_groups(len(X), groups, self.validation_fraction, seed)
        parts = {"train": slice(None)} if rows is None else dict(zip(_PARTS, rows, strict=True))
        train = parts["train"]
        S = cached_transform(self, X)
        n_positions = prod(self.scattering_.output_shape_[2:])
        self.embedding_ = fit_embedding(
            S[train], self.n_components, self.gaussianize, self.whiten, n_positions, seed
        )
        Z = self.embedding_(S)
        self.sampler_ = fit_sampler(Z[train], self.sampler == "mixture", seed)
        self.latent_report_ = {name: code_report(Z[part]) for name, part in parts.items()}
        self.sample_shape_ = tuple(X.shape[1:])
        images = to_tensor(X, resolve_dtype(self.dtype, X), "cpu").detach().flatten(1).numpy()
        self.data_range_ = float(images.min()), float(images.max())
        self._fit_decoder(Z, images, train, rows, seed, resolve_device(self.device, X))
        return self

    def _fit_decoder(self, Z, images, train, rows, seed, device):
        decoder = fit_regression(
            Z[train], images[train], self._image_shape, self.J_,
            linear=self.linear_skip or self.decoder == "linear", ridge_alpha=self.ridge_alpha,
        )  # fmt: skip
        self.loss_curve_, self.validation_loss_curve_ = [], None
        if self.decoder != "linear":
            from skwave.generation._training import train_decoder  # skorch is slow to import

            decoder, self.loss_curve_, self.validation_loss_curve_ = train_decoder(
                self, decoder, Z, images, rows, seed, device
            )
        self.decoder_ = decoder
        self.n_iter_ = len(self.loss_curve_)
        self.n_parameters_ = decoder.n_parameters()
        self.dictionaries_, self.sparsity_, self.coherence_ = decoder.describe(Z)

    @property
    def _image_shape(self):
        return (self.scattering_.n_channels_, *self.scattering_.signal_shape_)

    @property
    def coef_(self):  # numpydoc ignore=RT01
        """Matrix of the ridge regression of the pixels."""
        return self.decoder_.coef

    @property
    def intercept_(self):  # numpydoc ignore=RT01
        """Intercept of the ridge regression of the pixels."""
        return self.decoder_.intercept

    @property
    def network_(self):  # numpydoc ignore=RT01
        """Trained network, or None for ``decoder="linear"``."""
        return self.decoder_.network

    def _check_channels(self):
        C = self.scattering_.n_channels_
        if self.decoder == "dictionary" and self.channels < C:
            raise ValueError(
                f"channels={self.channels} is less than the {C} channels of the images, which are "
                f"the first maps of each scale: use channels >= {C}."
            )

    def _validate(self, X):
        if isinstance(X, list | tuple):
            sizes = {np.shape(x) for x in X}
            if len(sizes) > 1:
                raise ValueError(
                    f"X has images of different shapes, {sorted(sizes, key=str)[:3]}: crop or "
                    "resize them to one, since inhomogeneous images have no common codes."
                )
        return validate_array(self, X, reset=True)

    def _validate_again(self, X):
        # images as in fit, in their range
        self._check_fit()
        X = validate_array(self, X, reset=False)
        values, (low, high) = native(X), self.data_range_
        smallest, largest = float(values.min()), float(values.max())
        width = high - low
        if smallest < low - width or largest > high + width:
            raise ValueError(
                f"X has values from {smallest:.4g} to {largest:.4g}, far outside the range "
                f"that was fitted, {low:.4g} to {high:.4g}: scale the images as for fit."
            )
        return X

    def transform(self, X):
        """Encode images.

        Parameters
        ----------
        X : array-like or Tensor, shape (n_samples, ...)
            Images of the fitted shape.

        Returns
        -------
        Z : array, shape (n_samples, n_components)
            Codes; same kind of array as ``X``.

        Raises
        ------
        ValueError
            If images have another shape than those fitted, or values far outside their range.
        """
        X = self._validate_again(X)
        return from_tensor(self._encode(X).to(resolve_device(None, X)), X)

    def _encode(self, X):
        # codes of valid images, on the CPU
        return map_coefficients(self, lambda S: torch.from_numpy(self.embedding_(S)), native(X))

    def inverse_transform(self, X):
        """Decode codes.

        Parameters
        ----------
        X : array-like or Tensor, shape (n_samples, n_components)
            Codes.

        Returns
        -------
        images : array, shape (n_samples, ...)
            Images of the fitted shape; same kind of array as ``X``.
        """
        (images,) = self.coarse_to_fine(X, scales=(0,))
        return reshape(images, (-1, *self.sample_shape_))

    def coarse_to_fine(self, X, *, scales=None):
        """Decode codes, and show the image at every scale.

        The image at scale ``2**j`` is the average of that at the next finer scale over blocks of
        two by two pixels. In a chain of dictionaries the stages decode these images one by one.

        Parameters
        ----------
        X : array-like or Tensor, shape (n_samples, n_components)
            Codes.
        scales : sequence of int, default=None
            Scales ``j``; None for all, from ``J_`` to 0.

        Returns
        -------
        images : list of array, shape (n_samples, height, width) or \
                (n_samples, C, height, width)
            Images, of ``H / 2**j`` by ``W / 2**j`` pixels, rounded up. Flat samples are unfolded.
        """
        self._check_fit()
        scales = range(self.J_, -1, -1) if scales is None else scales
        if not all(isinstance(j, Integral) and 0 <= j <= self.J_ for j in scales):
            raise ValueError(f"scales={scales!r} must be integers from 0 to J={self.J_}.")
        X = validate_features(X, self._n_features_out, type(self).__name__)
        Z = to_tensor(X, resolve_dtype(None, self.coef_), "cpu")
        grey = self.scattering_.n_channels_ == 1 and len(self.sample_shape_) < 3
        images = self.decoder_.coarse_to_fine(Z, scales)
        device = resolve_device(None, X)
        return [from_tensor((x[:, 0] if grey else x).to(device), X) for x in images]

    def sample(self, n_samples=1, *, sampler=None, random_state=None):
        """Draw images.

        Parameters
        ----------
        n_samples : int, default=1
            Number of images.
        sampler : {"normal", "norm", "mixture"} or estimator, default=None
            Distribution of the codes; None for the parameter of that name. ``"mixture"`` must have
            been that parameter in `fit`. An estimator with a method ``sample``, as
            scikit-learn's densities have, may be fitted to any codes.
        random_state : int, RandomState instance or None, default=None
            Draws the codes; None for the parameter of that name.

        Returns
        -------
        images : ndarray, shape (n_samples, ...)
            Images of the fitted shape.
        """
        self._check_fit()
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise ValueError(f"n_samples must be a positive integer, got {n_samples!r}.")
        sampler = self.sampler if sampler is None else sampler
        rng = random_numbers(self.random_state if random_state is None else random_state)
        Z = draw_codes(self.sampler_, n_samples, sampler, rng)
        if self.gaussianize == "sphere":
            Z = to_sphere(Z)
        return self.inverse_transform(Z)

    def interpolate(self, X, Y, n_steps=10):
        r"""Images on the straight line from the code of one image to that of another.

        .. math:: z_t = (1 - t)\, z(x) + t\, z(y), \qquad 0 \le t \le 1

        Parameters
        ----------
        X, Y : array-like or Tensor, shape (n_pairs, ...)
            Images of the fitted shape.
        n_steps : int, default=10
            Images of each path, with both ends.

        Returns
        -------
        images : array, shape (n_pairs, n_steps, ...)
            Decoded; same kind of array as ``X``.
        """
        if not isinstance(n_steps, Integral) or n_steps < 2:
            raise ValueError(f"n_steps must be an integer from 2 on, got {n_steps!r}.")
        check_consistent_length(X, Y)
        A = self.transform(X)
        images = self.inverse_transform(between(A, self.transform(Y), n_steps))
        return reshape(images, (-1, n_steps, *self.sample_shape_))

    def score(self, X, y=None):
        """Peak signal-to-noise ratio of the reconstructions, in decibels.

        Parameters
        ----------
        X : array-like or Tensor, shape (n_samples, ...)
            Images of the fitted shape.
        y : None
            Ignored.

        Returns
        -------
        psnr : float
            Of all pixels of all images, for the range of values in `fit`.
        """
        X = self._validate_again(X)
        x = to_tensor(X, torch.float64, "cpu").detach().flatten(1)
        Z = self._encode(X).to(resolve_dtype(None, self.coef_))
        (images,) = self.decoder_.coarse_to_fine(Z, (0,))
        low, high = self.data_range_
        return decibels((images.flatten(1) - x).square().mean().item(), high - low)

    @property
    def _n_features_out(self):
        return len(self.embedding_.pca.components_)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []
        return tags
