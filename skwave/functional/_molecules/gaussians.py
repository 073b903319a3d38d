r"""Solid harmonic wavelet fields of Gaussian densities, on grids.

A density that is a sum of Gaussians needs no voxels: its convolution with a solid harmonic
wavelet is a sum of solid harmonics times wider Gaussians, each a sum of separable terms
:math:`x^a y^b z^c e^{-|u|^2/2}`, so that a field on a grid is a few small matrix products.
"""

import math

import torch
from torch import Tensor, nn

from skwave.functional._molecules.solid_harmonics import harmonic_polynomials, wavelet_gain
from skwave.functional._wavelets.fourier import widest_float
from skwave.functional._wavelets.nonlinearity import safe_sqrt

# keep the squares of small fields within the range of float32, or else those of large ones
_SCALES = (2.0**50, 1.0)

Axes = tuple[Tensor, Tensor, Tensor]


def _clean(x: Tensor, peak: Tensor | float = 1.0) -> Tensor:
    # 0 for what is negligible: products of subnormal numbers take a hundred times longer
    least = peak * torch.finfo(x.dtype).tiny ** 0.25
    if isinstance(least, Tensor) and x.device.type != "cpu":  # a number would be waited for
        return torch.where(x > least, x, 0.0)
    return nn.functional.threshold(x, float(least), 0.0)


def _profiles(distance: Tensor, l: int) -> list[Tensor]:
    # x^a exp(-x^2 / 2) for a = 0..l
    profiles = [_clean(torch.exp(-0.5 * distance.square()))]
    for _ in range(l):
        profiles.append(profiles[-1] * distance)
    return profiles


# moments that differ by less than this part of their sum count as equal
_TIE = 1e-3


def _far_axes(r: Tensor) -> Tensor:
    # (B, K, 3) -> (B, 3, 3), a a^T + b b^T / 2: a points to the atom farthest from the centre, b
    # to the one farthest from the line of a. Atoms at one distance by symmetry give frames that
    # the symmetry maps to each other, so that the integrals do not depend on which is taken.
    axes = []
    # atoms on a line have no second axis, only rounding
    least = (1e-6 * r.square().sum(-1).amax(-1).sqrt()).clamp_min(torch.finfo(r.dtype).tiny)
    for _ in range(2):
        index = r.square().sum(-1).argmax(-1)
        axis = r[torch.arange(len(r), device=r.device), index]
        axis = axis / axis.norm(dim=-1).maximum(least)[:, None]
        r = r - (r @ axis[..., None]) * axis[:, None]
        axes.append(axis[:, :, None] * axis[:, None, :])
    return axes[0] + axes[1] / 2


def align(positions: Tensor, occupied: Tensor) -> Tensor:
    """Molecules turned to their principal axes, in the middle of the smallest box.

    Equal moments leave axes open (methane, benzene): there they follow atoms, so that a molecule
    of any symmetry that is turned comes out the same, or as its own mirror image.

    Parameters
    ----------
    positions : Tensor, shape (B, K, 3)
        Atoms.
    occupied : Tensor of bool, shape (B, K)
        Whether there is an atom.

    Returns
    -------
    aligned : Tensor, shape (B, K, 3)
        The longest extent along x, the shortest along z; 0 where there is no atom. The
        rotation and the translation are constants to autograd.
    """
    mask = occupied[..., None].to(positions)
    with torch.no_grad():
        # on the CPU: many small decompositions, which a GPU computes no faster and waits for
        rotation, middle = (a.to(positions) for a in _pose(positions.cpu(), occupied.cpu()))
    return (positions @ rotation - middle) * mask


def _pose(positions: Tensor, occupied: Tensor) -> tuple[Tensor, Tensor]:
    # rotations (B, 3, 3) to the principal axes, and the middles (B, 1, 3) of the turned molecules
    mask = occupied[..., None].to(positions)
    centred = (positions - (positions * mask).sum(1, keepdim=True) / mask.sum(1)[:, None]) * mask
    moments = centred.mT @ centred
    values, axes = torch.linalg.eigh(moments)
    size = _TIE * values.sum(-1)[:, None, None]
    tied = (values[:, :, None] - values[:, None, :]).abs() <= size
    far = torch.where(tied, axes.mT @ _far_axes(centred) @ axes, 0.0)
    rotation = (axes @ torch.linalg.eigh(values.diag_embed() + size * far)[1]).flip(-1)
    turned = positions @ rotation
    inf = torch.where(occupied, 0.0, math.inf)[..., None]
    middle = ((turned + inf).amin(1, keepdim=True) + (turned - inf).amax(1, keepdim=True)) / 2
    return rotation, middle


