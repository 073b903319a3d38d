import copy
import multiprocessing
import os
import pickle
import signal
import sqlite3
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    cross_val_predict,
    cross_val_score,
    learning_curve,
)
from sklearn.pipeline import make_pipeline

from skwave import (
    FeatureCache,
    PhaseHarmonicTransformer,
    ScatteringTransformer,
    SolidHarmonicScattering,
)
from skwave._core import rows
from skwave._core.rows import as_cache, cached_rows
from skwave.datasets import load_qm7_sample
from skwave.testing import check_transformer

rng = np.random.default_rng(0)
X, y = rng.standard_normal((60, 64)).astype(np.float32), np.arange(60) % 3
forks = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and file locks")


@pytest.fixture(params=["memory", "folder"])
def cache(request, tmp_path):
    return FeatureCache(None if request.param == "memory" else tmp_path / "features")


@pytest.fixture
def computed(monkeypatch):
    """Rows that transformers of signals compute."""
    counts, forward = [], ScatteringTransformer._forward

    def counting(self, x):
        counts.append(len(x))
        return forward(self, x)

    monkeypatch.setattr(ScatteringTransformer, "_forward", counting)
    return counts


def doubled(samples, cache, settings="", computed=None):
    """Rows of samples whose rows are twice themselves."""
    out = np.empty_like(samples)

    def compute(indices):
        if computed is not None:
            computed.extend(indices)
        return 2 * samples[indices]

    for indices, row in cache.rows(settings, samples, compute):
        out[indices] = row
    return out


def searches(transformer):
    """What searches and validations find with a transformer."""
    pipeline = make_pipeline(transformer, LogisticRegression())
    grid = {
        "scatteringtransformer__J": [2, 3],
        "scatteringtransformer__Q": [1, 2],
        "logisticregression__C": [0.1, 1, 10],
    }
    search = GridSearchCV(pipeline, grid, cv=3).fit(X, y)
    curve = learning_curve(pipeline, X, y, train_sizes=[0.3, 0.6, 1.0], cv=3)
    scores = cross_val_score(pipeline, X, y, cv=KFold(4, shuffle=True, random_state=0))
    predictions = cross_val_predict(pipeline, X, y)
    return search.cv_results_["mean_test_score"], *curve, scores, predictions


def test_each_row_of_each_setting_is_computed_once(cache, computed):
    expected = searches(ScatteringTransformer())
    assert sum(computed) > 30 * len(X)
    computed.clear()
    found = searches(ScatteringTransformer(cache=cache))
    # four settings of the grid and the default, J=4
    assert sum(computed) == len(cache) == 5 * len(X)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    computed.clear()
    searches(ScatteringTransformer(cache=cache))
    assert not computed


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "transformer",
    [
        ScatteringTransformer(J=3, Q=4),
        ScatteringTransformer(J=3, averaging="global", log=True),
        ScatteringTransformer(J=2, L=3, shape=(8, 8)),
        ScatteringTransformer(J=2, nonlinearity="rectifier", averaging=None),
        PhaseHarmonicTransformer(J=2, L=2, shape=(8, 8)),
        PhaseHarmonicTransformer(J=3, moments="rectifier"),
    ],
)
def test_rows_are_those_without_a_cache_bit_for_bit(transformer, dtype, cache):
    signals = X.astype(dtype)
    expected = transformer.fit_transform(signals)
    cached = clone(transformer).set_params(cache=cache).fit(signals)
    for some in (slice(0, 7), slice(None), slice(None, None, -1), [3, 3, 50]):
        np.testing.assert_array_equal(cached.transform(signals[some]), expected[some])
    np.testing.assert_allclose(cached.transform(signals[9:10]), expected[9:10])
    assert len(cache) == len(signals)
    tensor = cached.transform(torch.from_numpy(signals))
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_array_equal(tensor, expected)
    assert len(cache) == len(signals)


def test_what_matters_is_another_row(cache, computed):
    transformer = ScatteringTransformer(J=3, cache=cache).fit(X)
    transformer.transform(X)
    for same in ({"batch_size": 7}, {"n_jobs": 2}, {"verbose": 0}, {"cache": cache}, {"ndim": 1}):
        clone(transformer).set_params(**same).fit_transform(X)
    assert sum(computed) == len(X)
    for other in ({"J": 2}, {"log": True}, {"log": 0.1}, {"T": 4}, {"boundary": "zero"}):
        computed.clear()
        clone(transformer).set_params(**other).fit_transform(X)
        assert sum(computed) == len(X)
    for signals in (X.astype(float), X.reshape(60, 2, 32), X + 1):
        computed.clear()
        ScatteringTransformer(J=3, ndim=1, cache=cache).fit_transform(signals)
        assert sum(computed) == len(X)


def test_checks_of_transformers_with_a_cache(cache):
    signals = X[:3].astype(float)
    check_transformer(ScatteringTransformer(J=3, cache=cache), signals)
    check_transformer(PhaseHarmonicTransformer(J=2, L=2, cache=cache), signals.reshape(3, 8, 8))


