"""QM9: twelve properties of 134 000 small organic molecules."""

import tarfile

import numpy as np
from sklearn.utils import Bunch

from skwave.datasets._files import File, load_npz, original
from skwave.molecules import SYMBOLS, Molecules
from skwave.molecules._xyz import QM9_PROPERTIES, read_frames

_PACKED = File("qm9.npz", "8d26da1c047853c7f76734f461b11e72be61cb6be5697922f13741d887959f21")
_ORIGINAL = File(
    "dsgdb9nsd.xyz.tar.bz2",
    "3a63848ac80691bdb8d41834b575afad345b9300d7a2db0c38adb7f6eaa8360c",
    "https://ndownloader.figshare.com/files/3195389",
)
_UNCHARACTERIZED = File(
    "uncharacterized.txt",
    "3aa5115d540b356de94791d4a74c3bf1ed91c469ecf52a4f5d7cc0506fe02e24",
    "https://ndownloader.figshare.com/files/3195404",
)
_UNITS = {
    **dict.fromkeys(("U0_atom", "U298_atom", "H298_atom", "G298_atom"), "kcal/mol"),
    **dict.fromkeys(("U0", "U298", "H298", "G298"), "Hartree"),
    **dict.fromkeys(("homo", "lumo", "gap", "zpve"), "Hartree"),
    "mu": "Debye",
    "alpha": "Bohr³",
    "r2": "Bohr²",
    "Cv": "cal/mol/K",
}
_HARTREE = 627.5094740631  # kcal/mol
# energies of the free atoms H, C, N, O and F in Hartree, from the data set's atomref.txt
_ATOMS = {
    "U0": (-0.500273, -37.846772, -54.583861, -75.064579, -99.718730),
    "U298": (-0.498857, -37.845355, -54.582445, -75.063163, -99.717314),
    "H298": (-0.497912, -37.844411, -54.581501, -75.062219, -99.716370),
    "G298": (-0.510927, -37.861317, -54.598897, -75.079532, -99.733544),
}
_DESCR = """QM9
===
{n} of the 133 885 molecules with up to 9 atoms of C, N, O and F, from the GDB-17 enumeration, with
geometries and properties computed by density functional theory (B3LYP/6-31G(2df,p)).

data : Molecules, positions in Å
target : {target}
index : number of the molecule in QM9, from 1
missing : numbers of those that are left out since the file has no such property of theirs

Please cite both:

Ruddigkeit, L., van Deursen, R., Blum, L. C. and Reymond, J.-L. (2012). Enumeration of 166 billion
organic small molecules in the chemical universe database GDB-17. J. Chem. Inf. Model. 52, 2864.
Ramakrishnan, R., Dral, P. O., Rupp, M. and von Lilienfeld, O. A. (2014). Quantum chemistry
structures and properties of 134 kilo molecules. Scientific Data 1, 140022.
"""


