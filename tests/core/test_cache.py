import os
import time
from functools import partial
from threading import Event, Thread

import numpy as np
import pytest
import torch

import skwave
from skwave import ScatteringTransformer
from skwave._core import batches, cache
from skwave._core.cache import Cache, n_bytes
from skwave.scattering import _plans


@pytest.fixture
def new_cache(monkeypatch):
    """A function that makes caches, which are gone after the test."""
    monkeypatch.setattr(cache, "_caches", list(cache._caches))
    return Cache


def test_b4_caches_are_bounded_by_bytes(new_cache, monkeypatch):
    monkeypatch.setattr(cache, "_MOST_BYTES", 1000)
    made = []

    @new_cache
    def zeros(n):
        made.append(n)
        return torch.zeros(n, dtype=torch.uint8)

    for n in (400, 401, 400, 402):  # 401 is what was used longest ago
        zeros(n)
    assert zeros(400) is zeros(400) and made == [400, 401, 402]
    zeros(401)
    assert made == [400, 401, 402, 401]
    # one that is larger than all is kept alone
    assert zeros(5000) is zeros(5000)
    zeros(400)
    assert made[4:] == [5000, 400]


def test_b4_bytes_of_what_objects_hold():
    x = torch.zeros(10, 10)
    assert n_bytes(x) == n_bytes([x, x[2:], {"y": x.T}]) == 400
    assert n_bytes((np.zeros(3), "text", 5, None)) == 24

    def made():
        y = torch.zeros(7)
        return lambda: y

    assert n_bytes(made()) == 28
    assert n_bytes(partial(made(), x)) == 428
    plan = skwave.functional.scattering_plan((32, 32), 3)
    tiles = [t.values for stage in plan.stages for t in stage.tiles]
    assert n_bytes(plan) > sum(t.untyped_storage().nbytes() for t in tiles)


def test_b4_clear_cache():
    X = np.random.default_rng(0).standard_normal((2, 16, 16))
    scattering = ScatteringTransformer(J=2, L=2, ndim=2)
    S = scattering.fit_transform(X)
    assert _plans._plan._kept
    skwave.clear_cache()
    assert not any(kept._kept for kept in cache._caches)
    assert np.array_equal(scattering.transform(X), S)


def test_b1_a_plan_does_not_wait_for_another(new_cache):
    started, go = Event(), Event()

    @new_cache
    def slow(name):
        if name == "large":
            started.set()
            go.wait(60)
        return name

    thread = Thread(target=slow, args=("large",))
    thread.start()
    assert started.wait(60)
    assert slow("small") == "small"  # would hang
    go.set()
    thread.join()
    assert not slow._making


def test_b1_a_failure_leaves_no_lock(new_cache):
    @new_cache
    def fails():
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            fails()
    assert not fails._making and not fails._kept


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_b1_fork_while_a_thread_makes_a_plan(new_cache):
    started, go = Event(), Event()

    @new_cache
    def slow(name):
        if not started.is_set():
            started.set()
            go.wait(60)
        return name

    thread = Thread(target=slow, args=("plan",))
    thread.start()
    assert started.wait(60)
    with batches._sharing, slow._lock:  # and what else a thread may hold
        pid = os.fork()
        if pid == 0:  # the child asks for the same
            ok = slow("plan") == "plan" and batches._sharing.acquire(timeout=10)
            os._exit(0 if ok else 1)
    deadline = time.monotonic() + 30
    status = None
    while time.monotonic() < deadline:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            break
        time.sleep(0.01)
    else:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        pytest.fail("the child hangs")
    assert os.waitstatus_to_exitcode(status) == 0
    go.set()
    thread.join()
