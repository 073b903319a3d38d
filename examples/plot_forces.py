r"""
Forces are the derivative of the features
=========================================

A regression on molecular features is a potential energy: move the nuclei, and it gives another
number. Its negative gradient is the force on each nucleus. The features of skwave are functions
of torch tensors, so that the gradient is exact, and costs one backward pass. This example fits a
linear model, stretches a bond, and compares the gradient with finite differences.
"""

# %%
# A linear model
# --------------
# :class:`~skwave.SolidHarmonicScattering` gives the number of atoms of each element, :math:`n_e`,
# and local invariants :math:`\Phi`, so that
#
# .. math:: E(r) = c + \sum_e w_e n_e + \langle w, \Phi(r)\rangle .

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skwave import SolidHarmonicScattering
from skwave.datasets import load_qm7_sample

qm7 = load_qm7_sample()
X, y, test = qm7.data, qm7.target, qm7.fold == 0
features = SolidHarmonicScattering(J=1, L=3, sigma=0.5)
model = make_pipeline(features, StandardScaler(), RidgeCV(np.logspace(-3, 3, 13)))
model.fit(X[~test], y[~test])
error = np.abs(model.predict(X[test]) - y[test]).mean()
print(f"mean absolute error on {test.sum()} other molecules: {error:.1f} kcal/mol")

# %%
# The energy as a function of positions
# -------------------------------------
# The scaler and the ridge are one affine map. The estimator before them takes tensors of rows
# :math:`(Z, x, y, z)`, and keeps their gradient.

scale, ridge = model[1], model[2]
w = torch.from_numpy(ridge.coef_ / scale.scale_)
constant = ridge.intercept_ - float(w @ torch.from_numpy(scale.mean_))


def energy(numbers, positions):
    """Energy in kcal/mol of positions in Å of shape (..., n_atoms, 3)."""
    positions = positions.reshape(-1, len(numbers), 3)
    numbers = torch.tensor(numbers).to(positions)[:, None].expand(len(positions), -1, -1)
    return features.transform(torch.cat([numbers, positions], -1)) @ w + constant


# %%
# Stretch a bond
# --------------
# Of a molecule that was not in the training set, we take the two heavy atoms joined by its longest
# bond, such that the molecule falls into two parts when it is cut, and move one part along the
# bond.


def side(positions, numbers, a, b):
    """Atoms on the side of b when the bond from a to b is cut; all if it is in a ring."""
    radius = np.where(numbers == 1, 0.31, 0.75)
    distance = np.linalg.norm(positions[:, None] - positions, axis=-1)
    bonded = distance < 1.25 * (radius[:, None] + radius)
    bonded[[a, b], [b, a]] = False
    found = np.arange(len(numbers)) == b
    for _ in numbers:
        found = found | bonded[found].any(0)
    return found


def longest_bond(numbers, positions):
    """Longest bond between heavy atoms that is in no ring."""
    heavy = np.flatnonzero(numbers > 1)
    bonds = [
        (np.linalg.norm(positions[a] - positions[b]), a, b)
        for a in heavy
        for b in heavy
        if a < b and not side(positions, numbers, a, b)[a]
    ]
    return max(bond for bond in bonds if bond[0] < 1.6)


sample = int(np.flatnonzero(test)[0])
numbers, positions = X[sample]
length, a, b = longest_bond(numbers, positions)
moved = torch.from_numpy(side(positions, numbers, a, b))[:, None]
direction = torch.from_numpy((positions[b] - positions[a]) / length)
print(
    f"molecule {sample}: {X.formula(sample)}, atoms {numbers[a]} and {numbers[b]}: {length:.3f} Å"
)

lengths = torch.linspace(1.2, 2.4, 61, dtype=torch.float64)
scan = torch.tensor(positions) + (lengths[:, None, None] - length) * direction * moved
scan.requires_grad_(True)
energies = energy(numbers, scan)
(gradient,) = torch.autograd.grad(energies.sum(), scan)
# force along the bond on the part that moves
force = -(gradient * moved * direction).sum((1, 2))

with torch.no_grad():
    h = 1e-4
    forward, backward = (energy(numbers, scan + s * h * direction * moved) for s in (1, -1))
    difference = -(forward - backward) / (2 * h)
    energies = energies.detach()
print(f"largest difference of the two forces: {(force - difference).abs().max():.1e} kcal/mol/Å")
print(f"force of the model at the true length: {np.interp(length, lengths, force):.0f} kcal/mol/Å")

fig, (top, bottom) = plt.subplots(2, 1, figsize=(6, 5.5), sharex=True, layout="constrained")
top.plot(lengths, energies)
top.plot(length, y[sample], "ko", label="true energy")
top.set_ylabel("energy (kcal/mol)")
top.set_title(f"{X.formula(sample)}: one bond, model of equilibrium geometries")
bottom.plot(lengths, force, label="autograd")
bottom.plot(lengths[::3], difference[::3], "o", mfc="none", label="finite differences")
bottom.axhline(0, color="k", lw=0.5)
bottom.set(xlabel="length of the bond (Å)", ylabel="force (kcal/mol/Å)")
for ax in (top, bottom):
    ax.axvline(length, color="k", lw=0.5, ls=":")
    ax.legend()
    ax.grid(alpha=0.3)

# %%
# The forces agree: they are those of this model, to the last digits that finite differences have.
#
# Whether the model is right is another question. Near the true length the energy is good, because
# molecules with such bonds were among those that it was fitted to. The slope is not. The true
# force is near 0 there, since the geometry was relaxed; the model pulls the bond together, to the
# length of a double or a triple bond. All molecules of QM7 are at rest. In them, short bonds
# between carbons go with other bond orders, which have other energies, and that is what the model
# has learnt about lengths. Nothing told it what happens to a given bond when it is stretched; it
# has seen hardly any bond between carbons that is longer than 1.6 Å.
#
# A potential that is to be used for forces is fitted to geometries away from equilibrium, and
# better to their forces as well: the derivative of a linear model is linear in the same weights.

plt.show()
