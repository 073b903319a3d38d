import sqlite3
from contextlib import closing

import numpy as np
import pytest

from skwave import FeatureCache
from skwave._core import row_store
from skwave._core.row_store import (
    claim,
    connect,
    naming,
    parts,
    read,
    transaction,
    used_bytes,
    write,
)

MOST = 2**24
KEYS = [bytes([i]) * 16 for i in range(9)]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "features.sqlite"


@pytest.fixture
def database(file):
    with closing(connect(file, MOST)) as database:
        yield database


def everybody(owner):
    return True


def nobody(owner):
    return False


@pytest.mark.parametrize("shape", [(3,), (0,), (2, 5), (4000,)])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i8"])
def test_rows_come_back_as_they_were(database, shape, dtype):
    row = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    write(database, {KEYS[0]: row, KEYS[1]: row + 1}, MOST, "me")
    found = read(database, KEYS)
    assert set(found) == set(KEYS[:2])
    np.testing.assert_array_equal(found[KEYS[0]], row)
    assert found[KEYS[0]].dtype == row.dtype and found[KEYS[0]].shape == shape


def test_claims(database):
    assert claim(database, KEYS, 4, "a", everybody) == KEYS[:4]
    assert claim(database, KEYS, 4, "b", everybody) == KEYS[4:8]
    assert claim(database, KEYS[:4], 4, "b", everybody) == []
    write(database, {key: np.ones(1) for key in KEYS[:4]}, MOST, "a")
    # what is there is nobody's
    assert claim(database, KEYS[:4], 4, "b", everybody) == []
    # what belongs to one that died is free
    assert claim(database, KEYS, 9, "c", nobody) == KEYS[4:]
    # with rows, or without, the claims of their owner end
    write(database, {}, MOST, "c")
    assert database.execute("SELECT count(*) FROM claims").fetchone() == (0,)


def test_damaged_rows_are_not_there(database):
    write(database, {key: np.ones(5) for key in KEYS[:2]}, MOST, "me")
    value = np.zeros(5).tobytes()
    database.execute("UPDATE rows SET value = ? WHERE id = 1", (value,))
    assert set(read(database, KEYS)) == {KEYS[1]}
    assert claim(database, KEYS[:2], 2, "me", everybody) == [KEYS[0]]
    write(database, {KEYS[0]: np.ones(5)}, MOST, "me")
    assert set(read(database, KEYS)) == set(KEYS[:2])


def test_a_transaction_is_all_or_nothing(database):
    with pytest.raises(KeyError), transaction(database):
        database.execute("INSERT INTO claims VALUES (x'00', 'me')")
        raise KeyError
    assert database.execute("SELECT count(*) FROM claims").fetchone() == (0,)


def test_what_was_used_longest_ago_goes_first(database, monkeypatch):
    now = 0.0
    monkeypatch.setattr(row_store.time, "time", lambda: now)
    row = np.ones(2**17)  # 1 MiB
    for key in KEYS[:6]:
        now += 100
        write(database, {key: row}, 2**23, "me")
    now += 100
    read(database, KEYS[:1])
    for key in KEYS[6:]:
        now += 100
        write(database, {key: row}, 2**23, "me")
    there = set(read(database, KEYS))
    assert KEYS[0] in there and KEYS[8] in there and KEYS[1] not in there
    assert used_bytes(database) <= 2**23


def test_a_full_disk_is_told(file):
    with closing(connect(file, 2**20)) as database:
        claim(database, KEYS, 9, "me", everybody)
        with pytest.warns(RuntimeWarning, match="keeps nothing of 1 rows"):
            write(database, {KEYS[0]: np.ones(2**18)}, 2**30, "me")
        assert read(database, KEYS) == {}
        assert database.execute("SELECT count(*) FROM claims").fetchone() == (0,)


def test_a_process_remembers_what_it_read(tmp_path):
    folder = row_store.Folder(tmp_path, MOST)
    with folder.owner() as owner:
        folder.write({KEYS[0]: np.ones(5)}, owner)
    with closing(connect(folder.path, MOST)) as database:
        database.execute("DELETE FROM keys")
    assert set(folder.read(KEYS)) == {KEYS[0]}
    row_store._recent.clear()
    assert folder.read(KEYS) == {}
    with folder.owner() as owner:
        folder.write({KEYS[0]: np.ones(5)}, owner)
    folder.clear()
    assert folder.read(KEYS) == {} and len(folder) == 0
    with folder.owner() as owner:
        folder.write({KEYS[0]: np.ones(5)}, owner)
    # another file in the place of the first
    folder.path.unlink()
    assert folder.read(KEYS) == {}


def test_owners_that_live(tmp_path):
    folder = row_store.Folder(tmp_path, MOST)
    len(folder)
    with folder.owner() as a:
        assert folder.claim(KEYS, 4, a) == KEYS[:4]
        with folder.owner() as b:
            assert folder.claim(KEYS[:5], 4, b) == KEYS[4:5]
            (tmp_path / f"{a}.lock").unlink()
            assert folder.claim(KEYS[:4], 4, b) == KEYS[:4]
    assert not list(tmp_path.glob("*.lock"))


def test_parts():
    assert parts([]) == []
    assert [len(part) for part in parts(list(range(2500)))] == [1000, 1000, 500]


def test_another_version(database, file, tmp_path):
    database.execute("PRAGMA user_version = 7")
    cache = FeatureCache(tmp_path)
    with pytest.raises(ValueError, match=r"is of version 7.*reads and writes version 1.*clear"):
        len(cache)
    cache.clear()
    assert len(cache) == 0


def test_another_database(file, tmp_path):
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE mine (x)")
    with pytest.raises(ValueError, match="is of version 0"):
        len(FeatureCache(tmp_path))


@pytest.mark.parametrize("content", [b"x" * 5000, "half"])
def test_damaged_files(content, file, tmp_path):
    cache = FeatureCache(tmp_path)
    with closing(connect(file, MOST)) as database:
        write(database, {key: np.ones(500) for key in KEYS}, MOST, "me")
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2] if content == "half" else content)
    with pytest.raises(ValueError, match=r"is damaged, or no cache .* FeatureCache.*clear"):
        list(cache.rows("", KEYS, lambda indices: [np.ones(500)] * len(indices)))
    cache.clear()
    assert len(cache) == 0


def test_databases_that_can_only_be_read(file):
    connect(file, MOST).close()
    database = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    with pytest.raises(PermissionError, match="can't be written"), naming(file), closing(database):
        database.execute("INSERT INTO claims VALUES (x'00', 'me')")


def test_other_errors_keep_their_kind(file):
    with pytest.raises(sqlite3.OperationalError) as error, naming(file):
        raise sqlite3.OperationalError("database is locked")
    assert str(file) in error.value.__notes__[0]
