import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from skwave import MaxEntTextureModel, PhaseHarmonicTransformer
from skwave._core import transformer
from skwave._core.checks import validate_array
from skwave.textures._moments import FieldMoments

FEW = {"J": 2, "L": 2, "shifts": 0, "tol": 1e-4, "random_state": 0}


@pytest.fixture
def field():
    """A skew field of short range, shape (n, 32, 32)."""

    def make(n, seed=0, shape=(32, 32)):
        x = np.random.default_rng(seed).standard_normal((n, *shape))
        x = x + np.roll(x, 1, 1) + np.roll(x, 1, 2)
        return x + 0.3 * x**2 + 2

    return make


@pytest.fixture
def model(field):
    return MaxEntTextureModel(**FEW).fit(field(1))


def test_moments_are_averages_over_realisations(field):
    X = field(3)
    model = MaxEntTextureModel(J=2).fit(X)
    assert model.n_moments_ == len(model.moments_) == len(model.moment_table_)
    assert len(set(model.get_feature_names_out())) == model.n_moments_
    np.testing.assert_allclose(model.transform(X).mean(0), model.moments_)
    np.testing.assert_allclose([model.mean_[0], model.scale_[0]], [X.mean(), X.std()])
    variances = (model.moment_table_["group"] == "S11") & (model.moment_table_["n"] == 0)
    np.testing.assert_allclose(model.moments_[variances], 1)
    assert model.spectrum_.shape == (1, 32, 32)
    assert model.spectrum_.sum() == pytest.approx(X.var(), rel=0.05)
    harmonics = PhaseHarmonicTransformer(J=2).fit(X)
    assert list(harmonics.get_feature_names_out()) == list(model.get_feature_names_out())


def test_samples_have_the_moments(field, model):
    x = field(1)
    samples = model.sample(3)
    assert samples.shape == (3, 32, 32)
    assert model.loss_curve_.shape[1] == 3
    energy = model.energy(samples)
    assert (energy <= 1e-3).all()
    np.testing.assert_allclose(np.nanmin(model.loss_curve_, 0), energy, rtol=1e-6)
    np.testing.assert_array_equal(model.score_samples(samples), -energy)
    assert model.energy(x)[0] < 1e-20
    assert abs(np.corrcoef(samples.reshape(3, -1))[np.triu_indices(3, 1)]).max() < 0.2
    assert abs(samples.mean() - x.mean()) < 0.2 * x.std()
    assert samples.std() == pytest.approx(x.std(), rel=0.05)
    assert (model.loss_curve_[0] > 1e-3).all()


@pytest.mark.parametrize("init", ["gaussian", "white"])
def test_random_state(field, init):
    model = MaxEntTextureModel(**{**FEW, "init": init, "tol": 0.05}).fit(field(1)[:, :16, :16])
    np.testing.assert_array_equal(model.sample(2), model.sample(2))
    other = model.set_params(random_state=1).sample(2)
    assert abs(other - model.set_params(random_state=0).sample(2)).max() > 0.1


def test_noise_to_start_from(field):
    X = field(1)
    model = MaxEntTextureModel(J=3, tol=1e9).fit(X)  # the noise itself
    power = abs(np.fft.fft2(model.sample(200))[:, 1:, 1:]).reshape(200, -1)
    expected = model.spectrum_[0, 1:, 1:].ravel() * 1024**2
    assert np.corrcoef((power**2).mean(0), expected)[0, 1] > 0.95
    white = model.set_params(init="white").sample(20)
    assert white.std() == pytest.approx(X.std(), rel=0.03)
    assert white.mean() == pytest.approx(X.mean(), abs=0.05)


def test_a_batch_is_one_after_the_other(field):
    model = MaxEntTextureModel(**{**FEW, "tol": 0.01}).fit(field(1)[:, :16, :16])
    together = model.set_params(batch_size=3).sample(3)
    apart = model.set_params(batch_size=1).sample(3)
    np.testing.assert_allclose(together, apart, atol=1e-6)
    assert model.loss_curve_.shape[1] == 3


@pytest.mark.parametrize("shape", [(64, 48), (21, 35)])
def test_samples_of_another_size(model, shape):
    samples = model.sample(2, shape=shape)
    assert samples.shape == (2, *shape)
    assert np.nanmin(model.loss_curve_, 0).max() <= 1e-3
    again = MaxEntTextureModel(**FEW).fit(samples)
    expected = model.moments_
    # the deviations by which both divide are near
    assert np.linalg.norm(again.moments_ - expected) / np.linalg.norm(expected) < 0.2


