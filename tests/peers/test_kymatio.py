"""kymatio's own tests, on this package; its wheel lacks them: SKWAVE_KYMATIO_TESTS is their folder.

The folder is ``tests`` of a checkout of kymatio's development version, which is to be installed, or
on the path: some of them import what version 0.3 has not.
"""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from skwave import ScatteringTransformer, nn
from skwave.functional import quadrature, solid_scattering

from .borrowed import borrow, load

FOLDER = os.environ.get("SKWAVE_KYMATIO_TESTS")
if FOLDER is None:
    pytest.skip("SKWAVE_KYMATIO_TESTS names no folder of kymatio's tests", allow_module_level=True)

special = pytest.importorskip("scipy.special")
if not hasattr(special, "sph_harm"):  # which kymatio imports, and SciPy 1.17 has no longer
    special.sph_harm = lambda m, n, azimuth, polar: special.sph_harm_y(n, m, polar, azimuth)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    pytest.importorskip("kymatio")
pytestmark = pytest.mark.filterwarnings("ignore")  # the peer's


class Scattering:
    """A kymatio object of any frontend, which calls the estimator or the layer."""

    def __init__(self, ndim, J, shape, *, Q=1, T=None, max_order=2, frontend="numpy", **parameters):
        self.ndim, self.shape, self.frontend = ndim, np.atleast_1d(shape), frontend
        self.T = 2**J if T is None else T
        self.parameters = {
            "J": int(J),
            "Q": tuple(Q) if np.ndim(Q) else int(Q),
            "T": None if T in (None, 0, "global") else T,
            "averaging": {0: None, "global": "global"}.get(T, "local"),
            "max_order": max_order,
            "ndim": ndim,
            **parameters,
        }
        self.oversampling = parameters.get("oversampling", 0)

    def to(self, device):
        return self

    def double(self):
        return self

    def __call__(self, x):
        """Coefficients, (..., paths, grid)."""
        lead = x.shape[: x.ndim - self.ndim]
        flat = x.reshape(-1, 1, *x.shape[x.ndim - self.ndim :])
        if isinstance(x, torch.Tensor):
            s = nn.Scattering(**self.parameters)(flat)
        else:
            est = ScatteringTransformer(**self.parameters).fit(flat)
            s = est.transform(flat).reshape(len(flat), *est.output_shape_)
        s = s.reshape(*lead, *s.shape[2:])
        return s[..., None] if s.ndim == len(lead) + 1 else s  # a grid of one point

    forward = scattering = __call__

    def transform(self, X):
        return self(X.reshape(-1, *self.shape)).reshape(len(X), -1)

    def meta(self):
        flat = np.zeros((1, 1, *self.shape))
        paths = ScatteringTransformer(**self.parameters).fit(flat).paths_
        return {"order": paths["order"], "sigma": np.array(paths["sigma"])}


def scattering_1d(J, shape, Q=1, T=None, max_order=2, *, frontend="numpy", backend=None, **rest):
    return Scattering(1, J, shape, Q=Q, T=T, max_order=max_order, frontend=frontend, **rest)


def scattering_2d(J, shape, L=8, max_order=2, pre_pad=False, frontend="numpy", backend=None):
    if pre_pad:
        pytest.skip("images are extended here, not by the caller")
    return Scattering(2, J, shape, L=L, max_order=max_order, frontend=frontend)


class SolidHarmonics:
    """kymatio's object of densities on voxels, of Gaussians at positions in place of the voxels."""

    def __init__(self, J, shape, L, sigma_0, integral_powers, max_order, **unused):
        self.scales = tuple(float(sigma_0 * 2**j) for j in range(J + 1))
        self.L, self.powers = L, tuple(map(float, integral_powers))

    def to(self, device):
        return self

    def __call__(self, gaussians):
        positions, weights, sigma = gaussians[..., :3], gaussians[..., 3], gaussians[0, 0, 4]
        s = solid_scattering(
            positions,
            weights[:, None],
            sigma=float(sigma),
            scales=self.scales,
            L=self.L,
            powers=self.powers,
            max_order=1,
            quadrature=quadrature(1e-6),
        )[:, 0, 1:]
        return s.view(len(s), len(self.scales), self.L + 1, len(self.powers))


