"""Scattering coefficients of images for networks, against transforms of the images themselves."""

import numpy as np
import pytest
import torch
from sklearn import config_context

from skwave import ScatteringDictionaryClassifier, ScatteringTransformer
from skwave.scattering import _features
from skwave.scattering._features import (
    cached_transform,
    channel_scales,
    feature_views,
    fit_scattering,
    transform,
)
from skwave.testing import assert_close


@pytest.fixture
def images(randn):
    return randn(4, 2, 24, 16).numpy()


def unfolded(S, scattering):
    """Rows of features as maps of positions and channels."""
    C, P, height, width = scattering.output_shape_
    return S.reshape(len(S), C * P, height, width).transpose(0, 2, 3, 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("memory", [1024, 0.01])
def test_scales_are_the_moments_of_each_channel(randn, dtype, memory):
    S = (randn(50, 3, 7).numpy() * [[1.0], [1e-3], [20.0]] + [[5.0], [0.0], [-3.0]]).astype(dtype)
    with config_context(working_memory=memory):
        mean, scale = channel_scales(S.reshape(50, 21), 3)
    assert mean.dtype == scale.dtype == np.float64
    np.testing.assert_allclose(mean, S.mean((0, 2), dtype=float), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(scale, S.std((0, 2), dtype=float), rtol=1e-9)


def test_constant_channels_are_not_divided(randn):
    S = np.concatenate([np.full((9, 4), 0.1), np.zeros((9, 4)), randn(9, 4).numpy()], 1)
    mean, scale = channel_scales(S, 3)
    assert scale[:2].tolist() == [1.0, 1.0] and scale[2] != 1.0
    np.testing.assert_allclose(mean[:2], [0.1, 0.0])


def test_scales_of_features_on_disk(tmp_path, randn):
    S = randn(30, 8).numpy()
    np.save(tmp_path / "S.npy", S)
    for found, expected in zip(
        channel_scales(np.load(tmp_path / "S.npy", mmap_mode="r"), 2),
        channel_scales(S, 2),
        strict=True,
    ):
        np.testing.assert_array_equal(found, expected)


def test_the_first_view_is_the_image_and_the_second_its_mirror_image(images):
    scattering = ScatteringTransformer(J=2, L=4, boundary="periodic").fit(images)
    S = scattering.transform(images)
    image, mirrored = (S[:, columns] for columns in feature_views(scattering, True, 0))
    assert_close(image, unfolded(S, scattering))
    # mirrored images, moved by less than the step: see mirror_features
    expected = scattering.transform(np.roll(np.flip(images, -1), 1 - 2**2, axis=-1))
    assert_close(mirrored, unfolded(expected, scattering), 1e-4)


def test_moved_views_are_those_of_images_moved_by_a_step(images):
    scattering = ScatteringTransformer(J=2, L=4, boundary="periodic").fit(images)
    S = scattering.transform(images)
    views = feature_views(scattering, False, 1)
    assert views.shape == (9, 6, 4, 2 * scattering.output_shape_[1])
    inside = (slice(None), slice(1, -1), slice(1, -1))
    moves = []
    for columns in views:
        # the move of a view, from where the coefficients of one path come from
        row, column = np.divmod(columns[2, 2, 0], 4)
        dy, dx = int(row) - 2, int(column) - 2
        moved = scattering.transform(np.roll(images, (-4 * dy, -4 * dx), axis=(-2, -1)))
        assert_close(S[:, columns][inside], unfolded(moved, scattering)[inside], 1e-10)
        moves.append((dy, dx))
    assert moves[0] == (0, 0) and len(set(moves)) == 9


def test_what_comes_in_repeats_the_border(images):
    scattering = ScatteringTransformer(J=2, L=4).fit(images)
    maps = unfolded(np.arange(np.prod(scattering.output_shape_))[None], scattering)[0]
    for columns in feature_views(scattering, False, 1):
        dy, dx = columns[2, 2, 0] // 4 - 2, columns[2, 2, 0] % 4 - 2
        y = np.clip(np.arange(6) + dy, 0, 5)
        x = np.clip(np.arange(4) + dx, 0, 3)
        np.testing.assert_array_equal(columns, maps[y][:, x])


def test_parameters_of_an_estimator_make_its_scattering(images):
    estimator = ScatteringDictionaryClassifier(
        J=2, L=4, nonlinearity="rectifier", shape=(24, 16), dtype="float32"
    )
    scattering = fit_scattering(estimator, images.reshape(4, -1), max_order=1)
    expected = {"J": 2, "L": 4, "nonlinearity": "rectifier", "shape": (24, 16), "max_order": 1}
    assert expected.items() <= scattering.get_params().items()
    assert scattering.ndim_ == 2 and scattering.n_channels_ == 2
    S = transform(scattering, torch.from_numpy(images.reshape(4, -1)))
    assert isinstance(S, np.ndarray) and S.dtype == np.float32
    assert_close(S, scattering.transform(images.reshape(4, -1)))


def test_coefficients_are_computed_once_for_a_memory(images, tmp_path, monkeypatch):
    calls = []

    def counted(scattering, X):
        calls.append(len(X))
        return transform(scattering, X)

    monkeypatch.setattr(_features, "transform", counted)
    estimator = ScatteringDictionaryClassifier(J=2, L=4, memory=str(tmp_path))
    estimator.scattering_ = fit_scattering(estimator, images)
    S = cached_transform(estimator, images)
    np.testing.assert_array_equal(cached_transform(estimator, images), S)
    assert_close(S, estimator.scattering_.transform(images))
    assert calls == [4]
    cached_transform(estimator, images[:2])
    estimator.memory = None
    cached_transform(estimator, images)
    assert calls == [4, 2, 4]
