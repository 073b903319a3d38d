"""transform_blocks: the same result wherever it is computed, and whatever happens on the way."""

import json
import os
import signal
import threading
import time
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from itertools import islice
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.lib.format import open_memmap
from sklearn import config_context, get_config
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from skwave import ScatteringTransformer
from skwave.parallel._transform import transform_blocks

N = 103  # a prime: the last block is shorter


class Times(TransformerMixin, BaseEstimator):
    """Multiply; on the row that holds ``row`` let something happen, unless ``off`` exists."""

    def __init__(self, factor=2.0, row=None, event=None, off=None, log=None, pause=0.0):
        self.factor = factor
        self.row = row
        self.event = event
        self.off = off
        self.log = log
        self.pause = pause

    def fit(self, X, y=None):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def transform(self, X):
        X = np.asarray(X)
        if self.log:
            with open(self.log, "a") as f:
                f.write(f"{int(X[0, 0])} {os.getpid()}\n")
        time.sleep(self.pause)
        if self.row is not None and self.row in X[:, 0] and not Path(self.off).exists():
            if self.event == "raise":
                raise ArithmeticError("one row too many")
            if self.event == "raise odd":
                raise Odd("one row too many", 50)
            if self.event == "interrupt":
                raise KeyboardInterrupt
            Path(self.off).touch()  # once
            os.kill(os.getpid(), signal.SIGKILL)
        return self.factor * X

    def computed(self):
        """First rows of the blocks computed, the probing of row 0 left out."""
        starts = [int(line.split()[0]) for line in Path(self.log).read_text().splitlines()]
        Path(self.log).unlink()
        return sorted(starts[1:])


@pytest.fixture
def X():
    """Row i holds i."""
    return np.arange(N, dtype=np.float64)[:, None] * np.ones(3)


@pytest.fixture
def X_file(X, tmp_path):
    np.save(tmp_path / "X.npy", X)
    return np.load(tmp_path / "X.npy", mmap_mode="r")


@pytest.fixture(params=["sequential", "threading"])
def here(request):
    """Backends within this process: quick, for all that does not depend on the backend."""
    with joblib.parallel_config(request.param, n_jobs=2):
        yield request.param


@pytest.fixture(scope="module")
def dask_cluster():
    distributed = pytest.importorskip("distributed")
    dask = pytest.importorskip("dask")
    config = {
        "distributed.scheduler.allowed-failures": 0,
        "distributed.deploy.lost-worker-timeout": "120s",
    }
    with (
        dask.config.set(config),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50
        ) as cluster,
        distributed.Client(cluster),
    ):
        yield cluster


def as_objects(x):
    return x.astype(object)


def double(x):
    x *= 2
    return x


def journal_of(path):
    return Path(f"{path}.blocks")


# --- the result ---------------------------------------------------------------------------------


def inputs(X, folder):
    """The same rows in many kinds of containers, and est(X) for them."""
    np.save(folder / "in.npy", X)
    np.save(folder / "in_f.npy", np.asfortranarray(X))
    np.save(folder / "in_more.npy", np.vstack([X[:7] - 1, X, X[:5]]))
    X.tofile(folder / "in.raw")
    private = np.load(folder / "in_more.npy", mmap_mode="c")[:N]
    private[:] = X  # in memory, not in the file
    written = open_memmap(folder / "in_new.npy", "w+", X.dtype, X.shape)
    written[:] = X
    return {
        "array": X,
        "fortran": np.asfortranarray(X),
        "list": X.tolist(),
        "frame": pd.DataFrame(X, index=np.arange(N)[::-1] / 2),
        "tensor": torch.from_numpy(X).requires_grad_(),
        "memmap": np.load(folder / "in.npy", mmap_mode="r"),
        "memmap seen as ndarray": np.asarray(np.load(folder / "in.npy", mmap_mode="r")),
        "memmap slice": np.load(folder / "in_more.npy", mmap_mode="r")[7:-5],
        "memmap step": np.load(folder / "in_more.npy", mmap_mode="r")[7:-5:1, ::1],
        "memmap fortran": np.load(folder / "in_f.npy", mmap_mode="r"),
        "memmap private": private,
        "memmap not flushed": written,
        "memmap raw, offset": np.memmap(folder / "in.raw", X.dtype, "r", 0, X.shape),
    }


