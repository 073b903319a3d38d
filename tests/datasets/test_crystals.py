"""Crystals: cells, energies, forces and stresses in the package."""

from importlib.resources import files

import numpy as np

from skwave.datasets import load_crystal_sample


def test_sample():
    crystals = load_crystal_sample()
    assert crystals.data.shape == crystals.target.shape == crystals.material.shape == (120,)
    assert crystals.data.periodic.all()
    assert [f.shape for f in crystals.forces] == [(n, 3) for n in crystals.data.n_atoms]
    assert crystals.stresses.shape == (120, 3, 3)
    sizes, counts = np.unique(crystals.data.n_atoms, return_counts=True)
    assert sizes.tolist() == [2, 16] and counts.tolist() == [40, 80]
    diamond = crystals.material == "diamond"
    assert set(crystals.data[diamond].numbers) == {6} and diamond.sum() == 60
    assert set(crystals.data[~diamond].numbers) == {5, 7}
    assert set(crystals.units) == {"data", "target", "forces", "stresses"}
    assert "GFN1-xTB" in crystals.DESCR and "make_crystals" in crystals.DESCR


def test_sample_obeys_mechanics():
    """No net force, symmetric stresses, and the least energy near the lattice without stress."""
    crystals = load_crystal_sample()
    assert max(np.abs(f.sum(axis=0)).max() for f in crystals.forces) < 2e-3
    np.testing.assert_allclose(crystals.stresses, crystals.stresses.swapaxes(1, 2), atol=2e-6)
    volumes = np.abs(np.linalg.det(crystals.data.cells)) / crystals.data.n_atoms
    pressure = -np.trace(crystals.stresses, axis1=1, axis2=2) / 3
    for material, volume in (("diamond", 3.55**3 / 8), ("boron nitride", 3.61**3 / 8)):
        of = crystals.material == material
        slope, _ = np.polyfit(np.log(volumes[of] / volume), pressure[of], 1)
        assert -slope * 160.2 == np.clip(-slope * 160.2, 250, 650)  # bulk modulus in GPa
        assert np.corrcoef(volumes[of], pressure[of])[0, 1] < -0.9


def test_cells_of_both_sizes_have_the_same_energies():
    """A fit per atom by volume and strain, on cells of 2 atoms, holds for cells of 16."""
    crystals = load_crystal_sample()
    per_atom = crystals.target / crystals.data.n_atoms
    for material in ("diamond", "boron nitride"):
        small, large = (
            per_atom[(crystals.material == material) & (crystals.data.n_atoms == n)]
            for n in (2, 16)
        )
        assert abs(small.min() - large.min()) < 0.05
        assert abs(np.median(small) - np.median(large)) < 0.3


def test_sample_is_small():
    folder = files("skwave.datasets") / "data"
    assert len((folder / "crystal_sample.npz").read_bytes()) < 150_000
    assert "crystal_sample.npz" in (folder / "README.md").read_text()
