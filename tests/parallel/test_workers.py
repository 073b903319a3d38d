"""Workers: every task once, few at a time, in threads and processes, and after a death."""

import os
import time
from collections import deque
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import islice

import joblib
import pytest
import torch

from skwave.parallel._workers import Result, compute


def square(start):
    return Result(start, (start**2, os.getpid()))


def task(start):
    return partial(square, start)


@pytest.mark.parametrize("backend", ["sequential", "threading", "loky"])
def test_every_task_is_computed_once(backend):
    todo = deque(range(0, 100, 10))
    with joblib.parallel_config(backend, n_jobs=2):
        results = list(compute(todo, task, None))
    assert sorted(r.start for r in results) == list(range(0, 100, 10))
    assert all(r.value[0] == r.start**2 and r.error is None for r in results)
    assert all((r.value[1] == os.getpid()) == (backend != "loky") for r in results)
    assert not todo


@pytest.mark.parametrize("backend", ["sequential", "threading"])
def test_few_tasks_wait(backend):
    made, begun = [], []

    def noting(start):
        made.append(start)
        assert len(made) <= len(begun) + 6

        def call():
            begun.append(start)
            time.sleep(0.01)
            return Result(start)

        return call

    with joblib.parallel_config(backend, n_jobs=2):
        list(compute(deque(range(50)), noting, None))
    assert made == sorted(begun) == list(range(50))


def test_who_empties_the_tasks_ends_the_work():
    todo, results = deque(range(50)), []

    def slow(start):
        return lambda: time.sleep(0.02) or Result(start)

    with joblib.parallel_config("threading", n_jobs=2):
        for result in compute(todo, slow, None):
            results.append(result.start)
            todo.clear()
    assert 1 <= len(results) <= 8  # those in flight are awaited
    assert sorted(results) == list(range(len(results)))


@pytest.mark.parametrize("fails", [False, True])
def test_threads_of_torch_are_shared_and_given_back(fails):
    seen, before = set(), torch.get_num_threads()

    def noting(start):
        def call():
            seen.add(torch.get_num_threads())
            if fails:
                raise KeyboardInterrupt
            return Result(start)

        return call

    torch.set_num_threads(4)
    try:
        with joblib.parallel_config("threading", n_jobs=2):
            if fails:
                with pytest.raises(KeyboardInterrupt):
                    list(compute(deque(range(6)), noting, None))
            else:
                list(compute(deque(range(6)), noting, None))
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)
    assert seen == {2}


@pytest.mark.parametrize("deaths", [1, 2])
def test_tasks_in_flight_at_a_death_are_tried_alone(monkeypatch, deaths):
    """One that dies twice is to blame, and its result is the error."""
    pools = []

    def pool(calls, n_jobs):
        calls = list(islice(calls, 3))
        pools.append([start for start, _ in calls])
        for start, call in calls:
            if start == 4 and sum(4 in starts for starts in pools) <= deaths:
                raise BrokenProcessPool("out of memory")
            yield call()

    monkeypatch.setattr("skwave.parallel._workers._parallel", pool)
    with pytest.warns(RuntimeWarning, match=r"2 block\(s\) that were in flight"):
        results = {r.start: r for r in compute(deque(range(8)), task, 2)}
    assert pools == [[0, 1, 2], [3, 4, 5], [4], [5], [6, 7]]
    assert list(results) == list(range(8))
    failed = [start for start, result in results.items() if result.error is not None]
    assert failed == ([4] if deaths == 2 else [])
    if failed:
        assert "died again, with no other block beside it" in str(results[4].error)
        assert isinstance(results[4].error.__cause__, BrokenProcessPool)
