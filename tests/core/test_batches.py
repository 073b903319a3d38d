from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
import torch
from sklearn import config_context

from skwave._core.batches import batch_rows, map_batches, predict_batches, run_batches

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

    with pytest.raises(torch.OutOfMemoryError, match=r"one sample alone does not fit.*float32"):
        map_batches(f, np.ones((3, 2)), n_out=2, row_bytes=1, **CPU)
    with pytest.raises(torch.OutOfMemoryError, match="one sample alone does not fit"):
        list(run_batches(f, [np.arange(3)], n_samples=3))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_batches_of_any_rows_are_halved_without_memory(capsys, n_jobs):
    rows, seen = np.random.default_rng(0).permutation(10), []

    def compute(batch):
        seen.append(len(batch))
        if len(batch) > 2:
            raise torch.OutOfMemoryError("too large")
        return batch, 3 * batch

    found = list(
        run_batches(compute, np.split(rows, [4]), n_samples=10, n_jobs=n_jobs, verbose=1, name="T")
    )
    assert sorted(seen) == [1, 1, 2, 2, 2, 2, 3, 3, 4, 6]
    np.testing.assert_array_equal(np.sort(np.concatenate([b for b, _ in found])), np.arange(10))
    assert all((y == 3 * batch).all() for batch, y in found)
    assert "[T] 10/10 samples" in capsys.readouterr().out


def test_an_error_in_a_thread_is_raised_and_threads_are_restored():
    def f(x):
        raise ZeroDivisionError

    threads = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError):
        map_batches(f, np.ones((4, 2)), n_out=2, row_bytes=1, batch_size=1, n_jobs=2, **CPU)
    assert torch.get_num_threads() == threads


def test_calls_that_overlap_leave_the_threads_as_they_were():
    # the second call begins while the first one computes, and ends after it
    begun, within, ended = Event(), Event(), Event()

    def first(x):
        begun.set()
        assert within.wait(timeout=30)
        return x

    def second(x):
        within.set()
        assert ended.wait(timeout=30)
        return x

    def call(f):
        map_batches(f, np.ones((2, 2)), n_out=2, row_bytes=1, batch_size=1, n_jobs=2, **CPU)
        return torch.get_num_threads()

    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        with ThreadPoolExecutor(2) as pool:
            one = pool.submit(call, first)
            assert begun.wait(timeout=30)
            other = pool.submit(call, second)
            found = [one.result(timeout=30)]
            ended.set()
            found.append(other.result(timeout=30))
        # that of the callers, and of any thread to come
        with ThreadPoolExecutor(1) as pool:
            found.append(pool.submit(torch.get_num_threads).result())
        assert found == [4, 4, 4]
    finally:
        torch.set_num_threads(threads)


@pytest.fixture
def four_threads():
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_b3_small_work_has_one_thread(four_threads, n_jobs):
    def seen(row_bytes):
        found = set()
        f = {"n_out": 2, "row_bytes": row_bytes, "batch_size": 2, "n_jobs": n_jobs}
        map_batches(lambda x: found.add(torch.get_num_threads()) or x, np.ones((4, 2)), **f, **CPU)
        assert torch.get_num_threads() == 4
        return found

    assert seen(2**21) == {1}
    assert seen(2**21 + 1) == {4 // n_jobs}


def test_b3_small_predictions_have_one_thread(four_threads):
    for row_bytes, expected in ((2**21, 1), (2**22, 4)):
        y = predict_batches(
            lambda x: x[:, :1] * torch.get_num_threads(), np.ones((4, 2)), row_bytes=row_bytes
        )
        assert (y == expected).all()
        assert torch.get_num_threads() == 4


def test_b3_who_set_one_thread_keeps_it(four_threads):
    torch.set_num_threads(1)
    map_batches(lambda x: x, np.ones((4, 2)), n_out=2, row_bytes=1, n_jobs=2, **CPU)
    assert torch.get_num_threads() == 1


def test_b3_small_work_of_many_threads_leaves_them_as_they_were(four_threads):
    def call(i):
        torch.ones(1)  # a thread that is new may find what another call has set
        seen = []
        for _ in range(20):
            f = {"n_out": 2, "row_bytes": 1, "n_jobs": 1 + i % 2}
            map_batches(lambda x: seen.append(torch.get_num_threads()) or x, X, **f, **CPU)
        return seen

    X = np.ones((4, 2))
    with ThreadPoolExecutor(8) as pool:
        assert {n for seen in pool.map(call, range(8)) for n in seen} == {1}
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == 4
    assert torch.get_num_threads() == 4


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
