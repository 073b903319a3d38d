"""Covariances of wavelet phase harmonics by brute force, and the index sets of the literature.

Everything is at full resolution in float64, one formula after the other. Conventions:

- An image is x[u] with u = (row, column). Angles run from the column axis to the row axis:
  theta_l = pi l / L, and arg w = atan2(w_row, w_column) for a frequency w.
- W_{j,l} = ifft2(fft2(x) * psi_{j,l}); the wavelets have one-sided, real, non-negative spectra.
- [z]^k = |z| exp(i k arg z), so [z]^0 = |z|.
- C(tau) = mean over u of (a(u) - mean a) conj(b(u - tau) - mean b), with a = [W_{j1,l1}]^k1,
  b = [W_{j2,l2}]^k2, tau = (rows, columns) in pixels, and periodic images.
"""

import math
from typing import NamedTuple

import numpy as np

from skwave.functional._textures.families import moment_family
from skwave.functional._wavelets.bump import low_pass_width

XI = 0.85 * np.pi  # centre of the finest wavelet, in radians per pixel
SIGMA = 1 / (0.496 * 2**-0.55 * XI)  # width of the low pass at j = 0, in pixels


def bump_steerable(shape, j, angle, L):
    """Transform of the bump-steerable wavelet, folded onto the grid of frequencies."""
    c = 2 ** (L - 1) * math.factorial(L - 1) / math.sqrt(L * math.factorial(2 * L - 2)) / 1.29
    xi = XI / 2**j
    rows, columns = (2 * np.pi * np.fft.fftfreq(n) for n in shape)
    total = np.zeros(shape)
    for p in (-1, 0, 1):
        for q in (-1, 0, 1):
            w = (columns + 2 * np.pi * q)[None, :] + 1j * (rows + 2 * np.pi * p)[:, None]
            d, cosine = np.abs(w) - xi, np.cos(np.angle(w) - angle)
            inside = (np.abs(d) < xi) & (cosine > 0) & (np.abs(w) > 0)
            d, cosine = d[inside], cosine[inside]
            total[inside] += c * np.exp(-(d**2) / (xi**2 - d**2)) * cosine ** (L - 1)
    return total


def gaussian(shape, j):
    """Transform of the samples of a Gaussian density of width 2^j SIGMA, summed over periods."""
    s = 2.0**j * SIGMA
    sides = []
    for n in shape:
        t = np.arange(-2 * n, 2 * n)
        g = np.exp(-(t**2) / (2 * s**2)) / math.sqrt(2 * np.pi * s**2)
        sides.append(np.fft.fft(g.reshape(4, n).sum(0)).real)
    return sides[0][:, None] * sides[1][None, :]


def filtered(x, h):
    return np.fft.ifft2(np.fft.fft2(x) * h)


def harmonic(z, k):
    return np.abs(z) * np.exp(1j * k * np.angle(z))


def covariance(a, b, tau=(0, 0)):
    a, b = a - a.mean(), b - b.mean()
    return np.mean(a * np.conj(np.roll(b, tau, (0, 1))))


class Moment(NamedTuple):
    """One complex moment; ``n`` and ``a`` say which radius and direction gave ``tau``.

    For group "L", j1 = j2 is the scale of the Gaussian and l1 = l2 = -1.
    """

    group: str
    j1: int
    l1: int
    k1: int
    j2: int
    l2: int
    k2: int
    n: int
    a: int
    tau: tuple


def pixels(l2, n, a, L, A=4):
    """Rows and columns of a shift of 2^n pixels at angle theta_l2 - pi a / A (n = 0: none)."""
    if n == 0:
        return (0, 0)
    angle = np.pi * l2 / L - np.pi * a / A
    return (round(2.0**n * math.sin(angle)), round(2.0**n * math.cos(angle)))


