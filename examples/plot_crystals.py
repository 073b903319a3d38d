"""
Energies and stresses of crystals
=================================

Atoms of a crystal have neighbours in the next cells, so that :class:`skwave.EnergyRegressor` takes
cells as it takes molecules. It learns strained diamond and boron nitride from their energies and
forces, and predicts stresses, an equation of state and supercells.
"""

import matplotlib.pyplot as plt
import numpy as np

from skwave import EnergyRegressor
from skwave.datasets import load_crystal_sample
from skwave.molecules import Molecules

crystals = load_crystal_sample()
X, y, forces = crystals.data, crystals.target, crystals.forces
order = np.random.default_rng(0).permutation(len(X))
train, test = order[:80], order[80:]
model = EnergyRegressor(n_components=24)
model.fit(X[np.sort(train)], y[np.sort(train)], forces=[forces[i] for i in np.sort(train)])

energies, found = model.predict_energy_and_forces(X[test])
per_atom = (energies - y[test]) / X[test].n_atoms
print(f"energy: {1e3 * np.abs(per_atom).mean():.2f} meV an atom")
error = np.concatenate(found) - np.concatenate([forces[i] for i in test])
print(f"forces: {1e3 * np.abs(error).mean():.0f} meV/Å")

# %%
# Stresses were not in the training. They are derivatives of the energy by the strain.

gigapascal = 160.21766  # of an eV/Å³
stress = gigapascal * model.predict_stress(X[test])
truth = gigapascal * crystals.stresses[test]
print(
    f"stresses: {np.abs(stress - truth).mean():.2f} GPa; they have {np.abs(truth).mean():.1f} GPa"
)

# %%
# The energy by the volume
# ------------------------
# The perfect cell of diamond, with two atoms, is scaled. A supercell has the same energy per atom.


def diamond(length, repeat=1):
    """Primitive cells of diamond of a cubic lattice constant in Å, as one cell."""
    cell = length / 2 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    shifts = np.stack(np.meshgrid(*[range(repeat)] * 3), -1).reshape(-1, 3) @ cell
    corners = np.array([[0, 0, 0], [length / 4] * 3])
    positions = (shifts[:, None] + corners).reshape(-1, 3)
    n = len(positions)
    return Molecules(np.full(n, 6), positions, [0, n], repeat * cell[None], True)


lengths = np.linspace(3.4, 3.75, 29)
by_length = np.array([model.predict(diamond(length))[0] for length in lengths]) / 2
print(f"lattice constant of diamond: {lengths[by_length.argmin()]:.3f} Å")
large = model.predict(diamond(3.57, repeat=3))[0] / 54
print(f"an atom of 54 less one of 2: {large - model.predict(diamond(3.57))[0] / 2:.1e} eV")

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
left.plot(truth.ravel(), stress.ravel(), ".")
left.axline((0, 0), slope=1, color="k", lw=0.7)
left.set(xlabel="stress (GPa)", ylabel="predicted stress (GPa)")
right.plot(lengths, by_length - by_length.min())
right.set(xlabel="lattice constant (Å)", ylabel="energy of an atom (eV)", title="Diamond")
plt.show()
