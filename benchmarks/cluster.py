"""The jobs of ``examples/cluster``: what a second worker brings, and what a crash costs.

``make bench NAME=cluster``, or ``python benchmarks/cluster.py --images 3000 --molecules 300``.
The scripts run in fresh processes with one and with two workers of Dask's ``LocalCluster``: the
features of images, and those of molecules of QM9 (with SKWAVE_DATA, else of the 750 in the
package), as many as the table says. Seconds are wall time of the transform, without the start of
the cluster. Then a worker is killed after a third of the blocks, and the whole tree of processes
after two thirds; the same line, called again, does the rest. Every row is compared with that of
``est.transform``.
"""

import argparse
import json
import os
import re
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import numpy as np
from _bench import save
from _jobs import crash, largest_difference, make_reference, run

EXAMPLES = Path(__file__).parents[1] / "examples" / "cluster"
sys.path.insert(0, str(EXAMPLES))  # before this folder, which has another qm9.py
images, qm9 = map(import_module, ("images", "qm9"))


def figures(lines):
    """Seconds and rate that a script printed last."""
    seconds, rate = re.search(r"in ([\d.]+) s, ([\d.]+) ", lines[-1]).groups()
    return float(seconds), float(rate)


def measure(name, est, X, options, folder):
    """All figures of one script."""
    out, reference = folder / "features.npy", folder / "reference.npy"
    part = out.with_suffix(".part.npy")
    row = {"case": name, "n": len(X), "transform_s": make_reference(est, X, reference)}
    row |= {"bytes": reference.stat().st_size, "difference": 0.0}
    for workers in (1, 2):
        line = [EXAMPLES / f"{name}.py", "--workers", workers, "--output", out, *options]
        row["blocks"], lines = run(line, part)
        row[f"seconds_{workers}"], row[f"rate_{workers}"] = figures(lines)
        row["difference"] = max(row["difference"], largest_difference(out, reference))
        out.unlink()
    row["kept"], lines = crash(line, part, row["blocks"])
    row["second_call_s"], _ = figures(lines)
    row["computed"] = sum(text.startswith("[transform_blocks]") for text in lines)
    row["crash_difference"] = largest_difference(out, reference)
    out.unlink()
    reference.unlink()
    print(json.dumps(row), flush=True)
    return row


def table(rows):
    """Markdown table."""
    lines = [
        "`est.transform` is one process with torch's threads; workers have one thread each.",
        "",
        "| job | rows | GB written | `est.transform`: rows/s | 1 worker: s | rows/s "
        "| 2 workers: s | rows/s | scaling | difference | after kills: blocks kept "
        "| computed by the second call | difference |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        lines.append(
            f"| {r['case']} | {r['n']} | {r['bytes'] / 1e9:.2f} | {r['n'] / r['transform_s']:.0f} "
            f"| {r['seconds_1']:.1f} | {r['rate_1']:.0f} | {r['seconds_2']:.1f} "
            f"| {r['rate_2']:.0f} | {r['seconds_1'] / r['seconds_2']:.2f} | {r['difference']:.0e} "
            f"| {r['kept']} of {r['blocks']} | {r['computed']} | {r['crash_difference']:.0e} |"
        )
    return "\n".join(lines)


def main():
    """Both scripts, in a folder that is removed at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000, help="0 for none")
    parser.add_argument("--molecules", type=int, default=20_000, help="0 for none")
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="on a disk with room")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        folder = Path(folder)
        if arguments.images:
            path = folder / "images.npy"
            images.make_images(path, arguments.images)
            X = np.load(path, mmap_mode="r")
            rows.append(measure("images", images.estimator(X), X, ["--input", path], folder))
        if arguments.molecules:
            sample = "SKWAVE_DATA" not in os.environ
            X = qm9.molecules(sample, arguments.molecules)
            options = ["--molecules", arguments.molecules, *["--sample"] * sample]
            rows.append(measure("qm9", qm9.estimator(X), X, options, folder))
    save("cluster", rows, table(rows))


if __name__ == "__main__":
    main()
