"""Sparse codes against scikit-learn, SPAMS, celer and skglm: CPU time against gap.

``make bench NAME=sparse_codes``, or ``python benchmarks/sparse_codes.py [case ...]``, with
SKWAVE_DATA set. One thread, process CPU time, the same dictionary, samples and alpha; gaps are
differences of the mean objective, computed in float64, over the certified least one. Peers too
slow for all samples have the first of them, and their time is per sample. On CUDA our own time
beside that of one core.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import statistics
import time
import warnings

import numpy as np
import torch
from _bench import save
from _patches import patches, scattering_features
from sklearn.decomposition import sparse_encode

from skwave import SparseCoder
from skwave.functional import fista, ista, lasso
from skwave.sparse._compiled import lasso_gram

warnings.simplefilter("ignore")

CASES = {
    # name: samples, atoms, alpha, samples for the slow peers
    "patches 64 × 256, α = 0.1": (patches, 256, 0.1, 1000),
    "patches 64 × 256, α = 0.05": (patches, 256, 0.05, 1000),
    "scattering 243 × 2048, α = 0.1": (scattering_features, 2048, 0.1, 100),
}
N_SAMPLES = 20_000
REPEAT = 3


def spams_lasso(dtype):
    """SPAMS' LARS, with the copies to its memory order."""
    import spams

    def solve(X, D, alpha):
        x, atoms = (np.asfortranarray(a.T.astype(dtype)) for a in (X, D))
        return spams.lasso(x, atoms, lambda1=alpha, mode=2, numThreads=1).T

    return solve


def row_by_row(name):
    """celer or skglm, which solve one problem at a time."""
    if name == "celer":
        from celer import Lasso
    else:
        from skglm import Lasso

    def solve(X, D, alpha):
        model = Lasso(alpha / D.shape[1], fit_intercept=False, tol=1e-6)
        atoms = np.asfortranarray(D.T)
        return np.array([model.fit(atoms, x).coef_ for x in X])

    return solve


def in_torch(f, dtype=torch.float32):
    """A function of tensors as one of arrays."""

    def solve(X, D, alpha):
        x, atoms = (torch.from_numpy(a).to(dtype) for a in (X, D))
        return f(x, atoms, alpha).numpy()

    return solve


def compiled(dtype, tol):
    """Our coordinate descent, with the conversion."""
    return lambda X, D, alpha: lasso_gram(X.astype(dtype), D.astype(dtype), alpha, tol=tol)[0]


def solvers(D, X, alpha):
    """Name: function, and whether it gets all samples."""
    table = {
        f"skwave cd float{8 * size}, tol {t:.0e}": (compiled(f"f{size}", t), int(t == 1e-6))
        for size in (4, 8)
        for t in (1e-2, 1e-4, 1e-6, 1e-9)[size == 8 :][:3]
    }
    table |= {
        f"skwave fista + newton float32, tol {t:.0e}": (
            in_torch(lambda x, D, a, t=t: lasso(x, D, a, tol=t).z),
            0,
        )
        for t in (1e-3, 1e-6)
    }
    table |= {
        f"skwave fista float32, {n} steps": (
            in_torch(lambda x, D, a, n=n: fista(x, D, a, n)),
            0,
        )
        for n in (12, 50, 100)
    }
    for n in (12, 24):
        coder = SparseCoder(alpha=alpha, dictionary=D, algorithm="istc", transform_max_iter=n)
        coder.fit(X[:1000])
        table[f"skwave istc float32, {n} steps of {coder.step_:.2g}"] = (
            lambda X, D, a, coder=coder: coder.transform(X.astype("f4")),
            0,
        )
    table["skwave ista float32, 100 steps"] = in_torch(lambda x, D, a: ista(x, D, a, 100)), 0
    for n in (20, 100, 10_000):
        table[f"sklearn lasso_cd float64, max_iter {n}"] = (
            lambda X, D, a, n=n: sparse_encode(X, D, algorithm="lasso_cd", alpha=a, max_iter=n),
            0,
        )
    table["sklearn lasso_lars float64"] = (
        lambda X, D, a: sparse_encode(X, D, algorithm="lasso_lars", alpha=a, max_iter=10_000),
        -1,
    )
    for dtype in ("float64", "float32"):
        table[f"SPAMS lasso {dtype}"] = spams_lasso(dtype), 1
    return table | {f"{name} float64": (row_by_row(name), -1) for name in ("celer", "skglm")}


