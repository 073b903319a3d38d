"""Filters and tables that are made once and kept, within a number of bytes."""

import os
from collections.abc import Iterable
from functools import partial, update_wrapper
from threading import Lock
from types import FunctionType, MethodType, ModuleType

import numpy as np
import torch

# bytes that each cache keeps; what was made last is kept at any size
_MOST_BYTES = 2**30

_caches: "list[Cache]" = []


class Cache:
    """A function whose results are kept for the next calls, up to a number of bytes.

    Threads that ask for the same wait for one of them to make it; others do not wait. A process
    that forks meanwhile has what was kept, and waits for nobody.

    Parameters
    ----------
    make : callable
        Of hashable arguments.
    """

    def __init__(self, make):
        update_wrapper(self, make)
        self._make = make
        self._kept = {}  # key -> (value, bytes), what was used last at the end
        self.renew_locks()
        _caches.append(self)

    def renew_locks(self):
        """Forget who holds a lock: in a new process nobody does."""
        self._lock = Lock()
        self._making = {}

    def clear(self):
        """Forget all results."""
        with self._lock:
            self._kept.clear()

    def __call__(self, *args, **kwargs):
        """Call the function, unless its result is kept.

        Parameters
        ----------
        *args, **kwargs
            Those of the function.

        Returns
        -------
        value : object
            Its result.
        """
        key = args, tuple(sorted(kwargs.items()))
        with self._lock:
            if key in self._kept:
                return self._use(key)
            making = self._making.setdefault(key, Lock())
        with making:
            with self._lock:
                if key in self._kept:
                    return self._use(key)
            try:
                # what is made in inference mode could not be used for training later
                with torch.inference_mode(False):
                    value = self._make(*args, **kwargs)
                self._keep(key, value)
            finally:
                with self._lock:
                    self._making.pop(key, None)
        return value

    def _use(self, key):
        entry = self._kept[key] = self._kept.pop(key)
        return entry[0]

    def _keep(self, key, value):
        size = n_bytes(value)
        with self._lock:
            self._kept[key] = value, size
            total = sum(size for _, size in self._kept.values())
            for oldest in list(self._kept)[:-1]:
                if total <= _MOST_BYTES:
                    break
                total -= self._kept.pop(oldest)[1]


def n_bytes(value) -> int:
    """Bytes of the tensors and arrays that an object holds, each counted once.

    Parameters
    ----------
    value : object
        Containers, dataclasses, objects and closures are looked into.

    Returns
    -------
    n : int
        Bytes.
    """
    seen, total, rest = set(), 0, [value]
    while rest:
        value = rest.pop()
        if isinstance(value, torch.Tensor):
            value = value.untyped_storage()  # views share theirs
            key, size = value.data_ptr(), value.nbytes()
        else:
            key, size = id(value), value.nbytes if isinstance(value, np.ndarray) else 0
        if key in seen:
            continue
        seen.add(key)
        total += size
        rest.extend(_parts(value))
    return total


def _parts(value) -> Iterable:
    # what an object refers to, without modules, classes and what functions find there
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, tuple | list | set | frozenset):
        return value
    if isinstance(value, partial):
        return value.func, value.args, value.keywords
    if isinstance(value, MethodType):
        return value.__self__, value.__func__
    if isinstance(value, FunctionType):
        return [cell.cell_contents for cell in value.__closure__ or ()]
    if isinstance(value, type | ModuleType | torch.UntypedStorage):
        return ()
    return getattr(value, "__dict__", {}).values()


def clear_cache():
    """Forget the filters, plans and tables that were kept for the next calls.

    They are kept for each shape and set of parameters, up to 1 GiB of plans of scattering and as
    much of texture models. What an estimator needs next it makes again.

    Examples
    --------
    >>> import skwave
    >>> skwave.clear_cache()
    """
    for cache in _caches:
        cache.clear()


def _renew_locks():
    for cache in _caches:
        cache.renew_locks()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_renew_locks)
