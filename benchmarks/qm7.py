"""Atomisation energies of QM7: five folds, ours beside SOAP and the Coulomb matrix.

``SKWAVE_DATA=... make bench NAME=qm7``, or ``python benchmarks/qm7.py [coulomb soap atoms
integral] [--heads multilinear]``; rows of earlier runs on the machine stay in the table. Errors in
kcal/mol on the folds of the file, means over folds. Kernel widths and scalings are chosen on the
training folds of the first fold. Times are CPU seconds; features a molecule, fits a fold.
"""

import argparse
import os
import time
import warnings
from functools import partial

import numpy as np
from _bench import earlier, save
from _molecules import HEADS, composition, coulomb_matrix, errors, local_scattering, ours, soap

from skwave import SolidHarmonicScattering
from skwave.datasets import fetch_qm7

warnings.simplefilter("ignore")


def run(label, F, seconds, head, y, counts, fold):
    """One row: a kind of features and a regressor on all folds."""
    found, choice = [], None
    start = time.process_time()
    for k in np.unique(fold):
        train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        prediction, choice = HEADS[head](F, counts, y, train, test, choice)
        found.append(errors(prediction, y[test]))
    row = {
        "features": label,
        "head": head,
        "count": F.shape[1],
        "feature_s": seconds,
        "fit_s": (time.process_time() - start) / len(found),
        **{name: float(np.mean([f[name] for f in found])) for name in ("mae", "rmse")},
        "choice": choice,
    }
    print(row, flush=True)
    return row


def table(rows):
    """Markdown table."""
    lines = [
        "QM7, 7165 molecules, five folds (of qm7.npz, made anew, balanced in energy), errors in "
        "kcal/mol. kymatio's page states MAE 2.75, RMSE 4.18 for a ridge on its coefficients.",
        "",
        "| features | number | CPU ms a molecule | regressor | CPU s a fold | MAE | RMSE |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        lines.append(
            f"| {r['features']} | {r['count']} | {1e3 * r['feature_s']:.1f} | {r['head']} "
            f"| {r['fit_s']:.0f} | {r['mae']:.2f} | {r['rmse']:.2f} |"
        )
    return "\n".join(lines)


PARTS = {
    "coulomb": ("Coulomb matrix", coulomb_matrix, ("kernel ridge",)),
    "soap": ("SOAP (dscribe), summed", soap, ("ridge", "kernel ridge")),
    "atoms": ("skwave, atoms", partial(ours, local_scattering()), HEADS),
    "integral": (
        "skwave, integral",
        partial(
            ours,
            SolidHarmonicScattering(sigma=0.2252, pooling="integral", dtype="float32"),
        ),
        HEADS,
    ),
}


def main():
    """The parts named, all of them by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=f"any of {list(PARTS)}")
    parser.add_argument("--heads", nargs="+", default=list(HEADS), help=f"any of {list(HEADS)}")
    arguments = parser.parse_args()
    data = fetch_qm7(data_home=os.environ.get("SKWAVE_DATA"))
    X, y, fold = data.data, data.target, data.fold
    counts, found = composition(X), earlier("qm7")
    for part in arguments.parts:
        label, features, heads = PARTS[part]
        F, seconds = features(X)
        rows = {row["head"]: row for row in found.get(part, [])}
        for head in [head for head in heads if head in arguments.heads]:
            rows[head] = run(label, F, seconds, head, y, counts, fold)
            found[part] = [rows[head] for head in heads if head in rows]
            save("qm7", found, table([row for name in PARTS for row in found.get(name, [])]))


if __name__ == "__main__":
    main()
