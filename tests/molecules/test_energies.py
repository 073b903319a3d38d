"""The regressor of energies: physics, statistics, scikit-learn's ways, and bad input."""

import pickle

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import GridSearchCV, cross_val_predict, learning_curve
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skwave import EnergyRegressor
from skwave.datasets import load_crystal_sample, load_qm7_sample
from skwave.interop import SKOPS_TYPES
from skwave.molecules import Molecules
from skwave.testing import check_molecular_regressor

SMALL = {"L": 2, "J": 1, "Q": 2, "n_components": 6}


@pytest.fixture(scope="module")
def data():
    X, y = load_qm7_sample(return_X_y=True)
    return X[::4], y[::4]


@pytest.fixture(scope="module")
def model(data):
    return EnergyRegressor(**SMALL).fit(*data)


@pytest.fixture(scope="module")
def moving():
    """Frames of a molecule that moves, with energies and forces of a sum of pair potentials."""
    rng = np.random.default_rng(0)
    numbers = [6, 8, 1, 1, 1, 1]
    rest = np.array(
        [
            [0, 0, 0],
            [1.4, 0, 0],
            [-0.5, 0.9, 0],
            [-0.5, -0.5, 0.8],
            [-0.5, -0.5, -0.8],
            [1.8, 0.8, 0],
        ]
    )
    positions = rest + 0.05 * rng.standard_normal((30, 6, 3))
    energies, forces = zip(*map(pair_potential, positions), strict=True)
    return Molecules.from_pairs([(numbers, r) for r in positions]), np.array(energies), list(forces)


def pair_potential(r):
    """Energy and forces of springs between all atoms."""
    d = r[:, None] - r
    length = np.linalg.norm(d, axis=-1) + np.eye(len(r))
    forces = -2 * ((1 - 1.5 / length) * (1 - np.eye(len(r))))[..., None] * d
    return ((length - 1.5) ** 2 * (1 - np.eye(len(r)))).sum() / 2, forces.sum(1)


def test_it_predicts_better_than_the_composition(data, model):
    X, y = load_qm7_sample(return_X_y=True)
    X, y = X[1::4], y[1::4]
    predicted = model.predict(X)
    counts = np.stack([[np.sum(m.numbers == z) for z in model.elements_] for m in X])
    linear = counts @ np.linalg.lstsq(counts, y, rcond=None)[0]
    assert np.abs(predicted - y).mean() < 0.5 * np.abs(linear - y).mean()
    assert model.score(X, y) > 0.99
    assert model.loo_error_ < 3 * np.abs(predicted - y).mean()


def test_energies_do_not_change_when_molecules_are_moved_turned_or_renumbered(data, model):
    numbers, positions = data[0][3]
    q, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))
    order = np.random.default_rng(1).permutation(len(numbers))
    same = [
        (numbers, positions),
        (numbers, positions @ q + [1.0, 2.0, 3.0]),
        (numbers[order], positions[order]),
    ]
    energies = model.predict(same)
    np.testing.assert_allclose(energies, energies[0], rtol=0, atol=1e-8)


def test_energies_of_molecules_far_from_each_other_add_up(data, model):
    (z, r), (w, s) = data[0][1], data[0][30]
    both = np.concatenate([z, w]), np.concatenate([r, s + np.array([100.0, 0, 0])])
    energies = model.predict([(z, r), (w, s), both])
    np.testing.assert_allclose(energies[2], energies[0] + energies[1], atol=1e-8)


def numerical_forces(model, molecule, step=1e-4):
    numbers, positions = molecule
    forces = np.zeros_like(positions)
    for a in np.ndindex(positions.shape):
        moved = np.repeat(positions[None], 4, 0)
        moved[(slice(None), *a)] += step * np.array([-2, -1, 1, 2])
        e = model.predict([(numbers, r) for r in moved])
        forces[a] = -(e[0] - 8 * e[1] + 8 * e[2] - e[3]) / (12 * step)
    return forces


