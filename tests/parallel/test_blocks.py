"""Blocks of rows: in files and in memory, and the journal of the finished ones."""

import errno
import json
import os
import subprocess
import sys
import zlib

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.lib.format import open_memmap
from sklearn.preprocessing import StandardScaler

from skwave.parallel._blocks import (
    checksum,
    fcntl,
    file_of,
    fingerprint,
    journal,
    journal_path,
    lock,
    open_out,
    take,
)


@pytest.fixture
def X():
    return np.random.default_rng(0).standard_normal((10, 3, 2))


@pytest.fixture
def mapped(X, tmp_path):
    np.save(tmp_path / "X.npy", X)
    return np.load(tmp_path / "X.npy", mmap_mode="r+")


def test_rows_of_a_file(X, mapped, tmp_path):
    whole, part = file_of(mapped), file_of(mapped[4:9])
    assert whole.whole and not part.whole
    assert (whole.shape, part.shape, part.dtype) == ((10, 3, 2), (5, 3, 2), X.dtype)
    assert part.position(0) == whole.position(4)
    np.testing.assert_array_equal(whole.read(3, 7), X[3:7])
    np.testing.assert_array_equal(part.read(3, 100), X[7:9])
    part.write(1, -X[:2])
    expected = X.copy()
    expected[5:7] = -X[:2]
    np.testing.assert_array_equal(np.load(tmp_path / "X.npy"), expected)
    np.testing.assert_array_equal(mapped, expected)
    whole.write(0, np.asfortranarray(X))
    np.testing.assert_array_equal(np.load(tmp_path / "X.npy"), X)


def test_what_is_in_no_file(X, mapped, tmp_path):
    private = np.load(tmp_path / "X.npy", mmap_mode="c")
    for array in (X, X.tolist(), torch.from_numpy(X), private, mapped[::2], mapped[..., 1], None):
        assert file_of(array) is None
    assert file_of(np.asarray(mapped)[2:]).shape == (8, 3, 2)


def test_what_is_written_to_a_map_is_in_its_file(X, tmp_path):
    new = open_memmap(tmp_path / "new.npy", "w+", X.dtype, X.shape)
    new[:] = X
    np.testing.assert_array_equal(file_of(new).read(0, 10), X)


def test_blocks_of_any_rows(X, mapped):
    frame = pd.DataFrame(X[:, 0], index=range(10, 0, -1))
    pd.testing.assert_frame_equal(take(frame, 2, 4), frame.iloc[2:4])
    assert take(X.tolist(), 2, 4) == X[2:4].tolist()
    assert torch.equal(take(torch.from_numpy(X), 2, 4), torch.from_numpy(X[2:4]))
    rows = take(mapped, 2, 4)
    assert type(rows) is np.ndarray and not np.may_share_memory(rows, mapped)
    np.testing.assert_array_equal(rows, X[2:4])


def test_checksum(X):
    assert checksum(X) == zlib.crc32(X.tobytes())
    assert checksum(X[:, ::-1]) == zlib.crc32(X[:, ::-1].tobytes())
    other = X.copy()
    other[9, 2, 1] = np.nextafter(other[9, 2, 1], 1)
    assert checksum(other) != checksum(X)


def test_fingerprint(X):
    X = X[:, 0]
    est = StandardScaler().fit(X)
    record = fingerprint(est, X, 10, 4)
    assert record == fingerprint(StandardScaler().fit(X), X.copy(), 10, 4)
    for other, key in (
        (fingerprint(StandardScaler().fit(2 * X), X, 10, 4), "estimator"),
        (fingerprint(est, X.astype("f4"), 10, 4), "X"),
        (fingerprint(est, X[::-1], 10, 4), "X"),
        (fingerprint(est, X, 10, 5), "block_size"),
    ):
        assert [name for name in record if record[name] != other[name]] == [key]


def test_journal(X, mapped, tmp_path):
    file, record = file_of(mapped), {"block_size": 4, "X": [10, "abc"]}
    path = tmp_path / "X.npy.blocks"
    with pytest.raises(KeyboardInterrupt), journal(file, record) as (done, add):
        assert done == set()
        add(0, checksum(X[:4]))
        add(8, checksum(X[8:]))
        add(4, checksum(X[:4]))  # other rows are there
        raise KeyboardInterrupt
    assert path.exists()
    with pytest.raises(ValueError, match=r"X.npy.blocks.*another X\. Call with"):
        journal(file, record | {"X": [10, "abd"]}).__enter__()
    with journal(file, record) as (done, add):
        assert done == {0, 8}
        assert len(path.read_text().splitlines()) == 3
        add(4, checksum(X[4:8]))
    assert not path.exists()
    with journal(file_of(mapped[4:]), record):
        assert [p.name for p in tmp_path.glob("*.blocks")] == [f"X.npy.{file.position(4)}.blocks"]


