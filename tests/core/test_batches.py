import numpy as np
import pytest
import torch
from sklearn import config_context

from skwave._core.batches import batch_rows, map_batches, predict_batches

CPU = {"dtype": torch.float64, "device": torch.device("cpu")}


def test_batches_keep_within_working_memory():
    with config_context(working_memory=1):
        assert batch_rows("auto", 2**18, 100) == 4
        assert batch_rows("auto", 2**18, 100, n_jobs=2) == 2
        assert batch_rows("auto", 2**30, 100) == 1
    assert batch_rows("auto", 1, 100) == 100
    assert batch_rows("auto", 1, 100, n_jobs=3) == 34
    assert batch_rows(7, 1, 100) == 7


@pytest.mark.parametrize("n_jobs", [None, 2, 3])
@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_order_is_kept(batch_size, n_jobs):
    X = np.arange(20.0).reshape(10, 2)
    threads = torch.get_num_threads()
    Y = map_batches(
        lambda x: 2 * x, X, n_out=2, row_bytes=1, batch_size=batch_size, n_jobs=n_jobs, **CPU
    )
    np.testing.assert_array_equal(Y, 2 * X)
    assert torch.get_num_threads() == threads


def test_out_of_memory_halves_the_batch():
    seen = []

    def f(x):
        seen.append(len(x))
        if len(x) > 3:
            raise torch.OutOfMemoryError("too large")
        return x

    X = np.arange(20.0).reshape(10, 2)
    np.testing.assert_array_equal(map_batches(f, X, n_out=2, row_bytes=1, **CPU), X)
    assert seen == [10, 5, 3, 2, 5, 3, 2]


def test_one_sample_too_large():
    def f(x):
        raise torch.OutOfMemoryError("too large")

    with pytest.raises(torch.OutOfMemoryError, match=r"one sample of shape \(2,\).*float32"):
        map_batches(f, np.ones((3, 2)), n_out=2, row_bytes=1, **CPU)


def test_an_error_in_a_thread_is_raised_and_threads_are_restored():
    def f(x):
        raise ZeroDivisionError

    threads = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError):
        map_batches(f, np.ones((4, 2)), n_out=2, row_bytes=1, batch_size=1, n_jobs=2, **CPU)
    assert torch.get_num_threads() == threads


def test_progress(capsys):
    f = {"n_out": 2, "row_bytes": 1, "batch_size": 2, "verbose": 1, "name": "Test"}
    map_batches(lambda x: x, np.ones((4, 2)), **f, **CPU)
    assert capsys.readouterr().out.startswith("[Test] 2/4 samples, ")


def test_predictions_keep_within_working_memory_and_halve_without_memory():
    X, w = np.arange(20.0).reshape(10, 2), torch.arange(10.0)
    seen = []

    def f(x, w):
        seen.append(len(x))
        if len(x) > 3:
            raise torch.OutOfMemoryError("too large")
        return x.sum(1) * w

    with config_context(working_memory=1):
        y = predict_batches(f, X, w, row_bytes=2**18)
    torch.testing.assert_close(y, torch.from_numpy(X.sum(1)) * w, check_dtype=False)
    assert seen == [4, 2, 2, 4, 2, 2, 2]


def test_predictions_from_any_layout():
    """Arrays that may not be written to, or run backwards; on the CPU in blocks of 64 MiB."""
    X, sizes = np.arange(20.0).reshape(10, 2), []
    X.flags.writeable = False

    def f(x):
        sizes.append(len(x))
        return x.sum(1)

    for Y in (X, X[::-1], X[:, ::-1], np.asfortranarray(X)):
        assert np.array_equal(predict_batches(f, Y, row_bytes=2**23), Y.sum(1))
    assert sizes == [8, 2] * 4