def test_several_channels(field):
    x = np.stack([field(1), field(1)[:, ::-1] + field(1, 1)], 1)
    model = MaxEntTextureModel(**FEW).fit(x)
    samples = model.sample(2)
    assert samples.shape == (2, 2, 32, 32)
    # what ties the channels is kept
    a, b = (np.fft.fft2(y - y.mean((-2, -1), keepdims=True)) for y in (x, samples))
    assert model.energy(samples).max() <= 1e-3
    assert a.shape[1] == b.shape[1]
    assert len(model.mean_) == len(model.scale_) == len(model.spectrum_) == 2
    assert {(c1, c2) for c1, c2 in model.moment_table_[["c1", "c2"]].tolist()} >= {(0, 1)}


def test_signals():
    x = np.cumsum(np.random.default_rng(0).standard_normal((1, 130)) ** 3, 1)
    x = np.concatenate([x, x[:, ::-1]], 1)
    model = MaxEntTextureModel(J=3, ndim=1, tol=0.02, random_state=0).fit(x)
    samples = model.sample(2, shape=300)
    assert samples.shape == (2, 300)
    assert np.nanmin(model.loss_curve_, 0).max() <= 0.02
    assert model.sample(1).shape == (1, 260)
    assert model.spectrum_.shape == (1, 260)


@pytest.mark.parametrize(
    "moments", ["model_c", "model_d", "rectifier", "scattering_covariance", "gaussian"]
)
def test_families(field, moments):
    model = MaxEntTextureModel(J=2, L=2, moments=moments, n_phases=3, tol=0.01, random_state=0)
    model.fit(field(1)[:, :16, :16])
    assert model.energy(model.sample(1))[0] <= 0.01


def test_it_goes_on_from_given_fields(field):
    model = MaxEntTextureModel(**{**FEW, "max_iter": 3, "tol": 1e-7}).fit(field(1))
    with pytest.warns(ConvergenceWarning, match=r"above tol=1e-07: increase max_iter=3"):
        first = model.sample(2)
    assert len(model.loss_curve_) == 4
    with pytest.warns(ConvergenceWarning):
        second = model.sample(init=first)
    assert second.shape == first.shape
    assert (model.energy(second) < model.energy(first)).all()
    np.testing.assert_allclose(model.loss_curve_[0], model.energy(first), rtol=1e-6)


class Interrupting:
    """Moments that Ctrl-C stops at a call."""

    def __init__(self, call):
        self.call = call

    def __call__(self, x):
        self.call -= 1
        if self.call == 0:
            raise KeyboardInterrupt
        x = x.flatten(1)
        return torch.stack([(x**p).mean(1) for p in (1, 2, 3, 4)], 1)


@pytest.mark.parametrize("call", [1, 2, 6])
def test_interruption_gives_the_best_so_far(field, call):
    model = MaxEntTextureModel(
        J=2, moments=Interrupting(-1), tol=1e-12, random_state=0, batch_size=2
    ).fit(field(1) ** 2)
    model.moments.call = call
    with pytest.warns(ConvergenceWarning, match="was interrupted: these are the fields"):
        samples = model.sample(4)
    assert samples.shape == (4, 32, 32)
    assert np.isfinite(samples).all()
    if call == 6:
        assert (np.nanmin(model.loss_curve_, 0) < model.loss_curve_[0]).all()


def test_moments_of_a_function(field):
    def moments(x):
        x = x.flatten(1)
        return torch.stack([(x**p).mean(1) for p in (1, 2, 3, 4)], 1)

    x = field(1)
    model = MaxEntTextureModel(J=2, moments=moments, random_state=0).fit(x)
    assert list(model.get_feature_names_out()) == ["m0", "m1", "m2", "m3"]
    z = (x - x.mean()) / x.std()
    np.testing.assert_allclose(model.moments_, [(z**p).mean() for p in (1, 2, 3, 4)], atol=1e-12)
    z = (model.sample(1, shape=(20, 24)) - x.mean()) / x.std()
    assert (z**3).mean() == pytest.approx(model.moments_[2], abs=0.05)


