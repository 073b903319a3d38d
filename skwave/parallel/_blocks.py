"""Blocks of rows in memory or in files, and the journal of the finished ones."""

import json
import os
import re
import socket
import time
import warnings
import zlib
from contextlib import contextmanager
from math import prod
from mmap import mmap
from pathlib import Path
from pickle import PicklingError
from typing import NamedTuple

import joblib
import numpy as np
from numpy.lib.format import open_memmap

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_ADVICE = (
    "Call with the same arguments as before to complete it, give another out, or delete the "
    "journal to start anew."
)


class File(NamedTuple):
    """Consecutive rows of a file, which each process reads and writes by itself.

    By plain reads and writes: the pages of a memory map count as memory of the process, and
    on a network file system the maps of two machines write over each other's pages.
    """

    path: str
    offset: int
    dtype: np.dtype
    shape: tuple
    whole: bool

    def position(self, row):  # numpydoc ignore=GL08
        return self.offset + row * prod(self.shape[1:]) * self.dtype.itemsize

    def read(self, start, stop):  # numpydoc ignore=GL08
        shape = (min(stop, self.shape[0]) - start, *self.shape[1:])
        position = self.position(start)
        return np.fromfile(self.path, self.dtype, prod(shape), offset=position).reshape(shape)

    def write(self, start, rows):  # numpydoc ignore=GL08
        with open(self.path, "r+b") as f:
            f.seek(self.position(start))
            f.write(_raw(rows))


def _raw(rows):
    return np.ascontiguousarray(rows).reshape(-1).view(np.uint8)


def checksum(rows):
    """CRC-32 of the bytes of an array.

    Parameters
    ----------
    rows : ndarray
        Rows.

    Returns
    -------
    crc : int
        Checksum.
    """
    return zlib.crc32(_raw(rows))


def file_of(array):
    """Rows of a file behind a memory map.

    Parameters
    ----------
    array : any
        A memory map, a slice of one, or anything else.

    Returns
    -------
    file : File or None
        None if the values do not stand in a file, row after row.
    """
    root = array
    while isinstance(root, np.ndarray) and not isinstance(root.base, mmap):
        root = root.base
    if not isinstance(root, np.memmap) or root.filename is None or root.mode == "c":
        return None
    if not array.flags.c_contiguous:
        return None
    if root.mode != "r":
        root.flush()
    offset = root.offset + array.ctypes.data - root.ctypes.data
    return File(os.fspath(root.filename), offset, array.dtype, array.shape, array.size == root.size)


def take(X, start, stop):
    """Block of rows of an array, a data frame or any other sequence.

    Parameters
    ----------
    X : array-like or data frame
        Rows.
    start, stop : int
        First row, and the one after the last.

    Returns
    -------
    rows : array-like
        In memory, if ``X`` is a memory map.
    """
    rows = X.iloc[start:stop] if hasattr(X, "iloc") else X[start:stop]
    return np.array(rows) if isinstance(rows, np.memmap) else rows


def open_out(out, shape, dtype, X):
    """Output array for a result of known shape and type.

    Parameters
    ----------
    out : str, Path, ndarray or None
        What the user gave.
    shape : tuple of int
        Shape of the result.
    dtype : numpy.dtype
        Type of the result.
    X : array-like
        Input, which must not be written over.

    Returns
    -------
    out : ndarray
        For a path, a memory map of the file.
    """
    if out is None:
        return np.empty(shape, dtype)
    if isinstance(out, str | os.PathLike):
        return _open_path(Path(out), shape, dtype, X)
    if not isinstance(out, np.ndarray):
        raise TypeError(
            f"out is a {type(out).__name__}: give the path of a .npy file, a numpy array, a "
            "memory map, or None."
        )
    if out.shape != shape or not np.can_cast(dtype, out.dtype, "same_kind"):
        raise ValueError(
            f"out has shape {out.shape} and dtype {out.dtype}, but the result has shape {shape} "
            f"and dtype {dtype}: give an array like that, or the path of a file to be made."
        )
    if not out.flags.writeable:
        raise ValueError("out is read-only: open the memory map with mode='r+'.")
    if _overlap(X, out):
        raise ValueError(
            "out and X share rows: a block could not be computed again after an interruption. "
            "Give another out."
        )
    return out


def _open_path(path, shape, dtype, X):
    if path.suffix != ".npy":
        raise ValueError(f"out={str(path)!r} must end with .npy, or be an array.")
    if dtype.hasobject:
        raise ValueError(f"the result has dtype {dtype}, which no file holds: give out=None.")
    source, record = file_of(X), journal_path(path)
    if source and path.exists() and path.samefile(source.path):
        raise ValueError(f"out={str(path)!r} is the file of X: give another path.")
    if not path.exists() or not record.exists():
        path.unlink(missing_ok=True)  # who still maps the old file keeps it
        record.unlink(missing_ok=True)
        return open_memmap(path, "w+", dtype, shape)
    try:
        out = open_memmap(path, "r+")
    except (ValueError, TypeError, EOFError, OverflowError) as error:
        raise ValueError(
            f"out={str(path)!r} has a journal, {str(record)!r}, but is no .npy file, or is damaged "
            "itself: delete both to start anew, or give another out."
        ) from error
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(
            f"{str(record)!r} is the journal of an interrupted call whose result has shape "
            f"{out.shape} and dtype {out.dtype}, now it has {shape} and {dtype}. {_ADVICE}"
        )
    return out


