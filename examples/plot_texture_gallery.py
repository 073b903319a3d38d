r"""
Five textures
=============

One model for all: :class:`~skwave.MaxEntTextureModel` is fitted to one image of a texture, and
samples another. No parameter is changed from one texture to the next, nothing is trained on
others.
"""

# %%
# The images
# ----------
# Two photographs, of nuts and of the skin of a reptile; a map of the cosmic web; turbulence from
# the equations; and circles of random size and place. Photographs and the map are averaged over
# blocks of two by two pixels, so that all have :math:`128 \times 128`.

import matplotlib.pyplot as plt
import numpy as np

from skwave import MaxEntTextureModel
from skwave.datasets import load_cosmic_web, load_textures, make_turbulence


def halve(image):
    """Mean over blocks of two by two pixels."""
    h, w = image.shape
    return image.reshape(h // 2, 2, w // 2, 2).mean((1, 3))


def make_circles(size, n, rng):
    """Circles of random radii at random places, periodic."""
    y, x = np.mgrid[:size, :size]
    image = np.zeros((size, size), np.float32)
    for cy, cx, radius in zip(*rng.uniform(0, size, (2, n)), rng.uniform(4, 12, n), strict=True):
        dy, dx = ((c - centre + size / 2) % size - size / 2 for c, centre in ((y, cy), (x, cx)))
        image = np.maximum(image, np.exp(-((np.hypot(dy, dx) - radius) ** 2) / 2))
    return image


photos = load_textures()
targets = dict(zip(("nuts", "reptile skin"), map(halve, photos.images), strict=True))
targets["cosmic web"] = halve(load_cosmic_web().images[0])
targets["turbulence"] = make_turbulence(1, 128, viscosity=5e-4, courant=0.5, random_state=0)[0]
targets["circles"] = make_circles(128, 60, np.random.default_rng(0))

# %%
# Their models
# ------------
# Photographs are not periodic: ``boundary="crop"`` leaves out of averages what is near their sides.
# Samples are periodic all the same, so they can be laid side by side without a seam.

samples = {}
print("texture         steps    energy")
for name, image in targets.items():
    boundary = "crop" if name in ("nuts", "reptile skin") else "periodic"
    model = MaxEntTextureModel(J=4, boundary=boundary, max_iter=150, tol=2e-3, random_state=0)
    samples[name] = model.fit(image[None].astype(np.float32)).sample()[0]
    print(f"{name:14}  {model.n_iter_:5d}   {model.loss_curve_[-1, 0]:.1e}")
print(f"{model.n_moments_} moments of {image.size} pixels")

fig, axes = plt.subplots(2, 5, figsize=(12, 5), layout="constrained")
for (name, image), (top, bottom) in zip(targets.items(), axes.T, strict=True):
    low, high = np.quantile(image, (0.002, 0.998))
    top.imshow(image, cmap="gray", vmin=low, vmax=high)
    bottom.imshow(samples[name], cmap="gray", vmin=low, vmax=high)
    top.set_title(name)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
axes[0, 0].set_ylabel("image")
axes[1, 0].set_ylabel("sample")
plt.show()

# %%
# What is a matter of scales and orientations comes out: scales of a skin, knots and filaments of
# the web, the curls of the flow. What an object is does not: stones lose their outlines, and
# circles break into arcs. Each image has 16384 pixels, of which the model knows 2037 numbers.
