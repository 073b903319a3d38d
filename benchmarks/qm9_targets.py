"""Properties of QM9 besides energies: ``EnergyRegressor()`` on its own features, and on SOAP.

``SKWAVE_DATA=... make bench NAME=qm9_targets``, or ``python benchmarks/qm9_targets.py soap``; rows
of earlier runs on the machine stay in the table. Polarisability, heat capacity and energy are sums
over atoms and learnt in one fit, the gap is a mean over them. The split is that of ``qm9``. SOAP is
dscribe's, which has to be installed.
"""

import argparse
import os
import time
import warnings

import numpy as np
from _bench import earlier, save
from _molecules import Soap
from sklearn.metrics import mean_absolute_error

from skwave import EnergyRegressor
from skwave.datasets import fetch_qm9

warnings.simplefilter("ignore")

SUMS = ("alpha", "Cv", "U298_atom")
HARTREE = 27.2114  # eV
LABELS = {"skwave": "EnergyRegressor()", "soap": "EnergyRegressor(features=SOAP of dscribe)"}


def run(part, X, targets, n, n_test=4000):
    """Errors of all targets, and the CPU seconds of both fits."""
    train, test = slice(n_test, n_test + n), slice(0, n_test)
    features = Soap(X) if part == "soap" else None
    row = {"model": LABELS[part], "n": n}
    start = time.process_time()
    for names, extensive in ((SUMS, True), (("gap",), False)):
        y = np.stack([targets[name] for name in names], 1)
        model = EnergyRegressor(features=features, extensive=extensive).fit(X[train], y[train])
        errors = mean_absolute_error(y[test], model.predict(X[test]), multioutput="raw_values")
        row |= dict(zip(names, errors.tolist(), strict=True))
    row["gap"] *= HARTREE
    return row | {"cpu_s": time.process_time() - start}


def table(rows):
    """Markdown table."""
    lines = [
        "QM9 without fluorine, mean absolute errors on 4000 test molecules; random split. Time: "
        "features, both fits and predictions.",
        "",
        "| model | molecules | polarisability, Bohr³ | heat capacity, cal/mol/K | energy, kcal/mol "
        "| gap, eV | CPU s |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        lines.append(
            f"| {r['model']} | {r['n']} | {r['alpha']:.3f} | {r['Cv']:.4f} | {r['U298_atom']:.3f} "
            f"| {r['gap']:.3f} | {r['cpu_s']:.0f} |"
        )
    return "\n".join(lines)


def main():
    """All models."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(LABELS), help=f"any of {list(LABELS)}")
    parser.add_argument("--size", type=int, default=10_000)
    arguments = parser.parse_args()
    names = [*SUMS, "gap"]
    qm9 = fetch_qm9(target=names, data_home=os.environ.get("SKWAVE_DATA"))
    chosen = np.random.default_rng(0).permutation(len(qm9.target))[:104_000]
    X = qm9.data[chosen]
    targets = dict(zip(names, qm9.target[chosen].T, strict=True))
    found = earlier("qm9_targets")
    for part in arguments.parts:
        found[part] = run(part, X, targets, arguments.size)
        print(found[part], flush=True)
        save("qm9_targets", found, table([found[p] for p in LABELS if p in found]))


if __name__ == "__main__":
    main()
