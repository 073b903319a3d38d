"""Checks of molecules: atomic numbers, coordinates, overlaps, and units of length."""

import numpy as np
import pytest

from skwave.molecules import Molecules, as_molecules
from skwave.molecules._checks import check

WATER = ([8, 1, 1], [[0, 0, 0.119], [0, 0.763, -0.477], [0, -0.763, -0.477]])
METHANE = ([6, 1, 1, 1, 1], 0.629 * np.array([[0, 0, 0], *np.eye(4, 3)]))
ARGON = ([18], [[1.0, 2.0, 3.0]])
METHANE[1][1:] = 0.629 * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])


def pair(n, z=6):
    return [z] * n, 1.5 * np.arange(3 * n).reshape(n, 3)


def chain(z, distance, n=3):
    return [z] * n, distance * np.arange(n)[:, None] * [0, 0, 1]


def scaled(X, factor):
    return [(z, np.array(r) * factor) for z, r in X]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (([], []), "has no atoms"),
        (([], np.empty((0, 3))), "has no atoms"),
        (([6, -1], pair(2)[1]), ": atom 1 has the atomic number -1"),
        (([0, 6], pair(2)[1]), ": atom 0 has the atomic number 0"),
        (([6, 119], pair(2)[1]), ": atom 1 has the atomic number 119"),
        (([6, 1.5], pair(2)[1]), ": atom 1 has the atomic number 1.5"),
        (([6, np.nan], pair(2)[1]), ": atom 1 has the atomic number nan"),
        (([6, 6], [[0, 0, 0], [0, np.nan, 2]]), ": atom 1 .*not finite"),
        (([6, 6], [[-np.inf, 0, 0], [0, 0, 2]]), ": atom 0 .*not finite"),
        (([6, 6], [[0, 0, 0]] * 2), ": atoms 0 and 1 overlap, they are 0 Å apart. Remove"),
        (
            ([6] * 4, [[0, 0, 0], [1, 0, 0], [0, 2, 0], [1, 0.06, 0.06]]),
            r": atoms 1 and 3 overlap, they are 0.0849 Å apart. Remove",
        ),
    ],
)
def test_a_bad_molecule_is_named(bad, message):
    with pytest.raises(ValueError, match="molecule 2" + message + "|molecule 2 " + message):
        as_molecules([pair(3), pair(1), bad, pair(2)])


def test_names_of_molecules_may_be_given():
    numbers, positions = np.array([1, 1, 1, 0]), np.arange(12.0).reshape(4, 3)
    with pytest.raises(ValueError, match=r"^b\.xyz: atom 1 has the atomic number 0"):
        check(numbers, positions, np.array([0, 2, 4]), ["a.xyz", "b.xyz"].__getitem__)


def test_packed_arrays_of_wrong_shapes_or_types():
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


UNITS = [("Bohr", 1 / 0.529177, "0.529177"), ("picometres", 100, "0.01"), ("nanometres", 0.1, "10")]
BONDED = [
    chain(7, 1.10),  # a triple bond, the shortest in lengths of a bond
    chain(9, 1.42),  # the longest
    chain(1, 0.74),
    chain(55, 5.3),  # caesium
    METHANE,
    ([17, 11, 17, 11], chain(17, 2.36, 4)[1]),
]


@pytest.mark.parametrize(("unit", "factor", "remedy"), UNITS)
@pytest.mark.parametrize("molecule", BONDED)
def test_other_units_are_noticed(molecule, unit, factor, remedy):
    X = [molecule, ARGON, chain(18, 40.0, 2)]
    as_molecules(X)
    if unit == "nanometres" and np.linalg.norm(molecule[1][1] - molecule[1][0]) < 1:
        with pytest.raises(ValueError, match=r"overlap.*in nanometres, multiply them by 10"):
            as_molecules(scaled(X, factor))
        return
    with pytest.warns(UserWarning, match=rf"look like {unit}: .* Multiply by {remedy} for Å"):
        as_molecules(scaled(X, factor))


@pytest.mark.parametrize(("unit", "factor", "remedy"), UNITS)
def test_a_data_set_in_another_unit_is_noticed(unit, factor, remedy):
    from skwave.datasets import load_qm7_sample

    X = load_qm7_sample().data
    error = unit == "nanometres"  # O-H bonds have 0.096 nm
    with pytest.raises(ValueError, match=unit) if error else pytest.warns(UserWarning, match=unit):
        Molecules(X.numbers, X.positions * factor, X.offsets)


@pytest.mark.parametrize(
    "X",
    [
        [([11, 1], [[0, 0, 0], [0, 0, 1.89]])],  # NaH
        [([19, 1], [[0, 0, 0], [0, 0, 2.24]])],  # KH
        [([55, 1], [[0, 0, 0], [0, 0, 2.49]])],
        [([3, 1], [[0, 0, 0], [0, 0, 1.595]])],
        [([11, 1, 11, 1], chain(1, 1.9, 4)[1])],
        [([1, 1], [[0, 0, 0], [0, 0, 1.6]])],  # H2, stretched
        [([1, 1], [[0, 0, 0], [0, 0, 4.0]])],
        [chain(1, d, 2) for d in np.linspace(1.4, 6, 12)],
        [chain(1, d, 2) for d in np.linspace(0.2, 0.5, 12)],
        [chain(18, 3.8, 13)],  # a cluster of argon
        [([1], [[0, 0, 0]])],
        [ARGON, ([6, 6], [[0, 0, 0], [0, 0, 3.0]])],
        [([8, 1, 1, 8, 1, 1], [*WATER[1], *np.add(WATER[1], [0, 0, 300])])],  # far from each other
        [([6] * 4, [[0, 0, 0], [0, 0, 1.5], [0, 1.5, 0], [0, 0.2, 1.5]])],  # one pair too near
        [chain(82, 3.5, 8)],  # lead, as in the metal
    ],
)
def test_angstrom_gives_no_warning(X):
    as_molecules(X)
