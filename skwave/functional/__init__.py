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
from skwave.functional.morlet import morlet_1d, morlet_2d
from skwave.functional.nonlinearity import modulus, phases, rectifier, rectifier_harmonic
from skwave.functional.optimise import Minimum, lbfgs
from skwave.functional.plan import Plan, scattering_plan
from skwave.functional.scattering import scattering

__all__ = [
    "Bank",
    "Layout",
    "Minimum",
    "Path",
    "Plan",
    "Wavelet",
    "frame_bounds",
    "inverse_wavelet_transform",
    "invert_scattering",
    "lbfgs",
    "littlewood_paley",
    "modulus",
    "morlet_1d",
    "morlet_2d",
    "phases",
    "rectifier",
    "rectifier_harmonic",
    "scattering",
    "scattering_layout",
    "scattering_paths",
    "scattering_plan",
    "tight_frame",
    "wavelet_transform",
]
