"""Molecules of whatever kind: those of other packages, arrays, columns, and what is refused."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from skwave.molecules import Molecules, as_molecules

WATER = ([8, 1, 1], [[0, 0, 0.119], [0, 0.763, -0.477], [0, -0.763, -0.477]])
HYDROGEN = ([1, 1], [[0, 0, 0], [0, 0, 0.74]])
ARGON = ([18], [[1.0, 2.0, 3.0]])
PAIRS = [WATER, HYDROGEN, ARGON]


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


# columns


@pytest.mark.parametrize("names", [("numbers", "positions"), ("z", "pos"), ("atomic_numbers", "R")])
def test_columns_of_a_data_frame(many, names):
    numbers, positions = zip(*many, strict=True)
    frame = pd.DataFrame({names[0]: numbers, "y": 1.0, names[1]: positions})
    assert as_molecules(frame) == many
    symbols = pd.DataFrame({"symbols": [["O", "H", "H"], ["Ar"]], "pos": [WATER[1], ARGON[1]]})
    assert as_molecules(symbols) == Molecules.from_pairs([WATER, ARGON])


class Column(SimpleNamespace):
    """What is used of a polars Series: its list."""

    def to_list(self):
        return self.values


class Frame(dict):
    """What is used of a polars DataFrame."""

    columns = property(list)


def test_columns_of_polars():
    expected = Molecules.from_pairs(PAIRS)
    numbers, positions = zip(*PAIRS, strict=True)
    frame = Frame(numbers=Column(values=numbers), positions=Column(values=positions))
    assert as_molecules(frame) == expected
    column = Column(values=[{"numbers": z, "positions": r} for z, r in PAIRS])
    assert as_molecules(column) == as_molecules(Frame(molecule=column)) == expected


def test_polars_itself():
    pl = pytest.importorskip("polars")
    expected = Molecules.from_pairs(PAIRS)
    numbers, positions = [z for z, _ in PAIRS], [np.array(r).tolist() for _, r in PAIRS]
    assert as_molecules(pl.DataFrame({"z": numbers, "R": positions, "id": [1, 2, 3]})) == expected
    objects = pl.Series("molecule", list(expected), dtype=pl.Object)
    pairs = zip(numbers, positions, strict=True)
    structs = pl.Series([{"numbers": z, "positions": r} for z, r in pairs])
    for column in (objects, structs):
        assert as_molecules(column) == as_molecules(pl.DataFrame({"m": column})) == expected


# files of arrays


def test_a_trajectory_shares_its_numbers(tmp_path):
    """As the files of MD17: z of shape (n_atoms,), R of shape (n, n_atoms, 3)."""
    R = np.array(WATER[1]) + 0.01 * np.random.default_rng(0).standard_normal((5, 3, 3))
    expected = Molecules.from_pairs([(WATER[0], r) for r in R])
    np.savez(tmp_path / "md17.npz", z=np.array(WATER[0], np.uint8), R=R, E=np.ones(5), F=R)
    with np.load(tmp_path / "md17.npz") as file:
        assert as_molecules(file) == expected
    assert as_molecules({"nuclear_charges": WATER[0], "coords": torch.from_numpy(R)}) == expected
    assert as_molecules((np.array(WATER[0]), R)) == expected


def test_padded_arrays_by_name(many):
    X = padded(many)
    assert as_molecules({"Z": X[..., 0], "R": X[..., 1:], "T": np.ones(60)}) == many


def test_a_batch_of_graphs(many):
    graphs = [SimpleNamespace(z=torch.tensor(z), pos=torch.tensor(r)) for z, r in many]
    graphs[0].cell, graphs[0].pbc = 9 * torch.eye(3)[None], torch.tensor([[True, False, True]])
    found = as_molecules(SimpleNamespace(to_data_list=lambda: graphs))
    np.testing.assert_array_equal(found.positions, many.positions)
    np.testing.assert_array_equal(found.cells[0], 9 * np.eye(3))
    assert found.periodic.sum() == 2


class Subset:
    """What has a length and items, and no iterator, as a subset of torch."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


def test_whatever_has_a_length_and_items(many):
    assert as_molecules(Subset(list(many))) == many


# what is refused


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ([], ValueError, "0 molecules"),
        (Molecules.from_pairs(PAIRS)[:0], ValueError, "0 molecules"),
        (np.empty((0, 5, 4)), ValueError, "0 molecules"),
        (None, TypeError, "NoneType"),
        (3, TypeError, "int"),
        ("CCO", TypeError, "str"),
        ({0: WATER}, TypeError, "X holds 0, and no molecules: it needs numbers, called"),
        ({}, TypeError, "no molecules"),
        ({"z": [6], "R": [[0, 0, 0]]}, TypeError, r"X is one molecule: give a list"),
        ({"z": [6], "R": np.zeros((1, 3))}, TypeError, r"X is one molecule: give a list"),
        ({"z": [[6]], "R": [[[0, 0, 0]]] * 2}, ValueError, "numbers of 1 .* and positions of 2"),
        (pd.DataFrame({"a": [1], "b": [2]}), TypeError, "X holds 'a', 'b'"),
        (pd.DataFrame({"a": [1.0, 2.0]}), TypeError, "molecule 0 is a float"),
        (pd.DataFrame(), ValueError, "0 molecules"),
        (SimpleNamespace(z=[6], pos=[[0, 0, 0]]), TypeError, "X is one SimpleNamespace"),
        (Molecules.from_pairs(PAIRS)[0], TypeError, "X is one Molecule: give a list"),
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


def test_atoms_that_numpy_has_taken_apart():
    ase = pytest.importorskip("ase")
    atoms = ase.Atoms("CO", [[0, 0, 0], [0, 0, 1.1]])
    with pytest.raises(ValueError, match=r"\(3, 2\).*element by element"):
        as_molecules(np.array([atoms] * 3, dtype=object))
    with pytest.raises(TypeError, match=r"X is one Atoms: give a list"):
        as_molecules(atoms)


@pytest.mark.parametrize("X", ["CO", 3.0, b"CO"], ids=str)
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
