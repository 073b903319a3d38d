"""Trials of what breaks: processes killed at any instant, disks that are full, hostile files.

They take minutes, and run by ``make test-faults`` alone. Each work is done in forked processes,
which have torch loaded already, so that the instants of the kills are those of the work.
"""

import os
import pickle
import signal
import subprocess
import sys
import time
import traceback
import warnings
import zipfile

import joblib
import numpy as np
import pytest
import torch

from skwave import (
    CASEGenerator,
    Molecules,
    ScatteringDictionaryClassifier,
    ScatteringTransformer,
    SparseCoder,
)
from skwave.parallel import transform_blocks

resource = pytest.importorskip("resource")  # which Windows has not, nor fork
pytestmark = [pytest.mark.faults, pytest.mark.filterwarnings("ignore")]

N_KILLS = 30
rng = np.random.default_rng(0)
SIGNALS = rng.standard_normal((400, 256))
IMAGES, LABELS = rng.uniform(size=(60, 8, 8)), np.arange(60) % 2
SCATTERING = ScatteringTransformer(J=3, Q=2).fit(SIGNALS)
NETWORK = {"J": 1, "L": 2, "n_iter": 2, "max_iter": 12, "batch_size": 8, "random_state": 0}


def blocks(folder):
    """Features of signals, written to a file."""
    with joblib.parallel_config("threading"):
        transform_blocks(SCATTERING, SIGNALS, folder / "out.npy", n_jobs=2, block_size=10)


def result_of_blocks(folder):
    return np.load(folder / "out.npy")


def classifier(folder):
    """A classifier that keeps its state after each epoch."""
    est = ScatteringDictionaryClassifier(
        **NETWORK, n_atoms=4, projection=3, checkpoint=folder / "state"
    )
    np.save(folder / "result.npy", est.fit(IMAGES, LABELS).predict_proba(IMAGES))


def generator(folder):
    """A generator that keeps its state after each epoch."""
    est = CASEGenerator(
        **NETWORK, n_components=3, channels=2, n_atoms=(6, 4), checkpoint=folder / "state"
    )
    np.save(folder / "result.npy", est.fit(IMAGES).sample(3, random_state=0))


def cached(folder):
    """A classifier of features that are computed once and kept."""
    est = ScatteringDictionaryClassifier(
        **(NETWORK | {"max_iter": 2}), n_atoms=4, projection=3, memory=str(folder / "memory")
    )
    np.save(folder / "result.npy", est.fit(IMAGES, LABELS).predict_proba(IMAGES))


def result(folder):
    return np.load(folder / "result.npy")


WORKS = {
    "blocks": (blocks, result_of_blocks),
    "classifier": (classifier, result),
    "generator": (generator, result),
    "cached features": (cached, result),
}


def fork(work, *args):
    """Process that does a work, and a pipe of what went wrong. Its end is never that of pytest."""
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        return pid, read
    try:
        warnings.simplefilter("ignore")
        work(*args)
    except BaseException:
        os.write(write, traceback.format_exc()[-30_000:].encode())  # a pipe is no file
    finally:
        os._exit(0)


def end_of(process):
    """What a process died of, or its error; None if it did its work."""
    pid, read = process
    status = os.waitpid(pid, 0)[1]
    with open(read) as pipe:
        error = pipe.read()
    return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else error or None


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a process that forks may have no others
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def reference(request, tmp_path):
    """The result of a work that nothing disturbs, and the seconds it takes."""
    work, read = WORKS[request.param]
    folder = tmp_path / "reference"
    folder.mkdir()
    seconds = []
    for _ in range(2):  # the first one fills what is kept in memory
        begin = time.perf_counter()
        assert end_of(fork(work, folder)) is None
        seconds.append(time.perf_counter() - begin)
        found = read(folder)
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    return request.param, found, min(seconds)


@pytest.mark.parametrize("reference", WORKS, indirect=True)
def test_a_kill_at_any_instant_costs_only_time(reference, tmp_path):
    """The next call completes the work: the result is that of a call that nothing disturbed."""
    name, expected, seconds = reference
    work, read = WORKS[name]
    draws, killed = np.random.default_rng(1), 0
    for trial in range(N_KILLS):
        folder = tmp_path / str(trial)
        folder.mkdir()
        process = fork(work, folder)
        time.sleep(draws.uniform(0, seconds))
        os.kill(process[0], signal.SIGKILL)
        killed += end_of(process) == "signal 9"
        assert end_of(fork(work, folder)) is None, f"trial {trial}"
        np.testing.assert_array_equal(read(folder), expected, err_msg=f"trial {trial}")
        left = [p.name for p in folder.rglob("*") if p.suffix in (".new", ".blocks", ".lock")]
        assert not left, f"trial {trial}"
    assert killed > N_KILLS / 2


@pytest.mark.parametrize("reference", WORKS, indirect=True)
def test_two_processes_at_once(reference, tmp_path):
    """Both give the result; of one output, one may say that the other holds it."""
    name, expected, seconds = reference
    work, read = WORKS[name]
    draws = np.random.default_rng(2)
    for trial in range(N_KILLS):
        folder = tmp_path / str(trial)
        folder.mkdir()
        first = fork(work, folder)
        if trial % 2:
            time.sleep(draws.uniform(0, seconds))
        ends = [end_of(process) for process in (first, fork(work, folder))]
        assert None in ends, (trial, ends)
        for end in ends:
            assert end is None or (name == "blocks" and "is being written by process" in end), end
        np.testing.assert_array_equal(read(folder), expected, err_msg=f"trial {trial}")


