"""Metrics of reconstructed and of generated images, without a network trained elsewhere."""

from dataclasses import dataclass

import numpy as np
from sklearn.neighbors import NearestNeighbors

from skwave._core.arrays import to_numpy
from skwave.scattering._transformer import ScatteringTransformer


def scattering_features(X, *, J=None, L=4, max_order=2):
    """Features that images are compared by: means of their scattering coefficients.

    Parameters
    ----------
    X : array-like or Tensor, shape (n, H, W) or (n, C, H, W)
        Images.
    J : int, default=None
        Log2 of the largest scale; None for a quarter of the smallest side, at least 1.
    L : int, default=4
        Number of orientations.
    max_order : {0, 1, 2}, default=2
        Largest order.

    Returns
    -------
    features : ndarray of float64, shape (n, n_features)
        Coefficients of orders up to ``max_order``.
    """
    X = check_images("X", X)
    J = max(1, int(np.log2(min(X.shape[2:]))) - 2) if J is None else J
    scattering = ScatteringTransformer(J, L, ndim=2, max_order=max_order, averaging="global")
    return scattering.fit_transform(X)


def _frechet(A, B):
    mean = np.sum((A.mean(0) - B.mean(0)) ** 2)
    C, D = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (A, B))
    # tr (C D)^{1/2} by the symmetric C^{1/2} D C^{1/2}
    values, vectors = np.linalg.eigh(C)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ D @ root).clip(min=0)).sum()
    return float(mean + np.trace(C) + np.trace(D) - 2 * cross)


@dataclass(frozen=True)
class GenerationReport:
    """Distance, quality and variety of samples, made by `generation_report`.

    Attributes
    ----------
    frechet : float
        Fréchet distance of the scattering features of the samples to those of the real images.
    frechet_floor : float
        Distance between two halves of the real images.
    precision : float
        Share of the samples that lie among real images.
    recall : float
        Share of the real images that lie among samples.
    neighbour_ratio : float
        Median distance of a sample to the nearest real image, over the median distance of a real
        image to the nearest other one. Far below 1 if samples are copies.
    """

    frechet: float
    frechet_floor: float
    precision: float
    recall: float
    neighbour_ratio: float


def frechet_distance(X, Y, *, J=None, L=4, max_order=2):
    r"""Fréchet distance between Gaussians fitted to scattering features of two sets of images.

    .. math:: \|\mu_X - \mu_Y\|^2 + \operatorname{tr}\big(C_X + C_Y - 2 (C_X C_Y)^{1/2}\big)

    The features are those of `scattering_features`, divided by their standard deviations in ``Y``.

    Parameters
    ----------
    X : array-like or Tensor, shape (n, H, W) or (n, C, H, W)
        Samples.
    Y : array-like or Tensor, shape (m, H, W) or (m, C, H, W)
        Real images.
    J : int, default=None
        As in `scattering_features`.
    L : int, default=4
        Number of orientations.
    max_order : {0, 1, 2}, default=2
        Largest order.

    Returns
    -------
    distance : float
        0 for equal means and covariances. It is biased upwards for few images: compare values of
        equal ``n`` and ``m``.

    Raises
    ------
    ValueError
        If the images differ in shape, are not finite, or less than two.

    References
    ----------
    .. [1] Heusel, M., Ramsauer, H., Unterthiner, T., Nessler, B. and Hochreiter, S., GANs trained
       by a two time-scale update rule converge to a local Nash equilibrium, NeurIPS 2017, of which
       the features are replaced.

    Examples
    --------
    >>> import numpy as np
    >>> from skwave.validation import frechet_distance
    >>> a, b = np.random.default_rng(0).normal(size=(2, 30, 16, 16))
    >>> bool(frechet_distance(a, b) < frechet_distance(2 * a, b))
    True
    """
    X, Y = check_pair(X, Y, least=2)
    return _frechet(*_standardised(X, Y, J=J, L=L, max_order=max_order))


def _standardised(X, Y, **parameters):
    A, B = scattering_features(X, **parameters), scattering_features(Y, **parameters)
    scale = B.std(0)
    kept = scale > 1e-9 * np.abs(B).max()
    return A[:, kept] / scale[kept], B[:, kept] / scale[kept]


