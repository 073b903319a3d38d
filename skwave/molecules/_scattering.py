"""Solid harmonic scattering of molecules as a scikit-learn transformer."""

import math
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
import torch
from sklearn.base import TransformerMixin

from skwave._core.arrays import (
    dtype_name,
    records_gradient,
    resolve_device,
    resolve_dtype,
    to_numpy,
)
from skwave._core.batches import batch_rows, run_batches
from skwave._core.compat import Estimator, Interval, StrOptions, fit_context
from skwave._core.rows import CACHE_CONSTRAINT, cached_rows
from skwave.functional._molecules.atoms import LocalBasis
from skwave.functional._molecules.gaussians import align
from skwave.functional._molecules.solid_scattering import quadrature, solid_paths
from skwave.molecules import SYMBOLS, as_molecules
from skwave.molecules._container import pad
from skwave.molecules._densities import (
    check_integrals,
    integrals,
    names_of_integrals,
    refuse_periodic,
)
from skwave.molecules._environments import (
    batches_of_size,
    element_numbers,
    invariants,
    molecule_bytes,
    names_of_sums,
    pack_atoms,
    refuse_unknown,
    rows_of_atoms,
)

# at once: fields on grids of one molecule fill the cache, pairs of atoms take little memory
_ROWS_OF_GRIDS = {"cpu": 1, "cuda": 32}
_ATOMS = {"cpu": 2048, "cuda": 32768}