@pytest.mark.parametrize("to_file", [False, True])
def test_any_kind_of_rows(X, tmp_path, here, to_file):
    for name, rows in inputs(X, tmp_path).items():
        out = tmp_path / "out.npy" if to_file else None
        result = transform_blocks(Times(), rows, out, block_size=10)
        np.testing.assert_array_equal(result, 2 * X, err_msg=name)
        assert isinstance(result, np.memmap) == to_file


def test_any_kind_of_output(X, X_file, tmp_path, here):
    big = open_memmap(tmp_path / "big.npy", "w+", np.float64, (N + 20, 3))
    wide = open_memmap(tmp_path / "wide.npy", "w+", np.float64, (N, 8))
    outputs = {
        "array": np.empty((N, 3)),
        "float32": np.empty((N, 3), np.float32),
        "view": np.empty((3, N)).T,
        "raw": np.memmap(tmp_path / "raw", np.float64, "w+", offset=24, shape=(N, 3)),
        "rows of a file": big[11:-9],
        "columns of a file": wide[:, 2:5],
    }
    for name, out in outputs.items():
        assert transform_blocks(Times(), X_file, out, block_size=10) is out
        np.testing.assert_array_equal(out, 2 * X, err_msg=name)
    assert not big[:11].any() and not big[-9:].any()
    assert not wide[:, :2].any() and not wide[:, 5:].any()
    assert not list(tmp_path.glob("*.blocks*"))
    for path in (tmp_path / "p.npy", str(tmp_path / "s.npy")):
        out = transform_blocks(Times(), X, path, block_size=10)
        assert out.flags.writeable
        np.testing.assert_array_equal(np.load(path), 2 * X)


def test_shapes_and_types_of_the_result(X):
    for function in (np.sum, np.square):
        est = FunctionTransformer(function, kw_args={"axis": 1} if function is np.sum else None)
        np.testing.assert_array_equal(transform_blocks(est, X), est.transform(X))
    images = np.random.default_rng(0).standard_normal((20, 2, 5, 4)).astype(np.float32)
    out = transform_blocks(FunctionTransformer(np.negative), images, block_size=3)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, -images)
    booleans = transform_blocks(FunctionTransformer(np.isfinite), X)
    assert booleans.dtype == bool and booleans.all()


@pytest.mark.parametrize("where", ["loky", "dask"])
def test_processes_give_the_result_of_transform(where, tmp_path, request):
    if where == "dask":
        request.getfixturevalue("dask_cluster")
    images = np.random.default_rng(0).standard_normal((60, 16, 16), dtype=np.float32)
    np.save(tmp_path / "X.npy", images)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    scattering = ScatteringTransformer(J=2, L=4, ndim=2, averaging="global")
    est = make_pipeline(scattering, StandardScaler(), PCA(5)).fit(images)
    expected = est.transform(images)
    with joblib.parallel_config(where, n_jobs=2):
        in_memory = transform_blocks(est, images, block_size=7)
        in_file = transform_blocks(est, mapped, tmp_path / "out.npy", block_size=7)
    np.testing.assert_allclose(in_memory, expected, atol=1e-4)
    np.testing.assert_array_equal(in_file, in_memory)
    assert in_file.dtype == expected.dtype
    assert not journal_of(tmp_path / "out.npy").exists()


def test_workers_are_other_processes_and_write_by_themselves(X, X_file, tmp_path):
    est = Times(log=tmp_path / "log", pause=0.02)
    out = open_memmap(tmp_path / "out.npy", "w+", np.float64, X.shape)
    transform_blocks(est, X_file, out, n_jobs=2, block_size=10)
    pids = {int(line.split()[1]) for line in est.log.read_text().splitlines()[1:]}
    assert len(pids) == 2 and os.getpid() not in pids
    np.testing.assert_array_equal(out, 2 * X)


def test_a_transformer_may_write_into_its_input(X):
    # by default joblib hands over what exceeds 1 MB in a file that is read-only
    rows = np.repeat(X, 1500, axis=1)
    out = transform_blocks(FunctionTransformer(double), rows.copy(), n_jobs=2, block_size=50)
    np.testing.assert_array_equal(out, 2 * rows)
    np.testing.assert_array_equal(transform_blocks(FunctionTransformer(double), X.copy()), 2 * X)


class Counted:
    """Rows; each time some are taken, count the blocks whose computation has not begun."""

    def __init__(self, X, log):
        self.X, self.log, self.taken, self.most = X, log, 0, 0
        self.shape = X.shape

    def __getitem__(self, rows):
        if rows.stop - rows.start > 1:  # not a sample; the first line is of the row that is tried
            self.taken += 1
            begun = len(self.log.read_text().splitlines()) - 1
            self.most = max(self.most, self.taken - begun)
        return self.X[rows]


