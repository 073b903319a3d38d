"""Measures of reconstructions and samples."""

import builtins

import numpy as np
import pytest
from scipy.linalg import sqrtm

from skwave import ScatteringTransformer
from skwave.generation._metrics import _coverage
from skwave.validation import (
    frechet_distance,
    generation_report,
    psnr,
    scattering_features,
    ssim,
)


@pytest.fixture(scope="module")
def noise():
    """Two sets of noise."""
    return np.random.default_rng(0).normal(size=(2, 40, 16, 16))


def test_psnr(noise):
    X, Y = noise
    expected = 20 * np.log10(4 / np.sqrt(np.mean((X - Y) ** 2)))
    assert psnr(X, Y, data_range=4) == pytest.approx(expected)
    assert psnr(X[:, None], Y[:, None], data_range=4) == pytest.approx(expected)
    assert psnr(X, X) == np.inf


def test_ssim(noise, monkeypatch):
    pytest.importorskip("skimage")
    X, Y = noise
    assert ssim(X, X) == pytest.approx(1)
    assert ssim(X, Y) < 0.2 < ssim(X, X + 0.3 * Y) < 1
    assert ssim(np.stack([X, Y], 1), np.stack([X, X], 1)) == pytest.approx(
        (1 + ssim(Y, X)) / 2, abs=1e-6
    )
    with pytest.raises(ValueError, match="7 a side"):
        ssim(X[:, :5], Y[:, :5])
    load = builtins.__import__

    def missing(name, *arguments):
        if name.startswith("skimage"):
            raise ImportError
        return load(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r"skwave\[images\]"):
        ssim(X, Y)


def test_features(noise):
    X = noise[0]
    S = scattering_features(X, J=2, L=3, max_order=1)
    scattering = ScatteringTransformer(J=2, L=3, ndim=2, max_order=1, averaging="global")
    assert np.allclose(S, scattering.fit_transform(X))
    assert scattering_features(X).shape == (40, 1 + 2 * 4 + 16)


def test_frechet_distance(noise):
    X, Y = noise[0], 1.3 * noise[1] + 0.1
    A, B = (scattering_features(x, J=1, L=2, max_order=1) for x in (X, Y))
    A, B = A / B.std(0), B / B.std(0)
    C, D = np.cov(A.T), np.cov(B.T)
    expected = np.sum((A.mean(0) - B.mean(0)) ** 2) + np.trace(C + D - 2 * sqrtm(C @ D).real)
    distance = frechet_distance(X, Y, J=1, L=2, max_order=1)
    assert distance == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(Y, Y) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(X, noise[1]) < distance


def test_coverage_by_loops():
    rng = np.random.default_rng(0)
    A, B = rng.normal(size=(20, 2)), rng.normal(size=(15, 2)) + 1
    inside = 0
    for a in A:
        inside += any(np.linalg.norm(a - b) <= sorted(np.linalg.norm(b - B, axis=1))[2] for b in B)
    assert _coverage(A, B, 2) == inside / 20


def test_report(noise):
    X, Y = noise
    good = generation_report(X, Y)
    assert good.precision > 0.6 and good.recall > 0.6
    assert good.frechet < 3 * good.frechet_floor and 0.8 < good.neighbour_ratio < 1.2
    # all alike: precise, without variety; and copies
    narrow = generation_report(Y[:1] + 1e-3 * X, Y)
    assert narrow.precision == 1 and narrow.recall < 0.3
    assert generation_report(Y, Y).neighbour_ratio == 0
    far = generation_report(5 * X, Y)
    assert far.precision == 0 and far.frechet > 10 * good.frechet


def test_bad_input(noise):
    X, Y = noise
    for f in (psnr, frechet_distance, generation_report):
        with pytest.raises(ValueError, match="of one size"):
            f(X, Y[:, :8])
        with pytest.raises(ValueError, match="Flat rows"):
            f(X.reshape(40, -1), Y)
        with pytest.raises(ValueError, match="NaN"):
            f(X, np.where(Y > 1, np.nan, Y))
    with pytest.raises(ValueError, match="one by one"):
        psnr(X, Y[:3])
    with pytest.raises(ValueError, match="data_range"):
        psnr(X, Y, data_range=0)
    with pytest.raises(ValueError, match="5 or more"):
        generation_report(X[:3], Y)