def _bump(t: Tensor, f2: Tensor) -> Tensor:
    rest = 1 - t
    return 0.125 * f2 * rest * rest * rest * (1 - 11 / 3 * t)


def _smooth(squares: Tensor, floor: Tensor) -> Tensor:
    # p = |w|^2 -> p + f^2 g(p / f^2), with g(t) = (1 - t)^3 (1 - 11 t / 3) / 8 for t < 1, else 0:
    # the result is positive, with two continuous derivatives, and its integral over a zero of
    # w = A (u - u_0) is that of p, since the integral of g(r^2) r^2 from 0 to 1 is 0
    if squares.device.type != "cpu":  # how many are near would be waited for
        close = squares < floor * floor
        f2 = torch.where(close, floor, 1.0).square()
        return torch.where(
            close, squares + _bump(torch.where(close, squares, 0.0) / f2, f2), squares
        )
    near = (squares < floor * floor).flatten().nonzero()[:, 0]
    f2 = floor.flatten()[near].square()
    added = _bump(squares.flatten()[near] / f2, f2)
    return squares.flatten().index_add(0, near, added).view_as(squares)


def _scales(monomials: Tensor) -> tuple[float | Tensor, ...]:
    # factors to try until the squares are finite: on the CPU, where it costs little to look at them
    if monomials.device.type == "cpu" or not monomials.numel():
        return _SCALES
    top = monomials.detach().abs().amax().clamp_min(torch.finfo(monomials.dtype).tiny)
    return (torch.exp2(-torch.log2(top).floor()),)


def _modulus(monomials: Tensor, l: int, gain: Tensor | float, floor: Tensor | None) -> Tensor:
    # (B, n_monomials, ...) -> rotation invariant norm over m, with gradient 0 where it is 0
    if l == 0:
        return (gain * monomials[:, 0]).abs()
    coefficients = harmonic_polynomials(l)[1].to(monomials)
    scales = _scales(monomials)
    for scale in scales:
        first, *others = ((scale * coefficients) @ monomials.flatten(2)).unbind(1)
        squares = first * first
        for field in others:  # quicker than a sum over an axis of all squares
            squares = torch.addcmul(squares, field, field)
        if floor is not None:
            squares = _smooth(squares, (scale / gain) * floor.flatten(1))
        if len(scales) == 1 or not squares.numel() or bool(squares.detach().amax().isfinite()):
            break
    norm = safe_sqrt(squares) * (gain / scale)
    return norm.view(len(norm), *monomials.shape[2:])


def gaussian_modulus(
    positions: Tensor,
    weights: Tensor,
    axes: Axes,
    sigma: float,
    scale: float,
    l: int,
    floor: Tensor | None = None,
) -> Tensor:
    r"""Modulus of the solid harmonic wavelet coefficients of a sum of Gaussians.

    .. math:: U[j,\ell]\rho(u) = g \frac{\sigma_j^\ell}{s^{\ell+3}} \Big( \sum_m \Big|
       \sum_k c_k\, C_{\ell m}\big(\tfrac{u - r_k}{s}\big)
       e^{-|u - r_k|^2/2s^2} \Big|^2 \Big)^{1/2}, \quad s^2 = \sigma^2 + \sigma_j^2

    with :math:`g` from `wavelet_gain`: the exact convolution of
    :math:`\rho(u) = \sum_k c_k\, g_\sigma(u - r_k)` with
    :math:`\sigma_j^{-3} \psi_{\ell m}(\sigma_j^{-1} u)`.

    Parameters
    ----------
    positions : Tensor, shape (B, K, 3)
        Centres :math:`r_k`.
    weights : Tensor, shape (B, C, K)
        Weights :math:`c_k` of ``C`` densities; 0 where there is no atom.
    axes : tuple of Tensor
        Coordinates of the grid along x, y and z, in the unit of ``positions``.
    sigma : float
        Width of the Gaussians.
    scale : float
        Width :math:`\sigma_j` of the wavelet; 0 with ``l=0`` gives the density itself.
    l : int
        Degree.
    floor : Tensor, shape (B, C, X, Y, Z), default=None
        Modulus under which the cusps at the zeros are smoothed, for ``l > 0``; None to keep them.

    Returns
    -------
    u : Tensor, shape (B, C, X, Y, Z)
        Modulus on the grid; differentiable in ``positions``, with gradient 0 where it is 0.
    """
    s = math.hypot(sigma, scale)
    x, y, z = (_profiles((axis - positions[..., i, None]) / s, l) for i, axis in enumerate(axes))
    powers, _ = harmonic_polynomials(l)
    left = torch.stack([x[a] for a, _, _ in powers], 1)[:, :, None] * weights[:, None, :, :, None]
    right = torch.stack([y[b][..., None] * z[c][..., None, :] for _, b, c in powers], 1)
    left = left.mT.flatten(2, 3)
    monomials = left @ right.flatten(3)
    shape = (len(positions), len(powers), weights.shape[1], *map(len, axes))
    return _modulus(monomials.view(shape), l, wavelet_gain(l) * (scale / s) ** l / s**3, floor)


