r"""
A rectifier is a sum of phase harmonics
=======================================

A unit of a convolutional network computes :math:`\max(0, x\star w)`. If its filter is the real
part of a wavelet whose phase is turned by :math:`\alpha`, the unit computes
:math:`\rho(\mathrm{Re}(e^{i\alpha}z))` with :math:`z = x\star\psi`. Mallat, Zhang and Rochette
(2020) show that this is a Fourier series along :math:`\alpha`,

.. math:: \rho\big(\mathrm{Re}(e^{i\alpha} z)\big) = \sum_k c_k\, e^{ik\alpha}\, [z]^k, \qquad
   [z]^k = |z|\,e^{ik\arg z},

so that correlations of rectified wavelet coefficients follow from those of phase harmonics, and the
other way round. This example looks at the theorem, one step after the other.
"""

# %%
# The series
# ----------
# :func:`~skwave.functional.rectifier_harmonics` gives :math:`c_k`, in closed form for the rectifier
# and the absolute value, by sampling for any other function. They fall as :math:`k^{-2}`, and
# beyond 1 the odd ones vanish.

import matplotlib.pyplot as plt
import numpy as np
import torch

from skwave.datasets import load_textures
from skwave.functional import (
    Fields,
    field_plan,
    phase_harmonic,
    phases,
    rectifier,
    rectifier_harmonics,
)

c = rectifier_harmonics("relu", 40)
for k in (0, 1, 2, 3, 4, 6):
    print(f"c_{k} = {c[k]:+.4f}")

alpha = torch.linspace(-np.pi, np.pi, 401, dtype=torch.float64)
waves = torch.cos(torch.arange(41)[:, None] * alpha)
terms = c[:, None] * waves
terms[1:] *= 2  # k and -k
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
left.plot(alpha.numpy(), alpha.cos().relu().numpy(), "k", lw=2, label=r"$\rho(\cos\alpha)$")
for K in (0, 1, 2, 4):
    left.plot(alpha.numpy(), terms[: K + 1].sum(0).numpy(), lw=1, label=f"up to k = {K}")
left.set(xlabel=r"$\alpha$", xticks=[-np.pi, 0, np.pi], xticklabels=[r"$-\pi$", "0", r"$\pi$"])
left.legend(frameon=False, fontsize=8)


def leaky(a):
    """Leaky rectifier."""
    return torch.nn.functional.leaky_relu(a, 0.2)


curves = {"rectifier": "relu", "absolute value": "abs", "leaky rectifier": leaky}
for (name, rho), marker in zip(curves.items(), "osd", strict=True):
    right.plot(rectifier_harmonics(rho, 8).abs().clamp_min(1e-6).numpy(), marker, ms=5, label=name)
right.set(yscale="log", ylim=(1e-4, 1), xlabel="k", title=r"$|c_k|$")
right.legend(frameon=False, fontsize=8)

# %%
# What harmonics do to a field
# ----------------------------
# Take one orientation of wavelets, at a fine and at a coarse scale, of a photograph. The fine
# coefficients oscillate twice as fast as the coarse ones. Harmonic :math:`k` leaves the modulus
# and multiplies the frequency: :math:`k = 2` of the coarse scale oscillates as the fine scale does,
# :math:`k = 0` of the fine scale hardly at all.
#
# How do the scales correlate? The photograph is compared with Gaussian noise that has the same
# Fourier moduli, and random phases.

image = load_textures().images[0, :128, :128]
phase = np.angle(np.fft.rfft2(np.random.default_rng(0).standard_normal(image.shape)))
noise = np.fft.irfft2(np.abs(np.fft.rfft2(image - image.mean())) * np.exp(1j * phase))
plan = field_plan((128, 128), J=4, L=4, oversampling=3)


def two_scales(x):
    """Wavelet coefficients of the scales 2 and 3, of orientation 0."""
    fields = Fields(torch.from_numpy(x).double()[None, None], plan)
    return [fields.harmonic(j, 1, x.shape)[0, 0, 0] for j in (2, 3)]


