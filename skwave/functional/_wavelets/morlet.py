r"""Morlet wavelets and Gaussian low-pass filters, in one and two dimensions."""

import math
from itertools import product

import torch
from torch import Tensor

from skwave.functional._wavelets.bank import Bank, Wavelet

# Gaussians are cut at this many standard deviations: exp(-8.5**2 / 2) = 2e-16
_CUT = 8.5
# kymatio normalises its 2-D filters with this value of pi; so do we, to agree with it
_KYMATIO_PI = 3.1415
# kymatio's 1-D design: bandwidth of phi in cycles per sample times T, and the height at
# which neighbouring wavelets cross
_SIGMA_0 = 0.1
_CROSSING = math.sqrt(0.5)
# a 1-D wavelet ends at xi + 5 sigma when its sampling rate is chosen
_ALPHA = 5.0


def _periodised(box: Tensor, starts: tuple[int, ...], shape: tuple[int, ...]) -> Tensor:
    # sum a box of frequency bins onto the grid, modulo its size
    for axis, (start, n) in enumerate(zip(starts, shape, strict=True)):
        size = list(box.shape)
        size[axis] = n
        index = torch.arange(start, start + box.shape[axis]) % n
        box = box.new_zeros(size).index_add_(axis, index, box)
    return box


def gaussian_1d(n: int, xi: float, sigma: float) -> Tensor:
    r"""Periodised Gaussian :math:`\sum_p e^{-(\omega + p - \xi)^2 / 2\sigma^2}`.

    Parameters
    ----------
    n : int
        Number of frequency bins.
    xi, sigma : float
        Centre and width, in cycles per sample.

    Returns
    -------
    g_hat : Tensor of float64, shape (n,)
        In FFT order. In time: a Gaussian of unit sum, modulated by ``xi``.
    """
    start = math.floor((xi - _CUT * sigma) * n)
    bins = torch.arange(start, math.ceil((xi + _CUT * sigma) * n) + 1, dtype=torch.float64)
    return _periodised(torch.exp(-((bins / n - xi) ** 2) / (2 * sigma**2)), (start,), (n,))


def _l1_norm(xi: float, sigma: float, kappa: float) -> float:
    # sum_t |g(t) (exp(2 i pi xi t) - kappa)|, g the Gaussian of unit sum
    half = math.ceil(_CUT / (2 * math.pi * sigma))
    t = torch.arange(-half, half + 1, dtype=torch.float64)
    g = math.sqrt(2 * math.pi) * sigma * torch.exp(-2 * (math.pi * sigma * t) ** 2)
    beat = 1 - 2 * kappa * torch.cos(2 * math.pi * xi * t) + kappa**2
    return float((g * beat.sqrt()).sum())


def wavelet_grid_1d(J: int, Q: int) -> tuple[Wavelet, ...]:
    r"""Scales, centre frequencies and bandwidths of a 1-D bank.

    ``Q`` wavelets per octave, of constant ratio :math:`\xi/\sigma`, down to the bandwidth
    :math:`0.1 / 2^J`; below, ``Q - 1`` wavelets of that bandwidth at equal distances
    (Andén & Mallat 2014, sec. II; the grid of kymatio).

    Parameters
    ----------
    J : int
        Log2 of the largest scale.
    Q : int
        Wavelets per octave.

    Returns
    -------
    wavelets : tuple of Wavelet
        Highest frequency first. Sampled every ``2**j`` samples a wavelet does not alias:
        ``xi + 5 sigma < 2**-(j + 1)``.
    """
    ratio = 2.0 ** (1 / Q)
    bandwidth = (1 - 1 / ratio) / (1 + 1 / ratio) / math.sqrt(2 * math.log(1 / _CROSSING))
    sigma_min = _SIGMA_0 / 2**J
    xi = max(1 / (1 + ratio**3), 0.35)
    sigma = xi * bandwidth
    pairs = []
    if sigma <= sigma_min:
        xi = sigma
    else:
        pairs.append((xi, sigma))
        while sigma > sigma_min * ratio:
            xi, sigma = xi / ratio, sigma / ratio
            pairs.append((xi, sigma))
    pairs += [(xi * (1 - q / Q), sigma_min) for q in range(1, Q)]
    return tuple(
        Wavelet(-math.ceil(math.log2(min(xi + _ALPHA * sigma, 0.5))) - 1, 0, xi, sigma)
        for xi, sigma in pairs
    )


