"""QM9: targets, units, the molecules that are left out, and the original's layout."""

import hashlib
import io
import os
import tarfile

import numpy as np
import pytest

from skwave.datasets import _qm9, fetch_qm9
from skwave.molecules import SYMBOLS

# the first two molecules of QM9 as they are in the archive, properties and atoms
METHANE = """5
gdb 1\t157.7118\t157.70997\t157.70699\t0.\t13.21\t-0.3877\t0.1171\t0.5048\t35.3641\t0.044749\t\
-40.47893\t-40.476062\t-40.475117\t-40.498597\t6.469\t
C\t-0.0126981359\t 1.0858041578\t 0.0080009958\t-0.535689
H\t 2.150416*^-3\t-0.0060313176\t 0.0019761204\t 0.133921
H\t 1.0117308433\t 1.4637511618\t 0.0002765748\t 0.133922
H\t-0.540815069\t 1.4475266138\t-0.8766437152\t 0.133923
H\t-0.5238136345\t 1.4379326443\t 0.9063972942\t 0.133923
1341.307\t1341.3284\t1341.365\t1562.6731\t1562.7453\t3038.3205\t3151.6034\t3151.6788\t3151.7078
C\tC\t
InChI=1S/CH4/h1H4\tInChI=1S/CH4/h1H4
"""
NAMES = "index A B C mu alpha homo lumo gap r2 zpve U0 U298 H298 G298 Cv"
TABLE = """
List of molecules among the 133885 GDB9 molecules
=================================================
#   Index      GDB17 SMILES      SMILES for B3LYP XYZ    D_IJ
=================================================
      2        F            F           6.036217
     58        NC(=N)C#N            NC(=N)C#N           6.036217

3 compounds
"""


def record(index, atoms, **properties):
    """Text of a molecule in the layout of the archive."""
    values = np.arange(16.0)
    values[0] = index
    for name, value in properties.items():
        values[NAMES.split().index(name)] = value
    lines = [
        str(len(atoms)),
        "gdb " + "\t".join(f"{v:.6f}" for v in values).replace(".000000", "", 1),
    ]
    lines += [f"{s}\t{x}\t{y}\t{z}\t0.1" for s, x, y, z in atoms]
    return "\n".join([*lines, "1\t2\t3", "F\tF\t", "InChI\tInChI"]) + "\n"


@pytest.fixture
def originals(tmp_path, monkeypatch):
    """Archive of methane, hydrogen fluoride and fluorine, and the table of uncharacterised ones."""
    monkeypatch.delenv("SKWAVE_DATA", raising=False)
    hf = record(2, [("H", 0, 0, 0), ("F", 0, 0, 0.92)], U298=-100.4, gap=0.6, Cv=5.0, alpha=4.0)
    f2 = record(3, [("F", 0, 0, 0), ("F", 0, 0, 1.4)], U298=-199.5, gap=0.5)
    with tarfile.open(tmp_path / "dsgdb9nsd.xyz.tar.bz2", "w:bz2") as tar:
        for i, text in enumerate([METHANE, hf, f2], start=1):
            info = tarfile.TarInfo(f"dsgdb9nsd_{i:06}.xyz")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    (tmp_path / "uncharacterized.txt").write_text(TABLE)
    for name in ("_ORIGINAL", "_UNCHARACTERIZED"):
        file = getattr(_qm9, name)
        digest = hashlib.sha256((tmp_path / file.name).read_bytes()).hexdigest()
        monkeypatch.setattr(_qm9, name, file._replace(sha256=digest))
    return tmp_path


