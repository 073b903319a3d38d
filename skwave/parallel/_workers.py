"""Workers that compute blocks: threads or processes of joblib, or a Dask cluster."""

import uuid
import warnings
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, NamedTuple

from joblib import Parallel, delayed, effective_n_jobs
from joblib.parallel import get_active_backend

from skwave._core.batches import share_of_threads


class Result(NamedTuple):
    """Result of the block that begins at row ``start``: a value, or an error and its traceback."""

    start: int
    value: Any = None
    error: Exception | None = None
    trace: str = ""


def compute(todo, task, n_jobs):
    """Results of tasks run by the workers of joblib's configuration, few at a time.

    Parameters
    ----------
    todo : deque of int
        First rows of blocks, taken from the left; who empties it ends the work after the
        blocks in flight.
    task : callable
        ``task(start)`` makes a call without arguments that gives a `Result`.
    n_jobs : int or None
        Number of workers.

    Yields
    ------
    result : Result
        As they come, in any order.
    """
    backend, _ = get_active_backend()
    workers = effective_n_jobs(n_jobs)
    with share_of_threads(workers):
        if type(backend).__name__ == "DaskDistributedBackend":
            yield from _with_dask(todo, task, backend)
        else:
            yield from _with_joblib(todo, task, n_jobs)


def _calls(todo, task, running):
    # made when joblib or Dask asks for one
    while todo:
        try:
            start = todo.popleft()
        except IndexError:  # emptied by the other thread, after an error
            return
        running[start] = None
        yield start, task(start)


def _parallel(calls, n_jobs):
    # max_nbytes: else joblib hands over large blocks in files, and keeps all of them to the end
    parallel = Parallel(n_jobs, batch_size=1, max_nbytes=None, return_as="generator_unordered")
    return parallel(delayed(call)() for _, call in calls)


def _with_joblib(todo, task, n_jobs):
    # the death of one process ends joblib's whole pool; the next call makes a new one
    def run(start, call):  # numpydoc ignore=GL08
        (result,) = _parallel([(start, call)], n_jobs)
        return result

    running = {}
    while todo or running:
        todo.extendleft(running)
        running.clear()
        try:
            for result in _parallel(_calls(todo, task, running), n_jobs):
                del running[result.start]
                yield result
        except BrokenProcessPool:
            for result in _one_by_one(list(running), task, run, BrokenProcessPool):
                del running[result.start]
                yield result


def _with_dask(todo, task, backend):
    # joblib's own loop waits for ever for a task that the scheduler has given up, and loses
    # the rows that it scattered to a worker that dies
    from distributed import KilledWorker, as_completed

    client, name = backend.client, uuid.uuid4().hex

    def submit(start, call):  # numpydoc ignore=GL08
        key = f"transform_blocks-{name}-{start}"
        return client.submit(call, key=key, pure=False, **backend.submit_kwargs)

    def run(start, call):  # numpydoc ignore=GL08
        return submit(start, call).result()

    running, suspects, waiting = {}, [], as_completed(loop=client.loop)
    calls = _calls(todo, task, {})
    while True:
        room = 2 * sum(client.nthreads().values()) - len(running)  # workers join and leave
        for start, call in islice(calls, max(room, int(not running))):
            future = submit(start, call)
            running[future] = start
            waiting.add(future)
        if not running:
            break
        future = next(waiting)
        start = running.pop(future)
        try:
            result = future.result()
        except KilledWorker:
            suspects.append(start)
            continue
        except Exception as error:
            result = Result(start, None, error)
        yield result
    if suspects:
        name = uuid.uuid4().hex
        yield from _one_by_one(suspects, task, run, KilledWorker)


def _one_by_one(starts, task, run, death):
    # of the blocks that were in flight when a worker died, one alone tells whether it is to blame
    warnings.warn(
        f"A worker died. {len(starts)} block(s) that were in flight are computed again, one at a "
        "time. If memory was short, use a smaller block_size or fewer workers.",
        RuntimeWarning,
        stacklevel=6,
    )
    for start in starts:
        yield _alone(start, task(start), run, death)


def _alone(start, call, run, death):
    try:
        return run(start, call)
    except death as error:
        died = RuntimeError(
            "its worker died again, with no other block beside it. If memory was short, use a "
            f"smaller block_size. {error}"
        )
        died.__cause__ = error
        return Result(start, None, died)
