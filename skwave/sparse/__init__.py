"""Sparse codes of data in given or learned dictionaries."""

from skwave.sparse._coder import SparseCoder

__all__ = ["SparseCoder"]
