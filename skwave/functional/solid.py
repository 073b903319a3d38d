r"""Solid harmonics, and the fields that Gaussian densities make with them.

A density that is a sum of Gaussians needs no voxels: its convolution with a solid harmonic
wavelet is a sum of solid harmonics times wider Gaussians, each a sum of separable terms
:math:`x^a y^b z^c e^{-|u|^2/2}`, so that a field on a grid is a few small matrix products.
"""

import math
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

# keep the squares of small fields within the range of float32, or else those of large ones
_SCALES = (2.0**50, 1.0)

Powers = tuple[tuple[int, int, int], ...]
Axes = tuple[Tensor, Tensor, Tensor]
Polynomial = dict[tuple[int, int, int], float]


def _times(p: Polynomial, q: Polynomial) -> Polynomial:
    # {(a, b, c): coefficient} in x, y, z
    r: Polynomial = {}
    for (a, b, c), u in p.items():
        for (d, e, f), v in q.items():
            r[a + d, b + e, c + f] = r.get((a + d, b + e, c + f), 0.0) + u * v
    return r


def _power(p: Polynomial, n: int) -> Polynomial:
    r = {(0, 0, 0): 1.0}
    for _ in range(n):
        r = _times(r, p)
    return r


def _zonal(l: int, m: int) -> Polynomial:
    # the factor of z and r^2 of degree l - m
    r2 = {(2, 0, 0): 1.0, (0, 2, 0): 1.0, (0, 0, 2): 1.0}
    p: Polynomial = {}
    for k in range((l - m) // 2 + 1):
        c = (-1) ** k * math.comb(l, k) * math.comb(2 * l - 2 * k, l) / 2**l
        c *= math.factorial(l - 2 * k) / math.factorial(l - 2 * k - m)
        for key, v in _times(_power(r2, k), {(0, 0, l - 2 * k - m): c}).items():
            p[key] = p.get(key, 0.0) + v
    return p


@cache
def harmonic_polynomials(l: int) -> tuple[Powers, Tensor]:
    r"""Real solid harmonics of degree ``l`` as polynomials.

    They are in Racah's normalisation, :math:`\sum_m C_{\ell m}(r)^2 = |r|^{2\ell}`, and
    :math:`C_{\ell m} = \sqrt{4\pi/(2\ell+1)}\,|r|^\ell\, Y_{\ell m}`.

    Parameters
    ----------
    l : int
        Degree.

    Returns
    -------
    powers : tuple of (int, int, int)
        The monomials :math:`x^a y^b z^c`, :math:`a + b + c = \ell`.
    coefficients : Tensor, shape (2 * l + 1, len(powers))
        In float64, for :math:`m = -\ell, \dots, \ell`.

    Examples
    --------
    >>> powers, coefficients = harmonic_polynomials(1)
    >>> powers
    ((0, 0, 1), (0, 1, 0), (1, 0, 0))
    >>> coefficients.tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    powers = tuple((a, b, l - a - b) for a in range(l + 1) for b in range(l + 1 - a))
    index = {p: i for i, p in enumerate(powers)}
    with torch.inference_mode(False):  # it is kept for others
        coefficients = torch.zeros(2 * l + 1, len(powers), dtype=torch.float64)
        for m in range(l + 1):
            scale = math.sqrt((2 - (m == 0)) * math.factorial(l - m) / math.factorial(l + m))
            # real and imaginary part of (x + iy)^m
            for sign, parity in ((1, 0), (-1, 1)):
                wave = {
                    (m - k, k, 0): math.comb(m, k) * (-1) ** (k // 2)
                    for k in range(parity, m + 1, 2)
                }
                for key, v in _times(wave, _zonal(l, m)).items():
                    coefficients[l + sign * m, index[key]] += scale * v
    return powers, coefficients


def solid_harmonics(r: Tensor, l: int) -> Tensor:
    r"""Real solid harmonics :math:`C_{\ell m}(r)` at points.

    Parameters
    ----------
    r : Tensor, shape (..., 3)
        Points.
    l : int
        Degree.

    Returns
    -------
    c : Tensor, shape (..., 2 * l + 1)
        Racah-normalised: the squares add up to :math:`|r|^{2\ell}`.

    Examples
    --------
    >>> r = torch.tensor([[1.0, 2.0, 2.0]])
    >>> round(float(solid_harmonics(r, 2).square().sum()), 4)
    81.0
    """
    powers, coefficients = harmonic_polynomials(l)
    table = [torch.ones_like(r)]
    for _ in range(l):
        table.append(table[-1] * r)
    monomials = [table[a][..., 0] * table[b][..., 1] * table[c][..., 2] for a, b, c in powers]
    return torch.stack(monomials, -1) @ coefficients.to(r).T


def wavelet_gain(l: int) -> float:
    r"""Amplitude of a solid harmonic wavelet whose modulus has the integral 1.

    .. math:: \psi_{\ell m}(u) = \frac{C_{\ell m}(u)\, e^{-|u|^2/2}}
       {4\pi\, 2^{(\ell+1)/2}\, \Gamma\big(\tfrac{\ell+3}{2}\big)}

    Parameters
    ----------
    l : int
        Degree.

    Returns
    -------
    gain : float
        The constant before :math:`C_{\ell m}`.
    """
    return 1 / (4 * math.pi * 2 ** ((l + 1) / 2) * math.gamma((l + 3) / 2))


def _clean(x: Tensor, peak: float = 1.0) -> Tensor:
    # 0 for what is negligible: products of subnormal numbers take a hundred times longer
    return nn.functional.threshold(x, peak * torch.finfo(x.dtype).tiny ** 0.25, 0.0)


def _profiles(distance: Tensor, l: int) -> list[Tensor]:
    # x^a exp(-x^2 / 2) for a = 0..l
    profiles = [_clean(torch.exp(-0.5 * distance.square()))]
    for _ in range(l):
        profiles.append(profiles[-1] * distance)
    return profiles


def align(positions: Tensor, occupied: Tensor) -> Tensor:
    """Molecules turned to their principal axes, in the middle of the smallest box.

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
        centred = (
            positions - (positions * mask).sum(1, keepdim=True) / mask.sum(1)[:, None]
        ) * mask
        rotation = torch.linalg.eigh(centred.mT @ centred)[1].flip(-1)
        turned = positions @ rotation
        inf = torch.where(occupied, 0.0, math.inf)[..., None]
        middle = ((turned + inf).amin(1, keepdim=True) + (turned - inf).amax(1, keepdim=True)) / 2
    return (positions @ rotation - middle) * mask


class _SafeSqrt(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.sqrt()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        positive = y > 0
        return torch.where(positive, grad / (2 * torch.where(positive, y, 1.0)), 0.0)


def _sqrt(x: Tensor) -> Tensor:
    # with gradient 0 where it is 0
    return _SafeSqrt.apply(x) if x.requires_grad else x.sqrt()


def _modulus(monomials: Tensor, l: int, gain: float) -> Tensor:
    # (B, n_monomials, ...) -> rotation invariant norm over m, with gradient 0 where it is 0
    if l == 0:
        return (gain * monomials[:, 0]).abs()
    coefficients = harmonic_polynomials(l)[1].to(monomials)
    for scale in _SCALES:
        first, *others = ((scale * coefficients) @ monomials.flatten(2)).unbind(1)
        squares = first * first
        for field in others:  # quicker than a sum over an axis of all squares
            squares = torch.addcmul(squares, field, field)
        if not squares.numel() or math.isfinite(float(squares.detach().amax())):
            break
    norm = _sqrt(squares) * (gain / scale)
    return norm.view(len(norm), *monomials.shape[2:])


def gaussian_modulus(
    positions: Tensor, weights: Tensor, axes: Axes, sigma: float, scale: float, l: int
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
    return _modulus(monomials.view(shape), l, wavelet_gain(l) * (scale / s) ** l / s**3)


def map_modulus(u: Tensor, axes: Axes, out: Axes, scale: float, l: int) -> Tensor:
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
    u = _clean(u, float(u.detach().amax()))
    along_z = (u.reshape(-1, nw) @ z.mT).view(l + 1, -1, nv, nz)
    monomials = {}
    for c in range(l + 1):
        n = l + 1 - c
        along_y = (y[:n].flatten(0, 1) @ along_z[c]).view(-1, nu, n, ny * nz)
        for b in range(n):  # the longest axis last: few and large products
            monomials[l - b - c, b, c] = x[l - b - c] @ along_y[:, :, b]
    powers, _ = harmonic_polynomials(l)
    stacked = torch.stack([monomials[p].view(*batch, nx, ny, nz) for p in powers], 1)
    return _modulus(stacked, l, wavelet_gain(l) * cell_volume(axes) / scale**3)


def cell_volume(axes: Axes) -> float:
    """Volume of a cell of a grid.

    Parameters
    ----------
    axes : tuple of Tensor
        Evenly spaced coordinates.

    Returns
    -------
    volume : float
        Product of the steps.
    """
    return math.prod(float(axis[1] - axis[0]) for axis in axes)


def integrals(u: Tensor, powers: tuple[float, ...], volume: float) -> Tensor:
    r"""Integrals :math:`\int u^q` over space.

    Parameters
    ----------
    u : Tensor, shape (..., X, Y, Z)
        Non-negative maps.
    powers : tuple of float
        Exponents :math:`q > 0`.
    volume : float
        Volume of a cell of the grid.

    Returns
    -------
    s : Tensor, shape (..., len(powers))
        Integrals; their gradient is 0 where ``u`` is 0.
    """
    u = u.flatten(-3)
    # what counts for large powers only
    large = _clean(u, float(u.detach().amax()))
    square = large * large
    special = {
        0.5: lambda: _sqrt(u),
        1.0: lambda: u,
        2.0: lambda: square,
        3.0: lambda: square * large,
    }

    def other(q: float) -> Tensor:  # numpydoc ignore=GL08
        # u > 0 keeps the derivative of small powers finite
        return (large if q > 1 else u.clamp_min(torch.finfo(u.dtype).tiny)).pow(q)

    sums = [(special[q]() if q in special else other(q)).sum(-1) for q in powers]
    return volume * torch.stack(sums, -1)
