"""QM7: atomisation energies of 7165 small organic molecules."""

import numpy as np
from scipy.io import loadmat
from sklearn.utils import Bunch

from skwave.datasets._files import File, load_npz, original, packaged
from skwave.molecules import Molecules

_PACKED = File("qm7.npz", "9f7de44da6d8d6003a547c27c6707ee2c941a02ac22bed504eb073cbce46049b")
_ORIGINAL = File(
    "qm7.mat",
    "fd6c26c1086887310518e6a6da778253bc5d3ceb8166007a679a740fff9ee6ea",
    "http://quantum-machine.org/data/qm7.mat",
)
_BOHR = 0.529177210903  # Å
_UNITS = {"data": "Å", "target": "kcal/mol"}
_DESCR = """QM7
===
{n} of the 7165 molecules with up to 23 atoms, of which up to 7 are C, N, O or S, from the
GDB-13 enumeration. The geometries were relaxed by a force field, the atomisation energies computed
by density functional theory (PBE0).

data : Molecules, positions in Å
target : atomisation energies in kcal/mol, negative
fold : 0 to 4, five folds that are stratified by the energy

Please cite both:

Blum, L. C. and Reymond, J.-L. (2009). 970 million druglike small molecules for virtual screening
in the chemical universe database GDB-13. J. Am. Chem. Soc. 131, 8732.
Rupp, M., Tkatchenko, A., Müller, K.-R. and von Lilienfeld, O. A. (2012). Fast and accurate modeling
of molecular atomization energies with machine learning. Phys. Rev. Lett. 108, 058301.
"""


def load_qm7_sample(*, return_X_y=False):
    """Load 750 molecules of QM7, which are in the package.

    Parameters
    ----------
    return_X_y : bool, default=False
        Give ``(data, target)`` alone.

    Returns
    -------
    qm7 : Bunch
        ``data``, `skwave.molecules.Molecules`, positions in Å rounded to 1e-4; ``target``,
        atomisation energies in kcal/mol (-2062 to -653), float64 of shape (750,); ``fold``,
        integers 0 to 4, 150 molecules in each; ``units``; ``DESCR``.
    (data, target) : tuple
        If ``return_X_y``.

    See Also
    --------
    fetch_qm7 : All 7165 molecules.

    Notes
    -----
    150 molecules were drawn at random from each of five folds that are stratified by the
    energy. The data are Rupp's et al. [2]_ on molecules of Blum and Reymond [1]_: cite both if
    you publish what you compute with them. Their distributors state no licence.

    References
    ----------
    .. [1] Blum, L. C. and Reymond, J.-L. (2009). 970 million druglike small molecules for
       virtual screening in the chemical universe database GDB-13. *Journal of the American
       Chemical Society* 131, 8732.
    .. [2] Rupp, M., Tkatchenko, A., Müller, K.-R. and von Lilienfeld, O. A. (2012). Fast and
       accurate modeling of molecular atomization energies with machine learning. *Physical
       Review Letters* 108, 058301.

    Examples
    --------
    >>> from skwave.datasets import load_qm7_sample
    >>> X, y = load_qm7_sample(return_X_y=True)
    >>> X
    Molecules(n=750, n_atoms=11548, elements=H C N O S)
    >>> X.formula(0), float(y[0])
    ('C2H4O', -653.44)
    """
    arrays = packaged("qm7_sample.npz")
    data = Molecules(arrays["Z"], arrays["R"], np.cumsum([0, *arrays["n"]]))
    return _bunch(data, arrays["E"], arrays["fold"], return_X_y)


def fetch_qm7(*, data_home=None, download_if_missing=True, return_X_y=False):
    """Load QM7, the atomisation energies of 7165 small organic molecules.

    Parameters
    ----------
    data_home : str or Path, default=None
        Folder in which files are looked for and stored; ``~/skwave_data`` if None. The folder
        that the environment variable ``SKWAVE_DATA`` names is looked into first.
    download_if_missing : bool, default=True
        If False, a missing file is an error, and the network is not used.
    return_X_y : bool, default=False
        Give ``(data, target)`` alone.

    Returns
    -------
    qm7 : Bunch
        ``data``, `skwave.molecules.Molecules`, positions in Å; ``target``, atomisation energies
        in kcal/mol (-2192 to -405), float64 of shape (7165,); ``fold``, integers 0 to 4, five
        folds that are stratified by the energy; ``units``; ``DESCR``.
    (data, target) : tuple
        If ``return_X_y``.

    Raises
    ------
    OSError
        If there is no file and it cannot be downloaded, or a file has not the contents, by its
        sha256, that it should have. The message names the path.

    See Also
    --------
    load_qm7_sample : 750 of them, in the package.

    Notes
    -----
    ``qm7.npz`` is taken if it is there: a packed copy, whose folds were made anew. Else
    ``qm7.mat``, the original [2]_ of http://quantum-machine.org, which is downloaded by pooch,
    18 MB, with the folds of its authors. Cite [1]_ and [2]_ if you publish what you compute with
    the data.

    References
    ----------
    .. [1] Blum, L. C. and Reymond, J.-L. (2009). 970 million druglike small molecules for
       virtual screening in the chemical universe database GDB-13. *Journal of the American
       Chemical Society* 131, 8732.
    .. [2] Rupp, M., Tkatchenko, A., Müller, K.-R. and von Lilienfeld, O. A. (2012). Fast and
       accurate modeling of molecular atomization energies with machine learning. *Physical
       Review Letters* 108, 058301.

    Examples
    --------
    >>> from skwave.datasets import fetch_qm7
    >>> qm7 = fetch_qm7()  # doctest: +SKIP
    >>> qm7.data  # doctest: +SKIP
    Molecules(n=7165, n_atoms=110650, elements=H C N O S)
    """
    arrays = load_npz(_PACKED, data_home)
    if arrays is None:
        arrays = _read_mat(original(_ORIGINAL, data_home, download_if_missing))
    data = Molecules.from_padded(arrays["Z"], arrays["R"])
    return _bunch(data, arrays["E"], arrays["fold"], return_X_y)


def _read_mat(path):
    mat = loadmat(path)
    fold = np.empty(mat["T"].size, dtype=np.int64)
    for k, members in enumerate(mat["P"]):
        fold[members] = k
    # single precision would move atoms by 1e-7 Å
    R = mat["R"].astype(np.float64) * _BOHR
    return {"Z": mat["Z"], "R": R, "E": mat["T"].ravel(), "fold": fold}


def _bunch(data, target, fold, return_X_y):
    target = target.astype(np.float64)
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        fold=fold.astype(np.int64),
        units=dict(_UNITS),
        DESCR=_DESCR.format(n=len(data)),
    )
