"""Sparse codes in dictionaries, and the learning of dictionaries."""
