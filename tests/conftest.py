"""Fixtures: seeded noise, relative errors and their tolerances, the reference implementation."""

import os

os.environ.setdefault("SCIPY_ARRAY_API", "1")  # read when scipy is first imported

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

torch.set_num_threads(1)  # at these sizes threads would mostly wait for each other


@pytest.fixture(scope="session")
def tolerance() -> dict[torch.dtype, float]:
    """Relative errors that rounding may cause."""
    from skwave.testing import tolerance

    return {dtype: tolerance(dtype) for dtype in (torch.float32, torch.float64)}


@pytest.fixture(params=["cpu", *["cuda"] * torch.cuda.is_available()])
def device(request) -> str:
    """Every device that is present."""
    return request.param


@pytest.fixture(scope="session")
def relative_error() -> Callable[[Tensor, Tensor], float]:
    """Relative l2 error of the first argument to the second."""
    return lambda a, b: float((a - b).norm() / b.norm())


@pytest.fixture
def randn() -> Callable[..., Tensor]:
    """White noise of a given shape, in float64 unless told, the same in every run."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=dtype)

    return draw


@pytest.fixture
def plt():
    """Pyplot with the Agg backend: no windows, and no figure left open."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


@pytest.fixture(scope="session")
def kymatio():
    """The module, with the function that it needs and SciPy removed in 1.17."""
    special = pytest.importorskip("scipy.special")
    if not hasattr(special, "sph_harm"):
        special.sph_harm = lambda m, n, azimuth, polar: special.sph_harm_y(n, m, polar, azimuth)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = pytest.importorskip("kymatio")
    return module
