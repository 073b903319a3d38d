"""Loops over the samples of an array, batch after batch: the only ones of the package."""

import os
from contextlib import contextmanager
from functools import partial
from math import ceil
from threading import Lock

import numpy as np
import torch
from joblib import Parallel, delayed, effective_n_jobs
from sklearn import get_config

from skwave._core.arrays import (
    empty_like_kind,
    like_kind,
    records_gradient,
    resolve_device,
    to_tensor,
    write,
)
from skwave._core.progress import report_batches

# glibc hands freed blocks back to the kernel above a threshold which follows the largest
# block freed so far, up to 32 MiB; fetching the pages anew costs as much as an FFT of them
_SETTLING_BYTES = 2**25 - 2**16
# larger blocks of predictions, which leave the caches and are fetched anew, take twice the time
_QUICK_BYTES = 2**26
# what fits into the cache of a core is done before threads have met, which on a busy machine takes
# many times as long as the work
_ONE_CORE_BYTES = 2**23
_settled = False


def _settle_allocator():
    global _settled
    if not _settled:
        torch.empty(_SETTLING_BYTES, dtype=torch.uint8)
        _settled = True


def batch_rows(batch_size, row_bytes, n_samples, n_jobs=1):
    """Number of samples of one batch.

    Parameters
    ----------
    batch_size : int or "auto"
        ``"auto"``: as many as fit into scikit-learn's ``working_memory``.
    row_bytes : int
        Memory that one sample needs while it is worked on.
    n_samples : int
        Number of samples.
    n_jobs : int, default=1
        Batches worked on at once, which share the memory.

    Returns
    -------
    rows : int
        At least 1.
    """
    share = ceil(n_samples / n_jobs)
    if batch_size != "auto":
        return min(batch_size, share)
    memory = get_config()["working_memory"] * 2**20
    return max(1, min(share, int(memory / n_jobs // row_bytes)))


def _ranges(n, size):
    # the samples 0..n-1 in batches of a size
    return [range(start, min(start + size, n)) for start in range(0, n, size)]


def _in_halves(compute, batch):
    # [(batch, results)], or those of its halves where the device has no room for the whole
    try:
        return [compute(batch)]
    except torch.OutOfMemoryError as error:
        if len(batch) == 1:
            raise torch.OutOfMemoryError(
                "one sample alone does not fit into the memory of the device: compute on another "
                "device, with fewer scales or angles, or in float32."
            ) from error
    torch.cuda.empty_cache()
    half = ceil(len(batch) / 2)
    return _in_halves(compute, batch[:half]) + _in_halves(compute, batch[half:])


_sharing = Lock()
_n_sharing = 0  # calls that share torch's threads out at the moment
_all_threads = 0  # torch's threads before the first of them


def _alone():
    # a process that forks while a thread of the other holds the lock would wait for ever
    global _sharing, _n_sharing
    _sharing, _n_sharing = Lock(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_alone)


@contextmanager
def share_of_threads(n_jobs):
    """Share torch's threads out among workers that are threads of this process.

    Parameters
    ----------
    n_jobs : int or None
        Number of workers; None for one thread, with small work.

    Yields
    ------
    share : int
        Threads of each, while they are shared; then torch has as many as before the first of the
        calls that overlap.
    """
    # torch's number of threads is that of the thread which sets it and of all threads to come
    global _n_sharing, _all_threads
    with _sharing:
        if _n_sharing == 0:
            _all_threads = torch.get_num_threads()
        several = _all_threads > 1
        share = max(1, _all_threads // n_jobs) if n_jobs else 1
        if several:
            _n_sharing += 1
            torch.set_num_threads(share)
    try:
        yield share
    finally:
        if several:
            with _sharing:
                _n_sharing -= 1
                torch.set_num_threads(_all_threads)


def _in_threads(f, arguments, n_jobs, small):
    # results as they come; each thread has its share of torch's own threads, one for small work
    if n_jobs == 1 and not small:
        yield from map(f, arguments)
        return
    with share_of_threads(None if small else n_jobs) as share:
        if n_jobs == 1:
            yield from map(f, arguments)
            return

        def work(argument):  # numpydoc ignore=GL08
            if torch.get_num_threads() != share:  # a call that ended meanwhile has set it
                torch.set_num_threads(share)
            return f(argument)

        parallel = Parallel(n_jobs, prefer="threads", return_as="generator_unordered")
        yield from parallel(delayed(work)(argument) for argument in arguments)


def run_batches(
    compute, batches, *, n_samples, n_jobs=None, verbose=0, name="", unit="samples", n_bytes=None
):
    """Compute batches, some at the same time, and report the progress.

    Parameters
    ----------
    compute : callable
        Batch -> (batch, results of its samples).
    batches : sequence
        Rows of the samples of each batch: ranges or arrays of indices, say. One that does not
        fit into the memory of the device is cut into halves, by slices.
    n_samples : int
        Number of samples of all batches.
    n_jobs : int, default=None
        Batches at once, in threads.
    verbose : int, default=0
        Print the progress if positive.
    name : str, default=""
        Name in the progress line.
    unit : str, default="samples"
        What the batches are of, in the progress line.
    n_bytes : int, default=None
        Memory of all batches on a CPU. So little that it fits into the cache of a core is worked on
        with one of torch's threads, as long as the results are taken.

    Yields
    ------
    batch, results : tuple
        In any order.
    """
    n_jobs = min(effective_n_jobs(n_jobs), n_samples)
    small = n_bytes is not None and n_bytes <= _ONE_CORE_BYTES
    parts = _in_threads(partial(_in_halves, compute), batches, n_jobs, small)
    results = (result for part in parts for result in part)
    yield from report_batches(results, n_samples, name, unit) if verbose else results


def check_result(y, start, name):
    """Refuse results that are not finite; one pass over them, and one wait for a device.

    Parameters
    ----------
    y : Tensor, shape (n, ...)
        Results of finite samples.
    start : int
        Number of the first sample.
    name : str
        Name of the estimator.

    Raises
    ------
    ValueError
        It names the first sample whose results are not finite.
    """
    if not y.numel() or torch.isfinite(torch.stack(y.detach().aminmax())).all():
        return
    row = start + int((~torch.isfinite(y)).flatten(1).any(1).nonzero()[0])
    raise ValueError(
        f"{name} gives what {y.dtype} can't represent for sample {row} of X: its values are too "
        "large, or too small, for what is computed of them. Divide X by its scale, give float64, "
        "or leave out samples with values that stand for missing ones."
    )


def map_batches(
    f, X, *, n_out, row_bytes, dtype, device, batch_size="auto", n_jobs=None, verbose=0, name="",
    finite=True,
):  # fmt: skip
    """Apply a function of torch tensors to the samples of any array, batch after batch.

    Parameters
    ----------
    f : callable
        Tensor (batch, ...) -> Tensor (batch, n_out).
    X : array, shape (n_samples, ...)
        Validated samples: numpy, torch or array API.
    n_out : int
        Columns of the result.
    row_bytes : int
        Memory that one sample needs.
    dtype : torch.dtype
        Type to compute in.
    device : torch.device
        Where to compute.
    batch_size : int or "auto", default="auto"
        Samples at once; a batch that does not fit into the memory of a GPU is halved.
    n_jobs : int, default=None
        Batches at once on the CPU, in threads.
    verbose : int, default=0
        Print the progress if positive.
    name : str, default=""
        Name in the progress line.
    finite : bool, default=True
        Whether to refuse samples whose results are not finite; False for a caller that looks
        itself.

    Returns
    -------
    Y : array, shape (n_samples, n_out)
        Same kind and device as ``X``. The graph of a torch tensor that requires a gradient
        is kept.
    """
    n = X.shape[0]
    n_jobs = min(effective_n_jobs(n_jobs), n) if device.type == "cpu" else 1
    rows = batch_rows(batch_size, row_bytes, n, n_jobs)
    differentiable = records_gradient(X)
    if device.type == "cpu":
        _settle_allocator()

    def compute(batch):
        # whether autograd records is a thread's own
        with torch.set_grad_enabled(differentiable):
            return batch, f(to_tensor(X[batch.start : batch.stop, ...], dtype, device))

    results = run_batches(
        compute,
        _ranges(n, rows),
        n_samples=n,
        n_jobs=n_jobs,
        verbose=verbose,
        name=name,
        n_bytes=n * row_bytes if device.type == "cpu" else None,
    )
    if isinstance(X, torch.Tensor) and (differentiable or rows >= n):
        blocks = sorted(results, key=lambda result: result[0].start)
        y = torch.cat([y for _, y in blocks]).to(X.device)
        if finite:
            check_result(y, 0, name)
        return y
    out = empty_like_kind(X, (n, n_out), dtype)
    for batch, y in results:
        if finite:
            check_result(y, batch.start, name)
        write(out, batch.start, y)
    return like_kind(out, X)


def _as_tensor(rows):
    # torch has no read-only tensors, nor negative strides
    return torch.as_tensor(
        np.require(rows, requirements=["C", "W"]) if isinstance(rows, np.ndarray) else rows
    )


def predict_batches(f, *arrays, row_bytes, device=None):
    """Apply a function to several arrays, the same rows of each in a batch.

    Parameters
    ----------
    f : callable
        Tensors of some rows -> Tensor, row by row.
    *arrays : ndarray or Tensor, shape (n_samples, ...)
        Arrays of equal length.
    row_bytes : int
        Memory that one row needs while it is worked on; a batch keeps within scikit-learn's
        ``working_memory``.
    device : torch.device or None, default=None
        Where batches are moved to; None for where they are.

    Returns
    -------
    y : Tensor, shape (n_samples, ...)
        Results, on the device of the function's results. A batch that does not fit into the
        memory of the device is halved.
    """
    n = len(arrays[0])
    size = batch_rows("auto", row_bytes, n)
    on_cpu = resolve_device(device, arrays[0]).type == "cpu"
    if on_cpu:
        size = min(size, max(1, _QUICK_BYTES // row_bytes))

    def compute(batch):  # numpydoc ignore=GL08
        rows = slice(batch.start, batch.stop)
        return batch, f(*(_as_tensor(a[rows]).to(device) for a in arrays))

    batches = _ranges(n, size)
    n_bytes = n * row_bytes if on_cpu else None
    results = run_batches(compute, batches, n_samples=n, n_jobs=1, n_bytes=n_bytes)
    return torch.cat([y for _, y in results])
