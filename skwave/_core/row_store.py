"""Database of rows of features that processes share: SQLite, bounded in bytes."""

import sqlite3
import time
import warnings
import zlib
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np

_VERSION = 1
_PAGE = 4096
# keys of one statement: SQLite takes some ten thousand variables
_AT_ONCE = 1000
# of the largest size: what is removed beyond what has to be, and what stays free for the journal
_SLACK, _MARGIN = 16, 32
_RECENT = 10  # seconds within which uses count as one
_TABLES = """
CREATE TABLE rows (id INTEGER PRIMARY KEY, value BLOB);
CREATE TABLE keys (
  key BLOB PRIMARY KEY, id INTEGER, shape TEXT, dtype TEXT, crc INTEGER, bytes INTEGER, used REAL
) WITHOUT ROWID;
CREATE TABLE claims (key BLOB PRIMARY KEY, owner TEXT) WITHOUT ROWID;
"""


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
    path : Path or ":memory:"
        Its file.
    max_bytes : int
        Largest size.

    Returns
    -------
    database : sqlite3.Connection
        Of a file it belongs to one thread.

    Raises
    ------
    ValueError
        If the database is of another version.
    """
    if isinstance(path, Path):
        _make_folder(path.parent)
    database = sqlite3.connect(
        path, timeout=600, isolation_level=None, check_same_thread=path != ":memory:"
    )
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
            _end_claims(database, owner)
    except sqlite3.OperationalError as error:
        _end_claims(database, owner)
        if "full" not in str(error):
            raise
        warnings.warn(
            f"the cache keeps nothing of {len(rows)} rows, which will be computed again: {error}.",
            RuntimeWarning,
            stacklevel=2,
        )


def _end_claims(database, owner):
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
