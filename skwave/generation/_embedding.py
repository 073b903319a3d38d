"""From scattering coefficients to the codes of `skwave.CASEGenerator`."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from sklearn.decomposition import PCA

_LOG_FLOOR = 0.1  # below this share of the mean of a path, the logarithm is linear
N_QUANTILES = 1000  # that are kept


@dataclass(frozen=True)
class Embedding:
    r"""Map from scattering coefficients to codes.

    .. math:: z = \Lambda^{-1/2} P^\top (S - \bar S)

    Attributes
    ----------
    gaussianize : {"pca", "log", "sphere", "quantile"}
        What is done beside it.
    pca : PCA
        Of the coefficients, or of their logarithms.
    scale : ndarray, shape (n_coefficients,), or None
        What the coefficients are divided by before the logarithm.
    quantiles : ndarray, shape (n_quantiles, n_components), or None
        Of the coordinates, at the middles of equal steps of the probability.
    """

    gaussianize: str
    pca: PCA
    scale: np.ndarray | None
    quantiles: np.ndarray | None

    def __call__(self, S):
        """Codes of coefficients.

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
    r"""Codes over their norms, times :math:`\sqrt{d}`.

    Parameters
    ----------
    Z : ndarray, shape (n_samples, d)
        Codes.

    Returns
    -------
    Z : ndarray, shape (n_samples, d)
        Of the same type; zero stays zero.
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
        Positive.

    Returns
    -------
    S : ndarray, shape (..., n_coefficients)
        Of the same type.
    """
    return np.sign(S) * np.log1p(np.abs(S) / scale.astype(S.dtype))


def fit_embedding(S, n_components, gaussianize, whiten, n_positions, seed):
    """Learn the map from coefficients to codes.

    Parameters
    ----------
    S : ndarray, shape (n_samples, n_coefficients)
        Scattering coefficients.
    n_components : int
        Length of the codes.
    gaussianize : {"pca", "log", "sphere", "quantile"}
        As in `skwave.CASEGenerator`.
    whiten : bool
        Whether coordinates have variance 1.
    n_positions : int
        Coefficients of each path, which stand together.
    seed : int
        Of the solver.

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
    if n_components > largest:
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
    pca = PCA(n_components, whiten=whiten, random_state=seed).fit(Y)
    variance = pca.explained_variance_
    varying = int(np.sum(variance > 10 * np.finfo(S.dtype).eps * variance[0]))
    if varying < n_components:
        raise ValueError(
            f"n_components={n_components}, but the scattering coefficients vary in {varying} "
            f"directions only: use n_components <= {varying}."
        )
    if gaussianize == "quantile":
        quantiles = np.quantile(pca.transform(Y), _levels(min(N_QUANTILES, len(S))), axis=0)
    return Embedding(gaussianize, pca, scale, quantiles)
