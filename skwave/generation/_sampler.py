"""Distributions of the codes of `skwave.CASEGenerator`, from which new codes are drawn."""

from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.mixture import GaussianMixture

from skwave._core.arrays import from_tensor, native, resolve_device
from skwave.generation._embedding import N_QUANTILES

_N_MIXTURE = 10


@dataclass(frozen=True)
class Sampler:
    """Distributions of codes: normal, normal with the norms of codes, mixture of Gaussians.

    Attributes
    ----------
    deviation : ndarray, shape (n_components,)
        Standard deviations of the codes.
    norms : ndarray
        Quantiles of the norm of the codes over their deviations.
    mixture : GaussianMixture or None
        Mixture fitted to the codes; None if ``sampler`` was not "mixture".
    """

    deviation: np.ndarray
    norms: np.ndarray
    mixture: GaussianMixture | None

    def __call__(self, n_samples, kind, rng):
        """Draw codes.

        Parameters
        ----------
        n_samples : int
            Number of codes.
        kind : {"normal", "norm", "mixture"}
            Distribution.
        rng : RandomState
            Source of randomness.

        Returns
        -------
        Z : ndarray of float64, shape (n_samples, n_components)
            Codes.
        """
        if kind == "mixture":
            mixture = copy(self.mixture).set_params(random_state=rng)  # other threads draw too
            return rng.permutation(mixture.sample(n_samples)[0])  # they come by component
        Z = rng.standard_normal((n_samples, len(self.deviation)))
        if kind == "norm":
            levels = np.linspace(0, 1, len(self.norms))
            r = np.interp(rng.uniform(size=n_samples), levels, self.norms)
            Z *= (r / np.linalg.norm(Z, axis=1))[:, None]
        return Z * self.deviation


def fit_sampler(Z, mixture, seed):
    """Fit the distributions of codes.

    Parameters
    ----------
    Z : ndarray, shape (n_samples, n_components)
        Codes.
    mixture : bool
        Whether to fit a mixture of Gaussians.
    seed : int
        Seed of the start of the mixture.

    Returns
    -------
    sampler : Sampler
        Fitted.
    """
    deviation = Z.std(0, dtype=np.float64)
    deviation = np.where(deviation > 0, deviation, 1)
    norms = np.linalg.norm(Z / deviation, axis=1)
    norms = np.quantile(norms, np.linspace(0, 1, min(N_QUANTILES, len(Z))))
    model = None
    if mixture:
        model = GaussianMixture(
            min(_N_MIXTURE, len(Z)), covariance_type="diag", reg_covar=1e-3, max_iter=500,
            tol=1e-2, random_state=seed,
        ).fit(Z.astype(np.float64)).set_params(random_state=None)  # fmt: skip
    return Sampler(deviation, norms, model)


def draw_codes(fitted, n_samples, sampler, rng):
    """Draw codes from a fitted distribution, or from another estimator.

    Parameters
    ----------
    fitted : Sampler
        Distributions of the training codes.
    n_samples : int
        Number of codes.
    sampler : {"normal", "norm", "mixture"} or estimator
        Distribution, or an estimator with a method ``sample``.
    rng : RandomState
        Source of randomness, but for an estimator.

    Returns
    -------
    Z : ndarray, shape (n_samples, n_components)
        Codes.
    """
    if hasattr(sampler, "sample"):
        Z = sampler.sample(n_samples)
        return Z[0] if isinstance(Z, tuple) else Z
    if sampler not in ("normal", "norm", "mixture"):
        raise ValueError(
            f"sampler={sampler!r} must be 'normal', 'norm', 'mixture', or an estimator with a "
            "method sample."
        )
    if sampler == "mixture" and fitted.mixture is None:
        raise ValueError(
            "sampler='mixture' was not fitted: give it as a parameter before fit, or a fitted "
            "GaussianMixture here."
        )
    return fitted(n_samples, sampler, rng)


def between(A, B, n_steps):
    """Codes on straight lines between pairs of codes.

    Parameters
    ----------
    A, B : array, shape (n_pairs, n_components)
        Codes where the lines begin and end, arrays of any kind.
    n_steps : int
        Codes of each line, with both ends.

    Returns
    -------
    Z : array, shape (n_pairs * n_steps, n_components)
        Codes, line after line; same kind of array as ``A``.
    """
    t = torch.linspace(0, 1, n_steps)[:, None]
    a, b = (torch.as_tensor(native(z))[:, None].cpu() for z in (A, B))
    Z = (a + (b - a) * t.to(a)).flatten(0, 1)
    return from_tensor(Z.to(resolve_device(None, A)), A)