needs_locks = pytest.mark.skipif(fcntl is None, reason="Windows has no such locks")


@needs_locks
def test_lock(mapped, tmp_path):
    out = tmp_path / "X.npy"
    for place in (out, str(out), file_of(mapped)):
        with lock(place):
            assert (tmp_path / "X.npy.blocks.lock").exists()
            for other in (str(out), file_of(mapped)):
                with pytest.raises(RuntimeError, match=rf"X.npy'.*by process {os.getpid()} on"):
                    lock(other).__enter__()
            with lock(file_of(mapped[4:])), lock(tmp_path / "other.npy"):
                pass
        assert not (tmp_path / "X.npy.blocks.lock").exists()
    with pytest.raises(KeyError), lock(out):
        raise KeyError
    with lock(out):
        pass


HOLDER = """
import sys
from skwave.parallel._blocks import lock
with lock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@needs_locks
def test_a_lock_of_a_process_that_was_killed_is_free(tmp_path):
    out = tmp_path / "out.npy"
    line = [sys.executable, "-c", HOLDER, str(out)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(RuntimeError, match=f"by process {process.pid} on .*since 2"):
            lock(out).__enter__()
        process.kill()
    assert journal_path(out).with_name("out.npy.blocks.lock").exists()
    with lock(out):
        pass
    assert not list(tmp_path.iterdir())


@needs_locks
def test_a_lock_that_is_removed_while_it_is_waited_for(tmp_path, monkeypatch):
    """The file that was opened is gone when it is locked: that lock would keep nobody out."""
    out, flock, calls = tmp_path / "out.npy", fcntl.flock, []

    def slow(f, flags):
        calls.append(f)
        if len(calls) == 1:
            (tmp_path / "out.npy.blocks.lock").unlink()
        flock(f, flags)

    monkeypatch.setattr(fcntl, "flock", slow)
    with lock(out), pytest.raises(RuntimeError, match="is being written"):
        lock(out).__enter__()
    assert len(calls) == 3


@needs_locks
def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def none(f, flags):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", none)
    with (
        pytest.warns(RuntimeWarning, match="has no locks .*not implemented"),
        lock(tmp_path / "out.npy"),
    ):
        pass
    assert not list(tmp_path.iterdir())


BAD_JOURNALS = {
    "empty": b"",
    "text": b"my blocks\n",
    "binary": bytes(range(256)),
    "a list": b"[1, 2]\n",
    "a number": b"3\n",
    "nested": b"[" * 100_000 + b"\n",
    "cut off": b'{"estimator": ["A", "b"], "X"',
}


@pytest.mark.parametrize("kind", BAD_JOURNALS)
def test_c_a_damaged_journal(mapped, kind):
    file = file_of(mapped)
    journal_path(file).write_bytes(BAD_JOURNALS[kind])
    with (
        pytest.raises(ValueError, match=r"blocks' is no journal.*delete it to start anew"),
        journal(file, {"X": [10, "abc"], "block_size": 3}),
    ):
        pass


def test_c_a_journal_with_lines_of_no_block(mapped):
    """Rows that are not there are no blocks."""
    file, record = file_of(mapped), {"X": [10, "abc"], "block_size": 3}
    lines = f"99 00000000\n{10**17} 00000000\n{'9' * 5000} 00000000\n-3 00000000\n"
    good = f"3 {checksum(mapped[3:6]):08x}\n"
    journal_path(file).write_text(json.dumps(record) + "\n" + lines + good)
    with journal(file, record) as (done, _):
        assert done == {3}


def test_c_a_damaged_output(X, tmp_path):
    path = tmp_path / "out.npy"
    header = b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (-3, 2), }"
    for content in (b"", b"text", header.ljust(127) + b"\n"):
        path.write_bytes(content)
        journal_path(path).touch()
        with pytest.raises(ValueError, match=r"out\.npy' has a journal.*delete both"):
            open_out(path, (10, 2), np.dtype(float), X)