@pytest.mark.parametrize("where", ["threading", "loky", "dask"])
def test_few_blocks_are_in_flight(where, X, tmp_path, request):
    if where == "dask":
        request.getfixturevalue("dask_cluster")
    rows = Counted(X, tmp_path / "log")
    with joblib.parallel_config(where, n_jobs=2):
        transform_blocks(Times(log=rows.log, pause=0.02), rows, tmp_path / "out.npy", block_size=2)
    assert rows.taken == 51  # of 2 rows, and one of the last row
    assert 2 <= rows.most <= 6


def test_auto_blocks_are_small_and_even():
    sizes = []

    def note(x):
        sizes.append(len(x))
        return x[:, :1]

    transform_blocks(FunctionTransformer(note), np.zeros((640, 2)))
    assert sizes[1:] == [10] * 64
    sizes.clear()
    rows_of_1_mib = np.broadcast_to(np.zeros(2**17), (640, 2**17))
    transform_blocks(FunctionTransformer(note), rows_of_1_mib)
    assert sizes[1:-1] == [7] * 91 and sizes[-1] == 3


def test_torch_has_its_share_of_threads_and_gets_the_others_back(X):
    seen = set()
    est = FunctionTransformer(lambda x: seen.add(torch.get_num_threads()) or x)
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        with joblib.parallel_config("threading", n_jobs=2):
            transform_blocks(est, X[1:], block_size=10)
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)
    assert seen == {4, 2}  # 4 for the first row, in this thread


def test_configuration_reaches_the_workers_and_set_output_is_ignored(X):
    seen = set()

    def note(x):
        seen.add(get_config()["working_memory"])
        return x

    with config_context(working_memory=7), joblib.parallel_config("threading", n_jobs=2):
        transform_blocks(FunctionTransformer(note), X, block_size=10)
    assert seen == {7}
    est = StandardScaler().set_output(transform="pandas").fit(X)
    out = transform_blocks(est, X)
    assert type(out) is np.ndarray
    np.testing.assert_array_equal(out, est.transform(X))


