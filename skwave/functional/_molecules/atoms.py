r"""Wavelet fields of the elements of a molecule, sampled at its atoms: no grid at all."""

import math

import torch
from torch import Tensor

from skwave.functional._molecules.solid_harmonics import solid_harmonics

# eigenvalues of an overlap below this share of the largest are rounding errors
_RANK = 1e-13


def radial_functions(r2: Tensor, widths: tuple[float, ...], l: int) -> Tensor:
    r"""Gaussian radial functions of several widths, made orthonormal.

    .. math:: f_a(r) = \sum_b (O^{-1/2})_{ab}\, r^\ell e^{-r^2/2 s_b^2}, \qquad
       \int_0^\infty f_a f_b\, r^2\, dr = \delta_{ab}

    given without the factor :math:`r^\ell`, which solid harmonics hold. The overlap is
    :math:`O_{ab} \propto (1/2s_a^2 + 1/2s_b^2)^{-(\ell + 3/2)}`. Of widths so close that their
    functions depend on each other to rounding, the span is kept.

    Parameters
    ----------
    r2 : Tensor, shape (...)
        Squared distances, whose derivative exists at 0.
    widths : tuple of float
        Widths :math:`s_b`, in the unit of distances.
    l : int
        Degree.

    Returns
    -------
    f : Tensor, shape (..., len(widths))
        Functions over :math:`r^\ell`.
    """
    s = torch.tensor(widths, dtype=torch.float64)
    inverse = 1 / (2 * s**2)
    overlap = 0.5 * math.gamma(l + 1.5) * (inverse[:, None] + inverse) ** -(l + 1.5)
    values, vectors = torch.linalg.eigh(overlap)
    scale = torch.where(values > _RANK * values[-1], values.abs().rsqrt(), 0.0)
    root = (vectors * scale) @ vectors.T
    gaussians = torch.exp(-r2[..., None] * inverse.to(r2))
    return gaussians @ root.to(r2)


def local_fields(positions: Tensor, weights: Tensor, widths: tuple[float, ...], l: int) -> Tensor:
    r"""Wavelet fields of densities of points, at these points.

    .. math:: W_{e,j,\ell,m}(r_k) = \sum_{k'} c_{e,k'}\, f_{j,\ell}(|r_k - r_{k'}|)\,
       Y_{\ell m}(r_k - r_{k'})

    with the functions of `radial_functions` and real orthonormal spherical harmonics.

    Parameters
    ----------
    positions : Tensor, shape (B, K, 3)
        Atoms.
    weights : Tensor, shape (B, E, K)
        Weights :math:`c_{e,k}` of the atoms in ``E`` densities, 0 where there is no atom.
    widths : tuple of float
        Widths of the radial functions, in the unit of ``positions``.
    l : int
        Degree.

    Returns
    -------
    fields : Tensor, shape (B, K, E, len(widths), 2 * l + 1)
        Fields.
    """
    r = positions[:, :, None] - positions[:, None]
    harmonics = math.sqrt((2 * l + 1) / (4 * math.pi)) * solid_harmonics(r, l)
    radial = radial_functions(r.square().sum(-1), widths, l)
    weighted = radial[:, :, :, None] * weights.mT[:, None, :, :, None]
    return (weighted.flatten(3).mT @ harmonics).unflatten(2, (weights.shape[1], -1))


def local_invariants(
    positions: Tensor,
    weights: Tensor,
    widths: tuple[float, ...],
    L: int,
    groups: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    r"""Rotation invariant products of wavelet fields across scales and elements, at the atoms.

    .. math:: \Phi_{(e,j),(e',j'),\ell} = \sqrt{\frac{2 - \delta}{2\ell + 1}} \sum_k \sum_m
       W_{e,j,\ell,m}(r_k)\, W_{e',j',\ell,m}(r_k), \qquad (e, j) \le (e', j')

    where :math:`\delta = 1` if :math:`(e, j) = (e', j')`, else 0: half of a symmetric matrix
    stands for the whole in the inner product of two :math:`\Phi`.

    Parameters
    ----------
    positions : Tensor, shape (B, K, 3)
        Atoms.
    weights : Tensor, shape (B, E, K)
        Weights of the atoms in ``E`` densities, 0 where there is no atom.
    widths : tuple of float
        Widths of the radial functions, in the unit of ``positions``.
    L : int
        Largest degree.
    groups : Tensor, shape (B, G, K), default=None
        1 for the atoms :math:`k` over which each sum runs, else 0. None for one sum over all
        atoms.
    dtype : torch.dtype, default=None
        Type of the products; that of ``positions`` by default.

    Returns
    -------
    phi : Tensor, shape (B, G, L + 1, P)
        Products of the ``P = n * (n + 1) / 2`` pairs of the ``n = E * len(widths)``
        channels, in the order of ``torch.triu_indices(n, n)``; differentiable. Without
        ``groups`` the axis ``G`` is left out.

    Examples
    --------
    >>> positions = torch.tensor([[[0.0, 0.0, 0.0], [0.0, 0.0, 0.74]]])
    >>> local_invariants(positions, torch.ones(1, 1, 2), (0.3, 0.6), L=2).shape
    torch.Size([1, 3, 3])
    """
    n = weights.shape[1] * len(widths)
    rows, columns = torch.triu_indices(n, n, device=positions.device)
    occupied = (weights != 0).any(1, keepdim=True)
    masks = (occupied if groups is None else groups).to(positions)[:, :, None, :, None]
    factor = (2 - (rows == columns).to(dtype or positions.dtype)).sqrt()
    products = []
    for l in range(L + 1):
        fields = local_fields(positions, weights, widths, l).flatten(2, 3).transpose(1, 2)
        fields = fields.to(dtype or positions.dtype)
        of_groups = (fields[:, None] * masks.to(fields)).flatten(3)
        gram = of_groups @ fields.flatten(2).mT[:, None]
        products.append(gram[..., rows, columns] * (factor / math.sqrt(2 * l + 1)))
    phi = torch.stack(products, 2)
    return phi[:, 0] if groups is None else phi
