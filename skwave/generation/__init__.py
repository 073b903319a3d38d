"""Generative autoencoders whose encoder is a scattering transform."""

from skwave.generation._case import CASEGenerator

__all__ = ["CASEGenerator"]