def test_progress(X, capsys):
    transform_blocks(Times(), X, block_size=50, verbose=1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["50/103", "100/103", "103/103"]
    transform_blocks(Times(), X)
    assert not capsys.readouterr().out


# --- interruptions ------------------------------------------------------------------------------


@pytest.mark.parametrize("event", ["raise", "interrupt"])
def test_resume(X, X_file, tmp_path, event):
    est = Times(row=50, event=event, off=tmp_path / "off", log=tmp_path / "log")
    out = tmp_path / "out.npy"
    with pytest.raises(RuntimeError if event == "raise" else KeyboardInterrupt) as info:
        transform_blocks(est, X_file, out, block_size=10)
    assert est.computed() == [0, 10, 20, 30, 40, 50]
    if event == "raise":
        assert "rows 50:60" in str(info.value) and "one row too many" in str(info.value)
        assert isinstance(info.value.__cause__, ArithmeticError)
    (tmp_path / "off").touch()
    with joblib.parallel_config("threading", n_jobs=2):  # elsewhere, and given as an array
        result = transform_blocks(est, X, open_memmap(out, "r+"), block_size=10)
    assert est.computed() == [50, 60, 70, 80, 90, 100]
    np.testing.assert_array_equal(result, 2 * X)
    assert not journal_of(out).exists()
    transform_blocks(est, X_file, out, block_size=10)
    assert len(est.computed()) == 11  # complete: computed anew


@pytest.mark.parametrize("block_size", [10, 60])
def test_blocks_beside_the_one_that_failed_are_kept(X, X_file, tmp_path, here, block_size):
    est = Times(row=1, event="raise", off=tmp_path / "off", log=tmp_path / "log", pause=0.05)
    with pytest.raises(RuntimeError, match=f"rows 0:{block_size} of X"):
        transform_blocks(est, X_file, tmp_path / "out.npy", block_size=block_size)
    computed = est.computed()
    assert len(computed) < 8  # no new ones were begun
    (tmp_path / "off").touch()
    out = transform_blocks(est, X_file, tmp_path / "out.npy", block_size=block_size)
    np.testing.assert_array_equal(out, 2 * X)
    others = [start for start in range(0, N, block_size) if start not in computed]
    assert est.computed() == [0, *others]


class Odd(Exception):
    """It can be pickled, but not be read again."""

    def __init__(self, what, where):
        super().__init__(f"{what} at {where}")


@pytest.mark.parametrize("event", ["raise", "raise odd"])
def test_an_error_in_a_process_says_where_it_arose(X, tmp_path, event):
    est = Times(row=50, event=event, off=tmp_path / "off")
    out = np.zeros_like(X)
    with pytest.raises(RuntimeError, match=r"rows 50:60 .*one row too many.*\n.*memory") as info:
        transform_blocks(est, X, out, n_jobs=2, block_size=10)
    assert "in transform" in info.value.__cause__.__notes__[0]
    np.testing.assert_array_equal(out[:50], 2 * X[:50])  # and what was finished is there


class Unreadable(Times):
    """It can be pickled, but not be read again."""

    def __reduce__(self):
        return Odd, ("unreadable",)


def test_an_estimator_that_no_worker_can_read(X, dask_cluster):
    with (
        joblib.parallel_config("dask"),
        pytest.raises(RuntimeError, match=r"est.transform failed on rows 0:103 of X"),
    ):
        transform_blocks(Unreadable(), X, block_size=N)


@pytest.mark.parametrize("where", ["loky", "dask"])
def test_a_worker_that_dies_costs_nothing_but_time(where, X, tmp_path, request):
    if where == "dask":
        request.getfixturevalue("dask_cluster")
    est = Times(row=50, event="kill", off=tmp_path / "off", pause=0.02)
    with (
        joblib.parallel_config(where, n_jobs=2),
        pytest.warns(RuntimeWarning, match="A worker died") as caught,
    ):
        out = transform_blocks(est, X, block_size=10)
    assert (tmp_path / "off").exists()
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(out, 2 * X)


@pytest.mark.parametrize("deaths", [1, 2])
def test_after_the_death_of_a_pool_blocks_are_tried_alone(X, tmp_path, monkeypatch, deaths):
    groups = []

    def pool(calls, n_jobs):  # one of its workers dies over the block from row 40
        calls = list(islice(calls, 3))
        groups.append([start for start, _ in calls])
        for start, call in calls:
            if start == 40 and sum(40 in group for group in groups) <= deaths:
                raise BrokenProcessPool("out of memory")
            yield call()

    monkeypatch.setattr("skwave.parallel._workers._parallel", pool)
    out = tmp_path / "out.npy"
    named = pytest.raises(RuntimeError, match=r"rows 40:50 of X: .*died again.*out of memory")
    with (
        named if deaths == 2 else nullcontext(),
        pytest.warns(RuntimeWarning, match=r"A worker died. 2 block\(s\)"),
    ):
        transform_blocks(Times(), X, out, n_jobs=2, block_size=10)
    assert groups[:4] == [[0, 10, 20], [30, 40, 50], [40], [50]]
    result = transform_blocks(Times(), X, out, n_jobs=2, block_size=10)
    np.testing.assert_array_equal(result, 2 * X)
    if deaths == 2:  # 50, in flight beside 40, was kept
        assert groups[4:] == [[40, 60, 70], [80, 90, 100]]


@pytest.fixture
def interrupted(X_file, tmp_path):
    """A call that stopped after four of eleven blocks, and the path of its output."""
    est = Times(row=40, event="interrupt", off=tmp_path / "off", log=tmp_path / "log")
    out = tmp_path / "out.npy"
    with pytest.raises(KeyboardInterrupt):
        transform_blocks(est, X_file, out, block_size=10)
    (tmp_path / "off").touch()
    est.computed()
    return est, out


def test_damaged_rows_are_computed_again(interrupted, X, X_file):
    est, out = interrupted
    open_memmap(out, "r+")[25, 1] = -1
    np.testing.assert_array_equal(transform_blocks(est, X_file, out, block_size=10), 2 * X)
    assert est.computed() == [20, *range(40, N, 10)]


def test_a_file_that_was_emptied_is_computed_again(interrupted, X, X_file):
    est, out = interrupted
    fresh = open_memmap(out, "w+", np.float64, X.shape)
    np.testing.assert_array_equal(transform_blocks(est, X_file, fresh, block_size=10), 2 * X)
    assert est.computed() == list(range(0, N, 10))


def test_a_file_that_was_removed_is_made_anew(interrupted, X, X_file):
    est, out = interrupted
    out.unlink()
    np.testing.assert_array_equal(transform_blocks(est, X_file, out, block_size=10), 2 * X)


def test_a_journal_cut_off_in_a_line_serves_up_to_it(interrupted, X, X_file):
    est, out = interrupted
    journal = journal_of(out)
    journal.write_text(journal.read_text()[:-4])
    np.testing.assert_array_equal(transform_blocks(est, X_file, out, block_size=10), 2 * X)
    assert est.computed() == list(range(30, N, 10))


def test_another_call_is_refused_until_the_journal_is_deleted(interrupted, X, X_file):
    est, out = interrupted
    written = out.read_bytes()
    other_rows = X.copy()
    other_rows[-1] += 1
    for what, arguments in {
        "another estimator": (clone(est).set_params(factor=3.0), X_file, 10),
        "another X": (est, other_rows, 10),
        "another block_size": (est, X_file, 11),
        "result has shape": (est, X_file[:-1], 10),
        "float32": (est, X_file.astype(np.float32), 10),
    }.items():
        other, rows, block_size = arguments
        with pytest.raises(ValueError, match=what) as info:
            transform_blocks(other, rows, out, block_size=block_size)
        assert "delete the journal" in str(info.value) and journal_of(out).name in str(info.value)
    assert out.read_bytes() == written and len(journal_of(out).read_text().splitlines()) == 5
    journal_of(out).unlink()
    result = transform_blocks(clone(est).set_params(factor=3.0), X_file, out, block_size=10)
    np.testing.assert_array_equal(result, 3 * X)


def test_a_fitted_state_that_differs_is_refused(X, X_file, tmp_path):
    off = tmp_path / "off"
    scaler = StandardScaler().fit(X)
    stop = Times(row=scaler.transform(X[60:61])[0, 0], event="raise", off=off)
    with pytest.raises(RuntimeError, match="rows 60:70"):
        transform_blocks(make_pipeline(scaler, stop), X_file, tmp_path / "o.npy", block_size=10)
    off.touch()
    with pytest.raises(ValueError, match="another estimator"):
        other = make_pipeline(StandardScaler().fit(X[5:]), stop)
        transform_blocks(other, X_file, tmp_path / "o.npy", block_size=10)
    transform_blocks(make_pipeline(scaler, stop), X_file, tmp_path / "o.npy", block_size=10)


def test_a_journal_that_is_none_is_refused(X, tmp_path):
    transform_blocks(Times(), X, tmp_path / "out.npy")
    journal_of(tmp_path / "out.npy").write_text("my blocks\n")
    with pytest.raises(ValueError, match="journal"):
        transform_blocks(Times(), X, tmp_path / "out.npy")


def test_parts_of_one_file_have_journals_of_their_own(X, X_file, tmp_path):
    big = open_memmap(tmp_path / "big.npy", "w+", np.float64, (2 * N, 3))
    est = Times(row=50, event="raise", off=tmp_path / "off")
    for part in (big[:N], big[N:]):
        with pytest.raises(RuntimeError, match="rows 50:60"):
            transform_blocks(est, X_file, part, block_size=10)
    journals = sorted(tmp_path.glob("big.npy.*.blocks"))
    assert len(journals) == 2
    assert json.loads(journals[0].read_text().splitlines()[0])["block_size"] == 10
    (tmp_path / "off").touch()
    for part in (big[:N], big[N:]):
        transform_blocks(est, X_file, part, block_size=10)
        np.testing.assert_array_equal(part, 2 * X)
    assert not list(tmp_path.glob("*.blocks"))


def test_two_calls_on_one_output(X, tmp_path):
    """At the same instant: one writes, and the other says so; nothing is mixed."""
    barrier, results = threading.Barrier(2), []

    def call(factor):
        barrier.wait()
        try:
            out = transform_blocks(Times(factor, pause=0.02), X, tmp_path / "out.npy", block_size=5)
            results.append((factor, np.array(out)))
        except RuntimeError as error:
            results.append((None, str(error)))

    for _ in range(5):
        results.clear()
        threads = [threading.Thread(target=call, args=(factor,)) for factor in (2.0, 3.0)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (_, message), (factor, rows) = sorted(results, key=lambda result: result[0] or 0)
        assert "out.npy' is being written by process" in message
        np.testing.assert_array_equal(rows, factor * X)
        np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), factor * X)
    assert [path.name for path in tmp_path.iterdir()] == ["out.npy"]


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize("block_size", [0, -1, 2.5, "all", None])
def test_block_size(X, tmp_path, block_size):
    with pytest.raises(ValueError, match="block_size="):
        transform_blocks(Times(), X, tmp_path / "out.npy", block_size=block_size)
    assert not list(tmp_path.iterdir())


