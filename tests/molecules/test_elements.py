"""Elements: symbols, radii, and the atomic numbers of labels."""

import numpy as np
import pytest

from skwave.molecules import SYMBOLS
from skwave.molecules._elements import BOND_RADII, atomic_number


def test_tables_are_those_of_ase():
    data = pytest.importorskip("ase.data")
    assert SYMBOLS == tuple(data.chemical_symbols[1:119])
    noble = [2, 10, 18, 36, 54, 86, 118]
    assert np.isnan(BOND_RADII[[0, *noble]]).all()
    others = np.setdiff1d(np.arange(1, 97), noble)
    np.testing.assert_allclose(BOND_RADII[others], data.covalent_radii[others])
    assert np.isfinite(BOND_RADII[97:118]).all()


@pytest.mark.parametrize(("z", "symbol"), enumerate(SYMBOLS, start=1))
def test_symbols_numbers_and_site_labels(z, symbol):
    for label in (symbol, f" {symbol} ", symbol.lower(), f"{symbol}1", f"{symbol}_12", str(z)):
        assert atomic_number(label) == z


@pytest.mark.parametrize(
    ("label", "z"),
    [
        ("D", 1),
        ("T", 1),
        ("2H", 1),
        ("13C", 6),
        ("Fe3+", 26),
        ("O-", 8),
        ("N_ar", 7),
        ("C1'", 6),
        ("CL", 17),
        ("BR2", 35),
        ("SI", 14),
        ("6.0", 6),
    ],
)
def test_isotopes_charges_types_and_capitals(label, z):
    assert atomic_number(label) == z


NONE = ["", "X", "Bq", "OW", "Uuo", "CH3", "Carbon", "0", "119", "-6", "1.5", "nan", "inf", "+"]


@pytest.mark.parametrize("label", NONE)
def test_what_is_no_element(label):
    with pytest.raises(ValueError, match=r"is no element: give a symbol, such as C, or an integer"):
        atomic_number(label)


@pytest.mark.parametrize("label", ["CA", "CO", "CD1", "NA", "NE2", "HE1", "HG"])
def test_capitals_that_may_be_two_elements(label):
    """Calcium or a carbon alpha, cobalt or a carbonyl: the names of atoms in proteins."""
    with pytest.raises(ValueError, match=f"may be .* or {label[0]}: write the symbol"):
        atomic_number(label)
