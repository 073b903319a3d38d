"""Moments and samples of fields of all kinds: patterns, narrow bands, heavy tails, few values."""

import numpy as np
import pytest

from skwave import MaxEntTextureModel, PhaseHarmonicTransformer

from .zoo import zoo

FAMILIES = (
    "phase_harmonic", "pywph", "wavelet_covariance", "rectifier", "scattering_covariance",
    "gaussian", "model_a", "model_b", "model_c", "model_d",
)  # fmt: skip
FIELDS, LARGER = zoo(32), zoo(64)
X = np.stack([*FIELDS.values()])
DEVIATION = X.std((1, 2))[:, None, None]


def change(harmonics, X, Y):
    """Largest change of the moments of each field, relative to the largest of them."""
    m = harmonics.fit_transform(X)
    difference = np.abs(harmonics.transform(Y) - m).max(1) / (1 + np.abs(m).max(1))
    return {name: float(d) for name, d in zip(FIELDS, difference, strict=True)}


@pytest.mark.parametrize("family", FAMILIES)
def test_moments_are_continuous(family):
    harmonics = PhaseHarmonicTransformer(J=3, moments=family)
    noise = 1e-9 * DEVIATION * np.random.default_rng(1).standard_normal(X.shape)
    assert max(change(harmonics, X, X + noise).values()) < 5e-7
    assert max(change(harmonics, X, X + 1e6 * DEVIATION).values()) < 1e-7


@pytest.mark.parametrize("family", FAMILIES)
def test_moments_do_not_depend_on_the_unit_and_hardly_on_the_type(family):
    harmonics = PhaseHarmonicTransformer(J=3, moments=family)
    for scale in (1e-30, 1e30):
        assert max(change(harmonics, X, scale * X).values()) < 1e-12
    single = X.astype(np.float32)  # the constant with noise has lost some: 3 is 3000 deviations
    assert max(change(harmonics, X, single).values()) < 2e-4
    for scale in (np.float32(1e-12), np.float32(1e12)):
        assert max(change(harmonics, X, scale * single).values()) < 2e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_moments_do_not_change_when_a_field_is_moved(family):
    harmonics, X = PhaseHarmonicTransformer(J=4, moments=family), np.stack([*LARGER.values()])
    m = harmonics.fit_transform(X)
    for shift in ((1, 0), (0, 1), (3, 5)):
        moved = harmonics.transform(np.roll(X, shift, (1, 2)))
        error = np.linalg.norm(moved - m, axis=1) / np.linalg.norm(m, axis=1)
        # white noise has but small moments of model D
        assert error.max() < (2e-3 if family == "model_d" else 1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_small_signal_on_a_large_offset(dtype):
    """The cosmic microwave background in kelvin."""
    x = FIELDS["gaussian"]
    if dtype == "float64":
        found = MaxEntTextureModel(J=3).fit(2.725 + 1e-6 * x[None])
        np.testing.assert_allclose(
            found.moments_, MaxEntTextureModel(J=3).fit(x[None]).moments_, atol=1e-7
        )
    else:  # float32 has lost it
        with pytest.raises(ValueError, match="channel 0 of X is constant"):
            MaxEntTextureModel(J=3).fit(np.float32(2.725) + np.zeros((1, 32, 32), np.float32))


# a single wave has a constant modulus, which samples with defects of the pattern are far from
DEFECTS = ("sine of 8", "checkerboard of 4")


@pytest.mark.parametrize("name", [name for name in FIELDS if name not in DEFECTS])
def test_samples_have_the_deviation(name):
    x = FIELDS[name]
    model = MaxEntTextureModel(J=2, tol=2e-4, random_state=0).fit(x[None])
    sample = model.sample()
    assert sample.std() == pytest.approx(x.std(), rel=0.02)
    assert model.energy(sample)[0] <= 2.1e-4
