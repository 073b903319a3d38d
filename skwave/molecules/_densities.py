"""Electronic densities of molecules: the weights of their atoms, on arrays of one size."""

import numpy as np

from skwave.molecules._checks import SYMBOLS

DENSITIES = ("full", "core", "valence", "elements", "dirac")
_SHELLS = (2, 10, 18, 36, 54, 86)


def density_weights(numbers, density):
    """Weights of the atoms in a density.

    Parameters
    ----------
    numbers : ndarray of int
        Atomic numbers, 0 where there is no atom.
    density : str
        "full" or "dirac" for the charges; "core" for the electrons of closed shells, 0 for H
        and He, 2 for Li to Ne, and so on; "valence" for the others; or the symbol of an
        element, whose atoms have the weight 1.

    Returns
    -------
    weights : ndarray of float, of the shape of ``numbers``
        Weights.
    """
    core = np.array((0, *_SHELLS))[np.searchsorted(_SHELLS, numbers)]
    charges = {"full": numbers, "dirac": numbers, "core": core, "valence": numbers - core}
    weights = charges[density] if density in charges else numbers == SYMBOLS.index(density) + 1
    return weights.astype(float)