def _coverage(A, B, k):
    # share of A within the distance of some point of B to its k-th neighbour in B
    radius = NearestNeighbors(n_neighbors=k + 1).fit(B).kneighbors(B)[0][:, -1]
    distance, index = NearestNeighbors(n_neighbors=len(B)).fit(B).kneighbors(A)
    return float(np.mean((distance <= radius[index]).any(1)))


def generation_report(samples, real, *, k=3, J=None, L=4, max_order=2):
    """Compare samples with real images: distance, quality, variety, copying.

    Parameters
    ----------
    samples : array-like or Tensor, shape (n, H, W) or (n, C, H, W)
        Images that a model made.
    real : array-like or Tensor, shape (m, H, W) or (m, C, H, W)
        Real images, that the model was not fitted to.
    k : int, default=3
        A point lies among others if it is nearer to one of them than that one's ``k``-th
        neighbour, in scattering features [1]_.
    J : int, default=None
        As in `scattering_features`.
    L : int, default=4
        Number of orientations.
    max_order : {0, 1, 2}, default=2
        Largest order.

    Returns
    -------
    report : GenerationReport
        Fréchet distance, precision, recall, and ratio of distances in pixels.

    Raises
    ------
    ValueError
        If the images differ in shape, are not finite, or not more than ``k``.

    References
    ----------
    .. [1] Kynkäänniemi, T., Karras, T., Laine, S., Lehtinen, J. and Aila, T., Improved precision
       and recall metric for assessing generative models, NeurIPS 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from skwave.validation import generation_report
    >>> noise = np.random.default_rng(0).normal(size=(60, 16, 16))
    >>> report = generation_report(noise[:30], noise[30:])
    >>> bool(report.precision > 0.5 and report.recall > 0.5)
    True
    """
    X, Y = check_pair(samples, real, ("samples", "real"), least=max(k + 2, 4))
    A, B = _standardised(X, Y, J=J, L=L, max_order=max_order)
    pixels = NearestNeighbors(n_neighbors=2).fit(Y.reshape(len(Y), -1))
    to_real = pixels.kneighbors(X.reshape(len(X), -1))[0][:, 0]
    among_real = pixels.kneighbors()[0][:, 0]
    return GenerationReport(
        _frechet(A, B),
        _frechet(B[::2], B[1::2]),
        _coverage(A, B, k),
        _coverage(B, A, k),
        float(np.median(to_real) / np.median(among_real)),
    )


def code_report(Z):
    r"""Moments of codes beside those of white Gaussian noise.

    Parameters
    ----------
    Z : array-like or Tensor, shape (n_samples, n_components)
        Codes.

    Returns
    -------
    report : dict of float
        ``variance``, mean over the coordinates; ``kurtosis``, mean excess kurtosis;
        ``norm_spread``, standard deviation of :math:`\|z\|^2/d` over its mean, and
        ``norm_spread_gaussian``, what it would be, :math:`\sqrt{2/d}`.

    Examples
    --------
    >>> import numpy as np
    >>> from skwave.validation import code_report
    >>> report = code_report(np.random.default_rng(0).normal(size=(1000, 50)))
    >>> abs(round(report["kurtosis"], 1)), round(report["norm_spread"], 1)
    (0.0, 0.2)
    """
    Z = np.asarray(to_numpy(Z))
    Z = Z.astype(np.float64)
    if Z.ndim != 2 or not np.isfinite(Z).all():
        raise ValueError(f"Z must be finite rows of codes, got an array of shape {Z.shape}.")
    centred = Z - Z.mean(0)
    variance = np.mean(centred**2, 0)
    varying = variance > 0
    kurtosis = np.mean(centred[:, varying] ** 4, 0) / variance[varying] ** 2 - 3
    norms = np.sum(Z**2, 1)
    return {
        "variance": float(variance.mean()),
        "kurtosis": float(kurtosis.mean()) if varying.any() else 0.0,
        "norm_spread": float(norms.std() / norms.mean()) if norms.any() else 0.0,
        "norm_spread_gaussian": float(np.sqrt(2 / Z.shape[1])),
    }


