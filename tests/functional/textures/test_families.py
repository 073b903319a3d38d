import numpy as np
import pytest
import torch

from skwave.functional._textures.families import moment_family, moment_layout
from skwave.functional._textures.fields import reference
from skwave.functional._textures.registry import FAMILIES, GROUPS

from .._harmonics_reference import moments_of

SIGNALS = [name for name, groups in FAMILIES.items() if not any(g.images_only for g in groups)]
NAMES = [*FAMILIES, *((name,) for name in GROUPS), ("K", "S11")]


@pytest.mark.parametrize("moments", NAMES, ids=str)
@pytest.mark.parametrize("wavelet", ["bump", "morlet"])
def test_every_moment_has_a_row_of_its_own(randn, moments, wavelet):
    layout = moment_layout((12, 16), 2, 2, moments, n_phases=3)
    family = moment_family(layout, wavelet=wavelet)
    for n_channels in (1, 2):
        rows = layout.rows(n_channels)
        m = family.moments(randn(2, n_channels, 12, 16), None, True)
        assert m.shape == (2, len(rows))
        assert m.isfinite().all()
        assert len(set(rows)) == len(rows)
        assert {r.c1 for r in rows} == set(range(n_channels))


@pytest.mark.parametrize("moments", SIGNALS)
def test_families_of_signals(randn, moments):
    layout = moment_layout((24, 1), 2, 1, moments)
    m = moment_family(layout).moments(randn(2, 1, 24, 1), None, True)
    rows = layout.rows()
    assert m.shape == (2, len(rows)) == (2, len(set(rows)))


@pytest.mark.parametrize("normalize", [False, True])
def test_translation_invariance(image, normalize):
    shape, layout = (32, 24), moment_layout((32, 24), 3, 3)
    x = image(2, *shape)
    expected = moments_of(x, layout, normalize, oversampling=2)
    moved = moments_of(x.roll((5, -7), (-2, -1)), layout, normalize, oversampling=2)
    np.testing.assert_allclose(moved, expected, rtol=1e-9, atol=1e-11)
    # of steps of the coarsest grid, on the usual grids too
    expected = moments_of(x, layout, normalize)
    moved = moments_of(x.roll((8, -4), (-2, -1)), layout, normalize)
    np.testing.assert_allclose(moved, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    "moments", ["phase_harmonic", "scattering_covariance", "rectifier", "gaussian", "model_d"]
)
def test_normalised_moments_do_not_change_with_gain_and_offset(image, moments):
    x, layout = image(2, 16, 16), moment_layout((16, 16), 2, 2, moments)
    expected = moments_of(x, layout, True)
    gain = torch.tensor([3.0, 0.1], dtype=torch.float64)[:, None, None]
    np.testing.assert_allclose(
        moments_of(gain * x + 7, layout, True), expected, rtol=1e-9, atol=1e-12
    )
    assert abs(moments_of(gain * x, layout, False) - moments_of(x, layout, False)).max() > 0.01


def test_a_constant_has_moments_zero():
    layout = moment_layout((16, 16), 2, 2)
    m = moments_of(torch.full((1, 16, 16), 3.0, dtype=torch.float64), layout, True)
    assert abs(m).max() < 1e-10


@pytest.mark.parametrize("moments", ["phase_harmonic", "rectifier", "model_c", "model_d"])
def test_derivatives(randn, moments):
    layout = moment_layout((8, 8), 2, 2, moments, n_phases=2)
    family = moment_family(layout)
    x = randn(1, 1, 8, 8).requires_grad_()
    weights = randn(2, len(layout.rows())) / 10

    def f(x):
        return family.moments(x, None, True) @ weights.T

    assert torch.autograd.gradcheck(f, x)


def test_derivatives_with_a_reference_and_a_mask(randn):
    layout = moment_layout((8, 7), 2, 2)
    family = moment_family(layout, valid=torch.ones(8, 7, dtype=bool))
    x = randn(1, 2, 8, 7).requires_grad_()
    ref = reference(randn(2, 2, 8, 7), family.fields)
    weights = randn(1, len(layout.rows(2))) / 10
    assert torch.autograd.gradcheck(lambda x: family.moments(x, ref, True) @ weights.T, x)


def test_rows_of_a_batch_are_those_of_each(image):
    x = torch.stack([image(1, 16, 16), image(1, 16, 16).flip(-1)])
    family = moment_family(moment_layout((16, 16), 2, 2))
    both = family.moments(x, None, True)
    for i in range(2):
        torch.testing.assert_close(both[i : i + 1], family.moments(x[i : i + 1], None, True))


def test_single_precision(image):
    x = image(1, 32, 32)
    layout = moment_layout((32, 32), 3, 4)
    expected = moments_of(x, layout, True)
    found = moment_family(layout, dtype=torch.float32).moments(x[None].float(), None, True)[0]
    assert found.dtype == torch.float32
    found = found.numpy()
    assert np.linalg.norm(found - expected) / np.linalg.norm(expected) < 1e-5
