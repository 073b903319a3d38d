"""Transforms of data larger than memory: blocks of rows, in parallel, that can be resumed."""

import os
import traceback
from collections import deque
from contextlib import closing, nullcontext
from functools import partial
from math import ceil
from numbers import Integral
from pickle import dumps, loads

import numpy as np
from scipy.sparse import issparse
from sklearn import config_context, get_config

from skwave._core.arrays import to_numpy
from skwave._core.progress import progress_lines
from skwave._core.samples import refuse_path
from skwave.parallel._blocks import (
    File,
    checksum,
    file_of,
    fingerprint,
    journal,
    lock,
    open_out,
    take,
)
from skwave.parallel._workers import Result, compute

__all__ = ["transform_blocks"]

# input and output of a block; Dask warns of tasks that carry more than 10 MB
_BLOCK_BYTES = 2**23
_MIN_BLOCKS = 64


def transform_blocks(est, X, out=None, *, n_jobs=None, block_size="auto", verbose=0):
    """Transform rows block by block, in parallel, in bounded memory.

    The result is that of ``est.transform(X)``, for a transformer that treats each row by
    itself. joblib says where blocks are computed: in ``n_jobs`` processes, or in what
    ``joblib.parallel_config`` chooses, ``backend="threading"`` or ``backend="dask"``, whose
    workers may be on other machines.

    Parameters
    ----------
    est : transformer or Pipeline
        Fitted. Any object with a method ``transform`` that gives a dense array.
    X : array-like, shape (n_samples, ...)
        Rows: an array, a memory map, a data frame, a list, whatever gives blocks of rows by
        ``X[start:stop]``. Workers read the rows of a memory map from its file.
    out : str, Path or ndarray, default=None
        Where to write: a path that ends with ``.npy``, a memory map, or an array. A file that
        exists at the path is replaced, unless a journal beside it shows that it is to be
        completed. None allocates an array in memory.
    n_jobs : int, default=None
        Number of workers; Dask uses its whole cluster. None stands for 1 or what
        ``joblib.parallel_config`` says.
    block_size : int or "auto", default="auto"
        Rows of a block; ``"auto"`` takes 8 MiB of input and output together, or less if that
        makes fewer than 64 blocks.
    verbose : int, default=0
        Print the progress if positive.

    Returns
    -------
    out : ndarray or memmap, shape (n_samples, ...)
        The array given, or the new one; for a path, a memory map of the file.

    Raises
    ------
    TypeError
        If ``est`` has no ``transform``, its result is sparse, ``X`` is a path, or ``out`` is of
        another kind.
    ValueError
        If ``out`` does not fit the result, ``block_size`` is not valid, ``X`` has no rows, or
        the journal belongs to another call. No block has been computed then.
    RuntimeError
        If blocks failed, of which the message tells the rows, and the first error is the cause; or
        if another call writes to ``out``, of which it tells the process.

    Warns
    -----
    RuntimeWarning
        If a worker process died, whose blocks are computed again, or the file system has no locks.

    See Also
    --------
    skwave.ScatteringTransformer : Its ``n_jobs`` is of threads, within one ``transform``.

    Notes
    -----
    *Memory.* At most three blocks for each worker are in flight. If ``out`` is a file, workers
    write their rows themselves and send back a checksum; else rows travel, and this process
    writes them as they come.

    *Resume.* If ``out`` is a file, a journal beside it, ``<out>.blocks``, lists the blocks that
    are written, with their checksums. After an interruption or an error, the same call
    computes what is missing, and what a checksum shows to be damaged; the number and the kind
    of workers may change. The journal holds a fingerprint: the estimator, the length and type
    of ``X`` with eight of its rows, and the block size. A call with others is refused. A call
    that ends well removes the journal. Without a file nothing can be resumed.

    *Threads.* ``backend="threading"`` shares out torch's threads among the workers. Processes
    of joblib have their share of the cores, those of Dask one thread each; it is theirs to
    change.

    *Lock.* As long as a call writes to a file, ``<out>.blocks.lock`` keeps others from it. The
    system frees the lock however the process ends. There is none on Windows.

    *Clusters.* The files of ``X`` and ``out`` have the same path on every machine.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import joblib
    >>> import numpy as np
    >>> from skwave import ScatteringTransformer
    >>> from skwave.parallel import transform_blocks
    >>> X = np.random.default_rng(0).standard_normal((200, 16, 16), dtype=np.float32)
    >>> scattering = ScatteringTransformer(J=2, ndim=2, averaging="global").fit(X[:1])
    >>> with tempfile.TemporaryDirectory() as folder, joblib.parallel_config("threading"):
    ...     S = transform_blocks(scattering, X, Path(folder) / "features.npy", n_jobs=2)
    ...     print(type(S).__name__, S.shape, np.allclose(S, scattering.transform(X)))
    memmap (200, 81) True
    """
    if not callable(getattr(est, "transform", None)):
        raise TypeError(f"est={est!r} has no method transform: give a fitted transformer.")
    refuse_path(X)
    X = to_numpy(X)
    n = X.shape[0] if hasattr(X, "shape") else len(X)
    if n == 0:
        raise ValueError("X has no rows: there is nothing to transform.")
    first = dumps(take(X, 0, 1))  # a copy: some transformers write into their input
    y = _to_numpy(est.transform(loads(first)), 1)
    rows = _block_rows(block_size, n, len(first) + y.nbytes)
    place = out if isinstance(out, str | os.PathLike) else file_of(out)
    record = fingerprint(est, X, n, rows) if place else None
    with lock(place) if place else nullcontext():
        out = open_out(out, (n, *y.shape[1:]), y.dtype, X)
        _fill(out, est, X, n, rows, record, n_jobs, verbose)
    return out


