"""Atomisation energies of QM7: five folds of ``EnergyRegressor()``, beside SOAP.

``SKWAVE_DATA=... make bench NAME=qm7``, or ``python benchmarks/qm7.py skwave``; rows of earlier
runs on the machine stay in the table. Errors in kcal/mol on the folds of the file, means over
folds. Times are CPU seconds.
"""

import argparse
import os
import time
import warnings

import numpy as np
from _bench import earlier, save
from _molecules import Soap, calibration
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from skwave import EnergyRegressor
from skwave.datasets import fetch_qm7

warnings.simplefilter("ignore")

PARTS = {
    "skwave": ("EnergyRegressor()", lambda X: EnergyRegressor()),
    "soap": (
        "EnergyRegressor(features=SOAP of dscribe)",
        lambda X: EnergyRegressor(features=Soap(X)),
    ),
}


def run(label, make, data):
    """Row of all folds."""
    X, y, fold = data.data, data.target, data.fold
    found, start = [], time.process_time()
    for k in np.unique(fold):
        train, test = fold != k, fold == k
        predicted, std = make(X).fit(X[train], y[train]).predict(X[test], return_std=True)
        found.append(
            {
                "mae": mean_absolute_error(y[test], predicted),
                "rmse": root_mean_squared_error(y[test], predicted),
                **calibration(predicted - y[test], std),
            }
        )
        print(label, found[-1], flush=True)
    return {
        "model": label,
        "fold_s": (time.process_time() - start) / len(found),
        "folds": [f["mae"] for f in found],
        **{name: float(np.mean([f[name] for f in found])) for name in found[0]},
    }


def table(rows):
    """Markdown table."""
    lines = [
        "QM7, 7165 molecules, five folds (of qm7.npz, made anew, balanced in energy), errors in "
        "kcal/mol. kymatio's page states MAE 2.75, RMSE 4.18 for a ridge on its coefficients. "
        "Within: share of the errors within one and two predicted standard deviations; rank: "
        "Spearman's correlation of the two.",
        "",
        "| model | MAE | RMSE | within 1, 2 | rank | CPU s a fold |",
        "|---|---|---|---|---|---|",
    ]
    for r in rows:
        lines.append(
            f"| {r['model']} | {r['mae']:.3f} | {r['rmse']:.3f} | {r['within_1']:.2f}, "
            f"{r['within_2']:.2f} | {r['rank']:.2f} | {r['fold_s']:.0f} |"
        )
    return "\n".join(lines)


def main():
    """The parts named, all of them by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=f"any of {list(PARTS)}")
    arguments = parser.parse_args()
    data = fetch_qm7(data_home=os.environ.get("SKWAVE_DATA"))
    found = earlier("qm7")
    for part in arguments.parts:
        label, make = PARTS[part]
        found[part] = [run(label, make, data)]
        save("qm7", found, table([row for name in PARTS for row in found.get(name, [])]))


if __name__ == "__main__":
    main()
