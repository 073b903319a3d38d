r"""The scattering cascade: wavelets, a nonlinearity, wavelets again, an average.

.. math:: S_J x = \big( x\star\phi_J,\; \rho(x\star\psi_\lambda)\star\phi_J,\;
   \rho(\rho(x\star\psi_\lambda)\star\psi_{\lambda'})\star\phi_J \big),
   \quad j(\lambda') > j(\lambda)

What depends on the shape and the parameters alone is computed once, by
`scattering_plan`; `scattering` then is a short loop over scales. A map at scale
:math:`2^j` is computed on the grid of step :math:`2^j` from the start: its spectrum is
folded by `filter_fold`, and the average :math:`\star\phi_J` is a small matrix product.
"""

import math
from math import prod
from typing import Any

import torch
from torch import Tensor

from skwave.functional._scattering.layout import map_shape, scattering_paths
from skwave.functional._scattering.plan import (
    Plan,
    Stage,
    filter_maps,
    is_padded,
    is_spectral,
    n_kept,
    split,
    stage_shape,
)
from skwave.functional._wavelets.fourier import (
    extend,
    extend_adjoint,
    resize_spectrum,
    unfold_filter,
)
from skwave.functional._wavelets.nonlinearity import (
    modulus,
    modulus_adjoint,
    rectifier,
    rectifier_adjoint,
)

# blocks are smaller where coefficients are kept beside them, and once more on the way back,
# which has twice the temporaries
_DIVIDE = 2
_DIVIDE_BACK = 4


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


def _order_2(u_hat: Tensor, stage: Stage, plan: Plan, kept: Shelf | None) -> Tensor:
    # spectra of maps (B, H, W) -> coefficients (B, n); what rho acts on is put into kept
    blocks = []
    for block in split(u_hat, stage, plan, 1 if kept is None else _DIVIDE):
        z = filter_maps(block, stage, plan)
        if kept is not None:
            kept.take(z.shape).copy_(z)
        blocks.append(_nonnegative(_rectify(z, plan), plan, stage.k))
    return torch.cat(blocks)


def _average(u: Tensor, plan: Plan, k: int) -> Tensor:
    # maps (..., h, w) on the grid of step 2**k -> (..., *plan grid of the coefficients)
    geometry, lowpass = plan.geometry, plan.lowpass[k]
    if not lowpass:
        return u[(..., *geometry.inside(k))]
    if not is_spectral(plan):
        rows, *columns = lowpass
        return rows @ (u @ columns[0].mT if columns else u)
    (phi_hat,) = lowpass
    n = geometry.extended[0] // geometry.step
    s_hat = torch.fft.rfft(u, dim=-2)[..., : len(phi_hat), :] * phi_hat
    s = torch.fft.irfft(s_hat, n=n, dim=-2) * (n / u.shape[-2])
    return s.narrow(-2, geometry.first[0], geometry.count[0])


def _nonnegative(u: Tensor, plan: Plan, k: int) -> Tensor:
    # averages of what is nowhere negative: filters of finite bandwidth are, a little
    return _average(u, plan, k).flatten(1).clamp_(min=0)


def _rectify(z: Tensor, plan: Plan) -> Tensor:
    # rho(z), with one path for each phase
    if plan.n_phases is None:
        return modulus(z, overwrite_z=True)
    return rectifier(z, plan.n_phases).flatten(1, 2)


def _cascade(x: Tensor, plan: Plan, kept: Shelf | None = None) -> Tensor:
    # (B, H, W) -> (B, coefficients), path after path
    axes = plan.geometry.axes
    x = extend(x, plan.index, plan.boundary)
    orders = [[_average(x, plan, 0).flatten(1)], [], []]
    x_hat = torch.fft.fftn(x, dim=axes)
    for first in plan.stages:
        u1 = _rectify(filter_maps(x_hat, first, plan), plan)
        orders[1].append(_nonnegative(u1, plan, first.k))
        if first.following:
            u1_hat = torch.fft.fftn(u1, dim=axes).flatten(0, 1)
            del u1
            u2 = [_order_2(u1_hat, stage, plan, kept) for stage in first.following]
            orders[2].append(torch.cat(u2, -1).reshape(len(x), -1))
    return torch.cat([block for order in orders for block in order], -1)


def _blocks(x: Tensor, plan: Plan, divide: int = 1) -> tuple[Tensor, ...]:
    # signals, or their coefficients, so few that their maps stay in the cache
    return split(x, plan.stages[0], plan, divide) if plan.stages else (x,)


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
    geometry, lowpass = plan.geometry, plan.lowpass[k]
    height, width = geometry.grid(k)
    if not lowpass:
        u = s.new_zeros((*s.shape[:-2], height, width))
        u[(..., *geometry.inside(k))] = s
        return u
    if not is_spectral(plan):
        rows, *columns = lowpass
        return rows.mT @ (s @ columns[0] if columns else s)
    (phi_hat,) = lowpass
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
    if not is_padded(out, stage, plan):
        unfold_filter(z_hat, stage.tiles, out)
        return
    padded = out.new_zeros((len(out), *plan.geometry.extended))
    out += resize_spectrum(unfold_filter(z_hat, stage.tiles, padded), plan.geometry.span)


