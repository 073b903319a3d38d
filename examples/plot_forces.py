"""
Forces of a molecule in motion
==============================

:class:`skwave.EnergyRegressor` learns energies and forces of ethanol from 100 frames of a quantum
dynamics at 500 K. Then it takes the place of the quantum code: ASE relaxes the molecule and runs
its dynamics with the regressor as calculator.
"""

import ase
import matplotlib.pyplot as plt
import numpy as np
from ase import units
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS

from skwave import EnergyRegressor
from skwave.datasets import load_md_sample

md = load_md_sample("ethanol")
X, y, forces = md.data, md.target, md.forces
order = np.random.default_rng(0).permutation(len(X))
train, test = order[:100], order[100:300]

# %%
# Energies alone, forces alone, or both
# -------------------------------------
# A frame has one energy and 27 components of forces, which say more about the surface of energies.
# Forces alone leave the zero of the energy open.

models = {
    "energies": EnergyRegressor().fit(X[train], y[train]),
    "forces": EnergyRegressor().fit(X[train], forces=forces[train]),
    "both": EnergyRegressor().fit(X[train], y[train], forces=forces[train]),
}
print("learnt from   energy, meV   force, meV/Å")
predicted = {}
for name, model in models.items():
    e, f = model.predict_energy_and_forces(X[test])
    predicted[name] = np.stack(f)
    error = e - y[test]
    if name == "forces":
        error -= error.mean()
    errors = 1e3 * np.abs(error).mean(), 1e3 * np.abs(predicted[name] - forces[test]).mean()
    print(f"{name:10} {errors[0]:14.1f} {errors[1]:14.1f}")

figure, axes = plt.subplots(1, 2, figsize=(9, 4), sharex=True, sharey=True, layout="constrained")
for ax, name in zip(axes, ("energies", "both"), strict=True):
    ax.plot(forces[test].ravel(), predicted[name].ravel(), ".", ms=2, alpha=0.5)
    ax.axline((0, 0), slope=1, color="k", lw=0.7)
    ax.set(title=f"learnt from {name}", xlabel="force (eV/Å)", aspect="equal")
axes[0].set_ylabel("predicted force (eV/Å)")

# %%
# A calculator for ASE
# --------------------
# The energies are in eV, as ASE's are. A frame of the hot molecule relaxes to the minimum.

numbers, positions = X[int(test[0])]
atoms = ase.Atoms(numbers, positions, calculator=models["both"].calculator())
print(f"frame:   {atoms.get_potential_energy() - md.energy_min:.3f} eV above the minimum")
BFGS(atoms, logfile=None).run(fmax=0.01, steps=200)
print(f"relaxed: {atoms.get_potential_energy() - md.energy_min:.3f} eV")

# %%
# Dynamics keep the total energy, since the forces are the exact derivatives of the energy.

MaxwellBoltzmannDistribution(atoms, temperature_K=300, rng=np.random.RandomState(0))
times, potential, total = [], [], []


def record():
    """Energies of a step, and the time in fs."""
    times.append(dynamics.get_time() / units.fs)
    potential.append(atoms.get_potential_energy() - md.energy_min)
    total.append(potential[-1] + atoms.get_kinetic_energy())


dynamics = VelocityVerlet(atoms, timestep=0.5 * units.fs)
dynamics.attach(record, interval=2)
dynamics.run(400)
print(f"total energy varies by {1e3 * np.ptp(total) / len(atoms):.2f} meV an atom in 200 fs")

figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
ax.plot(times, total, label="total")
ax.plot(times, potential, label="potential")
ax.set(xlabel="time (fs)", ylabel="energy (eV)", ylim=(0, None), title="Ethanol at 300 K")
ax.legend()
plt.show()
