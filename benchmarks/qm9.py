"""Energies of QM9: learning curves of ``EnergyRegressor()``, ours beside SOAP.

``SKWAVE_DATA=... make bench NAME=qm9``, or ``python benchmarks/qm9.py soap --sizes 1000 5000``;
rows of earlier runs on the machine stay in the table. The internal energy at 298 K as an
atomisation energy, in kcal/mol. A random split that is fixed: the training sets are nested, the
test set takes no part in any choice. Times are CPU seconds, memory is the peak of the process. The
results here are of a ``qm9.npz`` of the 118 744 molecules without fluorine; the original files hold
those with fluorine too, and give other errors.
"""

import argparse
import os
import resource
import time
import warnings

import numpy as np
from _bench import earlier, save
from _molecules import Soap, calibration
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from skwave import EnergyRegressor
from skwave.datasets import fetch_qm9

warnings.simplefilter("ignore")

PARTS = {
    "skwave": ("EnergyRegressor()", lambda X: EnergyRegressor()),
    "soap": (
        "EnergyRegressor(features=SOAP of dscribe)",
        lambda X: EnergyRegressor(features=Soap(X)),
    ),
}


def run(label, model, X, y, n_test, n):
    """Row of one training set."""
    train, test = slice(n_test, n_test + n), slice(0, n_test)
    start = time.process_time()
    model.fit(X[train], y[train])
    fitted = time.process_time()
    predicted, std = model.predict(X[test], return_std=True)
    return {
        "model": label,
        "n": n,
        "mae": mean_absolute_error(y[test], predicted),
        "rmse": root_mean_squared_error(y[test], predicted),
        "loo": model.loo_error_,
        **calibration(predicted - y[test], std),
        "fit_s": fitted - start,
        "predict_ms": 1e3 * (time.process_time() - fitted) / n_test,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "chosen": model.best_params_,
    }


def table(rows, n_test):
    """Markdown table."""
    lines = [
        f"QM9 without fluorine, U at 298 K, errors in kcal/mol on {n_test} test molecules; random "
        "split. FCHL18 states 1.48, 0.63, 0.44 and 0.30 at 1005, 5029, 10 026 and 20 149 "
        "molecules, SchNet 0.32 at 109 069. Within: share of the errors within one and two "
        "predicted standard deviations; rank: Spearman's correlation of the two.",
        "",
        "| model | molecules | MAE | RMSE | left out | within 1, 2 | rank | fit, CPU s "
        "| prediction, ms | peak, GB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        lines.append(
            f"| {r['model']} | {r['n']} | {r['mae']:.3f} | {r['rmse']:.3f} | {r['loo']:.3f} "
            f"| {r['within_1']:.2f}, {r['within_2']:.2f} | {r['rank']:.2f} | {r['fit_s']:.0f} "
            f"| {r['predict_ms']:.1f} | {r['peak_gb']:.1f} |"
        )
    return "\n".join(lines)


def main():
    """All learning curves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=f"any of {list(PARTS)}")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 5000, 10_000, 25_000])
    parser.add_argument("--test", type=int, default=4000)
    arguments = parser.parse_args()
    X, y = fetch_qm9(data_home=os.environ.get("SKWAVE_DATA"), return_X_y=True)
    # 104 000 whatever the sizes: the sets of all runs are nested
    chosen = np.random.default_rng(0).permutation(len(y))[:104_000]
    X, y = X[chosen], y[chosen]
    found = earlier("qm9")
    for part in arguments.parts:
        label, make = PARTS[part]
        rows = {row["n"]: row for row in found.get(part, [])}
        for n in sorted(arguments.sizes):
            rows[n] = run(label, make(X), X, y, arguments.test, n)
            print(rows[n], flush=True)
            found[part] = [rows[n] for n in sorted(rows)]
            save("qm9", found, table([r for p in PARTS for r in found.get(p, [])], arguments.test))


if __name__ == "__main__":
    main()
