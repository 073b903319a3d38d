r"""
Faces from noise, with and without dictionaries
===============================================

The same model as for the digits, on photographs: faces if scikit-learn has them on this machine,
patches of its two sample photographs if not. ``sklearn.datasets.fetch_lfw_people()`` downloads the
faces once, 230 MB; they may be used for research alone.
"""

# %%
# Images
# ------
# Grey, :math:`16 \times 16` pixels, and their mirror images. Groups tell which images belong
# together: an image and its mirror image must not be on both sides when images are set apart to
# choose the epoch, nor may two pictures of a person.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import fetch_lfw_people, load_sample_images
from sklearn.feature_extraction.image import extract_patches_2d

from skwave import CASEGenerator
from skwave.plotting import GenerationDisplay
from skwave.validation import generation_report, psnr

SIDE = 16
try:
    faces = fetch_lfw_people(
        resize=None, slice_=(slice(61, 189), slice(61, 189)), download_if_missing=False
    )
    kind, groups = "faces", faces.target
    images = faces.images.reshape(-1, SIDE, 8, SIDE, 8).mean((2, 4))
    images = (images - images.min()) / np.ptp(images)
except OSError:
    kind, groups = "patches of two photographs", np.arange(3000)
    photographs = [image.mean(2)[::3, ::3] / 255 for image in load_sample_images().images]
    images = np.concatenate(
        [extract_patches_2d(p, (SIDE, SIDE), max_patches=1500, random_state=0) for p in photographs]
    )
images = images.astype(np.float32)
test = np.isin(groups, np.unique(groups)[::8])
X_train = np.concatenate([images[~test], images[~test][..., ::-1]])
X_test, groups = images[test], np.tile(groups[~test], 2)
print(f"{kind}: {len(X_train)} to train on, {len(X_test)} to test on")

# %%
# Reconstruction
# --------------
# A linear decoder is a strong opponent when there are few images: much of what a nonlinear decoder
# gains on the images it was trained on is lost on others. So the chain of dictionaries is added to
# the regression, begins at zero, and is kept as it was when the images that were set apart were
# reconstructed best.

parameters = {"J": 2, "n_components": 48, "L": 4, "random_state": 0}
linear = CASEGenerator(**parameters, decoder="linear").fit(X_train)
model = CASEGenerator(
    **parameters, n_atoms=(128, 16), channels=4, max_iter=5, sampler="mixture"
).fit(X_train, groups=groups)
for name, generator in {"regression": linear, "and dictionaries": model}.items():
    print(f"{name:16s} {generator.score(X_train):.2f} dB, {generator.score(X_test):.2f} dB in test")

fig, ax = plt.subplots(figsize=(7, 4.6), layout="constrained")
GenerationDisplay.from_estimator(model, X_test[:12], random_state=0, ax=ax)
plt.show()

# %%
# Samples
# -------
# Codes of photographs are not Gaussian: their norms vary far more than those of white noise. Noise
# whose norms are those of the training codes, or a mixture of Gaussians fitted to the codes, gives
# samples nearer to images, as the Fréchet distance of their scattering coefficients tells.

report = model.latent_report_["train"]
print(
    f"spread of the squared norm of codes {report['norm_spread']:.2f}, of noise "
    f"{report['norm_spread_gaussian']:.2f}; excess kurtosis {report['kurtosis']:.2f}"
)
for sampler in ("normal", "norm", "mixture"):
    samples = model.sample(len(X_test), sampler=sampler, random_state=0)
    quality = generation_report(samples, X_test)
    print(
        f"{sampler:8s} Fréchet distance {quality.frechet:.2f}, precision {quality.precision:.2f}, "
        f"recall {quality.recall:.2f}"
    )

# %%
# Plain numpy on codes
# --------------------
# Codes are arrays, and arithmetic on them is arithmetic on images. Here coordinates of one image
# take the place of those of another: the first, of most variance, are the coarse ones.

Z = model.transform(X_test[:6])
rows = [X_test[:6]]
for n in (2, 8, 24):
    mixed = np.concatenate([np.roll(Z, 1, axis=0)[:, :n], Z[:, n:]], 1)
    rows.append(model.inverse_transform(mixed))
fig, axes = plt.subplots(4, 6, figsize=(6, 4.2), layout="constrained")
for line, row, name in zip(axes, rows, ("images", "2 mixed", "8 mixed", "24 mixed"), strict=True):
    line[0].set_ylabel(name, fontsize=9)
    for ax, image in zip(line, row, strict=True):
        ax.imshow(image, cmap="gray", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
plt.show()
middle = model.interpolate(X_test[:6], X_test[6:12], 3)[:, 1]
print(f"mid-points are {psnr(middle, X_test[:6]):.1f} dB from where their paths begin")
