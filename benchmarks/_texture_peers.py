"""Statistics of textures by other packages, behind one face: a Peer for a shape of image.

The packages are imported when first asked for: pywph (covariances of wavelet phase harmonics),
plenoptic (statistics of Portilla and Simoncelli) and foscat (scattering covariances).
"""

import multiprocessing.dummy
import tempfile
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import torch


class Peer(NamedTuple):
    """What a benchmark needs of a package.

    ``forward(x)`` gives the moments of an image, a flat tensor. ``forward_backward(x)`` gives
    them and the gradient of their sum of squares. ``loss_and_grad(target)`` gives the function
    of a flat image in float64, for ``scipy.optimize.minimize(..., jac=True)``: the squared
    distance to the moments of the target over their squared norm, in the package's own
    normalisation, and its gradient. ``n_moments`` counts a complex number once.
    """

    forward: Callable
    forward_backward: Callable
    loss_and_grad: Callable
    n_moments: int


def pywph_model(size, J, L, dn, norm=None, **model):
    """Default moments of pywph, its "exp" grid of ``dn`` radii; ``model`` as of its load_model.

    The statistics are normalised by the image (norm="auto") in ``loss_and_grad``, as in the
    package's example of a synthesis. Its filters are built by threads: by default it starts
    a process per core, with a copy of everything imported.
    """
    from pywph import wph_operator

    with patch.object(wph_operator, "mp", multiprocessing.dummy):
        op = wph_operator.WPHOp(size, size, J, L=L, dn=dn)
        if model:
            op.load_model(**model)
            op.load_filters()

    def forward(x, norm=norm):
        return op.apply(np.asarray(x), norm=norm)

    def gradient(x, norm, residual):
        # chunk by chunk, as in the package's example, to hold less memory
        x, n_chunks = op.preconfigure(np.asarray(x), requires_grad=True)
        total, found = 0.0, []
        for i in range(n_chunks):
            phi, index = op.apply(x, i, norm=norm, ret_indices=True)
            part = residual(phi, index).abs().square().sum()
            part.backward(retain_graph=i < n_chunks - 1)
            total += float(part.detach())
            found.append(phi.detach())
        return total, x.grad, torch.cat(found)

    def forward_backward(x):
        _, grad, phi = gradient(x, norm, lambda phi, index: phi)
        return phi, grad

    def loss_and_grad(target):
        op.clear_normalization()
        goal = forward(target, norm="auto")
        scale = float(goal.abs().square().sum())

        def evaluate(x):
            x = x.reshape(size, size)
            loss, grad, _ = gradient(x, "auto", lambda phi, index: phi - goal[index])
            return loss / scale, grad.double().numpy().ravel() / scale

        return evaluate

    n_moments = op.nb_wph_moments + op.nb_scaling_moments
    return Peer(forward, forward_backward, loss_and_grad, n_moments)


def differentiable(statistics, size, distance=None):
    """Peer of a function from a float32 image to a flat tensor that autograd can follow."""

    def tensor(x):
        return torch.from_numpy(np.asarray(x, dtype=np.float32)).reshape(size, size)

    def forward(x):
        with torch.no_grad():
            return statistics(tensor(x))

    def forward_backward(x):
        x = tensor(x).requires_grad_()
        phi = statistics(x)
        return phi.detach(), torch.autograd.grad(phi.abs().square().sum(), x)[0]

    def loss_and_grad(target):
        goal = forward(target)
        squares = distance(target) if distance else lambda a, b: (a - b).abs().square().sum()
        scale = squares(torch.zeros_like(goal), goal)

        def evaluate(x):
            x = tensor(x).requires_grad_()
            loss = squares(statistics(x), goal) / scale
            (grad,) = torch.autograd.grad(loss, x)
            return float(loss.detach()), grad.double().numpy().ravel()

        return evaluate

    n_moments = forward(np.random.default_rng(0).standard_normal((size, size))).numel()
    return Peer(forward, forward_backward, loss_and_grad, n_moments)


def plenoptic_model(size, n_scales=4, n_orientations=4):
    """Statistics of Portilla and Simoncelli; the loss is the package's own for them, squared.

    That loss leaves out the extreme pixels and weights the high pass 100 times. The model
    wants images between 0 and 1.
    """
    import plenoptic

    model = plenoptic.models.PortillaSimoncelli((size, size), n_scales, n_orientations)
    plenoptic.remove_grad(model)

    def distance(target):
        image = torch.from_numpy(np.asarray(target, dtype=np.float32))[None, None]
        loss = plenoptic.loss.portilla_simoncelli_loss_factory(model, image)
        return lambda a, b: loss(a[None, None], b[None, None]).square()

    return differentiable(lambda x: model(x[None, None])[0, 0], size, distance)


def foscat_model(size, n_orientations=4):
    """Scattering covariances of foscat over all its scales, unnormalised."""
    with warnings.catch_warnings(), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")
        from foscat import scat_cov2D

        # it keeps its filters in a folder, in the home directory unless told
        operator = scat_cov2D.funct(NORIENT=n_orientations, TEMPLATE_PATH=tempfile.mkdtemp())
    return differentiable(lambda x: operator.eval(x).flatten()[0], size)
