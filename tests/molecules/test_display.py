"""Slices through molecules."""

import sys

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from skwave import ScatteringTransformer, SolidHarmonicScattering
from skwave.functional import gaussian_modulus
from skwave.functional._molecules.gaussians import align
from skwave.plotting import SolidHarmonicDisplay

pytestmark = pytest.mark.usefixtures("plt")

WATER = [8, 1, 1], [[0, 0, 0.119], [0, 0.763, -0.477], [0, -0.763, -0.477]]
HYDROGEN = [1, 1], [[0, 0, 0], [0, 0, 0.74]]
X = [HYDROGEN, WATER]


@pytest.fixture
def scattering():
    return SolidHarmonicScattering(J=1, L=2, sigma=0.3, Q=2).fit(X)


def draw(scattering, **kwargs):
    parameters = {"sample": 1, "step": 0.1, **kwargs}
    return SolidHarmonicDisplay.from_estimator(scattering, X, **parameters)


def pixels(display):
    # coordinates of rows and columns
    left, right, bottom, top = display.extent
    n_y, n_x = display.density.shape
    y, x = ((high - low) / n for low, high, n in ((bottom, top, n_y), (left, right, n_x)))
    return bottom + y * (np.arange(n_y) + 0.5), left + x * (np.arange(n_x) + 0.5)


def aligned(molecule):
    positions = torch.tensor(molecule[1], dtype=torch.float64)[None]
    return align(positions, torch.ones(1, positions.shape[1], dtype=torch.bool))


def gaussian(distance, width):
    return np.exp(-(distance**2) / (2 * width**2)) / (2 * np.pi * width**2) ** 1.5


def test_density_is_the_sum_of_gaussians(scattering):
    display = draw(scattering, z=0.2)
    y, x = pixels(display)
    (centres,) = aligned(WATER).numpy()
    u = np.stack([*np.meshgrid(x, y), np.full((len(y), len(x)), 0.2)], -1)
    distance = np.linalg.norm(u[..., None, :] - centres, axis=-1)
    expected = gaussian(distance, 0.3) @ WATER[0]
    np.testing.assert_allclose(display.density, expected, rtol=1e-6, atol=1e-9)
    # the smallest wavelet of degree 0 widens the Gaussians to sqrt(2) of their width
    expected = gaussian(distance, 0.3 * np.sqrt(2)) @ WATER[0]
    np.testing.assert_allclose(display.moduli[0, 0], expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("density", "weights"), [("core", [2, 0, 0]), ("valence", [6, 1, 1])])
def test_moduli_at_a_point(scattering, density, weights):
    display = draw(scattering, density=density, z=0.1)
    y, x = pixels(display)
    row, column = 11, 17
    axes = [torch.tensor([v], dtype=torch.float64) for v in (x[column], y[row], 0.1)]
    weights = torch.tensor(weights, dtype=torch.float64)[None, None]
    assert display.scales == (0, 0.5, 1)
    for i, j in enumerate(display.scales):
        for l in range(3):
            u = gaussian_modulus(aligned(WATER), weights, axes, 0.3, 0.3 * 2**j, l)
            assert display.moduli[i, l, row, column] == pytest.approx(u.item(), rel=1e-9)


@pytest.mark.parametrize(("density", "charge"), [("full", 10), ("core", 2), ("H", 2), ("O", 1)])
def test_slices_add_up_to_the_charge(scattering, density, charge):
    step = 0.15
    heights = np.arange(-1.5, 1.5, step)
    slices = [draw(scattering, density=density, z=z, step=step).density for z in heights]
    assert np.sum(slices) * step**3 == pytest.approx(charge, rel=1e-3)


def test_atoms_stand_on_the_density(scattering):
    display = draw(scattering, step=0.02)
    y, x = pixels(display)
    assert [symbol for symbol, _, _ in display.atoms] == ["O", "H", "H"]
    centre = display.atoms[0][1:]
    row, column = np.unravel_index(display.density.argmax(), display.density.shape)
    np.testing.assert_allclose((x[column], y[row]), centre, atol=0.03)
    # the longest extent of water, between the hydrogens, lies along x
    (_, x1, y1), (_, x2, y2) = display.atoms[1:]
    assert abs(x1 - x2) == pytest.approx(2 * 0.763) and y1 == pytest.approx(y2)
    assert {t.get_text() for t in display.ax_.texts} == {"O", "H"}
    assert not display.plot(atoms=False).ax_.texts


def test_draws_in_the_axes_given(plt, scattering):
    figure, (left, right) = plt.subplots(1, 2)
    display = draw(scattering, ax=left, colorbar=False)
    assert display.ax_ is left and display.figure_ is figure and display.colorbar_ is None
    assert left.has_data() and not right.has_data()
    assert display.plot(right) is display
    assert display.ax_ is right and right.has_data()
    assert plt.get_fignums() == [figure.number]


def test_plots_again_at_another_scale(plt, scattering):
    display = draw(scattering)
    np.testing.assert_array_equal(display.image_.get_array(), display.density)
    assert display.image_.get_clim()[0] == 0
    first = display.figure_
    display.plot(j=0.5, l=2)
    np.testing.assert_array_equal(display.image_.get_array(), display.moduli[1, 2])
    assert "j=0.5" in display.ax_.get_title() and display.image_.origin == "lower"
    assert display.figure_ is not first and len(plt.get_fignums()) == 2
    display = draw(scattering, j=1, l=0, norm="log", cmap="magma")
    np.testing.assert_array_equal(display.image_.get_array(), display.moduli[2, 0])
    assert display.image_.norm.vmin > 0 and display.image_.get_cmap().name == "magma"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sample": 2}, "sample must be an integer from 0 to 1, got 2"),
        ({"density": "elements"}, "density must be one of 'full'.*got 'elements'"),
        ({"j": 1}, "j=1 and l=None: give both"),
        ({"l": 1}, "j=None and l=1: give both"),
        ({"j": 3, "l": 0}, r"j must be one of 0.0, 0.5, 1.0, got 3"),
        ({"j": 0, "l": 3}, r"l must be one of 0, 1, 2, got 3"),
    ],
)
def test_bad_choices(scattering, wrong, message):
    with pytest.raises(ValueError, match=message):
        draw(scattering, **wrong)


def test_axes_and_estimators_that_are_none(plt, scattering):
    with pytest.raises(TypeError, match="ax must be one matplotlib Axes or None, got ndarray"):
        draw(scattering, ax=plt.subplots(1, 2)[1])
    for wrong in (make_pipeline(scattering), ScatteringTransformer(J=1)):
        with pytest.raises(TypeError, match=r"takes a fitted SolidHarmonicScattering, got"):
            draw(wrong)
    with pytest.raises(NotFittedError):
        draw(SolidHarmonicScattering())


def test_without_matplotlib_the_extra_is_named(monkeypatch, scattering):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"from_estimator needs matplotlib.*skwave\[plot\]"):
        draw(scattering)
