"""Invariants of atoms that energies are made of: by this package or by others; their settings."""

import numpy as np
import torch

from skwave.functional._molecules.atoms import (
    LocalBasis,
    local_fields,
    local_invariants,
    split_environments,
)
from skwave.molecules._environments import pack_atoms, whole_environments

_MOLECULES = 128  # whose pairs are listed at once
_ATOMS = 512  # whose invariants are in memory at once
_DUAL = 25_000  # most molecules of a kernel, whose matrix is 5 GB then
# parameters that are None: of molecules that are relaxed, and of those that move
_RELAXED = {"n_components": 256, "power": 0.7, "L": 5, "J": 2, "Q": 3}
_RELAXED |= {"sigma": 0.27, "decay_radius": 1.8, "per_component": 8}
_MOVING = {"n_components": 48, "power": 0.25, "L": 6, "J": 3, "Q": 2}
_MOVING |= {"sigma": 0.25, "decay_radius": 3.0, "per_component": 1}
_PRODUCTS = 16_000  # of components, for each element


def settle(regressor, molecules, moving):
    """Parameters of a regressor, those that are None by the kind of data.

    Parameters
    ----------
    regressor : EnergyRegressor
        Regressor.
    molecules : Molecules
        Molecules of the training.
    moving : bool
        Whether there are forces.

    Returns
    -------
    settings : dict
        Numbers by which features are made.
    """
    defaults = {"n_products": _PRODUCTS, **(_MOVING if moving else _RELAXED)}
    settings = {
        name: default if getattr(regressor, name, None) is None else getattr(regressor, name)
        for name, default in defaults.items()
    }
    # environments of an element span no more directions than there are
    most = int(np.unique(molecules.numbers, return_counts=True)[1].max())
    n = min(settings["n_components"], most)
    # one molecule that moves has few environments, whose linear part says more with more of them
    n_linear = 2 * n if moving else n
    n_quadratic = n if regressor.degree == 2 else 0
    settings |= {"n_components": n_linear, "n_quadratic": n_quadratic}
    return {**settings, "cutoff": float(regressor.cutoff)}


def choose_solver(solver, n, width, moving):
    """Solver of a regression.

    Parameters
    ----------
    solver : {"auto", "dual", "primal"}
        What was asked for.
    n, width : int
        Numbers of molecules and of features.
    moving : bool
        Whether there are forces.

    Returns
    -------
    solver : {"dual", "primal"}
        What is smaller; "primal" with forces, and for more molecules than a kernel holds.
    """
    if moving and solver == "dual":
        raise ValueError(
            'solver="dual" has no forces: leave solver="auto", which is "primal" with them.'
        )
    if solver == "auto":
        return "primal" if moving or n > min(width, _DUAL) else "dual"
    return solver


def make_source(elements, transformer, settings):
    """Source of the invariants of atoms.

    Parameters
    ----------
    elements : ndarray of int
        Atomic numbers.
    transformer : object or None
        Transformer of the user; None for the invariants of this package.
    settings : dict
        What `settle` gives.

    Returns
    -------
    source : LocalSource or TransformerSource
        Source.
    """
    if transformer is not None:
        return TransformerSource(elements, transformer)
    per_octave = settings["Q"]
    steps = range(settings["J"] * per_octave + 1)
    return LocalSource(
        elements,
        tuple(float(settings["sigma"]) * 2 ** (i / per_octave) for i in steps),
        settings["L"],
        cutoff=settings["cutoff"],
        decay_radius=float(settings["decay_radius"]),
    )


def own_elements(molecules, elements):
    """Element of each atom.

    Parameters
    ----------
    molecules : Molecules
        Molecules.
    elements : ndarray of int
        Atomic numbers, increasing.

    Returns
    -------
    own : Tensor, shape (A,)
        Indices into ``elements``.
    """
    return torch.from_numpy(np.searchsorted(elements, molecules.numbers))


class LocalSource:
    """Invariants of atoms by the package itself, with derivatives.

    Parameters
    ----------
    elements : ndarray of int
        Atomic numbers.
    widths : tuple of float
        Widths of the radial functions in Å.
    L : int
        Largest degree.
    **parameters : float
        Cutoff, radius and power of the weight.
    """

    def __init__(self, elements, widths, L, **parameters):
        self.elements = elements
        self.basis = LocalBasis(tuple(widths), L, len(elements), **parameters)

    def environments(self, molecules, positions=None):  # numpydoc ignore=PR01,RT01
        """Environments of all atoms, and their pairs; images of crystals are neighbours, too."""
        return whole_environments(pack_atoms(molecules, self.elements, positions), self.basis)

    def invariants(self, molecules, dtype=torch.float64):  # numpydoc ignore=PR01
        """Invariants in parts: (first atom, Tensor (atoms, F))."""
        for i in range(0, len(molecules), _MOLECULES):
            part = molecules[i : i + _MOLECULES]
            first = int(molecules.offsets[i])
            for environments in split_environments(self.environments(part)[0], _ATOMS):
                fields = [w.to(dtype) for w in local_fields(environments, self.basis)]
                yield first, local_invariants(fields).flatten(1)
                first += len(environments.own)


class TransformerSource:
    """Invariants of atoms by a transformer of the user, one row for each atom.

    Parameters
    ----------
    elements : ndarray of int
        Atomic numbers.
    transformer : object
        Its ``transform`` gives an array of shape (n_atoms_total, n_features) for molecules.
    """

    def __init__(self, elements, transformer):
        self.elements = elements
        self.transformer = transformer

    def invariants(self, molecules, dtype=torch.float64):  # numpydoc ignore=PR01
        """Invariants in parts: (first atom, Tensor (atoms, F))."""
        for i in range(0, len(molecules), _MOLECULES):
            part = molecules[i : i + _MOLECULES]
            phi = np.asarray(self.transformer.transform(part))
            if phi.ndim != 2 or len(phi) != len(part.numbers):
                raise ValueError(
                    f"features={self.transformer!r} gave an array of shape {phi.shape} for "
                    f"{len(part)} molecules of {len(part.numbers)} atoms: its transform must give "
                    "one row for each atom, in their order."
                )
            yield int(molecules.offsets[i]), torch.from_numpy(phi).to(dtype)
