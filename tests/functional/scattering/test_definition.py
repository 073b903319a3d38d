"""Coefficients against the definition: extend for ever, filter, modulus, low-pass, decimate.

Nothing is sampled less often than the signal, and what is for ever is one period of it. With
``SKWAVE_SWEEP=1`` all scales of many lengths are compared, in some minutes.
"""

import math
import os

import pytest
import torch

from skwave.functional import morlet_1d, morlet_2d, scattering, scattering_paths, scattering_plan
from skwave.functional._scattering.layout import piece_size
from skwave.functional._wavelets.fourier import extend, sample_at

SWEEP = [64, 65, 93, 100, 128, 187, 256, 300, 512, 777, 1000, 1024, 2048, 4096]
SHORT = {64: (1, 4, 6), 65: (4, 6), 187: (2, 6, 7), 300: (6, 8), 512: (1, 3, 8), 1000: (2, 3)}
CASES = (
    [(n, J) for n in SWEEP for J in range(1, int(math.log2(n)) + 1)]
    if os.environ.get("SKWAVE_SWEEP")
    else [(n, J) for n, scales in SHORT.items() for J in scales]
)


def signals(n):
    """Noise, a ramp, a step, a chirp and a spike."""
    t = torch.arange(n, dtype=torch.float64) / n
    noise = torch.randn(n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    spike = torch.zeros(n, dtype=torch.float64)
    spike[n // 3] = 1
    chirp = torch.sin(math.pi * (0.25 * n) * t**2)
    return torch.stack([noise, t, (t >= 0.5).double(), chirp, spike])


def definition(x, banks, average):
    """Orders 0, 1 and 2 of periodic signals (B, *shape), (B, n_paths, *grid) each."""
    axes = tuple(range(-len(banks[0].shape), 0))

    def filtered(u, psi_hat):
        u_hat = torch.fft.fftn(u, dim=axes).unsqueeze(1)
        return torch.fft.ifftn(u_hat * psi_hat, dim=axes).abs()

    first = filtered(x, banks[0].psi_hat)
    orders = [[average(x.unsqueeze(1))], [average(first)], []]
    for i, wavelet in enumerate(banks[0].wavelets):
        following = [k for k, v in enumerate(banks[1].wavelets) if v.j > wavelet.j]
        if following:
            orders[2].append(average(filtered(first[:, i], banks[1].psi_hat[following])))
    return [torch.cat(order, 1) for order in orders if order]


def low_pass(phi_hat, index, axes):
    """Low-pass filter, at positions of the signal along each axis."""

    def average(u):
        u = torch.fft.ifftn(torch.fft.fftn(u, dim=axes) * phi_hat, dim=axes).real
        for axis, i in zip(axes, index, strict=True):
            u = u.index_select(axis, i)
        return u

    return average


def by_order(s, plan):
    """Coefficients (B, n_paths, *grid), order by order."""
    lengths = [len(path.n) for path in scattering_paths(plan)]
    return s.split([lengths.count(m) for m in range(max(lengths) + 1)], 1)


def errors(x, s, expected):
    """Errors of each order by its norm, of the signals whose order holds 1e-3 of theirs."""
    assert s.shape == expected.shape
    axes = tuple(range(1, s.ndim))
    norm = expected.square().sum(axes).sqrt()
    grid, samples = expected[0, 0].numel(), x[0].numel()
    holds = norm > 1e-3 * x.flatten(1).norm(dim=1) * math.sqrt(grid / samples)
    return ((s - expected).square().sum(axes).sqrt() / norm)[holds]


@pytest.mark.parametrize(("n", "J"), CASES)
@pytest.mark.parametrize("Q", [1, 4, 8, 16])
def test_a1_seam_of_mirrored_signals(n, J, Q):
    x = signals(n)
    period = torch.cat([x, x[:, 1:-1].flip(-1)], -1)
    for T in (2.0**J, 2.0**J / 2):
        banks = [morlet_1d(period.shape[-1], J, q, T) for q in (Q, 1)]
        plan = scattering_plan((n,), J, Q=(Q, 1), T=T, dtype=torch.float64)
        index = [torch.arange(0, n, plan.geometry.step)]
        expected = definition(period, banks, low_pass(banks[0].phi_hat, index, (-1,)))
        for a, b in zip(by_order(scattering(x, plan), plan), expected, strict=True):
            assert (errors(x, a, b) < 1e-3).all()


@pytest.mark.parametrize("n", [100, 187, 300, 4096])  # the last has many coefficients
def test_a1_seam_of_periodic_signals(n):
    x, J = signals(n), 5
    plan = scattering_plan((n,), J, Q=(4, 1), boundary="periodic", dtype=torch.float64)
    banks = [morlet_1d(n, J, q) for q in (4, 1)]
    index = [torch.arange(0, n, 2**J)]
    expected = definition(x, banks, low_pass(banks[0].phi_hat, index, (-1,)))
    for a, b in zip(by_order(scattering(x, plan), plan), expected, strict=True):
        assert (errors(x, a, b) < 1e-3).all()


@pytest.mark.parametrize("n", [300, 512])
def test_a1_seam_of_signals_among_zeros(n):
    # of a period so long that nothing reaches around it
    x, J = signals(n), int(math.log2(n))
    plan = scattering_plan((n,), J, Q=(4, 1), boundary="zero", dtype=torch.float64)
    padded = torch.nn.functional.pad(x, (0, 40 * 2**J - n))
    banks = [morlet_1d(40 * 2**J, J, q) for q in (4, 1)]
    index = [torch.arange(0, n, 2**J)]
    expected = definition(padded, banks, low_pass(banks[0].phi_hat, index, (-1,)))
    for a, b in zip(by_order(scattering(x, plan), plan), expected, strict=True):
        assert (errors(x, a, b) < 1e-3).all()


@pytest.mark.parametrize(("J", "Q", "T"), [(4, 8, 16), (5, 1, 20), (3, 4, 32)])
def test_b6_pieces_of_a_long_signal(J, Q, T):
    """Each given with what lies around it; at both ends that is the mirror image."""
    n, size = 4001, piece_size(J, T, extended=1024)
    x = signals(n)
    period = torch.cat([x, x[:, 1:-1].flip(-1)], -1)
    banks = [morlet_1d(period.shape[-1], J, q, T) for q in (Q, 1)]
    pieces = []
    for start in range(0, n, size):
        parameters = {"Q": (Q, 1), "T": T, "boundary": "given", "dtype": torch.float64}
        plan = scattering_plan((min(size, n - start),), J, **parameters)
        around = torch.arange(plan.given[0]) + start - plan.geometry.left[0]
        pieces.append(scattering(x[:, sample_at(around, n, "reflect")], plan))
    assert len(pieces) > 2
    index = [torch.arange(0, n, plan.geometry.step)]
    expected = definition(period, banks, low_pass(banks[0].phi_hat, index, (-1,)))
    for a, b in zip(by_order(torch.cat(pieces, -1), plan), expected, strict=True):
        assert (errors(x, a, b) < 1e-3).all()


# --- images


def images(shape):
    """Noise, a ramp across both axes, and a blob near a corner."""
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y, x = (torch.arange(n, dtype=torch.float64) for n in shape)
    ramp = y[:, None] / len(y) + x / len(x)
    blob = torch.exp(-((y[:, None] - 3) ** 2 + (x - 4) ** 2) / 8)
    return torch.stack([noise, ramp, blob])


@pytest.mark.parametrize(("shape", "J"), [((33, 45), 3), ((20, 64), 4), ((45, 45), 2)])
@pytest.mark.parametrize("oversampling", [0, 1, 9])
def test_a4_periodic_images_whose_sides_are_no_multiples(shape, J, oversampling):
    x = images(shape)
    options = {"boundary": "periodic", "oversampling": oversampling, "dtype": torch.float64}
    plan = scattering_plan(shape, J, L=4, **options)
    bank = morlet_2d(shape, J, 4)
    index = [torch.arange(n // 2**J) * 2**J for n in shape]
    expected = definition(x, [bank, bank], low_pass(bank.phi_hat, index, (-2, -1)))
    # as for images of fitting sizes, whose maps alias
    bounds = {0: (1e-12, 8e-3, 2e-2), 1: (1e-12, 1e-3, 1e-3), 9: (1e-12, 1e-12, 1e-12)}
    for a, b, tol in zip(
        by_order(scattering(x, plan), plan), expected, bounds[oversampling], strict=True
    ):
        assert (errors(x, a, b) < tol).all()


def test_a4_shifts_of_periodic_images_shift_coefficients():
    shape, J, (noise, *_) = (30, 44), 1, images((30, 44))
    plan = scattering_plan(shape, J, L=2, boundary="periodic", dtype=torch.float64)
    s = scattering(noise, plan)
    shifted = scattering(noise.roll((2, 4), (0, 1)), plan)
    torch.testing.assert_close(shifted, s.roll((1, 2), (-2, -1)), rtol=0, atol=1e-12)
    # of sides that no step divides too: by all of the side
    options = {"boundary": "periodic", "oversampling": 3, "dtype": torch.float64}
    plan = scattering_plan((27, 45), 3, L=2, **options)
    x = noise.new_zeros(27, 45)
    x[26, 44] = 1
    around = scattering(x.roll((1, 1), (0, 1)), plan)
    inside = scattering(x.roll((17, 33), (0, 1)), plan)
    torch.testing.assert_close(inside[:, 2, 4], around[:, 0, 0], rtol=0, atol=1e-12)


# --- the mean over the signal


def corner_blob():
    return images((32, 32))[2], 5


def ramp_45():
    return images((45, 45))[1], 4


def click():
    x = torch.zeros(1024, dtype=torch.float64)
    x[0] = 1
    return x, 6


@pytest.mark.parametrize("case", [corner_blob, ramp_45, click])
@pytest.mark.parametrize("oversampling", [0, 1])
def test_a2_global_average_is_that_of_the_maps(case, oversampling):
    x, J = case()
    options = {"dtype": torch.float64, "averaging": "global", "L": 4, "Q": (1, 1)}
    plan = scattering_plan(x.shape, J, oversampling=oversampling, **options)
    full = scattering_plan(x.shape, J, oversampling=9, **options)
    geometry, axes = full.geometry, tuple(range(-x.ndim, 0))
    extended = extend(x.reshape(1, *geometry.shape), full.index, "reflect")
    extended = extended.reshape(1, *geometry.span[: x.ndim])
    shape = extended.shape[1:]
    bank = morlet_1d(shape[0], J) if x.ndim == 1 else morlet_2d(tuple(shape), J, 4)
    inside = tuple(
        slice(left, left + n)
        for left, n in zip(geometry.left, geometry.shape[: x.ndim], strict=False)
    )

    def average(u):
        return u[(..., *inside)].mean(axes, keepdim=True)

    expected = definition(extended, [bank, bank], average)
    for p, bound in ((plan, None), (full, 1e-12)):
        found = by_order(scattering(x[None], p), p)
        for m, (a, b) in enumerate(zip(found, expected, strict=True)):
            tol = bound or ((1e-12, 2e-2, 6e-2), (1e-12, 3e-3, 3e-3))[oversampling][m]
            assert float((a - b).norm() / b.norm()) < tol


@pytest.mark.parametrize("averaging", ["local", "global"])
@pytest.mark.parametrize("n_phases", [None, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a2_no_coefficient_of_a_modulus_is_negative(averaging, n_phases, dtype):
    for x, J in (corner_blob(), click(), ramp_45()):
        options = {"averaging": averaging, "n_phases": n_phases, "L": 4}
        plan = scattering_plan(x.shape, J, dtype=dtype, **options)
        zero, *others = by_order(scattering(x.to(dtype)[None], plan), plan)
        assert all(order.min() >= 0 for order in others)
        # order 0 has the signs of the signal
        assert (scattering(-x.to(dtype)[None], plan)[:, :1] == -zero).all()


def test_a2_gradient_where_averages_are_cut_to_zero():
    x, J = click()
    plan = scattering_plan((1024,), J, dtype=torch.float64)
    x = x.clone().requires_grad_()
    s = scattering(x, plan)
    cut = s[1:] == 0
    assert cut.any()
    (gradient,) = torch.autograd.grad(s[1:][cut].sum(), x)
    assert (gradient == 0).all()