def morlet_1d(n: int, J: int, Q: int = 1, T: float | None = None) -> Bank:
    r"""Morlet wavelets of a 1-D signal, and their Gaussian low-pass.

    .. math:: \psi(t) = g_\sigma(t) (e^{2i\pi\xi t} - \kappa), \quad
       \sum_t \psi(t) = 0, \quad \sum_t |\psi(t)| = 1

    Parameters
    ----------
    n : int
        Number of samples of the grid.
    J : int
        Log2 of the largest scale, in samples.
    Q : int, default=1
        Wavelets per octave.
    T : float, default=None
        Support of the low-pass in samples, :math:`\hat\phi` of width ``0.1 / T`` cycles
        per sample; ``2**J`` by default.

    Returns
    -------
    bank : Bank
        Filters in float64, highest frequency first.

    References
    ----------
    Andén, J. and Mallat, S., Deep scattering spectrum, IEEE Trans. Signal Process. 2014.

    Examples
    --------
    >>> bank = morlet_1d(1024, J=5, Q=4)
    >>> len(bank.wavelets), bank.shape
    (18, (1024,))
    """
    wavelets = wavelet_grid_1d(J, Q)
    psi_hat = torch.empty(len(wavelets), n, dtype=torch.float64)
    for p, (_, _, xi, sigma) in enumerate(wavelets):
        gabor, low = gaussian_1d(n, xi, sigma), gaussian_1d(n, 0.0, sigma)
        kappa = float(gabor[0] / low[0])
        psi_hat[p] = (gabor - kappa * low) / _l1_norm(xi, sigma, kappa)
    phi_hat = gaussian_1d(n, 0.0, _SIGMA_0 / (2**J if T is None else T))
    return Bank(psi_hat, phi_hat / phi_hat[0], wavelets)


def gabor_2d(shape: tuple[int, int], sigma: float, angle: float, xi: float, slant: float) -> Tensor:
    r"""Periodised Fourier transform of a sampled 2-D Gabor function.

    The Gaussian has width ``sigma`` along the wave vector, of length ``xi`` and direction
    ``angle``, and ``sigma / slant`` across it; its transform has those widths inverted:

    .. math:: \hat g(\omega) = \sum_p
       e^{-\frac12 (\omega + 2\pi p - \xi)^T C (\omega + 2\pi p - \xi)}

    Parameters
    ----------
    shape : (int, int)
        Grid ``(H, W)``.
    sigma : float
        Width in pixels.
    angle : float
        Direction in radians, from the first axis to the second.
    xi : float
        Frequency in radians per pixel.
    slant : float
        Aspect ratio.

    Returns
    -------
    g_hat : Tensor of float64, shape (H, W)
        In FFT order; the peak is 1 up to kymatio's rounding of pi.
    """
    c, s = math.cos(angle), math.sin(angle)
    widths = math.hypot(c, slant * s) / sigma, math.hypot(s, slant * c) / sigma
    bins, starts = [], []
    for n, centre, width in zip(shape, (xi * c, xi * s), widths, strict=True):
        step = 2 * math.pi / n
        start = math.floor((centre - _CUT * width) / step)
        k = torch.arange(start, math.ceil((centre + _CUT * width) / step) + 1)
        bins.append(k.to(torch.float64) * step - centre)
        starts.append(start)
    y, x = bins[0][:, None], bins[1]
    along, across = sigma**2, (sigma / slant) ** 2
    g = ((across - along) * c * s * y) * x
    g -= (along * c * c + across * s * s) / 2 * y * y
    g -= (along * s * s + across * c * c) / 2 * x * x
    g.exp_()
    return _periodised(g, tuple(starts), shape) * (math.pi / _KYMATIO_PI)