def _overlap(X, out):
    a, b = file_of(X), file_of(out)
    if a and b and os.path.samefile(a.path, b.path):
        return max(a.offset, b.offset) < min(a.position(a.shape[0]), b.position(b.shape[0]))
    return isinstance(X, np.ndarray) and np.may_share_memory(X, out)


def fingerprint(est, X, n, rows):
    """Record of a call, equal for the calls that may complete one another.

    Parameters
    ----------
    est : estimator
        Fitted transformer.
    X : array-like
        Input.
    n : int
        Its number of rows.
    rows : int
        Rows of a block.

    Returns
    -------
    record : dict
        Estimator, ``X`` with a sample of its rows, and ``block_size``, for JSON.
    """
    try:
        state = joblib.hash(est)
    except (PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            "est cannot be pickled, so that the journal could not tell it from another: define "
            "its functions at the top level of a module, or give an out in memory."
        ) from error
    sample = [take(X, int(i), int(i) + 1) for i in np.linspace(0, n - 1, min(n, 8))]
    # joblib's hash tells apart arrays that differ in their strides alone
    sample = [np.array(x, order="C") if isinstance(x, np.ndarray) else x for x in sample]
    return {
        "estimator": [type(est).__name__, state],
        "X": [n, joblib.hash(sample)],
        "block_size": rows,
    }


def journal_path(out):
    """Path of the journal of an output.

    Parameters
    ----------
    out : str, Path or File
        Path of a file, or some rows of one.

    Returns
    -------
    path : Path
        Beside the file, with the offset of the rows in its name unless they are all.
    """
    if not isinstance(out, File):
        return Path(f"{os.fspath(out)}.blocks")
    return Path(f"{out.path}.blocks" if out.whole else f"{out.path}.{out.offset}.blocks")


@contextmanager
def lock(out):
    """Lock of an output, which one call at a time can hold, in whatever thread or process.

    The system releases it when the process ends, however it ends. Windows has no such locks, nor
    have some network file systems, of which a warning tells.

    Parameters
    ----------
    out : str, Path or File
        Path of a file, or some rows of one. A file ``.lock`` beside its journal says who holds the
        lock, as long as that is.

    Yields
    ------
    None
        While it is held.

    Raises
    ------
    RuntimeError
        If another call holds it; it says which.
    """
    if fcntl is None:
        yield
        return
    path = Path(f"{journal_path(out)}.lock")
    with _locked(path, out.path if isinstance(out, File) else os.fspath(out)) as f:
        f.truncate(0)
        f.write(
            f"process {os.getpid()} on {socket.gethostname()}, since "
            f"{time.strftime('%Y-%m-%d %H:%M:%S')}"
        )
        f.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _holder(f):
    # who has just taken the lock needs a moment to write its name in place of the last one's
    for _ in range(20):
        time.sleep(0.05)
        f.seek(0)
        if holder := f.read():
            return holder
    return "another call"


def _locked(path, name):
    while True:
        f = path.open("a+")
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with f:
                holder = _holder(f)
            raise RuntimeError(
                f"out={name!r} is being written by {holder}: wait for its end, or give another out."
            ) from None
        except OSError as error:
            warnings.warn(
                f"the file system of out={name!r} has no locks ({error}): see to it that no other "
                "call writes there.",
                RuntimeWarning,
                stacklevel=5,
            )
            return f
        if path.exists() and os.path.samestat(os.fstat(f.fileno()), path.stat()):
            return f
        f.close()  # its last holder has removed it meanwhile


@contextmanager
def journal(file, record):
    """Journal of the finished blocks of a file, removed when all are.

    Parameters
    ----------
    file : File
        Output.
    record : dict
        The `fingerprint` of the call.

    Yields
    ------
    done : set of int
        First rows of the blocks that an earlier call wrote and that are still there.
    add : callable
        ``add(start, crc)`` notes one more.
    """
    path = journal_path(file)
    rows = record["block_size"]
    lines = {
        start: f"{start} {crc:08x}\n"
        for start, crc in _earlier(path, record)
        if start < file.shape[0] and checksum(file.read(start, start + rows)) == crc
    }
    new = path.with_name(f"{path.name}.new")
    new.write_text("".join([json.dumps(record) + "\n", *lines.values()]))
    new.replace(path)
    with path.open("a", buffering=1) as f:
        yield set(lines), lambda start, crc: f.write(f"{start} {crc:08x}\n")
    path.unlink()


def _earlier(path, record):
    if not path.exists():
        return []
    try:
        head, _, lines = path.read_text().partition("\n")
        earlier = dict(json.loads(head))
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{str(path)!r} is no journal of transform_blocks, or is damaged: delete it to start "
            "anew, or give another out."
        ) from error
    differ = [key for key in record if earlier.get(key) != record[key]]
    if differ:
        raise ValueError(
            f"{str(path)!r} is the journal of an interrupted call with another "
            f"{' and another '.join(differ)}. {_ADVICE}"
        )
    # a crash may have cut off the last line
    found = re.findall(r"^(\d{1,18}) ([0-9a-f]{8})$", lines, re.MULTILINE)
    return [(int(start), int(crc, 16)) for start, crc in found]
