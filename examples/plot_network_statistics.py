r"""
Statistics of a network's feature maps
======================================

:class:`~skwave.MaxEntTextureModel` takes any differentiable statistics: ``moments`` may be a
function of a torch tensor. Gatys, Ecker and Bethge (2015) take the correlations of the feature maps
of a deep network, and Ustyuzhaninov et al. (2016) found that the network need not be trained.
Here is a network with random weights, beside the wavelets.
"""

# %%
# A network that has learned nothing
# ----------------------------------
# Three layers of random filters of :math:`5 \times 5` with rectifiers, and means over blocks of two
# by two pixels between them. Padding is circular, so that samples are periodic. The statistics are
# the means of the feature maps and their correlations, all pairs within one layer.

import matplotlib.pyplot as plt
import numpy as np
import torch

from skwave import MaxEntTextureModel
from skwave.datasets import load_textures

generator = torch.Generator().manual_seed(0)
layers = []
for n_in, n_out in ((1, 32), (32, 32), (32, 32)):
    weights = torch.randn(n_out, n_in, 5, 5, generator=generator)
    weights -= weights.mean((-2, -1), keepdim=True)
    layers.append(weights / weights.flatten(1).norm(dim=1)[:, None, None, None])


def feature_correlations(x):
    """Means and correlations of the feature maps; Tensor (B, 1, H, W) to Tensor (B, M)."""
    found = []
    for weights in layers:
        padded = torch.nn.functional.pad(x, (2, 2, 2, 2), mode="circular")
        maps = torch.relu(torch.nn.functional.conv2d(padded, weights.to(x)))
        features = maps.flatten(2)
        gram = features @ features.mT / features.shape[-1]
        rows, columns = torch.triu_indices(*gram.shape[1:])
        found += [features.mean(-1), gram[:, rows, columns]]
        x = torch.nn.functional.avg_pool2d(maps, 2)
    return torch.cat(found, 1)


# %%
# Two models of two textures
# --------------------------
# Energies of different moments do not compare. All correlations of rectified maps are positive and
# large, so that a small energy is reached soon, and has to be the smaller.

photos = load_textures()
images = photos.images.reshape(2, 128, 2, 128, 2).mean((2, 4))
families = {
    "random network": (feature_correlations, 2e-5),
    "phase harmonics": ("phase_harmonic", 1e-3),
}
samples = {}
print("texture        moments           number   steps    energy")
for texture, image in zip(photos.names, images, strict=True):
    for family, (moments, tol) in families.items():
        model = MaxEntTextureModel(J=4, moments=moments, max_iter=200, tol=tol, random_state=0)
        samples[texture, family] = model.fit(image[None]).sample()[0]
        steps, energy = model.n_iter_, model.loss_curve_[-1, 0]
        print(f"{texture:13}  {family:16}  {model.n_moments_:6d}   {steps:5d}   {energy:.1e}")

fig, axes = plt.subplots(2, 3, figsize=(8, 5.5), layout="constrained")
for row, texture, image in zip(axes, photos.names, images, strict=True):
    low, high = np.quantile(image, (0.002, 0.998))
    shown = {"photograph": image} | {family: samples[texture, family] for family in families}
    for ax, (name, picture) in zip(row, shown.items(), strict=True):
        ax.imshow(picture, cmap="gray", vmin=low, vmax=high)
        ax.set(title=name, xticks=[], yticks=[])
plt.show()

# %%
# Both have understood the textures, by about as many numbers: the network without having learned
# anything, the wavelets without being random. The nuts are less nuts than sharp stones: to close an
# outline is beyond both.
