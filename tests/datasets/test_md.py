"""Molecular dynamics: frames, energies and forces in the package, and the longer files."""

import hashlib
import os
from importlib.resources import files

import numpy as np
import pytest

from skwave.datasets import _md, fetch_md, load_md_sample


@pytest.mark.parametrize(
    ("molecule", "formula"), [("ethanol", "C2H6O"), ("malonaldehyde", "C3H4O2")]
)
def test_sample(molecule, formula):
    md = load_md_sample(molecule)
    assert md.data.shape == md.target.shape == (500,) and md.forces.shape == (500, 9, 3)
    assert {md.data.formula(i) for i in range(500)} == {formula}
    assert md.target.dtype == md.forces.dtype == np.float64
    assert md.units == {"data": "Å", "target": "eV", "forces": "eV/Å"}
    assert molecule in md.DESCR and "60 fs" in md.DESCR and "GFN2-xTB" in md.DESCR


@pytest.mark.parametrize("molecule", ["ethanol", "malonaldehyde"])
def test_sample_obeys_mechanics(molecule):
    """No net force or torque, and energies above the minimum, as much as thermal motion has."""
    md = load_md_sample(molecule)
    positions = md.data.positions.reshape(500, 9, 3)
    assert np.abs(md.forces.sum(axis=1)).max() < 1e-4
    assert np.abs(np.cross(positions, md.forces).sum(axis=1)).max() < 5e-4
    above = md.target - md.energy_min
    assert above.min() > 0
    assert 0.9 < above.mean() / (21 / 2 * 8.617e-5 * 500) < 1.8  # harmonic modes at 500 K
    assert above.std() == pytest.approx(above.mean() / 10.5**0.5, rel=0.25)


def test_sample_is_small():
    folder = files("skwave.datasets") / "data"
    assert len((folder / "md_sample.npz").read_bytes()) < 300_000
    assert "md_sample.npz" in (folder / "README.md").read_text()


def test_files(tmp_path, monkeypatch):
    monkeypatch.delenv("SKWAVE_DATA", raising=False)
    sample = load_md_sample()
    arrays = {"Z": sample.data[0].numbers, "R": sample.data.positions.reshape(500, 9, 3)}
    (tmp_path / "md").mkdir()
    path = tmp_path / "md" / "xtb_ethanol.npz"
    np.savez(path, E=sample.target, F=sample.forces, e_min=sample.energy_min, **arrays)
    file = _md._FILES["ethanol"]._replace(sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setitem(_md._FILES, "ethanol", file)
    md = fetch_md(data_home=tmp_path)
    assert md.data == sample.data and md.energy_min == sample.energy_min
    np.testing.assert_array_equal(md.forces, sample.forces)
    assert "20 fs" in md.DESCR
    with pytest.raises(OSError, match=r"md/xtb_malonaldehyde\.npz is not in .*SKWAVE_DATA"):
        fetch_md("malonaldehyde", data_home=tmp_path)


@pytest.mark.parametrize("load", [load_md_sample, fetch_md])
def test_bad_molecule(load):
    with pytest.raises(ValueError, match="molecule='water' must be one of 'ethanol', 'malon"):
        load("water")


@pytest.mark.data
@pytest.mark.skipif("SKWAVE_DATA" not in os.environ, reason="SKWAVE_DATA is not set")
@pytest.mark.parametrize("molecule", ["ethanol", "malonaldehyde"])
def test_all_frames(molecule):
    md, sample = fetch_md(molecule), load_md_sample(molecule)
    assert md.data[::3] == sample.data and len(md.data) == 1500
    np.testing.assert_array_equal(md.target[::3], sample.target)
    np.testing.assert_array_equal(md.forces[::3], sample.forces)
