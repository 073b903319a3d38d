"""Crystals of carbon and boron nitride: energies, forces and stresses of strained cells."""

import numpy as np
from sklearn.utils import Bunch

from skwave.datasets._files import packaged
from skwave.molecules import Molecules

_MATERIALS = ("diamond", "boron nitride")
_UNITS = {"data": "Å", "target": "eV", "forces": "eV/Å", "stresses": "eV/Å³"}
_DESCR = """Crystals of carbon and boron nitride
====================================
{n} cells of diamond and of cubic boron nitride, 2 or 16 atoms each, by the semi-empirical quantum
method GFN1-xTB.

data : Molecules with cells, positions in Å
target : energies of the cells in eV
forces : forces on the nuclei in eV/Å
stresses : derivatives of the energies by the strain, divided by the volume, in eV/Å³
material : diamond or boron nitride

Perfect cells were strained by up to 6 % along each axis and sheared by up to 3 %, and their atoms
moved at random by up to 0.08 Å (standard deviation of a coordinate). Made by tblite 0.8.0 through
ASE, benchmarks/make_crystals.py: each cell was repeated to 128 atoms, which is the Brillouin zone
of two atoms at 4 x 4 x 4 points. With 5 points, energies of diamond are lower by 0.02 eV per atom.
The method may be cited as

Grimme, S., Bannwarth, C. and Shushkov, P. (2017). A robust and accurate tight-binding quantum
chemical method. J. Chem. Theory Comput. 13, 1989.

The data are in the public domain (CC0).
"""


def load_crystal_sample():
    """Load 120 crystals with energies, forces and stresses, which are in the package.

    Returns
    -------
    crystals : Bunch
        ``data``, `skwave.molecules.Molecules` with cells, positions in Å; ``target``, energies of
        the cells in eV of shape (120,); ``forces`` in eV/Å, a list of arrays of shape (n_atoms, 3);
        ``stresses`` in eV/Å³ of shape (120, 3, 3), positive if the cell would shrink;
        ``material``, "diamond" or "boron nitride"; ``units``; ``DESCR``.

    See Also
    --------
    load_md_sample : Molecules in motion.

    Notes
    -----
    Strained cells, whose atoms were moved at random. The first 60 are diamond, the others cubic
    boron nitride; of each, the first 20 have 2 atoms and the others 16, so shuffle before a split.
    A cell and its supercell have the same energy per atom. Computed by GFN1-xTB [1]_ for this
    package, in the public domain.

    References
    ----------
    .. [1] Grimme, S., Bannwarth, C. and Shushkov, P. (2017). A robust and accurate tight-binding
       quantum chemical method for structures, vibrational frequencies, and noncovalent
       interactions of large molecular systems parametrized for all spd-block elements (Z = 1-86).
       *Journal of Chemical Theory and Computation* 13, 1989.

    Examples
    --------
    >>> from skwave.datasets import load_crystal_sample
    >>> crystals = load_crystal_sample()
    >>> crystals.data
    Molecules(n=120, n_atoms=1360, elements=B C N, n_periodic=120)
    >>> crystals.stresses.shape
    (120, 3, 3)
    """
    arrays = packaged("crystal_sample.npz")
    offsets = np.cumsum([0, *arrays["n"]])
    data = Molecules(arrays["Z"], arrays["R"], offsets, arrays["cell"], True)
    return Bunch(
        data=data,
        target=arrays["E"].astype(np.float64),
        forces=np.split(arrays["F"].astype(np.float64), offsets[1:-1]),
        stresses=arrays["stress"].astype(np.float64),
        material=np.array(_MATERIALS)[arrays["material"]],
        units=dict(_UNITS),
        DESCR=_DESCR.format(n=len(data)),
    )
