import math

import numpy as np
import pytest
import torch

from skwave.functional._textures.families import moment_family, moment_layout
from skwave.functional._textures.fields import field_plan, reference
from skwave.functional._textures.maxent import (
    MomentDistance,
    conditioner,
    gaussian_field,
    moment_distance,
    resample_spectrum,
    smoothed_spectrum,
)
from skwave.functional.optimise import lbfgs


def true_spectrum(shape, slope=-2.0, stretch=1.0):
    ky, kx = (torch.fft.fftfreq(n, dtype=torch.float64) for n in shape)
    P = (0.03 + torch.hypot(ky[:, None], stretch * kx)) ** slope
    P[0, 0] = 0
    return P / P.sum()


@pytest.mark.parametrize("shape", [(32, 32), (27, 40), (64, 1)])
def test_smoothed_spectrum_has_the_variance(randn, shape):
    x = randn(2, 3, *shape) ** 3 + 5
    P = smoothed_spectrum(x, field_plan(shape, 3, 1 if shape[1] == 1 else 4))
    assert P.shape == (3, *shape)
    assert (P >= 0).all()
    assert float(P[:, 0, 0].max()) < 1e-25
    torch.testing.assert_close(P, P.flip((-2, -1)).roll((1, 1), (-2, -1)))
    variance = (x - x.mean((-2, -1), keepdim=True)).square().mean((0, -2, -1))
    torch.testing.assert_close(P.sum((-2, -1)), variance, rtol=0.02, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_smoothed_spectrum_of_a_constant_is_zero(dtype):
    P = smoothed_spectrum(torch.zeros(1, 1, 32, 32, dtype=dtype), field_plan((32, 32), 3, 4))
    assert torch.allclose(P, torch.zeros_like(P), atol=1e-12)


def test_smoothed_spectrum_of_white_noise_is_flat(randn):
    P = smoothed_spectrum(randn(20, 1, 48, 48), field_plan((48, 48), 4, 4))[0] * 48**2
    k = torch.fft.fftfreq(48, dtype=torch.float64).abs()
    outer = torch.hypot(k[:, None], k) > 0.05
    assert float((P[outer] - 1).square().mean().sqrt()) < 0.06


@pytest.mark.parametrize("stretch", [1.0, 2.0])
def test_smoothed_spectrum_is_near_the_true_one(randn, stretch):
    # exact along rings for an isotropic field; orientations of others come within a quarter
    shape, J = (48, 48), 4
    P = true_spectrum(shape, stretch=stretch)
    x = gaussian_field(randn(200, 1, *shape), P)
    found = smoothed_spectrum(x, field_plan(shape, J, 4))[0]
    k = torch.fft.fftfreq(48, dtype=torch.float64)
    inner = (torch.hypot(k[:, None], k) < 0.4) & (torch.hypot(k[:, None], k) > 0.08)
    ratio = (found / P)[inner].log()
    assert float(ratio.square().mean().sqrt()) < (0.05 if stretch == 1 else 0.25)
    if stretch > 1:  # what the rings alone would give is worse
        rings = torch.from_numpy(np.zeros(shape))
        radius = (torch.hypot(k[:, None], k) * 48).round().long()
        for r in radius.unique():
            rings[radius == r] = P[radius == r].mean()
        assert float(ratio.square().mean()) < 0.3 * float((rings / P)[inner].log().square().mean())


def test_single_waves_are_spread(randn):
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    wave = torch.cos(2 * math.pi * (9 * y + 5 * x) / 64).double()
    x = randn(64, 64) + wave
    periodogram = torch.fft.fft2(x, norm="forward").abs().square()
    P = smoothed_spectrum(x[None, None], field_plan((64, 64), 4, 4))[0]
    assert periodogram[9, 5] / periodogram.mean() > 500
    assert P[9, 5] / P.mean() < 50
    assert P[9, 5] / P[9, 4] < 1.5


@pytest.mark.parametrize("shape", [(32, 32), (64, 64), (48, 96), (21, 35)])
def test_resampled_spectrum(shape):
    P = true_spectrum((32, 32))
    Q = resample_spectrum(P, shape)
    assert Q.shape == shape
    if shape == (32, 32):
        assert torch.equal(P, Q)
    # each side of a zero in the corner keeps the sum within its share
    assert float(Q.sum()) == pytest.approx(1, rel=0.25)
    flat = torch.ones(32, 32, dtype=torch.float64) / 32**2
    torch.testing.assert_close(resample_spectrum(flat, shape).sum(), flat.sum())
    # at frequencies that both grids have, the density is the same
    step = [n // 32 for n in shape]
    if all(n % 32 == 0 for n in shape):
        density = Q * shape[0] * shape[1] / 32**2
        low = density[:: step[0], :: step[1]][:16, :16]
        torch.testing.assert_close(low, P[:16, :16])
    Q3 = resample_spectrum(P.expand(2, 32, 32), shape)
    torch.testing.assert_close(Q3[1], Q)


@pytest.mark.parametrize("lead", [(), (2,), (3, 2)])
def test_spectrum_of_gaussian_fields(randn, lead):
    shape = (12, 10)
    P = true_spectrum(shape).expand(*lead[-1:], *shape)
    white = randn(*lead, *shape)
    x = gaussian_field(white, P)
    power = torch.fft.fft2(x, norm="forward").abs().square()
    noise = torch.fft.fft2(white, norm="forward").abs().square()
    torch.testing.assert_close(power, noise * P * 120)
    many = gaussian_field(randn(4000, *shape), true_spectrum(shape))
    mean = torch.fft.fft2(many, norm="forward").abs().square().mean(0)
    assert float((mean - true_spectrum(shape)).abs().max() / mean.max()) < 0.1
    assert float(many.var()) == pytest.approx(1, rel=0.03)


def test_moment_distance(randn):
    target = torch.tensor([3.0, 4.0])
    energy = moment_distance(lambda x: x, target)
    x = torch.tensor([[3.0, 4.0], [3.0, 9.0], [0.0, 0.0]])
    torch.testing.assert_close(energy(x), torch.tensor([0.0, 1.0, 1.0]))
    # targets of each row: as if it were alone
    targets = torch.tensor([[3.0, 4.0], [30.0, 40.0], [1.0, 0.0]])
    together = moment_distance(lambda x: x, targets)(x)
    alone = [moment_distance(lambda x: x, t)(y[None])[0] for t, y in zip(targets, x, strict=True)]
    torch.testing.assert_close(together, torch.stack(alone))
    assert moment_distance(lambda x: x, torch.zeros(2))(torch.zeros(1, 2)) == 0


def test_distance_of_groups():
    target = torch.tensor([0.5, -0.5, 900.0, 0.0, 0.0], dtype=torch.float64)
    distance = MomentDistance(target, ["a", "a", "K", "b", "b"])
    assert float(distance(target)) == 0
    # errors by a share of a group whose moments are below 1, or of one that is far above it
    for moved in ([0.505, -0.505, 900, 0, 0], [0.5, -0.5, 909, 0, 0]):
        found = float(distance(torch.tensor([moved], dtype=torch.float64)))
        assert found == pytest.approx(1e-4 / 3, rel=0.02)
    # a group that vanishes is compared with chance
    noise = torch.tensor([[0.5, -0.5, 900, 0.005, -0.005]], dtype=torch.float64)
    assert float(distance(noise)) == pytest.approx(0.01 / 3, rel=1e-4)
    # far off it grows with the distance
    far = noise + torch.tensor([0, 0, 0, 1e6, 0], dtype=torch.float64)
    assert float(distance(far + far - noise) / distance(far)) == pytest.approx(2, rel=1e-5)


def test_distance_to_the_targets_of_each_row(randn):
    targets, x, labels = randn(3, 6), randn(3, 6), list("aabbbc")
    rows = zip(targets, x, strict=True)
    alone = [MomentDistance(t, labels)(y[None])[0] for t, y in rows]
    torch.testing.assert_close(MomentDistance(targets, labels)(x), torch.stack(alone))
    y = x.clone().requires_grad_()
    assert torch.autograd.gradcheck(MomentDistance(targets, labels), y)


@pytest.mark.parametrize("shape", [(16, 16), (24, 10), (33, 1)])
def test_conditioner(shape):
    generator = torch.Generator().manual_seed(0)
    ndim = 1 if shape[1] == 1 else 2
    y, x = (torch.fft.fftfreq(n, dtype=torch.float64) for n in shape)
    radius = torch.hypot(y[:, None], x)
    P = torch.where(radius > 0, 1 / radius.clamp_min(1e-3) ** 3, 0.0)[None]
    to_field, from_field = conditioner(P, ndim)
    w = torch.randn(4000, 1, *shape, generator=generator, dtype=torch.float64)
    field = to_field(w)
    torch.testing.assert_close(from_field(field), w, rtol=1e-8, atol=1e-8)
    # waves of white noise come out with P |w|^d, but for the floor and the mean
    power = torch.fft.fft2(field).abs().square().mean((0, 1)).flatten()[1:]
    wanted = (P[0] * radius**ndim).flatten()[1:]
    ratio = power / wanted
    assert float(ratio.std() / ratio.mean()) < 0.05


def test_conditioner_makes_steep_fields_easy():
    """A field whose spectrum falls by eight decades is fitted as fast as a flat one."""
    generator = torch.Generator().manual_seed(0)
    shape = (64, 64)
    y, x = (torch.fft.fftfreq(n, dtype=torch.float64) for n in shape)
    radius = torch.hypot(y[:, None], x).clamp_min(1 / 64)
    P = radius**-6.0
    P[0, 0] = 0
    P = (P / P.sum())[None]
    white = torch.randn(2, 1, 1, *shape, generator=generator, dtype=torch.float64)
    target, start = gaussian_field(white, P)
    family = moment_family(moment_layout(shape, 4, 4), dtype=torch.float64)
    ref = reference(target, family.fields)
    moments = family.moments(target, ref, True)
    energy = moment_distance(lambda z: family.moments(z, ref, True), moments)
    to_field, from_field = conditioner(P, 2)
    plain = lbfgs(energy, start, max_iter=15).history[-1]
    conditioned = lbfgs(lambda w: energy(to_field(w)), from_field(start), max_iter=15).history[-1]
    assert float(conditioned) < 0.2 * float(plain)


def test_smoothed_spectrum_of_a_field_that_is_not_periodic(randn):
    """A ramp has jumps at the border, whose spectrum is not that of the field."""
    x = torch.linspace(0, 1, 64, dtype=torch.float64).expand(1, 1, 64, 64) + 1e-5 * randn(
        1, 1, 64, 64
    )
    plan = field_plan((64, 64), 3, 4)
    fine = (..., slice(0, 4), slice(20, 30))
    periodic, windowed = (smoothed_spectrum(x, plan, periodic=p)[fine].sum() for p in (True, False))
    assert float(windowed) < 0.01 * float(periodic)
