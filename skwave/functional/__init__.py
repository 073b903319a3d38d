"""The mathematics: pure functions of torch tensors. Nothing here knows scikit-learn."""

from skwave.functional._molecules.atom_derivatives import (
    Projection,
    project_invariants,
    projected_jacobian,
    projection,
    summed_jacobian,
)
from skwave.functional._molecules.atoms import (
    Environments,
    LocalBasis,
    local_environments,
    local_fields,
    local_invariants,
    radial_functions,
    radial_weight,
)
from skwave.functional._molecules.gaussians import gaussian_modulus, integrals, map_modulus
from skwave.functional._molecules.neighbours import Pairs, neighbour_pairs
from skwave.functional._molecules.solid_harmonics import solid_harmonics
from skwave.functional._molecules.solid_scattering import (
    Quadrature,
    SolidPath,
    quadrature,
    solid_paths,
    solid_scattering,
)
from skwave.functional._scattering.cascade import scattering
from skwave.functional._scattering.inversion import invert_scattering
from skwave.functional._scattering.layout import Layout, Path, scattering_layout, scattering_paths
from skwave.functional._scattering.plan import Plan, scattering_plan
from skwave.functional._sparse.coding import (
    alpha_max,
    duality_gap,
    fista,
    ista,
    istc,
    istc_step,
    lasso_objective,
    lipschitz,
)
from skwave.functional._sparse.dictionaries import coherence, mu_s, omp, update_dictionary
from skwave.functional._sparse.lasso import Codes, implicit_codes, lasso
from skwave.functional._sparse.prox import (
    nonnegative_threshold,
    normalize_atoms,
    project_ball,
    soft_threshold,
)
from skwave.functional._textures.covariances import Block, block_covariances, block_rows
from skwave.functional._textures.families import (
    Family,
    HarmonicPlan,
    harmonic_moments,
    moment_family,
    moment_layout,
)
from skwave.functional._textures.fields import FieldPlan, Fields, Reference, field_plan, reference
from skwave.functional._textures.maxent import (
    conditioner,
    gaussian_field,
    moment_distance,
    resample_spectrum,
    smoothed_spectrum,
)
from skwave.functional._textures.moments import Moment, MomentLayout
from skwave.functional._textures.offsets import Shifts
from skwave.functional._textures.phase_harmonics import group_blocks
from skwave.functional._textures.published import published_blocks
from skwave.functional._textures.rectifier import rectifier_blocks
from skwave.functional._textures.reductions import Reduction, moment_reduction, reduce_moments
from skwave.functional._textures.scattering_covariance import (
    scattering_covariance,
    scattering_covariance_rows,
)
from skwave.functional._textures.statistics import (
    bispectrum,
    bispectrum_triangles,
    increment_kurtosis,
    increments,
    minkowski_functionals,
    power_spectrum,
    shift_correlation,
    structure_functions,
)
from skwave.functional._wavelets.bank import (
    Bank,
    Wavelet,
    frame_bounds,
    inverse_wavelet_transform,
    littlewood_paley,
    tight_frame,
    wavelet_transform,
)
from skwave.functional._wavelets.bump import bump_1d, bump_2d
from skwave.functional._wavelets.morlet import morlet_1d, morlet_2d
from skwave.functional._wavelets.nonlinearity import (
    modulus,
    phase_harmonic,
    phases,
    rectifier,
    rectifier_harmonic,
    rectifier_harmonics,
)
from skwave.functional.optimise import Minimum, lbfgs

__all__ = [
    "Bank",
    "Block",
    "Codes",
    "Environments",
    "Family",
    "FieldPlan",
    "Fields",
    "HarmonicPlan",
    "Layout",
    "LocalBasis",
    "Minimum",
    "Moment",
    "MomentLayout",
    "Pairs",
    "Path",
    "Plan",
    "Projection",
    "Quadrature",
    "Reduction",
    "Reference",
    "Shifts",
    "SolidPath",
    "Wavelet",
    "alpha_max",
    "bispectrum",
    "bispectrum_triangles",
    "block_covariances",
    "block_rows",
    "bump_1d",
    "bump_2d",
    "coherence",
    "conditioner",
    "duality_gap",
    "field_plan",
    "fista",
    "frame_bounds",
    "gaussian_field",
    "gaussian_modulus",
    "group_blocks",
    "harmonic_moments",
    "implicit_codes",
    "increment_kurtosis",
    "increments",
    "integrals",
    "inverse_wavelet_transform",
    "invert_scattering",
    "ista",
    "istc",
    "istc_step",
    "lasso",
    "lasso_objective",
    "lbfgs",
    "lipschitz",
    "littlewood_paley",
    "local_environments",
    "local_fields",
    "local_invariants",
    "map_modulus",
    "minkowski_functionals",
    "modulus",
    "moment_distance",
    "moment_family",
    "moment_layout",
    "moment_reduction",
    "morlet_1d",
    "morlet_2d",
    "mu_s",
    "neighbour_pairs",
    "nonnegative_threshold",
    "normalize_atoms",
    "omp",
    "phase_harmonic",
    "phases",
    "power_spectrum",
    "project_ball",
    "project_invariants",
    "projected_jacobian",
    "projection",
    "published_blocks",
    "quadrature",
    "radial_functions",
    "radial_weight",
    "rectifier",
    "rectifier_blocks",
    "rectifier_harmonic",
    "rectifier_harmonics",
    "reduce_moments",
    "reference",
    "resample_spectrum",
    "scattering",
    "scattering_covariance",
    "scattering_covariance_rows",
    "scattering_layout",
    "scattering_paths",
    "scattering_plan",
    "shift_correlation",
    "smoothed_spectrum",
    "soft_threshold",
    "solid_harmonics",
    "solid_paths",
    "solid_scattering",
    "structure_functions",
    "summed_jacobian",
    "tight_frame",
    "update_dictionary",
    "wavelet_transform",
]
