import math

import pytest
import torch

from skwave.functional import invert_scattering, scattering, scattering_plan
from skwave.functional._scattering.inversion import scale_noise
from skwave.testing import assert_close

CASES = [
    # shape, parameters, error after 40 steps: one and a half times what was measured
    ((256,), {"J": 3}, 0.07),
    ((200,), {"J": 4, "Q": (4, 1)}, 0.11),
    ((256,), {"J": 3, "averaging": "global"}, 0.006),
    ((128,), {"J": 3, "averaging": None}, 1e-10),
    ((256,), {"J": 3, "n_phases": 3}, 0.065),
    ((24, 20), {"J": 2, "L": 4}, 0.13),
    ((24, 20), {"J": 2, "L": 4, "boundary": "periodic", "averaging": "global"}, 0.012),
    ((16, 12), {"J": 2, "L": 3, "averaging": None}, 1e-10),
    ((16, 12), {"J": 2, "L": 2, "n_phases": 3, "boundary": "zero"}, 0.1),
    ((256,), {"J": 3, "max_order": 1}, 0.07),
    ((256,), {"J": 3, "max_order": 0}, 0.03),
]


def waves(shape):
    """Two rows of two channels: chirps, and stripes."""
    grids = torch.meshgrid(*[torch.arange(n) / n for n in shape], indexing="ij")
    t = sum((i + 1) * g for i, g in enumerate(grids)).double()
    rates = torch.tensor([[20.0, 35.0], [50.0, 11.0]]).reshape(2, 2, *[1] * len(shape))
    return torch.sin(rates * (t + 0.5 * t**2)) + 0.3


def errors(x, s, plan):
    difference = scattering(x, plan) - s
    return difference.flatten(1).norm(dim=1) / s.flatten(1).norm(dim=1)


@pytest.mark.parametrize(("shape", "parameters", "bound"), CASES)
def test_coefficients_are_met(randn, shape, parameters, bound):
    plan = scattering_plan(shape, dtype=torch.float64, **parameters)
    x = waves(shape)
    s = scattering(x, plan)
    start = scale_noise(randn(*x.shape), s, plan)
    minimum = invert_scattering(s, plan, start, max_iter=40, tol=1e-11)
    assert minimum.x.shape == x.shape
    found = errors(minimum.x, s, plan)
    assert float(found.max()) < bound
    # what the history tells is the square of this error
    torch.testing.assert_close(minimum.history[-1], found**2, rtol=1e-6, atol=1e-20)
    torch.testing.assert_close(minimum.history[0], errors(start, s, plan) ** 2)
    assert float(errors(start, s, plan).min()) > 5 * bound


def test_flat_coefficients_are_the_same(randn):
    plan = scattering_plan((64,), 3, dtype=torch.float64)
    s, noise = scattering(waves((64,)), plan), randn(2, 2, 64)
    a, b = (invert_scattering(t, plan, noise, max_iter=5).x for t in (s, s.flatten(2)))
    assert torch.equal(a, b)


def test_a_signal_of_that_transform_is_found_at_once():
    plan = scattering_plan((64,), 3, dtype=torch.float64)
    x = waves((64,))
    minimum = invert_scattering(scattering(x, plan), plan, x)
    assert torch.equal(minimum.x, x) and len(minimum.history) == 1


def test_tol_is_a_relative_error(randn):
    plan = scattering_plan((128,), 3, dtype=torch.float64)
    s = scattering(waves((128,)), plan)
    start = scale_noise(randn(2, 2, 128), s, plan)
    minimum = invert_scattering(s, plan, start, tol=0.1)
    assert float(errors(minimum.x, s, plan).max()) <= 0.1
    assert float(minimum.history[-2].max().sqrt()) > 0.1


@pytest.mark.parametrize("scale", [2.0**-40, 2.0**40])
def test_units_do_not_matter(randn, scale):
    plan = scattering_plan((128,), 3)
    x, noise = waves((128,)).float(), randn(2, 2, 128, dtype=torch.float32)
    s = scattering(x, plan)
    a = invert_scattering(s, plan, noise, max_iter=10)
    b = invert_scattering(scale * s, plan, scale * noise, max_iter=10)
    assert_close(b.x / scale, a.x, 1e-3)


def test_rows_of_zeros_and_constants(randn):
    plan = scattering_plan((32, 32), 2, boundary="periodic", dtype=torch.float64)
    x = torch.stack([torch.zeros(1, 32, 32), torch.full((1, 32, 32), -2.0)]).double()
    s = scattering(x, plan)
    start = scale_noise(randn(*x.shape), s, plan)
    minimum = invert_scattering(s, plan, start, max_iter=50)
    assert (minimum.x[0] == 0).all()
    assert float(errors(minimum.x[1:], s[1:], plan)) < 1e-2
    assert minimum.history.isfinite().all()


@pytest.mark.parametrize("max_order", [1, 2])
def test_scaled_noise(randn, max_order):
    plan = scattering_plan((64,), 3, max_order=max_order, dtype=torch.float64)
    x = waves((64,))
    s, noise = scattering(x, plan), randn(2, 2, 64)
    scaled = scale_noise(noise, s, plan)
    # one positive number for each row, whatever the mean of the signal
    ratio = scaled / noise
    assert_close(ratio, ratio[:, :1, :1].expand_as(ratio))
    assert float(ratio.min()) > 0
    norms = (t[:, :, 1:].flatten(1).norm(dim=1) for t in (scattering(scaled, plan), s))
    torch.testing.assert_close(*norms)
    shifted = scale_noise(noise, scattering(x + 100, plan), plan)
    assert_close(shifted, scaled, 1e-2)


def test_averages_alone_give_the_smoothest(randn):
    # no noise stays where no coefficient sees it: the least of all signals with these averages
    plan = scattering_plan((64,), 3, max_order=0, dtype=torch.float64)
    s = scattering(torch.linspace(-1, 1, 64, dtype=torch.float64)[None, None], plan)
    start = scale_noise(randn(1, 1, 64), s, plan)
    assert (start == 0).all()
    minimum = invert_scattering(s, plan, start, max_iter=500)
    S = torch.autograd.functional.jacobian(lambda x: scattering(x, plan), torch.zeros(64).double())
    least = torch.linalg.pinv(S.reshape(-1, 64)) @ s.flatten()
    assert_close(minimum.x.flatten(), least, 1e-2)


def test_an_overflow_is_told(randn):
    plan = scattering_plan((64,), 3)
    s = torch.full((1, 1, 5, 8), math.inf)
    n = scattering(torch.zeros(1, 1, 64), plan).numel()
    with pytest.raises(ValueError, match=r"not finite at the start of rows \[0\].*scale"):
        invert_scattering(s.new_full((1, 1, n), math.inf), plan, torch.ones(1, 1, 64))
