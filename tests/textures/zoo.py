"""Small fields of many kinds: patterns, narrow bands, heavy tails, numbers of few values."""

import numpy as np


def zoo(n=64, seed=0):
    """Fields of n by n pixels by their names."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:n, :n]
    ky, kx = np.fft.fftfreq(n)[:, None], np.fft.fftfreq(n)
    radius = np.hypot(ky, kx)

    def of_spectrum(gain):
        return np.fft.ifft2(np.fft.fft2(rng.standard_normal((n, n))) * gain).real

    smooth = of_spectrum(1 / (0.03 + radius))
    smooth = (smooth - smooth.mean()) / smooth.std()
    sources = np.where(rng.random((n, n)) < 0.01, rng.pareto(1.5, (n, n)) + 1, 0.0)
    delta = np.zeros((n, n))
    delta[n // 3, n // 4] = 1.0
    return {
        "checkerboard of 1": (y + x) % 2.0,
        "checkerboard of 4": (y // 4 + x // 4) % 2.0,
        "stripes": x // 4 % 2.0,
        "sine of 8": np.sin(2 * np.pi * x / 8),
        "sine of 6.4": np.sin(2 * np.pi * (y + x * 2) * round(n / 6.4) / n),
        "delta": delta,
        "constant and noise": 3 + 1e-3 * rng.standard_normal((n, n)),
        "exp(2x)": np.exp(2 * smooth),
        "exp(3x)": np.exp(3 * smooth),
        "point sources": sources,
        "binary": (smooth > 0.5) * 1.0,
        "integers": np.round(2 * smooth),
        "ring": of_spectrum(1.0 * (np.abs(radius - 0.45) < 0.02)),
        "corners": of_spectrum(1.0 * (radius > 0.5)),
        "gaussian": smooth,
    }
