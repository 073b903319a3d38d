r"""
Filter banks and scattering coefficients
========================================

What do ``J``, ``L`` and ``Q`` change? This is seen in the Fourier domain, where each wavelet is a
bump around its centre frequency: :class:`~skwave.plotting.FilterBankDisplay` draws the bumps and
their Littlewood–Paley sum. :class:`~skwave.plotting.ScatteringDisplay` then shows what they tell
about a sound and about textures.
"""

# %%
# Wavelets of signals
# -------------------
# ``J`` is the number of octaves, ``Q`` the number of wavelets in each. On a logarithmic axis the
# wavelets of a bank are equally wide, and :math:`1/Q` octave apart. The lowest octaves are an
# exception: no wavelet is longer than the low-pass :math:`\hat\phi`, so below the frequency where
# they would be, they are equally spaced on a linear axis. The sum is near one half where the
# wavelets are, because each of them has a peak of 1 and sees positive frequencies only.

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import PowerNorm
from sklearn.datasets import load_sample_image

from skwave import ScatteringTransformer
from skwave.functional import frame_bounds, morlet_1d, morlet_2d, tight_frame
from skwave.plotting import FilterBankDisplay, ScatteringDisplay

fig, axes = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained", sharex=True)
for ax, (J, Q) in zip(axes, [(4, 1), (7, 1), (7, 4)], strict=True):
    FilterBankDisplay(morlet_1d(2**14, J, Q)).plot(ax)
    ax.set(title=f"J={J}, Q={Q}", xlim=(2e-4, 0.5))

# %%
# A transform of two orders has two banks. For sounds the first one is to resolve frequencies, and
# the second the envelopes: ``Q=8`` means ``(8, 1)``. ``order`` chooses between them, and
# with ``sampling_rate`` the axis is in Hz.

rate = 8000
scattering = ScatteringTransformer(J=9, Q=8).fit(np.zeros((1, 2 * rate)))

fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for order, ax in enumerate(axes, start=1):
    FilterBankDisplay.from_estimator(scattering, order=order, sampling_rate=rate, ax=ax)
    ax.set_title(f"order {order}")

# %%
# Wavelets of images
# ------------------
# In 2-D a filter is drawn by the contour of its half height. ``L`` is the number of orientations:
# with more of them each one is narrower. ``Q`` acts on the scales as in 1-D. The grey image is the
# Littlewood–Paley sum :math:`A(\omega)`, the share of the energy at a frequency that the wavelet
# transform keeps. The wavelets fill one half of the plane; the other half of the spectrum of a
# real image is its conjugate, and :math:`A` counts both.

parameters = [{"J": 3, "L": 6, "Q": 1}, {"J": 5, "L": 8, "Q": 1}, {"J": 3, "L": 4, "Q": 2}]
banks = [morlet_2d((256, 256), **p) for p in parameters]

fig, axes = plt.subplots(1, 3, figsize=(10.5, 3.7), layout="constrained")
for ax, bank, p in zip(axes, banks, parameters, strict=True):
    FilterBankDisplay(bank).plot(ax, colorbar=ax is axes[-1])
    ax.set_title("J={J}, L={L}, Q={Q}".format(**p))

for bank, p in zip(banks, parameters, strict=True):
    lower, upper = frame_bounds(bank)
    print(*(f"{name}={value}" for name, value in p.items()), end=": ")
    print(f"{len(bank.wavelets)} wavelets, {lower:.2f} <= A <= {upper:.2f}")

# %%
# The sum is smallest in the corners, beyond the finest wavelets. Dividing every filter by
# :math:`\sqrt A` gives a tight frame, :math:`A = 1`: the transform is then an isometry. The filters
# near the corners become larger for it, and lose their round shape.

tight = tight_frame(banks[0])

