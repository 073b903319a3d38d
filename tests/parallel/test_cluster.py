"""The scripts of examples/cluster: the result of transform, and nothing is computed twice."""

import os
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import psutil
import pytest
from numpy.lib.format import open_memmap

from skwave.parallel import _transform as parallel
from skwave.parallel._blocks import checksum
from skwave.parallel._transform import transform_blocks

dask = pytest.importorskip("dask")
pytest.importorskip("distributed")

FOLDER = Path(__file__).parents[2] / "examples" / "cluster"
NAMES = ("clusters", "images", "qm9")


@pytest.fixture
def scripts(monkeypatch, tmp_path):
    """The modules; what they change in the environment is undone afterwards."""
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.chdir(tmp_path)
    modules = SimpleNamespace(**{name: import_module(name) for name in NAMES})
    for variable in modules.clusters.MALLOC:
        monkeypatch.setenv(variable, "0")
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "15s"}):
        yield modules
    for name in NAMES:
        del sys.modules[name]


@pytest.fixture
def call(monkeypatch):
    """Run the main function of a script in this process."""

    def call(module, *arguments):
        monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, arguments)])
        module.main()

    return call


def interrupt(est, X, part, n_blocks):
    """A call that stops after some blocks; rows of a block."""
    done = []

    def report(text):
        done.append(int(text.partition("/")[0]))
        if len(done) == n_blocks:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(parallel, "progress_lines", lambda name: report)
        transform_blocks(est, X, part, verbose=1)
    return done[0]


def n_computed(printed):
    """Blocks that a script reports, one line each."""
    return printed.count("[transform_blocks]")


def test_images_are_resumed_and_the_worker_dies(scripts, tmp_path):
    scripts.images.make_images(tmp_path / "images_1000.npy", 1000)
    X = np.load("images_1000.npy", mmap_mode="r")
    est = scripts.images.estimator(X)
    assert interrupt(est, X, "features.part.npy", 10) == 16
    journal, log = Path("features.part.npy.blocks"), Path("log")
    line = [sys.executable, FOLDER / "images.py", "--workers", "1", "--images", "1000"]
    with log.open("w") as f:
        process = subprocess.Popen(line, stdout=f)
    while len(journal.read_text().splitlines()) < 1 + 16:
        assert process.poll() is None, "it ended too early"
        time.sleep(0.01)
    workers = psutil.Process(process.pid).children(recursive=True)
    max(workers, key=lambda p: p.cpu_times().user).kill()
    expected = est.transform(X)
    assert process.wait(timeout=600) == 0
    printed = log.read_text()
    assert "160 are done, 840 are left" in printed
    assert n_computed(printed) == 63 - 10
    assert "features.npy: 840 images in " in printed
    assert {path.name for path in tmp_path.iterdir()} == {"features.npy", "images_1000.npy", "log"}
    np.testing.assert_array_equal(np.load("features.npy"), expected)


def test_molecules_are_resumed(scripts, call, capsys):
    X = scripts.qm9.molecules(sample=True, n=100)
    est = scripts.qm9.estimator(X)
    rows = interrupt(est, X, "m.part.npy", 30)
    # wrong rows with the right checksum tell whether the block is computed again
    part = open_memmap("m.part.npy", "r+")
    part[:rows] = -1
    part.flush()
    journal = Path("m.part.npy.blocks")
    head, _, *others = journal.read_text().splitlines()
    journal.write_text("\n".join([head, f"0 {checksum(part[:rows]):08x}", *others]) + "\n")
    arguments = ("--sample", "--molecules", 100, "--workers", 1, "--output", "m.npy")
    call(scripts.qm9, *arguments)
    printed = capsys.readouterr().out
    assert "60 are done, 40 are left" in printed
    assert n_computed(printed) == 50 - 30
    result, expected = np.load("m.npy"), est.transform(X)
    assert (result[:rows] == -1).all()
    # a block at a time, the products have other shapes
    np.testing.assert_allclose(result[rows:], expected[rows:], rtol=1e-4, atol=1e-5)
    assert not journal.exists()
    call(scripts.qm9, *arguments)
    assert capsys.readouterr().out.startswith("m.npy is complete")
    np.testing.assert_array_equal(np.load("m.npy"), result)


def test_molecules_small_and_large(scripts):
    X = scripts.qm9.molecules(sample=True)
    assert len(X) == len(scripts.qm9.molecules(sample=True, n=10**6)) == 750
    few = scripts.qm9.molecules(sample=True, n=3)
    assert [few.formula(i) for i in range(3)] == [X.formula(i) for i in (0, 374, 749)]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("", "required: --workers"),
        ("--workers 0", "'0' must be a whole number, 1 or more"),
        ("--workers two", "'two' must be a whole number"),
        ("--workers 2 --images 0", "argument --images: '0' must be"),
        ("--workers 2 --input none.npy", "there is no file none.npy"),
        ("--workers 2 --output S.txt", r"'S.txt' must end with .npy"),
        ("--workers 2 --output nowhere/S.npy", "in a folder that exists"),
        ("--workers 2 --cluster pbs", "invalid choice: 'pbs'"),
        ("--workers 2 --cluster slurm", "pip install dask-jobqueue"),
        ("--workers 2 --cluster gpu", "pip install dask-cuda"),
    ],
)
def test_wrong_arguments(scripts, call, arguments, message, capsys, monkeypatch, tmp_path):
    missing = ("dask_jobqueue", "dask_cuda")
    monkeypatch.setattr(scripts.clusters, "find_spec", lambda name: name not in missing or None)
    monkeypatch.setattr(scripts.clusters, "make_cluster", None)
    with pytest.raises(SystemExit, match="2"):
        call(scripts.images, *arguments.split())
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


class Recorder:
    """Stands for a cluster of a package that is not installed."""

    def __init__(self, **options):
        self.options = options

    def scale(self, n):
        self.n = n


@pytest.mark.parametrize("workers, per_job", [(3, 3), (40, 16)])
def test_jobs_of_slurm(scripts, monkeypatch, workers, per_job):
    module = ModuleType("dask_jobqueue")
    module.SLURMCluster = Recorder
    monkeypatch.setitem(sys.modules, "dask_jobqueue", module)
    cluster = scripts.clusters.make_cluster("slurm", workers)
    assert cluster.n == workers
    assert cluster.options["cores"] == cluster.options["processes"] == per_job
    assert cluster.options["memory"] == f"{4 * per_job}GB"
    assert "export MALLOC_TRIM_THRESHOLD_=67108864" in cluster.options["job_script_prologue"]


def test_workers_of_gpus(scripts, monkeypatch):
    module = ModuleType("dask_cuda")
    module.LocalCUDACluster = Recorder
    monkeypatch.setitem(sys.modules, "dask_cuda", module)
    cluster = scripts.clusters.make_cluster("gpu", 4)
    assert cluster.options["n_workers"] == 4
    assert os.environ["MALLOC_TRIM_THRESHOLD_"] == "67108864"
    with pytest.raises(ValueError, match="name='pbs' must be one of"):
        scripts.clusters.make_cluster("pbs", 4)
