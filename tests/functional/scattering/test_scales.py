import math

import pytest
import torch

from skwave.functional import scattering, scattering_plan
from skwave.functional._wavelets.nonlinearity import power_of_two

SHAPES = [(100,), (20, 16)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a7_powers_of_two_are_exact(randn, dtype):
    limit = 37 if dtype == torch.float32 else 307
    exponents = torch.arange(-limit, limit + 1, dtype=torch.float64)
    x = randn(len(exponents), 2, 50) * 10.0 ** exponents[:, None, None]
    x = x.to(dtype)
    c = power_of_two(x, (1, 2))
    assert c.shape == (len(x), 1, 1) and c.dtype == dtype
    assert (torch.frexp(c)[0] == 0.5).all()
    assert torch.equal(x / c * c, x)
    largest = (x / c).abs().amax((1, 2))
    assert (largest >= 1).all() and (largest <= 4).all()
    # at the ends of what there is: an inverse is there, and nothing but zero becomes zero
    info = torch.finfo(dtype)
    for value in (0.0, info.tiny, info.tiny * info.eps, info.max):
        c = power_of_two(torch.full((1, 3), value, dtype=dtype), (1,))
        assert 0 < float(1 / c) < math.inf
        assert bool(value / c > 0) == (value > 0)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n_phases", [None, 3])
@pytest.mark.parametrize("exponent", [-110, -73, -40, 0, 67, 120])
def test_a7_scales_of_float32_are_exact(randn, shape, n_phases, exponent):
    # 2**-73 = 1e-22, 2**67 = 1e20; the samples of a batch at scales of their own
    plan = scattering_plan(shape, 3, L=2, n_phases=n_phases)
    x = randn(3, *shape, dtype=torch.float32)
    s = scattering(x, plan)
    factor = torch.tensor([1.0, 2.0**exponent, -(2.0**exponent) / 4])
    factor = factor.view(-1, *[1] * len(shape))
    scaled = scattering(x * factor, plan)
    assert torch.equal(scaled[0], s[0])
    if exponent > -100:  # else the smallest coefficients lose digits, as any numbers there
        assert torch.equal(scaled[1], s[1] * 2.0**exponent)
    expected = scattering(-x[2], plan) * 2.0 ** (exponent - 2)
    torch.testing.assert_close(scaled[2], expected, rtol=1e-4, atol=2.0**-126)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("exponent", [-73, 67])
def test_a7_gradient_at_scales_of_float32(randn, shape, exponent):
    # a function that is homogeneous has the same gradient at all scales
    plan = scattering_plan(shape, 3, L=2)
    x = randn(2, *shape, dtype=torch.float32)
    weight = randn(*scattering(x, plan).shape, dtype=torch.float32)
    gradients = []
    for c in (1.0, 2.0**exponent):
        scaled = (x * c).requires_grad_()
        gradients.append(torch.autograd.grad(scattering(scaled, plan), scaled, weight)[0])
    assert torch.equal(*gradients)
    assert gradients[0].abs().max() > 0