def map_modulus(
    u: Tensor, axes: Axes, out: Axes, scale: float, l: int, floor: Tensor | None = None
) -> Tensor:
    r"""Modulus of the solid harmonic wavelet coefficients of maps.

    .. math:: U(v) = \Big( \sum_m \big| u \star \psi_{j,\ell,m}(v) \big|^2 \Big)^{1/2}

    with the convolution summed over the grid, axis after axis, straight onto another grid.

    Parameters
    ----------
    u : Tensor, shape (B, C, X, Y, Z)
        Maps.
    axes : tuple of Tensor
        Evenly spaced coordinates of ``u``.
    out : tuple of Tensor
        Coordinates of the result.
    scale : float
        Width :math:`\sigma_j` of the wavelet.
    l : int
        Degree.
    floor : Tensor, shape (B, C, X', Y', Z'), default=None
        Modulus under which the cusps at the zeros are smoothed, for ``l > 0``; None to keep them.

    Returns
    -------
    modulus : Tensor, shape (B, C, X', Y', Z')
        Modulus on the grid ``out``.
    """
    x, y, z = (
        torch.stack(_profiles((to[:, None] - at) / scale, l))
        for at, to in zip(axes, out, strict=True)
    )
    (nx, ny, nz), (*batch, nu, nv, nw) = map(len, out), u.shape
    u = _clean(u, u.detach().amax())
    along_z = (u.reshape(-1, nw) @ z.mT).view(l + 1, -1, nv, nz)
    monomials = {}
    for c in range(l + 1):
        n = l + 1 - c
        along_y = (y[:n].flatten(0, 1) @ along_z[c]).view(-1, nu, n, ny * nz)
        for b in range(n):  # the longest axis last: few and large products
            monomials[l - b - c, b, c] = x[l - b - c] @ along_y[:, :, b]
    powers, _ = harmonic_polynomials(l)
    stacked = torch.stack([monomials[p].view(*batch, nx, ny, nz) for p in powers], 1)
    return _modulus(stacked, l, wavelet_gain(l) * cell_volume(axes) / scale**3, floor)


def cell_volume(axes: Axes) -> Tensor:
    """Volume of a cell of a grid.

    Parameters
    ----------
    axes : tuple of Tensor
        Evenly spaced coordinates.

    Returns
    -------
    volume : Tensor, shape ()
        Product of the steps, on their device, which nobody waits for.
    """
    steps = torch.stack([axis[1] - axis[0] for axis in axes])
    return steps.to(widest_float(steps.device)).prod()


def integrals(u: Tensor, powers: tuple[float, ...], volume: Tensor | float) -> Tensor:
    r"""Integrals :math:`\int u^q` over space.

    Parameters
    ----------
    u : Tensor, shape (..., X, Y, Z)
        Non-negative maps.
    powers : tuple of float
        Exponents :math:`q > 0`.
    volume : float or Tensor
        Volume of a cell of the grid.

    Returns
    -------
    s : Tensor, shape (..., len(powers))
        Integrals; their gradient is 0 where ``u`` is 0.
    """
    u = u.flatten(-3)
    # what counts for large powers only
    large = _clean(u, u.detach().amax())
    square = large * large
    special = {
        0.5: lambda: safe_sqrt(u),
        1.0: lambda: u,
        2.0: lambda: square,
        3.0: lambda: square * large,
    }

    def other(q: float) -> Tensor:  # numpydoc ignore=GL08
        # u > 0 keeps the derivative of small powers finite
        return (large if q > 1 else u.clamp_min(torch.finfo(u.dtype).tiny)).pow(q)

    wide = widest_float(u.device)
    sums = [(special[q]() if q in special else other(q)).sum(-1, dtype=wide) for q in powers]
    return volume * torch.stack(sums, -1)
