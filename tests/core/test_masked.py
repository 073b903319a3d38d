import numpy as np
import pytest

from skwave import (
    CASEGenerator,
    MaxEntTextureModel,
    MultilinearRegressor,
    PhaseHarmonicTransformer,
    ScatteringDictionaryClassifier,
    ScatteringTransformer,
    SparseCoder,
)

IMAGES = [
    ScatteringTransformer(J=1, L=2, ndim=2),
    PhaseHarmonicTransformer(J=1, L=2),
    MaxEntTextureModel(J=1, L=2, max_iter=1),
    ScatteringDictionaryClassifier(J=1),
    CASEGenerator(J=1),
]
ROWS = [SparseCoder(n_components=2, max_iter=1), MultilinearRegressor(max_iter=1)]


def masked(shape):
    X = np.random.default_rng(0).standard_normal(shape)
    mask = np.zeros(shape, bool)
    mask[1, 0], X[mask] = True, 1e9
    return np.ma.MaskedArray(X, mask)


@pytest.mark.parametrize("estimator", [*IMAGES, *ROWS], ids=lambda e: type(e).__name__)
def test_a6_masked_arrays_are_refused(estimator):
    X = masked((6, 8, 8) if estimator in IMAGES else (6, 5))
    y = np.arange(6) % 2
    with pytest.raises(ValueError, match=r"X is a masked array with \d+ masked values.*filled"):
        estimator.fit(X, y)
    if hasattr(estimator, "mask"):
        with pytest.raises(ValueError, match=r"mask=~X\.mask\[0\]"):
            estimator.fit(list(X), y)


def test_a6_masked_arrays_are_refused_after_the_fit():
    X = masked((6, 8, 8))
    scattering = ScatteringTransformer(J=1, L=2, ndim=2)
    fitted = scattering.fit(X.filled(0))
    with pytest.raises(ValueError, match="masked array with 8 masked"):
        fitted.transform(X)
    # an array of that kind in which nothing is masked is like any other
    plain = np.ma.MaskedArray(X.filled(0))
    assert np.array_equal(fitted.transform(plain), fitted.transform(X.filled(0)))


def test_a6_apodised_masks_are_refused():
    X = np.random.default_rng(0).standard_normal((2, 16, 16))
    mask = np.ones((16, 16))
    mask[:2] = 0.5
    with pytest.raises(ValueError, match=r"mask has values from 0\.5 to 1.*mask > 0\.5"):
        PhaseHarmonicTransformer(J=1, L=2, mask=mask).fit(X)
    mask[:2] = 0
    PhaseHarmonicTransformer(J=1, L=2, mask=mask).fit(X)
