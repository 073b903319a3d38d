"""ASE relaxes a molecule and runs its dynamics by a fitted regressor."""

import numpy as np
import pytest

from skwave import EnergyRegressor

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


def test_a_regressor_without_forces_has_no_calculator():
    water = [([8, 1, 1], [[0, 0, 0.119], [0, 0.763, -0.477], [0, -0.763, -0.477]])]
    model = EnergyRegressor(L=1, n_components=2, extensive=False).fit(water, [1.0])
    with pytest.raises(ValueError, match="extensive=False"):
        model.calculator()
