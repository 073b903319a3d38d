"""Real solid harmonics as polynomials, and the wavelets made of them."""

import math
from functools import cache

import torch
from torch import Tensor

Powers = tuple[tuple[int, int, int], ...]
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


def solid_harmonics_up_to(r: Tensor, L: int) -> Tensor:
    r"""Real solid harmonics of all degrees up to ``L`` at points, by recurrences.

    .. math:: C_{\ell,\pm m}(r) = \sqrt{(2 - \delta_{m0}) \tfrac{(\ell-m)!}{(\ell+m)!}}\;
       \Pi_{\ell m}\, {\mathrm{Re} \atop \mathrm{Im}} (x + iy)^m, \qquad
       (\ell - m)\, \Pi_{\ell m} = (2\ell - 1)\, z\, \Pi_{\ell-1,m}
       - (\ell + m - 1)\, |r|^2\, \Pi_{\ell-2,m}

    from :math:`\Pi_{mm} = (2m-1)!!`.

    Parameters
    ----------
    r : Tensor, shape (..., 3)
        Points.
    L : int
        Largest degree.

    Returns
    -------
    c : Tensor, shape (..., (L + 1) ** 2)
        Those of `solid_harmonics`, degree after degree.

    Examples
    --------
    >>> r = torch.tensor([[1.0, 2.0, 2.0]])
    >>> bool(torch.allclose(solid_harmonics_up_to(r, 3)[:, 4:9], solid_harmonics(r, 2)))
    True
    """
    x, y, z = r.unbind(-1)
    r2 = r.square().sum(-1)
    cosine, sine = torch.ones_like(x), torch.zeros_like(x)  # of m times the azimuth
    found = {}
    for m in range(L + 1):
        below, zonal = torch.zeros_like(x), torch.full_like(x, math.prod(range(1, 2 * m, 2)))
        for l in range(m, L + 1):
            if l > m:
                step = (2 * l - 1) * z * zonal - (l + m - 1) * r2 * below
                below, zonal = zonal, step / (l - m)
            scaled = _azimuthal_gain(l, m) * zonal
            found[l, -m], found[l, m] = scaled * sine, scaled * cosine
        cosine, sine = x * cosine - y * sine, x * sine + y * cosine
    return torch.stack([found[l, m] for l in range(L + 1) for m in range(-l, l + 1)], -1)


def _azimuthal_gain(l: int, m: int) -> float:
    return math.sqrt((2 - (m == 0)) * math.factorial(l - m) / math.factorial(l + m))


@cache
def harmonic_gradients(L: int) -> Tensor:
    r"""Gradients of real solid harmonics, which are solid harmonics of one degree less.

    .. math:: \partial_i C_{\ell m} = \sum_{m'} G_{i,(\ell-1,m'),(\ell,m)}\, C_{\ell-1,m'}

    Parameters
    ----------
    L : int
        Largest degree.

    Returns
    -------
    g : Tensor, shape (3, (L + 1) ** 2, (L + 1) ** 2)
        The matrices :math:`G_i` in float64, in the order of `solid_harmonics_up_to`.

    Examples
    --------
    >>> harmonic_gradients(1)[:, 0].tolist()  # y, z and x by the three coordinates
    [[0.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]
    """
    with torch.inference_mode(False):  # it is kept for others
        gradients = torch.zeros(3, (L + 1) ** 2, (L + 1) ** 2, dtype=torch.float64)
        for l in range(1, L + 1):
            powers, coefficients = harmonic_polynomials(l)
            lower, basis = harmonic_polynomials(l - 1)
            index = {p: i for i, p in enumerate(lower)}
            for i in range(3):
                derived = torch.zeros(len(coefficients), len(lower), dtype=torch.float64)
                for column, p in enumerate(powers):
                    if p[i]:
                        a, b, c = (n - (k == i) for k, n in enumerate(p))
                        derived[:, index[a, b, c]] += p[i] * coefficients[:, column]
                block = torch.linalg.lstsq(basis.T, derived.T).solution
                block[block.abs() < 1e-12] = 0.0
                gradients[i, (l - 1) ** 2 : l * l, l * l : (l + 1) ** 2] = block
    return gradients


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
