"""Packed molecules: indices, selections, and what scikit-learn does with them."""

import pickle
import sys

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import pdist
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import (
    GridSearchCV,
    cross_val_predict,
    cross_val_score,
    learning_curve,
    train_test_split,
)
from sklearn.pipeline import make_pipeline
from sklearn.utils import resample, shuffle

from skwave.molecules import Molecule, Molecules, as_molecules

WATER = ([8, 1, 1], [[0, 0, 0.119], [0, 0.763, -0.477], [0, -0.763, -0.477]])
HYDROGEN = ([1, 1], [[0, 0, 0], [0, 0, 0.74]])
ARGON = ([18], [[1.0, 2.0, 3.0]])
PAIRS = [WATER, HYDROGEN, ARGON]


@pytest.fixture
def molecules():
    return Molecules.from_pairs(PAIRS)


class Counts(TransformerMixin, BaseEstimator):
    """Atoms of each element, and the sum of distances between atoms."""

    def __init__(self, power=1):
        self.power = power

    def fit(self, X, y=None):
        self.elements_ = np.unique(as_molecules(X).numbers)
        return self

    def transform(self, X):
        rows = []
        for z, r in as_molecules(X):
            rows.append([*(z[:, None] == self.elements_).sum(0), (pdist(r) ** self.power).sum()])
        return np.array(rows, dtype=float)


# the container


def test_arrays_are_packed_typed_and_read_only(molecules):
    np.testing.assert_array_equal(molecules.numbers, [8, 1, 1, 1, 1, 18])
    np.testing.assert_array_equal(molecules.offsets, [0, 3, 5, 6])
    np.testing.assert_array_equal(molecules.n_atoms, [3, 2, 1])
    np.testing.assert_array_equal(molecules.positions, np.concatenate([r for _, r in PAIRS]))
    assert molecules.shape == (3,) and len(molecules) == 3
    for name, dtype in (("numbers", "i8"), ("positions", "f8"), ("offsets", "i8")):
        for held in (
            molecules,
            molecules[1:],
            molecules[[2, 0]],
            pickle.loads(pickle.dumps(molecules)),
        ):
            array = getattr(held, name)
            assert array.dtype == dtype and not array.flags.writeable
        with pytest.raises(AttributeError):
            setattr(molecules, name, None)


def test_the_callers_arrays_stay_their_own():
    numbers, positions, offsets = np.array([1, 1]), np.array(HYDROGEN[1]), np.array([0, 2])
    molecules = Molecules(numbers, positions, offsets)
    for array in (numbers, positions, offsets):
        array[:] = 7
    assert molecules == Molecules.from_pairs([HYDROGEN])


def test_indices(molecules):
    z, r = molecules[0]
    assert isinstance(molecules[0], Molecule)
    np.testing.assert_array_equal(z, WATER[0])
    np.testing.assert_array_equal(r, WATER[1])
    np.testing.assert_array_equal(molecules[-1].positions, ARGON[1])
    np.testing.assert_array_equal(molecules[np.int64(1)].numbers, HYDROGEN[0])
    with pytest.raises(IndexError):
        molecules[3]
    with pytest.raises(IndexError, match="one axis"):
        molecules[[[0, 1]]]


@pytest.mark.parametrize(
    "index",
    [
        slice(None),
        slice(1, 3),
        slice(1, None),
        slice(None, None, 2),
        slice(None, None, -1),
        slice(5, 9),
        [],
        [2, 0, 0],
        [-1, 1],
        np.array([1, 2], dtype=np.int32),
        np.array([True, False, True]),
        [False, True, True],
        (np.array([2, 1]), ...),
        (slice(0, 2), ...),
    ],
    ids=str,
)
def test_selections_are_those_of_a_list(molecules, index):
    rows = np.arange(3)[index]
    selected = molecules[index]
    assert isinstance(selected, Molecules) and selected.shape == (len(rows),)
    np.testing.assert_array_equal(
        selected.offsets, np.cumsum([0, *(len(PAIRS[i][0]) for i in rows)])
    )
    for (z, r), i in zip(selected, rows, strict=True):
        np.testing.assert_array_equal(z, PAIRS[i][0])
        np.testing.assert_array_equal(r, PAIRS[i][1])


def test_a_slice_is_a_view(many):
    assert np.shares_memory(many[10:20].positions, many.positions)
    assert np.shares_memory(many[10:20][3].positions, many.positions)
    assert many[10:20][2:4] == many[12:14]


def test_concatenation_and_equality(many, molecules):
    assert many[:20] + many[20:] == many
    assert many[:0] + molecules == molecules
    assert many + molecules != molecules + many
    assert molecules != PAIRS
    moved = molecules.positions + np.array([0, 0, 1e-9])
    assert Molecules(molecules.numbers, moved, molecules.offsets) != molecules
    assert Molecules([1, 8, 1, 1, 1, 18], molecules.positions, molecules.offsets) != molecules
    with pytest.raises(TypeError):
        molecules + PAIRS
    with pytest.raises(TypeError, match="unhashable"):
        hash(molecules)


def test_pickle_is_small_and_the_hash_stable(many):
    data = pickle.dumps(many)
    assert pickle.loads(data) == many
    n_atoms = len(many.numbers)
    assert len(data) < 25 * n_atoms + 4 * len(many) + 1000
    assert len(pickle.dumps(many[3:5])) < 1500
    assert joblib.hash(many) == joblib.hash(pickle.loads(data)) != joblib.hash(many[1:])


