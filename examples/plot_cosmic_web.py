r"""
The cosmic web, and how good a model of it is
=============================================

Dark matter gathers in a web of filaments and knots. Simulations of it are expensive, so one would
like to have more maps from a few. This example fits a maximum-entropy model to one map, samples two
others, and asks how far they are from the truth, by statistics that the model was not fitted to.
"""

# %%
# One map to learn from, seven to judge by
# ----------------------------------------
# :func:`~skwave.datasets.load_cosmic_web` has eight independent maps of the logarithm of the
# projected density. Means over two by two pixels make them :math:`128 \times 128`, still
# periodic.

import matplotlib.pyplot as plt

from skwave import MaxEntTextureModel
from skwave.datasets import load_cosmic_web
from skwave.plotting import TextureDisplay
from skwave.validation import texture_report

maps = load_cosmic_web().images.reshape(8, 128, 2, 128, 2).mean((2, 4))

# %%
# Gaussian fields first: noise with the spectrum of the map, at the resolution of the wavelets.
# Distances of `texture_report` are in units of the scatter of real maps; the other real maps are at
# about 1.4 from the target themselves.

gaussian = MaxEntTextureModel(J=5, moments="wavelet_covariance", tol=1e-4, random_state=0)
gaussian.fit(maps[:1])
print(texture_report(maps, gaussian.sample(2)))

# %%
# Covariances of phase harmonics
# ------------------------------
# The default moments tell how scales depend on each other.

model = MaxEntTextureModel(J=5, tol=3e-4, random_state=0).fit(maps[:1])
samples = model.sample(2)
print(f"{model.n_moments_} moments of {maps[0].size} pixels")
print(texture_report(maps, samples))

# %%
# All of it in one figure. ``loss_curve`` is the energy after each step, one curve for each sample.
# ``TextureDisplay.from_estimator(model, maps)`` would draw the samples first.

TextureDisplay.from_maps(maps, samples, loss_curve=model.loss_curve_)
plt.show()

# %%
# Samples of the Gaussian model are too far from the target by the kurtosis of their increments, by
# their bispectrum and Minkowski functionals, and a little by their quantiles. Those of phase
# harmonics are as near to it as other real maps, or nearer, in all families but the bispectrum and,
# barely, the kurtosis. Nearer is not better: the model knows this one map. And they are not copies
# of it: the largest correlation over all shifts, 0.07, is about that of real maps, 0.06.
