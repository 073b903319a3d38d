"""XYZ files: plain, extended, of QM9, with what else they hold, and broken ones."""

import time

import numpy as np
import pytest

from skwave.molecules import Molecules
from skwave.molecules._xyz import QM9_PROPERTIES

WATER = ([8, 1, 1], [[0, 0, 0.119], [0, 0.763, -0.477], [0, -0.763, -0.477]])
PLAIN = """3
water
{} 0 0 0.119
{} 0 0.763 -0.477
{} 0 -0.763 -0.477
"""
EXTENDED = """2
Properties=species:S:1:pos:R:3:forces:R:3 energy=-31.7 pbc="F F F"
H 0 0 0    0 0 -0.1
H 0 0 0.75 0 0  0.1
"""
# the first molecule of QM9 as it is in the archive
METHANE = """5
gdb 1\t157.7118\t157.70997\t157.70699\t0.\t13.21\t-0.3877\t0.1171\t0.5048\t35.3641\t0.044749\t\
-40.47893\t-40.476062\t-40.475117\t-40.498597\t6.469\t
C\t-0.0126981359\t 1.0858041578\t 0.0080009958\t-0.535689
H\t 2.150416*^-3\t-0.0060313176\t 0.0019761204\t 0.133921
H\t 1.0117308433\t 1.4637511618\t 0.0002765748\t 0.133922
H\t-0.540815069\t 1.4475266138\t-0.8766437152\t 0.133923
H\t-0.5238136345\t 1.4379326443\t 0.9063972942\t 1.33923*^-1
1341.307\t1341.3284\t1341.365\t1562.6731\t1562.7453\t3038.3205\t3151.6034\t3151.6788\t3151.7078
C\tC\t
InChI=1S/CH4/h1H4\tInChI=1S/CH4/h1H4
"""


@pytest.fixture
def read(tmp_path):
    """Reader of a text, or of bytes."""

    def read(text, **parameters):
        path = tmp_path / "a.xyz"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return Molecules.read_extxyz(path, **parameters)

    return read


# plain files


@pytest.mark.parametrize(
    "labels", [("O", "H", "H"), ("8", "1", "1"), ("O1", "H1", "H2"), ("o", "D", "2H"), "OHT"]
)
def test_plain_files(read, labels):
    expected = Molecules.from_pairs([WATER])
    text = PLAIN.format(*labels)
    assert read(text) == expected
    assert read(text + "\n \n") == expected
    assert read(text.replace("\n", "\r\n") * 2) == expected + expected
    assert read(text + "\n" + text) == expected + expected
    assert read(b"\xef\xbb\xbf" + text.replace("water", "in \xc5").encode("latin-1")) == expected


def test_plain_files_have_a_comment_and_columns(read):
    text = "1\n-40.5\nH 0 0 0 0.1 0.2 0.3\n2\n\nH 0 0 0 1 2 3\nH 0 0 0.75 4 5 6\n"
    molecules, properties = read(text, return_properties=True)
    np.testing.assert_array_equal(molecules.n_atoms, [1, 2])
    assert properties.comment == ["-40.5", ""]
    np.testing.assert_array_equal(properties["columns"][0], [[0.1, 0.2, 0.3]])
    np.testing.assert_array_equal(properties["columns"][1], [[1, 2, 3], [4, 5, 6]])
    _, properties = read("1\n\nH 0 0 0 #\n", return_properties=True)
    assert list(properties) == ["comment"]


def test_a_comment_of_assignments(read):
    """As CP2K writes it."""
    text = "1\n i =        7, time =    0.500, E =     -17.16\nH 0 0 1.0D-01\n"
    molecules, properties = read(text, return_properties=True)
    assert molecules.positions[0, 2] == 0.1
    assert properties == {"i": [7], "time": [0.5], "E": [-17.16]}


# extended files


def test_energies_and_forces(read):
    molecules, properties = read(EXTENDED, return_properties=True)
    assert molecules == Molecules.from_pairs([([1, 1], [[0, 0, 0], [0, 0, 0.75]])])
    assert list(properties) == ["energy", "forces"]
    np.testing.assert_array_equal(properties.energy, [-31.7])
    np.testing.assert_array_equal(properties.forces, [[[0, 0, -0.1], [0, 0, 0.1]]])
    assert read(EXTENDED) == molecules


