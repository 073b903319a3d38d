"""Energies and forces of molecules by regression, as a scikit-learn estimator."""

from numbers import Integral, Real
from typing import ClassVar

import numpy as np
import torch
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_random_state

from skwave._core.compat import (
    Estimator,
    HasMethods,
    Interval,
    StrOptions,
    check_sample_weight,
    fit_context,
)
from skwave._core.progress import progress_lines
from skwave._core.samples import refuse_swapped
from skwave.functional._molecules.atoms import local_fields, local_invariants
from skwave.functional._molecules.energies import Compression, EnergyModel, atomic_energies
from skwave.molecules._convert import as_molecules
from skwave.molecules._energy_checks import (
    check_crystals,
    check_energies,
    check_forces,
    warn_of_duplicates,
    warn_of_units,
)
from skwave.molecules._energy_features import REACH, Features
from skwave.molecules._energy_fit import ForceRows, Problem, choose_scales, solve_problem
from skwave.molecules._energy_sources import choose_solver, make_source, own_elements, settle
from skwave.molecules._environments import element_numbers, refuse_unknown

_MOLECULES = 64  # predicted at once
_WIDTH = 24_000  # most features without a kernel, whose matrix is 4.6 GB then
_WITHIN_ONE = 0.683  # share of errors within one predicted standard deviation
_FORCES = 0.04  # weight of a squared force component


