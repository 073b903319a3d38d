import numpy as np
import pytest

from skwave._core.row_memory import Memory

KEYS = [bytes([i]) for i in range(9)]


def test_rows_come_back_read_only():
    memory, rows = Memory(2**20), {key: np.arange(5.0) + i for i, key in enumerate(KEYS)}
    memory.write(rows)
    found = memory.read([*KEYS[::-1], b"other"])
    assert len(memory) == len(found) == 9 and memory.n_bytes == 9 * 40
    for key, row in rows.items():
        np.testing.assert_array_equal(found[key], row)
        with pytest.raises(ValueError, match="read-only"):
            found[key][0] = 1
    rows[KEYS[0]][:] = 0  # what is kept is a copy
    assert found[KEYS[0]][1] == 1
    memory.clear()
    assert len(memory) == memory.n_bytes == 0 and memory.read(KEYS) == {}


def test_what_was_used_longest_ago_goes_first():
    memory = Memory(1000)
    for key in KEYS[:5]:
        memory.write({key: np.zeros(25)})  # 200 bytes
    memory.read([KEYS[0]])
    memory.write({KEYS[5]: np.zeros(25)})
    assert set(memory.read(KEYS)) == {KEYS[0], *KEYS[2:6]}
    memory.write({KEYS[6]: np.zeros(70)})  # more than half
    assert KEYS[6] not in memory.read(KEYS)
    assert memory.n_bytes == 1000


def test_claims():
    memory = Memory(2**20)
    with memory.owner() as a, memory.owner() as b:
        assert memory.claim(KEYS, 4, a) == KEYS[:4]
        assert memory.claim(KEYS, 9, b) == KEYS[4:]
        memory.write({KEYS[0]: np.ones(3)}, a)
        assert memory.claim(KEYS, 9, b) == []
    with memory.owner() as c:  # what was claimed and not written is free
        assert memory.claim(KEYS, 9, c) == KEYS[1:]
