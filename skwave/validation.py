"""Reports on the quality of the fields and images that a model makes."""

from skwave.generation._metrics import (
    GenerationReport,
    code_report,
    frechet_distance,
    generation_report,
    psnr,
    scattering_features,
    ssim,
)
from skwave.textures._report import TextureReport, as_maps, texture_report

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
