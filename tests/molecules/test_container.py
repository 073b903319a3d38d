"""Molecules: every kind of input, what scikit-learn does with them, and what is refused."""

import pickle
import sys

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
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

from skwave.molecules import SYMBOLS, Molecule, Molecules, as_molecules

WATER = ([8, 1, 1], [[0, 0, 0.119], [0, 0.763, -0.477], [0, -0.763, -0.477]])
HYDROGEN = ([1, 1], [[0, 0, 0], [0, 0, 0.74]])
ARGON = ([18], [[1.0, 2.0, 3.0]])
PAIRS = [WATER, HYDROGEN, ARGON]


@pytest.fixture
def molecules():
    return Molecules.from_pairs(PAIRS)


@pytest.fixture(scope="module")
def many():
    """60 molecules of 1 to 9 atoms on a distorted grid."""
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(3) * 1.4] * 3), axis=-1).reshape(-1, 3)
    pairs = []
    for n in rng.integers(1, 10, 60):
        r = grid[rng.choice(27, n, replace=False)] + rng.uniform(-0.3, 0.3, (n, 3))
        pairs.append((rng.choice([1, 6, 7, 8], n), r))
    return Molecules.from_pairs(pairs)


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


def padded(molecules):
    X = np.zeros((len(molecules), molecules.n_atoms.max(), 4))
    for row, (z, r) in zip(X, molecules, strict=True):
        row[: len(z), 0], row[: len(z), 1:] = z, r
    return X


def objects(items):
    out = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        out[i] = item
    return out


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


def test_symbols_are_those_of_ase():
    data = pytest.importorskip("ase.data")
    assert SYMBOLS == tuple(data.chemical_symbols[1:119])


def test_as_an_array_it_is_one_of_objects(molecules):
    array = np.asarray(molecules)
    assert array.shape == (3,) and array.dtype == object
    assert as_molecules(array) == molecules
    with pytest.raises(TypeError, match="object"):
        np.asarray(molecules, dtype=float)
    frame = pd.DataFrame({"molecule": molecules, "x": [1.0, 2.0, 3.0]})
    assert as_molecules(frame["molecule"]) == molecules


# other kinds


@pytest.mark.parametrize(
    "convert",
    [
        lambda m: m,
        lambda m: list(m),
        lambda m: tuple(m),
        lambda m: [(z.tolist(), r.tolist()) for z, r in m],
        lambda m: [[z.astype(float), torch.from_numpy(r.copy())] for z, r in m],
        lambda m: objects(list(m)),
        lambda m: objects(list(m))[:, None],
        lambda m: np.array([objects(pair) for pair in m]),
        lambda m: pd.Series(list(m), index=range(100, 160)),
        lambda m: pd.DataFrame({"molecule": list(m)}),
        padded,
        lambda m: torch.from_numpy(padded(m)).requires_grad_(),
        lambda m: m.to_ase(),
        lambda m: objects(m.to_ase()),
        lambda m: pd.Series(m.to_ase()),
    ],
    ids=[
        "Molecules",
        "pairs",
        "tuple",
        "lists",
        "tensors",
        "objects",
        "column",
        "apart",
        "Series",
        "DataFrame",
        "padded",
        "tensor",
        "ase",
        "ase objects",
        "ase Series",
    ],
)
def test_every_kind_gives_the_same(many, convert, request):
    if "ase" in request.node.callspec.id:
        pytest.importorskip("ase")
    assert as_molecules(convert(many)) == many


def test_molecules_are_not_checked_again(many):
    assert as_molecules(many) is many


def test_padded_numbers_and_positions(many):
    X = padded(many)
    X[X[..., 0] == 0, 1:] = np.nan  # what fills the rest does not matter
    assert Molecules.from_padded(X) == many
    assert Molecules.from_padded(X[..., 0].astype(np.uint8), X[..., 1:]) == many


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


