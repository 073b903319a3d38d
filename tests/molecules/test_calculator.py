"""ASE relaxes a molecule and runs its dynamics by a fitted regressor."""

import numpy as np
import pytest

from skwave import EnergyRegressor
from skwave.datasets import load_md_sample

ase = pytest.importorskip("ase")


def morse(r):
    """Energy and forces of a diatomic molecule."""
    d = r[1] - r[0]
    length = np.linalg.norm(d)
    x = np.exp(-2 * (length - 1.1))
    slope = 2 * 5 * (1 - x) * x * 2
    return 5 * (1 - x) ** 2, np.stack([slope * d / length, -slope * d / length])


@pytest.fixture(scope="module")
def regressor():
    lengths = np.linspace(0.95, 1.35, 21)
    positions = [np.array([[0, 0, 0], [0, 0, length]]) for length in lengths]
    energies, forces = zip(*map(morse, positions), strict=True)
    model = EnergyRegressor(L=2, n_components=6)
    return model.fit([([6, 8], r) for r in positions], energies, forces=list(forces))


def test_it_relaxes(regressor):
    from ase.optimize import BFGS

    atoms = ase.Atoms("CO", [[0, 0, 0], [0.3, 0, 1.2]], calculator=regressor.calculator())
    BFGS(atoms, logfile=None).run(fmax=1e-3)
    assert atoms.get_distance(0, 1) == pytest.approx(1.1, abs=2e-3)
    assert atoms.get_potential_energy() == pytest.approx(0, abs=2e-3)


def test_dynamics_conserve_the_energy(regressor):
    from ase import units
    from ase.md.verlet import VelocityVerlet

    atoms = ase.Atoms("CO", [[0, 0, 0], [0, 0, 1.2]], calculator=regressor.calculator())
    dynamics = VelocityVerlet(atoms, timestep=0.5 * units.fs)
    energies = []
    dynamics.attach(lambda: energies.append(atoms.get_total_energy()))
    dynamics.run(200)
    # 100 fs; 1 meV per atom
    assert np.ptp(energies) < 2e-3
    assert atoms.get_momenta().sum(0) == pytest.approx(0, abs=1e-9)


@pytest.fixture(scope="module")
def ethanol():
    md = load_md_sample("ethanol")
    frames = md.data[::5]
    return md, EnergyRegressor(n_components=24).fit(
        frames, md.target[::5], forces=list(md.forces[::5])
    )


def atoms_of(ethanol):
    md, regressor = ethanol
    numbers, positions = md.data[1]
    return ase.Atoms(numbers, positions, calculator=regressor.calculator())


def test_ethanol_relaxes_to_its_minimum(ethanol):
    from ase.optimize import BFGS

    atoms = atoms_of(ethanol)
    assert BFGS(atoms, logfile=None).run(fmax=0.01, steps=200)
    # a conformer may be .05 eV above the one that is known; training has no frame below .3 eV
    assert atoms.get_potential_energy() == pytest.approx(ethanol[0].energy_min, abs=0.1)
    assert atoms.get_distance(0, 1) == pytest.approx(1.51, abs=0.04)  # C-C


def test_dynamics_of_ethanol_conserve_the_energy(ethanol):
    from ase import units
    from ase.md.verlet import VelocityVerlet

    atoms = atoms_of(ethanol)
    deviations = np.sqrt(atoms.get_masses() * 300 * units.kB)[:, None]
    atoms.set_momenta(deviations * np.random.default_rng(0).standard_normal((len(atoms), 3)))
    energies = []
    dynamics = VelocityVerlet(atoms, timestep=0.25 * units.fs)
    dynamics.attach(lambda: energies.append(atoms.get_total_energy()), interval=10)
    dynamics.run(400)  # 100 fs
    assert np.ptp(energies) < 1e-3 * len(atoms)


def test_a_regressor_without_forces_has_no_calculator():
    water = [([8, 1, 1], [[0, 0, 0.119], [0, 0.763, -0.477], [0, -0.763, -0.477]])]
    model = EnergyRegressor(L=1, n_components=2, extensive=False).fit(water, [1.0])
    with pytest.raises(ValueError, match="extensive=False"):
        model.calculator()
