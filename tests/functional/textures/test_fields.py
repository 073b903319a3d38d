import math

import numpy as np
import pytest
import torch

from skwave.functional._textures.fields import Fields, averaging_masks, field_plan, reference
from skwave.functional._wavelets.fourier import fft, ifft, resize_spectrum
from skwave.functional._wavelets.morlet import morlet_2d

from .._harmonics_reference import bump_steerable, filtered

# a sample, an odd and an uneven grid, a signal
SHAPES = [((32, 32), 4), ((33, 27), 3), ((40, 48), 2), ((37, 1), 1)]


def angle_of(shape, l, L):
    return np.pi / 2 if shape[1] == 1 else np.pi * l / L


def interpolated(x_hat, grid):
    """Values of a sampled field at the points of a coarser grid, by its Fourier series."""
    for axis, n in enumerate(grid):
        size = x_hat.shape[axis]
        k = np.fft.fftfreq(size, 1 / size)
        wave = np.exp(2j * np.pi * np.outer(np.arange(n) / n, k)) / size
        x_hat = np.moveaxis(np.tensordot(wave, x_hat, (1, axis)), 0, axis)
    return x_hat


@pytest.mark.parametrize(("shape", "L"), SHAPES)
@pytest.mark.parametrize("oversampling", [0, 1])
def test_fields_are_samples_of_those_at_full_resolution(randn, shape, L, oversampling):
    J, x = 3, randn(*shape)
    plan = field_plan(shape, J, L, oversampling=oversampling)
    fields = Fields(x[None, None], plan)
    for j in range(J):
        grid = plan.grids[j]
        assert all(
            h >= min(n, 2**oversampling * 2 * n / 2**j) for h, n in zip(grid, shape, strict=True)
        )
        for l in range(L):
            psi = bump_steerable(shape, j, angle_of(shape, l, L), L)
            expected = interpolated(np.fft.fft2(x.numpy()) * psi, grid)
            w = fields.harmonic(j, 1, grid)[0, 0, l].numpy()
            np.testing.assert_allclose(w, expected, rtol=0, atol=1e-12)
            for k, power in ((0, abs(expected) - abs(expected).mean()), (3, None)):
                if power is None:
                    power = abs(expected) * np.exp(3j * np.angle(expected))
                found = fields.harmonic(j, k, grid)[0, 0, l].numpy()
                np.testing.assert_allclose(found, power, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("shape", "L"), SHAPES)
