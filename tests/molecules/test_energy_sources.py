"""Settings of a regressor by the kind of its data, and where invariants come from."""

import numpy as np
import pytest
import torch

from skwave import EnergyRegressor
from skwave.molecules import Molecules
from skwave.molecules._energy_sources import choose_solver, make_source, own_elements, settle

MOLECULES = Molecules.from_pairs(
    [([8, 1, 1], [[0, 0, 0.119], [0, 0.763, -0.477], [0, -0.763, -0.477]])] * 4
)


def test_settings_are_the_parameters_or_follow_the_data():
    settings = settle(EnergyRegressor(L=3, n_components=5), MOLECULES, moving=False)
    assert (settings["L"], settings["n_components"], settings["n_quadratic"]) == (3, 5, 5)
    # eight hydrogen atoms have no more directions
    assert settle(EnergyRegressor(), MOLECULES, moving=False)["n_quadratic"] == 8
    assert settle(EnergyRegressor(degree=1), MOLECULES, moving=False)["n_quadratic"] == 0
    moving = settle(EnergyRegressor(), MOLECULES, moving=True)
    assert moving["decay_radius"] > settle(EnergyRegressor(), MOLECULES, False)["decay_radius"]


@pytest.mark.parametrize(
    ("n", "width", "moving", "expected"),
    [
        (100, 1000, False, "dual"),
        (1000, 100, False, "primal"),
        (30_000, 60_000, False, "primal"),
        (10, 100, True, "primal"),
    ],
)
def test_the_smaller_system_is_solved(n, width, moving, expected):
    assert choose_solver("auto", n, width, moving) == expected


def test_what_is_asked_for_is_taken_or_refused():
    assert choose_solver("dual", 30_000, 10, False) == "dual"
    with pytest.raises(ValueError, match='solver="auto"'):
        choose_solver("dual", 10, 10, True)


def test_widths_are_geometric_and_elements_are_numbered():
    settings = settle(EnergyRegressor(J=1, Q=2, sigma=0.5), MOLECULES, moving=False)
    source = make_source(np.array([1, 8]), None, settings)
    np.testing.assert_allclose(source.basis.widths, [0.5, 0.5 * 2**0.5, 1.0])
    assert own_elements(MOLECULES, source.elements).tolist() == [1, 0, 0] * 4
    ((first, phi),) = source.invariants(MOLECULES)
    assert first == 0
    assert len(phi) == 12
    torch.testing.assert_close(phi[:3], phi[3:6])


def test_rows_of_a_transformer_are_those_of_the_atoms():
    class Short:
        def transform(self, molecules):
            return np.zeros((len(molecules), 2))

    source = make_source(np.array([1, 8]), Short(), {})
    with pytest.raises(ValueError, match="one row for each atom"):
        next(iter(source.invariants(MOLECULES)))