@pytest.mark.parametrize("species", ["Z:I:1", "Z:R:1", "numbers:I:1", "symbols:S:1"])
def test_numbers_in_the_place_of_symbols(read, species):
    text = EXTENDED.replace("species:S:1", species).replace("H ", "1 ")
    assert read(text) == read(EXTENDED)
    text = f"1\nProperties=tag:I:1:pos:R:3:{species}:ok:L:1\n7 1 2 3 8 T\n"
    molecules, properties = read(text, return_properties=True)
    np.testing.assert_array_equal(molecules.positions, [[1, 2, 3]])
    assert molecules.numbers == [8] and properties.tag[0] == [7] and properties.ok[0] == [True]


def test_what_is_missing_in_some_frames(read):
    other = '1\nProperties=species:S:1:pos:R:3 name="lone atom" dipole="1 2 3" energy=2\nH 0 0 0\n'
    plain = "1\nno properties\nH 0 0 0\n"
    _, properties = read(EXTENDED + other + plain, return_properties=True)
    np.testing.assert_array_equal(properties.energy, [-31.7, 2, np.nan])
    np.testing.assert_array_equal(properties.dipole, [[np.nan] * 3, [1, 2, 3], [np.nan] * 3])
    assert properties.name == [None, "lone atom", None]
    assert properties.forces[1:] == [None, None] and properties.forces[0].shape == (2, 3)
    assert properties.comment == [None, None, "no properties"]


def test_a_name_of_both_a_molecule_and_its_atoms(read):
    text = EXTENDED.replace("forces:R:3", "energy:R:1:f:R:2")
    _, properties = read(text, return_properties=True)
    assert properties.energy == [-31.7]
    np.testing.assert_array_equal(properties.energy_of_atoms, [[0, 0]])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("12", 12),
        ("-1.5e3", -1500.0),
        ("T", True),
        ("False", False),
        ("1_2", "1_2"),
        ("CH4", "CH4"),
        ('"a b"', "a b"),
        ("'1 2'", [1, 2]),
        ("{1 2 3}", [1, 2, 3]),
        ("[1, 2]", [1, 2]),
        ('"_JSON [[1, 2], [3, 4]]"', [[1, 2], [3, 4]]),
        ('"[C@H]"', "[C@H]"),
        ("[[1, 2], [3, 4]]", [[1, 2], [3, 4]]),
        ("[[1, 2], [3]]", "[[1, 2], [3]]"),
        ("'_JSON {\"a\": 1}'", '_JSON {"a": 1'),
        ("[" * 100_000, "[" * 100_000),
        ('""', ""),
    ],
)
def test_kinds_of_values(read, value, expected):
    _, properties = read(EXTENDED.replace("-31.7", value), return_properties=True)
    assert np.array_equal(properties.energy, [expected])


def test_stresses_are_matrices(read):
    text = EXTENDED.replace("energy=-31.7", 'virial="1 2 3 2 4 5 3 5 6" other="1 2 3 2 4 5 3 5 6"')
    _, properties = read(text, return_properties=True)
    np.testing.assert_array_equal(properties.virial, [[[1, 2, 3], [2, 4, 5], [3, 5, 6]]])
    assert properties.other.shape == (1, 9)


def test_what_ase_writes(many, tmp_path):
    ase_io = pytest.importorskip("ase.io")
    singlepoint = pytest.importorskip("ase.calculators.singlepoint")
    rng = np.random.default_rng(0)
    atoms = many.to_ase()
    for a in atoms:
        forces, stress = rng.standard_normal((len(a), 3)), rng.standard_normal(6)
        a.calc = singlepoint.SinglePointCalculator(
            a, energy=rng.standard_normal(), forces=forces, stress=stress
        )
        a.info["smiles"] = "C C"
        a.arrays["q"] = rng.standard_normal(len(a))
    ase_io.write(tmp_path / "many.xyz", atoms, format="extxyz")
    molecules, properties = Molecules.read_extxyz(tmp_path / "many.xyz", return_properties=True)
    np.testing.assert_allclose(molecules.positions, many.positions, atol=1e-7)
    np.testing.assert_array_equal(molecules.offsets, many.offsets)
    assert set(properties) == {"energy", "forces", "stress", "smiles", "q"}
    assert properties.smiles == ["C C"] * 60
    for i, a in enumerate(atoms):
        np.testing.assert_allclose(properties.energy[i], a.get_potential_energy())
        np.testing.assert_allclose(properties.forces[i], a.get_forces(), atol=1e-7)
        np.testing.assert_allclose(properties.q[i], a.arrays["q"], atol=1e-7)
        np.testing.assert_allclose(properties.stress[i], a.get_stress(voigt=False), atol=1e-7)


# QM9


