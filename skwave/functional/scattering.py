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
from typing import Any

import torch
from torch import Tensor

from skwave.functional.adjoint import Shelf, cascade_adjoint
from skwave.functional.fourier import extend
from skwave.functional.layout import scattering_paths
from skwave.functional.nonlinearity import modulus, rectifier
from skwave.functional.plan import Plan, Stage, filter_maps, n_kept, split

# blocks are smaller where coefficients are kept beside them
_DIVIDE = 2


def _average(u: Tensor, plan: Plan, k: int) -> Tensor:
    # maps (..., h, w) on the grid of step 2**k -> (..., *plan grid of the coefficients)
    geometry = plan.geometry
    if plan.averaging != "local":
        u = u[(..., *geometry.inside(k))]
        return u if plan.averaging is None else u.mean((-2, -1), keepdim=True)
    if geometry.ndim == 2:
        rows, columns = plan.lowpass[k]
        return rows @ (u @ columns.mT)
    (phi_hat,) = plan.lowpass[k]
    n = geometry.extended[0] // geometry.step
    s_hat = torch.fft.rfft(u, dim=-2)[..., : len(phi_hat), :] * phi_hat
    s = torch.fft.irfft(s_hat, n=n, dim=-2) * (n / u.shape[-2])
    return s.narrow(-2, geometry.first[0], geometry.count[0])


def _rectify(z: Tensor, plan: Plan) -> Tensor:
    # rho(z), with one path for each phase
    if plan.n_phases is None:
        return modulus(z, overwrite_z=True)
    return rectifier(z, plan.n_phases).flatten(1, 2)


def _order_2(u_hat: Tensor, stage: Stage, plan: Plan, kept: Shelf | None) -> Tensor:
    # spectra of maps (B, H, W) -> coefficients (B, n); what rho acts on is put into kept
    blocks = []
    for block in split(u_hat, stage, plan, 1 if kept is None else _DIVIDE):
        z = filter_maps(block, stage, plan)
        if kept is not None:
            kept.take(z.shape).copy_(z)
        blocks.append(_average(_rectify(z, plan), plan, stage.k).flatten(1))
    return torch.cat(blocks)


def _cascade(x: Tensor, plan: Plan, kept: Shelf | None = None) -> Tensor:
    # (B, H, W) -> (B, coefficients), path after path
    axes = plan.geometry.axes
    x = extend(x, plan.index, plan.padding)
    orders = [[_average(x, plan, 0).flatten(1)], [], []]
    x_hat = torch.fft.fftn(x, dim=axes)
    for first in plan.stages:
        u1 = _rectify(filter_maps(x_hat, first, plan), plan)
        orders[1].append(_average(u1, plan, first.k).flatten(1))
        if first.following:
            u1_hat = torch.fft.fftn(u1, dim=axes).flatten(0, 1)
            del u1
            u2 = [_order_2(u1_hat, stage, plan, kept) for stage in first.following]
            orders[2].append(torch.cat(u2, -1).reshape(len(x), -1))
    return torch.cat([block for order in orders for block in order], -1)


def _blocks(x: Tensor, plan: Plan, divide: int = 1) -> tuple[Tensor, ...]:
    # signals, or their coefficients, so few that their maps stay in the cache
    return split(x, plan.stages[0], plan, divide) if plan.stages else (x,)


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
        ctx.save_for_backward(inputs[0], output[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, _: None) -> tuple[Tensor | None, None]:
        if grad is None:
            return None, None
        x, kept = ctx.saved_tensors
        with torch.autocast(x.device.type, enabled=False):
            if torch.is_grad_enabled():
                # a derivative of the gradient is asked for: through the graph of all steps
                return torch.autograd.grad(_all(x, ctx.plan), x, grad, create_graph=True)[0], None
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
