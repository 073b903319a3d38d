"""Database of rows of features that processes share: SQLite, bounded in bytes."""

import os
import sqlite3
import time
import warnings
import zlib
from contextlib import closing, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

import numpy as np

from skwave._core.row_memory import Memory

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_VERSION = 1
_PAGE = 4096
# keys of one statement: SQLite takes some ten thousand variables
_AT_ONCE = 1000
# of the largest size: what is removed beyond what has to be, and what stays free for the journal
_SLACK, _MARGIN = 16, 32
_RECENT = 10  # seconds within which uses count as one
_RECENT_BYTES = 2**27  # of rows in memory
_TABLES = """
CREATE TABLE rows (id INTEGER PRIMARY KEY, value BLOB);
CREATE TABLE keys (
  key BLOB PRIMARY KEY, id INTEGER, shape TEXT, dtype TEXT, crc INTEGER, bytes INTEGER, used REAL
) WITHOUT ROWID;
CREATE TABLE claims (key BLOB PRIMARY KEY, owner TEXT) WITHOUT ROWID;
"""


_recent = {}  # rows of the last folder that this process has read, by its file
if hasattr(os, "register_at_fork"):  # whose lock a thread may hold
    os.register_at_fork(after_in_child=_recent.clear)


class Folder:
    """Rows in the database of a folder, which threads and processes share.

    Parameters
    ----------
    location : str or Path
        Folder.
    max_bytes : int
        Largest size of the file.
    """

    def __init__(self, location, max_bytes):
        self.path = Path(os.path.abspath(os.path.expanduser(location))) / "features.sqlite"
        self.max_bytes = max_bytes

    @contextmanager
    def _open(self):
        # neither threads nor forks share a connection
        with naming(self.path), closing(connect(self.path, self.max_bytes)) as database:
            yield database

    def _memory(self):
        # a file that takes the place of another has other rows
        try:
            name = self.path, self.path.stat().st_ino
        except OSError:
            name = self.path, None
        memory = _recent.get(name)
        if memory is None:
            _recent.clear()
            memory = _recent[name] = Memory(min(self.max_bytes, _RECENT_BYTES))
        return memory

    def __len__(self):
        with self._open() as database:
            return database.execute("SELECT count(*) FROM keys").fetchone()[0]

    @property
    def n_bytes(self):  # numpydoc ignore=RT01
        """Bytes of the pages in use."""
        with self._open() as database:
            return used_bytes(database)

    def clear(self):
        """Forget all rows; a file that is damaged or of another version is deleted."""
        _recent.clear()
        try:
            with self._open() as database:
                with transaction(database):
                    for table in ("keys", "rows", "claims"):
                        database.execute(f"DELETE FROM {table}")
                database.execute("VACUUM")
        except (ValueError, sqlite3.DatabaseError):
            for path in (self.path, self.path.with_name(f"{self.path.name}-journal")):
                path.unlink(missing_ok=True)

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
        memory = self._memory()
        rows = memory.read(keys)
        others = [key for key in keys if key not in rows]
        if others:
            with self._open() as database:
                found = read(database, others)
            memory.write(found)
            rows |= found
        return rows

    @contextmanager
    def owner(self):
        """Context of a call that claims keys: a file whose lock says whether the call lives.

        Yields
        ------
        owner : str
            What `claim` and `write` are told.
        """
        name = uuid4().hex
        path = self.path.with_name(f"{name}.lock")
        with path.with_suffix(".new").open("w") as f:
            if fcntl is not None:
                with suppress(OSError):  # a file system without locks: others compute as well
                    fcntl.flock(f, fcntl.LOCK_EX)
            os.rename(f.name, path)
            try:
                yield name
            finally:
                path.unlink(missing_ok=True)
                with self._open() as database:
                    end_claims(database, name)

    def _alive(self, owner):
        path = self.path.with_name(f"{owner}.lock")
        try:
            with path.open("r+") as f:
                fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except (OSError, AttributeError):  # it is gone, or there are no locks
            return False
        path.unlink(missing_ok=True)
        return False

    def claim(self, keys, size, owner):
        """Claim some of the keys that nobody has computed or computes.

        Parameters
        ----------
        keys : list of bytes
            Keys.
        size : int
            How many at most.
        owner : str
            Who claims them.

        Returns
        -------
        mine : list of bytes
            Keys that are the owner's now.
        """
        with self._open() as database:
            return claim(database, keys, size, owner, self._alive)

    def write(self, rows, owner):
        """Keep rows, in place of those that were used longest ago; end the claims of the owner.

        Parameters
        ----------
        rows : dict
            Arrays by their keys.
        owner : str
            Who has computed them.
        """
        with self._open() as database:
            write(database, rows, self.max_bytes, owner)
        self._memory().write(rows)


