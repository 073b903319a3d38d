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

import torch
from torch import Tensor

from skwave.functional.fourier import extend, filter_fold
from skwave.functional.layout import scattering_paths
from skwave.functional.nonlinearity import modulus, rectifier
from skwave.functional.plan import Plan, Stage, even_size


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


def _propagate(u_hat: Tensor, stage: Stage, plan: Plan) -> Tensor:
    # rho(u * psi) for the wavelets of a scale: (B, H, W) -> (B, P, h, w)
    z = filter_fold(u_hat, stage.tiles, stage.n_filters, plan.geometry.grid(stage.k))
    z = torch.fft.ifftn(z, dim=plan.geometry.axes)
    if plan.n_phases is None:
        return modulus(z, overwrite_z=True)
    return rectifier(z, plan.n_phases).flatten(1, 2)


def _split(u_hat: Tensor, stage: Stage, plan: Plan) -> tuple[Tensor, ...]:
    # maps few enough that those which they give rise to stay in the cache
    size = stage.n_filters * math.prod(plan.geometry.grid(stage.k))
    return u_hat.split(even_size(len(u_hat), plan.block // size))


def _cascade(x: Tensor, plan: Plan) -> Tensor:
    # (B, H, W) -> (B, coefficients), path after path
    axes = plan.geometry.axes
    x = extend(x, plan.index, plan.padding)
    orders = [[_average(x, plan, 0).flatten(1)], [], []]
    x_hat = torch.fft.fftn(x, dim=axes)
    for first in plan.stages:
        u1 = _propagate(x_hat, first, plan)
        orders[1].append(_average(u1, plan, first.k).flatten(1))
        if first.following:
            u1_hat = torch.fft.fftn(u1, dim=axes).flatten(0, 1)
            del u1
            u2 = [
                torch.cat(
                    [
                        _average(_propagate(block, s, plan), plan, s.k).flatten(1)
                        for block in _split(u1_hat, s, plan)
                    ]
                )
                for s in first.following
            ]
            orders[2].append(torch.cat(u2, -1).reshape(len(x), -1))
    return torch.cat([block for order in orders for block in order], -1)


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
    if len(x) == 0:
        s = x.new_zeros(0, sum(math.prod(path.grid) for path in scattering_paths(plan)))
    else:
        blocks = _split(x, plan.stages[0], plan) if plan.stages else (x,)
        s = torch.cat([_cascade(block, plan) for block in blocks])
    if plan.averaging is None:
        return s.reshape(*batch, s.shape[-1])
    grid = geometry.count if plan.averaging == "local" else (1, 1)
    return s.reshape(*batch, s.shape[-1] // math.prod(grid), *grid[: geometry.ndim])
