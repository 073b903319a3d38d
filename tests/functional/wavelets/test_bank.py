from itertools import pairwise

import pytest
import torch

from skwave.functional import (
    frame_bounds,
    inverse_wavelet_transform,
    littlewood_paley,
    morlet_1d,
    morlet_2d,
    tight_frame,
    wavelet_transform,
)

BANKS = {
    "N=256 Q=1": morlet_1d(256, J=4),
    "N=255 Q=4": morlet_1d(255, J=4, Q=4),
    "N=300 Q=8": morlet_1d(300, J=3, Q=8),
    "32x32": morlet_2d((32, 32), J=2),
    "33x45 L=6": morlet_2d((33, 45), J=3, L=6),
    "32x40 Q=2": morlet_2d((32, 40), J=2, L=4, Q=2),
}


@pytest.fixture(params=BANKS)
def bank(request):
    return BANKS[request.param]


def energy(x):
    return float(x.abs().square().sum())


@pytest.mark.parametrize("n", [512, 1000])
@pytest.mark.parametrize(("J", "Q"), [(4, 1), (5, 1), (5, 2), (5, 4), (5, 8), (6, 16)])
def test_bounds_of_morlet_1d(n, J, Q):
    bank = morlet_1d(n, J, Q)
    lower, upper = frame_bounds(bank)
    assert lower > 0
    # the low-pass at 0; wavelets of peak 1 give half of it elsewhere
    assert upper == pytest.approx(1, abs=1e-3)
    omega = torch.fft.fftfreq(n).abs()
    covered = littlewood_paley(bank)[omega <= bank.wavelets[0].xi]
    assert float(covered.min()) > 0.15
    assert float(littlewood_paley(bank)[omega > 0.4 / 2**J].max()) < 0.7


@pytest.mark.parametrize("shape", [(32, 32), (48, 45)])
@pytest.mark.parametrize(("J", "L", "Q"), [(2, 8, 1), (3, 8, 1), (3, 6, 1), (3, 4, 2), (3, 8, 2)])
def test_bounds_of_morlet_2d(shape, J, L, Q):
    bank = morlet_2d(shape, J, L, Q)
    lower, upper = frame_bounds(bank)
    assert lower > 0.005
    assert 1 <= upper < 1.05
    y, x = (torch.fft.fftfreq(n) for n in shape)
    disc = (y[:, None] ** 2 + x**2).sqrt() < 0.4  # all but the corners
    assert float(littlewood_paley(bank)[disc].min()) > 0.4


def test_littlewood_paley_is_the_gain_of_the_transform(bank, randn):
    x = randn(*bank.shape)
    low, high = wavelet_transform(x, bank)
    gain = (littlewood_paley(bank) * torch.fft.fftn(x).abs() ** 2).mean()
    assert energy(low) + energy(high) == pytest.approx(float(gain), rel=1e-12)
    lower, upper = frame_bounds(bank)
    assert lower * energy(x) <= energy(low) + energy(high) <= upper * energy(x)


def test_wavelet_transform_is_a_convolution(bank, randn):
    x = randn(*bank.shape)
    low, high = wavelet_transform(x, bank)
    # at one position, with filters of the other direction of time
    psi = torch.fft.ifftn(bank.psi_hat, dim=bank.axes)
    phi = torch.fft.ifftn(bank.phi_hat, dim=bank.axes).real
    position = tuple(n // 3 for n in bank.shape)
    for filters, y in ((psi, high), (phi, low)):
        f = filters.flip(bank.axes).roll([p + 1 for p in position], bank.axes)
        expected = (f * x).sum(bank.axes)
        torch.testing.assert_close(y[(..., *position)], expected, rtol=0, atol=1e-12)


def test_tight_frame_is_an_isometry(bank, randn):
    tight = tight_frame(bank)
    ones = torch.ones(bank.shape, dtype=torch.float64)
    torch.testing.assert_close(littlewood_paley(tight), ones, rtol=0, atol=1e-12)
    x, y = randn(*bank.shape), randn(*bank.shape)
    (low_x, high_x), (low_y, high_y) = wavelet_transform(x, tight), wavelet_transform(y, tight)
    assert energy(low_x) + energy(high_x) == pytest.approx(energy(x), rel=1e-12)
    inner = (low_x * low_y).sum() + (high_x * high_y.conj()).sum().real
    torch.testing.assert_close(inner, (x * y).sum(), rtol=0, atol=1e-10)


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
@pytest.mark.parametrize("tight", [False, True])
def test_inverse_wavelet_transform(bank, randn, batch, tight):
    bank = tight_frame(bank) if tight else bank
    x = randn(*batch, *bank.shape)
    low, high = wavelet_transform(x, bank)
    assert low.shape == x.shape
    assert high.shape == (*batch, len(bank.wavelets), *bank.shape)
    y = inverse_wavelet_transform(low, high, bank)
    torch.testing.assert_close(y, x, rtol=0, atol=1e-10)


def test_inverse_needs_the_wavelets(bank, randn):
    x = randn(*bank.shape)
    low, high = wavelet_transform(x, bank)
    y = inverse_wavelet_transform(low, torch.zeros_like(high), bank)
    assert energy(y - x) > 0.5 * energy(x)


def test_bank_on_another_dtype(bank):
    single = bank.to(torch.float32)
    assert single.psi_hat.dtype == single.phi_hat.dtype == torch.float32
    assert single.wavelets == bank.wavelets
    assert single.shape == bank.shape == tuple(bank.psi_hat.shape[1:])
    assert bank.psi_hat.dtype == torch.float64


def cascade(x, bank, max_order, keep):
    # energies of S_0 .. S_m and of U_0 .. U_{m+1} along the paths (n, n', ...) that are kept
    u, paths = x[None], [()]
    averages, moduli = [], [energy(x)]
    for _ in range(max_order + 1):
        low, high = wavelet_transform(u, bank)
        averages.append(energy(low))
        longer = [[(*p, n) for n in range(len(bank.wavelets))] for p in paths]
        chosen = torch.tensor([[keep(p) for p in row] for row in longer])
        u = high.abs()[chosen]
        paths = [p for row in longer for p in row if keep(p)]
        moduli.append(energy(u))
    return averages, moduli


@pytest.mark.parametrize("name", ["N=256 Q=1", "16x16"])
def test_energy_is_conserved_along_the_cascade(randn, name):
    bank = tight_frame(BANKS.get(name) or morlet_2d((16, 16), J=2, L=4))
    x = randn(*bank.shape)
    averages, moduli = cascade(x, bank, 2, keep=lambda path: True)
    for m in range(3):
        total = sum(averages[: m + 1]) + moduli[m + 1]
        assert total == pytest.approx(energy(x), rel=1e-12)


@pytest.mark.parametrize("name", ["N=256 Q=1", "32x32"])
def test_energy_moves_to_the_averages(randn, name):
    # paths of growing scale hold nearly all, and less is left at every order
    bank = tight_frame(BANKS[name])
    js = [w.j for w in bank.wavelets]

    def growing(path):
        return all(js[a] < js[b] for a, b in pairwise(path))

    averages, moduli = cascade(randn(*bank.shape), bank, 2, growing)
    assert moduli[0] > moduli[1] > 3 * moduli[2] > 9 * moduli[3]
    assert sum(averages) > 0.85 * moduli[0]