def test_forces_are_the_derivatives_of_energies(data, model):
    X = data[0][5:8]
    forces = model.predict_forces(X)
    for molecule, f in zip(X, forces, strict=True):
        numerical = numerical_forces(model, molecule)
        np.testing.assert_allclose(f, numerical, rtol=0, atol=1e-6 * np.abs(f).max())
        np.testing.assert_allclose(f.sum(0), 0, atol=1e-8)


def test_forces_teach(moving):
    X, y, forces = moving
    train, test = slice(0, 20), slice(20, 30)
    size = {"L": 3, "n_components": 8}
    alone = EnergyRegressor(**size).fit(X[train], y[train])
    both = EnergyRegressor(**size).fit(X[train], y[train], forces=forces[train])
    truth = np.stack(forces[test])
    errors = [np.abs(np.stack(m.predict_forces(X[test])) - truth).mean() for m in (alone, both)]
    assert errors[1] < 0.5 * errors[0]
    assert errors[1] < 0.1 * np.abs(truth).mean()
    assert both.loo_force_error_ < 3 * errors[1]
    energies, _ = both.predict_energy_and_forces(X[test])
    np.testing.assert_allclose(energies, both.predict(X[test]), atol=1e-9)


def test_forces_alone_teach_energies_but_for_a_constant(moving):
    X, y, forces = moving
    train, test = slice(0, 20), slice(20, 30)
    model = EnergyRegressor(L=3, n_components=8).fit(X[train], forces=forces[train])
    found, truth = np.stack(model.predict_forces(X[test])), np.stack(forces[test])
    assert np.abs(found - truth).mean() < 0.1 * np.abs(truth).mean()
    error = model.predict(X[test]) - y[test]
    assert np.abs(error - error.mean()).max() < 0.1 * y[test].std()
    assert np.isnan(model.loo_error_)
    assert model.loo_force_error_ < 0.1 * np.abs(truth).mean()
    np.testing.assert_array_equal(model.atomic_energies_, 0)
    with pytest.raises(ValueError, match="forces alone"):
        model.predict(X[test], return_std=True)
    with pytest.raises(ValueError, match="sample_weight weighs energies"):
        model.fit(X[train], forces=forces[train], sample_weight=np.ones(20))


def test_a_parameter_of_the_fit_that_is_set_after_it_is_refused(data):
    X, y = data
    model = EnergyRegressor(**SMALL).fit(X[:40], y[:40])
    expected = model.predict(X[:5])
    for name, value in {"cutoff": 4.0, "extensive": False, "L": 7, "alpha": 1.0}.items():
        before = getattr(model, name)
        model.set_params(**{name: value})
        with pytest.raises(ValueError, match=f"{name}=.* was set after fit"):
            model.predict(X[:5])
        model.set_params(**{name: before})
    np.testing.assert_array_equal(model.predict(X[:5]), expected)


def test_an_interrupted_fit_keeps_the_one_before(data, monkeypatch):
    X, y = data
    model = EnergyRegressor(**SMALL).fit(X[:40], y[:40])
    expected = model.predict(X[:5])

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("skwave.molecules._energies.solve_problem", interrupt)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X[40:80], 2 * y[40:80])
    np.testing.assert_array_equal(model.predict(X[:5]), expected)
    assert not hasattr(EnergyRegressor(), "elements_")


def test_dual_and_primal_are_the_same_regression(data):
    X, y = data
    found = [
        EnergyRegressor(**SMALL, solver=solver, alpha=1e-3).fit(X, y)
        for solver in ("dual", "primal")
    ]
    dual, primal = (m.predict(X) for m in found)
    np.testing.assert_allclose(dual, primal, atol=1e-5)
    np.testing.assert_allclose(found[0].loo_error_, found[1].loo_error_, rtol=1e-4)
    np.testing.assert_allclose(found[0].atomic_energies_, found[1].atomic_energies_, atol=1e-4)


