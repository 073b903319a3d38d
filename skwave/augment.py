"""Augmentation of features: those of mirrored images, without another transform."""

from skwave.scattering._mirror import mirror_features

__all__ = ["mirror_features"]
