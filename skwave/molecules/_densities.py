"""Electronic densities of molecules: the weights of their atoms, and their integrals."""

from itertools import product
from numbers import Real

import numpy as np
import torch

from skwave.functional._molecules.solid_scattering import solid_scattering
from skwave.molecules._checks import SYMBOLS

DENSITIES = ("full", "core", "valence", "elements", "dirac")
_SHELLS = (2, 10, 18, 36, 54, 86)


def check_integrals(densities, powers):
    """Check the parameters of integrals.

    Parameters
    ----------
    densities : sequence
        What is integrated.
    powers : sequence
        Exponents.

    Raises
    ------
    ValueError
        If one of them is unknown or not positive, or stands twice, or there is none.
    """
    for name, values, allowed, kind in (
        ("densities", densities, lambda v: v in DENSITIES, f"of {DENSITIES}"),
        ("integral_powers", powers, _is_positive, "positive numbers"),
    ):
        if not all(map(allowed, values)) or not 0 < len(values) == len(set(values)):
            raise ValueError(f"{name}={values!r} must be a tuple of different values, {kind}.")


def _is_positive(value):
    return isinstance(value, Real) and 0 < value < np.inf


def refuse_periodic(molecules):
    """Raise an error if a molecule is periodic, whose density has no integral.

    Parameters
    ----------
    molecules : Molecules
        Molecules.

    Raises
    ------
    ValueError
        It names the first that is.
    """
    if molecules.periodic is not None:
        i = int(molecules.periodic.any(axis=1).argmax())
        raise ValueError(
            f"molecule {i} of X is periodic, and integrals are over the space around a "
            "molecule. Set pooling='atoms', or give molecules in a box without their cells."
        )


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


def integrals(numbers, positions, channels, sigma, **parameters):
    """Integrals of solid harmonic scattering of several densities.

    Parameters
    ----------
    numbers : ndarray of int, shape (n, k)
        Atomic numbers, 0 where there is no atom.
    positions : Tensor, shape (n, k, 3)
        Coordinates in Å.
    channels : list of str
        Densities that `density_weights` knows; "dirac" is of points.
    sigma : float
        Width in Å of the Gaussians of the others.
    **parameters
        Others of `skwave.functional.solid_scattering`.

    Returns
    -------
    S : Tensor, shape (n, n_channels, n_paths, n_powers)
        Integrals, differentiable in the positions.
    """
    found = {}
    for width in (sigma, 0.0):
        names = [c for c in channels if (c == "dirac") == (width == 0)]
        if names:
            weights = np.stack([density_weights(numbers, name) for name in names], 1)
            weights = torch.from_numpy(weights).to(positions)
            s = solid_scattering(positions, weights, sigma=width, **parameters)
            found |= dict(zip(names, s.unbind(1), strict=True))
    return torch.stack([found[c] for c in channels], 1)


def names_of_integrals(channels, scales, paths, powers, cross_degrees):
    """Names of the integrals, in their order.

    Parameters
    ----------
    channels : list of str
        Densities.
    scales : list of str
        Names of the scales.
    paths : list of SolidPath
        Scales and degrees of each.
    powers : sequence of float
        Exponents.
    cross_degrees : bool
        Whether the degrees of a path may differ.

    Returns
    -------
    names : list of str
        Such as ``s1_full_j1_l2_q0.5``.
    """
    names = []
    for channel, path in product(channels, paths):
        j = "".join(f"_j{scales[i]}" for i in path.j)
        degrees = path.l if cross_degrees else path.l[:1]
        l = "".join(f"_l{i}" for i in degrees)
        names += [f"s{len(path.j)}_{channel}{j}{l}_q{q:g}" for q in powers]
    return names
