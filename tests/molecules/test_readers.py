"""Readers of single molecules and of padded arrays: RDKit, ASE, graphs, pairs, records."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from skwave.molecules import Molecules, as_molecules

WATER = ([8, 1, 1], [[0, 0, 0.119], [0, 0.763, -0.477], [0, -0.763, -0.477]])
HYDROGEN = ([1, 1], [[0, 0, 0], [0, 0, 0.74]])
ARGON = ([18], [[1.0, 2.0, 3.0]])
PAIRS = [WATER, HYDROGEN, ARGON]


def pair(n, z=6):
    return [z] * n, 1.5 * np.arange(3 * n).reshape(n, 3)


# pairs


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ((["C", "Xx"], pair(2)[1]), ValueError, "molecule 2: atom 1: the label 'Xx' is no element"),
        (("CO", pair(2)[1]), TypeError, "molecule 2 has numbers of type .U2"),
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
        ({"numbers": [6], "mass": 1}, TypeError, "molecule 2 holds 'numbers', 'mass', .*positions"),
    ],
)
def test_a_bad_molecule_is_named(bad, error, message):
    with pytest.raises(error, match=message):
        as_molecules([pair(3), pair(1), bad, pair(2)])


@pytest.mark.parametrize("kind", [list, np.array, lambda s: np.array(s, dtype=object), np.bytes_])
def test_symbols_and_labels_take_the_place_of_numbers(kind):
    found = as_molecules([(kind(["O", "H1", "D"]), WATER[1]), (kind(["Ar"]), ARGON[1])])
    assert found == Molecules.from_pairs([WATER, ARGON])


def test_rows_that_are_arrays_of_their_own():
    """Nested columns come back from files as arrays of arrays."""
    rows = np.empty(3, dtype=object)
    rows[:] = [np.array(row) for row in WATER[1]]
    assert as_molecules([(np.array(WATER[0]), rows)]) == Molecules.from_pairs([WATER])


@pytest.mark.parametrize("names", [("numbers", "positions"), ("z", "R"), ("species", "coords")])
def test_records(names):
    records = [dict(zip(names, molecule, strict=True), energy=1.0) for molecule in PAIRS]
    assert as_molecules(records) == Molecules.from_pairs(PAIRS)


# ASE


def test_a_list_of_something_else_than_atoms():
    with pytest.raises(TypeError, match=r"molecule 0 is a tuple, not an ase\.Atoms"):
        Molecules.from_ase([WATER])


# graphs


class Data(SimpleNamespace):
    """What is used of torch_geometric.data.Data: it gives None for positions it has not."""

    pos = None

    def detach(self):
        return self


def graphs(kind=Data):
    tensor = torch.tensor
    return [kind(z=tensor(z), pos=tensor(r, dtype=torch.float64)) for z, r in PAIRS]


def test_graphs_by_their_z_and_pos():
    items = graphs()
    items[0].pos.requires_grad_()
    assert as_molecules(items) == Molecules.from_pairs(PAIRS)
    with pytest.raises(ValueError, match="molecule 1 is a Data without z or pos"):
        as_molecules([graphs()[0], Data(z=torch.tensor([6]))])
    with pytest.raises(TypeError, match="molecule 0 is a Data, not a pair"):
        as_molecules([Data(x=torch.zeros(2, 2))])


def test_graphs_of_torch_geometric():
    data = pytest.importorskip("torch_geometric.data")
    items, expected = graphs(data.Data), Molecules.from_pairs(PAIRS)
    assert as_molecules(items) == as_molecules(data.Batch.from_data_list(items)) == expected
    with pytest.raises(TypeError, match="X is one Data"):
        as_molecules(items[0])

    class Set(data.InMemoryDataset):
        def __init__(self):
            super().__init__(None)
            self.data, self.slices = self.collate(items)

    assert as_molecules(Set()) == expected


# RDKit


class Atom:
    def __init__(self, z, hydrogens=0, isotope=0):
        self.GetAtomicNum = lambda: z
        self.GetTotalNumHs = lambda: hydrogens
        self.GetIsotope = lambda: isotope


class Mol:
    """What is used of an rdkit.Chem.Mol."""

    def __init__(self, numbers, positions, hydrogens=0, conformers=1, is_3d=True, bonds=()):
        atoms = [Atom(z, hydrogens) for z in numbers]
        self.GetAtoms = lambda: iter(atoms)
        self.GetBonds = lambda: [
            SimpleNamespace(GetBeginAtom=lambda a=a: atoms[a], GetEndAtom=lambda b=b: atoms[b])
            for a, b in bonds
        ]
        self.GetNumBonds = lambda: len(bonds)
        self.NeedsUpdatePropertyCache = lambda: False
        self.GetNumConformers = lambda: conformers
        self.GetConformer = lambda: self
        self.GetPositions = lambda: np.array(positions)
        self.Is3D = lambda: is_3d


def test_rdkit():
    mols = [Mol(*pair) for pair in PAIRS]
    assert Molecules.from_rdkit(mols) == as_molecules(mols) == Molecules.from_pairs(PAIRS)
    with pytest.raises(ValueError, match=r"molecule 1 leaves out 2 hydrogen.*removeHs=False"):
        Molecules.from_rdkit([Mol(*WATER), Mol([6, 8], HYDROGEN[1], hydrogens=1)])
    for parameters in ({"conformers": 0}, {"is_3d": False}):
        with pytest.raises(ValueError, match=r"molecule 1 has no coordinates.*EmbedMolecule"):
            as_molecules([Mol(*WATER), Mol(*WATER, **parameters)])
    with pytest.raises(TypeError, match=r"molecule 1 is a NoneType"):
        Molecules.from_rdkit([Mol(*WATER), None])


def test_a_bond_missing_from_the_table():
    """RDKit counts hydrogens for it; one at a carbon says that all are there."""
    formaldehyde = [6, 8, 1, 1], [[0, 0, 0], [0, 0, 1.2], [0, 0.9, -0.6], [0, -0.9, -0.6]]
    mol = Mol(*formaldehyde, hydrogens=1, bonds=[(0, 2), (3, 0)])
    assert Molecules.from_rdkit([mol]) == Molecules.from_pairs([formaldehyde])
    with pytest.raises(ValueError, match="leaves out 4 hydrogen"):
        Molecules.from_rdkit([Mol(*formaldehyde, hydrogens=1, bonds=[(0, 1)])])


def test_molecules_of_rdkit_itself():
    Chem = pytest.importorskip("rdkit.Chem")
    xyz = "3\n\nO 0 0 0.119\nH 0 0.763 -0.477\nH 0 -0.763 -0.477\n"
    water = Molecules.from_pairs([WATER])
    assert Molecules.from_rdkit([Chem.MolFromXYZBlock(xyz)]) == water
    mol = Chem.AddHs(Chem.MolFromSmiles("CC(=N)C=O"))
    from rdkit.Chem import AllChem

    AllChem.EmbedMolecule(mol, randomSeed=0)
    block = Chem.MolToMolBlock(mol)
    whole = Chem.MolFromMolBlock(block, removeHs=False)
    assert len(Molecules.from_rdkit([whole]).numbers) == mol.GetNumAtoms() == 10
    raw = Chem.MolFromMolBlock(block, sanitize=False, removeHs=False)
    assert Molecules.from_rdkit([raw]) == Molecules.from_rdkit([whole])
    with pytest.raises(ValueError, match="removeHs=False"):
        Molecules.from_rdkit([Chem.MolFromMolBlock(block)])
    cut = Chem.RWMol(whole)
    cut.RemoveBond(1, 3)
    Chem.SanitizeMol(cut)
    assert sum(a.GetTotalNumHs() for a in cut.GetAtoms()) == 2
    assert Molecules.from_rdkit([cut]) == Molecules.from_rdkit([whole])


# padded arrays


def padded(molecules):
    X = np.zeros((len(molecules), molecules.n_atoms.max(), 4))
    for row, (z, r) in zip(X, molecules, strict=True):
        row[: len(z), 0], row[: len(z), 1:] = z, r
    return X


def test_padded_numbers_and_positions(many):
    X = padded(many)
    X[X[..., 0] == 0, 1:] = np.nan  # what fills the rest does not matter
    assert Molecules.from_padded(X) == many
    assert Molecules.from_padded(X[..., 0].astype(np.uint8), X[..., 1:]) == many


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


@pytest.mark.parametrize("numbers", [WATER[0], ["O", "H", "H"], np.array([b"O", b"H", b"H"])])
def test_many_positions_of_the_same_atoms(numbers):
    R = np.array(WATER[1]) + 0.01 * np.random.default_rng(0).standard_normal((5, 3, 3))
    expected = Molecules.from_pairs([(WATER[0], r) for r in R])
    assert Molecules.from_padded(numbers, R) == expected
    assert Molecules.from_padded(numbers, torch.from_numpy(R)) == expected
    with pytest.raises(ValueError, match=r"\(2,\) and positions of shape \(5, 3, 3\)"):
        Molecules.from_padded(WATER[0][:2], R)
    with pytest.raises(ValueError, match="atom 1: the label 'Q' is no element"):
        Molecules.from_padded(["O", "Q", "H"], R)
