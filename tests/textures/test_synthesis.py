import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.exceptions import ConvergenceWarning

from skwave.functional._textures.maxent import MomentDistance
from skwave.textures._moments import FieldMoments
from skwave.textures._synthesis import (
    Synthesis,
    batches,
    denoising,
    inpainting,
    sampling,
    start_noise,
    synthesise,
    warn_of,
)

from .test_moments import signals


@pytest.fixture
def X():
    X = np.random.default_rng(0).standard_normal((1, 2, 16, 20))
    X = X + np.roll(X, 1, -1)
    return (X + 0.3 * X**2) * np.array([3.0, 0.2])[:, None, None] + 7


@pytest.fixture
def moments(X):
    return FieldMoments.fitted(signals(moments=("S11", "C00"), shifts=0), torch.from_numpy(X))


@pytest.mark.parametrize("init", ["gaussian", "white"])
def test_noise_has_the_mean_and_the_variance(X, moments, init):
    noise = start_noise(moments, 100, (16, 20), np.random.RandomState(0), init)
    assert noise.shape == (100, 2, 16, 20)
    np.testing.assert_allclose(noise.mean((0, 2, 3)), X.mean((0, 2, 3)), rtol=0.02)
    np.testing.assert_allclose(noise.std((0, 2, 3)), X.std((0, 2, 3)), rtol=0.05)
    power = abs(np.fft.fft2(noise - moments.unit()[0])).reshape(100, 2, -1) ** 2
    spectrum = moments.spectrum.reshape(2, -1) * 320**2
    ratio = np.corrcoef(power.mean(0)[0, 1:], spectrum[0, 1:])[0, 1]
    assert (ratio > 0.95) == (init == "gaussian")
    again = start_noise(moments, 100, (16, 20), np.random.RandomState(0), init)
    np.testing.assert_array_equal(again, noise)


def test_batches_keep_within_the_working_memory(moments):
    assert batches(moments, 5, (16, 20), 2) == [range(2), range(2, 4), range(4, 5)]
    one = batches(moments, 100, (16, 20))
    with config_context(working_memory=10):
        few = batches(moments, 100, (16, 20))
        fewer = batches(moments, 100, (16, 20), copies=4)
        large = batches(moments, 100, (64, 80))
    assert len(one[0]) > len(few[0]) > len(fewer[0]) >= 1
    assert len(large[0]) == 1
    for rows in (one, few, fewer, large):
        assert [i for part in rows for i in part] == list(range(100))


def test_fields_are_moved_until_they_have_the_moments(moments):
    start = start_noise(moments, 3, (16, 20), np.random.RandomState(0))
    found = synthesise(moments, start, sampling(moments), tol=1e-3, batch_size=2)
    assert found.fields.shape == start.shape
    assert not found.interrupted
    energy = moments.energy(moments.of_data)(torch.from_numpy(found.fields))
    np.testing.assert_allclose(found.loss_curve[-1], energy, rtol=1e-6)
    assert (found.loss_curve[-1] <= 1e-3).all()
    assert (np.diff(found.loss_curve, axis=0) <= 0).all()


@pytest.mark.parametrize("at_once", [1, 3])
def test_batches_are_halved_when_memory_runs_out(moments, at_once):
    start, sizes = start_noise(moments, 7, (16, 20), np.random.RandomState(0)), []

    def tight(z, rows):
        sizes.append(len(z))
        if len(z) > at_once:
            raise torch.OutOfMemoryError
        return sampling(moments)(z, rows)

    found = synthesise(moments, start, tight, tol=0.01)
    assert sizes[0] == 7
    expected = synthesise(moments, start, sampling(moments), tol=0.01, batch_size=1)
    np.testing.assert_allclose(found.fields, expected.fields, rtol=1e-6)
    np.testing.assert_allclose(found.loss_curve, expected.loss_curve, rtol=1e-6)


def test_one_field_that_does_not_fit(moments):
    def never(z, rows):
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError, match="one sample"):
        synthesise(moments, np.ones((2, 2, 16, 20)), never)


def test_known_samples_do_not_move_the_energy(X, moments):
    known = np.zeros(X.shape, bool)
    known[..., :10] = True
    z = moments.standardised(torch.from_numpy(X))
    energy = moments.energy(moments.of_samples(z))
    f = inpainting(moments, X, known)(z, slice(0, 1))
    other = torch.where(torch.from_numpy(known), 99.0, z)
    torch.testing.assert_close(f(other), energy(z))
    unknown = torch.where(torch.from_numpy(known), z, 99.0)
    torch.testing.assert_close(f(unknown), energy(unknown))


def test_fields_with_sides_are_completed_without_periodicity(randn):
    """The field itself fills the hole: energy 0, as periodic moments would not have it."""
    x = torch.cumsum(torch.cumsum(randn(1, 1, 32, 32), -1), -2)  # left and right do not meet
    field = FieldMoments.fitted(signals((32, 32), boundary="crop"), x)
    known = np.ones((1, 1, 32, 32), bool)
    known[..., 12:18, 14:20] = False
    z = field.standardised(x)
    assert float(inpainting(field, x.numpy(), known)(z, slice(0, 1))(z)) < 1e-20
    assert float(sampling(field)(z, slice(0, 1))(z)) > 1e-2


def test_denoised_fields_have_the_moments_with_the_noise(X, moments):
    draws = np.random.default_rng(1).standard_normal((4, 2, 16, 20))
    z = moments.standardised(torch.from_numpy(X))
    phi = moments.of_samples(z)
    noisy = X + draws[:1]
    f = denoising(moments, noisy, draws[:1])(z, slice(0, 1))
    assert float(f(z)) < 1e-24
    f = denoising(moments, X, draws)(z, slice(0, 1))
    mean = sum(phi(moments.standardised(torch.from_numpy(X + d))) for d in draws) / 4
    labels = [row.group for row in moments.signals.rows(2)]
    torch.testing.assert_close(f(z), MomentDistance(phi(z), labels)(mean))


def test_a_field_that_has_stopped_keeps_its_last_objective(moments, X):
    start = np.concatenate([X, start_noise(moments, 1, (16, 20), np.random.RandomState(0))])
    found = synthesise(moments, start, sampling(moments), max_iter=4, tol=1e-9, batch_size=1)
    assert found.loss_curve.shape == (5, 2)
    assert (found.loss_curve[:, 0] == found.loss_curve[0, 0]).all()
    np.testing.assert_allclose(found.fields[0], X[0])


def test_warnings(recwarn):
    fields, curve = np.ones((1, 1, 2, 2)), np.array([[1.0], [0.01]])
    warn_of(Synthesis(fields, curve, False), "Name", 7, 0.1)
    assert not recwarn
    with pytest.warns(ConvergenceWarning, match=r"Name stopped at energies of up to 0.01, .*=7"):
        warn_of(Synthesis(fields, curve, False), "Name", 7, 1e-3)
    with pytest.warns(ConvergenceWarning, match="Name was interrupted"):
        warn_of(Synthesis(fields, curve, True), "Name", 7, 0.1)
