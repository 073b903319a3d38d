r"""
Signals from their scattering coefficients
==========================================

What does a scattering transform keep of a signal? One way to see is to forget the signal, and to
look for another one with the same coefficients. ``inverse_transform`` starts from white noise and
minimises

.. math:: \frac{\|S_J x - s\|^2}{\|s\|^2}

over :math:`x` by L-BFGS, through the gradient of the cascade. What it finds has nearly the same
coefficients :math:`s`. Where it differs from the original, the transform does not see the
difference.
"""

# %%
# A sound
# -------
# Two chirps, one that rises and one that falls, and three clicks, at 8000 samples per second.

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import PowerNorm
from sklearn.datasets import load_sample_image

from skwave import ScatteringTransformer
from skwave.plotting import ScatteringDisplay

n, rate = 4096, 8000
t = np.arange(n) / rate
x = np.cos(2 * np.pi * (300 * t + 900 * t**2)) + 0.7 * np.cos(2 * np.pi * (2200 * t - 1200 * t**2))
x *= np.hanning(n)
x[[1000, 2000, 3000]] += 3
X = x[None].astype(np.float32)

scattering = ScatteringTransformer(J=6, Q=8).fit(X)
S = scattering.transform(X)


def relative_error(a, b):
    """Return the relative l2 error."""
    return np.linalg.norm(a - b) / np.linalg.norm(b)


# %%
# The error of the coefficients falls quickly at first, then slowly. The error of the samples does
# not fall at all: it stays near :math:`\sqrt 2`, as for two signals that have nothing to do with
# each other.

steps = (5, 10, 20, 40, 80, 160)
found = {m: scattering.inverse_transform(S, max_iter=m, tol=0, random_state=0) for m in steps}
errors = [relative_error(scattering.transform(Y), S) for Y in found.values()]
distances = [relative_error(Y, X) for Y in found.values()]
Y = found[steps[-1]]

print("steps   coefficients   samples")
for m, error, distance in zip(steps, errors, distances, strict=True):
    print(f"{m:5d}   {error:12.3f}   {distance:7.2f}")

fig, ax = plt.subplots(figsize=(5.5, 3.4), layout="constrained")
ax.loglog(steps, errors, "o-", label="coefficients")
ax.loglog(steps, distances, "s-", label="samples")
ax.set(xlabel="steps", ylabel="relative error", xticks=steps, xticklabels=steps)
ax.minorticks_off()
ax.grid(alpha=0.3)
ax.legend()

# %%
# Yet the chirps are there, with nearly the same envelopes. The scalograms, order 1 of the
# coefficients, are nearly equal.

fig, axes = plt.subplots(2, 2, figsize=(9, 5), sharex="col", layout="constrained")
for row, Z, name in zip(axes, (X, Y), ("original", "reconstruction"), strict=True):
    row[0].plot(t, Z[0], linewidth=0.5)
    row[0].set(ylabel=name, ylim=(-4, 4))
    norm = PowerNorm(0.5, vmin=0, vmax=0.45)
    ScatteringDisplay.from_estimator(scattering, Z, sampling_rate=rate, ax=row[1], norm=norm)
    row[1].set_ylim(200, 3500)
axes[0, 1].set_xlabel("")
axes[1, 0].set_xlabel("time (s)")

# %%
# What is lost
# ------------
# The clicks are nearly gone from the reconstruction. The scalograms show them as faint columns,
# energy at all frequencies that the low-pass :math:`\phi_J` has spread in time, and this energy
# is in both. A closer look at the first click, and at a stretch of the chirps:

fig, axes = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained")
for ax, start, title in zip(axes, (940, 2200), ("a click", "chirps"), strict=True):
    part = slice(start, start + 120)
    ax.plot(1000 * t[part], X[0, part], label="original")
    ax.plot(1000 * t[part], Y[0, part], label="reconstruction")
    ax.set(xlabel="time (ms)", title=title)
axes[0].legend()

# %%
# The modulus drops the phase of :math:`x\star\psi_\lambda`. In a redundant transform, whose
# wavelets overlap, the moduli determine the phases of most signals, up to a sign. But here the
# moduli are averaged by :math:`\phi_J`, and many phases give the same averages. In a click
# the waves of all frequencies have their crests at the same time; this alignment is lost, and the
# click becomes a short noise. A chirp is at one frequency at a time; it only slides.
#
# Even the sign is open: :math:`x` and :math:`-x` differ in order 0 alone, the local mean, which is
# nearly zero in a sound.
#
# An image
# --------
# The mean of an image is not zero, so order 0 fixes its sign, and its low frequencies. What is
# above them has to come from the orders 1 and 2. The smaller the scale :math:`2^J`, the more
# positions there are at which the moduli are known.
#
# The first row takes the averages alone, order 0: the smallest image that has them. The second
# row takes all of the coefficients.

image = load_sample_image("china.jpg").mean(axis=-1)[120:216, 212:308].astype(np.float32) / 255


def psnr(a):
    """Return the peak signal-to-noise ratio to the image, in dB."""
    return -10 * np.log10(np.mean((a - image) ** 2))


fig, axes = plt.subplots(2, 4, figsize=(9.5, 5), layout="constrained")
pictures = {(0, 0): ("image", image)}
print("PSNR in dB")
print("J   features   order 0   orders 0 to 2   error of the coefficients")
for J in (1, 2, 3):
    parts = []
    for max_order in (0, 2):
        est = ScatteringTransformer(J=J, ndim=2, max_order=max_order).fit(image[None])
        s = est.transform(image[None])
        y = est.inverse_transform(s, max_iter=100, random_state=0)
        parts.append(psnr(y[0]))
        pictures[max_order // 2, J] = (f"J = {J}: {parts[-1]:.1f} dB", y[0])
    error = relative_error(est.transform(y), s)
    print(f"{J}   {s.shape[1]:8d}   {parts[0]:7.1f}   {parts[1]:13.1f}   {error:25.3f}")

for ax in axes.flat:
    ax.set(xticks=[], yticks=[], frame_on=False)
for position, (title, picture) in pictures.items():
    axes[position].imshow(picture, cmap="gray", vmin=0, vmax=1)
    axes[position].set_title(title, fontsize=10)

# %%
# Beams, tiles and windows are back at every scale, although the coefficients at ``J=3`` are
# averages over 8 pixels. The peak signal-to-noise ratio hardly tells. It compares pixels: a texture
# that is right but moved by a pixel costs more than no texture at all. At ``J=2`` it even prefers
# the blurred image.
#
# At ``J=1`` there is no path of order 2, and there are 2.3 coefficients per pixel, fewer than the
# 5.1 at ``J=2`` and the 3.4 at ``J=3``. Yet that image is the closest: its coefficients lie at
# every other pixel. Large scales gain invariance to translations, and pay for it with positions.
