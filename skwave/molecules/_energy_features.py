"""Features of molecules whose weights are an energy model: encoded once, unfolded in blocks."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from skwave.functional._molecules.atom_derivatives import (
    projected_jacobian,
    projection,
    summed_jacobian,
)
from skwave.functional._molecules.atoms import (
    LocalBasis,
    local_fields,
    local_invariants,
    split_environments,
)
from skwave.functional._molecules.energies import (
    Compression,
    EnergyModel,
    compress,
    element_sums,
    principal_axes,
    quadratic_slopes,
    quadratic_sums,
    saturate,
    saturate_slopes,
    symmetric,
    whitening,
)
from skwave.molecules._environments import pack_atoms, whole_environments

REACH = 2.0  # longest compressed environment, in root mean squares of the training
_MOLECULES = 128  # whose pairs are listed at once
_ATOMS = 512  # whose invariants are in memory at once
_REPORT = 2000  # molecules between two lines of progress
_PER_ELEMENT = 2500  # environments of which the principal axes are


@dataclass(frozen=True)
class Encoded:
    """Molecules of a training set, in what their features are made of."""

    counts: Tensor
    """Numbers of atoms of each element, shape (n, E)."""
    sums: Tensor
    """Invariants summed over the atoms, shape (n, F)."""
    z: Tensor
    """Compressed environments, shape (A, k)."""
    own: Tensor
    """Element of each atom, shape (A,)."""
    offsets: Tensor
    """First atom of each molecule, and the end, shape (n + 1,)."""

    def __len__(self):
        return len(self.counts)

    def take(self, start, stop):  # numpydoc ignore=PR01,RT01
        """Molecules of a range."""
        first, last = int(self.offsets[start]), int(self.offsets[stop])
        return Encoded(
            self.counts[start:stop],
            self.sums[start:stop],
            self.z[first:last],
            self.own[first:last],
            self.offsets[start : stop + 1] - first,
        )


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

    def own(self, molecules):  # numpydoc ignore=PR01,RT01
        """Element of each atom, from 0, shape (A,)."""
        return torch.from_numpy(np.searchsorted(self.elements, molecules.numbers))

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

    def own(self, molecules):  # numpydoc ignore=PR01,RT01
        """Element of each atom, from 0, shape (A,)."""
        return torch.from_numpy(np.searchsorted(self.elements, molecules.numbers))

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


@dataclass(frozen=True)
class Features:
    """How invariants of atoms become features of molecules."""

    source: object
    """What gives the invariants."""
    compression: Compression
    """Principal axes of each element."""
    n_quadratic: int
    """Components of the quadratic part; 0 for none."""
    power: float
    """How equal its components are made."""
    scales: Tensor | None = None
    """Factor of each group."""

    @classmethod
    def learn(
        cls, source, molecules, n_components, n_quadratic, power, rng
    ):  # numpydoc ignore=PR01,RT01
        """Find the principal axes, in some of the molecules."""
        n_elements = len(source.elements)
        enough = 1 + _PER_ELEMENT // 2
        rows = np.sort(rng.permutation(len(molecules))[:enough])
        own, parts = source.own(molecules[rows]), []
        counts = torch.zeros(n_elements, dtype=torch.int64)
        kept = torch.zeros(len(own), dtype=torch.bool)
        for first, phi in source.invariants(molecules[rows], torch.float32):
            mine = own[first : first + len(phi)]
            rank = torch.nn.functional.one_hot(mine, n_elements).cumsum(0)
            rank = rank.gather(1, mine[:, None])[:, 0] + counts[mine]
            keep = rank <= _PER_ELEMENT
            kept[first : first + len(phi)] = keep
            counts += mine.bincount(minlength=n_elements)
            parts.append(phi[keep])
        phi, own = torch.cat(parts), own[kept]
        found = [principal_axes(phi[own == e].double(), n_components) for e in range(n_elements)]
        compression = Compression(*map(torch.stack, zip(*found, strict=True)))
        return cls(source, compression, n_quadratic, power)

    @property
    def n_elements(self):  # numpydoc ignore=RT01
        """Number of elements."""
        return len(self.source.elements)

    @property
    def names(self):  # numpydoc ignore=RT01
        """Name of each group of features."""
        quadratic = [f"quadratic{z}" for z in self.source.elements if self.n_quadratic]
        return ["linear", "element", *quadratic]

    @property
    def widths(self):  # numpydoc ignore=RT01
        """Number of features of each group."""
        n_invariants, k = self.compression.axes.shape[1:]
        half = self.n_quadratic * (self.n_quadratic + 1) // 2
        return [n_invariants, self.n_elements * k] + [half] * (len(self.names) - 2)

    def scaled(self, scales):  # numpydoc ignore=PR01,RT01
        """Same features, each group times a factor."""
        return replace(self, scales=scales)

    def encode(self, molecules, report=None):  # numpydoc ignore=PR01,RT01
        """Compress molecules to what their features are made of."""
        source, n_elements = self.source, self.n_elements
        own, offsets = source.own(molecules), torch.tensor(molecules.offsets)
        molecule = torch.arange(len(molecules)).repeat_interleave(offsets.diff())
        n_invariants, k = self.compression.axes.shape[1:]
        sums = torch.zeros(len(molecules), n_invariants, dtype=torch.float64)
        z = torch.zeros(len(own), k, dtype=torch.float32)
        single = Compression(*(t.float() for t in self.compression))
        for first, phi in source.invariants(molecules, torch.float32):
            atoms = slice(first, first + len(phi))
            z[atoms] = compress(phi, own[atoms], single)
            sums.index_add_(0, molecule[atoms], phi.double())
            if report is not None:
                done = int(molecule[atoms][-1]) + 1
                if done % _REPORT < int(molecule[atoms][0]) % _REPORT:
                    report(f"features of {done}/{len(molecules)} molecules")
        ones = torch.ones(len(own), 1, dtype=torch.float64)
        counts = element_sums(ones, own, molecule, len(molecules), n_elements)[..., 0]
        return Encoded(counts, sums, z, own, offsets)

    def _whitened(self):
        k = self.n_quadratic
        return whitening(self.compression.deviations[:, :k], self.power)

    def group(self, encoded, g):  # numpydoc ignore=PR01,RT01
        """Features of one group, shape (n, widths[g])."""
        scale = 1.0 if self.scales is None else self.scales[g]
        if g == 0:
            centred = encoded.sums - encoded.counts @ self.compression.mean
            return centred * scale
        n, own = len(encoded), encoded.own
        molecule = torch.arange(n).repeat_interleave(encoded.offsets.diff())
        if g == 1:
            sums = element_sums(encoded.z.double(), own, molecule, n, self.n_elements)
            return sums.flatten(1) * scale
        atoms = (own == g - 2).nonzero()[:, 0]
        z = encoded.z[atoms, : self.n_quadratic].double() * self._whitened()[g - 2]
        return quadratic_sums(saturate(z, REACH), molecule[atoms], n) * scale

    def rows(self, encoded):  # numpydoc ignore=PR01,RT01
        """All features, shape (n, sum(widths))."""
        return torch.cat([self.group(encoded, g) for g in range(len(self.widths))], 1)

    def slopes(self, molecule):  # numpydoc ignore=PR01,RT01
        """Derivatives of all features of one molecule by its coordinates, (3 * n_atoms, D)."""
        basis, n_elements = self.source.basis, self.n_elements
        environments, pairs = self.source.environments(molecule)
        fields, own = local_fields(environments, basis), environments.own
        n = len(own)
        phi = local_invariants(fields).flatten(1)
        z = compress(phi, own, self.compression)
        by_pair = projected_jacobian(environments, fields, self._projection, basis)
        jacobian = by_pair.new_zeros(n * n, 3, z.shape[1])
        jacobian.index_add_(0, pairs.neighbour * n + pairs.centre, by_pair)
        jacobian.index_add_(0, pairs.centre * n + pairs.centre, -by_pair)
        # by coordinate, then environment
        jacobian = jacobian.view(n, n, 3, -1).transpose(1, 2).flatten(0, 1)
        one = summed_jacobian(environments, pairs.neighbour, fields, basis, n).flatten(2)
        parts = [one.flatten(0, 1)]
        masks = torch.nn.functional.one_hot(own, n_elements).to(jacobian)
        parts.append(torch.einsum("rak,ae->rek", jacobian, masks).flatten(1))
        if self.n_quadratic:
            k, factors = self.n_quadratic, self._whitened()
            for e in range(n_elements):
                atoms = (own == e).nonzero()[:, 0]
                of, mine = jacobian[:, atoms, :k] * factors[e], z[atoms, :k] * factors[e]
                of = saturate_slopes(mine, of, REACH)
                parts.append(quadratic_slopes(saturate(mine, REACH), of))
        scales = [1.0] * len(parts) if self.scales is None else self.scales
        return torch.cat([p * s for p, s in zip(parts, scales, strict=True)], 1)

    @cached_property
    def _projection(self):
        return projection(self.compression.axes, self.source.basis)

    def collapse(self, weights, constant):
        """Energy model of the atoms, whose sum is the regression on the features.

        Parameters
        ----------
        weights : Tensor, shape (D, t)
            Weights of the features.
        constant : Tensor, shape (E, t)
            Energies of the elements.

        Returns
        -------
        model : EnergyModel
            Weights of atoms.
        """
        scales = torch.ones(len(self.widths)) if self.scales is None else self.scales
        parts = [w * s for w, s in zip(weights.split(self.widths), scales, strict=True)]
        n_elements, axes = self.n_elements, self.compression.axes
        by_element = parts[1].unflatten(0, (n_elements, -1))
        linear = parts[0] + axes @ by_element
        k = self.n_quadratic
        quadratic = weights.new_zeros(n_elements, k, k, weights.shape[1])
        for e, half in enumerate(parts[2:]):
            quadratic[e] = symmetric(half, k)
        return EnergyModel(constant, linear, self.whitened_axes, quadratic, REACH)

    @property
    def whitened_axes(self):  # numpydoc ignore=RT01
        """What the components of the quadratic part are made by, shape (E, F, k)."""
        return self.compression.axes[:, :, : self.n_quadratic] * self._whitened()[:, None]
