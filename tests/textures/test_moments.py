from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from skwave.functional import moment_family, moment_layout, moment_reduction, reduce_moments
from skwave.textures._moments import FieldMoments, SignalMoments

DEFAULTS = {
    "J": 2, "L": 3, "moments": "phase_harmonic", "shifts": 1, "harmonics": None, "n_phases": 2,
    "wavelet": "bump", "boundary": "periodic", "mask": None, "oversampling": 0,
}  # fmt: skip


def signals(shape=(16, 20), **parameters):
    return SignalMoments.of(SimpleNamespace(**{**DEFAULTS, **parameters}), shape)


@pytest.fixture
def x(randn):
    return randn(3, 2, 16, 20) ** 3 * torch.tensor([2.0, 0.1])[:, None, None] + 5


def cubes(x):
    return torch.stack([x.flatten(1).pow(p).mean(1) for p in (1, 2, 3)], 1)


@pytest.mark.parametrize("normalize", [True, False])
def test_values_are_those_of_the_family(x, normalize):
    layout = moment_layout((16, 20), 2, 3, n_lengths=1)
    expected = moment_family(layout).moments(x, None, normalize)
    torch.testing.assert_close(signals().values(x, normalize=normalize), expected)
    reduction = moment_reduction(layout.rows(2), "isotropic")
    torch.testing.assert_close(
        signals().values(x, normalize=normalize, reduce="isotropic"),
        reduce_moments(expected, reduction),
    )
    assert list(signals().rows(2)) == layout.rows(2)
    assert list(signals().rows(2, "isotropic")) == reduction.rows


def test_signals_have_one_orientation(randn):
    x, moments = randn(2, 1, 40), signals((40,), L=8)
    assert moments.on_grid(x).shape == (2, 1, 40, 1)
    layout = moment_layout((40, 1), 2, 1, n_lengths=1)
    expected = moment_family(layout).moments(x[..., None], None, True)
    torch.testing.assert_close(moments.values(x), expected)
    assert len(moments.names(1)) == len(set(moments.names(1))) == expected.shape[1]


def test_filters_are_made_once_for_all_threads():
    moments, like = signals(shifts=0, oversampling=1, n_phases=5), torch.empty(1, 1, 16, 20)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: moments.family(like), range(8)))
    assert all(family is found[0] for family in found)
    assert moments.family(like.double()) is not found[0]
    assert signals(shifts=0, oversampling=1, n_phases=5).family(like) is found[0]


def test_samples_are_counted_where_the_mask_says():
    mask = np.zeros((16, 20), bool)
    mask[2:14, 3:] = True
    assert torch.equal(signals(mask=mask).counting(), torch.from_numpy(mask))
    assert signals(mask=mask.tolist()).counting().sum() == mask.sum()
    assert signals(boundary="crop").counting().all()
    # samples of a model are periodic and whole
    like = torch.empty(1, 1, 16, 20, dtype=torch.float64)
    masked, sampled = (signals(mask=mask).family(like, sampled=flag) for flag in (False, True))
    assert masked.fields.masks and not sampled.fields.masks


def test_standardised_fields(x):
    moments = FieldMoments.fitted(signals(), x)
    z = moments.standardised(x)
    torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(2, dtype=z.dtype), atol=1e-12, rtol=0)
    torch.testing.assert_close(
        z.square().mean((0, 2, 3)), torch.ones(2, dtype=z.dtype), rtol=1e-12, atol=0
    )
    mean, scale = moments.unit()
    np.testing.assert_allclose(z.numpy() * scale + mean, x.numpy())


def test_what_is_masked_is_the_mean(x):
    mask = np.ones((16, 20), bool)
    mask[:, :6] = False
    moments = FieldMoments.fitted(signals(mask=mask, J=1), x)
    z = moments.counted(x)
    assert not z[..., :6].any()
    torch.testing.assert_close(z[..., 6:], moments.standardised(x)[..., 6:])
    other = torch.where(torch.from_numpy(mask), x, 1e3)
    torch.testing.assert_close(moments.of_data(other), moments.of_data(x))
    np.testing.assert_allclose(moments.mean, x.numpy()[..., 6:].mean((0, 2, 3)))


def distance(phi, t):
    # of one group: errors relative to what is larger than 1, linear where they are large
    square = (phi - t) ** 2 / (1 + t**2)
    return (2 * (np.sqrt(1 + square) - 1)).sum(1) / (t**2 / (1 + t**2) + 0.05**2).sum()


@pytest.mark.parametrize("kind", ["phase_harmonic", "scattering_covariance", "gaussian", cubes])
def test_energy_is_the_distance_of_moments(x, kind):
    moments = FieldMoments.fitted(signals(moments=kind), x[:1])
    energy = moments.energy(moments.of_data)
    assert float(energy(x[:1])) < 1e-24
    phi = moments.of_data(x).numpy()
    t = moments.target
    if kind is cubes:  # one group of moments of any size
        expected = ((phi - t) ** 2).sum(1) / (t**2).sum()
    else:
        labels = np.array([row.group for row in moments.signals.rows(2)])
        expected = np.mean([distance(phi[:, labels == g], t[labels == g]) for g in {*labels}], 0)
    np.testing.assert_allclose(energy(x), expected, rtol=1e-7, atol=1e-24)
    # without a mask samples are fields like the data
    z = moments.standardised(x)
    torch.testing.assert_close(moments.of_samples(z)(z), moments.of_data(x))


def test_samples_of_another_shape(x):
    moments = FieldMoments.fitted(signals(), x)
    small = x[:, :, :12, :10]
    assert moments.of_samples(small)(small).shape == (3, len(moments.target))
    assert moments.spectrum_of((12, 10)).shape == (2, 12, 10)
    np.testing.assert_allclose(
        moments.spectrum_of((32, 40)).sum((1, 2)), moments.spectrum.sum((1, 2)), rtol=0.2
    )


def test_moments_of_a_function(x):
    called = signals(moments=cubes)
    torch.testing.assert_close(called.family(x).moments(x, None, True), cubes(x))
    assert FieldMoments.fitted(called, x).reference is None
    with pytest.raises(AttributeError, match="moments is a callable"):
        called.table(1)
    bad = signals(moments=lambda x: x.mean())
    with pytest.raises(ValueError, match="for a batch of 3: it must give a tensor"):
        bad.family(x).moments(x, None, True)


def test_moments_that_do_not_exist():
    with pytest.raises(ValueError, match="moments='S11' must be one of"):
        signals(moments="S11").check()
    with pytest.raises(ValueError, match="are of images: use ndim=2"):
        signals((40,), moments="model_a").check()
    with pytest.raises(ValueError, match=r"J=5 is too large.*\(16, 20\) here"):
        signals(J=5).check(" here")
    with pytest.raises(ValueError, match=r"moments=\('C01',\) has none for J=1"):
        signals(moments=("C01",), J=1).check()
