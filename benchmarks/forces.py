"""Energies and forces of molecular dynamics: ``EnergyRegressor()`` beside sGDML.

``SKWAVE_DATA=... make bench NAME=forces``, or ``python benchmarks/forces.py ethanol --sizes 200``;
rows of earlier runs on the machine stay in the table. Frames of ``md/xtb_*.npz`` (GFN2-xTB, 500 K)
in that folder: some for training, 500 others for the test, at random. sGDML 1.0.3 has to be
installed (``pip install --no-deps sgdml==1.0.3``); its width is chosen by 100 further frames. Times
are CPU seconds.
"""

import argparse
import os
import time
import warnings
from pathlib import Path

import numpy as np
from _bench import earlier, save

from skwave import EnergyRegressor
from skwave.molecules import Molecules

warnings.simplefilter("ignore")
MOLECULES = ("ethanol", "malonaldehyde")
WIDTHS = (10, 20, 40)  # of sGDML


def load(name):
    """Atomic numbers, positions, energies and forces of all frames, in random order."""
    file = np.load(Path(os.environ["SKWAVE_DATA"]) / "md" / f"xtb_{name}.npz")
    order = np.random.default_rng(0).permutation(len(file["E"]))
    R, E, F = (file[k][order].astype(np.float64) for k in "REF")
    return file["Z"].astype(int), R, E, F


def ours(Z, R, E, F, n, with_forces):
    """Predictions of the test frames, by energies alone or with forces."""

    def molecules(R):
        return Molecules.from_pairs([(Z, r) for r in R])

    train = slice(500, 500 + n)
    model = EnergyRegressor()
    model.fit(molecules(R[train]), E[train], forces=list(F[train]) if with_forces else None)
    fitted = time.process_time()
    energies, forces = model.predict_energy_and_forces(molecules(R[:500]))
    return fitted, energies, np.stack(forces)


def sgdml(Z, R, E, F, n, with_forces):
    """Predictions of the peer."""
    if not hasattr(np, "in1d"):
        setattr(np, "in1d", np.isin)  # noqa: B010
    from sgdml.predict import GDMLPredict
    from sgdml.train import GDMLTrain
    from sgdml.utils import io

    def dataset(rows, name):
        data = {
            "type": "d", "code_version": "1.0.3", "name": np.array(name), "theory": np.array("xtb"),
            "z": Z, "R": R[rows], "E": E[rows], "F": F[rows],
            "r_unit": "Ang", "e_unit": "eV",
        }  # fmt: skip
        data["md5"] = io.dataset_md5(data)
        return data

    data, valid = dataset(slice(500, 500 + n), "train"), dataset(slice(1500 - 100, 1500), "valid")
    if n > 900:
        valid = dataset(slice(500, 600), "valid")  # all other frames train
    found = []
    trainer = GDMLTrain(max_processes=1)
    for width in WIDTHS:
        task = trainer.create_task(data, n, valid, 100, sig=width, use_E_cstr=False)
        model = trainer.train(task)
        predictor = GDMLPredict(model, max_processes=1)
        _, forces = predictor.predict(valid["R"].reshape(len(valid["R"]), -1))
        found.append((np.abs(forces - valid["F"].reshape(forces.shape)).mean(), width, predictor))
    _, _, predictor = min(found, key=lambda f: f[0])
    fitted = time.process_time()
    energies, forces = predictor.predict(R[:500].reshape(500, -1))
    return fitted, energies, forces.reshape(500, -1, 3)


MODELS = {
    "energies": ("EnergyRegressor(), energies alone", ours, False),
    "forces": ("EnergyRegressor(), energies and forces", ours, True),
    "sgdml": ("sGDML 1.0.3, forces", sgdml, True),
}


def table(rows):
    """Markdown table."""
    lines = [
        "Dynamics at 500 K (GFN2-xTB), mean absolute errors on 500 other frames.",
        "",
        "| molecule | frames | model | energy, meV | force, meV/Å | fit, CPU s | a frame, ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        lines.append(
            f"| {r['molecule']} | {r['n']} | {r['model']} | {r['energy']:.1f} | {r['force']:.1f} "
            f"| {r['fit_s']:.0f} | {r['frame_ms']:.1f} |"
        )
    return "\n".join(lines)


def main():
    """All molecules, sizes and models."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("molecules", nargs="*", default=list(MOLECULES))
    parser.add_argument("--sizes", type=int, nargs="+", default=[200, 1000])
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    arguments = parser.parse_args()
    found = earlier("forces")
    for name in arguments.molecules:
        Z, R, E, F = load(name)
        for n in arguments.sizes:
            for key in arguments.models:
                label, predict, with_forces = MODELS[key]
                start = time.process_time()
                fitted, energies, forces = predict(Z, R, E, F, n, with_forces)
                found[f"{name} {n:4d} {key}"] = {
                    "molecule": name,
                    "n": n,
                    "model": label,
                    "energy": 1e3 * float(np.abs(energies - E[:500]).mean()),
                    "force": 1e3 * float(np.abs(forces - F[:500]).mean()),
                    "fit_s": fitted - start,
                    "frame_ms": 1e3 * (time.process_time() - fitted) / 500,
                }
                save("forces", found, table([found[k] for k in sorted(found)]))


if __name__ == "__main__":
    main()