def _inverse(x_hat: Tensor, plan: Plan) -> Tensor:
    # adjoint of the transform of real maps
    return torch.fft.ifftn(x_hat, dim=plan.geometry.axes, norm="forward").real


def _order_2_adjoint(u: Tensor, s: Tensor, first: Stage, kept: Shelf, plan: Plan) -> Tensor:
    # gradient by the maps u of the first order of what they give rise to
    u_hat = torch.zeros_like(u.flatten(0, 1), dtype=u.dtype.to_complex())
    sizes = [prod(stage_shape(stage, plan)) for stage in first.following]
    parts = s.reshape(len(u_hat), -1).split(sizes, -1)
    for stage, part in zip(first.following, parts, strict=True):
        part = part.unflatten(-1, stage_shape(stage, plan))
        for s_block, out in zip(
            split(part, stage, plan, _DIVIDE_BACK),
            split(u_hat, stage, plan, _DIVIDE_BACK),
            strict=True,
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
    x_hat = torch.fft.fftn(extend(x, plan.index, plan.boundary), dim=plan.geometry.axes)
    gradient_hat = torch.zeros_like(x_hat)
    orders = zip(plan.stages, shapes, blocks[: len(sizes)], blocks[len(sizes) :], strict=True)
    for first, shape, s1, s2 in orders:
        u = average_adjoint(s1.unflatten(-1, shape), plan, first.k)
        if first.following:
            u += _order_2_adjoint(u, s2, first, kept, plan)
        _propagate_adjoint(u, filter_maps(x_hat, first, plan), first, plan, gradient_hat)
    gradient = average_adjoint(s0.unflatten(-1, grid), plan, 0) + _inverse(gradient_hat, plan)
    return extend_adjoint(gradient, plan.index, plan.geometry.shape)


def _all(x: Tensor, plan: Plan, kept: Shelf | None = None) -> Tensor:
    blocks = _blocks(x, plan, 1 if kept is None else _DIVIDE)
    return torch.cat([_cascade(block, plan, kept) for block in blocks])


class _Scattering(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, plan: Plan) -> tuple[Tensor, Tensor]:
        # one piece of memory: many that outlive the steps between them would leave holes
        kept = x.new_empty(len(x) * n_kept(plan), dtype=x.dtype.to_complex())
        return _all(x, plan, Shelf(kept)), kept

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.plan = inputs[1]
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(inputs[0], *output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, _: None) -> tuple[Tensor | None, None]:
        if grad is None:
            return None, None
        x, s, kept = ctx.saved_tensors
        with torch.autocast(x.device.type, enabled=False):
            if torch.is_grad_enabled():
                # a derivative of the gradient is asked for: through the graph of all steps
                return torch.autograd.grad(_all(x, ctx.plan), x, grad, create_graph=True)[0], None
            grad = grad.clone()
            grad[:, prod(map_shape(ctx.plan, 0)) :] *= s[:, prod(map_shape(ctx.plan, 0)) :] > 0
            parts, shelf = [_blocks(t, ctx.plan, _DIVIDE) for t in (x, grad)], Shelf(kept)
            gradients = [
                cascade_adjoint(b, g, shelf, ctx.plan) for b, g in zip(*parts, strict=True)
            ]
            return torch.cat(gradients), None


def scattering(x: Tensor, plan: Plan) -> Tensor:
    r"""Scattering coefficients of signals, all in one call.

    Parameters
    ----------
    x : Tensor, shape (..., N) or (..., H, W)
        Real signals of the shape, dtype and device of the plan.
    plan : Plan
        Made by `scattering_plan`.

    Returns
    -------
    s : Tensor
        Shape ``(..., n_paths, *grid)`` where all paths share one grid; for
        ``averaging=None`` the maps are flattened one after the other, ``(..., n)``. The
        paths are those of `scattering_paths`.

    Examples
    --------
    >>> from skwave.functional import scattering_plan
    >>> plan = scattering_plan((32, 32), J=2, L=4)
    >>> scattering(torch.randn(5, 3, 32, 32), plan).shape
    torch.Size([5, 3, 25, 8, 8])
    """
    geometry = plan.geometry
    batch = x.shape[: -geometry.ndim]
    x = x.reshape(-1, *geometry.shape)
    with torch.autocast(x.device.type, enabled=False):
        if len(x) == 0:
            s = x.new_zeros(0, sum(math.prod(path.grid) for path in scattering_paths(plan)))
        elif x.requires_grad and torch.is_grad_enabled():
            s, _ = _Scattering.apply(x, plan)
        else:
            s = _all(x, plan)
    if plan.averaging is None:
        return s.reshape(*batch, s.shape[-1])
    grid = geometry.count if plan.averaging == "local" else (1, 1)
    return s.reshape(*batch, s.shape[-1] // math.prod(grid), *grid[: geometry.ndim])