def test_errors_left_out_are_those_of_fits_without_the_molecule(data):
    X, y = data[0][:40], data[1][:40]
    full = EnergyRegressor(**SMALL, alpha=1e-2, degree=1).fit(X, y)
    # the axes are those of all molecules: the kernel of degree 1 hardly depends on them
    errors = []
    for i in range(0, 40, 8):
        others = np.arange(40) != i
        model = EnergyRegressor(**SMALL, alpha=1e-2, degree=1).fit(X[others], y[others])
        errors.append(abs(model.predict(X[[i]])[0] - y[i]))
    assert 0.1 * full.loo_error_ < np.mean(errors) < 10 * full.loo_error_


def test_it_keeps_the_promises_of_regressors(data):
    X, y = data
    check_molecular_regressor(EnergyRegressor(**SMALL), X[:30], y[:30])
    with pytest.raises(AssertionError, match="predictions differ"):
        check_molecular_regressor(ByOrder(), X[:30], y[:30])


class ByOrder(RegressorMixin, BaseEstimator):
    """What no regressor may do: predictions by the place of a molecule."""

    def fit(self, X, y):
        self.scale_ = np.std(y)
        return self

    def predict(self, X):
        return self.scale_ * np.arange(len(X))


def test_predicted_errors_are_calibrated():
    X, y = load_qm7_sample(return_X_y=True)
    train, test = np.arange(len(y)) % 2 == 0, np.arange(len(y)) % 2 == 1
    model = EnergyRegressor(**SMALL).fit(X[train], y[train])
    predicted, std = model.predict(X[test], return_std=True)
    errors = np.abs(predicted - y[test])
    assert 0.55 < (errors < std).mean() < 0.8
    assert (errors < 2 * std).mean() > 0.83
    rank = np.corrcoef(errors.argsort().argsort(), std.argsort().argsort())[0, 1]
    assert rank > 0.3


def test_several_targets_are_those_of_their_own_and_means_are_intensive(data):
    X, y = data
    per_atom = y / X.n_atoms
    several = EnergyRegressor(**SMALL, alpha=1e-3).fit(X, np.stack([y, 2 * y + X.n_atoms], 1))
    p = several.predict(X)
    np.testing.assert_allclose(p[:, 1], 2 * p[:, 0] + X.n_atoms, atol=1e-6)
    assert several.loo_error_.shape == (2,)
    mean = EnergyRegressor(**SMALL, extensive=False).fit(X, per_atom)
    (z, r), (w, s) = X[1], X[30]
    both = np.concatenate([z, w]), np.concatenate([r, s + np.array([100.0, 0, 0])])
    e = mean.predict([(z, r), (w, s), both])
    np.testing.assert_allclose(e[2], np.average(e[:2], weights=[len(z), len(w)]), atol=1e-9)


def test_weights_of_samples(data):
    X, y = data
    wrong = y.copy()
    wrong[:20] += 100
    weight = np.ones(len(y))
    weight[:20] = 0
    found = EnergyRegressor(**SMALL, alpha=1e-3).fit(X, wrong, sample_weight=weight)
    assert np.abs(found.predict(X[20:]) - y[20:]).mean() < 8
    ones, fours = (
        EnergyRegressor(**SMALL, solver="primal").fit(X, y, sample_weight=np.full(len(y), w))
        for w in (1.0, 4.0)
    )
    np.testing.assert_allclose(fours.loo_error_, ones.loo_error_, rtol=0.1)


def test_scikit_learn_takes_it(data):
    X, y = data
    small = EnergyRegressor(**SMALL, degree=1, elements=["H", "C", "N", "O", 16])
    assert cross_val_predict(small, X, y, cv=2).shape == y.shape
    search = GridSearchCV(small, {"alpha": [1e-4, 1e-2]}, cv=2).fit(X, y)
    assert search.best_params_["alpha"] in (1e-4, 1e-2)
    pipeline = make_pipeline(FunctionTransformer(), small).fit(X, y)
    np.testing.assert_allclose(pipeline.predict(X), clone(small).fit(X, y).predict(X))
    shifted = TransformedTargetRegressor(small, func=lambda t: -t, inverse_func=lambda t: -t)
    assert shifted.fit(X, y).predict(X).shape == y.shape
    _, _, scores = learning_curve(
        small, X, y, train_sizes=[0.9], cv=2, shuffle=True, random_state=0
    )
    assert np.isfinite(scores).all()