fig, axes = plt.subplots(1, 2, figsize=(8, 3.8), layout="constrained")
for ax, bank, title in zip(axes, [banks[0], tight], ["Morlet", "tight frame"], strict=True):
    FilterBankDisplay(bank).plot(ax, colorbar=ax is axes[-1])
    ax.set_title(title)

lower, upper = frame_bounds(tight)
print(f"tight frame: {lower:.2f} <= A <= {upper:.2f}")

# %%
# A sound
# -------
# A note with eight harmonics glides up from 200 to 400 Hz in two seconds, while its loudness
# beats 12 times a second. The scalogram, order 1, shows one line for each harmonic, as far as the
# wavelets tell them apart. The beats have gone: coefficients are averaged over
# :math:`2^J = 512` samples, 64 ms, and a beat takes 83 ms.

t = np.arange(2 * rate) / rate
phase = 2 * np.pi * 400 * (2 ** (t / 2) - 1) / np.log(2)
note = sum(np.cos(h * phase) / h for h in range(1, 9)) * (1 + np.cos(2 * np.pi * 12 * t))
X = note[None]

fig, (top, bottom) = plt.subplots(
    2, 1, figsize=(8, 5), layout="constrained", sharex=True, height_ratios=(1, 3)
)
top.plot(t, note, linewidth=0.3)
top.set_ylabel("signal")
display = ScatteringDisplay.from_estimator(scattering, X, sampling_rate=rate, ax=bottom)
bottom.set_ylim(100, None)

# %%
# The second order recovers them. It is drawn for one first wavelet, here the one whose frequency
# is nearest to 800 Hz, which harmonics cross one after the other. ``paths_`` has the
# frequencies. The display that was made above holds all orders, and plots again.

paths = scattering.paths_
first = paths["order"] == 1
n = paths["n"][first, 0][np.abs(rate * paths["xi"][first, 0] - 800).argmin()]

fig, ax = plt.subplots(figsize=(8, 3.2), layout="constrained")
display.plot(ax, order=2, n=n)
ax.axhline(12, color="w", linestyle=":", linewidth=1)

# %%
# Textures
# --------
# The coefficients of an image are shown as a disk (Bruna and Mallat, 2013). It is the Fourier
# plane, cut into sectors: the direction is that of the wave vector, the ring is the scale, with
# the finest one outside. In the second order, each sector is cut again, for the second wavelet.
#
# The tiles of a roof are seen at an angle, and vary mostly across their rows; leaves vary in all
# directions.

photograph = load_sample_image("china.jpg").mean(axis=-1) / 255
textures = {"tiles": photograph[257:289, 190:222], "leaves": photograph[360:392, 500:532]}
X = np.stack(list(textures.values()))
scattering = ScatteringTransformer(J=3, L=8, ndim=2).fit(X)

fig, axes = plt.subplots(2, 3, figsize=(10, 6), layout="constrained")
for sample, (name, (left, middle, right)) in enumerate(zip(textures, axes, strict=True)):
    left.imshow(textures[name], cmap="gray")
    left.set(xticks=[], yticks=[], title=name)
    display = ScatteringDisplay.from_estimator(scattering, X, sample=sample, ax=middle)
    display.plot(right, order=2)
    middle.set_title("order 1")
    right.set_title("order 2")

# %%
# These disks are means over the image. ``positions="all"`` gives every position a disk of its own.
# On a dahlia they turn with the outline of the flower and the edges of the petals, and are even in
# the middle. The colours stand for square roots, to show weak coefficients beside strong ones.

flower = load_sample_image("flower.jpg").mean(axis=-1)[90:346, 180:436] / 255
scattering = ScatteringTransformer(J=5, L=8, ndim=2).fit(flower[None])

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
left.imshow(flower, cmap="gray")
left.set(xlabel="column (pixels)", ylabel="row (pixels)")
norm = PowerNorm(0.5, vmin=0)
ScatteringDisplay.from_estimator(scattering, flower[None], positions="all", norm=norm, ax=right)

plt.show()
