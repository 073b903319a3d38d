"""Synthesis of fields: from noise, or from other fields, by moving them until the moments agree."""

import warnings
from math import prod
from typing import NamedTuple

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from skwave._core.batches import batch_rows, run_batches
from skwave.functional import lbfgs
from skwave.functional._textures.maxent import conditioner, gaussian_field

_MEMORY = 100  # steps that L-BFGS remembers: with 20 the energy after 100 is 1.8 times higher


class Synthesis(NamedTuple):
    """Fields that a synthesis has found.

    Attributes
    ----------
    fields : ndarray, shape (n, n_channels, ...)
        Fields in the unit of the data.
    loss_curve : ndarray, shape (n_steps + 1, n)
        Objective after every step; the last row is that of ``fields``.
    interrupted : bool
        Whether Ctrl-C ended it.
    """

    fields: np.ndarray
    loss_curve: np.ndarray
    interrupted: bool


def start_noise(moments, n, shape, generator, init="gaussian"):
    """Gaussian noise to start from, in the unit of the data.

    Parameters
    ----------
    moments : FieldMoments
        Moments of the fitted field.
    n : int
        Number of fields.
    shape : tuple of int
        Signal.
    generator : RandomState
        Draws the noise.
    init : {"gaussian", "white"}, default="gaussian"
        Noise of the smoothed spectrum of the field, or white noise.

    Returns
    -------
    noise : ndarray, shape (n, n_channels, ...)
        Noise with the mean and the variance of the field.
    """
    mean, scale = moments.unit()
    white = generator.standard_normal((n, moments.n_channels, *shape)).astype(mean.dtype)
    if init == "white":
        return white * scale + mean
    spectrum = moments.spectrum_of(shape)
    noise = gaussian_field(torch.from_numpy(white).view(n, *spectrum.shape), spectrum)
    return noise.numpy().reshape(white.shape) + mean


def batches(moments, n, shape, batch_size="auto", copies=1):
    """Rows of the fields that are computed at the same time.

    Parameters
    ----------
    moments : FieldMoments
        Moments of the fitted field.
    n : int
        Number of fields.
    shape : tuple of int
        Signal.
    batch_size : int or "auto", default="auto"
        Fields at once; ``"auto"`` keeps within scikit-learn's ``working_memory``.
    copies : int, default=1
        Fields that the moments of each field are averaged over.

    Returns
    -------
    rows : list of range
        Of one size, but for the last.
    """
    itemsize, n_channels = moments.mean.itemsize, moments.n_channels
    # wavelet fields with their gradients, and the steps that L-BFGS remembers
    row_bytes = moments.signals.row_bytes(itemsize, n_channels, shape, 150 * copies)
    row_bytes += 2 * _MEMORY * itemsize * n_channels * prod(shape)
    size = batch_rows(batch_size, row_bytes, n)
    return [range(start, min(start + size, n)) for start in range(0, n, size)]


def sampling(moments):
    """Objective of samples: their energy.

    Parameters
    ----------
    moments : FieldMoments
        Moments of the fitted field.

    Returns
    -------
    objective : callable
        Objective for `synthesise`.
    """
    return lambda z, rows: moments.energy(moments.of_samples(z))


def inpainting(moments, X, known):
    """Objective of fields of which something is known: their energy with the known samples.

    Where realisations are not periodic, the completed fields are not either.

    Parameters
    ----------
    moments : FieldMoments
        Moments of the fitted field.
    X : ndarray, shape (n, n_channels, ...)
        Fields in the unit of the data.
    known : ndarray of bool, shape (n, n_channels, ...)
        True where ``X`` is known.

    Returns
    -------
    objective : callable
        Objective for `synthesise`.
    """

    def objective(z, rows):  # numpydoc ignore=GL08
        periodic = moments.signals.boundary == "periodic"
        energy = moments.energy(moments.of_samples(z, periodic=periodic))
        x = moments.standardised(moments.tensor(X[rows]))
        is_known = moments.signals.on_grid(moments.tensor(known[rows])) > 0
        return lambda z: energy(torch.where(is_known, x, z))

    return objective