fine, coarse = two_scales(image)
shown = {
    r"fine, $k=0$": phase_harmonic(fine, 0),
    r"fine, $k=1$": fine.real,
    r"coarse, $k=2$": phase_harmonic(coarse, 2).real,
    r"coarse, $k=1$": coarse.real,
}
fig, axes = plt.subplots(1, 5, figsize=(12, 2.7), layout="constrained")
axes[0].imshow(image, cmap="gray")
axes[0].set_title("photograph")
for ax, (name, field) in zip(axes[1:], shown.items(), strict=True):
    limit = float(field.abs().max())
    ax.imshow(field.numpy(), cmap="RdBu_r", vmin=-limit, vmax=limit)
    ax.set_title(name)
for ax in axes:
    ax.set(xticks=[], yticks=[])


def correlation(a, b):
    """Modulus of the correlation of two fields."""
    a, b = a - a.mean(), b - b.mean()
    powers = [z.abs().square().mean() for z in (a, b)]
    return float((a * b.conj()).mean().abs() / (powers[0] * powers[1]).sqrt())


print("harmonics of fine, coarse    1, 1    1, 2    0, 0")
for name, x in {"photograph": image, "noise": noise}.items():
    a, b = two_scales(x)
    found = correlation(a, b), correlation(a, phase_harmonic(b, 2)), correlation(a.abs(), b.abs())
    print(f"{name:25}" + "".join(f"{v:8.2f}" for v in found))

# %%
# Harmonics 1 and 1 see the spectrum alone, and how far the two wavelets overlap. They are the same
# for both. The others tell the photograph from the noise.

# %%
# The two correlations
# --------------------
# Rectified coefficients at :math:`A` phases are correlated directly, and by the series
#
# .. math:: \langle \rho(\mathrm{Re}\,e^{i\alpha}z)\,\rho(\mathrm{Re}\,e^{i\alpha'}z') \rangle
#    = \sum_{k,k'} c_k c_{k'}\, e^{i(k\alpha - k'\alpha')}\,
#    \big\langle [z]^k\,([z']^{k'})^* \big\rangle .

A, K = 8, 40
a, b = (rectifier(z, A).flatten(1) for z in (fine, coarse))
direct = a @ b.T / a.shape[1]

ks = torch.arange(-K, K + 1)
powers = [torch.stack([phase_harmonic(z, int(k)) for k in ks]).flatten(1) for z in (fine, coarse)]
harmonics = powers[0].to(torch.complex128) @ powers[1].to(torch.complex128).mH / a.shape[1]
weights = c[ks.abs()] * torch.exp(1j * torch.tensor(phases(A))[:, None] * ks)
series = (weights @ harmonics @ weights.mH).real

fig, axes = plt.subplots(1, 3, figsize=(9, 2.9), layout="constrained", width_ratios=(1, 1, 1.5))
for ax, matrix, name in zip(axes, (direct, series), ("rectifiers", "series"), strict=False):
    ax.imshow(matrix.numpy(), vmin=float(direct.min()), vmax=float(direct.max()))
    ax.set(title=name, xlabel=r"phase of coarse", ylabel="phase of fine")
errors = []
for n in (1, 2, 4, 6, 8, 12, 16, 24, 32, 40):
    some = (ks.abs() <= n).to(weights)
    part = ((weights * some) @ harmonics @ (weights * some).mH).real
    errors.append((n, float((part - direct).norm() / direct.norm())))
axes[2].loglog(*np.array(errors).T, "o-")
axes[2].set(xlabel="largest harmonic", title="relative difference")
print("largest harmonic   relative difference")
for n, e in [*errors[:3], errors[-1]]:
    print(f"{n:16d}   {e:19.1e}")

# %%
# Harmonics up to 2 give the correlations of rectifiers within one per cent.
#
# The other way round, harmonics follow from rectifiers by a discrete Fourier transform along the
# phases, up to aliasing. Four phases do not tell :math:`k = 2` from :math:`k = -2`; with eight and
# sixteen, the error of harmonics 0, 1 and 2 is small.

print("phases   k = 0   k = 1   k = 2")
for A in (4, 8, 16):
    found = torch.fft.fft(rectifier(coarse, A), dim=0, norm="forward")
    of = []
    for k in (0, 1, 2):
        true = c[k] * phase_harmonic(coarse, k)
        of.append(float((found[k] - true).norm() / true.norm()))
    print(f"{A:6d}" + "".join(f"{e:8.3f}" for e in of))
plt.show()