def _fill(out, est, X, n, rows, record, n_jobs, verbose):
    source, target, config = file_of(X), file_of(out), get_config()

    def task(start):  # numpydoc ignore=GL08
        stop = min(start + rows, n)
        block = source or take(X, start, stop)
        return partial(
            _transform_block, est, block, target, out.shape[1:], out.dtype, start, stop, config
        )

    line, errors = progress_lines("transform_blocks"), []
    with journal(target, record) if target else nullcontext((set(), None)) as (done, add):
        todo = deque(start for start in range(0, n, rows) if start not in done)
        n_done = len(done)
        with closing(compute(todo, task, n_jobs)) as results:
            for result in results:
                if result.error is not None:
                    todo.clear()  # what is in flight is still awaited and kept
                    errors.append(result)
                    continue
                if target:
                    add(result.start, result.value)
                else:
                    out[result.start : result.start + rows] = result.value
                n_done += 1
                if verbose:
                    line(f"{min(n, n_done * rows)}/{n} rows")
        if errors:
            _raise(errors, rows, n, target)


def _raise(errors, rows, n, target):
    ranges = ", ".join(f"{e.start}:{min(e.start + rows, n)}" for e in errors)
    error = errors[0].error
    if error.__traceback__ is None and errors[0].trace:  # it came from another process
        error.add_note(errors[0].trace)
    raise RuntimeError(
        f"est.transform failed on rows {ranges} of X: {type(error).__name__}: {error}\n"
        + (
            "The blocks that were finished are kept; mend the cause and call again with the same "
            "arguments to compute the others."
            if target
            else "out is in memory, so that the next call starts anew. Give a path to resume."
        )
    ) from error


def _block_rows(block_size, n, row_bytes):
    if isinstance(block_size, str) and block_size == "auto":
        return max(1, min(_BLOCK_BYTES // row_bytes, ceil(n / _MIN_BLOCKS)))
    if not isinstance(block_size, Integral) or block_size < 1:
        raise ValueError(
            f"block_size={block_size!r} must be 'auto' or a number of rows, 1 or more."
        )
    return min(int(block_size), n)


def _to_numpy(y, n_rows):
    if issparse(y):
        raise TypeError(
            "est gives sparse matrices, whose rows have no fixed place in out: make them dense, "
            "most encoders do with sparse_output=False."
        )
    y = np.asarray(to_numpy(y))
    if y.shape[:1] != (n_rows,):
        raise ValueError(
            f"est.transform gave an array of shape {y.shape} for {n_rows} row(s) of X: only a "
            "transformer that gives one row for each can work on blocks."
        )
    return y


def _transform_block(est, source, target, row_shape, dtype, start, stop, config):
    # in a worker; an error is a result, so that the blocks beside this one go on
    try:
        with config_context(**config):
            x = source.read(start, stop) if isinstance(source, File) else source
            y = _to_numpy(est.transform(x), stop - start)
        if y.shape[1:] != row_shape:
            raise ValueError(f"est gave rows of shape {y.shape[1:]}, for the first {row_shape}.")
        y = y.astype(dtype, casting="same_kind", copy=False)
        if target is None:
            return Result(start, y)
        target.write(start, y)
        return Result(start, checksum(y))
    except Exception as error:
        return Result(start, None, _portable(error), traceback.format_exc())


def _portable(error):
    try:
        loads(dumps(error))
    except Exception:
        return RuntimeError(repr(error))
    return error
