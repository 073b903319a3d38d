r"""
A generative model with a known encoder
=======================================

A generative autoencoder usually learns two networks: an encoder that turns an image into noise, and
a decoder that turns noise into an image. Here the encoder is known beforehand. It is a scattering
transform, averaged so far that little structure is left, followed by whitening. Only the decoder is
learned, and all of its weights are dictionaries.
"""

# %%
# Fit
# ---
# The digits of scikit-learn have :math:`8 \times 8` pixels. At scale :math:`2^J = 4` a scattering
# of order 1 has four positions, and 16 principal components of its coefficients are the code. The
# decoder is a ridge regression from the code to the pixels plus a chain of three sparse codes, from
# :math:`2 \times 2` to :math:`8 \times 8` positions, trained on what the regression leaves over.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from skwave import CASEGenerator
from skwave.plotting import GenerationDisplay, LatentInterpolationDisplay

X, y = load_digits(return_X_y=True)
X = (X / 16).reshape(-1, 8, 8).astype(np.float32)
X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=1400, random_state=0)

model = CASEGenerator(J=2, n_components=16, L=4, n_atoms=(256, 16), max_iter=20, random_state=0)
model.fit(X_train)
linear = CASEGenerator(J=2, n_components=16, L=4, decoder="linear").fit(X_train)
for name, generator in {"regression": linear, "and dictionaries": model}.items():
    train, test = generator.score(X_train), generator.score(X_test)
    print(f"{name:16s} {train:.2f} dB on training images, {test:.2f} dB on others")

# %%
# Reconstructions and samples
# ---------------------------
# Below are test images, what their codes are decoded to, scale by scale, and images decoded from
# noise. Each coarse image is the average of the next over blocks of :math:`2 \times 2` pixels: the
# stages of the chain add details, and never change what was decoded before.

fig, ax = plt.subplots(figsize=(7, 4.6), layout="constrained")
GenerationDisplay.from_estimator(model, X_test[:12], random_state=0, ax=ax, cmap="gray_r")
plt.show()

# %%
# Is the code noise?
# ------------------
# Samples are good if codes of images look like noise. Whitened principal components have variance
# 1 and are not correlated, but they need not be Gaussian.

for name, report in model.latent_report_.items():
    print(name, {key: round(value, 2) for key, value in report.items()})

fig, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
Z = model.transform(X_test)
grid = np.linspace(-4, 4, 200)
left.hist(Z.ravel(), 50, density=True, color="0.8")
left.plot(grid, np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi), color="C0")
left.set(title="coordinates of codes, and a Gaussian", yticks=[])
noise = np.random.default_rng(0).standard_normal(Z.shape)
for codes, color, name in ((Z, "0.6", "images"), (noise, "C0", "noise")):
    right.hist(np.sum(codes**2, 1) / 16, 30, density=True, histtype="step", color=color, label=name)
right.set(title=r"$\|z\|^2 / d$", yticks=[])
right.legend()
plt.show()

# %%
# Paths between images
# --------------------
# A straight line between two codes is a path between two images. The average of two images is both
# of them at once, a fade. Here is how far the mid-points of both paths are from the nearest
# training image, after a projection of all on 16 principal components of the pixels, so that
# sharpness does not count.

twos, sevens = X_test[y_test == 2][:4], X_test[y_test == 7][:4]
fig, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
LatentInterpolationDisplay.from_estimator(model, twos, sevens, n_steps=8, ax=ax, cmap="gray_r")
plt.show()

a, b = X_test[:200], X_test[-200:]
pca = PCA(16).fit(X_train.reshape(1400, -1))
train = pca.transform(X_train.reshape(1400, -1))
for name, middle in {
    "codes": model.interpolate(a, b, 3)[:, 1],
    "pixels": (a + b) / 2,
    "real images": X_test[200:],
}.items():
    points = pca.transform(middle.reshape(len(middle), -1))
    nearest = np.linalg.norm(points[:, None] - train, axis=-1).min(1)
    print(f"{name:12s} {nearest.mean():.3f} from the nearest training image")

# %%
# Mid-points of codes are nearer to images than averages of pixels are, by little: a code of 16
# numbers for 64 pixels is nearly linear in the image.

# %%
# What the dictionaries hold
# --------------------------
# ``dictionaries_[j]`` are the atoms of scale :math:`2^j`. Those of the finest scale are patches of
# :math:`6 \times 6` pixels. The code of a patch is found from what is seen of its atoms at the
# coarser scale, by a few steps of soft thresholding with falling thresholds.

for j, (atoms, sparsity, coherence) in enumerate(
    zip(model.dictionaries_, model.sparsity_, model.coherence_, strict=True)
):
    print(
        f"scale {2**j}: {len(atoms)} atoms of shape {atoms.shape[1:]}, {sparsity:.0%} of the codes "
        f"in use, coherence {coherence:.2f}"
    )

atoms = model.dictionaries_[0][:, 0]
fig, axes = plt.subplots(2, 8, figsize=(7, 1.9), layout="constrained")
for ax, atom in zip(axes.ravel(), atoms, strict=True):
    ax.imshow(atom, cmap="RdBu_r", vmin=-np.abs(atom).max(), vmax=np.abs(atom).max())
    ax.set(xticks=[], yticks=[])
plt.show()
