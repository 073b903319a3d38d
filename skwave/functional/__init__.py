"""The mathematics: pure functions of torch tensors. Nothing here knows scikit-learn."""

from skwave.functional.bank import (
    Bank,
    Wavelet,
    frame_bounds,
    inverse_wavelet_transform,
    littlewood_paley,
    tight_frame,
    wavelet_transform,
)
from skwave.functional.bump import bump_1d, bump_2d
from skwave.functional.covariances import Block, Moment, block_covariances, block_rows
from skwave.functional.dictionaries import coherence, mu_s, omp, update_dictionary
from skwave.functional.families import Family, moment_family
from skwave.functional.field_plans import FieldPlan, field_plan
from skwave.functional.fields import Fields
from skwave.functional.groups import Shifts, group_blocks, published_blocks, rectifier_blocks
from skwave.functional.harmonics import HarmonicPlan, harmonic_moments
from skwave.functional.homotopy import istc, istc_step
from skwave.functional.implicit import implicit_codes
from skwave.functional.inversion import invert_scattering
from skwave.functional.lasso import Codes, duality_gap, lasso, lasso_objective
from skwave.functional.layout import Layout, Path, scattering_layout, scattering_paths
from skwave.functional.local import local_fields, local_invariants, radial_functions
from skwave.functional.maxent import (
    conditioner,
    gaussian_field,
    moment_distance,
    resample_spectrum,
    smoothed_spectrum,
)
from skwave.functional.moment_layouts import MomentLayout, moment_layout
from skwave.functional.moments import (
    increment_kurtosis,
    increments,
    minkowski_functionals,
    structure_functions,
)
from skwave.functional.morlet import morlet_1d, morlet_2d
from skwave.functional.nonlinearity import modulus, phase_harmonic, phases, rectifier
from skwave.functional.optimise import Minimum, lbfgs
from skwave.functional.plan import Plan, scattering_plan
from skwave.functional.prox import (
    nonnegative_threshold,
    normalise_atoms,
    project_ball,
    soft_threshold,
)
from skwave.functional.rectifiers import rectifier_harmonic, rectifier_harmonics
from skwave.functional.reductions import Reduction, moment_reduction, reduce_moments
from skwave.functional.references import Reference, reference
from skwave.functional.scattering import scattering
from skwave.functional.scattering_covariance import (
    scattering_covariance,
    scattering_covariance_rows,
)
from skwave.functional.solid import gaussian_modulus, integrals, map_modulus
from skwave.functional.solid_harmonics import solid_harmonics
from skwave.functional.solid_scattering import (
    Quadrature,
    SolidPath,
    quadrature,
    solid_paths,
    solid_scattering,
)
from skwave.functional.sparse import alpha_max, fista, ista, lipschitz
from skwave.functional.spectra import (
    bispectrum,
    bispectrum_triangles,
    power_spectrum,
    shift_correlation,
)

__all__ = [
    "Bank",
    "Block",
    "Codes",
    "Family",
    "FieldPlan",
    "Fields",
    "HarmonicPlan",
    "Layout",
    "Minimum",
    "Moment",
    "MomentLayout",
    "Path",
    "Plan",
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
    "nonnegative_threshold",
    "normalise_atoms",
    "omp",
    "phase_harmonic",
    "phases",
    "power_spectrum",
    "project_ball",
    "published_blocks",
    "quadrature",
    "radial_functions",
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
    "tight_frame",
    "update_dictionary",
    "wavelet_transform",
]