def test_repr_and_formulas(molecules):
    assert repr(molecules) == "Molecules(n=3, n_atoms=6, elements=H O Ar)"
    assert repr(molecules[:0]) == "Molecules(n=0, n_atoms=0, elements=)"
    assert [molecules.formula(i) for i in range(3)] == ["H2O", "H2", "Ar"]
    grid = 1.5 * np.stack(np.meshgrid(*[np.arange(3)] * 3), axis=-1).reshape(-1, 3)
    mixed = Molecules.from_pairs([([17, 1, 6, 8, 6, 1, 1], grid[:7]), ([1, 17], grid[:2])])
    assert mixed.formula(0) == "C2H3ClO" and mixed.formula(-1) == "ClH"


def test_as_an_array_it_is_one_of_objects(molecules):
    array = np.asarray(molecules)
    assert array.shape == (3,) and array.dtype == object
    assert as_molecules(array) == molecules
    with pytest.raises(TypeError, match="object"):
        np.asarray(molecules, dtype=float)
    frame = pd.DataFrame({"molecule": molecules, "x": [1.0, 2.0, 3.0]})
    assert as_molecules(frame["molecule"]) == molecules


def test_ase_there_and_back(many, tmp_path):
    ase_io = pytest.importorskip("ase.io")
    atoms = many.to_ase()
    assert len(atoms) == 60 and not atoms[0].pbc.any()
    assert Molecules.from_ase(atoms) == many
    assert Molecules.from_ase(iter(atoms)) == many
    assert Molecules.from_ase(Molecules.from_pairs([WATER]).to_ase()[0])[0].numbers[0] == 8
    ase_io.write(tmp_path / "many.extxyz", atoms)
    read = Molecules.read_extxyz(tmp_path / "many.extxyz")
    np.testing.assert_array_equal(read.numbers, many.numbers)
    np.testing.assert_array_equal(read.offsets, many.offsets)
    np.testing.assert_allclose(read.positions, many.positions, atol=1e-7)


def test_without_ase_the_extra_is_named(molecules, monkeypatch):
    monkeypatch.setitem(sys.modules, "ase", None)
    with pytest.raises(ImportError, match=r"skwave\[molecules\]"):
        molecules.to_ase()


@pytest.mark.parametrize(
    ("offsets", "error"),
    [
        ([0, 2], ValueError),
        ([1, 3], ValueError),
        ([0, 2, 1, 3], ValueError),
        ([0.0, 3.0], ValueError),
        ([], ValueError),
        (3, ValueError),
    ],
)
def test_offsets(offsets, error):
    with pytest.raises(error, match="offsets"):
        Molecules(*WATER, np.array(offsets))


def test_packed_arrays():
    assert Molecules(*WATER, [0, 3]) == Molecules.from_pairs([WATER])
    with pytest.raises(ValueError, match="n_atoms_total"):
        Molecules([8, 1], WATER[1], [0, 3])
    with pytest.raises(TypeError, match="real numbers"):
        Molecules(["O", "H", "H"], WATER[1], [0, 3])


# scikit-learn


def test_splits(many):
    y = many.n_atoms > 5
    X_train, X_test, y_train, y_test = train_test_split(many, y, stratify=y, random_state=0)
    assert isinstance(X_train, Molecules) and isinstance(X_test, Molecules)
    assert len(X_train) == 45 and len(X_test) == 15
    np.testing.assert_array_equal(X_train.n_atoms > 5, y_train)
    np.testing.assert_array_equal(X_test.n_atoms > 5, y_test)
    first, _ = train_test_split(many, shuffle=False)
    assert first == many[:45]
    X, sizes = shuffle(many, many.n_atoms, random_state=0)
    np.testing.assert_array_equal(X.n_atoms, sizes)
    assert X != many and len(resample(many, n_samples=90, random_state=0)) == 90


def test_models_are_those_on_a_list(many):
    y = Counts().fit_transform(many) @ [1.0, -2.0, 3.0, -4.0, 0.1]
    model = make_pipeline(Counts(), Ridge(1e-3))
    expected = cross_val_score(model, list(many), y)
    np.testing.assert_allclose(cross_val_score(model, many, y), expected)
    assert expected.min() > 0.99
    np.testing.assert_allclose(
        cross_val_predict(TransformedTargetRegressor(model), many, y),
        cross_val_predict(TransformedTargetRegressor(model), list(many), y),
    )
    assert np.isfinite(learning_curve(model, many, y, train_sizes=[0.5, 1.0])[2]).all()


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_grid_search(many, n_jobs):
    y = Counts(power=2).fit_transform(many)[:, -1]
    grid = {"counts__power": [1, 2], "ridge__alpha": [1e-3, 1]}
    with joblib.parallel_config("threading"):
        search = GridSearchCV(make_pipeline(Counts(), Ridge()), grid, n_jobs=n_jobs).fit(many, y)
    assert search.best_params_ == {"counts__power": 2, "ridge__alpha": 1e-3}
    np.testing.assert_allclose(search.predict(many[7:9]), y[7:9], rtol=1e-2, atol=1e-3)


def test_a_column_of_a_data_frame(many):
    frame = pd.DataFrame({"molecule": many, "x": np.arange(60.0)})
    for column in ("molecule", ["molecule"]):
        union = ColumnTransformer([("counts", Counts(), column), ("x", "passthrough", ["x"])])
        Y = union.fit_transform(frame)
        np.testing.assert_allclose(Y[:, :-1], Counts().fit_transform(many))