class EnergyRegressor(RegressorMixin, Estimator):
    r"""Energies of molecules, as sums over atoms, and forces.

    The energy is that of the composition, found by least squares, and a polynomial of degree two
    of the environments of the atoms,

    .. math:: E(A) = \sum_{a \in A} c_{e_a} + g_{e_a}^T x_a + z_a^T M_{e_a} z_a, \qquad
       x_a = \Phi(a) - \bar\Phi_{e_a}, \quad z_a = A_{e_a}^T x_a,

    where :math:`\Phi(a)` are invariants of wavelet fields of the neighbours of an atom, and
    :math:`z_a` the leading principal components of :math:`x_a` for its element :math:`e_a`, made
    more equal. It is ridge regression with the kernel

    .. math:: K(A, B) = w_0 \langle x_A, x_B \rangle + w_1 \sum_{a, b} V_a\cdot V_b
       + \sum_e w_e \sum_{a, b \in e} (z_a \cdot z_b)^2,

    of whose square the products of components that vary least are left out. The weights and the
    regulariser are chosen by errors left out in closed form. Energies of molecules far from each
    other add up, they do not change when a molecule is moved, turned, reflected or its atoms are
    renumbered, and forces are their exact derivatives.

    Parameters
    ----------
    degree : {1, 2}, default=2
        Degree of the polynomial: 2, or 1 for the linear part alone.
    alpha : float, default=None
        Regulariser, relative to the mean diagonal of the linear part of the kernel. None: chosen
        by errors left out.
    n_components : int, default=None
        Number of principal components of the quadratic part; None for 256, or 48 with forces.
    n_products : int, default=None
        Most products of components for each element: those that vary most are features. None for
        16 000; without a kernel for those of all elements that vary most, so that there are 24 000
        features.
    features : object, default=None
        None for the invariants of this package. Else what has ``transform(molecules)`` that gives
        a row for each atom, an array of shape (n_atoms_total, n_features); there are no forces
        then.
    L : int, default=None
        Largest degree of the harmonics of the invariants; None for 5, or 6 with forces.
    sigma : float, default=None
        Width of the smallest wavelet in Å; None for 0.27, or 0.25 with forces.
    J : int, default=None
        Number of octaves of widths; None for 2, or 3 with forces.
    Q : int, default=None
        Widths in each octave; None for 3, or 2 with forces.
    decay_radius : float, default=None
        Distance in Å at which a neighbour counts half; None for 1.8, or 3 with forces: what is
        far matters more to one molecule that moves than to many that are relaxed.
    cutoff : float, default=5.0
        Distance in Å from which on atoms do not see each other.
    elements : list of int or str, default=None
        Atomic numbers or symbols of all elements that there may be. None for those of the fitted
        molecules; name them for cross-validation in which a fold may lack one.
    extensive : bool, default=True
        Whether the target is a sum over atoms, as energies are; False for a mean over them, as
        that of orbital energies.
    solver : {"auto", "dual", "primal"}, default="auto"
        Weights of molecules by a kernel, or of features; the solutions are the same. "auto" takes
        what is smaller, and "primal" with forces.
    forces_weight : float, default=None
        Weight of the squared error of a force component, where that of an energy is 1. None for
        0.04, see the notes.
    random_state : int, RandomState instance or None, default=0
        Seed of the molecules by which is chosen, and of the draws for predicted errors.
    verbose : int, default=0
        Print the progress if positive.

    Attributes
    ----------
    elements_ : ndarray of int
        Atomic numbers of ``elements``, or those that occur in the fitted molecules.
    best_params_ : dict
        What was chosen: ``"alpha"``, ``"solver"``, and logarithms of the weights of the parts of
        the kernel.
    loo_error_ : float or ndarray of shape (n_targets,)
        Mean absolute error on training molecules that are left out: what to expect of others
        that are like them.
    loo_force_error_ : float
        The same of force components, if there were forces.
    atomic_energies_ : ndarray, shape (n_elements,) or (n_elements, n_targets)
        Energies of atoms in the mean environment of their element.

    See Also
    --------
    SolidHarmonicScattering : Features of whole molecules.
    MultilinearRegressor : The regression of the papers, by gradient descent.

    Notes
    -----
    Memory: ``8 * n**2`` bytes for ``n`` molecules ("dual", up to 25 000 by default), or
    ``8 * D**2`` for ``D`` features ("primal", 24 000 by default), and 40 kB a molecule besides.

    The error of a force component of 1 eV/Å weighs by default as much as one of 0.2 eV of an
    energy, and in the same way for other units of energy.

    References
    ----------
    .. [1] Eickenberg, M., Exarchakis, G., Hirn, M., Mallat, S. and Thiry, L., Solid harmonic
       wavelet scattering for predictions of molecule properties, J. Chem. Phys. 148, 2018.
    .. [2] Bartók, A. P., Kondor, R. and Csányi, G., On representing chemical environments, Phys.
       Rev. B 87, 2013.
    .. [3] Christensen, A. S., Bratholm, L. A., Faber, F. A. and von Lilienfeld, O. A., FCHL
       revisited: faster and more accurate quantum machine learning, J. Chem. Phys. 152, 2020.

    Examples
    --------
    >>> from skwave import EnergyRegressor
    >>> from skwave.datasets import load_qm7_sample
    >>> X, y = load_qm7_sample(return_X_y=True)
    >>> model = EnergyRegressor(degree=1).fit(X[::3], y[::3])
    >>> bool(model.score(X[1::3], y[1::3]) > 0.999)
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        "degree": [Interval(Integral, 1, 2, closed="both")],
        "alpha": [Interval(Real, 0, None, closed="neither"), None],
        "n_components": [Interval(Integral, 1, 1000, closed="both"), None],
        "n_products": [Interval(Integral, 1, None, closed="left"), None],
        "features": [HasMethods("transform"), None],
        "L": [Interval(Integral, 0, 16, closed="both"), None],
        "sigma": [Interval(Real, 0.01, 100, closed="both"), None],
        "J": [Interval(Integral, 0, 16, closed="both"), None],
        "Q": [Interval(Integral, 1, 16, closed="both"), None],
        "decay_radius": [Interval(Real, 0.1, 100, closed="both"), None],
        "cutoff": [Interval(Real, 0.5, 100, closed="both")],
        "elements": ["array-like", None],
        "extensive": ["boolean"],
        "solver": [StrOptions({"auto", "dual", "primal"})],
        "forces_weight": [Interval(Real, 0, None, closed="neither"), None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    _of_fit = (
        *("degree", "alpha", "n_components", "n_products", "features", "L", "sigma", "J", "Q"),
        *("decay_radius", "cutoff", "elements", "extensive", "solver", "forces_weight"),
    )

    def __init__(
        self,
        degree=2,
        *,
        alpha=None,
        n_components=None,
        n_products=None,
        features=None,
        L=None,
        sigma=None,
        J=None,
        Q=None,
        decay_radius=None,
        cutoff=5.0,
        elements=None,
        extensive=True,
        solver="auto",
        forces_weight=None,
        random_state=0,
        verbose=0,
    ):
        self.degree = degree
        self.alpha = alpha
        self.n_components = n_components
        self.n_products = n_products
        self.features = features
        self.L = L
        self.sigma = sigma
        self.J = J
        self.Q = Q
        self.decay_radius = decay_radius
        self.cutoff = cutoff
        self.elements = elements
        self.extensive = extensive
        self.solver = solver
        self.forces_weight = forces_weight
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.target_tags.multi_output = True
        return tags

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, *, forces=None, sample_weight=None):
        """Learn energies, forces, or both.

        Parameters
        ----------
        X : Molecules, or whatever `skwave.molecules.as_molecules` takes
            Molecules, coordinates in Å.
        y : array-like, shape (n_molecules,) or (n_molecules, n_targets)
            Energies or other targets, in any unit. None to learn from forces alone: energies are
            then known but for a constant of each element, which is taken as 0, and their errors
            are not predicted.
        forces : list of array-like, shape (n_atoms, 3), default=None
            Forces on the atoms of each molecule, in the unit of ``y`` per Å: the negative
            derivatives of ``y``.
        sample_weight : array-like, shape (n_molecules,), default=None
            Weights of the squared errors of the energies; those of forces are not weighed.

        Returns
        -------
        self : estimator
            Fitted regressor.

        Raises
        ------
        ValueError
            If there are not as many targets as molecules, or a target or force is not finite;
            the message says which.

        Warns
        -----
        UserWarning
            If molecules occur twice, or energies seem to be in different units.
        """
        refuse_swapped(X, y)
        molecules = as_molecules(X)
        alone = y is None and forces is not None
        y, flat = check_energies(np.zeros(len(molecules)) if alone else y, molecules)
        if forces is not None:
            forces = check_forces(forces, molecules, y, self.features, self.extensive)
        if alone and sample_weight is not None:
            raise ValueError("sample_weight weighs energies: leave it out with y=None.")
        weight = check_sample_weight(sample_weight, np.empty((len(y), 1)), ensure_non_negative=True)
        roots = np.zeros(len(y)) if alone else np.sqrt(weight)
        warn_of_duplicates(molecules)
        if self.extensive and flat and not alone:
            warn_of_units(y, molecules)
        rng = check_random_state(self.random_state)
        generator = torch.Generator().manual_seed(int(rng.randint(2**31 - 1)))
        report = progress_lines(type(self).__name__) if self.verbose else None
        named = self.elements is not None
        elements = element_numbers(self.elements) if named else np.unique(molecules.numbers)
        refuse_unknown(molecules, elements)
        moving = forces is not None
        settings = settle(self, molecules, moving)
        source = make_source(elements, self.features, settings)
        features = Features.learn(source, molecules, settings, rng)
        solver = choose_solver(self.solver, len(molecules), sum(features.widths), moving)
        encoded = features.encode(molecules, report)
        scale = roots if self.extensive else roots / molecules.n_atoms
        y = y if self.extensive else y * molecules.n_atoms[:, None]
        known = np.concatenate(forces).reshape(-1, 1) if alone else y / molecules.n_atoms[:, None]
        unit = np.std(known, axis=0)
        unit = np.where(unit > 0, unit, 1.0)
        rows = None
        if moving:
            forces = [f / unit[0] for f in forces]
            by_weight = _FORCES if self.forces_weight is None else self.forces_weight
            rows = ForceRows(molecules, forces, float(by_weight) ** 0.5)
        problem = Problem(
            features, encoded, torch.from_numpy(y / unit), torch.from_numpy(scale), generator, rows
        )
        scales, chosen = choose_scales(problem, search=not moving, report=report)
        problem.features = features.scaled(scales)
        if self.n_products is None and solver == "primal" and not moving:
            problem.features = problem.features.within(_WIDTH, encoded.counts.mean(0))
            settings["n_products"] = problem.features.n_products
        noise = chosen.pop("noise") if self.alpha is None else float(np.log(self.alpha))
        found, solution = solve_problem(problem, noise, solver, self.alpha is None, report)
        self.elements_, self._settings, self._unit, self._flat = elements, settings, unit, flat
        self._store(problem.features, found, solution, roots[problem.left_out.numpy()])
        self.best_params_ = {
            "alpha": found.noise,
            "solver": solver,
            "log_weights": {k: v for k, v in chosen.items() if k != "noise"},
        }
        return self

    def predict(self, X, return_std=False):
        """Predict targets.

        Parameters
        ----------
        X : Molecules, or whatever `skwave.molecules.as_molecules` takes
            Molecules of the elements that were fitted, coordinates in Å.
        return_std : bool, default=False
            Whether to predict the standard deviations of the errors, too.

        Returns
        -------
        y : ndarray, shape (n_molecules,) or (n_molecules, n_targets)
            Predictions.
        std : ndarray, shape as ``y``
            Predicted standard deviations of their errors, if ``return_std``.

        Raises
        ------
        ValueError
            If there are elements that were not fitted, or errors are asked for after a fit to
            forces alone.
        """
        molecules = self._known(X)
        if return_std and self._spread is None:
            raise ValueError(
                "return_std=True after a fit to forces alone: how far energies are off is learnt "
                "from energies. Fit with y=energies too, or predict without return_std."
            )
        model, mean = self._model(), torch.from_numpy(self._axes["mean"])
        energies = torch.zeros(len(molecules), model.constant.shape[1], dtype=torch.float64)
        molecule = torch.arange(len(molecules)).repeat_interleave(torch.tensor(molecules.n_atoms))
        source = self._source()
        own = own_elements(molecules, self.elements_)
        with torch.no_grad():
            for first, phi in source.invariants(molecules):
                atoms = slice(first, first + len(phi))
                of_atoms = atomic_energies(phi, own[atoms], mean, model)
                energies.index_add_(0, molecule[atoms], of_atoms)
        y = self._targets(energies.numpy(), molecules)
        return (y, self._deviations(molecules)) if return_std else y

    def predict_forces(self, X):
        """Predict forces on atoms, the negative derivatives of the energies.

        Parameters
        ----------
        X : Molecules, or whatever `skwave.molecules.as_molecules` takes
            Molecules of the elements that were fitted, coordinates in Å.

        Returns
        -------
        forces : list of ndarray, shape (n_atoms, 3)
            For each molecule, in the unit of the energies per Å.

        Raises
        ------
        ValueError
            If the regressor has several targets, means over atoms, or features from outside.
        """
        return self.predict_energy_and_forces(X)[1]

    def predict_energy_and_forces(self, X):
        """Predict energies and forces at once, as dynamics need them.

        Parameters
        ----------
        X : Molecules, or whatever `skwave.molecules.as_molecules` takes
            Molecules of the elements that were fitted, coordinates in Å.

        Returns
        -------
        energies : ndarray, shape (n_molecules,)
            Energies.
        forces : list of ndarray, shape (n_atoms, 3)
            For each molecule, in the unit of the energies per Å.
        """
        molecules = self._known(X)
        self._check_differentiable()
        energies, forces = [], []
        for i in range(0, len(molecules), _MOLECULES):
            part = molecules[i : i + _MOLECULES]
            of_part, slopes, _ = self._derivatives(part)
            energies.append(of_part)
            forces += np.split(-slopes, part.offsets[1:-1])
        return np.concatenate(energies), forces

    def predict_stress(self, X):
        r"""Predict stresses of crystals, the derivatives of the energy by strain.

        .. math:: \sigma_{ij} = \frac1V \frac{\partial E}{\partial \epsilon_{ij}}

        Parameters
        ----------
        X : Molecules, or whatever `skwave.molecules.as_molecules` takes
            Structures that are periodic along all three vectors of their cells.

        Returns
        -------
        stress : ndarray, shape (n_molecules, 3, 3)
            Symmetric, in the unit of the energies per cubic Å; positive under tension, as ASE's.

        Raises
        ------
        ValueError
            If a structure is not periodic along all vectors, and as `predict_forces` does.
        """
        molecules = self._known(X)
        self._check_differentiable()
        check_crystals(molecules)
        found = []
        for i in range(0, len(molecules), _MOLECULES):
            part = molecules[i : i + _MOLECULES]
            by_strain = (
                self._derivatives(part)[2] / np.abs(np.linalg.det(part.cells))[:, None, None]
            )
            found.append((by_strain + by_strain.transpose(0, 2, 1)) / 2)
        return np.concatenate(found)

    def calculator(self):
        """Calculator for ASE, to relax molecules and to run their dynamics.

        Returns
        -------
        calculator : ase.calculators.calculator.Calculator
            Gives energies, forces, and of crystals stresses. The fitted energies must be in eV,
            as ASE's are.

        Raises
        ------
        ImportError
            If ASE is not installed.
        """
        self._check_fit()
        self._check_differentiable()
        from skwave.molecules._calculator import make_calculator

        return make_calculator(self)

    def _derivatives(self, molecules):
        # energies, their derivatives by all coordinates, and by strains of space, (n, 3, 3)
        source, n = self._source(), len(molecules)
        environments, pairs = source.environments(molecules)
        vectors = environments.vectors.detach().requires_grad_()
        with torch.enable_grad():
            fields = local_fields(environments._replace(vectors=vectors), source.basis)
            phi, mean = local_invariants(fields).flatten(1), torch.from_numpy(self._axes["mean"])
            energies = atomic_energies(phi, environments.own, mean, self._model())[:, 0]
            energies = energies * self._unit[0]
            (by_pair,) = torch.autograd.grad(energies.sum(), vectors)
        slopes = torch.zeros(len(energies), 3, dtype=torch.float64)
        slopes.index_add_(0, pairs.neighbour, by_pair).index_add_(0, pairs.centre, -by_pair)
        molecule = torch.from_numpy(molecules.molecule_index)
        by_strain = torch.zeros(n, 3, 3, dtype=torch.float64)
        outer = vectors.detach()[:, :, None] * by_pair[:, None]
        by_strain.index_add_(0, molecule[pairs.centre], outer)
        sums = torch.zeros(n, dtype=torch.float64).index_add_(0, molecule, energies.detach())
        return sums.numpy(), slopes.numpy(), by_strain.numpy()

    def _deviations(self, molecules):
        features = self._features()
        draws, constants = (torch.from_numpy(self._spread[k]) for k in ("draws", "constants"))
        found = []
        for i in range(0, len(molecules), _MOLECULES):
            encoded = features.encode(molecules[i : i + _MOLECULES])
            drawn = features.rows(encoded) @ draws.double() + encoded.counts @ constants
            if not self.extensive:
                drawn = drawn / encoded.counts.sum(1, keepdim=True)
            found.append(drawn.square().mean(1))
        variance = torch.cat(found).numpy()[:, None] + self._spread["noise"]
        std = np.sqrt(variance) * self._spread["factor"] * self._unit
        return std[:, 0] if self._flat else std

    def _targets(self, energies, molecules):
        y = energies * self._unit
        if not self.extensive:
            y = y / molecules.n_atoms[:, None]
        return y[:, 0] if self._flat else y

    def _known(self, X):
        self._check_fit()
        molecules = as_molecules(X)
        refuse_unknown(molecules, self.elements_)
        return molecules

    def _check_differentiable(self):
        if self.features is not None or not self.extensive or not self._flat:
            raise ValueError(
                "forces are derivatives of one energy, which is a sum over atoms: this regressor "
                f"has features={self.features!r}, extensive={self.extensive} and "
                f"{len(self._unit)} targets."
            )

    def _source(self):
        return make_source(self.elements_, self.features, self._settings)

    def _store(self, features, found, solution, roots):
        # arrays alone, for persistence
        mean, axes, deviations = features.compression
        model = features.collapse(solution.weights, solution.constant)
        self._axes = {
            "mean": mean.numpy(),
            "axes": axes.numpy(),
            "deviations": deviations.numpy(),
            "scales": features.scales.numpy(),
        }
        self._weights = {k: getattr(model, k).numpy() for k in ("constant", "linear", "quadratic")}
        self._spread, error = None, np.full(len(self._unit), np.nan)
        known = roots > 0  # a molecule of no weight has no error left out
        if known.any():
            errors, spread = found.errors.numpy()[known], found.spread.numpy()[known, None]
            error = np.abs(errors / roots[known, None]).mean(0) * self._unit
            self._spread = {
                "draws": solution.draws.float().numpy(),
                "constants": solution.constant_draws.numpy(),
                "noise": found.noise,
                "factor": np.quantile(np.abs(errors) / spread, _WITHIN_ONE, axis=0),
            }
        constant = self._weights["constant"] * self._unit
        self.loo_error_ = float(error[0]) if self._flat else error
        self.atomic_energies_ = constant[:, 0] if self._flat else constant
        if found.force_errors is not None:
            self.loo_force_error_ = float(found.force_errors.abs().mean()) * self._unit[0]

    def _features(self):
        compression = Compression(
            *(torch.from_numpy(self._axes[k]) for k in ("mean", "axes", "deviations"))
        )
        scales = torch.from_numpy(self._axes["scales"])
        return Features.of(self._source(), compression, self._settings).scaled(scales)

    def _model(self):
        constant, linear, quadratic = (torch.from_numpy(v) for v in self._weights.values())
        return EnergyModel(constant, linear, self._features().whitened_axes, quadratic, REACH)
