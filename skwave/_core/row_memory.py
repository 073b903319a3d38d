"""Rows of features in the memory of a process, bounded in bytes."""

from contextlib import contextmanager
from threading import RLock

import numpy as np


class Memory:
    """Rows by their keys; what was used longest ago goes first.

    Parameters
    ----------
    max_bytes : int
        Most bytes of the rows.
    """

    def __init__(self, max_bytes):
        self.max_bytes = max_bytes
        self._lock = RLock()
        self.clear()

    def __len__(self):
        return len(self._rows)

    def clear(self):
        """Forget all rows."""
        with self._lock:
            self._rows, self._claims, self.n_bytes = {}, {}, 0

    def read(self, keys):
        """Rows that are there.

        Parameters
        ----------
        keys : list of bytes
            Keys.

        Returns
        -------
        rows : dict
            Read-only arrays by their keys.
        """
        with self._lock:
            rows = {key: self._rows.pop(key) for key in keys if key in self._rows}
            self._rows.update(rows)  # at the end
            return rows

    @contextmanager
    def owner(self):
        """Context of a call that claims keys, until it ends.

        Yields
        ------
        owner : object
            What `claim` and `write` are told.
        """
        owner = object()
        try:
            yield owner
        finally:
            with self._lock:
                self._claims = {k: other for k, other in self._claims.items() if other is not owner}

    def claim(self, keys, size, owner):
        """Claim some of the keys that nobody has computed or computes.

        Parameters
        ----------
        keys : list of bytes
            Keys.
        size : int
            How many at most.
        owner : object
            Who claims them.

        Returns
        -------
        mine : list of bytes
            Keys that are the owner's now.
        """
        with self._lock:
            mine = [k for k in keys if k not in self._rows and k not in self._claims][:size]
            self._claims.update(dict.fromkeys(mine, owner))
            return mine

    def write(self, rows, owner=None):
        """Keep rows, in place of those that were used longest ago; end their claims.

        Parameters
        ----------
        rows : dict
            Arrays by their keys; one of more than half of the bytes is not kept.
        owner : object, default=None
            Who has claimed them.
        """
        with self._lock:
            for key, row in rows.items():
                self._claims.pop(key, None)
                if key not in self._rows and 2 * row.nbytes <= self.max_bytes:
                    self._rows[key] = row = np.array(row)  # no view of a larger array
                    row.flags.writeable = False
                    self.n_bytes += row.nbytes
            while self.n_bytes > self.max_bytes:
                self.n_bytes -= self._rows.pop(next(iter(self._rows))).nbytes