@pytest.mark.parametrize(
    "bad", [lambda x: x.mean(), lambda x: x, lambda x: 3.0, lambda x: x[:0, 0, 0]]
)
def test_functions_of_a_wrong_shape(field, bad):
    with pytest.raises(ValueError, match=r"must give a tensor of shape \(batch, n_moments\)"):
        MaxEntTextureModel(J=2, moments=bad).fit(field(1))


def test_inpainting(field, model):
    X, known = field(2, 5), np.ones((32, 32), bool)
    known[8:20, 10:24] = False
    holes = np.where(known, X, 0.0)
    filled = model.set_params(max_iter=30, tol=1e-6).inpaint
    with pytest.warns(ConvergenceWarning):
        filled = filled(holes, known)
    np.testing.assert_array_equal(filled[:, known], X[:, known])
    assert (np.nanmin(model.loss_curve_, 0) < 0.8 * model.loss_curve_[0]).all()
    assert (model.energy(filled) < model.energy(holes)).all()
    np.testing.assert_allclose(model.energy(filled), np.nanmin(model.loss_curve_, 0), rtol=1e-5)
    with pytest.raises(ValueError, match=r"mask of shape \(31, 32\) must have the shape of X"):
        model.inpaint(X, known[1:])
    with pytest.warns(ConvergenceWarning):
        np.testing.assert_array_equal(model.inpaint(X, np.ones_like(X, bool)), X)


def white(n, random_state):
    return random_state.standard_normal((n, 32, 32))


def test_denoising(field):
    generator = np.random.default_rng(3)
    y, x = np.mgrid[:32, :32]
    clean = 3 * np.sin(2 * np.pi * (x + y) / 16)[None]
    noisy = clean + generator.standard_normal(clean.shape)
    model = MaxEntTextureModel(J=3, L=4, max_iter=30, tol=1e-4, random_state=0).fit(noisy)
    with pytest.warns(ConvergenceWarning):  # a few draws do not average to nothing
        found = model.denoise(noisy, white, n_draws=4)
    assert found.shape == (1, 32, 32)
    assert len(model.loss_curve_) > 1
    error = [((a - clean) ** 2).mean() for a in (noisy, found)]
    assert error[1] < 0.9 * error[0], error


def test_denoising_a_batch_is_one_after_the_other(field):
    X = field(2) * np.array([1.0, 5.0])[:, None, None]
    model = MaxEntTextureModel(J=2, L=2, shifts=0, max_iter=4, tol=1e-9, random_state=0).fit(X)
    with pytest.warns(ConvergenceWarning):
        together = model.denoise(X, white, n_draws=2)
    curve = model.loss_curve_
    for i in range(2):
        with pytest.warns(ConvergenceWarning):
            alone = model.denoise(X[i : i + 1], white, n_draws=2)
        np.testing.assert_allclose(alone[0], together[i], atol=1e-6)
        np.testing.assert_allclose(model.loss_curve_[:, 0], curve[:, i], rtol=1e-6)


def test_bad_noise(field, model):
    with pytest.raises(TypeError, match=r"noise=3 must be a function"):
        model.denoise(field(1), 3)
    with pytest.raises(ValueError, match=r"noise gave shape \(8, 4\): it must give 8 fields"):
        model.denoise(field(1), lambda n, r: np.ones((n, 4)))


def test_gradient_of_the_energy(field):
    model = MaxEntTextureModel(J=2, L=3).fit(field(1))
    X, generator = field(2, 7), np.random.default_rng(1)
    energy, gradient = model.energy(X, return_gradient=True)
    assert gradient.shape == X.shape
    np.testing.assert_array_equal(energy, model.energy(X))
    for _ in range(3):
        d = generator.standard_normal(X.shape)
        slope = (model.energy(X + 1e-5 * d) - model.energy(X - 1e-5 * d)) / 2e-5
        np.testing.assert_allclose((gradient * d).sum((1, 2)), slope, rtol=1e-5, atol=1e-8)


def test_masks_and_crops_are_of_the_data_alone(field):
    x = field(1)
    mask = np.ones((32, 32), bool)
    mask[:4] = False
    for options in ({"mask": mask}, {"boundary": "crop"}):
        model = MaxEntTextureModel(**FEW, **options).fit(x)
        assert model.sample(1, shape=(24, 40)).shape == (1, 24, 40)
        assert np.nanmin(model.loss_curve_) <= 1e-3
        assert model.energy(x)[0] < 1e-20