def test_what_out_may_be(X, X_file, tmp_path):
    read_only = np.empty((N, 3))
    read_only.flags.writeable = False
    for out, error, match in [
        (np.empty((N, 4)), ValueError, r"shape \(103, 3\)"),
        (np.empty((N, 3), int), ValueError, "dtype float64"),
        (read_only, ValueError, "read-only"),
        (X, ValueError, "share rows"),
        (X[:, ::-1], ValueError, "share rows"),
        ([0.0], TypeError, "list"),
        (tmp_path / "out.dat", ValueError, r"end with \.npy"),
        (tmp_path / "no folder" / "out.npy", FileNotFoundError, "no folder"),
    ]:
        with pytest.raises(error, match=match):
            transform_blocks(Times(log=tmp_path / "log"), X, out)
    assert len((tmp_path / "log").read_text().splitlines()) == 8  # the first row alone, each time


def test_input_is_never_written_over(X, X_file, tmp_path):
    with pytest.raises(ValueError, match="the file of X"):
        transform_blocks(Times(), X_file, tmp_path / "X.npy")
    both = open_memmap(tmp_path / "X.npy", "r+")
    with pytest.raises(ValueError, match="share rows"):
        transform_blocks(Times(), X_file[:50], both[40:90])
    np.testing.assert_array_equal(np.load(tmp_path / "X.npy"), X)
    transform_blocks(Times(), X_file[:50], both[50:100])
    np.testing.assert_array_equal(both[50:100], 2 * X[:50])


