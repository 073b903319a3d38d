"""How good samples of texture models are: statistics of other kinds than their moments.

``SKWAVE_DATA=... make bench NAME=texture_quality``, or ``python benchmarks/texture_quality.py
[target ...] --families phase_harmonic gaussian --seeds 4``; each sample is saved as it comes, and
not made again. Targets are ``cosmic_web/0`` to ``/19``, ``iso``, ``aniso``, names of
textures, and ``turbulence``. J=5 and else the defaults of the
model, 256 by 256 pixels, float32, one thread.

Distances are those of `skwave.validation.texture_report`: z-scores by the scatter of 19 other
maps for the cosmic web, whose own distances are the row "real maps"; relative errors for the
vorticity, whose real maps are the three other quarters of an image, too few for a scatter, and for
textures, of which there is one image. Samples of non-periodic images are periodic, and compared as
if they were not.

``turbulence`` is the spectral norm of the error of a covariance over that of the covariance,
normalised by its diagonal, of vectors of phase harmonics of pixels around each other (see
`foveal`), as in Zhang and Mallat (2021) on a smaller scale: L=4 instead of 8, every eighth pixel,
40 test fields and 20 samples instead of 100 and 100. Theirs are: Gaussian (A) .82, B .29, C .24,
D .25. The rows "other fields" and "the training field" say what sampling alone does.
"""

import argparse
import os
import time
import warnings

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import torch
from _bench import RESULTS, earlier, save

from skwave import MaxEntTextureModel
from skwave.datasets import fetch_textures, make_turbulence
from skwave.functional._textures.fields import Fields, field_plan
from skwave.plotting import TextureDisplay
from skwave.validation import texture_report

J, L, SIZE = 5, MaxEntTextureModel().L, 256
HOME = os.environ.get("SKWAVE_DATA")
FAMILIES = {
    "phase_harmonic": 4,
    "gaussian": 1,
    "wavelet_covariance": 1,
    "pywph": 1,
    "rectifier": 1,
    "scattering_covariance": 1,
}
TEXTURES = ("reptil_skin", "metal", "nuts")
FIELDS = {"iso": "data_512_iso_turb_vorticity", "aniso": "data_512_aniso_turb_vorticity"}
TARGETS = [f"cosmic_web/{i}" for i in (0, 3, 7, 11, 15)] + [*FIELDS, *TEXTURES, "turbulence"]
COLUMNS = ("spectrum", "quantiles", "structure_functions", "increment_kurtosis", "minkowski")
COLUMNS += ("bispectrum",)


def images_of(target):
    """Real maps, which of them is the target, and whether they are periodic."""
    if target.startswith("cosmic_web/"):
        return fetch_textures("cosmic_web", data_home=HOME).images, int(target[11:]), True
    if target in FIELDS:
        data = fetch_textures("fields", data_home=HOME)
        image = data.images[data.names.index(FIELDS[target])]
        quarters = [image[y : y + SIZE, x : x + SIZE] for y in (0, SIZE) for x in (0, SIZE)]
        return np.stack(quarters), 0, False
    data = fetch_textures("portilla_simoncelli", data_home=HOME)
    return data.images[[data.names.index(target)]], 0, False


def fitted(image, family, seed, periodic=True):
    """Model of one image."""
    model = MaxEntTextureModel(
        J,
        moments=tuple(family.split("+")) if "+" in family else family,
        boundary="periodic" if periodic else "crop",
        random_state=seed,
    )
    return model.fit(image[None])


def make(target, family, seed):
    """One sample and its row."""
    real, index, periodic = images_of(target)
    model = fitted(real[index], family, seed, periodic)
    start = time.process_time()
    sample = model.sample(1)
    seconds = time.process_time() - start
    unit = "z-score" if len(real) > 8 else "relative error"
    report = texture_report(real, sample, target=index, periodic=periodic, unit=unit)
    row = {
        "family": family,
        "seed": seed,
        "tol": model.tol,
        "n_iter": model.n_iter_,
        "M": int(model.n_moments_),
        "loss": float(np.nanmin(model.loss_curve_[:, 0])),
        "cpu_s": seconds,
        "unit": report.unit,
        "distances": {name: float(z[0]) for name, z in report.families.items()},
        "copying": float(report.copying[0]),
        "real": {name: float(z.mean()) for name, z in report.real.items() if len(z)},
        "real_copying": float(report.real_copying.max()) if len(report.real_copying) else None,
    }
    if seed == 0:
        display = TextureDisplay(
            report,
            real=real,
            synthetic=sample,
            target=index,
            periodic=periodic,
            loss_curve=model.loss_curve_[:, 0],
        ).plot()
        name = f"texture_{target.replace('/', '_')}_{family.replace('+', '_')}.png"
        display.figure_.savefig(RESULTS / name, dpi=70)
        plt.close(display.figure_)
    return row


