"""Features of molecules whose weights are an energy model: encoded once, unfolded in blocks."""

from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Integral

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot, pad

from skwave.functional._molecules.atom_derivatives import (
    projected_jacobian,
    projection,
    summed_jacobian,
)
from skwave.functional._molecules.atoms import local_fields, local_invariants
from skwave.functional._molecules.energies import (
    Compression,
    EnergyModel,
    compress,
    element_sums,
    leading_products,
    principal_axes,
    product_slopes,
    product_sums,
    saturate,
    saturate_slopes,
    symmetric,
    whitening,
)
from skwave.molecules._energy_sources import own_elements

REACH = 2.0  # longest compressed environment, in root mean squares of the training
_MOLECULES = 128  # whose products are all in memory at once
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

    def select(self, rows):  # numpydoc ignore=PR01,RT01
        """Molecules of increasing indices."""
        sizes = self.offsets.diff()[rows]
        offsets = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
        shifts = (self.offsets[rows] - offsets[:-1]).repeat_interleave(sizes)
        atoms = torch.arange(int(offsets[-1])) + shifts
        return Encoded(self.counts[rows], self.sums[rows], self.z[atoms], self.own[atoms], offsets)


@dataclass(frozen=True)
class Features:
    """How invariants of atoms become features of molecules."""

    source: object
    """What gives the invariants."""
    compression: Compression
    """Principal axes of each element."""
    n_quadratic: int
    """Components of the quadratic part; 0 for none."""
    n_products: tuple[int, ...]
    """Most products of them, of each element."""
    power: float
    """How equal its components are made."""
    scales: Tensor | None = None
    """Factor of each group."""

    @classmethod
    def of(cls, source, compression, settings):  # numpydoc ignore=PR01,RT01
        """Features by settings."""
        n_products = settings["n_products"]
        if isinstance(n_products, Integral):
            n_products = (n_products,) * len(source.elements)
        return cls(source, compression, settings["n_quadratic"], n_products, settings["power"])

    @classmethod
    def learn(cls, source, molecules, settings, rng):  # numpydoc ignore=PR01,RT01
        """Find the principal axes, in some of the molecules."""
        n_elements = len(source.elements)
        enough = 2 * _PER_ELEMENT
        rows = np.sort(rng.permutation(len(molecules))[:enough])
        own, parts = own_elements(molecules[rows], source.elements), []
        counts = torch.zeros(n_elements, dtype=torch.int64)
        kept = torch.zeros(len(own), dtype=torch.bool)
        for first, phi in source.invariants(molecules[rows], torch.float32):
            mine = own[first : first + len(phi)]
            rank = one_hot(mine, n_elements).cumsum(0)
            rank = rank.gather(1, mine[:, None])[:, 0] + counts[mine]
            keep = rank <= _PER_ELEMENT
            kept[first : first + len(phi)] = keep
            counts += mine.bincount(minlength=n_elements)
            parts.append(phi[keep])
        phi, own = torch.cat(parts), own[kept]
        found = []
        for e in range(n_elements):
            of_element = phi[own == e].double()
            # axes along which few environments vary hold for these alone
            n = min(settings["n_components"], len(of_element) // settings["per_component"])
            mean, axes, deviations = principal_axes(of_element, n)
            rest = (0, settings["n_components"] - n)
            found.append((mean, pad(axes, rest), pad(deviations, rest)))
        compression = Compression(*map(torch.stack, zip(*found, strict=True)))
        return cls.of(source, compression, settings)

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
        products = [pairs.shape[1] for pairs in self._pairs]
        return [n_invariants, self.n_elements * k, *products]

    def scaled(self, scales):  # numpydoc ignore=PR01,RT01
        """Same features, each group times a factor."""
        return replace(self, scales=scales)

    def within(self, width, counts):
        """Same with the products that vary most, so that there are no more than some features.

        Parameters
        ----------
        width : int
            Most features.
        counts : Tensor, shape (E,)
            Mean numbers of atoms of the elements in a molecule.

        Returns
        -------
        features : Features
            Of each element at least one product.
        """
        left = max(width - sum(self.widths[:2]), 1)
        sizes = [
            of_element[pairs].prod(0) * scale * count.sqrt()
            for of_element, pairs, scale, count in zip(
                self._sizes, self._pairs, self.scales[2:], counts, strict=True
            )
        ]
        least = torch.cat(sizes).sort(descending=True).values[:left][-1]
        return replace(self, n_products=tuple(max(int((s >= least).sum()), 1) for s in sizes))

    def encode(self, molecules, report=None):  # numpydoc ignore=PR01,RT01
        """Compress molecules to what their features are made of."""
        source, n_elements = self.source, self.n_elements
        own = own_elements(molecules, source.elements)
        offsets = torch.tensor(molecules.offsets)
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

    @cached_property
    def _pairs(self):
        # products of each element
        if not self.n_quadratic:
            return []
        return list(map(leading_products, self._sizes, self.n_products))

    @property
    def _sizes(self):
        # deviations of the components of the quadratic part
        return self._whitened() * self.compression.deviations[:, : self.n_quadratic]

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
        return self._products(encoded, g - 2) * scale

    def _products(self, encoded, e):
        # in blocks: before the products are chosen there are k squared of them
        pairs, factors = self._pairs[e], self._whitened()[e]
        found = torch.empty(len(encoded), pairs.shape[1], dtype=torch.float64)
        for i in range(0, len(encoded), _MOLECULES):
            part = encoded.take(i, min(i + _MOLECULES, len(encoded)))
            atoms = (part.own == e).nonzero()[:, 0]
            molecule = torch.arange(len(part)).repeat_interleave(part.offsets.diff())[atoms]
            z = saturate(part.z[atoms, : self.n_quadratic].double() * factors, REACH)
            found[i : i + len(part)] = product_sums(z, molecule, len(part), pairs)
        return found

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
        masks = one_hot(own, n_elements).to(jacobian)
        parts.append(torch.einsum("rak,ae->rek", jacobian, masks).flatten(1))
        if self.n_quadratic:
            k, factors = self.n_quadratic, self._whitened()
            for e in range(n_elements):
                atoms = (own == e).nonzero()[:, 0]
                of, mine = jacobian[:, atoms, :k] * factors[e], z[atoms, :k] * factors[e]
                of = saturate_slopes(mine, of, REACH)
                parts.append(product_slopes(saturate(mine, REACH), of, self._pairs[e]))
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
        for e, of_element in enumerate(parts[2:]):
            quadratic[e] = symmetric(of_element, k, self._pairs[e])
        return EnergyModel(constant, linear, self.whitened_axes, quadratic, REACH)

    @property
    def whitened_axes(self):  # numpydoc ignore=RT01
        """What the components of the quadratic part are made by, shape (E, F, k)."""
        return self.compression.axes[:, :, : self.n_quadratic] * self._whitened()[:, None]
