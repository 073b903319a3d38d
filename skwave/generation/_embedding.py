"""Codes of `skwave.CASEGenerator`: principal components of scattering coefficients."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from sklearn.decomposition import PCA

_LOG_FLOOR = 0.1  # below this share of the mean of a path, the logarithm is linear
_N_COMPONENTS = 64  # by default, if there are as many
N_QUANTILES = 1000  # that are kept


@dataclass(frozen=True)
class Embedding:
    r"""Map from scattering coefficients to codes.

    .. math:: z = \Lambda^{-1/2} P^\top (S - \bar S)

    Attributes
    ----------
    gaussianize : {"pca", "log", "sphere", "quantile"}
        Kind of codes, see `skwave.CASEGenerator`.
    pca : PCA
        Principal components of the coefficients, or of their logarithms.
    scale : ndarray, shape (n_coefficients,), or None
        Divisors of the coefficients before the logarithm.
    quantiles : ndarray, shape (n_quantiles, n_components), or None
        Quantiles of the coordinates, at the middles of equal steps of the probability.
    """

    gaussianize: str
    pca: PCA
    scale: np.ndarray | None
    quantiles: np.ndarray | None

    def __call__(self, S):
        """Codes of scattering coefficients.

        Parameters
        ----------
        S : ndarray, shape (n_samples, n_coefficients)
            Scattering coefficients.

        Returns
        -------
        Z : ndarray, shape (n_samples, n_components)
            Codes.
        """
        Z = self.pca.transform(S if self.scale is None else compress(S, self.scale))
        if self.gaussianize == "sphere":
            return to_sphere(Z)
        if self.gaussianize == "quantile":
            normal = ndtri(_levels(len(self.quantiles)))
            columns = zip(Z.T, self.quantiles.T, strict=True)
            return np.stack([np.interp(z, q, normal) for z, q in columns], 1).astype(Z.dtype)
        return Z


def _levels(n):
    return (np.arange(n) + 0.5) / n


def to_sphere(Z):
    r"""Codes projected on the sphere of radius :math:`\sqrt{d}`.

    Parameters
    ----------
    Z : ndarray, shape (n_samples, d)
        Codes.

    Returns
    -------
    Z : ndarray, shape (n_samples, d)
        Codes of the same type; zero stays zero.
    """
    norms = np.linalg.norm(Z, axis=1, keepdims=True)
    return Z.shape[1] ** 0.5 * Z / np.where(norms > 0, norms, 1)


def compress(S, scale):
    r"""Logarithm of coefficients, linear near zero, and odd.

    .. math:: \operatorname{sign}(S) \log(1 + |S| / \text{scale})

    Parameters
    ----------
    S : ndarray, shape (..., n_coefficients)
        Coefficients.
    scale : ndarray, shape (n_coefficients,)
        Positive divisors.

    Returns
    -------
    S : ndarray, shape (..., n_coefficients)
        Logarithms, of the same type.
    """
    return np.sign(S) * np.log1p(np.abs(S) / scale.astype(S.dtype))


def fit_embedding(S, n_components, gaussianize, whiten, n_positions, seed):
    """Fit the map from coefficients to codes.

    Parameters
    ----------
    S : ndarray, shape (n_samples, n_coefficients)
        Scattering coefficients.
    n_components : int or None
        Length of the codes; None for 64, or fewer if the coefficients vary in fewer directions.
    gaussianize : {"pca", "log", "sphere", "quantile"}
        As in `skwave.CASEGenerator`.
    whiten : bool
        Whether coordinates have variance 1.
    n_positions : int
        Coefficients of each path, which stand together.
    seed : int
        Seed of the solver of the principal components.

    Returns
    -------
    embedding : Embedding
        Fitted.

    Raises
    ------
    ValueError
        If the coefficients do not vary in so many directions.
    """
    largest = min(len(S) - 1, S.shape[1])
    if n_components is not None and n_components > largest:
        raise ValueError(
            f"n_components={n_components} is more than the {largest} directions in which "
            f"{len(S)} training samples of {S.shape[1]} scattering coefficients can vary: use "
            f"n_components <= {largest}, or more samples, or set less of them apart by "
            f"validation_fraction (got n_samples = {len(S)}, n_features = {S.shape[1]} "
            "coefficients)."
        )
    scale, quantiles = None, None
    if gaussianize == "log":
        means = np.abs(S).mean(0).reshape(-1, n_positions).mean(1)
        scale = np.repeat(_LOG_FLOOR * np.where(means > 0, means, 1), n_positions)
    Y = S if scale is None else compress(S, scale)
    pca = _fit_components(Y, n_components, largest, whiten, seed)
    if gaussianize == "quantile":
        quantiles = np.quantile(pca.transform(Y), _levels(min(N_QUANTILES, len(S))), axis=0)
    return Embedding(gaussianize, pca, scale, quantiles)


def _fit_components(Y, n_components, largest, whiten, seed):
    n = min(_N_COMPONENTS, largest) if n_components is None else n_components
    if (Y == Y[0]).all():
        raise ValueError(
            "the scattering coefficients of all images of X are the same, as those of images that "
            "are all black: there are no codes. Give images that differ."
        )
    pca = PCA(n, whiten=whiten, random_state=seed).fit(Y)
    variance = pca.explained_variance_
    varying = int(np.sum(variance > 10 * np.finfo(Y.dtype).eps * variance[0]))
    if varying < n and n_components is None:
        return PCA(varying, whiten=whiten, random_state=seed).fit(Y)
    if varying < n:
        raise ValueError(
            f"n_components={n_components}, but the scattering coefficients vary in {varying} "
            f"directions only: use n_components <= {varying}."
        )
    return pca