def test_an_old_file_is_replaced_and_who_maps_it_keeps_it(X, tmp_path):
    old = transform_blocks(Times(), X, tmp_path / "out.npy")
    new = transform_blocks(Times(factor=3.0), X[:50], tmp_path / "out.npy")
    np.testing.assert_array_equal(old, 2 * X)
    np.testing.assert_array_equal(new, 3 * X[:50])


def test_transformers_that_cannot_work_on_blocks(X, tmp_path):
    with pytest.raises(TypeError, match="no method transform"):
        transform_blocks("a transformer", X)
    with pytest.raises(TypeError, match="sparse"):
        transform_blocks(OneHotEncoder().fit(X), X)
    with pytest.raises(ValueError, match=r"shape \(6, 3\) for 1 row"):
        transform_blocks(FunctionTransformer(lambda x: np.repeat(x, 6, axis=0)), X)
    with pytest.raises(ValueError, match="no rows"):
        transform_blocks(Times(), X[:0])
    with pytest.raises(ValueError, match="no rows"):
        transform_blocks(Times(), [])
    with pytest.raises(ValueError, match="which no file holds"):
        transform_blocks(FunctionTransformer(as_objects), X, tmp_path / "out.npy")
    assert transform_blocks(FunctionTransformer(as_objects), X)[5, 0] == 5


def test_a_result_that_changes_its_shape_is_refused(X):
    est = FunctionTransformer(lambda x: x[:, : 2 if x[0, 0] == 20 else 3])
    with pytest.raises(RuntimeError, match=r"rows 20:30 .*shape \(2,\), for the first \(3,\)"):
        transform_blocks(est, X, block_size=10)


def test_a_result_that_changes_its_type_is_refused(X):
    est = FunctionTransformer(lambda x: x.astype(int) if x[0, 0] == 0 else x)
    with pytest.raises(RuntimeError, match=r"rows 10:20 .*Cannot cast"):
        transform_blocks(est, X, block_size=10)


def test_an_estimator_without_a_fingerprint_works_in_memory_only(X, tmp_path):
    est = FunctionTransformer(lambda x: 2 * x)
    np.testing.assert_array_equal(transform_blocks(est, X, n_jobs=2), 2 * X)
    (tmp_path / "out.npy").write_text("precious")
    with pytest.raises(ValueError, match="est cannot be pickled"):
        transform_blocks(est, X, tmp_path / "out.npy")
    assert (tmp_path / "out.npy").read_text() == "precious"


def test_an_estimator_that_is_not_fitted(X):
    with pytest.raises(ValueError, match="not fitted"):
        transform_blocks(StandardScaler(), X)