@contextmanager
def naming(path):
    """Context whose errors name the database, and what can be done.

    Parameters
    ----------
    path : Path
        Its file.

    Yields
    ------
    None
        Nothing.

    Raises
    ------
    PermissionError
        If it can't be written.
    ValueError
        If it is damaged.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        if "readonly" not in str(error) and "unable to open" not in str(error):
            error.add_note(f"The cache of features is {str(path)!r}.")
            raise
        raise PermissionError(
            f"the cache {str(path)!r} can't be written ({error}): give cache= a folder that you "
            "may write to, or cache=None."
        ) from error
    except sqlite3.DatabaseError as error:
        raise ValueError(
            f"the cache {str(path)!r} is damaged, or no cache ({error}): give another folder, or "
            f"delete it with FeatureCache({str(path.parent)!r}).clear()."
        ) from error


def connect(path, max_bytes):
    """Connection to a database of rows, which is made if there is none.

    Parameters
    ----------
    path : Path
        Its file.
    max_bytes : int
        Largest size.

    Returns
    -------
    database : sqlite3.Connection
        It belongs to one thread.

    Raises
    ------
    ValueError
        If the database is of another version.
    """
    _make_folder(path.parent)
    database = sqlite3.connect(path, timeout=600, isolation_level=None)
    try:
        _set_up(database, path, max_bytes)
    except BaseException:
        database.close()
        raise
    return database


def _make_folder(folder):
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        error.add_note(f"cache={str(folder)!r} must be a folder that you may write to, or None.")
        raise


def _set_up(database, path, max_bytes):
    # a process that is killed leaves a journal, which the next one rolls back
    for pragma in (f"page_size={_PAGE}", "journal_mode=TRUNCATE", "synchronous=OFF"):
        database.execute(f"PRAGMA {pragma}")
    if _ask(database, "user_version") == 0:
        with transaction(database):
            if not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                for table in _TABLES.split(";"):
                    database.execute(table)
                database.execute(f"PRAGMA user_version={_VERSION}")
    version = _ask(database, "user_version")
    if version != _VERSION:
        raise ValueError(
            f"the cache {str(path)!r} is of version {version}, this skwave reads and writes "
            f"version {_VERSION}: give another folder, or delete it with "
            f"FeatureCache({str(Path(path).parent)!r}).clear()."
        )
    database.execute(f"PRAGMA max_page_count={max_bytes // _PAGE}")


def _ask(database, pragma):
    return database.execute(f"PRAGMA {pragma}").fetchone()[0]


@contextmanager
def transaction(database):
    """Context of a transaction that writes: all of it happens, or nothing.

    Parameters
    ----------
    database : sqlite3.Connection
        The database, which others can only read meanwhile.

    Yields
    ------
    None
        Nothing.
    """
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if database.in_transaction:  # a full disk has ended it
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def used_bytes(database):
    """Bytes of the pages in use.

    Parameters
    ----------
    database : sqlite3.Connection
        The database.

    Returns
    -------
    n : int
        Bytes.
    """
    return (_ask(database, "page_count") - _ask(database, "freelist_count")) * _PAGE


def parts(keys):
    """Keys in lists that fit into a statement.

    Parameters
    ----------
    keys : list of bytes
        Keys.

    Returns
    -------
    parts : list of list of bytes
        The same keys.
    """
    return [keys[i : i + _AT_ONCE] for i in range(0, len(keys), _AT_ONCE)]


def _select(database, what, keys):
    marks = ",".join("?" * len(keys))
    return database.execute(f"SELECT {what} WHERE key IN ({marks})", keys).fetchall()


@lru_cache(64)
def _shape(text):
    return [int(n) for n in text.split(",")]


def read(database, keys):
    """Rows that are kept.

    Parameters
    ----------
    database : sqlite3.Connection
        The database, which notes that they are used.
    keys : list of bytes
        Keys, of which one statement can ask for.

    Returns
    -------
    rows : dict
        Arrays by their keys; one that is damaged is not there.
    """
    now, rows, old, damaged = time.time(), {}, [], []
    what = "key, id, value, shape, dtype, crc, used FROM keys JOIN rows USING (id)"
    for key, i, value, shape, dtype, crc, used in _select(database, what, keys):
        if zlib.crc32(value) != crc:
            damaged.append((key, i))
            continue
        rows[key] = np.frombuffer(value, dtype).reshape(_shape(shape))
        if used < now - _RECENT:
            old.append((now, key))
    if old or damaged:
        with transaction(database):
            database.executemany("UPDATE keys SET used = ? WHERE key = ?", old)
            _delete(database, damaged)
    return rows


def claim(database, keys, size, owner, alive):
    """Claim some of the keys that nobody has computed or computes.

    Parameters
    ----------
    database : sqlite3.Connection
        The database.
    keys : list of bytes
        Keys.
    size : int
        How many at most.
    owner : str
        Who claims them.
    alive : callable
        Whether an owner still computes.

    Returns
    -------
    mine : list of bytes
        Keys that are the owner's now.
    """
    mine, state = [], {}
    with transaction(database):
        for some in parts(keys):
            kept = {key for (key,) in _select(database, "key FROM keys", some)}
            others = dict(_select(database, "key, owner FROM claims", some))
            state |= {name: alive(name) for name in set(others.values()) - set(state)}
            free = (k for k in some if k not in kept and not state.get(others.get(k)))
            mine += [k for k, _ in zip(free, range(size - len(mine)), strict=False)]
            if len(mine) == size:
                break
        database.executemany(
            "INSERT OR REPLACE INTO claims VALUES (?, ?)", [(k, owner) for k in mine]
        )
    return mine


def write(database, rows, max_bytes, owner):
    """Keep rows, in place of those that were used longest ago; end the claims of an owner.

    Parameters
    ----------
    database : sqlite3.Connection
        The database.
    rows : dict
        Arrays by their keys; more than half of what there is room for are not kept.
    max_bytes : int
        Largest size of the database.
    owner : str
        Who has computed them.

    Warns
    -----
    RuntimeWarning
        If the disk is full.
    """
    size = sum(map(_bytes_of, rows.values()))
    if 2 * size <= max_bytes:
        _make_room(database, size, max_bytes)
    else:
        rows = {}
    try:
        with transaction(database):
            _insert(database, rows)
            end_claims(database, owner)
    except sqlite3.OperationalError as error:
        end_claims(database, owner)
        if "full" not in str(error):
            raise
        warnings.warn(
            f"the cache keeps nothing of {len(rows)} rows, which will be computed again: {error}.",
            RuntimeWarning,
            stacklevel=2,
        )


def end_claims(database, owner):
    """End the claims of an owner.

    Parameters
    ----------
    database : sqlite3.Connection
        The database.
    owner : str
        Who has claimed keys.
    """
    database.execute("DELETE FROM claims WHERE owner = ?", (owner,))


def _insert(database, rows):
    there = set()  # where there are no locks, another process may have been quicker
    for keys in parts(list(rows)):
        there |= {key for (key,) in _select(database, "key FROM keys", keys)}
    (last,) = database.execute("SELECT coalesce(max(id), 0) FROM rows").fetchone()
    new, now = [key for key in rows if key not in there], time.time()
    values, entries = [], []
    for i, key in enumerate(new, last + 1):
        row, value = rows[key], rows[key].tobytes()
        shape = ",".join(map(str, row.shape))
        values.append((i, value))
        entries.append((key, i, shape, row.dtype.str, zlib.crc32(value), _bytes_of(row), now))
    database.executemany("INSERT INTO rows VALUES (?, ?)", values)
    database.executemany("INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?)", entries)


def _delete(database, rows):
    # pairs (key, id)
    database.executemany("DELETE FROM rows WHERE id = ?", [(i,) for _, i in rows])
    database.executemany("DELETE FROM keys WHERE key = ?", [(key,) for key, _ in rows])


def _bytes_of(row):
    # in the file: rows larger than a quarter of a page have pages of their own
    size = row.nbytes
    return 128 + (size if size < _PAGE // 4 else (size // (_PAGE - 4) + 1) * _PAGE)


def _make_room(database, size, max_bytes):
    # in a transaction of its own, so that the journal does not hold what is removed
    room = max_bytes - max_bytes // _MARGIN - size
    while (excess := used_bytes(database) - room) > 0:
        excess += max_bytes // _SLACK
        gone = []
        for key, i, n in database.execute("SELECT key, id, bytes FROM keys ORDER BY used, id"):
            if excess <= 0:
                break
            gone.append((key, i))
            excess -= n
        if not gone:
            break
        with transaction(database):
            _delete(database, gone)
    if _ask(database, "page_count") * _PAGE > max_bytes:  # it was larger before
        database.execute("VACUUM")
