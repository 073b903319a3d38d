import math
import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.signal import fftconvolve

from skwave.functional import (
    frame_bounds,
    morlet_1d,
    morlet_2d,
    scattering,
    scattering_paths,
    scattering_plan,
    wavelet_transform,
)
from skwave.functional._wavelets.fourier import extend


def orders(s, plan):
    """Coefficients of the orders 0, 1 and 2, along the axis of the paths."""
    lengths = [len(path.n) for path in scattering_paths(plan)]
    return s.split([lengths.count(m) for m in range(max(lengths) + 1)], -1 - plan.geometry.ndim)


# --- agreement with the reference, in 2-D


@pytest.mark.parametrize(
    ("shape", "J", "L", "batch"),
    [
        ((32, 32), 2, 8, (2, 3)),
        ((33, 45), 2, 6, (2,)),
        ((16, 16), 4, 4, (1, 2)),
        ((64, 40), 3, 8, ()),
        ((27, 64), 3, 5, (2, 1)),
        ((47, 31), 4, 3, (1,)),
    ],
)
def test_images_agree_with_kymatio(
    kymatio, randn, relative_error, tolerance, device, shape, J, L, batch
):
    x = randn(*batch, *shape, dtype=torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        expected = kymatio.Scattering2D(J=J, shape=shape, L=L, frontend="torch")(x)
    plan = scattering_plan(shape, J, L=L, device=device)
    s = scattering(x.to(device), plan).cpu()
    assert s.shape == expected.shape
    tol = tolerance[torch.float32]
    for a, b in zip(orders(s, plan), orders(expected, plan), strict=True):
        assert relative_error(a, b) < tol
        # every coefficient, to a scale of its own order
        torch.testing.assert_close(a, b, rtol=0, atol=tol * float(b.abs().max()))


# --- agreement with the definition


def morlet_in_time(xi, sigma):
    t = np.arange(-math.ceil(1.4 / sigma), math.ceil(1.4 / sigma) + 1)
    g = np.exp(-2 * (np.pi * sigma * t) ** 2)
    wave = np.exp(2j * np.pi * xi * t)
    psi = g * (wave - (g * wave).sum() / g.sum())
    return psi / np.abs(psi).sum()


def signal_definition(x, wavelets, T, support):
    # at full rate and in time, on a signal extended further than anything reaches
    def convolve(u, f):
        return fftconvolve(u, f.reshape((1,) * (u.ndim - 1) + (-1,)), mode="same", axes=-1)

    n, pad = len(x), 32 * support
    t = np.arange(-14 * int(T), 14 * int(T) + 1)
    phi = np.exp(-((t / T * 0.2 * np.pi) ** 2) / 2)

    def average(u):
        step = 2 ** int(math.log2(T))
        return convolve(np.stack(u), phi / phi.sum())[:, pad : pad + n : step]

    x = np.pad(x, pad, "reflect")
    psi_1, psi_2 = ([morlet_in_time(w.xi, w.sigma) for w in order] for order in wavelets)
    u1 = [np.abs(convolve(x, psi)) for psi in psi_1]
    u2 = [
        np.abs(convolve(u, psi))
        for u, w in zip(u1, wavelets[0], strict=True)
        for psi, v in zip(psi_2, wavelets[1], strict=True)
        if v.j > w.j
    ]
    return [torch.from_numpy(average(u)) for u in ([x], u1, u2)]


@pytest.mark.parametrize(
    ("n", "J", "Q", "T"),
    [
        (1024, 5, (1, 1), None),
        (1000, 6, (8, 1), None),
        (777, 5, (8, 2), None),
        (600, 5, (4, 1), 50.0),
        (900, 6, (8, 1), 13),
        (512, 4, (16, 1), 100),
        (130, 5, (2, 1), None),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_signals_agree_with_the_definition(randn, relative_error, dtype, n, J, Q, T):
    t = torch.arange(n, dtype=torch.float64) / n
    chirp = torch.cos(2 * math.pi * n * (0.02 * t + 0.15 * t**2)) * (1 + torch.sin(40 * t))
    x = randn(n) + 2 * chirp
    plan = scattering_plan((n,), J, Q=Q, T=T, dtype=dtype)
    s = scattering(x.to(dtype), plan).double()
    expected = signal_definition(x.numpy(), plan.wavelets, T or 2**J, max(2**J, int(T or 0)))
    for a, b, tol in zip(orders(s, plan), expected, (1e-5, 3e-4, 1e-3), strict=True):
        assert a.shape == b.shape
        assert relative_error(a, b) < tol


def image_definition(x, plan, bank):
    geometry = plan.geometry
    rows, columns = (
        geometry.step * torch.arange(first, first + count)
        for first, count in zip(geometry.first, geometry.count, strict=True)
    )

    def average(u):
        return wavelet_transform(u, bank)[0][..., rows[:, None], columns]

    x = extend(x, plan.index, plan.boundary)
    u1 = wavelet_transform(x, bank)[1].abs()
    u2 = [
        wavelet_transform(u, bank)[1][[v.j > w.j for v in bank.wavelets]].abs()
        for u, w in zip(u1, bank.wavelets, strict=True)
    ]
    return [average(u) for u in (x[None], u1, torch.cat(u2))]


@pytest.mark.parametrize(("shape", "J", "L"), [((32, 32), 3, 8), ((33, 45), 2, 6)])
def test_oversampling_converges_to_the_definition(randn, relative_error, shape, J, L):
    x = randn(*shape)
    errors = []
    for oversampling in range(J + 1):
        plan = scattering_plan(shape, J, L=L, oversampling=oversampling, dtype=torch.float64)
        expected = image_definition(x, plan, morlet_2d(plan.geometry.extended, J, L))
        s = orders(scattering(x, plan), plan)
        errors.append([relative_error(a, b) for a, b in zip(s, expected, strict=True)])
    zero, first, second = zip(*errors, strict=True)
    assert max(zero) < 1e-12
    assert 1e-3 < first[0] < 1e-2
    assert 1e-3 < second[0] < 3e-2
    assert first[1] < first[0] / 10
    assert second[1] < second[0] / 10
    assert max(first[J], second[J]) < 1e-10


@pytest.mark.parametrize("n_phases", [None, 4])
def test_oversampling_of_signals_converges(randn, relative_error, n_phases):
    # the phases keep the carrier of a wavelet, and alias more than its modulus
    x = randn(500)

    def coefficients(oversampling):
        options = {"oversampling": oversampling, "n_phases": n_phases, "dtype": torch.float64}
        return scattering(x, scattering_plan((500,), 5, Q=(4, 1), **options))

    limit = coefficients(9)
    errors = [relative_error(coefficients(k), limit) for k in range(3)]
    assert 2e-2 > errors[0] > 2 * errors[1] > 4 * errors[2]


# --- properties

SHAPES = [(256,), (32, 32)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n_phases", [None, 3])
def test_global_average_is_invariant_to_shifts(randn, relative_error, shape, n_phases):
    J, axes = 3, tuple(range(-len(shape), 0))
    options = {"boundary": "periodic", "averaging": "global", "n_phases": n_phases}
    plan = scattering_plan(shape, J, L=3, dtype=torch.float64, **options)
    x = randn(2, *shape)
    s = scattering(x, plan)
    for shift in (1, 2, 5):
        shifted = scattering(x.roll((shift * 2**J, 2**J)[: len(shape)], axes), plan)
        assert relative_error(shifted, s) < 1e-14
    # for other shifts up to aliasing, and not for other signals
    assert relative_error(scattering(x.roll(3, -1), plan), s) < 0.03
    assert relative_error(scattering(x.flip(0), plan), s) > 0.05


@pytest.mark.parametrize("shape", [(512,), (64, 64)])
def test_local_average_gains_invariance_with_the_scale(randn, relative_error, shape):
    x, errors = randn(*shape), []
    for J in range(1, 6):
        plan = scattering_plan(shape, J, L=4, boundary="periodic", dtype=torch.float64)
        errors.append(relative_error(scattering(x.roll(1, 0), plan), scattering(x, plan)))
    assert all(b < a / 2 for a, b in pairwise(errors))
    assert errors[-1] < 0.01


@pytest.mark.parametrize("shape", SHAPES)
def test_scattering_does_not_expand_distances(randn, shape):
    J, ndim = 3, len(shape)
    plan = scattering_plan(shape, J, boundary="periodic", dtype=torch.float64)
    _, upper = frame_bounds(morlet_1d(shape[0], J) if ndim == 1 else morlet_2d(shape, J))
    x, z = randn(*shape), randn(*shape)
    wave = torch.cos(2.0 * torch.arange(shape[-1]))
    ratios = []
    for y in (z, x + 0.01 * z, x + wave, x + 1, -x):
        change = (scattering(x, plan) - scattering(y, plan)) * 2 ** (J * ndim / 2)
        ratios.append(float(change.norm() / (x - y).norm()))
    # one wavelet transform for each order, and the average of the last
    assert max(ratios) <= upper**1.5 + 1e-12
    assert ratios[3] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("shape", "J"), [((1024,), 6), ((64, 64), 4)])
def test_scattering_is_stable_to_deformations(shape, J):
    n, ndim = shape[0], len(shape)
    plan = scattering_plan(shape, J, boundary="periodic", dtype=torch.float64)
    grid = torch.meshgrid(*[torch.arange(n, dtype=torch.float64)] * ndim, indexing="ij")

    def packet(u):
        # high frequency, wide: narrow in Fourier
        envelope = torch.exp(-sum((v - n / 2) ** 2 for v in u) / (2 * (n / 10) ** 2))
        return envelope * torch.cos(2 * math.pi * 0.3 * u[0])

    def ratios(slope):
        x, y = packet(grid), packet([u - slope * n * torch.sin(2 * math.pi * u / n) for u in grid])
        scale = 2 * math.pi * slope * x.norm()  # |grad tau|
        s = (scattering(x, plan) - scattering(y, plan)).norm() * 2 ** (J * ndim / 2)
        moduli = torch.fft.fftn(x, norm="ortho").abs(), torch.fft.fftn(y, norm="ortho").abs()
        return float(s / scale), float((moduli[0] - moduli[1]).norm() / scale)

    for slope in (5e-4, 1e-3, 2e-3, 5e-3):
        stable, unstable = ratios(slope)
        assert 0.1 < stable < 2
        assert stable < unstable / 3


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n_phases", [None, 3])
def test_homogeneity_and_constants(randn, relative_error, tolerance, shape, n_phases):
    plan = scattering_plan(shape, 3, L=3, n_phases=n_phases)
    x = randn(2, *shape, dtype=torch.float32)
    s, tol = scattering(x, plan), tolerance[torch.float32]
    assert relative_error(scattering(3.7 * x, plan), 3.7 * s) < tol
    zero, first, second = orders(scattering(torch.full(shape, 5.0), plan), plan)
    # kymatio rounds pi in the normalisation of images
    mean = 5.0 * (math.pi / 3.1415 if len(shape) == 2 else 1)
    torch.testing.assert_close(zero, torch.full_like(zero, mean), rtol=tol, atol=0)
    assert max(float(first.abs().max()), float(second.abs().max())) < 5 * tol
    assert float(orders(s, plan)[2].abs().min()) > 5 * tol


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("averaging", ["local", "global", None])
def test_order_zero_is_linear(randn, shape, averaging):
    plan = scattering_plan(shape, 2, max_order=0, averaging=averaging, dtype=torch.float64)
    x, y = randn(*shape), randn(*shape)
    s = scattering(2 * x - 3 * y, plan)
    expected = 2 * scattering(x, plan) - 3 * scattering(y, plan)
    torch.testing.assert_close(s, expected, rtol=0, atol=1e-13)
    if averaging is None:
        torch.testing.assert_close(scattering(x, plan), x.flatten(), rtol=0, atol=0)
    if averaging == "global":
        torch.testing.assert_close(scattering(x, plan).squeeze(), x.mean(), rtol=0, atol=1e-14)


@pytest.mark.parametrize("shape", [(90,), (300,), (21, 28), (32, 16)])
@pytest.mark.parametrize(
    ("boundary", "mode"), [("reflect", "reflect"), ("periodic", "wrap"), ("zero", "constant")]
)
def test_boundary_is_an_extension_by_hand(randn, shape, boundary, mode):
    options = {"J": 3, "L": 2, "dtype": torch.float64}
    plan = scattering_plan(shape, boundary=boundary, **options)
    geometry = plan.geometry
    x = randn(2, *shape)
    pads = [
        (left, size - left - n)
        for left, size, n in zip(geometry.left, geometry.span, shape, strict=False)
    ]
    by_hand = torch.from_numpy(np.pad(x.numpy(), [(0, 0), *pads], mode))
    # a periodic signal is taken as it is
    whole = scattering_plan(by_hand.shape[1:], boundary="periodic", **options)
    assert whole.geometry.extended == geometry.extended
    assert whole.geometry.span == geometry.span
    expected = scattering(by_hand, whole)
    for axis in range(len(shape)):
        expected = expected.narrow(2 + axis, geometry.first[axis], geometry.count[axis])
    torch.testing.assert_close(scattering(x, plan), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("averaging", ["local", "global", None])
def test_batch_axes_do_not_matter(randn, relative_error, shape, averaging):
    plan = scattering_plan(shape, 3, L=2, averaging=averaging)
    x = randn(2, 3, *shape, dtype=torch.float32)
    s = scattering(x, plan)
    one_by_one = [scattering(y, plan) for y in x.flatten(0, 1)]
    assert relative_error(torch.stack(one_by_one), s.flatten(0, 1)) < 1e-6
    assert relative_error(scattering(x.flatten(0, 1), plan), s.flatten(0, 1)) < 1e-6
    strided = x.movedim(0, -1).contiguous().movedim(-1, 0)
    assert relative_error(scattering(strided, plan), s) < 1e-6


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n_phases", [None, 3])
def test_single_precision_is_double_precision_rounded(
    randn, relative_error, tolerance, device, shape, n_phases
):
    x = randn(2, *shape)
    single, double = (
        scattering(
            x.to(device, dtype),
            scattering_plan(shape, 3, n_phases=n_phases, dtype=dtype, device=device),
        ).double()
        for dtype in (torch.float32, torch.float64)
    )
    assert relative_error(single, double) < tolerance[torch.float32]


@pytest.mark.parametrize("shape", [(16,), (6, 5)])
@pytest.mark.parametrize("n_phases", [None, 3])
@pytest.mark.parametrize("averaging", ["local", None])
def test_gradient(randn, shape, n_phases, averaging):
    options = {"n_phases": n_phases, "averaging": averaging, "dtype": torch.float64}
    plan, single = (scattering_plan(shape, 2, L=2, block=block, **options) for block in (2**19, 1))
    x = randn(1, *shape).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: scattering(x, plan), x)
    # blocks of one map at a time
    gradients = [torch.autograd.grad(scattering(x, p).square().sum(), x)[0] for p in (plan, single)]
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradient_at_zero_is_finite(shape):
    plan = scattering_plan(shape, 3, L=3)
    x = torch.zeros(1, *shape, requires_grad=True)
    scattering(x, plan).sum().backward()
    assert x.grad.isfinite().all()
    # order 0 alone is smooth there
    zero = scattering_plan(shape, 3, max_order=0)
    (expected,) = torch.autograd.grad(scattering(x, zero).sum(), x)
    torch.testing.assert_close(x.grad, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("averaging", ["local", "global", None])
def test_empty_batch(averaging):
    plan = scattering_plan((16, 12), 2, L=3, averaging=averaging)
    expected = scattering(torch.zeros(1, 2, 16, 12), plan)
    s = scattering(torch.zeros(0, 2, 16, 12), plan)
    assert s.shape == (0, *expected.shape[1:])


@pytest.mark.parametrize("shape", [(32,), (8, 8)])
def test_torch_func_gradient(shape):
    plan = scattering_plan(shape, 2, dtype=torch.float64)
    x = torch.randn(2, *shape, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(scattering(x, plan).square().sum(), x)
    gradient = torch.func.grad(lambda x: scattering(x, plan).square().sum())(x.detach())
    torch.testing.assert_close(gradient, expected)