def test_original_layout(originals):
    qm9 = fetch_qm9(data_home=originals, download_if_missing=False)
    np.testing.assert_array_equal(qm9.index, [1, 3])
    assert [qm9.data.formula(i) for i in range(2)] == ["CH4", "F2"]
    z, r = qm9.data[0]
    np.testing.assert_array_equal(z, [6, 1, 1, 1, 1])
    np.testing.assert_array_equal(r[1], [0.002150416, -0.0060313176, 0.0019761204])
    np.testing.assert_array_equal(r[4], [-0.5238136345, 1.4379326443, 0.9063972942])
    # atoms of methane: C -37.845355 and H -0.498857 Hartree
    methane = (-40.476062 + 37.845355 + 4 * 0.498857) * 627.509474
    fluorine = (-199.5 + 2 * 99.717314) * 627.509474
    np.testing.assert_allclose(qm9.target, [methane, fluorine], rtol=1e-8)
    assert qm9.units == {"data": "Å", "target": "kcal/mol"}
    everything = fetch_qm9(data_home=originals, remove_uncharacterized=False)
    np.testing.assert_array_equal(everything.index, [1, 2, 3])
    assert everything.data[[0, 2]] == qm9.data


# the second line of methane's file, less atoms of C and H for energies of atomisation
TARGETS = {
    "mu": ("Debye", 0.0),
    "alpha": ("Bohr³", 13.21),
    "homo": ("Hartree", -0.3877),
    "lumo": ("Hartree", 0.1171),
    "gap": ("Hartree", 0.5048),
    "r2": ("Bohr²", 35.3641),
    "zpve": ("Hartree", 0.044749),
    "U0": ("Hartree", -40.47893),
    "U298": ("Hartree", -40.476062),
    "H298": ("Hartree", -40.475117),
    "G298": ("Hartree", -40.498597),
    "Cv": ("cal/mol/K", 6.469),
    "U0_atom": ("kcal/mol", (-40.47893 + 37.846772 + 4 * 0.500273) * 627.509474),
    "U298_atom": ("kcal/mol", (-40.476062 + 37.845355 + 4 * 0.498857) * 627.509474),
    "H298_atom": ("kcal/mol", (-40.475117 + 37.844411 + 4 * 0.497912) * 627.509474),
    "G298_atom": ("kcal/mol", (-40.498597 + 37.861317 + 4 * 0.510927) * 627.509474),
}


@pytest.mark.parametrize("target", TARGETS)
def test_targets(originals, target):
    unit, value = TARGETS[target]
    qm9 = fetch_qm9(target=target, data_home=originals, remove_uncharacterized=False)
    np.testing.assert_allclose(qm9.target[0], value, rtol=1e-8)
    assert qm9.target.shape == (3,) and qm9.target.dtype == np.float64
    assert qm9.units["target"] == unit and f"target : {target} in {unit}\n" in qm9.DESCR
    X, y = fetch_qm9(
        target=target, data_home=originals, remove_uncharacterized=False, return_X_y=True
    )
    assert X == qm9.data
    np.testing.assert_array_equal(y, qm9.target)


def test_several_targets(originals):
    names = list(TARGETS)
    qm9 = fetch_qm9(target=names, data_home=originals, remove_uncharacterized=False)
    assert qm9.target.shape == (3, 16) and qm9.target_names == names
    np.testing.assert_allclose(qm9.target[0], [value for _, value in TARGETS.values()], rtol=1e-8)
    assert qm9.units["target"] == [unit for unit, _ in TARGETS.values()]
    one = fetch_qm9(target=["gap"], data_home=originals)
    assert one.target.shape == (2, 1) and one.target_names == ["gap"]


def test_energies_of_atoms_differ_by_what_gases_have():
    """Enthalpy is internal energy and kT, internal energy is 1.5 kT more than at 0 K."""
    kT = 298.15 * 3.166811563e-6  # Hartree
    U0, U, H = (np.array(_qm9._ATOMS[name]) for name in ("U0", "U298", "H298"))
    np.testing.assert_allclose(U - U0, 1.5 * kT, atol=1.5e-6)
    np.testing.assert_allclose(H - U, kT, atol=1.5e-6)