def objective(Z, X, D, alpha):
    """Mean objective, in float64."""
    Z = np.asarray(Z.todense() if hasattr(Z, "todense") else Z, float)
    return float((np.square(X - Z @ D).sum(1) / 2 + alpha * np.abs(Z).sum(1)).mean())


def measure(name):
    """Time and gap of every solver, in turns; every time beside ours of the same turn."""
    load, n_atoms, alpha, n_slow = CASES[name]
    X = load(N_SAMPLES + 5000)
    learner = SparseCoder(n_atoms, alpha=alpha, max_iter=2, random_state=0)
    D = learner.fit(X[N_SAMPLES:]).components_
    X = X[:N_SAMPLES]
    best = lasso_gram(X, D, alpha, tol=1e-12)[0]
    table = solvers(D, X, alpha)
    sizes = {1: len(X), 0: n_slow, -1: max(n_slow // 10, 10)}
    least = {n: objective(best[:n], X[:n], D, alpha) for n in sizes.values()}
    for solve, _ in table.values():
        solve(X[:2], D, alpha)
    rows = {key: {"us": [], "n": sizes[size]} for key, (_, size) in table.items()}
    for _ in range(REPEAT):
        for key, (solve, size) in table.items():
            x = X[: sizes[size]]
            start = time.process_time()
            Z = solve(x, D, alpha)
            rows[key]["us"].append(1e6 * (time.process_time() - start) / len(x))
            F = least[len(x)]
            rows[key]["gap"] = objective(Z, x, D, alpha) / F - 1
    for row in rows.values():
        for dtype in ("32", "64"):
            ours = rows[f"skwave cd float{dtype}, tol 1e-06"]["us"]
            pairs = zip(row["us"], ours, strict=True)
            row[f"ratio_{dtype}"] = statistics.median(a / b for a, b in pairs)
    for row in rows.values():
        row["us"] = statistics.median(row["us"])
    record = {"case": name, "support": float((best != 0).sum(1).mean()), "solvers": rows}
    return record | {"coherence": learner.coherence_, "load": os.getloadavg()[0]}


def markdown(records):
    """One table for each case."""
    lines = []
    for record in records:
        lines += [
            f"**{record['case']}**: {record['support']:.1f} atoms in a code, coherence "
            f"{record['coherence']:.2f}, load average {record['load']:.1f}",
            "",
            "| solver | samples | CPU µs a sample | relative gap "
            "| time over skwave cd float32 | over float64 |",
            "|---|---|---|---|---|---|",
        ]
        for key, row in record["solvers"].items():
            lines.append(
                f"| {key} | {row['n']} | {row['us']:.0f} | {max(row['gap'], 0):.1e} "
                f"| {row['ratio_32']:.1f} | {row['ratio_64']:.1f} |"
            )
        lines.append("")
    return "\n".join(lines)


def measure_cuda(name, n=100_000):
    """Wall time of the torch solver on CUDA beside one core's CPU time of the compiled one."""
    load, n_atoms, alpha, _ = CASES[name]
    X = load(N_SAMPLES)
    D = SparseCoder(n_atoms, alpha=alpha, max_iter=2, random_state=0).fit(X[:5000]).components_
    X, D = np.tile(X, (n // len(X), 1)).astype("f4"), D.astype("f4")
    start = time.process_time()
    lasso_gram(X[:5000], D, alpha)
    core = (time.process_time() - start) * len(X) / 5000
    x, atoms = (torch.from_numpy(a).cuda() for a in (X, D))
    lasso(x[:100], atoms, alpha)
    torch.cuda.synchronize()
    start = time.perf_counter()
    codes = lasso(x, atoms, alpha)
    torch.cuda.synchronize()
    wall = time.perf_counter() - start
    return {"case": name, "core_s": core, "cuda_s": wall, "gap": float(codes.gap.max())}


def main():
    """Measure the cases named, all of them by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", help=f"any of {list(CASES)}, or a part of a name")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    chosen = [c for c in CASES if not arguments.cases or any(a in c for a in arguments.cases)]
    records = []
    for name in chosen:
        records.append(measure(name))
        save("sparse_codes", records, markdown(records))
    if torch.cuda.is_available():
        records = [measure_cuda(name) for name in chosen]
        lines = ["| case | one core, s | CUDA, s | ratio |", "|---|---|---|---|"]
        for r in records:
            ratio = r["core_s"] / r["cuda_s"]
            lines.append(f"| {r['case']} | {r['core_s']:.2f} | {r['cuda_s']:.3f} | {ratio:.0f} |")
        save("sparse_codes", records, "\n".join(lines), torch.cuda.get_device_name())


if __name__ == "__main__":
    main()