class SolidHarmonicScattering(TransformerMixin, Estimator):
    r"""Rotation invariant wavelet features of molecules and crystals.

    Around each atom :math:`a`, wavelet fields of the atoms :math:`b` of each element :math:`e`
    say what is where: Gaussians of several widths :math:`\sigma_j` times spherical harmonics,

    .. math:: W_{e,j,\ell,m}(r_a) = \sum_{b \in e} u(|r_{ab}|)\, f_{j,\ell}(|r_{ab}|)\,
       Y_{\ell m}(r_{ab}), \qquad u(r) = \frac{1}{1 + (r/r_0)^p},

    with a weight :math:`u` by which far atoms count less. Products of two fields of the same
    degree, summed over :math:`m`, do not change when the molecule is turned; they are summed over
    its atoms,

    .. math:: \Phi_{(e,j),(e',j'),\ell} = \sqrt{\tfrac{2 - \delta}{2\ell + 1}}
       \sum_a\sum_m W_{e,j,\ell,m}(r_a)\,W_{e',j',\ell,m}(r_a),

    with ``pooling="elements"`` over the atoms of each element apart. Features of molecules far
    from each other add up.

    With ``pooling="integral"`` the electronic density is modelled by Gaussians at the nuclei,
    :math:`\rho(u) = \sum_k c_k\, g_\sigma(u - r_k)`. Solid harmonic wavelets separate its scales
    [1]_ [2]_, the norm over their orders :math:`m` makes it invariant to rotations,

    .. math:: U[j,\ell]\rho(u) = \Big(\sum_m |\rho\star\psi_{j,\ell,m}(u)|^2\Big)^{1/2},
       \qquad S[j,\ell,q] = \int U[j,\ell]\rho(u)^q\, du,

    and :math:`U[j',\ell]\,U[j,\ell]\rho` for :math:`j' > j` tells how scales interact.

    The features are invariant to translations, rotations, reflections and the order of the atoms.

    Parameters
    ----------
    J : int, default=2
        Number of octaves: the widths of the wavelets are ``sigma * 2**j`` for ``j`` from 0 to
        ``J``.
    L : int, default=None
        Largest degree of the harmonics. None for 6 of sums over atoms, and 3 if there are
        integrals.
    Q : int, default=None
        Number of widths in each octave. None for 3 of sums over atoms, and 1 if there are
        integrals.
    sigma : float, default=0.25
        Smallest width, and the width of the Gaussians that are integrated, in Å, from 0.01 to
        100.
    pooling : {"atoms", "elements", "integral", "both"}, default="atoms"
        Sums over all atoms, or over the atoms of each element, with the number of atoms of each
        element; integrals over space; or "both", integrals and sums over all atoms.
    elements : sequence of str or int, default=None
        Symbols or atomic numbers of the elements that there may be. None for those of the
        molecules in `fit`: name them if a fold or a small sample may not hold all of them.
    handle_unknown : {"error", "ignore"}, default="error"
        Molecules with other elements are refused, or their atoms of other elements left out.
    cutoff : float, default=5.0
        Distance in Å from which on atoms do not see each other; the weight :math:`u` goes to 0
        smoothly over its last fifth. The cost grows with the number of atoms times that of
        neighbours.
    decay_radius : float, default=2.0
        Distance :math:`r_0` in Å at which a neighbour counts half.
    decay_power : float, default=8.0
        Exponent :math:`p`, at least 2: how steeply the weight falls around ``decay_radius``.
    per_atom : bool, default=False
        Give a row for each atom, in the order of ``Molecules.numbers``, in place of the sum:
        features of properties of atoms. ``Molecules.molecule_index`` has the molecules of the
        rows. They hold 1 for the element of the atom, and with ``pooling="elements"`` 0 for the
        sums over others, so that the rows of a molecule add up to its features. For "atoms" and
        "elements" only.
    densities : tuple of str, default=("full", "valence", "core")
        Densities that are integrated. Any of "full", "core", "valence", "elements" and "dirac".
        Weights :math:`c_k`: charge, electrons of closed shells, the other electrons, or one
        density for each element with the weight 1; "dirac" has the charges as points, without a
        width.
    integral_powers : tuple of float, default=(0.5, 1, 2, 3)
        Exponents :math:`q` of integrals.
    max_order : {0, 1, 2}, default=2
        Largest number of wavelets of a path of integrals.
    cross_degrees : bool, default=False
        Whether the degrees of the two wavelets of order 2 may differ, in integrals.
    accuracy : float, default=1e-3
        Relative error of the integrals, about, from 1e-6 to 0.1. It sets the step and the reach
        of the grids, whose fields are in single precision from 1e-4 on unless ``dtype`` is given.
    cache : FeatureCache, str, Path or None, default=None
        Keep the features of each molecule for the next time: a folder, or a
        :class:`~skwave.FeatureCache`, which bounds the size.
    device : str or torch.device, default=None
        Where to compute: None for where a tensor is, and else for the CPU; ``"cpu"``, ``"cuda"``
        or ``"auto"``.
    dtype : {"float32", "float64"}, default=None
        Type of the products and of the result; fields of atoms are always computed in float64.
        None for that of a tensor, and else for float64, as positions are; integrals then are in
        float32 where ``accuracy`` allows it.
    batch_size : int or "auto", default="auto"
        Molecules at once.
    n_jobs : int, default=None
        Batches at the same time on a CPU, in threads.
    verbose : int, default=0
        Print the progress if positive.

    Attributes
    ----------
    elements_ : ndarray of int
        Atomic numbers of the elements for which there are features.
    scales_ : tuple of float
        Widths of the wavelets in Å, increasing.
    paths_ : list of SolidPath
        Scales and degrees of the integrals of each density.
    basis_ : LocalBasis
        Functions in which the neighbours of atoms are expanded.

    See Also
    --------
    skwave.molecules.Molecules : What molecules may be given as.
    skwave.functional.local_invariants : The sums over atoms as a function of torch tensors.
    skwave.functional.solid_scattering : The integrals as a function of torch tensors.

    References
    ----------
    .. [1] Eickenberg, M., Exarchakis, G., Hirn, M., Mallat, S. and Thiry, L., Solid harmonic
       wavelet scattering for predictions of molecule properties, J. Chem. Phys. 148, 2018.
    .. [2] Hirn, M., Mallat, S. and Poilvert, N., Wavelet scattering regression of quantum
       chemical energies, Multiscale Model. Simul. 15, 2017.

    Examples
    --------
    >>> from skwave import SolidHarmonicScattering
    >>> water = [8, 1, 1], [[0, 0, 0.119], [0, 0.763, -0.477], [0, -0.763, -0.477]]
    >>> hydrogen = [1, 1], [[0, 0, 0], [0, 0, 0.74]]
    >>> scattering = SolidHarmonicScattering(J=1, L=2, Q=1).fit([water, hydrogen])
    >>> scattering.transform([water, hydrogen]).shape
    (2, 32)
    >>> scattering.get_feature_names_out()[[0, 31]]
    array(['n_H', 'a_O_j1_O_j1_l2'], dtype=object)
    """

    _of_fit = ("elements",)
    _parameter_constraints: ClassVar[dict] = {
        "J": [Interval(Integral, 0, 32, closed="both")],
        "L": [Interval(Integral, 0, 32, closed="both"), None],
        "Q": [Interval(Integral, 1, 64, closed="both"), None],
        "sigma": [Interval(Real, 0.01, 100, closed="both")],
        "pooling": [StrOptions({"integral", "atoms", "elements", "both"})],
        "elements": ["array-like", str, None],
        "handle_unknown": [StrOptions({"error", "ignore"})],
        "cutoff": [Interval(Real, 0.1, 1000, closed="both")],
        "decay_radius": [Interval(Real, 0.01, None, closed="left")],
        "decay_power": [Interval(Real, 2, 100, closed="both")],
        "per_atom": ["boolean"],
        "densities": [tuple, list],
        "integral_powers": [tuple, list],
        "max_order": [Interval(Integral, 0, 2, closed="both")],
        "cross_degrees": ["boolean"],
        "accuracy": [Interval(Real, 1e-6, 0.1, closed="both")],
        "cache": CACHE_CONSTRAINT,
        "device": [object],
        "dtype": [object],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        J=2,
        L=None,
        Q=None,
        *,
        sigma=0.25,
        pooling="atoms",
        elements=None,
        handle_unknown="error",
        cutoff=5.0,
        decay_radius=2.0,
        decay_power=8.0,
        per_atom=False,
        densities=("full", "valence", "core"),
        integral_powers=(0.5, 1, 2, 3),
        max_order=2,
        cross_degrees=False,
        accuracy=1e-3,
        cache=None,
        device=None,
        dtype=None,
        batch_size="auto",
        n_jobs=None,
        verbose=0,
    ):
        self.J = J
        self.L = L
        self.Q = Q
        self.sigma = sigma
        self.pooling = pooling
        self.elements = elements
        self.handle_unknown = handle_unknown
        self.cutoff = cutoff
        self.decay_radius = decay_radius
        self.decay_power = decay_power
        self.per_atom = per_atom
        self.densities = densities
        self.integral_powers = integral_powers
        self.max_order = max_order
        self.cross_degrees = cross_degrees
        self.accuracy = accuracy
        self.cache = cache
        self.device = device
        self.dtype = dtype
        self.batch_size = batch_size
        self.n_jobs = n_jobs
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        return tags

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn which elements there are.

        Parameters
        ----------
        X : Molecules, or whatever `skwave.molecules.as_molecules` takes
            Molecules, coordinates in Å.
        y : None
            Ignored.

        Returns
        -------
        self : estimator
            Fitted transformer.
        """
        self._check()
        molecules = as_molecules(X)
        given = self.elements is not None
        self.elements_ = element_numbers(self.elements) if given else np.unique(molecules.numbers)
        self._check_molecules(molecules)
        return self

    def transform(self, X):
        """Compute the features of molecules.

        Parameters
        ----------
        X : Molecules, or whatever `skwave.molecules.as_molecules` takes
            Molecules, coordinates in Å.

        Returns
        -------
        Y : ndarray or Tensor, shape (n_molecules or n_atoms_total, n_features_out)
            Features, a row for each atom if ``per_atom``. Of a padded tensor they are a tensor on
            its device; if it requires a gradient, they keep it.
        """
        self._check_fit()
        self._check()
        molecules = as_molecules(X)
        self._check_molecules(molecules)
        device, dtype = resolve_device(self.device, X), self._dtype(X)
        tensor, recorded = isinstance(X, torch.Tensor), records_gradient(X)
        # which keep its graph
        positions = X[..., 1:][X[..., 0] != 0] if tensor else torch.tensor(molecules.positions)
        compute = self._compute if self.cache is None or recorded else self._cached
        y = compute(molecules, positions, device, dtype, recorded)
        return y.to(X.device) if tensor else y.numpy()

    def _compute(self, molecules, positions, device, dtype, recorded):
        # features in the order of the molecules, or of the atoms
        joined = recorded or positions.device.type != "cpu"

        def compute(rows):
            atoms = rows_of_atoms(molecules, rows)
            of_some = torch.from_numpy(atoms).to(positions.device)
            with torch.set_grad_enabled(recorded):  # a thread's own
                y = self._features(molecules[rows], positions[of_some], device, dtype)
            return (atoms if self.per_atom else rows), y if joined else y.cpu()

        n_rows = len(molecules.numbers if self.per_atom else molecules)
        results = run_batches(
            compute,
            self._batches(molecules.n_atoms, dtype, device),
            n_samples=n_rows,
            n_jobs=self.n_jobs if device.type == "cpu" else 1,
            verbose=self.verbose,
            name=type(self).__name__,
        )
        if joined:
            rows, blocks = zip(*results, strict=True)
            order = torch.from_numpy(np.argsort(np.concatenate(rows)))
            return torch.cat(blocks)[order.to(device)]
        out = torch.empty(n_rows, self._n_out(), dtype=dtype)
        for rows, y in results:
            out[torch.from_numpy(rows)] = y
        return out

    def _cached(self, molecules, positions, device, dtype, recorded):
        def compute(quiet, indices):
            some = molecules[indices], positions[rows_of_atoms(molecules, indices)]
            y = to_numpy(quiet._compute(*some, device, dtype, recorded))
            return np.split(y, np.cumsum(molecules.n_atoms[indices])[:-1]) if self.per_atom else y

        n_rows = len(molecules.numbers if self.per_atom else molecules)
        out = np.empty((n_rows, self._n_out()), dtype_name(dtype))
        for indices, row in cached_rows(
            self,
            molecule_bytes(molecules),
            compute,
            elements=self.elements_,
            dtypes=(self.dtype is None, dtype_name(positions.dtype), dtype_name(dtype)),
            device=device.type,
        ):
            for i in indices:
                out[rows_of_atoms(molecules, [i]) if self.per_atom else i] = row
        return torch.from_numpy(out)

    def get_feature_names_out(self, input_features=None):
        """Names of the features.

        ``s1_full_j1_l2_q0.5`` is the integral of order 1 of the full density, at scale 1 and
        degree 2, with the exponent 0.5; ``a_C_j0_H_j1_l2`` the product of the fields of carbon
        at scale 0 and hydrogen at scale 1 of degree 2, summed over the atoms, ``aO_...`` over
        those of oxygen; ``n_C`` the number of carbon atoms.

        Parameters
        ----------
        input_features : None
            Not used: molecules have no features.

        Returns
        -------
        names : ndarray of str, shape (n_features_out,)
            Names.
        """
        self._check_fit()
        return np.array(self._names(), dtype=object)

    @property
    def paths_(self):  # numpydoc ignore=RT01,SS06
        """Scales and degrees of the integrals of each density, in their order."""
        self._check_fit()
        return solid_paths(
            len(self.scales_), self.L_, max_order=self.max_order, cross_degrees=self.cross_degrees
        )

    @property
    def L_(self):  # numpydoc ignore=RT01,SS06
        """Largest degree of the harmonics."""
        if self.L is not None:
            return self.L
        return 3 if self._integrates else 6

    @property
    def Q_(self):  # numpydoc ignore=RT01,SS06
        """Number of widths in each octave."""
        if self.Q is not None:
            return self.Q
        return 1 if self._integrates else 3

    @property
    def scales_(self):  # numpydoc ignore=RT01,SS06
        """Widths of the wavelets in Å, increasing."""
        steps = range(self.J * self.Q_ + 1)
        return tuple(float(self.sigma) * 2 ** (i / self.Q_) for i in steps)

    @property
    def basis_(self):  # numpydoc ignore=RT01,SS06
        """Functions in which the neighbours of atoms are expanded."""
        self._check_fit()
        return LocalBasis(
            self.scales_,
            self.L_,
            len(self.elements_),
            cutoff=float(self.cutoff),
            decay_radius=float(self.decay_radius),
            decay_power=float(self.decay_power),
        )

    def _dtype(self, X):
        if self.dtype is not None:
            return resolve_dtype(self.dtype, None)
        floats = isinstance(X, torch.Tensor) and X.dtype in (torch.float32, torch.float64)
        return X.dtype if floats else torch.float64

    def _check(self):
        check_integrals(self.densities, self.integral_powers)
        if self.per_atom and self._integrates:
            raise ValueError(
                f"per_atom=True with pooling={self.pooling!r}: integrals over space belong to no "
                "atom. Set pooling='atoms' or 'elements'."
            )
        self._dtype(None)
        resolve_device(self.device, None)

    def _check_molecules(self, molecules):
        if self._integrates:
            refuse_periodic(molecules)
        if self.handle_unknown == "ignore":
            return
        if self.pooling != "integral" or "elements" in self.densities:
            remedy = "; handle_unknown='ignore' leaves atoms of others out"
            refuse_unknown(molecules, self.elements_, remedy)

    def _channels(self):
        # names of the densities that are integrated
        return [c for d in self.densities for c in (self._elements() if d == "elements" else [d])]

    def _names(self):
        names, scales = [], [f"{i / self.Q_:g}" for i in range(len(self.scales_))]
        if self._integrates:
            paths = self.paths_, self.integral_powers, self.cross_degrees
            names += names_of_integrals(self._channels(), scales, *paths)
        if self.pooling != "integral":
            groups = self._elements() if self.pooling == "elements" else [""]
            names += names_of_sums(self._elements(), groups, scales, self.L_)
        return names

    def _n_out(self):
        return len(self._names())

    @property
    def _integrates(self):
        return self.pooling in ("integral", "both")

    def _elements(self):
        return [SYMBOLS[z - 1] for z in self.elements_]

    def _features(self, molecules, positions, device, dtype):
        features = []
        if self._integrates:
            numbers, _ = pad(molecules)
            occupied = torch.from_numpy(numbers > 0)
            places = occupied.nonzero(as_tuple=True)
            padded = positions.new_zeros(*numbers.shape, 3).index_put(places, positions)
            padded = align(padded, occupied).to(device, dtype)
            features.append(self._integrals(numbers, padded).flatten(1))
        if self.pooling != "integral":
            features += self._sums(pack_atoms(molecules, self.elements_, positions, device), dtype)
        return torch.cat([f.to(dtype) for f in features], 1)

    def _sums(self, atoms, dtype):
        # atoms of each element and invariants, of atoms or molecules
        n_elements, own = len(self.elements_), atoms.elements
        shape, group = (len(atoms.offsets) - 1,), atoms.molecule
        if self.per_atom:
            shape, group = (atoms.n_atoms,), atoms.kept
        counts = atoms.positions.new_zeros(*shape, n_elements)
        counts.index_put_((group, own), counts.new_ones(()), accumulate=True)
        if self.pooling == "elements":
            shape, group = (*shape, n_elements), group * n_elements + own
        phi = invariants(atoms, self.basis_, group, math.prod(shape), dtype)
        return counts, phi.view(shape[0], -1)

    def _integrals(self, numbers, positions):
        sampling = quadrature(self.accuracy)
        if self.dtype is not None:
            sampling = sampling._replace(dtype=positions.dtype)
        return integrals(
            numbers,
            positions,
            self._channels(),
            float(self.sigma),
            scales=self.scales_,
            L=self.L_,
            powers=tuple(float(q) for q in self.integral_powers),
            max_order=self.max_order,
            cross_degrees=self.cross_degrees,
            quadrature=sampling,
        )

    def _batches(self, n_atoms, dtype, device):
        kind = "cpu" if device.type == "cpu" else "cuda"
        if self.batch_size == "auto" and not self._integrates:
            size = batch_rows("auto", 2 * dtype.itemsize * self._n_out(), _ATOMS[kind])
            return batches_of_size(n_atoms, size, n_atoms)
        rows = _ROWS_OF_GRIDS[kind] if self.batch_size == "auto" else self.batch_size
        return batches_of_size(n_atoms, rows)