def gaussians(grid, centers, weights, sigma):
    return np.concatenate([centers, weights[..., None], np.full((*weights.shape, 1), sigma)], -1)


def borrowed(path, reasons, **replaced):
    found = borrow(load(Path(FOLDER) / path, **replaced), reasons)
    return {f"{name}_of_{Path(path).stem.removeprefix('test_')}": t for name, t in found.items()}


MESSAGE = "asks for the words of the peer's message"
STORED = "asks for the peer's own values to 1e-5; ours differ by 5e-3 at order 1, 1e-2 at order 2"
OUT_TYPE = "out_type and meta are the peer's; paths_ and output_shape_ are here"
INSIDE = "tests functions inside of the peer"
VOXELS = "takes densities on voxels, which are sums of Gaussians here"
FORMS = {
    "test_computation_Ux": OUT_TYPE,
    "test_coordinates": OUT_TYPE,
    "test_output_size": OUT_TYPE,
    "test_batch_shape_agnostic": OUT_TYPE,
    "test_check_runtime_args": OUT_TYPE,
    "test_scattering_shape_input": MESSAGE,
    "test_Q": MESSAGE,
    "test_sample_scattering": STORED,
    "test_T": STORED,
    "test_Scattering1D_average_global": OUT_TYPE,
}
NUMPY_1D = {"TestScattering1DNumpy.test_Scattering1D": STORED, "test_Q": MESSAGE}
NUMPY_1D["TestScattering1DNumpy.test_Scattering1D_filter_factory_T"] = INSIDE
NUMPY_2D = {
    "TestScattering2DNumpy.test_scattering2d_errors": MESSAGE,
    "TestScattering2DNumpy.test_inputs": MESSAGE,
}
TORCH_2D = {
    "TestScatteringTorch2D.test_scattering2d_errors": MESSAGE,
    "TestScatteringTorch2D.test_inputs": MESSAGE,
    "TestScatteringTorch2D.test_batch_shape_agnostic": MESSAGE,
    "TestScatteringTorch2D.test_gpu_only": INSIDE,
}
SOLID = {
    **dict.fromkeys(["test_FFT3d_central_freq_batch", "test_fft3d_error", "test_cdgmm3d"], INSIDE),
    "test_complex_modulus": INSIDE,
    **dict.fromkeys(["test_against_standard_computations", "test_larger_scales"], VOXELS),
    "test_scattering_batch_shape_agnostic": VOXELS,
}
# modules without a counterpart: other frameworks, backends, and filters on the peer's own grids
NO_COUNTERPART = {"backend", "frontend", "jax", "keras", "tensorflow", "utils", "filters", "jnp"}
NO_COUNTERPART |= {"timefrequency"}  # joint scattering over time and frequency

ONE, TWO = {"Scattering1D": scattering_1d}, {"Scattering2D": scattering_2d}
SKLEARN = {"ScatteringTransformer2D": scattering_2d, "ScatteringNumPy2D": scattering_2d}
THREE = {
    "HarmonicScattering3D": SolidHarmonics,
    "generate_weighted_sum_of_gaussians": gaussians,
}
MODULES = {
    "scattering1d/test_numpy_scattering1d.py": (NUMPY_1D, ONE),
    "scattering1d/test_torch_scattering1d.py": (FORMS, ONE),
    "scattering2d/test_numpy_scattering2d.py": (NUMPY_2D, TWO),
    "scattering2d/test_torch_scattering2d.py": (TORCH_2D, TWO),
    "scattering2d/test_sklearn_2d.py": ({}, SKLEARN),
    "scattering3d/test_torch_scattering3d.py": (SOLID, THREE),
}
for path, (reasons, replaced) in MODULES.items():
    globals().update(borrowed(path, reasons, **replaced))


def test_every_module_is_here():
    """Or is named with the kind of what it tests."""
    for path in Path(FOLDER).glob("*/test_*.py"):
        if path.relative_to(FOLDER).as_posix() not in MODULES:
            same = path.name.replace("numpy", "torch")  # the same tests, of the other frontend
            assert set(path.stem.split("_")) & NO_COUNTERPART or (path.parent / same).exists()
