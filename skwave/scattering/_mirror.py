"""Scattering coefficients of mirrored images, from those of the images."""

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from skwave.scattering._transformer import ScatteringTransformer


def mirror_features(S, scattering, axis=-1):
    r"""Scattering coefficients of the mirrored images, from those of the images.

    A mirror maps the wavelet at the angle :math:`\theta` to the one at :math:`-\theta`, and
    the grid of the coefficients to itself. With ``u`` along ``axis``, at the positions
    :math:`u_m` of the :math:`M` coefficients,

    .. math:: S_J[\theta, \theta']\,y(u_m) = S_J[-\theta, -\theta']\,x(u_{M-1-m}),
       \qquad y(u) = x(u_0 + u_{M-1} - u) .

    The coefficients of ``y`` are those of ``x`` in another order, and cost an indexing. The
    image ``y`` is the mirrored ``x``, moved by less than the step of the coefficients, which
    is ``2**J`` unless ``T`` is given: ``roll(flip(x), 1 - 2**J)`` if ``2**J`` divides the size.

    On a periodic image whose sides ``2**J`` divides, the equation holds to rounding in
    order 1, and in order 2 up to the values of the filters at the Nyquist frequency of
    coarser maps, about 1e-5 for ``Q=1, L=8``. Otherwise it holds away from the border, where
    extension and mirror do not commute. With ``averaging="global"`` the result is the mean
    over the mirrored image.

    Parameters
    ----------
    S : array-like or Tensor, shape (n_samples, n_features)
        What ``scattering.transform`` gave for images, with all of its features in order,
        ``log`` or not.
    scattering : ScatteringTransformer
        Fitted, with ``ndim=2``, and ``averaging`` that is ``"local"`` or ``"global"``.
    axis : {-1, -2}, default=-1
        Axis that is mirrored: -1 exchanges left and right, -2 top and bottom.

    Returns
    -------
    S_mirrored : ndarray or Tensor, shape (n_samples, n_features)
        Coefficients of the mirrored images, in the order of ``S``.

    Raises
    ------
    TypeError
        If ``scattering`` is no `ScatteringTransformer`.
    ValueError
        If it transforms signals or does not average, if ``axis`` is another, or if ``S``
        does not have its features.

    See Also
    --------
    skwave.ScatteringTransformer : The transform.

    Examples
    --------
    >>> import numpy as np
    >>> from skwave import ScatteringTransformer
    >>> X = np.random.default_rng(0).standard_normal((5, 32, 32))
    >>> scattering = ScatteringTransformer(J=2, ndim=2, boundary="periodic").fit(X)
    >>> S = mirror_features(scattering.transform(X), scattering)
    >>> X_mirrored = np.roll(np.flip(X, -1), 1 - 2**2, axis=-1)
    >>> np.allclose(S, scattering.transform(X_mirrored))
    True
    """
    _check(scattering, axis)
    if not isinstance(S, torch.Tensor):
        S = np.asarray(S)
    shape = scattering.output_shape_
    n_features = int(np.prod(shape))
    if S.ndim != 2 or S.shape[1] != n_features:
        raise ValueError(
            f"S has the shape {tuple(S.shape)}, but this ScatteringTransformer gives "
            f"(n_samples, {n_features}). Give what its transform gave, before any selection or "
            "projection of features."
        )
    columns = np.arange(n_features).reshape(shape)[:, _mirrored_paths(scattering, axis)]
    if scattering.averaging == "local":
        columns = np.flip(columns, axis)
    return S[:, columns.ravel()]


def _check(scattering, axis):
    if not isinstance(scattering, ScatteringTransformer):
        raise TypeError(
            f"scattering={scattering!r} must be a fitted ScatteringTransformer; take it out of a "
            "pipeline by pipeline['scattering'], say."
        )
    check_is_fitted(scattering)
    if scattering.ndim_ != 2:
        raise ValueError(
            f"ndim={scattering.ndim_}: there is no mirror for signals, whose reversal in time is "
            "another signal. Only images, ndim=2, have one."
        )
    if scattering.averaging not in ("local", "global") or scattering.reduce is not None:
        raise ValueError(
            f"averaging={scattering.averaging!r}, reduce={scattering.reduce!r}: maps that are not "
            "averaged lie on grids which a mirror does not keep, and statistics and means over "
            "rotations have no orientations. Use averaging='local' or 'global' and reduce=None, or "
            "transform the mirrored images."
        )
    if axis not in (-1, -2):
        raise ValueError(
            f"axis={axis!r} must be -1 (exchange left and right) or -2 (top and bottom)."
        )


def _mirrored_paths(scattering, axis):
    # index of the path of x that gives each path of the mirrored image
    L, paths = scattering.L, scattering.paths_
    n, theta, phase = (paths[name].copy() for name in ("n", "theta", "phase"))
    used = n >= 0
    # theta_l = (K - l) pi / L, and l -> 2 K - l mod L mirrors it
    opposite = 2 * int(L - L / 2 - 1) - theta
    n += np.where(used, opposite % L - theta, 0)
    # a wavelet that is mirrored onto the opposite of another has its conjugate coefficients
    conjugate = (opposite // L != 0) ^ (axis == -2)
    if scattering.nonlinearity == "rectifier":
        phase = np.where(used & conjugate, -phase % scattering.n_phases, phase)
    index = {tuple(key): i for i, key in enumerate(np.hstack([paths["n"], paths["phase"]]))}
    return [index[tuple(key)] for key in np.hstack([n, phase])]
