"""QM9: properties of 134 000 small organic molecules."""

import tarfile
from array import array

import numpy as np
from sklearn.utils import Bunch

from skwave.datasets._files import File, load_npz, original
from skwave.molecules import SYMBOLS, Molecules

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
    "U298_atom": "kcal/mol",
    "U298": "Hartree",
    "gap": "Hartree",
    "alpha": "Bohr³",
    "Cv": "cal/mol/K",
}
_COLUMNS = {"index": 1, "alpha": 6, "gap": 9, "U298": 13, "Cv": 16}  # of the second line
_HARTREE = 627.5094740631  # kcal/mol
# internal energies of the free atoms at 298.15 K in Hartree, from the data set's atomref.txt
_ATOMS = {1: -0.498857, 6: -37.845355, 7: -54.582445, 8: -75.063163, 9: -99.717314}
_DESCR = """QM9
===
{n} of the 133 885 molecules with up to 9 atoms of C, N, O and F, from the GDB-17 enumeration, with
geometries and properties computed by density functional theory (B3LYP/6-31G(2df,p)).

data : Molecules, positions in Å
target : {target} in {unit}
index : number of the molecule in QM9, from 1

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
    """Load QM9, properties of 134 000 small organic molecules.

    Parameters
    ----------
    target : {"U298_atom", "U298", "gap", "alpha", "Cv"}, default="U298_atom"
        Property: internal energy at 298.15 K less that of the free atoms, in kcal/mol; the
        energy itself in Hartree; gap between the highest occupied and the lowest unoccupied
        orbital in Hartree; isotropic polarisability in Bohr³; heat capacity at 298.15 K in
        cal/mol/K.
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
        (n,); ``index``, number of each molecule in QM9 from 1, by which it rises; ``units``;
        ``DESCR``.
    (data, target) : tuple
        If ``return_X_y``.

    Raises
    ------
    ValueError
        If there is no such target.
    OSError
        If there is no file and it cannot be downloaded, or a file has not the contents, by its
        sha256, that it should have. The message names the path.

    See Also
    --------
    fetch_qm7 : A smaller set, of energies.

    Notes
    -----
    ``qm9.npz`` is taken if it is there: a packed copy of 118 744 molecules, all of them
    characterised and without F. The gap of 107 is not in it; they are left out for this target.
    Else, or for ``remove_uncharacterized=False``, the originals [2]_ are read, which pooch
    downloads, 86 MB: ``dsgdb9nsd.xyz.tar.bz2`` with 133 885 molecules, of which 130 831 are
    characterised, and ``uncharacterized.txt``. That takes about a minute at each call. The
    originals are in the public domain (CC0); cite [1]_ and [2]_.

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
    """
    if target not in _UNITS:
        raise ValueError(f"target={target!r} is not in QM9 here: use one of {list(_UNITS)}.")
    arrays = load_npz(_PACKED, data_home) if remove_uncharacterized else None
    if arrays is None:
        arrays = _read_tar(original(_ORIGINAL, data_home, download_if_missing))
        if remove_uncharacterized:
            path = original(_UNCHARACTERIZED, data_home, download_if_missing)
            arrays["uncharacterized"] = _read_uncharacterized(path)
    data = Molecules(arrays["Z"], arrays["R"], np.cumsum([0, *arrays["n"]]))
    index = arrays["index"].astype(np.int64)
    values = _values(target, arrays, data)
    keep = np.isfinite(values)
    if remove_uncharacterized:
        keep &= ~np.isin(index, arrays["uncharacterized"])
    if not keep.all():
        data, values, index = data[keep], values[keep], index[keep]
    if return_X_y:
        return data, values
    unit = _UNITS[target]
    return Bunch(
        data=data,
        target=values,
        index=index,
        units={"data": "Å", "target": unit},
        DESCR=_DESCR.format(n=len(data), target=target, unit=unit),
    )


def _values(target, arrays, data):
    if target != "U298_atom":
        return arrays[target].astype(np.float64)
    energies = np.zeros(len(SYMBOLS) + 1)
    energies[list(_ATOMS)] = list(_ATOMS.values())
    atoms = np.add.reduceat(energies[data.numbers], data.offsets[:-1])
    return (arrays["U298"] - atoms) * _HARTREE


def _read_tar(path):
    """Arrays of the archive of one file per molecule."""
    numbers = {symbol: z for z, symbol in enumerate(SYMBOLS, start=1)}
    Z, R, n, rows = array("q"), array("d"), [], []
    with tarfile.open(path, "r:bz2") as tar:
        for member in tar:
            if not member.isfile():
                continue
            # Mathematica writes 1e-6 as 1.*^-6
            lines = tar.extractfile(member).read().decode().replace("*^", "e").splitlines()
            n_atoms, properties = int(lines[0]), lines[1].split()
            atoms = [line.split() for line in lines[2 : 2 + n_atoms]]
            Z.extend(numbers[atom[0]] for atom in atoms)
            R.extend(float(x) for atom in atoms for x in atom[1:4])
            n.append(n_atoms)
            rows.append([float(properties[i]) for i in _COLUMNS.values()])
    arrays = dict(zip(_COLUMNS, np.array(rows).T, strict=True))
    return {**arrays, "Z": np.array(Z), "R": np.reshape(R, (-1, 3)), "n": np.array(n)}


def _read_uncharacterized(path):
    # rows of a table: index, formula, formula, number; the header and the footer are none
    rows = [line.split() for line in path.read_text().splitlines()]
    return np.array([int(row[0]) for row in rows if len(row) >= 3 and row[0].isdigit()])