def test_files_of_qm9(read):
    molecules, properties = read(METHANE * 2, return_properties=True)
    assert len(molecules) == 2 and molecules.formula(1) == "CH4"
    np.testing.assert_array_equal(
        molecules[0].positions[1], [2.150416e-3, -0.0060313176, 0.0019761204]
    )
    assert list(properties) == [*QM9_PROPERTIES, "frequencies", "smiles", "charges"]
    assert properties["index"].tolist() == [1, 1] and properties.smiles == ["C", "C"]
    values = {"A": 157.7118, "mu": 0, "alpha": 13.21, "gap": 0.5048, "zpve": 0.044749}
    values |= {"U0": -40.47893, "U298": -40.476062, "G298": -40.498597, "Cv": 6.469}
    for name, value in values.items():
        np.testing.assert_array_equal(properties[name], [value] * 2)
    np.testing.assert_array_equal(
        properties.charges[1], [-0.535689, 0.133921, 0.133922, 0.133923, 0.133923]
    )
    assert properties.frequencies.shape == (2, 9) and properties.frequencies[0, 0] == 1341.307


def test_files_of_qm9_whose_last_lines_are_gone(read):
    short = "".join(METHANE.splitlines(keepends=True)[:7])
    molecules, properties = read(short * 2, return_properties=True)
    assert len(molecules) == 2 and "frequencies" not in properties
    assert properties.gap.tolist() == [0.5048] * 2


