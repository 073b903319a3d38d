"""Two-dimensional turbulence: exact solutions, balances, orders of convergence, seeds."""

import math

import numpy as np
import pytest
import torch

from skwave.datasets import make_turbulence
from skwave.datasets._turbulence import _subsample, evolve


def grid(n):
    x = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
    return torch.meshgrid(x, x, indexing="ij")


def vortices(n):
    """A smooth flow that is not steady."""
    y, x = grid(n)
    return torch.cos(x) + torch.sin(2 * y + 0.3) + torch.cos(2 * x - y) + torch.sin(3 * x + y)


def advection(w):
    """-u.grad(w) by complex transforms, term by term."""
    n = len(w)
    k = torch.fft.fftfreq(n, 1 / n, dtype=torch.float64)
    ky, kx = k[:, None], k[None]
    w_hat = torch.fft.fft2(w)
    psi_hat = -w_hat / (kx**2 + ky**2).clamp(min=1)
    u, v, w_x, w_y = (
        torch.fft.ifft2(1j * f).real for f in (-ky * psi_hat, kx * psi_hat, kx * w_hat, ky * w_hat)
    )
    return -(u * w_x + v * w_y)


@pytest.mark.parametrize("n", [24, 26])
def test_taylor_green_vortex(n):
    """Its advection is 0, and it decays by exp(-2 nu t); so do other eigenfunctions."""
    y, x = grid(n)
    for w, square in ((2 * torch.cos(x) * torch.cos(y), 2), (torch.sin(3 * x + 2 * y), 13)):
        evolved, steps = evolve(w, 0.05, 2.0, 0.5)
        torch.testing.assert_close(evolved, w * math.exp(-0.05 * square * 2.0), rtol=0, atol=1e-12)
        assert steps > 2


def test_at_rest_and_at_time_0():
    w = torch.zeros(16, 16, dtype=torch.float64)
    assert torch.equal(evolve(w, 0.1, 3.0, 0.1)[0], w)
    w = vortices(24)
    evolved, steps = evolve(w, 0.1, 0.0, 0.1)
    torch.testing.assert_close(evolved, w, rtol=0, atol=1e-13)
    assert steps == 0


def test_the_rate_of_change():
    """By a reference in another form: products of velocities and gradients."""
    w, t = vortices(48), 1e-5
    forward, _ = evolve(w, 0.0, t, 0.5)
    torch.testing.assert_close((forward - w) / t, advection(w), rtol=0, atol=2e-4)
    assert advection(w).abs().max() > 1


@pytest.mark.parametrize("n", [24, 25, 26])
def test_the_rule_of_two_thirds(n, randn):
    w = randn(n, n)
    k = torch.fft.fftfreq(n, 1 / n, dtype=torch.float64)
    square = k[:, None] ** 2 + k[None] ** 2
    kept = (square > 0) & (square < (n / 3) ** 2)
    expected = torch.fft.ifft2(torch.fft.fft2(w) * kept).real
    torch.testing.assert_close(evolve(w, 0.0, 0.0, 0.1)[0], expected)
    assert not torch.fft.fft2(evolve(w, 0.0, 0.05, 0.1)[0])[~kept].abs().max() > 1e-10


def test_number_of_steps():
    """The fastest fluid of this steady flow has speed 1."""
    y, x = grid(24)
    _, steps = evolve(2 * torch.cos(x) * torch.cos(y), 0.0, 2.0, 0.5)
    assert steps == math.ceil(2.0 / (0.5 * 2 * math.pi / 24))


def test_second_order_in_time():
    w = vortices(32)
    reference = evolve(w, 0.01, 0.5, 0.01)[0]
    coarse, fine = ((evolve(w, 0.01, 0.5, c)[0] - reference).norm() for c in (0.4, 0.2))
    assert 3.6 < coarse / fine < 4.5