@pytest.mark.parametrize(("ndim", "shape"), [(2, (16, 16)), (1, 64)])
def test_flat_samples_of_several_channels(field, ndim, shape):
    unfolded = field(2, shape=(32, 16)).reshape(2, 2, *np.atleast_1d(shape if ndim == 2 else 256))
    shape, rows = unfolded.shape[2:], unfolded.reshape(2, -1)
    parameters = {"J": 2, "L": 2, "ndim": ndim, "moments": "wavelet_covariance", "max_iter": 2}
    model = MaxEntTextureModel(**parameters, tol=1.0, random_state=0).fit(unfolded)
    flat = clone(model).set_params(shape=shape).fit(rows)
    assert flat.sample(3).shape == (3, 2, *shape)
    np.testing.assert_array_equal(flat.sample(1), model.sample(1))
    np.testing.assert_array_equal(flat.sample(init=rows[:1]), model.sample(init=unfolded[:1]))
    known = np.arange(np.prod(shape)).reshape(shape) % 3 > 0
    expected = model.inpaint(unfolded, known)
    assert expected.shape == unfolded.shape
    for mask in (known, np.stack([known, known]).ravel(), np.stack([known] * 4).reshape(2, -1)):
        np.testing.assert_array_equal(flat.inpaint(rows, mask), expected.reshape(2, -1))
    quiet = flat.denoise(rows, lambda n, r: 0.1 * r.standard_normal((n, *rows.shape[1:])))
    assert quiet.shape == rows.shape


def test_what_is_masked_counts_for_nothing(field):
    x, mask = field(1, shape=(64, 64)) + 3, np.ones((64, 64), bool)
    mask[:, 32:] = False
    model = MaxEntTextureModel(**FEW, mask=mask).fit(np.where(mask, x, 0))
    assert model.mean_ == pytest.approx(x[:, mask].mean())
    assert model.scale_ == pytest.approx(x[:, mask].std())
    assert model.spectrum_.sum() == pytest.approx(x[:, mask].var(), rel=0.1)
    other = clone(model).fit(np.where(mask, x, 9))
    np.testing.assert_allclose(other.moments_, model.moments_, atol=1e-12)
    assert model.energy(np.where(mask, x, -3)) == pytest.approx(0, abs=1e-20)
    sample = model.sample(1, shape=(32, 32))
    assert sample.std() == pytest.approx(x[:, mask].std(), rel=0.1)


@pytest.mark.parametrize("moments", ["phase_harmonic", "scattering_covariance", "rectifier"])
def test_layers(moments):
    # a field without variations along one axis
    row = np.random.default_rng(0).standard_normal(32)
    x = np.tile(row, (32, 1))[None]
    model = MaxEntTextureModel(J=2, L=4, moments=moments, random_state=0).fit(x)
    assert np.isfinite(model.moments_).all() and model.energy(x)[0] < 1e-20
    assert np.isfinite(model.set_params(max_iter=2, tol=1e9).sample()).all()


def test_bad_arguments_of_methods(field, model):
    for init in (
        np.ones((8, 32)),
        np.ones((1, 8, 128)),
        np.ones((32, 32)),
        3.0,
        np.ones((0, 32, 32)),
    ):
        with pytest.raises(
            ValueError, match=r"must hold finite fields, shape \('n_samples', 32, 32"
        ):
            model.sample(init=init)
    with pytest.raises(ValueError, match="must have 2 integers"):
        model.sample(shape=(16.0, 16))
    for n_draws in (0, 2.5):
        with pytest.raises(ValueError, match=r"n_draws=.* must be a positive integer"):
            model.denoise(field(1), white, n_draws=n_draws)


def test_a_fitted_model_can_be_kept(field, model):
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.sample(1), model.sample(1))
    assert clone(model).get_params() == model.get_params()
    assert not hasattr(clone(model), "moments_")


def test_single_precision(field):
    x = field(1).astype(np.float32)
    model = MaxEntTextureModel(**FEW).fit(x)
    assert model.sample(1).dtype == model.transform(x).dtype == np.float32
    assert model.moments_.dtype == np.float32
    assert MaxEntTextureModel(**FEW, dtype="float32").fit(field(1)).sample(1).dtype == np.float32