def wavelet_grid_2d(J: int, L: int, Q: int) -> tuple[Wavelet, ...]:
    r"""Scales, orientations, centre frequencies and bandwidths of a 2-D bank.

    Parameters
    ----------
    J : int
        Number of octaves.
    L : int
        Number of orientations.
    Q : int
        Scales per octave.

    Returns
    -------
    wavelets : tuple of Wavelet
        Scale after scale, orientations within.
    """
    r = 2.0 ** (-1 / Q)
    xi, sigma = (1 + r) / 4, (1 - r) / (0.8 * math.pi)
    return tuple(
        Wavelet(k / Q, theta, xi / 2 ** (k / Q), sigma / 2 ** (k / Q))
        for k, theta in product(range(J * Q), range(L))
    )


def morlet_2d(
    shape: tuple[int, int], J: int, L: int = 8, Q: int = 1, T: float | None = None
) -> Bank:
    r"""Morlet wavelets of an image at ``Q`` scales per octave and ``L`` orientations.

    .. math:: \psi_{j,\ell}(u) = g(u) (e^{i \xi\cdot u} - \kappa), \quad
       j = 0, \tfrac1Q, \dots, J - \tfrac1Q, \quad
       \theta_\ell = (\lfloor L - L/2 - 1 \rfloor - \ell) \pi / L

    With :math:`r = 2^{-1/Q}` the frequency is
    :math:`|\xi| = \tfrac\pi2 (1 + r)\,2^{-j}` and the Gaussian has width
    :math:`\sigma = 0.4\,2^j / (1 - r)` along the wave vector: neighbouring scales cross at
    the same height for every ``Q``. The angular width is that of ``4/L``. For ``Q = 1``
    these are the filters of kymatio, :math:`|\xi| = \tfrac{3\pi}4 2^{-j}`,
    :math:`\sigma = 0.8\,2^j`, slant ``4/L``.

    Parameters
    ----------
    shape : (int, int)
        Grid ``(H, W)``.
    J : int
        Number of octaves.
    L : int, default=8
        Number of orientations in ``[0, pi)``.
    Q : int, default=1
        Scales per octave.
    T : float, default=None
        Support of the low-pass in pixels: a Gaussian of width ``0.4 T``; ``2**J`` by
        default.

    Returns
    -------
    bank : Bank
        Filters in float64; scale after scale, orientations within.

    References
    ----------
    Bruna, J. and Mallat, S., Invariant scattering convolution networks, PAMI 2013.

    Examples
    --------
    >>> bank = morlet_2d((32, 32), J=2, L=4)
    >>> bank.psi_hat.shape
    torch.Size([8, 32, 32])
    """
    wavelets = wavelet_grid_2d(J, L, Q)
    # the ratio of length to width that gives the angular width of kymatio for every Q
    slant = 4 / L * (wavelets[0].xi / 0.375) / (2 * math.pi * 0.8 * wavelets[0].sigma)
    psi_hat = torch.empty(len(wavelets), *shape, dtype=torch.float64)
    for p, wavelet in enumerate(wavelets):
        turn = int(L - L / 2 - 1) - wavelet.theta
        if turn < 0 and wavelet.theta + 2 * turn >= 0:
            # the mirror image of the wavelet at the opposite angle
            psi_hat[p] = psi_hat[p + 2 * turn].flip(-1).roll(1, -1)
        else:
            sigma, xi = 1 / (2 * math.pi * wavelet.sigma), 2 * math.pi * wavelet.xi
            gabor = gabor_2d(shape, sigma, turn * math.pi / L, xi, slant)
            low = gabor_2d(shape, sigma, turn * math.pi / L, 0.0, slant)
            psi_hat[p] = gabor.sub_(low, alpha=float(gabor[0, 0] / low[0, 0]))
    phi_hat = gabor_2d(shape, 0.4 * (2**J if T is None else T), 0.0, 0.0, 1.0)
    return Bank(psi_hat, phi_hat, wavelets)
