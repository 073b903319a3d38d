"""The scattering cascade: its layout, its plan, its adjoint and its inversion."""
