r"""
Digits from a few labels
========================

A scattering transform is fixed: no parameter of it is learned. What it knows beforehand is that
a small translation or deformation does not change the class of an image. A classifier does not
have to learn this from labels, so it needs fewer of them.

Here a logistic regression reads 5 to 50 labels per class of scikit-learn's digits, once on the
pixels and once on scattering coefficients.
"""

# %%
# Two pipelines
# -------------
# The digits come as rows of 64 numbers. ``shape=(8, 8)`` says how to fold them; nothing has to
# be reshaped by hand. With ``J=1`` the coefficients are averaged over about
# :math:`2^J = 2` pixels. This is small, but so are the images: with few labels a larger scale does
# worse, because it blurs the position of a stroke.
#
# At ``J=1`` there is one scale of wavelets, so the paths are the average of the image and one
# map for each of the 8 orientations. All maps have :math:`4 \times 4` points.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skwave import ScatteringTransformer
from skwave.functional import littlewood_paley, morlet_2d

X, y = load_digits(return_X_y=True)
scattering = ScatteringTransformer(J=1, ndim=2, shape=(8, 8))
models = {
    "scattering": make_pipeline(scattering, StandardScaler(), LogisticRegression(max_iter=1000)),
    "pixels": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
}

print("channels, paths and grid:", scattering.fit(X).output_shape_)
models["scattering"]

# %%
# What the classifier reads
# -------------------------
# ``output_shape_`` unfolds the features to maps: one per path. An oriented map is large where
# a stroke runs along the wavelet's crests. ``paths_`` holds the indices of each path; the wave
# vector is at the angle :math:`(3 - \theta) \pi / 8` to the vertical axis.

coefficients = scattering.transform(X).reshape(len(X), *scattering.output_shape_)
digit = 4

fig, axes = plt.subplots(1, 10, figsize=(10, 1.6), layout="constrained")
axes[0].imshow(X[digit].reshape(8, 8), cmap="gray_r")
axes[0].set_title("image", fontsize=9)
vmax = coefficients[digit, 0, 1:].max()
for ax, path, image in zip(axes[1:], scattering.paths_, coefficients[digit, 0], strict=True):
    first_order = path["order"] == 1
    ax.imshow(image, cmap="gray_r", vmin=0, vmax=vmax if first_order else None)
    ax.set_title(rf"$\theta$ = {path['theta'][0]}" if first_order else "average", fontsize=9)
for ax in axes:
    ax.set(xticks=[], yticks=[])

# %%
# Accuracy against the number of labels
# -------------------------------------
# Half of the images are the test set. The labels are drawn from the rest, five times, the same
# draws for both models.

n_labels, n_draws = [5, 10, 20, 50], 5
accuracy = {name: np.empty((len(n_labels), n_draws)) for name in models}
for row, n in enumerate(n_labels):
    splits = StratifiedShuffleSplit(n_draws, train_size=10 * n, test_size=0.5, random_state=0)
    for column, (train, test) in enumerate(splits.split(X, y)):
        for name, model in models.items():
            score = model.fit(X[train], y[train]).score(X[test], y[test])
            accuracy[name][row, column] = score

fig, ax = plt.subplots(figsize=(5.5, 3.8), layout="constrained")
for (name, scores), marker in zip(accuracy.items(), "os", strict=True):
    mean, deviation = 100 * scores.mean(1), 100 * scores.std(1)
    ax.errorbar(n_labels, mean, deviation, marker=marker, capsize=3, label=name)
ax.set_xscale("log")
ax.set_xticks(n_labels, n_labels)
ax.minorticks_off()
ax.set(xlabel="labels per class", ylabel="test accuracy (%)", title="Digits, logistic regression")
ax.grid(alpha=0.3)
ax.legend(loc="lower right")

print("labels   " + "".join(f"{name:>12}" for name in models))
for row, n in enumerate(n_labels):
    print(f"{n:6d}   " + "".join(f"{accuracy[name][row].mean():12.3f}" for name in models))

# %%
# Error bars are standard deviations over the draws. With 10 labels per class, scattering is more
# accurate than the pixels with 20; with 20, it is more accurate than the pixels with 50.
#
# The filters
# -----------
# The wavelets are Morlet wavelets: a Gaussian times a plane wave, less a small Gaussian that
# makes the sum zero. Each scale doubles the wavelength and the width. The bank for a larger grid
# and three scales shows this better than the one above.

J, L = 3, 8
bank = morlet_2d((128, 128), J, L)
# from the Fourier domain to space, with the origin in the middle
psi = np.fft.fftshift(np.fft.ifft2(bank.psi_hat.numpy()), axes=(-2, -1)).real

fig, axes = plt.subplots(J, L, figsize=(8, 3.2), layout="constrained")
for ax, wavelet, image in zip(axes.flat, bank.wavelets, psi, strict=True):
    limit = np.abs(image).max()
    ax.imshow(image[48:81, 48:81], cmap="RdBu_r", vmin=-limit, vmax=limit)
    ax.set(xticks=[], yticks=[])
    if wavelet.j == 0:
        ax.set_title(rf"$\theta$ = {wavelet.theta}", fontsize=9)
    if wavelet.theta == 0:
        ax.set_ylabel(f"j = {wavelet.j:g}", fontsize=9)
fig.suptitle(r"Real parts of the wavelets $\psi_{j, \theta}$", fontsize=10)

# %%
# In the Fourier domain each wavelet is a bump around its wave vector. For real images one half of
# the plane is enough: the other half holds the complex conjugate. The finest wavelets reach beyond
# half a cycle per pixel; a sampled wavelet is periodic there, so what leaves on one side comes in
# on the other.
#
# The Littlewood–Paley sum
#
# .. math:: A(\omega) = |\hat\phi(\omega)|^2
#    + \tfrac12 \sum_\lambda |\hat\psi_\lambda(\omega)|^2 + |\hat\psi_\lambda(-\omega)|^2
#
# tells how much of the energy at a frequency the wavelet transform keeps: all of it where
# :math:`A = 1`. It falls towards the corners, beyond the centre frequency of the finest wavelets,
# 3/8 cycles per pixel.

supports = np.fft.fftshift(bank.psi_hat.numpy(), axes=(-2, -1))
lowpass = np.fft.fftshift(bank.phi_hat.numpy())
total = np.fft.fftshift(littlewood_paley(bank).numpy())
frequency = np.fft.fftshift(np.fft.fftfreq(128))

fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.8), layout="constrained")
for wavelet, support in zip(bank.wavelets, supports, strict=True):
    left.contour(frequency, frequency, support, [support.max() / 2], colors=f"C{wavelet.j:.0f}")
left.contour(frequency, frequency, lowpass, [0.5], colors="k")
for j in range(J):
    left.plot([], [], color=f"C{j}", label=f"j = {j}")
left.plot([], [], color="k", label=r"$\phi$")
left.set_title("Filters at half their height", fontsize=10)
left.legend(fontsize=8, ncols=4, loc="center", bbox_to_anchor=(0.5, 0.76), columnspacing=1)
image = right.pcolormesh(frequency, frequency, total, vmin=0, vmax=1.05, rasterized=True)
fig.colorbar(image, ax=right)
right.set_title(r"Littlewood–Paley sum $A(\omega)$", fontsize=10)
for ax in (left, right):
    ax.set(xlabel="horizontal frequency (cycles per pixel)", aspect="equal")
    ax.set(xlim=(-0.5, 0.5), ylim=(0.5, -0.5))
left.set_ylabel("vertical frequency")

plt.show()