def denoising(moments, Y, draws):
    r"""Objective of fields that have, with noise added, the moments of noisy ones.

    .. math:: E(x) = d\Big( \frac1D \sum_d \phi(x + n_d),\; \phi(y) \Big)

    with the distance :math:`d` of the energy.

    Parameters
    ----------
    moments : FieldMoments
        Moments of the fitted field.
    Y : ndarray, shape (n, n_channels, ...)
        Noisy fields in the unit of the data.
    draws : ndarray, shape (n_draws, n_channels, ...)
        Draws of the noise, in the unit of the data.

    Returns
    -------
    objective : callable
        Objective for `synthesise`.
    """
    draws = draws / moments.unit()[1]

    def objective(z, rows):  # numpydoc ignore=GL08
        phi = moments.of_samples(z)
        n = moments.signals.on_grid(moments.tensor(draws))

        def averaged(z):  # numpydoc ignore=GL08
            noisy = (z[:, None] + n).flatten(0, 1)  # (B, n_draws, C, H, W) as one batch
            return phi(noisy).unflatten(0, (-1, len(n))).mean(1)

        y = moments.standardised(moments.tensor(Y[rows]))
        with torch.no_grad():
            return moments.distance(averaged, phi(y))

    return objective


def synthesise(
    moments,
    start,
    objective,
    *,
    max_iter=200,
    tol=5e-6,
    batch_size="auto",
    copies=1,
    on_step=None,
):
    """Move fields by L-BFGS until their objective is small.

    Parameters
    ----------
    moments : FieldMoments
        Moments of the fitted field.
    start : ndarray, shape (n, n_channels, ...)
        Fields to start from, in the unit of the data.
    objective : callable
        ``objective(z, rows)`` gives the function (B, C, H, W) -> (B,) to minimise, from the
        standardised fields ``z`` to start from and the slice of the rows that they are.
    max_iter : int, default=200
        Largest number of steps.
    tol : float, default=5e-6
        A field is done when its objective is at most this.
    batch_size : int or "auto", default="auto"
        Fields at once; halved while the device has not enough memory.
    copies : int, default=1
        Fields that the moments of each field are averaged over.
    on_step : callable, default=None
        Hook of `skwave.functional.lbfgs`.

    Returns
    -------
    synthesis : Synthesis
        Fields and their objectives. After Ctrl-C fields of later batches are those of the start.
    """
    shape, (mean, scale) = start.shape[2:], moments.unit()
    fields, curves, interrupted = start.astype(mean.dtype), [], False
    # all fields move in coordinates in which scales are equally easy to move
    to_field, from_field = conditioner(moments.tensor(moments.spectrum_of(shape)), len(shape))

    def compute(rows):  # numpydoc ignore=GL08
        part = slice(rows.start, rows.stop)
        z = moments.standardised(moments.tensor(start[part]))
        of_field = objective(z, part)
        minimum = lbfgs(
            lambda w: of_field(to_field(w)),
            from_field(z),
            max_iter=max_iter,
            tol=tol,
            memory=_MEMORY,
            on_step=on_step,
        )
        return part, minimum._replace(x=to_field(minimum.x))

    rows = batches(moments, len(start), shape, batch_size, copies)
    for part, (z, history, interrupted) in run_batches(
        compute, rows, n_samples=len(start), n_jobs=1
    ):
        fields[part] = z.cpu().numpy().reshape(-1, *start.shape[1:]) * scale + mean
        curves.append(history.cpu().numpy())
        if interrupted:
            break
    return Synthesis(fields, _side_by_side(curves), interrupted)


def _side_by_side(curves):
    # histories (steps, n) of several lengths: a field that has stopped keeps its last value
    longest = max(len(curve) for curve in curves)
    padded = [np.pad(c, ((0, longest - len(c)), (0, 0)), mode="edge") for c in curves]
    return np.concatenate(padded, axis=1)


def warn_of(synthesis, name, max_iter, tol):
    """Warn of a synthesis that was interrupted, or that stopped above its tolerance.

    Parameters
    ----------
    synthesis : Synthesis
        Fields and their objectives.
    name : str
        Name of the estimator.
    max_iter : int
        Largest number of steps.
    tol : float
        Tolerance.

    Warns
    -----
    ConvergenceWarning
        With what to do.
    """
    last = synthesis.loss_curve[-1].max()
    if synthesis.interrupted:
        message = "was interrupted: these are the fields found so far. Give them as init= to go on."
    elif last > tol:
        message = (
            f"stopped at energies of up to {last:.2g}, above tol={tol:g}: increase "
            f"max_iter={max_iter}, go on with init=, or increase tol. If the energy no "
            "longer falls, use fewer moments or float64."
        )
    else:
        return
    warnings.warn(f"{name} {message}", ConvergenceWarning, stacklevel=4)
