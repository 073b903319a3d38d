"""Recovery of signals from scattering coefficients, batch after batch."""

from math import prod
from numbers import Integral, Real

import torch

from skwave._core.batches import map_batches
from skwave._core.compat import Interval, validate_parameters
from skwave.functional import invert_scattering
from skwave.functional._scattering.inversion import scale_noise
from skwave.functional._scattering.plan import n_kept

_CONSTRAINTS = {
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
}


def check_minimisation(max_iter, tol, caller):
    """Raise an error if the number of steps or the tolerance of a minimisation is out of range.

    Parameters
    ----------
    max_iter, tol : object
        What the user gave.
    caller : str
        The method, for the message.

    Raises
    ------
    ValueError
        If ``max_iter`` is no integer from 1 on, or ``tol`` no number from 0 on.
    """
    validate_parameters(_CONSTRAINTS, {"max_iter": max_iter, "tol": tol}, caller)


def invert(s, x, plan, *, scale, max_iter, tol, device, on_step=None, **batches):
    r"""Signals whose scattering coefficients are those given.

    Each sample is minimised on its own, :math:`\min_x \|S x - s\|^2 / \|s\|^2`, but all of a
    batch share the evaluations.

    Parameters
    ----------
    s : Tensor, shape (n, n_channels, n_coefficients)
        Coefficients, path after path.
    x : Tensor, shape (n, n_channels, ...)
        Signals to start from, of the type and on the device of ``s``.
    plan : Plan
        Of the signals, of the type of ``s``, on ``device``.
    scale : bool
        Whether the start is noise, to be scaled to the size of the coefficients.
    max_iter : int
        Largest number of steps.
    tol : float
        A sample is done when :math:`\|Sx - s\| \le \mathrm{tol}\,\|s\|`.
    device : torch.device
        Where to compute.
    on_step : callable, default=None
        See `skwave.functional.lbfgs`.
    **batches : object
        The parameters ``batch_size`` and ``n_jobs`` of `map_batches`.

    Returns
    -------
    signals : Tensor, shape (n, n_channels, ...)
        On the device of ``s``.
    interrupted : bool
        Whether Ctrl-C ended a batch: it holds what was found until then, and those that come
        after it hold their start.
    """
    shape, size, n_coefficients = x.shape[1:], prod(x.shape[1:]), prod(s.shape[1:])
    interrupted = False

    def of_rows(rows):  # numpydoc ignore=GL08
        nonlocal interrupted
        s_rows, x_rows = rows.split([n_coefficients, size], 1)
        s_rows, x_rows = s_rows.reshape(-1, *s.shape[1:]), x_rows.reshape(-1, *shape)
        if scale:
            x_rows = scale_noise(x_rows, s_rows, plan)
        if not interrupted:
            x_rows, _, interrupted = invert_scattering(
                s_rows, plan, x_rows, max_iter=max_iter, tol=tol, on_step=on_step
            )
        return x_rows.flatten(1)

    # the memory of the method and of the gradient
    row_values = 40 * size + 6 * n_coefficients + 2 * shape[0] * n_kept(plan)
    with torch.inference_mode(False):
        # a row holds coefficients and start, so that both are cut into the same batches
        rows = torch.cat([s.flatten(1), x.flatten(1)], 1)
        found = map_batches(
            of_rows,
            rows,
            n_out=size,
            row_bytes=rows.dtype.itemsize * row_values,
            dtype=rows.dtype,
            device=device,
            **batches,
        )
    return found.reshape(len(s), *shape), interrupted
