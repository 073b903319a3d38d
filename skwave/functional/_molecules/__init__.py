"""Solid harmonic scattering of densities of atoms, and local invariants of atoms."""
