"""Reports on fields and images that a model makes."""

from skwave._case_codes import code_report
from skwave._generation import (
    GenerationReport,
    frechet_distance,
    generation_report,
    scattering_features,
)
from skwave._reconstruction import psnr, ssim
from skwave._texture_report import TextureReport, as_maps, texture_report

__all__ = [
    "GenerationReport",
    "TextureReport",
    "as_maps",
    "code_report",
    "frechet_distance",
    "generation_report",
    "psnr",
    "scattering_features",
    "ssim",
    "texture_report",
]
