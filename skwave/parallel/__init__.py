"""Transforms of data larger than memory, block by block, on one machine or a cluster."""

from skwave.parallel._transform import transform_blocks

__all__ = ["transform_blocks"]
