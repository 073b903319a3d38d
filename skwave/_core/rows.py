"""Rows of features that are computed once and kept, for all folds and processes."""

import os
import time
import weakref
from collections import defaultdict
from copy import copy
from hashlib import blake2b
from importlib.metadata import version
from numbers import Real
from uuid import uuid4

import numpy as np
import torch

from skwave._core.progress import progress_lines
from skwave._core.row_memory import Memory
from skwave._core.row_store import Folder

_SMALLEST = 2**20
# rows computed at a time, and four times as many as long as they take less than so many seconds:
# another process waits for them, and a kill loses them
_FIRST_CHUNK, _QUICK = 64, 0.1
_CHUNK_SHARE = 8  # of the bytes of a cache is what one chunk may take
_AT_ONCE = 1000  # rows of which the arrays are held while they are read
_POLL = 0.02  # seconds between looks at what others compute
# parameters of estimators that say how, and not what, is computed, or are in the rows themselves
_ASIDE = {"batch_size", "cache", "device", "dtype", "n_jobs", "ndim", "shape", "verbose"}


class FeatureCache:
    """Features of samples, kept for the next time that the same ones are asked for.

    A transformer without a state gives a sample the same features in every fold, subset and
    order. With ``cache=`` each sample is computed once for each setting of the transformer, in a
    grid search, a cross-validation or a learning curve, in one process or several.

    Parameters
    ----------
    location : str, Path or None, default=None
        Folder, which is made if there is none, for processes to share and for later sessions.
        None for the memory of this process alone.
    max_bytes : int, default=2**30
        Size of the file or of the memory, from 1 MiB on. What was used longest ago goes first.

    Attributes
    ----------
    n_bytes : int
        Size of what is kept.

    Notes
    -----
    The folder holds an SQLite database, whose rows are bytes with a checksum: nothing is
    unpickled. What is there is found by a hash of the sample, of the parameters that matter, and of
    the versions of skwave and torch. A process that is killed leaves a whole database; what it was
    computing is computed by others, at most a chunk of rows, which takes some tenths of a second.
    A power failure may damage the file, of which an error tells. Processes that need the same rows
    at one time share the work, by file locks; on Windows each computes what is not there yet.

    The last 128 MiB of rows of a folder stay in the memory of each process that uses it.

    A tensor that requires a gradient goes around the cache.

    Examples
    --------
    >>> import numpy as np
    >>> from skwave import FeatureCache, ScatteringTransformer
    >>> X = np.random.default_rng(0).standard_normal((100, 64))
    >>> cache = FeatureCache()
    >>> S = ScatteringTransformer(J=3, cache=cache).fit_transform(X)
    >>> len(cache)
    100
    >>> again = ScatteringTransformer(J=3, cache=cache).fit(X).transform(X[::-1])
    >>> len(cache), np.array_equal(again[::-1], S)
    (100, True)
    >>> cache.clear()
    >>> len(cache)
    0
    """

    def __init__(self, location=None, *, max_bytes=2**30):
        if not isinstance(location, str | os.PathLike | None):
            raise TypeError(f"location={location!r} must be the path of a folder, or None.")
        number = isinstance(max_bytes, Real) and not isinstance(max_bytes, bool)
        if not number or not _SMALLEST <= max_bytes < 2**50:
            raise ValueError(f"max_bytes={max_bytes!r} must be a number from {_SMALLEST} on.")
        self.location = location
        self.max_bytes = int(max_bytes)
        self._token = uuid4().hex if location is None else None
        self._start()

    def _start(self):
        self._process = os.getpid()
        if self._token is None:
            self._store = Folder(self.location, self.max_bytes)
        else:
            self._store = Memory(self.max_bytes)
            _in_memory[self._token] = self

    def _kept_rows(self):
        if self._process != os.getpid():  # a fork has a memory of its own
            self._start()
        return self._store

    def __repr__(self):
        return f"FeatureCache({self.location!r}, max_bytes={self.max_bytes})"

    def __reduce__(self):
        return _reopen, (self.location, self.max_bytes, self._token)

    def __deepcopy__(self, memo):
        return self

    def __copy__(self):
        return self

    def __eq__(self, other):
        return isinstance(other, FeatureCache) and self.__reduce__() == other.__reduce__()

    def __hash__(self):
        return hash(self.__reduce__()[1])

    def __len__(self):
        return len(self._kept_rows())

    @property
    def n_bytes(self):  # numpydoc ignore=RT01,SS06
        """Size of what is kept, in bytes."""
        return self._kept_rows().n_bytes

    def clear(self):
        """Forget all rows; a file that is damaged or of another version is deleted."""
        self._kept_rows().clear()

    def rows(self, settings, samples, compute):
        """Rows of samples: those that are kept, and the others computed in chunks.

        Parameters
        ----------
        settings : object
            What the rows depend on beside the samples: numbers, strings, arrays, and lists,
            tuples and dicts of them.
        samples : iterable of bytes-like
            What tells one sample from another.
        compute : callable
            Indices of some samples -> sequence of their rows, ndarrays.

        Yields
        ------
        indices : list of int
            Samples that are the same.
        row : ndarray
            Their row, read-only.
        """
        secret = blake2b(repr(_plain(settings)).encode(), digest_size=32).digest()
        todo = defaultdict(list)
        for i, sample in enumerate(samples):
            todo[blake2b(sample, digest_size=16, key=secret).digest()].append(i)
        store, size = self._kept_rows(), _FIRST_CHUNK
        yield from _found(store, todo)
        if not todo:
            return
        with store.owner() as owner:
            while todo:
                mine = store.claim(list(todo), size, owner)
                if not mine:
                    time.sleep(_POLL)
                    yield from _found(store, todo)
                    continue
                begin = time.perf_counter()
                values = [np.ascontiguousarray(v) for v in compute([todo[k][0] for k in mine])]
                seconds = time.perf_counter() - begin
                store.write(dict(zip(mine, values, strict=True)), owner)
                for key, row in zip(mine, values, strict=True):
                    yield todo.pop(key), row
                largest = max(row.nbytes for row in values)
                size = 4 * size if seconds < _QUICK else size
                size = max(1, min(size, self.max_bytes // _CHUNK_SHARE // max(largest, 1)))


def _found(store, todo):
    # what is there of some keys, which are done then
    keys = list(todo)
    for i in range(0, len(keys), _AT_ONCE):
        for key, row in store.read(keys[i : i + _AT_ONCE]).items():
            yield todo.pop(key), row


CACHE_CONSTRAINT = [str, os.PathLike, FeatureCache, None]

_in_memory = weakref.WeakValueDictionary()  # token -> cache


def _reopen(location, max_bytes, token):
    # in the process that a cache in memory belongs to, it is the same; others have their own
    known = _in_memory.get(token)
    if known is not None:
        return known
    cache = FeatureCache(location, max_bytes=max_bytes)
    if token is not None:
        cache._token = token
        cache._start()
    return cache


def as_cache(cache):
    """Cache that the parameter of an estimator stands for.

    Parameters
    ----------
    cache : FeatureCache, str, Path or None
        A path is that of its folder.

    Returns
    -------
    cache : FeatureCache or None
        The argument, if it is one.
    """
    return FeatureCache(cache) if isinstance(cache, str | os.PathLike) else cache


def cached_rows(estimator, samples, compute, **settings):
    """Rows of the samples of an estimator, from its cache as far as they are there.

    Parameters
    ----------
    estimator : estimator
        With a cache as its parameter ``cache``. Its parameters are settings, but for those that do
        not change the rows.
    samples : iterable of bytes-like
        What tells one sample from another.
    compute : callable
        A copy of the estimator that reports no progress, and indices of some samples -> sequence of
        their rows, ndarrays.
    **settings
        What the rows depend on beside the parameters and the samples.

    Yields
    ------
    indices : list of int
        Samples that are the same.
    row : ndarray
        Their row, read-only.
    """
    name, quiet, n_done = type(estimator).__name__, copy(estimator), 0
    quiet.verbose = 0
    report = progress_lines(name) if estimator.verbose else lambda text: None
    parameters = estimator.get_params(deep=False)
    settings = {k: v for k, v in parameters.items() if k not in _ASIDE} | settings
    versions = version("skwave"), torch.__version__

    def some(indices):  # numpydoc ignore=GL08
        nonlocal n_done
        rows = compute(quiet, indices)
        n_done += len(indices)
        report(f"{n_done} samples computed, which were not in the cache")
        return rows

    yield from as_cache(estimator.cache).rows((name, versions, settings), samples, some)


def _plain(value):
    # what has one way to be written, whatever types of numbers and sequences it is made of
    if isinstance(value, dict):
        return tuple((key, _plain(value[key])) for key in sorted(value))
    if isinstance(value, list | tuple):
        return tuple(map(_plain, value))
    if isinstance(value, torch.Tensor):
        value = value.numpy(force=True)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        data = blake2b(np.ascontiguousarray(value), digest_size=16).hexdigest()
        return str(value.dtype), value.shape, data
    if isinstance(value, Real) and not isinstance(value, bool):
        return float(value)
    return value if value is None else str(value)