def with_a_full_disk(folder, work, size):
    """Do a work while no file may grow beyond a number of bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    work(folder)


@pytest.mark.parametrize("size", [0, 100, 3000, 100_000])
@pytest.mark.parametrize("reference", WORKS, indirect=True)
def test_a_full_disk(reference, size, tmp_path):
    """What can't be written is an error of the system, or a warning; later all is well."""
    name, expected, _ = reference
    work, read = WORKS[name]
    folder = tmp_path / "full"
    folder.mkdir()
    error = end_of(fork(with_a_full_disk, folder, work, size))
    assert error is None or "OSError" in error or "RuntimeError: est.transform failed" in error
    assert end_of(fork(work, folder)) is None
    np.testing.assert_array_equal(read(folder), expected)
    assert not [p.name for p in folder.rglob("*") if p.suffix == ".new"]


@pytest.mark.parametrize("name", ["classifier", "generator"])
def test_a_full_disk_stops_no_training(name, tmp_path):
    """The state can't be kept: a warning says so, and training goes on."""
    work, _ = WORKS[name]
    (tmp_path / "result.npy").symlink_to("/dev/null")

    def watched(folder):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            work(folder)
        texts = [str(w.message) for w in caught if issubclass(w.category, RuntimeWarning)]
        assert len(texts) == 1 and "checkpoint" in texts[0] and "training goes on" in texts[0]

    assert end_of(fork(watched, tmp_path)) is None


def test_a_home_that_is_none(tmp_path):
    """Nothing needs to be written there."""
    home = tmp_path / "home"
    home.write_text("a file")
    code = (
        "import numpy as np, skwave, skwave.nn, skwave.datasets, skwave.parallel\n"
        "X = np.random.default_rng(0).uniform(size=(12, 8, 8))\n"
        "skwave.ScatteringTransformer(J=1, ndim=2).fit_transform(X)\n"
        "skwave.SparseCoder(4, max_iter=2, alpha=0.1).fit_transform(X.reshape(12, 64))\n"
        "skwave.ScatteringDictionaryClassifier(J=1, L=2, n_atoms=4, projection=3, max_iter=2)"
        ".fit(X, np.arange(12) % 2)\n"
        "skwave.datasets.load_cosmic_web()\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "SKWAVE_"))}
    environment |= {"HOME": str(home), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-W", "ignore", "-c", code]
    subprocess.run(command, check=True, env=environment, cwd=tmp_path, timeout=300)


class Payload:
    """A pickle that makes a file when it is read."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return open, (self.mark, "w")


def hostile(mark):
    """Contents of files by name: pickles in all the coats that a reader may take off."""
    folder = mark.parent
    data = pickle.dumps(Payload(mark))
    torch.save(Payload(mark), folder / "payload.pt")
    with zipfile.ZipFile(folder / "payload.npz", "w") as f:
        f.writestr("x.npy", data)
    joblib.dump(Payload(mark), folder / "payload.joblib")
    objects = np.empty(1, object)
    objects[0] = Payload(mark)
    np.save(folder / "payload.npy", objects, allow_pickle=True)
    found = {p.name: p.read_bytes() for p in sorted(folder.glob("payload.*"))}
    return found | {
        "pickle": data,
        "empty": b"",
        "cut": found["payload.pt"][:50],
        "json": b'{"__class__": "os.system", "args": ["touch"]}',
        "deep": b"[" * 100_000,
        "noise": bytes(range(256)) * 40,
    }


def refused_or_done(call):
    """A call that works, or that is refused by an error that names the file."""
    try:
        call()
    except (ValueError, RuntimeError, OSError) as error:
        return str(error)
    return None


KINDS = [
    "payload.joblib", "payload.npy", "payload.npz", "payload.pt", "pickle", "empty", "cut", "json",
    "deep", "noise",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_run_of_a_checkpoint(kind, tmp_path):
    (tmp_path / "files").mkdir()
    mark = tmp_path / "files" / "mark"
    data = hostile(mark)[kind]
    mark.unlink(missing_ok=True)
    classifier(tmp_path)
    states = [*tmp_path.glob("state/*/state.pt")]
    assert states
    for path in states:
        path.write_bytes(data)
    message = refused_or_done(lambda: classifier(tmp_path))
    assert not mark.exists()
    assert message is not None and str(states[0].parent) in message, message


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_run_of_a_journal(kind, tmp_path):
    (tmp_path / "files").mkdir()
    mark = tmp_path / "files" / "mark"
    data = hostile(mark)[kind]
    mark.unlink(missing_ok=True)
    for name in ("out.npy.blocks", "out.npy"):
        blocks(tmp_path)
        expected = result_of_blocks(tmp_path)
        (tmp_path / "out.npy.blocks").write_bytes(data)
        (tmp_path / name).write_bytes(data)
        message = refused_or_done(lambda: blocks(tmp_path))
        assert not mark.exists()
        if message is None:
            np.testing.assert_array_equal(result_of_blocks(tmp_path), expected)
        else:
            assert "out.npy" in message, message
        for path in tmp_path.glob("out.npy*"):
            path.unlink()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_run_of_molecules(kind, tmp_path):
    (tmp_path / "files").mkdir()
    mark = tmp_path / "files" / "mark"
    data = hostile(mark)[kind]
    mark.unlink(missing_ok=True)
    path = tmp_path / "molecules.xyz"
    path.write_bytes(data)
    message = refused_or_done(lambda: Molecules.read_extxyz(path))
    assert not mark.exists()
    assert message is not None and "molecules.xyz" in message, message


def test_a_dictionary_of_objects_is_not_read(tmp_path):
    mark = tmp_path / "mark"
    objects = np.empty((2, 2), object)
    objects[:] = Payload(mark)
    with pytest.raises((TypeError, ValueError)):
        SparseCoder(dictionary=objects).fit(np.ones((3, 2)))
    assert not mark.exists()