@pytest.mark.parametrize(
    "parameters",
    [{}, {"per_atom": True}, {"pooling": "elements"}, {"pooling": "both", "accuracy": 0.1}],
)
def test_molecules_are_computed_once(parameters, cache):
    molecules = load_qm7_sample().data[:12]
    scattering = SolidHarmonicScattering(J=1, L=1, Q=1, **parameters).fit(molecules)
    expected = scattering.transform(molecules)
    cached = clone(scattering).set_params(cache=cache).fit(molecules)
    np.testing.assert_allclose(cached.transform(molecules), expected, rtol=1e-12, atol=1e-12)
    assert len(cache) == 12
    np.testing.assert_array_equal(
        cached.transform([*molecules[4:], *molecules[4:6]]),
        cached.transform(molecules[[*range(4, 12), 4, 5]]),
    )
    assert len(cache) == 12
    check_transformer(SolidHarmonicScattering(J=1, L=1, Q=1, cache=cache), molecules)


def test_periods_of_crystals_matter(cache):
    ase = pytest.importorskip("ase.build")
    cell, molecule = ase.bulk("Si", cubic=True), ase.bulk("Si", cubic=True)
    molecule.pbc = False
    scattering = SolidHarmonicScattering(J=1, L=1, Q=1, cache=cache).fit([cell])
    assert not np.allclose(scattering.transform([cell]), scattering.transform([molecule]))
    assert len(cache) == 2


def test_a_gradient_goes_around(cache):
    x = torch.from_numpy(X[:4]).requires_grad_()
    transformer = ScatteringTransformer(J=3, cache=cache).fit(x)
    transformer.transform(x).sum().backward()
    assert len(cache) == 0 and x.grad.abs().sum() > 0


def test_errors_name_the_row_of_x(cache, monkeypatch):
    signals = X[:40].copy()
    transformer = ScatteringTransformer(J=3, cache=cache).fit(signals)
    transformer.transform(signals[:20])
    forward = ScatteringTransformer._forward
    monkeypatch.setattr(
        ScatteringTransformer, "_forward", lambda self, x: forward(self, x).square()
    )
    signals[33] = 1e30
    with pytest.raises(ValueError, match="sample 33 of X"):
        transformer.transform(signals)


def test_progress_tells_what_is_computed(cache, capsys):
    transformer = ScatteringTransformer(J=3, cache=cache, verbose=1).fit(X)
    transformer.transform(X)
    assert "60 samples computed, which were not in the cache" in capsys.readouterr().out
    transformer.transform(X)
    assert capsys.readouterr().out == ""


def test_cached_rows_has_the_parameters_as_settings(cache):
    def ones(estimator, indices):
        assert estimator.verbose == 0
        return [np.ones(2)] * len(indices)

    ridge = Ridge()
    for alpha, settings, n in ((1, 5, 1), (1.0, 5.0, 1), (2, 5, 2), (2, [1, None], 3)):
        ridge.set_params(alpha=alpha)
        ridge.cache, ridge.verbose = cache, False
        list(cached_rows(ridge, [b"sample"], ones, settings=settings))
        assert len(cache) == n


def test_a_cache_is_itself_in_clones_and_copies(cache, tmp_path):
    transformer = clone(ScatteringTransformer(cache=cache))
    assert transformer.cache is cache is copy.deepcopy(cache) is copy.copy(cache)
    assert pickle.loads(pickle.dumps(cache)) == cache
    assert hash(pickle.loads(pickle.dumps(cache))) == hash(cache)
    assert FeatureCache() != FeatureCache() != FeatureCache(tmp_path)
    assert FeatureCache(tmp_path) == FeatureCache(tmp_path) == as_cache(tmp_path)
    assert as_cache(None) is None and as_cache(cache) is cache
    assert eval(repr(FeatureCache("a"))) == FeatureCache("a")


def test_a_pickle_of_a_cache_in_memory_is_the_same_in_its_process():
    cache = FeatureCache()
    doubled(X, cache)
    assert len(pickle.loads(pickle.dumps(cache))) == len(X)


@forks
def test_a_fork_has_its_own_memory():
    cache = FeatureCache()
    doubled(X, cache)

    def child(queue):
        computed = []
        doubled(X, cache, computed=computed)
        queue.put((len(computed), len(cache)))

    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    assert queue.get(timeout=60) == (60, 60)
    process.join()


def test_size_and_clear(cache):
    empty = cache.n_bytes
    doubled(np.ones((100, 10_000)) * np.arange(100)[:, None], cache)
    assert len(cache) == 100
    assert 8e6 <= cache.n_bytes - empty <= 8.8e6
    cache.clear()
    assert len(cache) == 0 and cache.n_bytes <= empty
    assert all(path.stat().st_size <= empty for path in Path(cache.location or "/x").glob("*"))


