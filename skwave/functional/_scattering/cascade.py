r"""Scattering cascade and its gradient: wavelets, a nonlinearity, wavelets again, an average.

.. math:: S_J x = \big( x\star\phi_J,\; \rho(x\star\psi_\lambda)\star\phi_J,\;
   \rho(\rho(x\star\psi_\lambda)\star\psi_{\lambda'})\star\phi_J \big),
   \quad j(\lambda') > j(\lambda)

What depends on the shape and the parameters alone is computed once, by
`scattering_plan`; `scattering` then is a short loop over scales. A map at scale
:math:`2^j` is computed on the grid of step :math:`2^j` from the start: its spectrum is
folded by `filter_fold`, and the average :math:`\star\phi_J` is a small matrix product.

The gradient is written out, `cascade_adjoint`, in place of autograd's graph: of a forward pass
only the signals and the wavelet coefficients of the second order are kept, which a `Shelf`
holds in the order in which they are made, and used.

On a CPU, `compiled.py` takes the place of both, where it serves.
"""

from math import prod
from typing import Any

import torch
from torch import Tensor

from skwave.functional._scattering.compiled import (
    compiled_adjoint,
    compiled_cascade,
    serves,
)
from skwave.functional._scattering.layout import map_shape, scattering_paths
from skwave.functional._scattering.plan import (
    Plan,
    Stage,
    even_size,
    is_padded,
    is_spectral,
    n_kept,
    stage_shape,
)
from skwave.functional._wavelets.fourier import (
    extend,
    extend_adjoint,
    filter_fold,
    resize_spectrum,
    unfold_filter,
)
from skwave.functional._wavelets.nonlinearity import (
    modulus,
    modulus_adjoint,
    power_of_two,
    rectifier,
    rectifier_adjoint,
)

# blocks are smaller where coefficients are kept beside them, and once more on the way back,
# which has twice the temporaries
_DIVIDE = 2
_DIVIDE_BACK = 4