def test_constant_channel(field):
    X = np.stack([field(1), np.full((1, 32, 32), 0.3)], 1)
    with pytest.raises(ValueError, match="channel 1 of X is constant"):
        MaxEntTextureModel(J=2).fit(X)


def test_bad_input(field, model):
    X = field(1)
    with pytest.raises(ValueError, match="Complex data not supported"):
        MaxEntTextureModel(J=2).fit(X + 1j)
    with pytest.raises(ValueError, match=r"J=6 is too large"):
        MaxEntTextureModel(J=6).fit(X)
    with pytest.raises(ValueError, match="moments='nothing' must be one of"):
        MaxEntTextureModel(J=2, moments="nothing").fit(X)
    with pytest.raises(ValueError, match=r"shape=\(32,\) must have 2 integers"):
        model.sample(shape=32)
    with pytest.raises(ValueError, match=r"J=2 is too large"):
        model.sample(shape=(3, 32))
    gaussian = MaxEntTextureModel(J=2, moments="gaussian").fit(X)
    with pytest.raises(ValueError, match="moments='gaussian' are of one shape"):
        gaussian.sample(shape=(16, 16))
    X[0, 0, 0] = np.nan
    for method in (model.fit, model.energy, model.transform):
        with pytest.raises(ValueError, match="NaN"):
            method(X)


def test_defaults_fit_the_shape(field):
    model = MaxEntTextureModel(max_iter=1, tol=1.0, random_state=0)
    for X, J, ndim in (
        (field(1), 3, 2),
        (field(2)[:, None, :16, :8], 1, 2),
        (field(1)[0, :8], 3, 1),
        (np.random.default_rng(0).standard_normal((2, 2048)), 8, 1),
    ):
        fitted = clone(model).fit(X)
        assert (fitted.J_, fitted.ndim_) == (J, ndim)
        assert fitted.sample().shape == (1, *X.shape[1:])
    assert (model.set_params(shape=(16, 16)).fit(field(2)[:, :16, :16].reshape(2, -1)).ndim_) == 2
    signals = MaxEntTextureModel(ndim=1).fit(field(4)[:, :2])
    assert (signals.n_channels_, signals.signal_shape_, signals.J_) == (2, (32,), 3)


def test_one_image_without_its_axis(field):
    with pytest.warns(UserWarning, match=r"taken as 32 signals of 32 samples.*give X\[None\]"):
        model = MaxEntTextureModel().fit(field(1)[0])
    assert model.ndim_ == 1
    MaxEntTextureModel(ndim=1).fit(field(1)[0])  # without a warning


def test_n_iter_counts_the_steps_of_the_last_synthesis(field):
    model = MaxEntTextureModel(**{**FEW, "max_iter": 3, "tol": 1e-9}).fit(field(1))
    assert model.n_iter_ == 1
    with pytest.warns(ConvergenceWarning):
        model.sample(2)
    assert model.n_iter_ == len(model.loss_curve_) - 1 == 3
    model.set_params(tol=1e9).sample()
    assert model.n_iter_ == 0


def test_data_are_validated_once(field, monkeypatch):
    calls = []

    def counted(*args, **options):
        calls.append(1)
        return validate_array(*args, **options)

    monkeypatch.setattr(transformer, "validate_array", counted)
    model = MaxEntTextureModel(**FEW).fit(field(1))
    assert len(calls) == 1
    model.energy(field(1))
    assert len(calls) == 2


def test_memory_that_runs_out_halves_batches(field, monkeypatch):
    X = field(5)
    model = MaxEntTextureModel(**FEW).fit(X)
    expected = model.energy(X, return_gradient=True)
    of_data = FieldMoments.of_data

    def tight(self, x):
        if len(x) > 2:
            raise torch.OutOfMemoryError
        return of_data(self, x)

    monkeypatch.setattr(FieldMoments, "of_data", tight)
    for found, wanted in zip(model.energy(X, return_gradient=True), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-15)


def test_progress(field, capsys):
    model = MaxEntTextureModel(**{**FEW, "max_iter": 10, "tol": 1e-9, "verbose": 1}).fit(field(1))
    with pytest.warns(ConvergenceWarning):
        model.sample()
    assert "[MaxEntTextureModel] step 10/10: relative error" in capsys.readouterr().out
