"""Solid harmonic scattering of molecules as a scikit-learn transformer."""

from numbers import Integral, Real
from typing import ClassVar

import numpy as np
import torch
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skwave._core.arrays import dtype_name, resolve_device, resolve_dtype
from skwave._core.batches import batch_rows, run_batches
from skwave._core.compat import Estimator, Interval, StrOptions, fit_context
from skwave.functional._molecules.atoms import local_invariants
from skwave.functional._molecules.gaussians import align
from skwave.functional._molecules.solid_scattering import quadrature, solid_paths, solid_scattering
from skwave.molecules import SYMBOLS, as_molecules
from skwave.molecules._container import pad
from skwave.molecules._densities import DENSITIES, density_weights

# molecules at once: fields on grids fill the cache alone, pairs of atoms do not
_ROWS_OF_GRIDS = {"cpu": 1, "cuda": 32}
_ROWS_OF_PAIRS = {"cpu": 16, "cuda": 1024}


class SolidHarmonicScattering(TransformerMixin, Estimator):
    r"""Rotation invariant wavelet features of molecules.

    The electronic density of a molecule is modelled by Gaussians at its nuclei,
    :math:`\rho(u) = \sum_k c_k\, g_\sigma(u - r_k)`. Solid harmonic wavelets separate its
    scales, the norm over their orders :math:`m` makes it invariant to rotations,

    .. math:: U[j,\ell]\rho(u) = \Big(\sum_m |\rho\star\psi_{j,\ell,m}(u)|^2\Big)^{1/2},
       \qquad S[j,\ell,q] = \int U[j,\ell]\rho(u)^q\, du,

    and :math:`U[j',\ell]\,U[j,\ell]\rho` for :math:`j' > j` tells how scales interact. The
    features are invariant to translations, rotations, reflections and the order of the atoms.

    With ``pooling="atoms"`` there is no grid: the wavelet fields of each element are sampled
    at the nuclei, and their products across scales and elements are summed,

    .. math:: \Phi_{(e,j),(e',j'),\ell} = \sqrt{\tfrac{2 - \delta}{2\ell + 1}}
       \sum_k\sum_m W_{e,j,\ell,m}(r_k)\,W_{e',j',\ell,m}(r_k),

    over all atoms :math:`k`, or with ``pooling="elements"`` over the atoms of each element
    apart.

    Parameters
    ----------
    J : int, default=2
        Number of octaves: the widths of the wavelets are ``sigma * 2**j`` for ``j`` from 0 to
        ``J``.
    L : int, default=3
        Largest degree of the harmonics.
    sigma : float, default=0.25
        Width of the Gaussians and of the smallest wavelet, in Å, from 0.01 to 100.
    scales_per_octave : int, default=1
        Number of scales in each octave.
    densities : tuple of str, default=("full", "valence", "core")
        Any of "full", "core", "valence", "elements" and "dirac". Weights :math:`c_k`: charge,
        electrons of closed shells, the other electrons, or one density for each element with
        the weight 1; "dirac" has the charges as points, without a width.
    integral_powers : tuple of float, default=(0.5, 1, 2, 3)
        Exponents :math:`q`.
    max_order : {0, 1, 2}, default=2
        Largest number of wavelets of a path.
    cross_degrees : bool, default=False
        Whether the degrees of the two wavelets of order 2 may differ.
    pooling : {"integral", "atoms", "elements", "both"}, default="integral"
        Integrals over space; sums over all atoms, or over the atoms of each element, with the
        number of atoms of each element; or "both", integrals and sums over all atoms.
        ``densities``, ``integral_powers``, ``max_order`` and ``cross_degrees`` concern
        integrals alone.
    accuracy : float, default=1e-3
        Relative error of the integrals, about, from 1e-6 to 0.1. It sets the step and the reach
        of the grids, whose fields are in single precision from 1e-4 on unless ``dtype`` is given.
    device : str or torch.device, default=None
        Where to compute: ``"cpu"`` (None), ``"cuda"`` or ``"auto"``.
    dtype : {"float32", "float64"}, default=None
        Type to compute in and to give; None for float64, as positions are, but where ``accuracy``
        allows single precision.
    batch_size : int or "auto", default="auto"
        Molecules at once.
    n_jobs : int, default=None
        Batches at the same time on a CPU, in threads.
    verbose : int, default=0
        Print the progress if positive.

    Attributes
    ----------
    elements_ : ndarray of int
        Atomic numbers that occur in the fitted molecules.
    scales_ : tuple of float
        Widths of the wavelets in Å, increasing.
    paths_ : list of SolidPath
        Scales and degrees of the integrals of each density.

    See Also
    --------
    skwave.molecules.Molecules : What molecules may be given as.
    skwave.functional.solid_scattering : The integrals as a function of torch tensors.
    skwave.functional.local_invariants : The sums over atoms.

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
    >>> scattering = SolidHarmonicScattering(J=1, L=2, densities=("full",))
    >>> scattering.fit_transform([water, hydrogen]).shape
    (2, 40)
    >>> scattering.get_feature_names_out()[[1, 39]]
    array(['s0_full_q1', 's2_full_j0_j1_l2_q3'], dtype=object)
    """

    _parameter_constraints: ClassVar[dict] = {
        "J": [Interval(Integral, 0, 32, closed="both")],
        "L": [Interval(Integral, 0, 32, closed="both")],
        "sigma": [Interval(Real, 0.01, 100, closed="both")],
        "scales_per_octave": [Interval(Integral, 1, 64, closed="both")],
        "densities": [tuple, list],
        "integral_powers": [tuple, list],
        "max_order": [Interval(Integral, 0, 2, closed="both")],
        "cross_degrees": ["boolean"],
        "pooling": [StrOptions({"integral", "atoms", "elements", "both"})],
        "accuracy": [Interval(Real, 1e-6, 0.1, closed="both")],
        "device": [object],
        "dtype": [object],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        J=2,
        L=3,
        *,
        sigma=0.25,
        scales_per_octave=1,
        densities=("full", "valence", "core"),
        integral_powers=(0.5, 1, 2, 3),
        max_order=2,
        cross_degrees=False,
        pooling="integral",
        accuracy=1e-3,
        device=None,
        dtype=None,
        batch_size="auto",
        n_jobs=None,
        verbose=0,
    ):
        self.J = J
        self.L = L
        self.sigma = sigma
        self.scales_per_octave = scales_per_octave
        self.densities = densities
        self.integral_powers = integral_powers
        self.max_order = max_order
        self.cross_degrees = cross_degrees
        self.pooling = pooling
        self.accuracy = accuracy
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
        self.elements_ = np.unique(as_molecules(X).numbers)
        return self

    def transform(self, X):
        """Compute the features of molecules.

        Parameters
        ----------
        X : Molecules, or whatever `skwave.molecules.as_molecules` takes
            Molecules, coordinates in Å.

        Returns
        -------
        Y : ndarray, shape (n_molecules, n_features_out)
            Features.
        """
        check_is_fitted(self)
        self._check()
        molecules = as_molecules(X)
        self._check_elements(molecules)
        dtype, device = self._dtype(), resolve_device(self.device, molecules)
        out = None

        def compute(rows):
            numbers, positions = pad(molecules[rows])
            with torch.no_grad():
                y = self._features(numbers, torch.from_numpy(positions).to(device), dtype)
            return rows, y

        results = run_batches(
            compute,
            self._batches(molecules.n_atoms, dtype, device),
            n_samples=len(molecules),
            n_jobs=self.n_jobs if device.type == "cpu" else 1,
            verbose=self.verbose,
            name=type(self).__name__,
        )
        for rows, y in results:
            if out is None:
                out = np.empty((len(molecules), y.shape[1]), dtype=dtype_name(dtype))
            out[rows] = y.cpu().numpy()
        return out

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
        check_is_fitted(self)
        return np.array(self._names(), dtype=object)

    @property
    def paths_(self):  # numpydoc ignore=RT01,SS06
        """Scales and degrees of the integrals of each density, in their order."""
        check_is_fitted(self)
        return solid_paths(
            len(self.scales_), self.L, max_order=self.max_order, cross_degrees=self.cross_degrees
        )

    @property
    def scales_(self):  # numpydoc ignore=RT01,SS06
        """Widths of the wavelets in Å, increasing."""
        steps = range(self.J * self.scales_per_octave + 1)
        return tuple(float(self.sigma) * 2 ** (i / self.scales_per_octave) for i in steps)

    def _dtype(self):
        return torch.float64 if self.dtype is None else resolve_dtype(self.dtype, None)

    def _check(self):
        for name, allowed, kind in (
            ("densities", lambda v: v in DENSITIES, f"of {DENSITIES}"),
            (
                "integral_powers",
                lambda v: isinstance(v, Real) and 0 < v < np.inf,
                "positive numbers",
            ),
        ):
            values = getattr(self, name)
            if not all(map(allowed, values)) or not 0 < len(values) == len(set(values)):
                raise ValueError(f"{name}={values!r} must be a tuple of different values, {kind}.")
        self._dtype()
        resolve_device(self.device, None)

    def _check_elements(self, molecules):
        if self.pooling == "integral" and "elements" not in self.densities:
            return
        unknown = ~np.isin(molecules.numbers, self.elements_)
        if unknown.any():
            atom = int(np.flatnonzero(unknown)[0])
            i = int(np.searchsorted(molecules.offsets, atom, side="right")) - 1
            known = " ".join(SYMBOLS[z - 1] for z in self.elements_)
            raise ValueError(
                f"molecule {i} of X holds {SYMBOLS[molecules.numbers[atom] - 1]}, for which there "
                f"are no features: the fitted molecules hold {known}. Fit to molecules that hold "
                "all elements."
            )

    def _channels(self):
        # names of the densities that are integrated
        elements = self._elements()
        return [c for d in self.densities for c in (elements if d == "elements" else [d])]

    def _names(self):
        names, scales = [], [f"{i / self.scales_per_octave:g}" for i in range(len(self.scales_))]
        if self.pooling in ("integral", "both"):
            paths = self.paths_
            for channel in self._channels():
                for path in paths:
                    j = "".join(f"_j{scales[i]}" for i in path.j)
                    degrees = path.l if self.cross_degrees else path.l[:1]
                    l = "".join(f"_l{i}" for i in degrees)
                    stem = f"s{len(path.j)}_{channel}{j}{l}_q"
                    names += [f"{stem}{q:g}" for q in self.integral_powers]
        if self.pooling != "integral":
            symbols = self._elements()
            fields = [f"{e}_j{j}" for e in symbols for j in scales]
            pairs = [f"{a}_{b}" for i, a in enumerate(fields) for b in fields[i:]]
            names += [f"n_{e}" for e in symbols]
            groups = symbols if self.pooling == "elements" else [""]
            names += [f"a{e}_{p}_l{l}" for e in groups for l in range(self.L + 1) for p in pairs]
        return names

    def _weights(self, numbers, channels, like):
        weights = np.stack([density_weights(numbers, c) for c in channels], 1)
        return torch.from_numpy(weights).to(like)

    def _elements(self):
        return [SYMBOLS[z - 1] for z in self.elements_]

    def _features(self, numbers, positions, dtype):
        features = []
        if self.pooling in ("integral", "both"):
            positions = align(positions, torch.from_numpy(numbers > 0).to(positions.device))
            features.append(self._integrals(numbers, positions.to(dtype)).flatten(1))
        if self.pooling != "integral":
            weights = self._weights(numbers, self._elements(), positions)
            groups = weights if self.pooling == "elements" else None
            phi = local_invariants(positions, weights, self.scales_, self.L, groups, dtype)
            features += [weights.sum(-1), phi.flatten(1)]
        return torch.cat([f.to(dtype) for f in features], 1)

    def _integrals(self, numbers, positions):
        found, channels = {}, self._channels()
        sampling = quadrature(self.accuracy)
        if self.dtype is not None:
            sampling = sampling._replace(dtype=positions.dtype)
        for sigma in (float(self.sigma), 0.0):
            names = [c for c in channels if (c == "dirac") == (sigma == 0)]
            if names:
                s = solid_scattering(
                    positions,
                    self._weights(numbers, names, positions),
                    sigma=sigma,
                    scales=self.scales_,
                    L=self.L,
                    powers=tuple(float(q) for q in self.integral_powers),
                    max_order=self.max_order,
                    cross_degrees=self.cross_degrees,
                    quadrature=sampling,
                )
                found |= dict(zip(names, s.unbind(1), strict=True))
        return torch.stack([found[c] for c in channels], 1)

    def _batches(self, n_atoms, dtype, device):
        # molecules of about one size together
        order = np.argsort(n_atoms, kind="stable")
        largest, fields = int(n_atoms.max()), len(self.elements_) * len(self.scales_)
        limits = _ROWS_OF_GRIDS if self.pooling in ("integral", "both") else _ROWS_OF_PAIRS
        row_bytes = dtype.itemsize * largest**2 * (2 * fields + 8 * self.L + 100)
        rows = min(
            batch_rows(self.batch_size, row_bytes, len(n_atoms)),
            limits["cpu" if device.type == "cpu" else "cuda"]
            if self.batch_size == "auto"
            else len(n_atoms),
        )
        return np.split(order, range(rows, len(order), rows))
