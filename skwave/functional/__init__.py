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
from skwave.functional.inversion import invert_scattering
from skwave.functional.layout import Layout, Path, scattering_layout, scattering_paths
from skwave.functional.local import local_fields, local_invariants, radial_functions
from skwave.functional.moments import (
    increment_kurtosis,
    increments,
    minkowski_functionals,
    structure_functions,
)
from skwave.functional.morlet import morlet_1d, morlet_2d
from skwave.functional.nonlinearity import modulus, phases, rectifier, rectifier_harmonic
from skwave.functional.optimise import Minimum, lbfgs
from skwave.functional.plan import Plan, scattering_plan
from skwave.functional.scattering import scattering
from skwave.functional.solid import gaussian_modulus, integrals, map_modulus, solid_harmonics
from skwave.functional.solid_scattering import (
    Quadrature,
    SolidPath,
    quadrature,
    solid_paths,
    solid_scattering,
)
from skwave.functional.spectra import (
    bispectrum,
    bispectrum_triangles,
    power_spectrum,
    shift_correlation,
)

__all__ = [
    "Bank",
    "Layout",
    "Minimum",
    "Path",
    "Plan",
    "Quadrature",
    "SolidPath",
    "Wavelet",
    "bispectrum",
    "bispectrum_triangles",
    "frame_bounds",
    "gaussian_modulus",
    "increment_kurtosis",
    "increments",
    "integrals",
    "inverse_wavelet_transform",
    "invert_scattering",
    "lbfgs",
    "littlewood_paley",
    "local_fields",
    "local_invariants",
    "map_modulus",
    "minkowski_functionals",
    "modulus",
    "morlet_1d",
    "morlet_2d",
    "phases",
    "power_spectrum",
    "quadrature",
    "radial_functions",
    "rectifier",
    "rectifier_harmonic",
    "scattering",
    "scattering_layout",
    "scattering_paths",
    "scattering_plan",
    "shift_correlation",
    "solid_harmonics",
    "solid_paths",
    "solid_scattering",
    "structure_functions",
    "tight_frame",
    "wavelet_transform",
]