def test_packed_layout(originals, monkeypatch):
    """The packed file comes first; uncharacterised molecules and unknown values go."""
    Z, n = [1, 1, 8, 1, 1, 6, 8], [2, 3, 2]
    R = [[0, 0, 0.7 * i] for i in range(7)]
    arrays = {"Z": Z, "R": R, "n": np.array(n, np.uint8), "index": [1, 2, 3]}
    arrays |= {"U298": [-1.1, -76.4, -113.3], "gap": [0.5, 0.4, np.nan], "uncharacterized": [1]}
    path = originals / "qm9.npz"
    np.savez(path, **arrays)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(_qm9, "_PACKED", _qm9._PACKED._replace(sha256=digest))
    qm9 = fetch_qm9(data_home=originals)
    np.testing.assert_array_equal(qm9.index, [2, 3])
    assert [qm9.data.formula(i) for i in range(2)] == ["H2O", "CO"]
    np.testing.assert_allclose(qm9.target[0], (-76.4 + 75.063163 + 2 * 0.498857) * 627.509474)
    gap = fetch_qm9(target="gap", data_home=originals)
    np.testing.assert_array_equal(gap.index, [2])
    assert gap.data == qm9.data[:1] and gap.missing.tolist() == [3] and len(qm9.missing) == 0
    both = fetch_qm9(target=["U298", "gap"], data_home=originals)
    assert both.target.tolist() == [[-76.4, 0.4]] and both.missing.tolist() == [3]
    mu = fetch_qm9(target=["U298", "mu"], data_home=originals)  # from the archive
    assert mu.target.tolist() == [[-40.476062, 0], [-199.5, 4]]
    everything = fetch_qm9(data_home=originals, remove_uncharacterized=False)
    assert everything.data.formula(2) == "F2"  # from the archive
    (originals / "dsgdb9nsd.xyz.tar.bz2").unlink()
    with pytest.raises(OSError, match=r"qm9\.npz has no mu, zpve, which are in the orig.*tar\.bz2"):
        fetch_qm9(target=["mu", "gap", "zpve"], data_home=originals, download_if_missing=False)


@pytest.mark.parametrize("target", ["U_0", ["gap", "U_0"], []])
def test_bad_target(tmp_path, target):
    with pytest.raises(ValueError, match=r"target=.*: use one or several of U0_atom, U298_atom"):
        fetch_qm9(target=target, data_home=tmp_path)


def test_missing(tmp_path, monkeypatch, originals):
    with pytest.raises(OSError, match=r"dsgdb9nsd\.xyz\.tar\.bz2 is not in"):
        fetch_qm9(data_home=tmp_path / "none", download_if_missing=False)
    (originals / "uncharacterized.txt").unlink()
    with pytest.raises(OSError, match=r"uncharacterized\.txt is not in"):
        fetch_qm9(data_home=originals, download_if_missing=False)


@pytest.mark.data
@pytest.mark.skipif("SKWAVE_DATA" not in os.environ, reason="SKWAVE_DATA is not set")
def test_all_of_qm9():
    qm9 = fetch_qm9(download_if_missing=False)
    assert (np.diff(qm9.index) > 0).all() and qm9.index[0] == 1 and qm9.index[-1] <= 133885
    assert len(qm9.data) in (118744, 130831)
    assert {SYMBOLS[z - 1] for z in np.unique(qm9.data.numbers)} <= set("HCNOF")
    np.testing.assert_allclose(qm9.target[:2], [-398.643591, -278.620482], atol=1e-5)
    assert -2627 < qm9.target.min() and qm9.target.max() < -213
    assert qm9.data.formula(0) == "CH4" and qm9.data.formula(1) == "H3N"
    gap = fetch_qm9(target=["gap", "alpha"])
    assert len(gap.data) == len(gap.target) >= 118637 and np.isfinite(gap.target).all()
    assert len(gap.missing) + len(gap.data) == len(qm9.data)
