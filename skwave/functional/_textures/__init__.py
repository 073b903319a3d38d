"""Moments of wavelet fields, and maximum-entropy models of fields that have them."""
