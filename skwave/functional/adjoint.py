r"""The gradient of the scattering cascade, written out.

Every step of the cascade but the nonlinearity is linear, so that the gradient runs back
through the adjoint of each. Of the forward pass only the wavelet coefficients of the second
order are kept, and those of the first, which are few, are computed again: a quarter of the
memory of a graph of all the steps, and less time.
"""

from math import prod

import torch
from torch import Tensor

from skwave.functional.fourier import extend, extend_adjoint, unfold_filter
from skwave.functional.layout import map_shape
from skwave.functional.nonlinearity import modulus_adjoint, rectifier_adjoint
from skwave.functional.plan import Plan, Stage, filter_maps, split, stage_shape

# the way back has twice the temporaries
_DIVIDE = 4


class Shelf:
    """Tensors that lie one after the other in one block of memory.

    Parameters
    ----------
    memory : Tensor, shape (n,)
        The block.
    """

    def __init__(self, memory: Tensor):
        self.rest = memory

    def take(self, shape: tuple[int, ...]) -> Tensor:
        """Take the next tensor.

        Parameters
        ----------
        shape : tuple of int
            Its shape.

        Returns
        -------
        x : Tensor
            View of the memory.
        """
        x, self.rest = self.rest.tensor_split([prod(shape)])
        return x.view(shape)


def average_adjoint(s: Tensor, plan: Plan, k: int) -> Tensor:
    """Adjoint of the average of maps.

    Parameters
    ----------
    s : Tensor, shape (..., H, W)
        Gradient by the coefficients.
    plan : Plan
        Made by `scattering_plan`.
    k : int
        The maps are sampled every ``2**k`` samples.

    Returns
    -------
    u : Tensor, shape (..., h, w)
        Gradient by the maps.
    """
    geometry = plan.geometry
    height, width = geometry.grid(k)
    if plan.averaging != "local":
        u = s.new_zeros((*s.shape[:-2], height, width))
        inside = u[(..., *geometry.inside(k))]
        inside += s if plan.averaging is None else s / inside.shape[-2:].numel()
        return u
    if geometry.ndim == 2:
        rows, columns = plan.lowpass[k]
        return rows.mT @ (s @ columns)
    (phi_hat,) = plan.lowpass[k]
    n = geometry.extended[0] // geometry.step
    padded = s.new_zeros((*s.shape[:-2], n, 1))
    padded.narrow(-2, geometry.first[0], geometry.count[0]).copy_(s)
    s_hat = torch.fft.rfft(padded, dim=-2) * phi_hat
    if n % 2 == 0 and n < height:  # the Nyquist bin stood for both its signs
        s_hat[..., -1, :] /= 2
    return torch.fft.irfft(s_hat, n=height, dim=-2)


def _propagate_adjoint(u: Tensor, z: Tensor, stage: Stage, plan: Plan, out: Tensor) -> None:
    # gradient by rho(z), z = x * psi -> gradient by the spectrum of x, added to out
    if plan.n_phases is None:
        z = modulus_adjoint(u, z)
    else:
        z = rectifier_adjoint(u.unflatten(1, (-1, plan.n_phases)), z)
    z_hat = torch.fft.fftn(z, dim=plan.geometry.axes, norm="forward")
    unfold_filter(z_hat, stage.tiles, out)


def _inverse(x_hat: Tensor, plan: Plan) -> Tensor:
    # adjoint of the transform of real maps
    return torch.fft.ifftn(x_hat, dim=plan.geometry.axes, norm="forward").real


def _order_2(u: Tensor, s: Tensor, first: Stage, kept: Shelf, plan: Plan) -> Tensor:
    # gradient by the maps u of the first order of what they give rise to
    u_hat = torch.zeros_like(u.flatten(0, 1), dtype=u.dtype.to_complex())
    sizes = [prod(stage_shape(stage, plan)) for stage in first.following]
    parts = s.reshape(len(u_hat), -1).split(sizes, -1)
    for stage, part in zip(first.following, parts, strict=True):
        part = part.unflatten(-1, stage_shape(stage, plan))
        for s_block, out in zip(
            split(part, stage, plan, _DIVIDE), split(u_hat, stage, plan, _DIVIDE), strict=True
        ):
            z = kept.take((len(out), stage.n_filters, *plan.geometry.grid(stage.k)))
            _propagate_adjoint(average_adjoint(s_block, plan, stage.k), z, stage, plan, out)
    return _inverse(u_hat, plan).view_as(u)


def cascade_adjoint(x: Tensor, s: Tensor, kept: Shelf, plan: Plan) -> Tensor:
    r"""Gradient of a function of scattering coefficients by the signals.

    .. math:: \nabla_x f(S x) = (\partial S x)^{\mathsf T}\, \nabla f(S x)

    Parameters
    ----------
    x : Tensor, shape (B, H, W)
        Signals.
    s : Tensor, shape (B, n)
        Gradient by the coefficients, path after path.
    kept : Shelf
        Wavelet coefficients of the second order, in the order of the forward pass.
    plan : Plan
        Made by `scattering_plan`.

    Returns
    -------
    gradient : Tensor, shape (B, H, W)
        Gradient by the signals.
    """
    shapes = [stage_shape(first, plan) for first in plan.stages]
    sizes = [prod(shape) for shape in shapes]
    sizes_2 = [
        shape[0] * sum(prod(stage_shape(stage, plan)) for stage in first.following)
        for first, shape in zip(plan.stages, shapes, strict=True)
    ]
    grid = map_shape(plan, 0)
    s0, *blocks = s.split([prod(grid), *sizes, *sizes_2], -1)
    x_hat = torch.fft.fftn(extend(x, plan.index, plan.padding), dim=plan.geometry.axes)
    gradient_hat = torch.zeros_like(x_hat)
    orders = zip(plan.stages, shapes, blocks[: len(sizes)], blocks[len(sizes) :], strict=True)
    for first, shape, s1, s2 in orders:
        u = average_adjoint(s1.unflatten(-1, shape), plan, first.k)
        if first.following:
            u += _order_2(u, s2, first, kept, plan)
        _propagate_adjoint(u, filter_maps(x_hat, first, plan), first, plan, gradient_hat)
    gradient = average_adjoint(s0.unflatten(-1, grid), plan, 0) + _inverse(gradient_hat, plan)
    return extend_adjoint(gradient, plan.index, plan.geometry.shape)