def test_energy_and_enstrophy():
    """Conserved without viscosity; with it, dE/dt = -2 nu Z and both fall."""

    def balance(w):
        n = len(w)
        k = torch.fft.fftfreq(n, 1 / n, dtype=torch.float64)
        square = (k[:, None] ** 2 + k[None] ** 2).clamp(min=1)
        power = torch.fft.fft2(w).abs().square() / n**4
        return float((power / square).sum() / 2), float(power.sum() / 2)

    w = vortices(64)
    energy, enstrophy = balance(w)
    ideal = balance(evolve(w, 0.0, 1.0, 0.05)[0])
    assert ideal == pytest.approx((energy, enstrophy), rel=1e-5)
    later = balance(evolve(w, 0.01, 0.01, 0.1)[0])
    assert (later[0] - energy) / 0.01 == pytest.approx(-2 * 0.01 * enstrophy, rel=5e-3)
    assert balance(evolve(w, 0.01, 1.0, 0.2)[0]) < later < (energy, enstrophy)


def test_subsampling_is_exact():
    torch.testing.assert_close(_subsample(vortices(32)), vortices(16), rtol=0, atol=1e-13)
    y, x = grid(32)
    beyond = torch.cos(9 * x) + torch.sin(12 * y) + torch.cos(8 * x - 3 * y) + torch.cos(8 * y)
    assert _subsample(beyond).abs().max() < 1e-13


def test_samples():
    w = make_turbulence(3, 32, time=0.5, random_state=0)
    assert w.shape == (3, 32, 32) and w.dtype == np.float32
    assert np.abs(w.mean((1, 2))).max() < 1e-6
    assert np.abs(np.corrcoef(w.reshape(3, -1)) - np.eye(3)).max() < 0.2
    np.testing.assert_array_equal(w[:2], make_turbulence(2, 32, time=0.5, random_state=0))
    assert not np.array_equal(w[:1], make_turbulence(1, 32, time=0.5, random_state=1))
    rng = np.random.RandomState(0)
    np.testing.assert_array_equal(w, make_turbulence(3, 32, time=0.5, random_state=rng))


def test_precision_and_amplitude():
    w = make_turbulence(1, 16, time=0.2, random_state=0, dtype=np.float64)
    assert w.dtype == np.float64
    single = make_turbulence(1, 16, time=0.2, random_state=0)
    np.testing.assert_allclose(single, w, atol=1e-4 * w.std())
    # twice as fast for half as long, with twice the viscosity, is the same flow
    twice = make_turbulence(
        1, 16, time=0.1, viscosity=2e-4, amplitude=20.0, random_state=0, dtype=np.float64
    )
    np.testing.assert_allclose(twice, 2 * w, rtol=1e-10, atol=1e-10)


def test_the_noise_is_smooth_at_first():
    """Its variance: 100 for each pixel of white noise, times the power of the Gaussian."""
    w = make_turbulence(1, 128, time=0.0, random_state=0)
    k = np.fft.fftfreq(128, 1 / 128)
    square = k[:, None] ** 2 + k[None] ** 2
    kept = (np.abs(k)[:, None] < 64) & (np.abs(k)[None] < 64) & (square > 0)
    kept &= square < (256 / 3) ** 2
    gain = np.exp(-((0.8 * np.pi / 128) ** 2) * square)
    expected = 100 * gain[kept].sum() / 256**2
    assert w.var() == pytest.approx(expected, rel=0.05)


def test_progress(capsys):
    make_turbulence(2, 8, time=0.1, random_state=0, verbose=1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[1].startswith("[make_turbulence] sample 2/2: ")
    make_turbulence(1, 8, time=0.1, random_state=0)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("n_samples", 0, "positive integer"),
        ("size", 15, "even integer"),
        ("size", 6, "even integer of at least 8"),
        ("size", 16.0, "even integer"),
        ("viscosity", -1e-4, "finite number"),
        ("time", math.inf, "finite number"),
        ("amplitude", "10", "finite number"),
        ("courant", 0, "above 0 and at most"),
        ("courant", 0.6, "small eddies"),
        ("dtype", np.float16, r"numpy\.float32 or numpy\.float64"),
    ],
)
def test_bad_input(parameter, value, message):
    with pytest.raises(ValueError, match=rf"{parameter} must be .*{message}"):
        make_turbulence(**{"size": 8, "time": 0.0, parameter: value})
