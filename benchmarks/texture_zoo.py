"""Samples of fields of many kinds: patterns, narrow bands, heavy tails, numbers of few values.

``make bench NAME=texture_zoo``. The fields are those of ``tests/textures/zoo.py``, 64 by 64 pixels;
models have J=3 and else the defaults, and make one sample. The standard deviation is that of the
sample over that of the field; errors of the groups S11, S00 and L are relative, of the vector of
the group; skewness and excess kurtosis of pixels stand as sample / field. A panel of all fields and
samples lies beside the table.
"""

import argparse
import sys
import time
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import torch
from _bench import RESULTS, save
from scipy.stats import kurtosis, skew

from skwave import MaxEntTextureModel

matplotlib.use("Agg")
import matplotlib.pyplot as plt

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "textures"))
from zoo import zoo

GROUPS = ("S11", "S00", "L")


def row(name, x, family):
    """Figures of one sample, and the sample."""
    model = MaxEntTextureModel(J=3, moments=family, random_state=0).fit(x[None])
    start = time.process_time()
    sample = model.sample()
    seconds = time.process_time() - start
    m, target, group = model.transform(sample)[0], model.moments_, model.moment_table_["group"]
    errors = {
        g: float(np.linalg.norm((m - target)[group == g]) / np.linalg.norm(target[group == g]))
        for g in GROUPS
        if np.linalg.norm(target[group == g]) > 1e-9
    }
    pixels = {of.__name__: [float(of(y.ravel())) for y in (sample, x)] for of in (skew, kurtosis)}
    found = {"field": name, "family": family, "std": float(sample.std() / x.std()), **pixels}
    energy = {"energy": float(model.loss_curve_[-1, 0]), "steps": int(model.n_iter_)}
    return found | {"errors": errors, "cpu_s": seconds} | energy, sample[0]


def table(rows):
    """Markdown table."""
    names = ["field", "moments", "std", *GROUPS, "skewness", "kurtosis", "energy", "steps", "CPU s"]
    lines = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    for r in rows:
        errors = [f"{100 * r['errors'][g]:.1f} %" if g in r["errors"] else "" for g in GROUPS]
        cells = [r["field"], r["family"], f"{r['std']:.3f}", *errors]
        cells += [f"{r[of][0]:.1f} / {r[of][1]:.1f}" for of in ("skew", "kurtosis")]
        cells += [f"{r['energy']:.0e}", str(r["steps"]), f"{r['cpu_s']:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def panel(fields, samples, families):
    """Fields above their samples."""
    figure, axes = plt.subplots(
        len(families) + 1, len(fields), figsize=(1.3 * len(fields), 1.4 * (len(families) + 1))
    )
    for i, (name, x) in enumerate(fields.items()):
        low, high = np.quantile(x, (0.005, 0.995))
        for ax, y in zip(axes[:, i], [x, *(samples[name, f] for f in families)], strict=True):
            ax.imshow(y, cmap="gray", vmin=low, vmax=max(high, low + 1e-9), interpolation="nearest")
            ax.set_xticks([]), ax.set_yticks([])
        axes[0, i].set_title(name, fontsize=6)
    for ax, label in zip(axes[:, 0], ["field", *families], strict=True):
        ax.set_ylabel(label, fontsize=6)
    figure.tight_layout()
    figure.savefig(RESULTS / "texture_zoo.png", dpi=90)


def main():
    """All fields, for all families named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--families", nargs="+", default=["phase_harmonic", "pywph"])
    families = parser.parse_args().families
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    fields, rows, samples = zoo(64), [], {}
    for name, x in fields.items():
        for family in families:
            found, samples[name, family] = row(name, x, family)
            rows.append(found)
            print(table(rows[-1:]).splitlines()[-1], flush=True)
    panel(fields, samples, families)
    save("texture_zoo", rows, table(rows))


if __name__ == "__main__":
    main()