def test_several_files(tmp_path):
    """QM9 comes as one file for each molecule."""
    texts = {"a": METHANE, "b": PLAIN.format(*"OHH") * 2, "c": EXTENDED}
    paths = [tmp_path / f"{name}.xyz" for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        path.write_text(text)
    molecules, properties = Molecules.read_extxyz(paths, return_properties=True)
    assert [molecules.formula(i) for i in range(4)] == ["CH4", "H2O", "H2O", "H2"]
    np.testing.assert_array_equal(properties.gap, [0.5048, np.nan, np.nan, np.nan])
    assert Molecules.read_extxyz(map(str, paths)) == molecules
    paths[1].write_text(PLAIN.format(*"OHH") + "2\n\nH 0 0 0\nH 0 0 0.05\n")
    with pytest.raises(ValueError, match=r"b\.xyz, frame 1: atoms 0 and 1 overlap"):
        Molecules.read_extxyz(paths)


# periodic ones


CELL = """1
Properties=species:S:1:pos:R:3 Lattice="4 0 0 1 4 0 0 0 4"{}
H 0 0 0
"""


@pytest.mark.parametrize("pbc", ["", ' pbc="T F T"', ' pbc="T T T"'])
def test_cells(read, pbc):
    crystal = read(CELL.format(pbc) + PLAIN.format(*"OHH"))
    np.testing.assert_array_equal(crystal.cells[0], [[4, 0, 0], [1, 4, 0], [0, 0, 4]])
    assert crystal.periodic.tolist() == [[True, "F" not in pbc, True], [False] * 3]
    assert read(CELL.format(' pbc="F F F"')).cells is None


def test_cells_that_ase_writes(tmp_path):
    build, ase_io = pytest.importorskip("ase.build"), pytest.importorskip("ase.io")
    atoms = [build.bulk("Si"), build.molecule("H2O"), build.graphene(vacuum=5)]
    ase_io.write(tmp_path / "a.xyz", atoms, format="extxyz")
    found, expected = Molecules.read_extxyz(tmp_path / "a.xyz"), Molecules.from_ase(atoms)
    np.testing.assert_array_equal(found.numbers, expected.numbers)
    np.testing.assert_allclose(found.cells, expected.cells, atol=1e-7)
    np.testing.assert_array_equal(found.periodic, expected.periodic)


@pytest.mark.parametrize("bad", ['pbc="T T"', "pbc=all", 'Lattice="1 2 3"'])
def test_cells_that_are_none(read, bad):
    with pytest.raises(ValueError, match=r"a\.xyz, frame 0: Lattice=.* must be 9 numbers"):
        read(CELL.format(" " + bad))


def test_flat_cells_and_images_that_overlap(read):
    with pytest.raises(ValueError, match=r"a\.xyz, frame 0: the vectors of its cell"):
        read(CELL.format("").replace("1 4 0", "1 0 0"))
    with pytest.raises(ValueError, match=r"a\.xyz, frame 0: atom 0 and an image of atom 1 overlap"):
        read(CELL.format("").replace("1\n", "2\n", 1) + "H 4 0 0.01\n")


# broken files


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"a\.xyz is empty"),
        ("\n \n", r"a\.xyz is empty"),
        ("H 0 0 0\n", "frame 0: line 1 is 'H 0 0 0', where the number of atoms should be"),
        ("<html>" + "x" * 99, "line 1 is '<html>x+…'"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "line 1 is"),
        ("0\n\n", "line 1 is '0'"),
        ("-1\n\nH 0 0 0\n", "line 1 is '-1'"),
        ("²\n\nH 0 0 0\n", "line 1 is '²'"),
        ("9" * 5000, "line 1 is '9+…'"),
        ("999999999999\n\nH 0 0 0\n", "says 999999999999 atoms in line 1, and 3 lines follow"),
        (PLAIN.format(*"OHH") + "5\n\nH 0 0 0\n", "frame 1 says 5 atoms in line 6"),
        (PLAIN.format(*"OHH")[:-30], "frame 0 says 3 atoms"),
        (PLAIN.format("O", "Xx", "H"), "frame 0: atom 1: the label 'Xx' is no element"),
        (PLAIN.format("O", "CA", "H"), "frame 0: atom 1: the label 'CA' may be Ca or C"),
        (PLAIN.format("O", "1.5", "H"), "frame 0: atom 1: the label '1.5' is no element"),
        (PLAIN.format(*"OHH").replace("-0.763", "-0.763*"), r"frame 0: atom 2: could not.*-0\.763"),
        (PLAIN.format(*"OHH").replace("0 -0.763", "-0.763"), "frame 0: atom 2 has 3 columns"),
        (PLAIN.format(*"OHH").replace("0.763 -0.477", "nan 0", 1), "atom 1 has the .*not finite"),
        (PLAIN.format(*"OHH").replace("0.763 -0.477", "0.01 0.1", 1), "atoms 0 and 1 overlap"),
        ("1\n" + "a" * 10**6 + "\nH 0 0 x", "frame 0: atom 0: could not convert"),
        ("1\na" + " " * 10**6 + "\nH 0 0 x", "frame 0: atom 0: could not convert"),
        ("1\n" + "a={ " * 10**5 + "\nH 0 0 x", "frame 0: atom 0: could not convert"),
        ("1\n" + "a=[ " * 10**5 + "\nH 0 0 x", "frame 0: atom 0: could not convert"),
        ("1\n" + """a="' """ * 10**5 + "\nH 0 0 x", "frame 0: atom 0: could not convert"),
        (METHANE.replace("157.7118", "x"), "frame 0, properties: could not convert .*'x'"),
        (METHANE.replace("1341.307", "x"), "frame 0, frequencies: could not convert .*'x'"),
        (EXTENDED.replace("0 0 -0.1", "0 0"), "frame 0: atom 0 has 6 columns, .* has 7"),
        (EXTENDED.replace("0 0 -0.1", "0 0 x"), "frame 0: atom 0: could not convert .*'x'"),
        (EXTENDED.replace("pos:R:3", "pos:R:2:q:R:1"), "needs species:S:1 or Z:I:1, and pos:R:3"),
        (EXTENDED.replace("species", "name"), "needs species:S:1 or Z:I:1, and pos:R:3"),
        (EXTENDED.replace("pos:R:3", "pos:R:3000000000"), "is no list of name:type:number"),
        (EXTENDED.replace("pos:R:3", "pos:R:300000000"), "atom 0 has 7 columns, .* has 300000004"),
        (EXTENDED.replace("pos:R:3", "pos:Q:3"), "is no list of name:type:number"),
        (EXTENDED.replace("pos:R:3", "pos:R:-3"), "is no list of name:type:number"),
        (EXTENDED.replace("species:S:1:pos:R:3:forces:R:3", ""), "is no list of name:type:number"),
        (EXTENDED.replace("species:S", "Z:I").replace("H ", "1.5 "), "atom 0 has .*integers"),
        (EXTENDED.replace("species:S", "Z:R").replace("H ", "1.5 "), "atom 0: the label '1.5' is"),
    ],
)
def test_broken_files_name_file_frame_and_atom(read, text, message):
    start = time.process_time()
    with pytest.raises(ValueError, match=r"a\.xyz.*" + message + "|" + message) as error:
        read(text)
    assert "a.xyz" in str(error.value) and len(str(error.value)) < 600
    assert time.process_time() - start < 5  # it says so at once


def test_a_missing_file():
    with pytest.raises(FileNotFoundError, match=r"none\.xyz"):
        Molecules.read_extxyz("none.xyz")
