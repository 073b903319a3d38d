"""How good samples of images are, without a network trained elsewhere."""

from dataclasses import dataclass

import numpy as np
from sklearn.neighbors import NearestNeighbors

from skwave._reconstruction import check_images, check_pair
from skwave._scattering import ScatteringTransformer


def scattering_features(X, *, J=None, L=4, max_order=2):
    """Means of scattering coefficients over each image, what samples are compared by.

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
    """How samples compare with real images; made by `generation_report`.

    Attributes
    ----------
    frechet : float
        Fréchet distance of the scattering features of the samples to those of the real images.
    frechet_floor : float
        That between two halves of the real images.
    precision : float
        Share of the samples that lie among real images.
    recall : float
        Share of the real images that lie among samples.
    neighbour_ratio : float
        Median distance of a sample to the nearest real image, over that of a real image to the
        nearest other one. Far below 1 if samples are copies.
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
