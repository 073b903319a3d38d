r"""
Denoising with a learnt dictionary
==================================

Patches of an image are sums of few atoms of a good dictionary. Noise is not: it needs them all.
So coding noisy patches sparsely, and averaging what the codes stand for, removes noise, as Elad and
Aharon (2006) showed. Nothing but the noisy image is needed: the atoms are learnt from its own
patches.
"""

# %%
# A noisy image, and its patches
# ------------------------------
# The image has a standard deviation of 1, the noise one of 0.5.

import matplotlib.pyplot as plt
import numpy as np

from skwave import SparseCoder
from skwave.datasets import load_textures
from skwave.plotting import SparseCodeDisplay

rng = np.random.default_rng(0)
clean = load_textures().images[0][:128, :128].astype(float)
clean = (clean - clean.mean()) / clean.std()
sigma, side = 0.5, 8
noisy = clean + sigma * rng.standard_normal(clean.shape)

windows = np.lib.stride_tricks.sliding_window_view(noisy, (side, side))
patches = windows.reshape(-1, side * side)
means = patches.mean(1, keepdims=True)
print(f"{len(patches)} patches of {side}×{side} pixels")

# %%
# Learn the atoms
# ---------------
# The weight :math:`\alpha` is in units of the noise: an atom of norm 1 meets noise of deviation
# :math:`\sigma`, so that :math:`\alpha = 2.5\sigma` lets hardly any of it in. All patches of the
# noisy image are samples.

alpha = 2.5 * sigma
coder = SparseCoder(128, alpha=alpha, max_iter=3, random_state=0).fit(patches - means)
codes = coder.transform(patches - means)
print(f"{(codes != 0).sum(1).mean():.1f} atoms in a code, coherence {coder.coherence_:.2f}")
SparseCodeDisplay.from_estimator(coder, (patches - means)[::50])

# %%
# The atoms have learnt what repeats itself in the texture. The curves below tell how codes come
# about: the homotopy ISTC takes few steps, FISTA overtakes it later.
#
# Put the image together
# ----------------------
# Soft thresholds shrink each coefficient by about :math:`\alpha`. The support is worth more than
# the values: a least-squares fit on the atoms that were chosen takes the shrinkage back. Every
# pixel is then the mean over all the patches that contain it. Beside it stands the best linear
# filter, that of Wiener, with the true power spectrum of the clean image.


def unshrunk(codes, X, D):
    """Least squares on the support of each code."""
    out = np.zeros_like(codes)
    for z, x, w in zip(codes, X, out, strict=True):
        S = np.flatnonzero(z)
        if len(S):
            w[S] = np.linalg.lstsq(D[S].T, x, rcond=None)[0]
    return out


def assemble(estimates):
    """Mean of overlapping patches."""
    total, count = np.zeros_like(noisy), np.zeros_like(noisy)
    n = windows.shape[1]
    for i, patch in enumerate(estimates.reshape(-1, side, side)):
        r, c = divmod(i, n)
        total[r : r + side, c : c + side] += patch
        count[r : r + side, c : c + side] += 1
    return total / count


def psnr(x):
    """Peak signal-to-noise ratio, in dB."""
    return 10 * np.log10(np.ptp(clean) ** 2 / np.mean((x - clean) ** 2))


shrunk = assemble(coder.inverse_transform(codes) + means)
fitted = assemble(unshrunk(codes, patches - means, coder.components_) @ coder.components_ + means)
spectrum = np.fft.rfft2(noisy)
power = np.abs(np.fft.rfft2(clean)) ** 2
wiener = np.fft.irfft2(spectrum * power / (power + noisy.size * sigma**2), noisy.shape)
results = {
    "noisy": noisy,
    "sparse codes": shrunk,
    "refitted": fitted,
    "Wiener, true spectrum": wiener,
}
for name, x in results.items():
    print(f"{name:25} {psnr(x):.2f} dB")

fig, axes = plt.subplots(1, 5, figsize=(12, 3), layout="constrained")
for ax, (name, x) in zip(axes, {"image": clean, **results}.items(), strict=True):
    ax.imshow(x, cmap="gray", vmin=clean.min(), vmax=clean.max())
    ax.set_title(name if x is clean else f"{name}\n{psnr(x):.1f} dB", fontsize=9)
    ax.set_axis_off()
plt.show()

# %%
# The codes do as well as the filter that knows the spectrum, the refitted ones better: edges stay
# sharp, and the dark ground is free of noise. What is lost is the fine grain on the stones, which
# no atom repeats.
#
# .. rubric:: References
#
# Elad, M. and Aharon, M., Image denoising via sparse and redundant representations over learned
# dictionaries, IEEE Trans. Image Process. 15, 2006.