def fetch_qm9(
    *,
    target="U298_atom",
    remove_uncharacterized=True,
    data_home=None,
    download_if_missing=True,
    return_X_y=False,
):
    """Load QM9, twelve properties of 134 000 small organic molecules.

    Parameters
    ----------
    target : str or list of str, default="U298_atom"
        Property, or several. At 0 K and at 298.15 K: "U0" and "U298", internal energies; "H298",
        enthalpy; "G298", free energy, all in Hartree. "U0_atom", "U298_atom", "H298_atom" and
        "G298_atom": the same less those of the free atoms, in kcal/mol. "homo", "lumo" and "gap":
        energies of the highest occupied and the lowest unoccupied orbital, and their difference, in
        Hartree. "zpve": vibrational energy at 0 K, in Hartree. "mu": dipole moment, in Debye.
        "alpha": isotropic polarisability, in Bohr³. "r2": electronic spatial extent, in Bohr².
        "Cv": heat capacity at 298.15 K, in cal/mol/K.
    remove_uncharacterized : bool, default=True
        Leave out the 3054 molecules whose geometry is not that of their formula.
    data_home : str or Path, default=None
        Folder in which files are looked for and stored; ``~/skwave_data`` if None. The folder
        that the environment variable ``SKWAVE_DATA`` names is looked into first.
    download_if_missing : bool, default=True
        If False, a missing file is an error, and the network is not used.
    return_X_y : bool, default=False
        Give ``(data, target)`` alone.

    Returns
    -------
    qm9 : Bunch
        ``data``, `skwave.molecules.Molecules`, positions in Å; ``target``, float64 of shape
        (n,), or (n, n_targets) for a list; ``index``, number of each molecule in QM9 from 1, by
        which it rises; ``missing``, numbers of the molecules that are left out since the file has
        no such property of theirs; ``target_names``; ``units``; ``DESCR``.
    (data, target) : tuple
        If ``return_X_y``.

    Raises
    ------
    ValueError
        If there is no such property.
    OSError
        If there is no file and it cannot be downloaded, or a file has not the contents, by its
        sha256, that it should have. The message names the path.

    See Also
    --------
    fetch_qm7 : A smaller set, of energies.

    Notes
    -----
    ``qm9.npz`` is taken if it is there and has the properties: a packed copy of 118 744 molecules,
    all of them characterised and without F, with "U298_atom", "U298", "alpha", "Cv" and "gap". The
    gap of 107 is not in it; they are left out for this property. Else, or for
    ``remove_uncharacterized=False``, the originals [2]_ are read, which pooch downloads, 86 MB:
    ``dsgdb9nsd.xyz.tar.bz2`` with 133 885 molecules, of which 130 831 are characterised, and
    ``uncharacterized.txt``. That takes about a minute at each call: ask for several properties at
    once. The originals are in the public domain (CC0); cite [1]_ and [2]_.

    References
    ----------
    .. [1] Ruddigkeit, L., van Deursen, R., Blum, L. C. and Reymond, J.-L. (2012). Enumeration of
       166 billion organic small molecules in the chemical universe database GDB-17. *Journal of
       Chemical Information and Modeling* 52, 2864.
    .. [2] Ramakrishnan, R., Dral, P. O., Rupp, M. and von Lilienfeld, O. A. (2014). Quantum
       chemistry structures and properties of 134 kilo molecules. *Scientific Data* 1, 140022.

    Examples
    --------
    >>> from skwave.datasets import fetch_qm9
    >>> X, y = fetch_qm9(target="gap", return_X_y=True)  # doctest: +SKIP
    >>> fetch_qm9(target=["alpha", "Cv"]).target.shape  # doctest: +SKIP
    (130831, 2)
    """
    names = [target] if isinstance(target, str) else list(target)
    unknown = [name for name in names if name not in _UNITS]
    if unknown or not names:
        raise ValueError(f"target={target!r}: use one or several of {', '.join(_UNITS)}.")
    arrays = _read(names, remove_uncharacterized, data_home, download_if_missing)
    data = Molecules(arrays["Z"], arrays["R"], np.cumsum([0, *arrays["n"]]))
    index = arrays["index"].astype(np.int64)
    values = np.stack([_values(name, arrays, data) for name in names], axis=1)
    known = np.isfinite(values).all(axis=1)
    wanted = np.ones(len(data), bool)
    if remove_uncharacterized:
        wanted = ~np.isin(index, arrays["uncharacterized"])
    missing, keep = index[wanted & ~known], known & wanted
    if not keep.all():
        data, values, index = data[keep], values[keep], index[keep]
    if isinstance(target, str):
        values = values[:, 0]
    if return_X_y:
        return data, values
    units = [_UNITS[name] for name in names]
    described = ", ".join(f"{name} in {unit}" for name, unit in zip(names, units, strict=True))
    return Bunch(
        data=data,
        target=values,
        index=index,
        missing=missing,
        target_names=names,
        units={"data": "Å", "target": units[0] if isinstance(target, str) else units},
        DESCR=_DESCR.format(n=len(data), target=described),
    )


def _read(names, characterized, data_home, download_if_missing):
    """Arrays of the packed file if it has the properties, of the originals otherwise."""
    packed = load_npz(_PACKED, data_home) if characterized else None
    lacking = [name for name in names if packed and name.removesuffix("_atom") not in packed]
    if packed and not lacking:
        return packed
    try:
        arrays = _read_tar(original(_ORIGINAL, data_home, download_if_missing))
        if characterized:
            path = original(_UNCHARACTERIZED, data_home, download_if_missing)
            arrays["uncharacterized"] = _read_uncharacterized(path)
    except OSError as error:
        if not lacking:
            raise
        raise OSError(
            f"{_PACKED.name} has no {', '.join(lacking)}, which are in the originals. {error}"
        ) from error
    return arrays


def _values(name, arrays, data):
    energy = name.removesuffix("_atom")
    values = arrays[energy].astype(np.float64)
    if energy == name:
        return values
    atoms = np.zeros(len(SYMBOLS) + 1)
    atoms[[1, 6, 7, 8, 9]] = _ATOMS[energy]
    return (values - np.add.reduceat(atoms[data.numbers], data.offsets[:-1])) * _HARTREE


def _read_tar(path):
    """Arrays of the archive of one file per molecule."""
    frames = []
    with tarfile.open(path, "r:bz2") as tar:
        for member in tar:
            if member.isfile():
                text = tar.extractfile(member).read().decode()
                frames += read_frames(text, f"{path.name}, {member.name}")
    arrays = {name: np.array([f.info[name] for f in frames]) for name in QM9_PROPERTIES}
    arrays["Z"] = np.concatenate([f.numbers for f in frames])
    arrays["R"] = np.concatenate([f.positions for f in frames])
    return arrays | {"n": np.array([len(f.numbers) for f in frames])}


def _read_uncharacterized(path):
    # rows of a table: index, formula, formula, number; the header and the footer are none
    rows = [line.split() for line in path.read_text().splitlines()]
    return np.array([int(row[0]) for row in rows if len(row) >= 3 and row[0].isdigit()])
