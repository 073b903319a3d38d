r"""
Turbulence from one snapshot
============================

How much does one snapshot say of the flow it comes from? A maximum-entropy model takes some
moments of it and leaves all else to chance: what its samples lack, the moments do not hold. Here
are three models of the vorticity of two-dimensional turbulence, each fitted to the same snapshot:

* its whole power spectrum, which a Gaussian field has as well;
* covariances of wavelet coefficients, the same information at the resolution of wavelets;
* covariances of the phase harmonics of wavelet coefficients, :math:`|z|\,e^{ik\arg z}`, which tell
  how scales depend on each other.
"""

# %%
# The field
# ---------
# :func:`~skwave.datasets.make_turbulence` solves the Navier–Stokes equations from noise. Vortices
# of equal sign merge, and between them the vorticity is drawn out to filaments. There are three
# snapshots, of which the models see the first alone.

import matplotlib.pyplot as plt
import numpy as np
import torch

from skwave import MaxEntTextureModel
from skwave.datasets import make_turbulence
from skwave.functional import increment_kurtosis, minkowski_functionals

fields = make_turbulence(3, 128, viscosity=3e-4, courant=0.5, random_state=0)
target = fields[:1]
print(f"vorticity: mean {target.mean():.2f}, standard deviation {target.std():.2f}")

# %%
# Three models
# ------------
# They differ in ``moments`` alone. ``fit`` computes the moments of the snapshot; ``sample`` moves
# Gaussian noise of a similar spectrum until it has them, up to the relative squared error ``tol``.

names = {
    "power spectrum": "gaussian",
    "wavelet covariance": "wavelet_covariance",
    "phase harmonics": "phase_harmonic",
}
samples = {}
print("moments               number   steps    energy")
for name, moments in names.items():
    model = MaxEntTextureModel(J=5, moments=moments, tol=1e-3, random_state=0).fit(target)
    samples[name] = model.sample()
    steps, energy = model.n_iter_, model.loss_curve_[-1, 0]
    print(f"{name:20}  {model.n_moments_:6d}   {steps:5d}   {energy:.1e}")

images = {"snapshot": target, **samples}
limit = np.quantile(np.abs(target), 0.995)
fig, axes = plt.subplots(1, 4, figsize=(12, 3.3), layout="constrained")
for ax, (name, image) in zip(axes, images.items(), strict=True):
    ax.imshow(image[0], cmap="RdBu_r", vmin=-limit, vmax=limit)
    ax.set(title=name, xticks=[], yticks=[])

# %%
# What the eye sees, in numbers
# -----------------------------
# Sharp gradients beside calm places are increments :math:`w(u + d) - w(u)` whose kurtosis is above
# 3, that of a Gaussian variable. Filaments are seen by the Euler characteristic of the set where
# :math:`w` is above a threshold, its number of pieces less that of its holes: they join what would
# be pieces. The range of the other snapshots is grey.

distances, thresholds = (1, 2, 4, 8, 16, 32), torch.linspace(-2.5, 2.5, 41, dtype=torch.float64)


def curves(w):
    """Kurtosis of increments along the axes, and Euler characteristics."""
    w = torch.from_numpy(w / w.std()).double()
    kurtosis = increment_kurtosis(w, distances)[:, :2].mean(1)
    return kurtosis.numpy(), minkowski_functionals(w, thresholds)[:, 2].numpy() * w[0].numel()


fig, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for ax, x, others in zip(axes, (distances, thresholds.numpy()), curves(fields[1:]), strict=True):
    ax.fill_between(x, others.min(0), others.max(0), color="0.8", lw=0)
print("kurtosis at distance " + "".join(f"{d:6d}" for d in distances))
for (name, w), color in zip(images.items(), ("k", "C1", "C2", "C0"), strict=True):
    kurtosis, euler = curves(w)
    axes[0].plot(distances, kurtosis[0], color=color, label=name)
    axes[1].plot(thresholds.numpy(), euler[0], color=color)
    print(f"{name:21}" + "".join(f"{k:6.2f}" for k in kurtosis[0]))
axes[0].set_xscale("log", base=2)
axes[0].set_xticks(distances, distances)
axes[0].set(xlabel="distance (pixels)", title="kurtosis of increments")
axes[0].legend(frameon=False)
axes[1].set(xlabel="threshold (standard deviations)", title="Euler characteristic")
plt.show()

# %%
# The two Gaussian models look alike, and know nothing of vortices and filaments: the kurtosis is
# 3. Phase harmonics, by 3294 moments, less than half of the number of frequencies, have
# filaments, and the kurtosis to 0.2. Vortices are fewer in the sample than in the flow. The
# snapshot itself differs from the others at short distances: a model of one snapshot can be no
# better than the snapshot.
