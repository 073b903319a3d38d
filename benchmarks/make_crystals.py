"""Makes the crystals of `skwave.datasets.load_crystal_sample`, diamond and boron nitride.

Cells are strained and their atoms moved at random. Energies, forces and stresses are those of the
crystal by GFN1-xTB, with 4 points of the Brillouin zone along each axis of the primitive cell.
tblite has one point, so each cell is repeated to 128 atoms and the result divided among the copies:
a cell of 2 atoms and its supercell of 16 have the same energy per atom.

Needs tblite and ase (``pip install tblite ase``), and about ten minutes of one core::

    OMP_NUM_THREADS=1 python benchmarks/make_crystals.py crystal_sample.npz
"""

import argparse
from pathlib import Path

import numpy as np

# material: symbols, structure and lattice constant in Å that is the least in energy
MATERIALS = {"diamond": ("C", "diamond", 3.55), "boron nitride": ("BN", "zincblende", 3.61)}
N_CELLS = {1: 20, 2: 40}  # for each number of primitive cells along an edge
N_POINTS = 4  # of the Brillouin zone of a primitive cell, along each axis
MAX_STRAIN = 0.03
MAX_RATTLE = 0.08  # Å, standard deviation of a coordinate


def deform(atoms, rng):
    """Strain a cell and move its atoms at random, as numbers of single precision.

    Parameters
    ----------
    atoms : ase.Atoms
        A perfect crystal.
    rng : numpy.random.Generator
        Where strain and moves are drawn from.

    Returns
    -------
    atoms : ase.Atoms
        A new one.
    """
    atoms = atoms.copy()
    strain = rng.uniform(-MAX_STRAIN, MAX_STRAIN, (3, 3))
    strain = (strain + strain.T) / 2 + rng.uniform(-MAX_STRAIN, MAX_STRAIN) * np.eye(3)
    cell = (atoms.cell @ (np.eye(3) + strain)).round(4).astype(np.float32)
    atoms.set_cell(cell, scale_atoms=True)
    moves = rng.uniform(0, MAX_RATTLE) * rng.standard_normal((len(atoms), 3))
    atoms.positions = (atoms.positions + moves).round(4).astype(np.float32)
    return atoms


def compute(atoms, n_copies):
    """Energy, forces and stress of a crystal.

    Parameters
    ----------
    atoms : ase.Atoms
        A cell.
    n_copies : int
        Cells along each edge of the supercell that is computed.

    Returns
    -------
    energy : float
        Of the cell, in eV.
    forces : ndarray, shape (n_atoms, 3)
        On its atoms, in eV/Å.
    stress : ndarray, shape (3, 3)
        Derivative of the energy by the strain divided by the volume, in eV/Å³.
    """
    from tblite.ase import TBLite

    crystal = atoms.repeat(n_copies)
    crystal.calc = TBLite(method="GFN1-xTB", accuracy=0.1, verbosity=0)
    energy = crystal.get_potential_energy() / n_copies**3
    forces = crystal.get_forces().reshape(n_copies**3, len(atoms), 3).mean(axis=0)
    return energy, forces, crystal.get_stress(voigt=False)


def main():
    """Compute all cells and write the file."""
    from ase.build import bulk

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, help="file to write, .npz")
    path = parser.parse_args().path
    rng = np.random.default_rng(0)
    rows = []
    for i, (material, (symbols, structure, a)) in enumerate(MATERIALS.items()):
        for edge, n_cells in N_CELLS.items():
            perfect = bulk(symbols, structure, a=a).repeat(edge)
            for k in range(n_cells):
                atoms = deform(perfect, rng)
                energy, forces, stress = compute(atoms, N_POINTS // edge)
                rows.append((atoms, energy, forces, stress, i))
                print(f"{material}, {len(atoms)} atoms, {k}: {energy / len(atoms):.4f} eV per atom")
    atoms, energies, forces, stresses, materials = zip(*rows, strict=True)
    np.savez_compressed(
        path,
        Z=np.concatenate([a.numbers for a in atoms]).astype(np.uint8),
        R=np.concatenate([a.positions for a in atoms]).astype(np.float32),
        n=np.array([len(a) for a in atoms], np.uint8),
        cell=np.array([a.cell.array for a in atoms], np.float32),
        E=np.round(energies, 6),
        F=np.concatenate(forces).round(4).astype(np.float32),
        stress=np.round(stresses, 6).astype(np.float32),
        material=np.array(materials, np.uint8),
    )


if __name__ == "__main__":
    main()