def test_threads_share_the_work(cache):
    samples, computed, results = rng.standard_normal((800, 5)), [], []
    wait = threading.Barrier(4)

    def work():
        wait.wait()
        results.append(doubled(samples, cache, computed=computed))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(computed) == list(range(800))
    for result in results:
        np.testing.assert_array_equal(result, 2 * samples)


def slowly(samples, location, log, max_bytes=2**30):
    """In a process: rows of samples, of which each that is computed is a byte of a file."""
    cache = FeatureCache(location, max_bytes=max_bytes)

    def compute(indices):
        time.sleep(1e-3 * len(indices))
        with open(log, "ab", buffering=0) as f:
            f.write(b"x" * len(indices))
        return 2 * samples[indices]

    out = np.empty_like(samples)
    for indices, row in cache.rows("slow", samples, compute):
        out[indices] = row
    if not np.array_equal(out, 2 * samples):
        os._exit(3)
    os._exit(0)


def start(samples, location, log):
    context = multiprocessing.get_context("fork")
    process = context.Process(target=slowly, args=(samples, location, log))
    process.start()
    return process


@forks
def test_processes_share_the_work(tmp_path):
    samples, log = rng.standard_normal((1000, 20)), tmp_path / "log"
    # folds of a cross-validation: each row is wanted twice
    folds = [samples[:700], samples[300:][::-1], np.r_[samples[:300], samples[700:]]]
    processes = [start(fold, tmp_path / "cache", log) for fold in folds]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert log.stat().st_size == 1000 == len(FeatureCache(tmp_path / "cache"))
    assert not list((tmp_path / "cache").glob("*.lock"))


@forks
def test_killed_processes_lose_what_they_were_computing_and_no_more(tmp_path):
    samples, log = rng.standard_normal((2000, 500)), tmp_path / "log"
    location, killed = tmp_path / "cache", 0
    for again in range(100):
        processes = [start(samples, location, log), start(samples[::-1], location, log)]
        time.sleep(0.3)
        for process in processes:
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            killed += process.exitcode == -signal.SIGKILL
        with closing(sqlite3.connect(location / "features.sqlite")) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        kept = len(FeatureCache(location))
        if again > 3 and kept > 500:
            break
    assert killed > 3 and kept > 500
    # at most a chunk of each process had been computed and was not written yet
    assert 0 <= log.stat().st_size - kept <= killed * 4 * rows._FIRST_CHUNK
    before = log.stat().st_size
    processes = [start(samples, location, log) for _ in range(2)]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert log.stat().st_size - before == 2000 - kept
    assert len(FeatureCache(location)) == 2000


def test_the_size_is_bounded(tmp_path):
    bound, folder = 5_000_000, tmp_path / "features"
    cache, seen = FeatureCache(folder, max_bytes=bound), []
    samples = rng.standard_normal((2500, 2500))  # 50 MB

    def compute(indices):
        seen.append(sum(path.stat().st_size for path in folder.glob("*")))
        return 2 * samples[indices]

    for again in range(2):
        for indices, row in cache.rows("", samples, compute):
            np.testing.assert_array_equal(row, 2 * samples[indices[0]])
        assert max(seen) <= bound
        assert cache.n_bytes > 0.8 * bound
        computed = []
        doubled(samples[-100:], cache, computed=computed)
        assert again or not computed  # what was used last is there
    # rows of which a few would fill the cache are not kept
    large = rng.standard_normal((4, 400_000))
    np.testing.assert_array_equal(doubled(large, cache), 2 * large)
    assert cache.n_bytes <= bound
    # a lower bound holds from the next rows on
    doubled(samples[:100], FeatureCache(folder, max_bytes=2_000_000))
    assert sum(path.stat().st_size for path in folder.glob("*")) <= 2_000_000


def test_the_memory_is_bounded():
    cache = FeatureCache(max_bytes=2**20)
    samples = rng.standard_normal((300, 1000))
    np.testing.assert_array_equal(doubled(samples, cache), 2 * samples)
    assert 0.8 * 2**20 < cache.n_bytes <= 2**20


@pytest.mark.parametrize("bad", [0, -1, 100, np.inf, np.nan, "1GB", None, True])
def test_bad_bounds(bad):
    with pytest.raises(ValueError, match=r"max_bytes=.* must be a number from 1048576"):
        FeatureCache(max_bytes=bad)


def test_bad_places(tmp_path):
    with pytest.raises(TypeError, match="location=3 must be the path of a folder"):
        FeatureCache(3)
    with pytest.raises(ValueError, match="'cache' parameter"):
        ScatteringTransformer(cache=True).fit(X)
    file = tmp_path / "file"
    file.write_text("no folder")
    with pytest.raises(OSError) as error:
        ScatteringTransformer(J=3, cache=file).fit_transform(X)
    assert "must be a folder that you may write to" in error.value.__notes__[0]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_folders_that_can_only_be_read(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="can't be written"):
        ScatteringTransformer(J=3, cache=tmp_path).fit_transform(X)
    tmp_path.chmod(0o700)


def test_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    doubled(X, FeatureCache("~/features"))
    assert (tmp_path / "features" / "features.sqlite").is_file()