def pywph_moments(J, L, dn, A=4):
    """Default set of pywph, in its order, for real images and its "exp" grid of shifts."""
    rows = []

    def add(group, j1, l1, k1, j2, l2, k2, radii, directions):
        shifts = [(0, 0)] + [(n, a) for n in range(1, radii + 1) for a in range(directions)]
        for n, a in shifts:
            tau = pixels(l2, n, a, L, A)
            rows.append(Moment(group, j1, l1, k1, j2, l2, k2, n, a, tau))

    one = [(j, i) for j in range(J) for i in range(L)]
    pairs = [(j1, j2, i) for j1 in range(J) for j2 in range(j1 + 1, J) for i in range(L)]
    for group, k1, k2, radii in (("S11", 1, 1, dn), ("S00", 0, 0, dn), ("S01", 0, 1, 0)):
        for j, i in one:
            add(group, j, i, k1, j, i, k2, radii, A)
    for j1, j2, i in pairs:
        for other in range(i - L // 2, i + L // 2):
            add("C01", j1, i, 0, j2, other % L, 1, dn if other == i else 0, 2 * A)
    for j1, j2, i in pairs:
        add("Cphase", j1, i, 1, j2, i, 2 ** (j2 - j1), min(dn, J - 1 - j2), 2 * A)
    for j in range(-1, J // 4 + 1):
        for k1, k2 in ((0, 0), (0, 1), (1, 1)):
            add("L", j, -1, k1, j, -1, k2, 0, 0)
    return rows


def reference_moments(x, rows, L):
    """Value of each of the ``rows`` for the image ``x``: a dictionary by moment."""
    fields = {}

    def field(j, i, k):
        if (j, i, k) not in fields:
            if i < 0:
                y = filtered(x, gaussian(x.shape, j))
                fields[j, i, k] = harmonic(y - y.mean(), k)
            elif k == 1:
                fields[j, i, k] = filtered(x, bump_steerable(x.shape, j, np.pi * i / L, L))
            else:
                fields[j, i, k] = harmonic(field(j, i, 1), k)
        return fields[j, i, k]

    return {r: covariance(field(*r[1:4]), field(*r[4:7]), r.tau) for r in rows}


def published_index_sets(model, J=5, L=8):
    """Rows (group, j1, l1, k1, j2, l2, k2, shifts) of the models A to D of Zhang and Mallat.

    The 2 L angles cover the whole turn. Shifts are (rows, columns) in pixels. In model D, l1 = l2
    is a frequency of the unitary transform over the 2 L angles of the harmonics. The low pass
    has group "phi" and j = J.
    """
    steps = [(m, n) for m in range(3) for n in range(-2, 3) if (m, n) != (0, 0)]
    zero = ((0, 0),)

    def shifts(j):
        return tuple((-m * 2**j, -n * 2**j) for m, n in steps)

    one = [(j, i) for j in range(J) for i in range(2 * L)]
    near = [d % (2 * L) for d in range(-(L // 2), L // 2 + 1)] if model in "BC" else [0]
    rows = [("phi", J, 0, 1, J, 0, 1, zero + (() if model == "D" else shifts(J - 1)))]
    if model == "A":
        return rows + [("same", j, i, 1, j, i, 1, zero + shifts(j)) for j, i in one]
    if model != "D":
        rows += [("shift", j, i, k, j, i, k, shifts(j)) for j, i in one for k in (0, 1)]
    for j, i in one:
        for d in near:
            other = (i + d) % (2 * L)
            for k1, k2 in ((1, 0), (1, 1), (0, 0)):
                rows.append(("same", j, i, k1, j, other, k2, zero))
            if model in "CD" and j + 1 < J:
                for k1, k2 in ((0, 0), (0, 1), (0, 2), (1, 2)):
                    rows.append(("cross", j, i, k1, j + 1, other, k2, zero))
    return rows


def count_reals(rows):
    """Real numbers in rows of ``published_index_sets``: 2 for each complex one."""
    total = 0
    for group, j1, l1, k1, j2, l2, k2, shifts in rows:
        for tau in shifts:
            power = (j1, l1, k1) == (j2, l2, k2) and tau == (0, 0)
            total += 1 if group == "phi" or k1 == k2 == 0 or power else 2
    return total


class Brute:
    """Moments at full resolution, one row of a table after the other."""

    def __init__(self, x, J, L, masks=None):
        self.x, self.J, self.L = x.numpy(), J, L
        self.masks = [np.ones(x.shape[-2:])] * (J + 1) if masks is None else masks
        self.found = {}

    def wave(self, c, j, l):
        shape = self.x.shape[-2:]
        if j == self.J:
            psi = gaussian(shape, np.log2(low_pass_width(self.J) / SIGMA))
        else:
            psi = bump_steerable(
                shape, j, np.pi / 2 if shape[1] == 1 else np.pi * l / self.L, self.L
            )
        return filtered(self.x[c] - self.x[c].mean(), psi)

    def field(self, c, j, l, k):
        key = (c, j, l, k)
        if key not in self.found:
            w = self.wave(c, j, l)
            h = w if k == 1 else harmonic(w, k)
            self.found[key] = h - self.mean(h, j) if k == 0 else h
        return self.found[key]

    def mean(self, u, j):
        return (u * self.masks[j]).mean() / self.masks[j].mean()

    def row(self, r):
        if r.group == "K":
            w = self.wave(r.c1, r.j1, r.l1)
            powers = {"re3": w.real**3, "re4": w.real**4, "abs4": abs(w) ** 4}
            return self.mean(powers[r.part], r.j1)
        if r.group == "L":
            h, w = self.x.shape[1:]
            phi = gaussian((h, w if w > 1 else 64), r.j1)
            phi = phi if w > 1 else phi[:, :1] / gaussian((64, 64), r.j1)[0, 0] ** 0.5
            u = filtered(self.x[r.c1] - self.x[r.c1].mean(), phi).real
            j = max(r.j1, 0)
            u = u - self.mean(u, j)
            of = abs(u) - self.mean(abs(u), j), u
            return self.mean(of[r.k1] * of[r.k2], j)
        a = self.field(r.c1, r.j1, r.l1, r.k1)
        b = self.field(r.c2, r.j2, r.l2, r.k2)
        c = self.mean(a * np.conj(np.roll(b, (r.dy, r.dx), (0, 1))), r.j2)
        return c.imag if r.part == "im" else c.real

    def rows(self, rows):
        return np.array([self.row(r) for r in rows])


def group_errors(found, expected, rows):
    assert len(found) == len(expected) == len(rows)
    groups = np.array([r.group for r in rows])
    return {
        str(g): np.linalg.norm((found - expected)[groups == g])
        / np.linalg.norm(expected[groups == g])
        for g in np.unique(groups)
    }


def moments_of(x, layout, normalize=False, ref=None, **options):
    return moment_family(layout, **options).moments(x[None], ref, normalize)[0].numpy()
