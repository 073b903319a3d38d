"""Grid searches over wavelets: rows of features computed, against rows that there are.

``make bench NAME=grid_search``. Three searches with three folds, of 600 images (J, L, C), of 400
sounds (J, Q, C) and of 750 molecules (J, L, sigma, alpha), and a learning curve of the images:
without a cache, with ``Pipeline(memory=)``, and with ``cache=`` in a folder, in one process and in
two. Each run is a fresh process. "once and heads" is the least that there is to do: the features of
each setting once, then the searches of the heads on them. "difference" is the largest one of the
scores to those without a cache.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _bench import save
from _data import mnist, spoken_digits
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold, ParameterGrid, learning_curve
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skwave import FeatureCache, ScatteringTransformer, SolidHarmonicScattering
from skwave.datasets import load_qm7_sample

MODES = ("no cache", "memory", "cache", "cache, 2 processes", "once and heads")


def count(n):
    """Note n rows that are computed, in a file that processes share."""
    with open(os.environ["ROWS"], "ab", buffering=0) as f:
        f.write(b"x" * n)


class Signals(ScatteringTransformer):
    """Scattering that counts its rows."""

    def _forward(self, x):
        count(len(x))
        return super()._forward(x)


class Solid(SolidHarmonicScattering):
    """Solid harmonic scattering that counts its rows."""

    def _features(self, molecules, *others):
        count(len(molecules))
        return super()._features(molecules, *others)


def images():
    """Transformer, head, grids of both, and data."""
    X, y, _, _ = mnist()
    grid, head = {"J": [2, 3], "L": [4, 8]}, LogisticRegression(max_iter=300, tol=1e-2)
    return Signals(ndim=2), head, grid, {"C": [0.001, 0.01, 0.1, 1]}, X[:600], y[:600]


def sounds():
    """The same, of spoken digits."""
    X, y, _ = spoken_digits(2**12)
    rows = np.random.default_rng(0).permutation(len(X))[:400]
    transformer = Signals(T=1024, log=1e-3)
    head, grid = LogisticRegression(max_iter=300, tol=1e-2), {"J": [6, 8], "Q": [4, 8]}
    return transformer, head, grid, {"C": [0.001, 0.01, 0.1, 1]}, X[rows], y[rows]


def molecules():
    """The same, of energies."""
    sample = load_qm7_sample()
    transformer = Solid(elements=["H", "C", "N", "O", "S"], Q=1)
    grid = {"J": [1, 2], "L": [2, 3], "sigma": [0.25, 0.35]}
    return transformer, Ridge(), grid, {"alpha": [1e-3, 1e-2, 0.1, 1]}, sample.data, sample.target


SEARCHES = {"images": images, "sounds": sounds, "molecules": molecules, "learning curve": images}


def scores_of(name, mode, folder, search):
    """Run one search in one mode; the scores, and the rows that are needed."""
    transformer, head, wavelets, heads, X, y = search
    folds = KFold(3, shuffle=True, random_state=0)
    if mode.startswith("cache"):
        transformer.set_params(cache=folder)
    jobs = 2 if "2" in mode else 1
    scaled = make_pipeline(StandardScaler(), head)
    prefix = f"{type(head).__name__.lower()}__"
    heads = {prefix + key: values for key, values in heads.items()}
    curve = {"train_sizes": [0.2, 0.4, 0.6, 0.8, 1.0], "cv": folds, "n_jobs": jobs}
    if mode == "once and heads":
        settings = [{}] if name == "learning curve" else ParameterGrid(wavelets)
        features = [clone(transformer).set_params(**s).fit_transform(X) for s in settings]
        if name == "learning curve":
            return learning_curve(scaled, features[0], y, **curve)[2], len(X)
        found = [GridSearchCV(scaled, heads, cv=folds).fit(S, y) for S in features]
        return [f.cv_results_["mean_test_score"] for f in found], len(settings) * len(X)
    pipeline = make_pipeline(transformer, StandardScaler(), head)
    if mode == "memory":
        pipeline.set_params(memory=folder)
    if name == "learning curve":
        return learning_curve(pipeline, X, y, **curve)[2], len(X)
    step = f"{type(transformer).__name__.lower()}__"
    grid = heads | {step + key: values for key, values in wavelets.items()}
    search = GridSearchCV(pipeline, grid, cv=folds, n_jobs=jobs, error_score="raise").fit(X, y)
    return search.cv_results_["mean_test_score"], len(ParameterGrid(wavelets)) * len(X)


def run(name, mode):
    """In the fresh process: times and scores."""
    folder, search = os.environ["FOLDER"], SEARCHES[name]()
    search[0].fit_transform(search[4][:3])  # what a first call loads
    Path(os.environ["ROWS"]).write_bytes(b"")
    wall, cpu = time.perf_counter(), time.process_time()
    scores, needed = scores_of(name, mode, folder, search)
    row = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    if mode.startswith("cache"):
        row["mib"] = FeatureCache(folder).n_bytes / 2**20
    else:
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        row["mib"] = sum(path.stat().st_size for path in files) / 2**20
    print(json.dumps(row | {"needed": needed, "scores": np.ravel(scores).tolist()}))


def measure(name, mode):
    """Run a search in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows"
        rows.touch()
        environment = os.environ | {"ROWS": str(rows), "FOLDER": str(Path(folder) / "cache")}
        command = [sys.executable, __file__, "--run", name, mode]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        row = json.loads(done.stdout.splitlines()[-1])
        return row | {"search": name, "mode": mode, "computed": rows.stat().st_size}


def cells(row, expected):
    """Cells of the table."""
    several = "2" in row["mode"]
    same = row["mode"] != "once and heads"
    difference = np.abs(np.subtract(row["scores"], expected)).max() if same else 0
    return [
        row["search"],
        row["mode"],
        str(row["computed"]),
        str(row["needed"]),
        "" if several else f"{row['cpu_s']:.1f}",
        f"{row['wall_s']:.1f}",
        f"{row['mib']:.0f}" if row["mib"] else "",
        f"{difference:.0e}" if difference else "0" if same else "",
    ]


def main():
    """All searches in all modes."""
    rows, lines = [], []
    titles = ["search", "", "rows computed", "rows needed", "CPU s", "wall s", "MiB", "difference"]
    for name in SEARCHES:
        expected = None
        for mode in MODES:
            row = measure(name, mode)
            expected = expected or row["scores"]
            lines.append(cells(row, expected))
            rows.append({key: value for key, value in row.items() if key != "scores"})
            print(*lines[-1], sep=" | ", flush=True)
    table = "\n".join(f"| {' | '.join(line)} |" for line in [titles, ["---"] * len(titles), *lines])
    save("grid_search", rows, table)


if __name__ == "__main__":
    if "--run" in sys.argv:
        run(*sys.argv[2:])
    else:
        main()
