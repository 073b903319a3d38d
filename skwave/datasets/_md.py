"""Molecular dynamics of ethanol and malonaldehyde: energies and forces of 1500 frames each."""

import numpy as np
from sklearn.utils import Bunch

from skwave.datasets._files import File, packaged, provided
from skwave.molecules import Molecules

_FILES = {
    "ethanol": File(
        "md/xtb_ethanol.npz", "658916c8dc7b883e714beb56a3898f71a54e91ea57acb34492e8082f0686b8c1"
    ),
    "malonaldehyde": File(
        "md/xtb_malonaldehyde.npz",
        "891cec8990b5acccb4a3e18a1ff5259d23fe0d8a6555959c35787bde9ac59ca1",
    ),
}
_UNITS = {"data": "Å", "target": "eV", "forces": "eV/Å"}
_DESCR = """Molecular dynamics of {molecule}
===================================
{n} frames of one molecule, {interval} fs apart, by the semi-empirical quantum method GFN2-xTB.

data : Molecules, positions in Å
target : potential energies in eV
forces : forces on the nuclei in eV/Å
energy_min : potential energy of the relaxed molecule, in eV

Made by tblite 0.8.0 through ASE: Langevin dynamics, thermostat at 500 K, steps of 0.5 fs, friction
0.01/fs, from a relaxed conformer, 1000 steps of equilibration. Energies and forces are
those of the positions as they are here, in single precision. The mean potential energy is 0.70 eV
above the minimum; harmonic modes would have 0.45 eV at 500 K. The method may be cited as

Bannwarth, C., Ehlert, S. and Grimme, S. (2019). GFN2-xTB. J. Chem. Theory Comput. 15, 1652.

The data are in the public domain (CC0).
"""


def load_md_sample(molecule="ethanol"):
    """Load 500 frames of the dynamics of a molecule, with energies and forces, from the package.

    Parameters
    ----------
    molecule : {"ethanol", "malonaldehyde"}, default="ethanol"
        Which molecule; both have 9 atoms.

    Returns
    -------
    md : Bunch
        ``data``, `skwave.molecules.Molecules`, positions in Å; ``target``, potential energies in eV
        of shape (500,); ``forces`` in eV/Å of shape (500, 9, 3); ``energy_min``, the energy of the
        relaxed molecule in eV; ``units``; ``DESCR``.

    Raises
    ------
    ValueError
        If there is no such molecule.

    See Also
    --------
    fetch_md : All 1500 frames.
    load_crystal_sample : Crystals, with stresses.

    Notes
    -----
    Every third frame of the 1500 that `fetch_md` reads, 60 fs apart: draw those to train on at
    random, since neighbours in time are alike. Malonaldehyde is the molecule with two aldehyde
    groups, not its enol. Computed by GFN2-xTB [1]_ for this package, in the public domain.

    References
    ----------
    .. [1] Bannwarth, C., Ehlert, S. and Grimme, S. (2019). GFN2-xTB: an accurate and broadly
       parametrized self-consistent tight-binding quantum chemical method with multipole
       electrostatics and density-dependent dispersion contributions. *Journal of Chemical Theory
       and Computation* 15, 1652.

    Examples
    --------
    >>> from skwave.datasets import load_md_sample
    >>> md = load_md_sample("malonaldehyde")
    >>> md.data
    Molecules(n=500, n_atoms=4500, elements=H C O)
    >>> md.forces.shape
    (500, 9, 3)
    """
    _check(molecule)
    arrays = packaged("md_sample.npz")
    names = {name: f"{name}_{molecule}" for name in ("Z", "R", "E", "F", "e_min")}
    return _bunch({name: arrays[key] for name, key in names.items()}, molecule, 60)


def fetch_md(molecule="ethanol", *, data_home=None):
    """Read 1500 frames of the dynamics of a molecule, with energies and forces.

    Parameters
    ----------
    molecule : {"ethanol", "malonaldehyde"}, default="ethanol"
        Which molecule; both have 9 atoms.
    data_home : str or Path, default=None
        Folder in which files are looked for, ``~/skwave_data`` if None. The folder that the
        environment variable ``SKWAVE_DATA`` names is looked into first.

    Returns
    -------
    md : Bunch
        As `load_md_sample` gives it, with 1500 frames.

    Raises
    ------
    OSError
        If the file is not there, or has not the contents, by its sha256, that it should have. The
        message names the path.
    ValueError
        If there is no such molecule.

    See Also
    --------
    load_md_sample : 500 frames of each, in the package.

    Notes
    -----
    The files are ``md/xtb_ethanol.npz`` and ``md/xtb_malonaldehyde.npz``. Nothing is downloaded.

    Examples
    --------
    >>> from skwave.datasets import fetch_md
    >>> fetch_md("ethanol").forces.shape  # doctest: +SKIP
    (1500, 9, 3)
    """
    _check(molecule)
    path = provided(_FILES[molecule], data_home, "They are not distributed: see load_md_sample.")
    with np.load(path, allow_pickle=False) as arrays:
        return _bunch(arrays, molecule, 20)


def _check(molecule):
    if molecule not in _FILES:
        raise ValueError(f"molecule={molecule!r} must be one of {', '.join(map(repr, _FILES))}.")


def _bunch(arrays, molecule, interval):
    data = Molecules.from_padded(arrays["Z"], arrays["R"])
    return Bunch(
        data=data,
        target=arrays["E"].astype(np.float64),
        forces=arrays["F"].astype(np.float64),
        energy_min=float(arrays["e_min"]),
        units=dict(_UNITS),
        DESCR=_DESCR.format(molecule=molecule, n=len(data), interval=interval),
    )
