"""Data sets: samples in the package, originals from files or the network, simulations."""

from skwave.datasets._crystals import load_crystal_sample
from skwave.datasets._md import fetch_md, load_md_sample
from skwave.datasets._qm7 import fetch_qm7, load_qm7_sample
from skwave.datasets._qm9 import fetch_qm9
from skwave.datasets._textures import fetch_textures, load_cosmic_web, load_textures
from skwave.datasets._turbulence import make_turbulence

__all__ = [
    "fetch_md",
    "fetch_qm7",
    "fetch_qm9",
    "fetch_textures",
    "load_cosmic_web",
    "load_crystal_sample",
    "load_md_sample",
    "load_qm7_sample",
    "load_textures",
    "make_turbulence",
]