class Shelf:
    """Tensors stored one after the other in one block of memory.

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


def _filter_maps(u_hat: Tensor, stage: Stage, plan: Plan) -> Tensor:
    # spectra of maps (B, H, W) -> wavelet coefficients u * psi of a stage, (B, n_filters, h, w)
    # on the grid of the stage
    if is_padded(u_hat, stage, plan):
        u_hat = resize_spectrum(u_hat, plan.geometry.extended)
    z_hat = filter_fold(u_hat, stage.tiles, stage.n_filters, plan.geometry.grid(stage.k))
    return torch.fft.ifftn(z_hat, dim=plan.geometry.axes)


def _split(u: Tensor, stage: Stage, plan: Plan, divide: int = 1) -> tuple[Tensor, ...]:
    # blocks of maps that the stage acts on, or of their coefficients, (B, ...) along axis 0: so
    # small that what the stage makes of one stays in the cache, and `divide` times smaller
    size = stage.n_filters * prod(plan.geometry.grid(stage.k))
    return u.split(even_size(len(u), plan.block // (divide * size)))


def _order_2(u_hat: Tensor, stage: Stage, plan: Plan, kept: Shelf | None) -> Tensor:
    # spectra of maps of order 1, (B, H, W), -> coefficients (B, n) of the second wavelets of a
    # stage; their coefficients before rho, (b, n_filters, h, w) of each block, go into kept
    blocks = []
    for block in _split(u_hat, stage, plan, 1 if kept is None else _DIVIDE):
        z = _filter_maps(block, stage, plan)
        if kept is not None:
            kept.take(z.shape).copy_(z)
        blocks.append(_nonnegative(_rectify(z, plan), plan, stage.k))
    return torch.cat(blocks)


def _average(u: Tensor, plan: Plan, k: int) -> Tensor:
    # maps (..., h, w) of the extended signal, sampled every 2**k samples, -> their averages
    # (..., *map_shape(plan, k)): a product with a matrix for each axis, or the maps on the signal
    geometry, lowpass = plan.geometry, plan.lowpass[k]
    if not lowpass:
        return u[(..., *geometry.inside(k))]
    if not is_spectral(plan):
        rows, *columns = lowpass
        return rows @ (u @ columns[0].mT if columns else u)
    # the spectrum is cut to the n positions of the extended signal: irfft divides by n, not by the
    # h samples of the map
    (phi_hat,) = lowpass
    n = geometry.extended[0] // geometry.step
    s_hat = torch.fft.rfft(u, dim=-2)[..., : len(phi_hat), :] * phi_hat
    s = torch.fft.irfft(s_hat, n=n, dim=-2) * (n / u.shape[-2])
    return s.narrow(-2, geometry.first[0], geometry.count[0])


def _nonnegative(u: Tensor, plan: Plan, k: int) -> Tensor:
    # averages of what is nowhere negative: those of filters of finite bandwidth are, a little
    s = _average(u, plan, k).flatten(1)
    return s.clamp_(min=0) if plan.lowpass[k] else s


def _rectify(z: Tensor, plan: Plan) -> Tensor:
    # rho(z), with one path for each phase
    if plan.n_phases is None:
        return modulus(z, overwrite_z=True)
    return rectifier(z, plan.n_phases).flatten(1, 2)


def _cascade(x: Tensor, plan: Plan, kept: Shelf | None = None) -> Tensor:
    # signals (B, H, W) -> coefficients (B, n), path after path: order 0, the paths of each first
    # stage, then the paths of order 2 of each first stage. u1 is (B, paths, h, w); order 2 takes
    # its maps as a batch (B * paths, h, w), and gives (B * paths, n), (B, paths * n) reshaped
    axes = plan.geometry.axes
    x = extend(x, plan.index, plan.boundary)
    orders = [[_average(x, plan, 0).flatten(1)], [], []]
    x_hat = torch.fft.fftn(x, dim=axes)
    for first in plan.stages:
        u1 = _rectify(_filter_maps(x_hat, first, plan), plan)
        orders[1].append(_nonnegative(u1, plan, first.k))
        if first.following:
            u1_hat = torch.fft.fftn(u1, dim=axes).flatten(0, 1)
            del u1
            u2 = [_order_2(u1_hat, stage, plan, kept) for stage in first.following]
            orders[2].append(torch.cat(u2, -1).reshape(len(x), -1))
    return torch.cat([block for order in orders for block in order], -1)


def _blocks(x: Tensor, plan: Plan, divide: int = 1) -> tuple[Tensor, ...]:
    # signals, or their coefficients, so few that their maps stay in the cache
    return _split(x, plan.stages[0], plan, divide) if plan.stages else (x,)


def average_adjoint(s: Tensor, plan: Plan, k: int) -> Tensor:
    """Adjoint of the average: gradient by maps, from the gradient by their averages.

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
    # gradient u (B, paths, h, w) by rho(z), z = x * psi -> gradient by the spectrum of x, added
    # to out (B, H, W)
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
    # gradient by the maps of order 1, of the shape of u, from the gradient s (B, paths * n) by
    # the coefficients of order 2 that they give; z comes from kept in the order of _order_2
    u_hat = torch.zeros_like(u.flatten(0, 1), dtype=u.dtype.to_complex())
    sizes = [prod(stage_shape(stage, plan)) for stage in first.following]
    parts = s.reshape(len(u_hat), -1).split(sizes, -1)
    for stage, part in zip(first.following, parts, strict=True):
        part = part.unflatten(-1, stage_shape(stage, plan))
        for s_block, out in zip(
            _split(part, stage, plan, _DIVIDE_BACK),
            _split(u_hat, stage, plan, _DIVIDE_BACK),
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
    # s is order 0, order 1 of each first stage, order 2 of each first stage: see _cascade
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
        _propagate_adjoint(u, _filter_maps(x_hat, first, plan), first, plan, gradient_hat)
    gradient = average_adjoint(s0.unflatten(-1, grid), plan, 0) + _inverse(gradient_hat, plan)
    return extend_adjoint(gradient, plan.index, plan.given)


def _all(x: Tensor, plan: Plan, kept: Shelf | None = None) -> Tensor:
    # coefficients (B, n) of signals (B, H, W), block after block, each signal at a scale of 1:
    # c S(x / c) = S(x), and so have both one gradient
    graph = x.requires_grad and torch.is_grad_enabled()
    if kept is None and not graph and serves(x, plan):
        return compiled_cascade(x, plan)
    c = power_of_two(x, (-2, -1))
    blocks = _blocks(x / c, plan, 1 if kept is None else _DIVIDE)
    return torch.cat([_cascade(block, plan, kept) for block in blocks]).mul_(c[:, 0])


def _clamp_adjoint(grad: Tensor, s: Tensor, plan: Plan) -> Tensor:
    # gradient (B, n) by the coefficients s -> by what _nonnegative made them of, all but order 0
    passes = s > 0
    passes[:, : prod(map_shape(plan, 0))] = True
    return grad * passes


class _Scattering(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, plan: Plan) -> tuple[Tensor, Tensor]:
        if serves(x, plan):  # and its gradient computes the coefficients of order 2 anew
            return _all(x, plan), x.new_empty(0, dtype=x.dtype.to_complex())
        # one piece of memory: many that outlive the steps between them would leave holes
        kept = x.new_empty(len(x) * n_kept(plan), dtype=x.dtype.to_complex())
        return _all(x, plan, Shelf(kept)), kept

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.plan, ctx.compiled = inputs[1], serves(*inputs)
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
            if ctx.compiled:
                return compiled_adjoint(x, s, grad, ctx.plan), None
            grad = _clamp_adjoint(grad, s, ctx.plan)
            x = x / power_of_two(x, (-2, -1))
            parts, shelf = [_blocks(t, ctx.plan, _DIVIDE) for t in (x, grad)], Shelf(kept)
            gradients = [
                cascade_adjoint(b, g, shelf, ctx.plan) for b, g in zip(*parts, strict=True)
            ]
            return torch.cat(gradients), None


def scattering(x: Tensor, plan: Plan) -> Tensor:
    r"""Scattering coefficients of signals.

    Parameters
    ----------
    x : Tensor, shape (..., N) or (..., H, W)
        Real signals of the shape, dtype and device of the plan; pieces of a longer signal with
        what lies around them, ``plan.given[0]`` samples, if the plan's boundary is "given".
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
    x = x.reshape(-1, *plan.given)
    with torch.autocast(x.device.type, enabled=False):
        if len(x) == 0:
            s = x.new_zeros(0, sum(prod(path.grid) for path in scattering_paths(plan)))
        elif x.requires_grad and torch.is_grad_enabled():
            s, _ = _Scattering.apply(x, plan)
        else:
            s = _all(x, plan)
    if plan.averaging is None:
        return s.reshape(*batch, s.shape[-1])
    grid = geometry.count if plan.averaging == "local" else (1, 1)
    return s.reshape(*batch, s.shape[-1] // prod(grid), *grid[: geometry.ndim])