def test_finer_grids_show_the_same_field(randn, shape, L):
    plan = field_plan(shape, 3, L)
    fields = Fields(randn(1, 1, *shape), plan)
    w, fine = fields.harmonic(2, 1, plan.grids[2]), fields.harmonic(2, 1, shape)
    torch.testing.assert_close(w.abs().square().mean(), fine.abs().square().mean())
    if all(n % h == 0 for n, h in zip(shape, plan.grids[2], strict=True)):
        steps = [n // h for n, h in zip(shape, plan.grids[2], strict=True)]
        torch.testing.assert_close(fine[..., :: steps[0], :: steps[1]], w)


@pytest.mark.parametrize("k", [0, 1, 2])
def test_spectra_are_those_of_the_fields(randn, k):
    shape, plan = (32, 24), field_plan((32, 24), 3, 2)
    fields = Fields(randn(2, 3, *shape), plan)
    for grid in plan.grids[1:3]:
        fine = plan.grids[1]
        h = fields.harmonic(2 if grid == fine else 1, k, fine)
        h_hat = fields.spectrum(2 if grid == fine else 1, k, grid)
        assert h_hat.shape == (2, 3, 2, *grid)
        rows, columns = (np.fft.fftfreq(n, 1 / n).astype(int) for n in grid)
        expected = fft(h)[..., rows[:, None] % fine[0], columns % fine[1]]
        # the frequency that a smaller grid cannot tell from its opposite is left out or halved
        inner = np.ix_(abs(rows) < grid[0] // 2, abs(columns) < grid[1] // 2)
        torch.testing.assert_close(h_hat[(..., *inner)], expected[(..., *inner)])
        assert fields.spectrum(2 if grid == fine else 1, k, grid) is not None


def test_products_of_spectra_are_means_of_products(randn):
    a, b = randn(16, 9), randn(16, 9)
    torch.testing.assert_close((fft(a) * fft(b).conj()).sum().real, (a * b).mean())
    torch.testing.assert_close(ifft(fft(a)).real, a)


@pytest.mark.parametrize(
    ("small", "large"), [((8, 6), (16, 9)), ((7, 5), (8, 12)), ((7, 1), (9, 1))]
)
def test_padded_spectra_are_the_same_series(small, large):
    generator = np.random.default_rng(0)
    k = [np.fft.fftfreq(n, 1 / n) for n in small]
    inner = np.logical_and.outer(*(2 * abs(q) < n for q, n in zip(k, small, strict=True)))
    x_hat = (generator.standard_normal(small) + 1j * generator.standard_normal(small)) * inner
    y = ifft(resize_spectrum(torch.from_numpy(x_hat), large)).numpy()
    np.testing.assert_allclose(y, interpolated(x_hat * np.prod(small), large), atol=1e-13)


def eroded(valid, radius):
    n, m = valid.shape
    good = np.zeros(valid.shape, bool)
    for y in range(n):
        for x in range(m):
            inside = radius <= y < n - radius and (m == 1 or radius <= x < m - radius)
            width = radius if m > 1 else 0
            good[y, x] = (
                inside
                and valid[
                    max(y - radius, 0) : y + radius + 1, max(x - width, 0) : x + width + 1
                ].all()
            )
    return good


@pytest.mark.parametrize("shape", [(32, 24), (33, 1)])
def test_masks_leave_out_what_is_near_to_what_is_not_valid(shape):
    valid = np.ones(shape, bool)
    valid[5, 0] = valid[6, -1] = False
    J = 3
    plan = field_plan(shape, J, 1, valid=torch.from_numpy(valid))
    for j in range(J + 1):
        good = eroded(valid, 2 ** min(j, J - 1))
        mask = plan.masks[j].numpy()
        np.testing.assert_allclose(mask, good / good.mean(), rtol=1e-14)


def test_averages_are_over_the_valid_samples(randn):
    shape, J = (32, 32), 3
    valid = torch.ones(shape, dtype=bool)
    plan = field_plan(shape, J, 2, valid=valid)
    fields = Fields(randn(1, 1, *shape), plan)
    u = randn(3, *shape)
    for j, r in enumerate((1, 2, 4)):
        torch.testing.assert_close(fields.average(u, j), u[:, r:-r, r:-r].mean((-2, -1)))
        changed = u.clone()
        changed[:, :r] = changed[..., -r:] = 1e6
        assert torch.equal(fields.average(u, j), fields.average(changed, j))
        mask = fields.mask(j, plan.grids[2])
        step = 32 // plan.grids[2][0]
        expected = plan.masks[j][::step, ::step]
        torch.testing.assert_close(mask, expected / expected.mean())
    assert float(fields.average(torch.ones(shape, dtype=torch.float64), 2)) == pytest.approx(1)


def test_no_valid_sample():
    valid = torch.zeros(32, 32, dtype=bool)
    valid[:8, :8] = True  # 8 wide: nothing is farther than 4 from what is not valid
    field_plan((32, 32), 2, 2, valid=valid)
    with pytest.raises(ValueError, match=r"2\*\*\(J - 1\) = 4 .* use a smaller J"):
        field_plan((32, 32), 3, 2, valid=valid)


def test_given_means_are_subtracted(randn):
    shape = (16, 16)
    plan, x = field_plan(shape, 2, 2), randn(2, 1, *shape) + 3
    means = [torch.full((1, 2), 0.5, dtype=torch.float64)] * 2
    fields = Fields(x, plan, torch.tensor([3.0], dtype=torch.float64), means)
    torch.testing.assert_close(fields.x_hat[..., 0, 0].real, (x.mean((-2, -1)) - 3)[..., None])
    u = fields.harmonic(1, 0, plan.grids[1])
    torch.testing.assert_close(u, fields.harmonic(1, 1, plan.grids[1]).abs() - 0.5)


def test_rectified_fields(randn):
    plan = field_plan((16, 16), 2, 2, n_phases=3)
    fields = Fields(randn(1, 1, 16, 16), plan)
    w = fields.harmonic(0, 1, plan.grids[0])
    u = fields.envelope(w)
    assert u.shape == (1, 1, 6, 16, 16)
    for l in range(2):
        for a in range(3):
            expected = (np.exp(2j * math.pi * a / 3) * w[:, :, l]).real.clamp(min=0)
            torch.testing.assert_close(u[:, :, 3 * l + a], expected)
    torch.testing.assert_close(
        fields.harmonic(0, 0, plan.grids[0]), u - u.mean((-2, -1), keepdim=True)
    )


def test_morlet_fields(randn):
    shape, x = (32, 32), randn(32, 32)
    fields = Fields(x[None, None], field_plan(shape, 2, 3, wavelet="morlet"))
    psi_hat = morlet_2d(shape, 2, 3).psi_hat
    w = fields.harmonic(1, 1, shape)[0, 0].numpy()
    expected = np.stack([filtered(x.numpy() - x.numpy().mean(), h.numpy()) for h in psi_hat[3:6]])
    np.testing.assert_allclose(w, expected, rtol=0, atol=1e-12)


def test_reference_of_several_realisations(image):
    x = torch.stack([image(2, 16, 16), 2 * image(2, 16, 16).flip(-1)])
    plan = field_plan((16, 16), 2, 2)
    ref, each = reference(x, plan), [reference(y[None], plan) for y in x]
    torch.testing.assert_close(ref.mean, (each[0].mean + each[1].mean) / 2)
    for j in range(2):
        torch.testing.assert_close(ref.means[j], (each[0].means[j] + each[1].means[j]) / 2)
        power = (each[0].waves[j].square() + each[1].waves[j].square()) / 2
        torch.testing.assert_close(ref.waves[j].square(), power)
        moduli = [e.moduli[j].square() + (e.means[j] - ref.means[j]).square() for e in each]
        torch.testing.assert_close(ref.moduli[j].square(), (moduli[0] + moduli[1]) / 2)


def test_reference_in_batches(image):
    x = torch.stack([k * image(2, 16, 16) + k for k in range(1, 6)])
    plan = field_plan((16, 16), 2, 2, n_phases=3)
    whole, batches = reference(x, plan), reference(x, plan, batch_size=2)
    for a, b in zip(whole, batches, strict=True):
        torch.testing.assert_close(b, a)


@pytest.mark.parametrize("periodic", [False, True])
def test_a_hole_is_left_out_with_its_surroundings(periodic):
    valid = torch.ones(32, 32, dtype=torch.bool)
    valid[3, 20] = False
    y, x = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    for j, mask in enumerate(averaging_masks(valid, 4, periodic=periodic)):
        reach = 2 ** min(j, 3)
        dy, dx = (y - 3).abs(), (x - 20).abs()
        if periodic:
            far = (torch.minimum(dy, 32 - dy) > reach) | (torch.minimum(dx, 32 - dx) > reach)
        else:
            inside = (y >= reach) & (y < 32 - reach) & (x >= reach) & (x < 32 - reach)
            far = ((dy > reach) | (dx > reach)) & inside
        torch.testing.assert_close(mask > 0, far)
        assert float(mask.mean()) == pytest.approx(1)
