"""Files of data sets: the order of the folders, the checksum, the download, what is missing."""

import hashlib
import os
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from skwave.datasets import _files
from skwave.datasets._files import File, find, folders, load_npz, original

CONTENTS = b"atoms"
FILE = File("a.txt", hashlib.sha256(CONTENTS).hexdigest(), "http://127.0.0.1:9/a.txt")


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    monkeypatch.delenv("SKWAVE_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def served(tmp_path):
    """Address of a folder that is served on this machine."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = partial(Quiet, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_environment_variable_comes_first(tmp_path, monkeypatch):
    assert folders(None) == [Path.home() / "skwave_data"]
    assert folders("~/x") == [Path.home() / "x"]
    monkeypatch.setenv("SKWAVE_DATA", "~/y")
    assert folders(tmp_path) == [Path.home() / "y", tmp_path]
    first, second = tmp_path / "1", tmp_path / "2"
    for folder in (second, first):
        monkeypatch.setenv("SKWAVE_DATA", str(first))
        folder.mkdir()
        (folder / "a.txt").write_bytes(CONTENTS)
        assert find(FILE, second) == folder / "a.txt"


def test_an_altered_file_is_refused_and_kept(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"atom")
    for call in (find, load_npz, partial(original, download_if_missing=True)):
        with pytest.raises(OSError, match=r"a\.txt has been altered .*sha256.*left as it is"):
            call(FILE, tmp_path)
    assert path.read_bytes() == b"atom"


def test_arrays_are_read_without_pickle(tmp_path):
    def save(**arrays):
        np.savez(tmp_path / "a.npz", **arrays)
        return File("a.npz", hashlib.sha256((tmp_path / "a.npz").read_bytes()).hexdigest())

    assert load_npz(FILE, tmp_path) is None
    np.testing.assert_array_equal(load_npz(save(x=np.arange(3)), tmp_path)["x"], np.arange(3))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        load_npz(save(x=np.array([{}])), tmp_path)


def test_a_missing_file_names_its_path(tmp_path, monkeypatch):
    monkeypatch.setenv("SKWAVE_DATA", str(tmp_path / "given"))
    home = tmp_path / "home"
    with pytest.raises(OSError) as raised:
        original(FILE, home, False)
    message = str(raised.value)
    for part in (
        home / "a.txt",
        tmp_path / "given",
        "SKWAVE_DATA",
        FILE.url,
        "download_if_missing",
    ):
        assert str(part) in message
    assert not home.exists()


def test_download(tmp_path, served):
    pytest.importorskip("pooch")
    folder, url = served
    (folder / "b.txt").write_bytes(CONTENTS)
    file = FILE._replace(url=f"{url}/b.txt")
    assert original(file, tmp_path / "home", True) == tmp_path / "home" / "a.txt"
    assert (tmp_path / "home" / "a.txt").read_bytes() == CONTENTS
    (folder / "b.txt").unlink()
    assert original(file, tmp_path / "home", True).read_bytes() == CONTENTS


@pytest.mark.parametrize(("contents", "reason"), [(b"atom", "hash"), (None, "404")])
def test_a_bad_download_leaves_nothing(tmp_path, served, contents, reason):
    pytest.importorskip("pooch")
    folder, url = served
    if contents is not None:
        (folder / "a.txt").write_bytes(contents)
    with pytest.raises(OSError, match=rf"(?s){reason}.*Either save"):
        original(FILE._replace(url=f"{url}/a.txt"), tmp_path / "home", True)
    assert not list((tmp_path / "home").iterdir())


def test_two_processes_fetch_at_once(tmp_path, served):
    """Both are served before either may write the file: each finds it whole."""
    pytest.importorskip("pooch")
    folder, url = served
    contents = CONTENTS * 100_000
    (folder / "a.txt").write_bytes(contents)
    file = File("a.txt", hashlib.sha256(contents).hexdigest(), f"{url}/a.txt")
    together = threading.Barrier(2, timeout=60)
    translate = SimpleHTTPRequestHandler.translate_path

    def waiting(self, path):
        together.wait()
        return translate(self, path)

    code = (
        "import importlib.util as u; s = u.spec_from_file_location('f', {!r}); "
        "m = u.module_from_spec(s); s.loader.exec_module(m); "
        "print(m.original(m.File(*{!r}), {!r}, True).read_bytes() == {!r} * 100_000)"
    ).format(_files.__file__, tuple(file), str(tmp_path / "home"), CONTENTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SimpleHTTPRequestHandler, "translate_path", waiting)
        other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        with other:
            path = original(file, tmp_path / "home", True)
            assert other.communicate(timeout=60)[0] == "True\n"
    assert path.read_bytes() == contents
    assert [f.name for f in (tmp_path / "home").iterdir()] == ["a.txt"]


def test_a_home_that_cannot_be_written_to(tmp_path, served):
    """The error names the path; what is there already is read."""
    pytest.importorskip("pooch")
    folder, url = served
    (folder / "a.txt").write_bytes(CONTENTS)
    file = FILE._replace(url=f"{url}/a.txt")
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(OSError, match=r"taken(?s:.*)Either save .*SKWAVE_DATA"):
        original(file, tmp_path / "taken" / "home", True)
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o500)
    try:
        if not os.access(home, os.W_OK):  # root may write everywhere
            with pytest.raises(OSError, match=r"(?s)home.*Permission.*Either save"):
                original(file, home, True)
        home.chmod(0o700)
        (home / "a.txt").write_bytes(CONTENTS)
        home.chmod(0o500)
        assert original(file, home, True) == home / "a.txt"
    finally:
        home.chmod(0o700)


def test_offline(tmp_path):
    pytest.importorskip("pooch")
    with pytest.raises(OSError, match=r"ConnectionError(?s:.*)Either save .*SKWAVE_DATA"):
        original(FILE, tmp_path, True)


def test_without_pooch_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(OSError, match=r"skwave\[data\]"):
        original(FILE, tmp_path, True)
