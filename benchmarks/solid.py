"""Solid harmonic scattering of molecules against kymatio, at the settings of its QM7 example.

``make bench NAME=solid``; with SKWAVE_DATA also what all of QM9 takes. Both compute the
coefficients of three densities of the same molecules, in float32, on one thread; figures are CPU
seconds of a molecule. kymatio's grid is 192×128×96 of 1/8.88 Å; its density is sampled by its own
function, and that is not timed. On a machine with a GPU also molecules per second there.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from _bench import hardware, save
from scattering import import_kymatio
from sklearn.utils import check_random_state

from skwave import SolidHarmonicScattering
from skwave.datasets import fetch_qm9, load_qm7_sample
from skwave.functional._molecules.gaussians import align
from skwave.molecules._densities import density_weights
from skwave.parallel._transform import transform_blocks

GRID, PIXELS, SIGMA = (192, 128, 96), 8.88, 2.0
POWERS = (0.5, 1.0, 2.0, 3.0)
N_QM9 = 130_831


def local_scattering():
    """Our local invariants, with the defaults."""
    return SolidHarmonicScattering(dtype="float32")


def estimator(accuracy, **parameters):
    """Ours at the same settings."""
    settings = {"J": 2, "L": 3, "Q": 1, "sigma": SIGMA / PIXELS, "pooling": "integral"}
    settings |= {"integral_powers": POWERS, "accuracy": accuracy, "dtype": "float32"}
    return SolidHarmonicScattering(**settings | parameters)


def kymatio_densities(est, molecule):
    """The three densities of a molecule on kymatio's grid."""
    from kymatio.scattering3d.utils import generate_weighted_sum_of_gaussians

    grid = np.mgrid[tuple(slice(-(n // 2), n // 2) for n in GRID)].astype(np.float32)
    grid = np.fft.ifftshift(grid, axes=(1, 2, 3))
    r = torch.from_numpy(molecule.positions)[None]
    r = align(r, torch.ones(r.shape[:2], dtype=torch.bool))[0].numpy() * PIXELS
    weights = [density_weights(molecule.numbers, d) for d in est.densities]
    return torch.from_numpy(
        np.stack(
            [generate_weighted_sum_of_gaussians(grid, r[None], w[None], SIGMA)[0] for w in weights]
        ).astype(np.float32)
    )


def cpu_seconds(f, repeat=1):
    """Median of the CPU seconds of some calls, and the last result."""
    times = []
    for _ in range(repeat):
        start = time.process_time()
        result = f()
        times.append(time.process_time() - start)
    return statistics.median(times), result


def compare(n_molecules):
    """Times and values of both on the same molecules."""
    X, _ = load_qm7_sample(return_X_y=True)
    X = X[check_random_state(0).choice(len(X), n_molecules, replace=False)]
    ours = {accuracy: estimator(accuracy).fit(X) for accuracy in (1e-3, 1e-4, 1e-5)}
    fine = estimator(1e-6).set_params(dtype="float64").fit(X)
    names = fine.get_feature_names_out().astype(str)
    keep = ~np.char.startswith(names, "s0")
    half = np.char.endswith(names[keep], "q0.5")
    found = {}
    for accuracy, est in ours.items():
        est.transform(X)
        for i in range(n_molecules):
            found[accuracy, i] = cpu_seconds(lambda est=est, i=i: est.transform(X[[i]]), 5)
    kymatio = import_kymatio()
    build, peer = cpu_seconds(
        lambda: kymatio.HarmonicScattering3D(
            J=2, shape=GRID, L=3, sigma_0=SIGMA, integral_powers=list(POWERS), frontend="torch"
        )
    )
    rows = []
    for i in range(n_molecules):
        density = kymatio_densities(fine, X[i])
        seconds, expected = cpu_seconds(lambda density=density: peer(density))
        # theirs: scales of both orders, degrees, powers; without order 0; in pixels
        row = {"formula": X.formula(i), "kymatio_s": seconds, "ours": {}}
        expected = (expected.numpy() * PIXELS ** (3 * np.array(POWERS) - 3)).reshape(-1)
        exact = fine.transform(X[[i]])[0, keep]
        row["kymatio"] = errors(expected, exact, half)
        for accuracy in ours:
            seconds, s = found[accuracy, i]
            row["ours"][accuracy] = {
                "seconds": seconds,
                "ratio": row["kymatio_s"] / seconds,
                "to_kymatio": errors(s[0, keep], expected, half),
                "to_exact": errors(s[0, keep], exact, half),
            }
        rows.append(row)
        print(row, flush=True)
    return build, rows


def errors(a, b, half):
    """Median and largest relative errors: of all, and of the powers from 1 on."""
    e = np.abs(a - b) / np.abs(b)
    return {
        "median": float(np.median(e)),
        "max": float(e.max()),
        "max from q=1": float(e[~half].max()),
    }


def table(build, rows):
    """Markdown table: medians over molecules."""

    def median(get):
        return statistics.median(map(get, rows))

    kymatio_s = median(lambda r: r["kymatio_s"])
    lines = [
        f"{len(rows)} molecules of QM7, 3 densities, J=2, L=3, one thread, CPU seconds a molecule: "
        "medians over molecules. Errors are relative, of every coefficient of orders 1 and 2: "
        "the median of all, the largest, the largest without the power ½, and of each the median "
        'over molecules. "exact" is ours in float64 with accuracy=1e-6.',
        "",
        "| | CPU-s | ratio | to kymatio: median | max | max, q ≥ 1 | to exact: median | max "
        "| max, q ≥ 1 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    keys = ("median", "max", "max from q=1")
    theirs = " | ".join(f"{median(lambda r, k=k: r['kymatio'][k]):.1e}" for k in keys)
    lines.append(f"| kymatio (filters: {build:.0f} s) | {kymatio_s:.1f} | | | | | {theirs} |")
    for accuracy in rows[0]["ours"]:
        values = [median(lambda r, a=accuracy, k=k: r["ours"][a][k]) for k in ("seconds", "ratio")]
        found = " | ".join(
            f"{median(lambda r, a=accuracy, to=to, k=k: r['ours'][a][to][k]):.1e}"
            for to in ("to_kymatio", "to_exact")
            for k in keys
        )
        lines.append(
            f"| skwave, accuracy={accuracy:g} | {values[0]:.3f} | {values[1]:.0f} | {found} |"
        )
    return "\n".join(lines)


def cuda():
    """Molecules per second on a GPU, and what all of QM9 takes."""
    X, _ = load_qm7_sample(return_X_y=True)
    rows = []
    for pooling in ("integral", "atoms"):
        est = estimator(1e-3, device="cuda", pooling=pooling).fit(X)
        est.transform(X)
        start = time.perf_counter()
        est.transform(X)
        rate = len(X) / (time.perf_counter() - start)
        rows.append({"pooling": pooling, "molecules_per_s": rate, "qm9_s": N_QM9 / rate})
    lines = ["| pooling | molecules/s | all of QM9, s |", "|---|---|---|"]
    lines += [f"| {r['pooling']} | {r['molecules_per_s']:.0f} | {r['qm9_s']:.0f} |" for r in rows]
    name = torch.cuda.get_device_name()
    save("solid", rows, "\n".join(lines), device=f"{name}, {hardware()}")


def blocks(pooling, n):
    """Features of molecules of QM9 into a file, in a fresh process: prints seconds and MiB."""
    X, _ = fetch_qm9(data_home=os.environ.get("SKWAVE_DATA"), return_X_y=True)
    est = (estimator(1e-3) if pooling == "integral" else local_scattering()).fit(X)
    X = X[np.random.default_rng(0).permutation(len(X))[:n]]
    est.transform(X[:16])
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        transform_blocks(est, X, Path(folder) / "features.npy")
    seconds = (time.process_time() - start) / n
    # ru_maxrss would be that of the parent
    print(
        seconds, int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1]) / 1024
    )


def all_of_qm9(n):
    """Time and memory of all of QM9 through `transform_blocks`, from ``n`` molecules and half."""
    lines = [
        "| pooling | molecules | CPU ms a molecule | process's peak, MiB | all of QM9, CPU min |"
    ]
    lines += ["|---|---|---|---|---|"]
    rows = []
    for pooling, largest in (("atoms", n), ("integral", n // 10)):
        for count in (largest // 2, largest):
            command = [sys.executable, __file__, "--memory", pooling, str(count)]
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            seconds, mib = map(float, out.split())
            rows.append({"pooling": pooling, "n": count, "seconds": seconds, "mib": mib})
            lines.append(
                f"| {pooling} | {count} | {1e3 * seconds:.1f} | {mib:.0f} "
                f"| {seconds * N_QM9 / 60:.0f} |"
            )
    save("solid_qm9", rows, "\n".join(lines))


def main():
    """Compare; then all of QM9, if its file is there, and the GPU, if there is one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--molecules", type=int, default=5)
    parser.add_argument("--blocks", type=int, default=2000, help="molecules of QM9; 0 for none")
    parser.add_argument("--memory", nargs=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.memory:
        blocks(arguments.memory[0], int(arguments.memory[1]))
        return
    if arguments.molecules:
        build, rows = compare(arguments.molecules)
        save("solid", {"kymatio_filters_s": build, "molecules": rows}, table(build, rows))
    if arguments.blocks and "SKWAVE_DATA" in os.environ:
        all_of_qm9(arguments.blocks)
    if torch.cuda.is_available():
        cuda()


if __name__ == "__main__":
    main()