def check_images(name, X, least=1):
    """Check an array of images: finite, enough of them, with an axis of channels.

    Parameters
    ----------
    name : str
        Name of the argument, for messages.
    X : array-like or Tensor, shape (n, H, W) or (n, C, H, W)
        Images.
    least : int, default=1
        Smallest number of images.

    Returns
    -------
    X : ndarray of float64, shape (n, C, H, W)
        Finite.
    """
    X = np.asarray(to_numpy(X))
    if X.ndim not in (3, 4) or len(X) < least:
        raise ValueError(
            f"{name} must be {least} or more images, (n, H, W) or (n, C, H, W), got the shape "
            f"{X.shape}. Flat rows unfold by reshape(-1, H, W)."
        )
    X = X.astype(np.float64)
    if not np.isfinite(X).all():
        raise ValueError(f"{name} has values that are NaN or infinite.")
    return X[:, None] if X.ndim == 3 else X


def check_pair(X, Y, names=("X", "Y"), least=1):
    """Check two arrays of images of one size.

    Parameters
    ----------
    X, Y : array-like or Tensor, shape (n, H, W) or (n, C, H, W)
        Images.
    names : (str, str), default=("X", "Y")
        Names of the arguments, for messages.
    least : int, default=1
        Smallest number of images in each.

    Returns
    -------
    X, Y : ndarray of float64, shape (n, C, H, W)
        Finite.
    """
    X, Y = (check_images(name, x, least) for name, x in zip(names, (X, Y), strict=True))
    if X.shape[1:] != Y.shape[1:]:
        raise ValueError(
            f"{names[0]} has images of shape {X.shape[1:]}, {names[1]} of {Y.shape[1:]}: they must "
            "be of one size and number of channels."
        )
    return X, Y


def _aligned(X, Y, data_range):
    X, Y = check_pair(X, Y)
    if len(X) != len(Y):
        raise ValueError(f"X has {len(X)} images, Y has {len(Y)}: they are compared one by one.")
    if not data_range > 0:
        raise ValueError(f"data_range={data_range!r} must be positive: 1 for images in [0, 1].")
    return X, Y


def psnr(X, Y, *, data_range=1.0):
    r"""Peak signal-to-noise ratio of images, in decibels.

    .. math:: 10 \log_{10} \frac{r^2}{\operatorname{mean}(X - Y)^2}

    with the mean over all pixels of all images.

    Parameters
    ----------
    X, Y : array-like or Tensor, shape (n, H, W) or (n, C, H, W)
        Images, and the images that they should be.
    data_range : float, default=1.0
        Largest value less the smallest, :math:`r`.

    Returns
    -------
    psnr : float
        Infinite if they are equal.

    Raises
    ------
    ValueError
        If the images differ in shape or number, or are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from skwave.validation import psnr
    >>> round(psnr(np.zeros((2, 4, 4)), np.full((2, 4, 4), 0.1)), 3)
    20.0
    """
    X, Y = _aligned(X, Y, data_range)
    return decibels(np.mean((X - Y) ** 2), data_range)


def decibels(error, data_range):
    """Peak signal-to-noise ratio of a mean squared error.

    Parameters
    ----------
    error : float
        Mean squared error.
    data_range : float
        Largest value less the smallest.

    Returns
    -------
    psnr : float
        Infinite for no error.
    """
    return float(10 * np.log10(data_range**2 / error)) if error else float("inf")


def ssim(X, Y, *, data_range=1.0):
    """Structural similarity, mean over images and channels.

    That of scikit-image, with windows of 7 pixels a side.

    Parameters
    ----------
    X, Y : array-like or Tensor, shape (n, H, W) or (n, C, H, W)
        Images of at least 7 pixels a side, and the images that they should be.
    data_range : float, default=1.0
        Largest value less the smallest.

    Returns
    -------
    ssim : float
        At most 1, for equal images.

    Raises
    ------
    ImportError
        If scikit-image is missing.
    ValueError
        If the images differ in shape or number, are not finite, or too small.

    References
    ----------
    .. [1] Wang, Z., Bovik, A. C., Sheikh, H. R. and Simoncelli, E. P., Image quality assessment:
       from error visibility to structural similarity, IEEE Trans. Image Process. 13, 2004.
    """
    X, Y = _aligned(X, Y, data_range)
    if min(X.shape[2:]) < 7:
        raise ValueError(f"images of {X.shape[2:]} pixels are too small: ssim needs 7 a side.")
    try:
        from skimage.metrics import structural_similarity
    except ImportError as error:
        raise ImportError(
            'ssim needs scikit-image: python -m pip install "skwave[images]"'
        ) from error
    values = [
        structural_similarity(x, y, data_range=data_range, channel_axis=0)
        for x, y in zip(X, Y, strict=True)
    ]
    return float(np.mean(values))