def test_without_ase_the_extra_is_named(molecules, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ase", None)
    for call in (molecules.to_ase, lambda: Molecules.read_extxyz(tmp_path / "a.xyz")):
        with pytest.raises(ImportError, match=r"skwave\[molecules\]"):
            call()


class Atom:
    def __init__(self, z, hydrogens=0):
        self.GetAtomicNum = lambda: z
        self.GetTotalNumHs = lambda: hydrogens


class Mol:
    """What is used of an rdkit.Chem.Mol."""

    def __init__(self, numbers, positions, hydrogens=0, conformers=1, is_3d=True):
        self.GetAtoms = lambda: iter([Atom(z, hydrogens) for z in numbers])
        self.GetNumConformers = lambda: conformers
        self.GetConformer = lambda: self
        self.GetPositions = lambda: np.array(positions)
        self.Is3D = lambda: is_3d


def test_rdkit(molecules):
    mols = [Mol(*pair) for pair in PAIRS]
    assert Molecules.from_rdkit(mols) == as_molecules(mols) == molecules
    with pytest.raises(ValueError, match=r"molecule 1 leaves out 2 hydrogen.*AddHs"):
        Molecules.from_rdkit([Mol(*WATER), Mol([6, 8], HYDROGEN[1], hydrogens=1)])
    for parameters in ({"conformers": 0}, {"is_3d": False}):
        with pytest.raises(ValueError, match=r"molecule 1 has no coordinates.*EmbedMolecule"):
            as_molecules([Mol(*WATER), Mol(*WATER, **parameters)])
    with pytest.raises(TypeError, match=r"molecule 1 is a NoneType"):
        Molecules.from_rdkit([Mol(*WATER), None])


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


# what is refused


def pair(n, z=6):
    return [z] * n, 1.5 * np.arange(3 * n).reshape(n, 3)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (([], []), ValueError, "molecule 2 has no atoms"),
        (([], np.empty((0, 3))), ValueError, "molecule 2 has no atoms"),
        (([6, -1], pair(2)[1]), ValueError, "molecule 2: atom 1 has the atomic number -1"),
        (([0, 6], pair(2)[1]), ValueError, "molecule 2: atom 0 has the atomic number 0"),
        (([6, 119], pair(2)[1]), ValueError, "molecule 2: atom 1 has the atomic number 119"),
        (([6, 1.5], pair(2)[1]), ValueError, "molecule 2: atom 1 has the atomic number 1.5"),
        (([6, np.nan], pair(2)[1]), ValueError, "molecule 2: atom 1 has the atomic number nan"),
        (([6, 6], [[0, 0, 0], [0, np.nan, 2]]), ValueError, r"molecule 2: atom 1 .*not finite"),
        (([6, 6], [[-np.inf, 0, 0], [0, 0, 2]]), ValueError, r"molecule 2: atom 0 .*not finite"),
        (([6, 6], [[0, 0, 0]] * 2), ValueError, r"molecule 2: atoms 0 and 1 overlap, they are 0 Å"),
        (
            ([6] * 4, [[0, 0, 0], [1, 0, 0], [0, 2, 0], [1, 0.06, 0.06]]),
            ValueError,
            r"molecule 2: atoms 1 and 3 overlap, they are 0.0849 Å apart.*nanometres",
        ),
        ((["C", "O"], pair(2)[1]), TypeError, r"molecule 2 has numbers of type .U1.*6 for C"),
        (([6, 6j], pair(2)[1]), TypeError, "molecule 2 has numbers of type complex"),
        (([True], pair(1)[1]), TypeError, "molecule 2 has numbers of type bool"),
        (([6], [["0", "1", "2"]]), TypeError, "molecule 2 has positions of type .U1"),
        (([6, 6], pair(3)[1]), ValueError, r"molecule 2 has numbers of shape \(2,\)"),
        (([6, 6], pair(2)[1][:, :2]), ValueError, r"positions of shape \(2, 2\)"),
        (([6, 6], [[0, 1, 2], [0, 1]]), ValueError, "molecule 2 is no pair of arrays"),
        (6, TypeError, "molecule 2 is a int, not a pair"),
        ("CO", TypeError, "molecule 2 is a str, not a pair"),
        (None, TypeError, "molecule 2 is a NoneType"),
        (([6], [[0, 0, 0]], "C"), TypeError, "molecule 2 is a tuple, not a pair"),
    ],
)
def test_a_bad_molecule_is_named(bad, error, message):
    with pytest.raises(error, match=message):
        as_molecules([pair(3), pair(1), bad, pair(2)])


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ([], ValueError, "0 molecules"),
        (Molecules.from_pairs(PAIRS)[:0], ValueError, "0 molecules"),
        (np.empty((0, 5, 4)), ValueError, "0 molecules"),
        (None, TypeError, "NoneType"),
        (3, TypeError, "int"),
        ("CCO", TypeError, "str"),
        ({0: WATER}, TypeError, "dict"),
        (np.ones((5, 12)), ValueError, r"\(5, 12\) .*reshape\(len\(X\), -1, 4\)"),
        (np.ones((5, 3, 3)), ValueError, r"\(5, 3, 3\) is no padded array"),
        (np.zeros((2, 3, 4), complex), TypeError, "complex"),
        (np.full((2, 3, 4), "a"), TypeError, "U1"),
        (np.empty((4, 3), dtype=object), ValueError, "element by element"),
        (WATER, TypeError, "molecule 0 is a int|molecule 0 is a list"),
    ],
    ids=repr,
)
def test_what_are_no_molecules(X, error, message):
    with pytest.raises(error, match=message):
        as_molecules(X)


