import math

import numpy as np
import pytest
import torch

from skwave.functional import frame_bounds, littlewood_paley
from skwave.functional._wavelets.bump import (
    bump,
    bump_1d,
    bump_2d,
    gaussian_spectrum,
    low_pass_width,
    steerable_gain,
)

from .._harmonics_reference import bump_steerable, gaussian


@pytest.mark.parametrize(
    ("shape", "J", "L"), [((32, 32), 3, 4), ((33, 40), 4, 3), ((24, 48), 2, 8)]
)
def test_wavelets_are_the_closed_form(shape, J, L):
    bank = bump_2d(shape, J, L)
    expected = [bump_steerable(shape, j, np.pi * l / L, L) for j in range(J) for l in range(L)]
    np.testing.assert_allclose(bank.psi_hat.numpy(), expected, rtol=0, atol=1e-12)
    assert [(w.j, w.theta) for w in bank.wavelets] == [(j, l) for j in range(J) for l in range(L)]


@pytest.mark.parametrize(("n", "J"), [(64, 4), (45, 3)])
def test_wavelets_of_signals_are_the_closed_form(n, J):
    bank = bump_1d(n, J)
    # one orientation, along the first axis
    expected = [bump_steerable((n, 1), j, np.pi / 2, 1)[:, 0] for j in range(J)]
    np.testing.assert_allclose(bank.psi_hat.numpy(), expected, rtol=0, atol=1e-12)
    assert bank.shape == (n,)
    # analytic, but for what is folded back from above the largest frequency
    assert not bank.psi_hat[1:, n // 2 + 1 :].any()


def test_littlewood_paley_sum_of_the_published_bank():
    # N=64, J=6, L=8: the sum over all 2L angles and the low-pass is within [.503, 1.127]
    bank = bump_2d((64, 64), 6, 8)
    both = 2 * littlewood_paley(bank) - bank.phi_hat.square()
    assert float(both.min()) == pytest.approx(0.503, abs=1e-3)
    assert float(both.max()) == pytest.approx(1.127, abs=1e-3)
    assert float(both[32, 32]) == pytest.approx(0.503, abs=1e-3)  # at the corner (pi, pi)


def test_energy_is_within_the_frame_bounds(randn):
    bank = bump_2d((40, 32), 3, 4)
    lower, upper = frame_bounds(bank)
    assert 0 < lower < upper
    x = randn(40, 32)
    x_hat = torch.fft.fft2(x)
    fields = torch.fft.ifft2(x_hat * torch.cat((bank.psi_hat, bank.phi_hat[None])))
    energy = fields.abs().square().sum()
    assert lower * x.square().sum() <= energy <= upper * x.square().sum()
    expected = (littlewood_paley(bank) * x_hat.abs().square()).mean()
    torch.testing.assert_close(energy, expected)


@pytest.mark.parametrize("L", [1, 2, 3, 8])
def test_energy_of_the_orientations_is_isotropic(L):
    # sum over the 2L angles of cos(phi - theta)^(2L - 2) is the same for every phi
    phi = torch.linspace(0, 2 * math.pi, 50, dtype=torch.float64)
    theta = math.pi * torch.arange(2 * L, dtype=torch.float64)[:, None] / L
    cosine = torch.cos(phi - theta)
    total = torch.where(cosine > 1e-14, cosine ** (2 * L - 2), 0.0).sum(0)
    if L > 1:
        torch.testing.assert_close(total, total.mean().expand(50))
        # 1 / 1.29^2: a quarter of the mean of 4 * 1.29^2, by the constant
        torch.testing.assert_close(
            steerable_gain(L) ** 2 * total.mean() * 1.29**2,
            torch.tensor(1.0, dtype=torch.float64),
        )


def test_bump_is_compact_and_one_at_its_centre():
    r = torch.tensor([-0.1, 0.0, 1e-3, 0.5, 1.0, 1.999, 2.0, 3.0], dtype=torch.float64)
    b = bump(r, 1.0)
    assert b[4] == 1
    torch.testing.assert_close(b[3], torch.tensor(math.exp(-1 / 3), dtype=torch.float64))
    assert not b[[0, 1, 6, 7]].any()
    assert (b[[2, 3, 4, 5]] >= 0).all()


def test_wavelets_are_compact():
    n, J = 64, 4
    w = 2 * math.pi * torch.fft.fftfreq(n, dtype=torch.float64)
    radius = torch.hypot(w[:, None], w)
    psi_hat = bump_2d((n, n), J, 4).psi_hat.view(J, 4, n, n)
    for j in range(1, J):
        assert not psi_hat[j][:, radius >= 1.7 * math.pi / 2**j].any()
    assert not psi_hat[..., 0, 0].any()


@pytest.mark.parametrize("shape", [(32, 24), (15, 32)])
def test_low_pass_is_a_sampled_gaussian(shape):
    for j in (-1, 0, 1.5):
        sigma = 2**j / (0.496 * 2**-0.55 * 0.85 * math.pi)
        np.testing.assert_allclose(
            gaussian_spectrum(shape, sigma).numpy(), gaussian(shape, j), rtol=0, atol=1e-12
        )
    # that of Zhang and Mallat is about pywph's two octaves below
    assert low_pass_width(5) == pytest.approx(2**3 / (0.496 * 2**-0.55 * 0.85 * math.pi), rel=2e-3)
    assert float(bump_2d(shape, 2, 2).phi_hat[0, 0]) == pytest.approx(1, abs=1e-9)
