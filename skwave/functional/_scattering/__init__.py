"""Scattering transform: layout, plan, cascade with its gradient, and inversion."""