def test_padded_arrays_with_holes_or_nothing():
    X = padded(Molecules.from_pairs([pair(3), pair(4)]))
    X[1, 2, 0] = 0
    with pytest.raises(ValueError, match="molecule 1 has a hole: its row 2 has Z = 0 and row 3"):
        as_molecules(X)
    X[1, :, 0] = 0
    with pytest.raises(ValueError, match="molecule 1 has no atoms"):
        as_molecules(X)
    with pytest.raises(ValueError, match=r"\(2, 4\) and positions of shape \(2, 3, 3\)"):
        Molecules.from_padded(X[..., 0], X[:, 1:, 1:])


def test_atoms_that_numpy_has_taken_apart():
    ase = pytest.importorskip("ase")
    atoms = ase.Atoms("CO", [[0, 0, 0], [0, 0, 1.1]])
    with pytest.raises(ValueError, match=r"\(3, 2\).*element by element"):
        as_molecules(np.array([atoms] * 3, dtype=object))
    with pytest.raises(TypeError, match=r"X is one Atoms: give a list"):
        as_molecules(atoms)
    with pytest.raises(TypeError, match=r"molecule 0 is a tuple, not an ase\.Atoms"):
        Molecules.from_ase([WATER])


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


def test_shortest_distances_are_found_at_any_place(many):
    """One overlap, in any pair of atoms of any molecule."""
    rng = np.random.default_rng(1)
    for i in np.flatnonzero(many.n_atoms > 1):
        a, b = sorted(rng.choice(many.n_atoms[i], 2, replace=False))
        positions = many.positions.copy()
        positions[many.offsets[i] + b] = positions[many.offsets[i] + a] + [0, 0.05, 0]
        with pytest.raises(ValueError, match=f"molecule {i}: atoms {a} and {b} overlap"):
            Molecules(many.numbers, positions, many.offsets)


def test_the_limit_of_overlap():
    Molecules.from_pairs([([1, 1], [[0, 0, 0], [0, 0, 0.11]])])
    with pytest.raises(ValueError, match="overlap"):
        Molecules.from_pairs([([1, 1], [[0, 0, 0], [0, 0, 0.09]])])


# units


@pytest.mark.parametrize(
    "hydride", [("O", 0.96), ("N", 1.01), ("C", 1.09), ("F", 0.92), ("S", 1.34)]
)
def test_bohr_warns(hydride):
    symbol, bond = hydride
    X = [([SYMBOLS.index(symbol) + 1, 1], [[0, 0, 0], [0, 0, bond]]), ARGON, pair(4)]
    as_molecules(X)
    in_bohr = [(z, np.array(r) / 0.529177) for z, r in X]
    with pytest.warns(UserWarning, match=rf"Bohr: .* {bond / 0.529177:.2f} .*0\.529177"):
        as_molecules(in_bohr)


def test_bohr_does_not_warn_without_cause():
    as_molecules([([3, 1], [[0, 0, 0], [0, 0, 1.595]])])  # LiH, the longest bond within the limit
    as_molecules([ARGON, ([6, 6], [[0, 0, 0], [0, 0, 3.0]])])  # no hydrogen
    as_molecules([([1], [[0, 0, 0]])])  # no bond
    as_molecules([([1, 1], [[0, 0, 0], [0, 0, 4.0]])])  # two atoms
    curve = [([1, 1], [[0, 0, 0], [0, 0, d]]) for d in np.linspace(0.5, 6, 12)]
    as_molecules(curve)  # a bond that is drawn out, with shorter ones beside it


def test_bohr_is_judged_by_the_shortest_bond():
    with pytest.warns(UserWarning, match=r"Bohr: .* 1\.81 "):
        as_molecules([([1, 8, 1], [[0, 0, 0], [0, 0, 1.81], [0, 0, 8.0]])])


@pytest.mark.parametrize(
    "X", [{"numbers": [6], "positions": [[0, 0, 0]]}, "CO", 3.0, b"CO"], ids=str
)
def test_what_is_no_list_is_refused(X):
    with pytest.raises(TypeError, match=f"molecule 0 is a {type(X).__name__}, not a pair"):
        as_molecules(X)


def test_an_empty_array_is_refused():
    with pytest.raises(ValueError, match="0 molecules"):
        as_molecules(np.empty((0, 2), object))


def test_padded_arrays_of_the_array_api():
    xp = pytest.importorskip("array_api_strict")
    X = np.array([[[8, 0, 0, 0.119], [1, 0, 0.763, -0.477], [1, 0, -0.763, -0.477]]])
    assert as_molecules(xp.asarray(X)) == as_molecules(X)