def foveal(x, plan, stride=8, reach=2):
    """Vectors of Zhang and Mallat at some pixels u of a field: shape (n, n_pixels).

    Phase harmonics k = 0 .. min(4, 2**j) of scale j and 2 * L orientations, at the 25 pixels
    u - 2**(j + 1) m around; and the low-pass.
    """
    fields = Fields(torch.from_numpy(x)[None, None], plan)
    vectors = []
    for j in range(J + 1):
        for k in range(min(4, 2**j) + 1) if j < J else (1,):
            h = fields.harmonic(j, k, plan.shape)[0, 0]
            h = torch.cat((h, h.conj()))[: 2 * L if j < J else 1].to(torch.complex64)
            step = 2 ** min(j + 1, J)
            for dy in range(-reach, reach + 1):
                for dx in range(-reach, reach + 1):
                    moved = h.roll((dy * step, dx * step), (-2, -1))
                    vectors.append(moved[:, ::stride, ::stride].flatten(1))
    return torch.cat(vectors)


def covariance(images, plan, mean=None):
    """Mean and covariance of the vectors of images."""
    mean = (
        sum(foveal(x, plan).mean(1, keepdim=True) for x in images) / len(images)
        if mean is None
        else mean
    )
    total = 0
    for x in images:
        z = foveal(x, plan) - mean
        total = total + z @ z.mH / (z.shape[1] * len(images))
    return mean, total


def spectral_norm(a, n_iter=100):
    """Largest absolute eigenvalue of a Hermitian matrix, by power iteration."""
    v = torch.randn(len(a), dtype=a.dtype, generator=torch.Generator().manual_seed(0))
    for _ in range(n_iter):
        v = a @ v
        norm = v.norm()
        v = v / norm
    return float(norm)


def turbulence(found, families, n_test=40, n_model=20):
    """Errors of the covariance of models, and of as many fields of the process itself."""
    maps = make_turbulence(1 + n_test + n_model, SIZE, courant=0.5, random_state=0)
    train, test, other = maps[0], maps[1 : n_test + 1], maps[n_test + 1 :]
    plan = field_plan((SIZE, SIZE), J, L, dtype=torch.float32)
    mean, reference = covariance(test, plan)
    scale = reference.diagonal().real.sqrt()
    reference /= scale[:, None] * scale
    whole = spectral_norm(reference)

    def error(images):
        c = covariance(images, plan, mean)[1] / (scale[:, None] * scale)
        return spectral_norm(reference - c) / whole

    if not found:
        found.append({"family": "other fields", "error": error(other)})
        found.append({"family": "the training field", "error": error(train[None])})
    for family in families:
        if family not in [row["family"] for row in found]:
            start = time.process_time()
            model = fitted(train, family, 0)
            samples = model.sample(n_model)
            row = {"family": family, "M": int(model.n_moments_), "error": error(samples)}
            found.append(row | {"cpu_s": time.process_time() - start})
            print(found[-1], flush=True)
            yield


def table(found):
    """Markdown tables, one for each target."""
    lines = []
    for target, rows in found.items():
        if target == "turbulence":
            lines += ["", "turbulence: relative error of the covariance, spectral norm", ""]
            lines += ["| fields | M | error |", "|---|---|---|"]
            lines += [f"| {r['family']} | {r.get('M', '')} | {r['error']:.2f} |" for r in rows]
            continue
        lines += ["", f"{target}, {rows[0]['unit']}", ""]
        lines.append("| family | M | seeds | " + " | ".join(c.replace("_", " ") for c in COLUMNS))
        lines[-1] += " | copying | loss | steps | CPU s |"
        lines.append("|---" * (len(COLUMNS) + 7) + "|")
        if rows[0]["real"]:
            cells = [f"{rows[0]['real'][name]:.2f}" for name in COLUMNS]
            copying = f"up to {rows[0]['real_copying']:.3f}"
            cells = ["real maps", "", "", *cells, copying, "", "", ""]
            lines.append("| " + " | ".join(cells) + " |")
        for family in dict.fromkeys(r["family"] for r in rows):
            some = [r for r in rows if r["family"] == family]
            cells = [family, str(some[0]["M"]), str(len(some))]
            cells += [f"{np.mean([r['distances'][name] for r in some]):.2f}" for name in COLUMNS]
            cells.append(f"{max(r['copying'] for r in some):.3f}")
            cells.append(f"{max(r['loss'] for r in some):.0e}")
            cells.append(f"{np.mean([r['n_iter'] for r in some]):.0f}")
            cells.append(f"{np.mean([r['cpu_s'] for r in some]):.0f}")
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines[1:])


def main():
    """The targets named, all of them by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", default=TARGETS, help=f"any of {TARGETS}")
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), help="or groups: S11+C01")
    parser.add_argument("--seeds", type=int, help="samples a family, 4 of the default one, else 1")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    matplotlib.use("Agg")
    warnings.simplefilter("ignore")
    found = earlier("texture_quality")
    for target in arguments.targets:
        rows = found.setdefault(target, [])
        if target == "turbulence":
            for _ in turbulence(rows, arguments.families):
                save("texture_quality", found, table(found))
            continue
        done = {(r["family"], r["seed"]) for r in rows}
        for family in arguments.families:
            for seed in range(arguments.seeds or FAMILIES.get(family, 1)):
                if (family, seed) not in done:
                    rows.append(make(target, family, seed))
                    save("texture_quality", found, table(found))


if __name__ == "__main__":
    main()
