r"""
Sparse codes of scattering on digits
====================================

A scattering transform describes each neighbourhood of an image by a vector of coefficients. Here a
dictionary is learned for these vectors, along with a classifier: every neighbourhood becomes a sum
of few atoms, and the atoms are those that tell the ten digits apart best. Then we look at what was
learned: how sparse the codes are, what the atoms stand for, and which digits use them.
"""

# %%
# Train
# -----
# The digits of scikit-learn have :math:`8 \times 8` pixels. With ``J=1`` the coefficients stand on
# a grid of :math:`4 \times 4` positions. At each, their projection :math:`u` on 32 numbers, of
# norm 1, is coded by 64 atoms,
#
# .. math:: z = \arg\min_{z \ge 0}\; \tfrac12 \|u - zD\|^2 + \alpha \|z\|_1 ,
#
# by six steps of ISTC, whose thresholds fall from the largest correlation of :math:`u` with an
# atom to :math:`\alpha`. The classifier sees the codes of all positions. The projection, the
# dictionary :math:`D`, the threshold :math:`\alpha` and the classifier are learned together.

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skwave import ScatteringDictionaryClassifier

X, y = load_digits(return_X_y=True)
X = (X / 16).reshape(-1, 8, 8).astype(np.float32)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, train_size=1000, stratify=y, random_state=0
)
model = ScatteringDictionaryClassifier(
    J=1, n_atoms=64, projection=32, learning_rate_init=0.005, max_iter=20, random_state=0
)
model.fit(X_train, y_train)
print(f"test accuracy {model.score(X_test, y_test):.3f} after {model.n_iter_} epochs")

# %%
# One code
# --------
# The codes have one map of :math:`4 \times 4` positions for each atom. Most of their values are
# exactly zero, and not by a penalty in the loss: sparsity is what the threshold :math:`\alpha`
# makes of them, and :math:`\alpha` is trained for the classification alone.

codes = model.codes(X_test)
print(f"{codes.shape[1:]} codes of an image, {model.sparsity_:.0%} of them not zero")
print(f"threshold {model.network_.block.alpha.item():.3f}, coherence {model.coherence_:.2f}")

fig, (left, middle, right) = plt.subplots(
    1, 3, figsize=(9, 3), width_ratios=(1, 2.2, 1.6), layout="constrained"
)
left.imshow(X_test[0], cmap="gray_r")
left.set_title(f"a {y_test[0]}", fontsize=10)
left.set(xticks=[], yticks=[])
for side in (1.5, 3.5, 5.5):
    left.axhline(side, color="C0", lw=0.5)
    left.axvline(side, color="C0", lw=0.5)
shown = middle.imshow(codes[0].reshape(64, 16).T, cmap="gray_r", aspect="auto")
middle.set(xlabel="atom", ylabel="position, row by row", title="its code")
middle.title.set_fontsize(10)
fig.colorbar(shown, ax=middle)
active = np.count_nonzero(codes, axis=1).ravel()
right.hist(active, np.arange(active.max() + 2) - 0.5, color="C0")
right.set(xlabel="atoms in use at a position", yticks=[], title="all test images")
right.title.set_fontsize(10)
plt.show()

# %%
# What the atoms stand for
# ------------------------
# An atom is a vector of projected coefficients and cannot be drawn. What can be drawn are the
# neighbourhoods that use it most. Below are the six atoms whose code tells most about the digit:
# the variance of its mean over the digits is largest against the variance within. In each row
# stand the test images, all different ones, in which the atom is strongest, and a frame around the
# place.

by_digit = np.stack([codes[y_test == digit].max((2, 3)).mean(0) for digit in range(10)])
within = np.mean([codes[y_test == digit].max((2, 3)).var(0) for digit in range(10)], 0)
ratio = by_digit.var(0) / np.where(within > 0, within, np.inf)
best = np.argsort(ratio)[::-1][:6]

fig, axes = plt.subplots(6, 9, figsize=(8, 5.6), layout="constrained")
for row, atom in zip(axes, best, strict=True):
    strongest = np.argsort(codes[:, atom].max((1, 2)))[::-1][:9]
    for ax, i in zip(row, strongest, strict=True):
        ax.imshow(X_test[i], cmap="gray_r")
        u, v = np.unravel_index(codes[i, atom].argmax(), (4, 4))
        ax.add_patch(Rectangle((2 * v - 1.5, 2 * u - 1.5), 4, 4, fill=False, ec="C1", lw=1.5))
        ax.set(xticks=[], yticks=[], xlim=(-0.5, 7.5), ylim=(7.5, -0.5))
    row[0].set_ylabel(f"atom {atom}", fontsize=9)
plt.show()

# %%
# The rows show what an atom answers to: a stroke that bends in one way, the light inside of a
# ring, the end of a stroke. The same shape can stand at several places of a digit and in several
# digits.

fig, ax = plt.subplots(figsize=(6, 2.8), layout="constrained")
shown = ax.imshow(by_digit[:, best].T / by_digit[:, best].max(0)[:, None], cmap="viridis", vmin=0)
ax.set(xticks=range(10), yticks=range(6), xlabel="digit", ylabel="atom")
ax.set_yticklabels(best)
ax.set_title("how strongly the digits use them, largest 1", fontsize=10)
fig.colorbar(shown, ax=ax)
plt.show()

# %%
# Is it the dictionary?
# ---------------------
# The same network with another layer in place of the sparse code: none, one layer of rectifiers of
# the same width, or an ISTC whose atoms stay random. Three seeds each, with the same epochs.

for name, parameters in {
    "no code": {"block": None},
    "rectifiers": {"block": "relu"},
    "ISTC, random atoms": {"learn_dictionary": False},
    "ISTC, learned atoms": {},
}.items():
    scores = [
        ScatteringDictionaryClassifier(
            J=1, n_atoms=64, projection=32, learning_rate_init=0.005, max_iter=8,
            early_stopping=False, random_state=seed, **parameters,
        )
        .fit(X_train, y_train)
        .score(X_test, y_test)
        for seed in range(3)
    ]  # fmt: skip
    print(f"{name:20s} {100 * np.mean(scores):.2f} ± {100 * np.std(scores):.2f} %")

# %%
# Any of the layers more than halves the errors that the classifier makes without one. Between the
# layers there is no difference on these digits that is larger than that between seeds: with 1000
# small images a dictionary need not even be learned. What the sparse codes add here is that one
# can look at them.