def test_persistence(data, model):
    X, _ = data
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    np.testing.assert_array_equal(again.predict(X, True)[1], model.predict(X, True)[1])
    assert not hasattr(clone(model), "elements_")


def test_skops_reads_it(data, model):
    skops = pytest.importorskip("skops.io")
    data_ = skops.dumps(model)
    again = skops.loads(data_, trusted=SKOPS_TYPES)
    np.testing.assert_array_equal(again.predict(data[0]), model.predict(data[0]))


def test_a_fit_is_repeated_exactly_and_says_what_it_chose(data, model, capsys):
    again = EnergyRegressor(**SMALL, verbose=1).fit(*data)
    assert "regulariser" in capsys.readouterr().out
    np.testing.assert_array_equal(again.predict(data[0]), model.predict(data[0]))
    assert again.best_params_ == model.best_params_
    assert again.best_params_["solver"] == "dual"
    fixed = EnergyRegressor(**SMALL, alpha=0.5).fit(*data)
    assert fixed.best_params_["alpha"] == pytest.approx(0.5)


class Counts:
    """Rows of atoms that say how many neighbours there are within a distance."""

    def __init__(self, rows=slice(None)):
        self.rows = rows

    def transform(self, molecules):
        found = []
        for m in molecules:
            d = np.linalg.norm(m.positions[:, None] - m.positions, axis=-1)
            found.append(np.stack([(d < c).sum(1) for c in (1.2, 1.6, 2.6, 3.0)], 1))
        return np.concatenate(found)[self.rows]


def test_features_from_outside(data):
    X, y = data
    model = EnergyRegressor(features=Counts(), n_components=3).fit(X, y)
    assert model.score(X, y) > 0.98
    with pytest.raises(ValueError, match="features="):
        model.predict_forces(X)
    with pytest.raises(ValueError, match="one row for each atom"):
        EnergyRegressor(features=Counts(slice(1, None)), n_components=3).fit(X, y)


def test_isolated_atoms_and_single_molecules(data):
    atoms = [([1], [[0.0, 0, 0]]), ([6], [[0.0, 0, 0]]), ([1], [[1.0, 0, 0]])]
    model = EnergyRegressor(**SMALL).fit(atoms, [-0.5, -37.0, -0.5])
    np.testing.assert_allclose(model.predict(atoms), [-0.5, -37.0, -0.5], atol=1e-6)
    np.testing.assert_allclose(model.predict_forces(atoms[:1])[0], 0)
    water = [([8, 1, 1], [[0, 0, 0.119], [0, 0.763, -0.477], [0, -0.763, -0.477]])]
    np.testing.assert_allclose(EnergyRegressor(**SMALL).fit(water, [-76.0]).predict(water), -76.0)


def test_a_fit_that_fails_changes_nothing(data, model):
    before = model.predict(data[0][:2])
    with pytest.raises(ValueError):
        model.fit(data[0], np.full(len(data[0]), np.nan))
    np.testing.assert_array_equal(model.predict(data[0][:2]), before)


