"""Block-wise transforms of data larger than memory, on one machine or a cluster."""

from skwave.parallel._transform import transform_blocks

__all__ = ["transform_blocks"]
