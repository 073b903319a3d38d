"""Fields from noise: what the maximum-entropy model does in steps."""

import warnings
from math import prod

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from skwave._core.batches import batch_rows
from skwave._core.progress import step_reporter
from skwave.functional import lbfgs
from skwave.functional._textures.fields import Reference
from skwave.functional._textures.maxent import (
    conditioner,
    gaussian_field,
    moment_distance,
    resample_spectrum,
)

_MEMORY = 100  # steps that L-BFGS remembers: with 20 the energy after 100 is 1.8 times higher


def start_noise(model, n, shape, generator):
    """Noise to start from, in the unit of the data.

    Parameters
    ----------
    model : MaxEntTextureModel
        Fitted.
    n : int
        Number of fields.
    shape : tuple of int
        Signal.
    generator : RandomState
        Draws it.

    Returns
    -------
    noise : ndarray, shape (n, n_channels, ...)
        Gaussian, of the smoothed spectrum or white.
    """
    white = generator.standard_normal((n, model.n_channels_, *shape)).astype(model.mean_.dtype)
    if model.init == "white":
        return white * model._unit() + model._middle()
    spectrum = _spectrum(model, shape)
    noise = gaussian_field(torch.from_numpy(white).view(n, *spectrum.shape), spectrum)
    return noise.numpy().reshape(n, -1, *shape) + model._middle()


def _spectrum(model, shape):
    # of fields of any shape, on the grid (H, W) or (N, 1)
    after = [1] * (2 - model.ndim)
    spectrum = torch.from_numpy(model.spectrum_)
    spectrum = spectrum.view(model.n_channels_, *model.signal_shape_, *after)
    return resample_spectrum(spectrum, (*shape, *after))


def batches(model, n, shape, copies=1):
    """Rows that are computed at the same time.

    Parameters
    ----------
    model : MaxEntTextureModel
        Fitted.
    n : int
        Number of fields.
    shape : tuple of int
        Signal.
    copies : int, default=1
        Fields that each one is computed with.

    Returns
    -------
    slices : list of slice
        Of one size.
    """
    L = model.L if model.ndim == 2 else 1
    planes = 150 * L * copies + 2 * _MEMORY
    row_bytes = model.mean_.itemsize * model.n_channels_ * prod(shape) * planes
    size = batch_rows(model.batch_size, row_bytes, n)
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def minimise(model, start, shape, objective, copies=1):
    """Move fields until their energy is small; keep the energies in ``model.loss_curve_``.

    Parameters
    ----------
    model : MaxEntTextureModel
        Fitted.
    start : ndarray, shape (n, n_channels, ...)
        Fields in the unit of the data.
    shape : tuple of int
        Signal.
    objective : callable
        ``objective(energy, rows)`` gives the function of standardised fields to minimise, from
        their energy and the slice of rows that they are.
    copies : int, default=1
        Fields that each one is computed with.

    Returns
    -------
    found : ndarray, shape (n, ...)
        Fields of the layout of samples, unfolded.
    """
    target = model._on_device(model.moments_)
    report = step_reporter(type(model).__name__, model.max_iter) if model.verbose else None
    found, curves, interrupted = start.astype(model.mean_.dtype), [], False
    to_field, from_field = conditioner(model._on_device(_spectrum(model, shape)), model.ndim)
    for rows in batches(model, len(start), shape, copies):
        if interrupted:
            break
        x = model._standardised(model._grid(model._on_device(start[rows])))
        family = model._sampling(x)
        energy = moment_distance(lambda x, f=family: model._moments(x, f), target)
        of_field = objective(energy, rows)
        w, history, interrupted = lbfgs(
            lambda w, f=of_field: f(to_field(w)),
            from_field(x),
            max_iter=model.max_iter,
            tol=model.tol,
            memory=_MEMORY,
            on_step=report,
        )
        x = to_field(w).cpu().numpy().reshape(-1, model.n_channels_, *shape)
        found[rows] = x * model._unit() + model._middle()
        curves.append(history.cpu().numpy())
    model.loss_curve_ = _side_by_side(curves)
    _warn(model, interrupted)
    return found.reshape(len(found), *model._channels(), *shape)


def _side_by_side(curves):
    # histories (steps, n) of several lengths: what has stopped stays
    longest = max(len(curve) for curve in curves)
    padded = [np.pad(c, ((0, longest - len(c)), (0, 0)), mode="edge") for c in curves]
    return np.concatenate(padded, axis=1)


def _warn(model, interrupted):
    last = model.loss_curve_[-1].max()
    if interrupted:
        message = "was interrupted: these are the fields found so far. Give them as init= to go on."
    elif last > model.tol:
        message = (
            f"stopped at energies of up to {last:.2g}, above tol={model.tol:g}: increase "
            f"max_iter={model.max_iter}, go on with init=, or increase tol. If the energy no "
            "longer falls, use fewer moments or float64."
        )
    else:
        return
    warnings.warn(f"{type(model).__name__} {message}", ConvergenceWarning, stacklevel=4)


def reference_arrays(ref):
    """Reference of numpy arrays, which pickles small and has no device.

    Parameters
    ----------
    ref : Reference
        Of tensors.

    Returns
    -------
    ref : Reference
        Of arrays.
    """
    return Reference(
        *(
            a.cpu().numpy() if isinstance(a, torch.Tensor) else [b.cpu().numpy() for b in a]
            for a in ref
        )
    )


def to_tensors(ref, like):
    """Reference of tensors.

    Parameters
    ----------
    ref : Reference
        Of arrays.
    like : Tensor
        Gives the type and the device.

    Returns
    -------
    ref : Reference
        Of tensors.
    """

    def convert(a):  # numpydoc ignore=GL08
        return [convert(b) for b in a] if isinstance(a, list) else torch.from_numpy(a).to(like)

    return Reference(*map(convert, ref))
