r"""
What a solid harmonic wavelet sees of a molecule
================================================

A molecule comes as charges and positions of nuclei. Solid harmonic scattering makes a density of
them, separates its scales and its angular structure by wavelets, and keeps what does not depend on
how the molecule is turned. This example draws these fields in a plane.
"""

# %%
# The density
# -----------
# Each nucleus carries a Gaussian of width :math:`\sigma` times its charge,
#
# .. math:: \rho(u) = \sum_k Z_k\, g_\sigma(u - r_k).
#
# No voxels are stored: :class:`~skwave.plotting.SolidHarmonicDisplay` evaluates the sum where it
# draws. The molecule is turned to its principal axes and the plane goes through its middle, or at a
# height ``z`` above.

import matplotlib.pyplot as plt
import numpy as np

from skwave import SolidHarmonicScattering
from skwave.datasets import load_qm7_sample
from skwave.plotting import SolidHarmonicDisplay

X, y = load_qm7_sample(return_X_y=True)
# the flattest molecule that holds four elements
n_elements = np.array([len(np.unique(molecule.numbers)) for molecule in X])
flatness = [np.linalg.svd(m.positions - m.positions.mean(0))[1][-1] for m in X]
sample = int(np.argmin(np.where(n_elements == 4, flatness, np.inf)))
print(f"molecule {sample}: {X.formula(sample)}, {y[sample]:.0f} kcal/mol")

scattering = SolidHarmonicScattering(J=2, L=2, sigma=0.2, pooling="integral").fit(X)
fig, axes = plt.subplots(1, 3, figsize=(11, 2.8), layout="constrained")
for ax, density in zip(axes, ("full", "core", "valence"), strict=True):
    SolidHarmonicDisplay.from_estimator(
        scattering, X, sample=sample, density=density, ax=ax, cmap="magma"
    )
    ax.set_title(f"density: {density}")

# %%
# The weights are charges (``"full"``), electrons of closed shells (``"core"``, none for hydrogen)
# or the others (``"valence"``). The estimator integrates all three, so that what
# follows can tell a carbon from two lithiums at the same place.
#
# The moduli
# ----------
# A solid harmonic wavelet is a Gaussian of width :math:`2^j\sigma` times a solid harmonic of degree
# :math:`\ell`, of which there are :math:`2\ell + 1`. The norm over these,
#
# .. math:: U[j,\ell]\rho(u) = \Big(\sum_m |\rho\star\psi_{j,\ell,m}(u)|^2\Big)^{1/2},
#
# turns with the molecule: no direction is left in it.

display = SolidHarmonicDisplay.from_estimator(scattering, X, sample=sample)
plt.close(display.figure_)

n_scales, n_degrees = display.moduli.shape[:2]
fig, axes = plt.subplots(n_scales, n_degrees, figsize=(11, 8), layout="constrained")
for j, row in enumerate(axes):
    for l, ax in enumerate(row):
        display.plot(ax, j=j, l=l, cmap="magma")

# %%
# Rows are scales, columns degrees.
#
# * :math:`\ell = 0` is a Gaussian, and the modulus a blurred density. It says how much charge there
#   is around a point.
# * :math:`\ell = 1` is a gradient at the scale :math:`j`: zero on a lone nucleus, a ring around
#   it, and large where there is charge on one side only.
# * :math:`\ell = 2` answers to charge on two opposite sides: a wider ring around each nucleus at
#   the finest scale, the middle of the bonds at the next; at the coarsest the shape of the whole
#   molecule remains.
#
# At the nuclei the fields of the finest scale depend on the nearest neighbours alone, those of the
# coarsest on most of the molecule. With ``pooling="atoms"`` and ``"elements"`` this is where the
# features come from: fields of each element, sampled at the nuclei.
#
# Integrals
# ---------
# The features of ``pooling="integral"`` are integrals over space of powers of these fields. They
# neither move nor turn with the molecule.

rotation, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))
numbers, positions = X[sample]
S = scattering.transform([(numbers, positions), (numbers, positions @ rotation.T + 2)])
names = scattering.get_feature_names_out()
change = np.abs(S[1] / S[0] - 1).max()
print(f"{len(names)} features, from {names[0]} to {names[-1]}")
print(f"turned and moved, they change by {change:.0e} at most, relative")
print(f"integral of U for j=1, l=0: {S[0, list(names).index('s1_full_j1_l0_q1')]:.2f}")

powers, scales = (0.5, 1, 2, 3), range(n_scales)
fig, axes = plt.subplots(1, len(powers), figsize=(11, 2.8), layout="constrained")
for ax, q in zip(axes, powers, strict=True):
    for l in range(n_degrees):
        columns = [list(names).index(f"s1_full_j{j}_l{l}_q{q}") for j in scales]
        ax.plot(scales, S[0, columns], "o-", label=rf"$\ell = {l}$")
    ax.set(xlabel="scale j", xticks=scales, title=rf"$\int U^{{{q}}}$")
    ax.set(yscale="log" if q > 1 else "linear")
axes[0].legend()

# %%
# With :math:`q = 1` and :math:`\ell = 0` this is the number of electrons at every scale. A small
# power measures how far a field spreads, a large one how it is peaked.

plt.show()
