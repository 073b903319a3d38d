"""Samples of every kind that users hold them in."""

from pathlib import Path

import numpy as np
import pytest
import torch

from skwave._core.samples import as_samples, refuse_masked, refuse_path, refuse_swapped

rng = np.random.default_rng(0)


def objects(parts):
    X = np.empty(len(parts), object)
    X[:] = parts
    return X


def test_arrays_frames_and_lists_of_numbers_stay_as_they_are():
    X = rng.normal(size=(3, 4))
    assert as_samples(X) is X
    for frame in (pandas_frame(X),):
        assert as_samples(frame) is frame
    numbers = X.astype(object)
    assert as_samples(numbers) is numbers


def pandas_frame(X):
    return pytest.importorskip("pandas").DataFrame(X)


@pytest.mark.parametrize("shape", [(5,), (4, 3), (2, 4, 3)])
def test_arrays_of_one_shape_become_one_array(shape):
    parts = [rng.uniform(size=shape) for _ in range(3)]
    for X in (parts, tuple(parts), objects(parts), [torch.from_numpy(p) for p in parts]):
        np.testing.assert_array_equal(as_samples(X), np.stack(parts))
    np.testing.assert_array_equal(as_samples([p.tolist() for p in parts]), np.stack(parts))


def test_types_of_images_are_kept():
    image = pytest.importorskip("PIL.Image")
    X = rng.integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)
    stacked = as_samples([image.fromarray(x) for x in X])
    assert stacked.dtype == np.uint8
    np.testing.assert_array_equal(stacked, X)


def test_different_shapes_are_told():
    with pytest.raises(ValueError, match=r"different shapes, \(3,\), \(4,\): pad or crop"):
        as_samples([np.ones(4), np.ones(3)])
    for ragged in ([[1, 2], [3]], [[[1, 2], [3]], [[1, 2], [3]]], [[1, 2], 3]):
        with pytest.raises(ValueError, match=r"different shapes.*pad or crop"):
            as_samples(ragged)


def test_a_complex_or_flat_array_is_not_dumped():
    with pytest.raises(ValueError, match=r"^Complex data not supported: X .* shape \(2, 9\)") as e:
        as_samples(np.ones((2, 9)) * 1j)
    assert "1.j" not in str(e.value)
    for X, shape in [(np.ones(7), r"1D array of shape \(7,\)"), (np.ones(()), r"0D .* \(\)")]:
        with pytest.raises(ValueError, match=f"^Expected 2D array, got {shape}"):
            as_samples(X)


def test_paths():
    for path in ("a.npy", Path("a.npy")):
        with pytest.raises(TypeError, match=r"X='a\.npy' is text.*np\.load\('a\.npy'"):
            refuse_path(path)
    refuse_path([1, 2])


def test_masked_samples():
    X = np.ma.masked_greater(np.arange(6.0).reshape(2, 3), 4)
    for masked in (X, [*X]):
        with pytest.raises(ValueError, match="1 masked values"):
            refuse_masked(masked)
    refuse_masked(np.ma.array(np.ones((2, 3))))


def test_samples_and_targets_that_are_swapped():
    X, y = rng.normal(size=(4, 3)), np.arange(4)
    for a in (y, y.tolist(), torch.from_numpy(y), np.array(["a", "b", "a", "b"])):
        for b in (X, X.tolist(), torch.from_numpy(X), X[:, None]):
            refuse_swapped(b, a)
            with pytest.raises(ValueError, match=r"swapped\? Call fit\(X, y\)"):
                refuse_swapped(a, b)
    refuse_swapped(y, y)
    refuse_swapped(y, None)
    refuse_swapped(objects([*X]), y)