def test_bad_input(data, model, moving):
    X, y = data
    nan = y.copy()
    nan[7] = np.nan
    with pytest.raises(ValueError, match=r"y\[7\] = "):
        EnergyRegressor(**SMALL).fit(X, nan)
    with pytest.raises(ValueError, match="holds Fe, of which nothing is known"):
        model.predict([([26], [[0.0, 0, 0]])])
    Y, e, forces = moving
    with pytest.raises(ValueError, match="forces of molecule 2 have the shape"):
        EnergyRegressor(**SMALL).fit(Y, e, forces=[*forces[:2], forces[2][1:], *forces[3:]])
    with pytest.raises(ValueError, match="29 arrays of forces for 30 molecules"):
        EnergyRegressor(**SMALL).fit(Y, e, forces=forces[1:])
    with pytest.raises(ValueError, match="derivatives of one energy"):
        EnergyRegressor(**SMALL, extensive=False).fit(Y, e, forces=forces)
    with pytest.raises(ValueError, match='solver="dual"'):
        EnergyRegressor(**SMALL, solver="dual").fit(Y, e, forces=forces)
    with pytest.raises(ValueError, match="increase it"):
        EnergyRegressor(**SMALL, alpha=1e-30).fit(X, y)
    with pytest.raises(ValueError, match="elements="):
        EnergyRegressor(**SMALL, elements=["H", "Xx"]).fit(X, y)
    with pytest.raises(ValueError, match="the elements are H C"):
        EnergyRegressor(**SMALL, elements=["H", "C"]).fit(X, y)
    with pytest.warns(UserWarning, match="molecules 0 and 1 of X are the same"):
        EnergyRegressor(**SMALL).fit(X[[0, 0, *range(1, 30)]], y[[0, 0, *range(1, 30)]])


@pytest.fixture(scope="module")
def crystal():
    """A regressor of some diamond cells of two atoms, energies and forces, and these cells."""
    sample = load_crystal_sample()
    two = np.flatnonzero((sample.data.n_atoms == 2) & (sample.material == "diamond"))
    X, y = sample.data[two], sample.target[two]
    forces = [sample.forces[i] for i in two]
    return EnergyRegressor(**SMALL, cutoff=3.0).fit(X, y, forces=forces), X, y


def strained(molecules, strain, repeat=(1, 1, 1)):
    """The first cell, strained, and repeated along its vectors."""
    ase = molecules.to_ase()[0].repeat(repeat)
    ase.set_cell(ase.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return ase


def test_crystals(crystal):
    model, X, y = crystal
    assert np.abs(model.predict(X) - y).mean() < 0.2 * np.abs(y - y.mean()).mean()
    cells = [strained(X, 0), strained(X, 0, (2, 1, 1)), strained(X, 0, (2, 2, 3))]
    moved = strained(X, 0)
    moved.positions[0] += moved.cell[1] - 2 * moved.cell[2]
    energies = model.predict([*cells, moved])
    np.testing.assert_allclose(energies / [2, 4, 24, 2], energies[0] / 2, rtol=0, atol=1e-9)
    forces = model.predict_forces([*cells, moved])
    np.testing.assert_allclose(forces[2], np.tile(forces[0], (12, 1)), atol=1e-9)
    np.testing.assert_allclose(forces[3], forces[0], atol=1e-9)


def test_stresses_are_derivatives_by_strain(crystal):
    model, X, _ = crystal
    step, volume = 1e-4, abs(np.linalg.det(X.cells[0]))
    stress = model.predict_stress([strained(X, 0)])[0]
    np.testing.assert_allclose(stress, stress.T, atol=1e-12)
    for i, j in np.ndindex(3, 3):
        strain = np.zeros((3, 3))
        strain[i, j] += step / 2
        strain[j, i] += step / 2
        e = model.predict([strained(X, s * strain) for s in (-2, -1, 1, 2)])
        slope = (8 * (e[2] - e[1]) - (e[3] - e[0])) / (12 * step)
        assert abs(slope / volume - stress[i, j]) < 1e-6
    with pytest.raises(ValueError, match="not periodic along three"):
        model.predict_stress([([6, 6], [[0.0, 0, 0], [0, 0, 1.5]])])


def test_the_calculator_gives_stresses(crystal):
    model, X, _ = crystal
    atoms = strained(X, 0.01 * np.eye(3))
    atoms.calc = model.calculator()
    stress = model.predict_stress([atoms])[0]
    np.testing.assert_allclose(atoms.get_stress(voigt=False), stress, atol=1e-12)
