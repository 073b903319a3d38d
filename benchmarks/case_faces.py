"""Reconstruction, samples and interpolations of `CASEGenerator`, PCA, and a VAE.

``SKWAVE_DATA=... make bench NAME=case_faces`` runs "faces"; ``python benchmarks/case_faces.py faces
shifted mnist cifar ablations`` all, and ``--components 64 --rows dictionary ridge`` a part. Each
row is saved when it is done, and what is saved is not run again (``--again`` does). ``--cache
FOLDER`` keeps the scattering coefficients between runs. Grids of images go to ``--figures FOLDER``:
faces may not be shipped.

Faces are those of LFW, grey, 32 by 32 pixels, of people that are not in the training set. All of
the training faces and their mirror images train; people are set apart to choose the epoch. The
dictionary and the convolutional decoder, and that of the VAE, have about equal numbers of weights.
They are trained with the errors of scattering coefficients beside those of pixels; "squared" is
the dictionary decoder with those of pixels alone, "sharp" has twenty times their weight;
"conv. alone" is the network without the regression beneath, as Angles and Mallat have it.
In "shifted" the training images are also shifted by a pixel, in four directions: five times as
many, for codes of a finer scale, J = 2; "fine ridge" is the regression on these without shifts.
The VAE's images are decoded from the means of the codes; its pixels are Gaussian, with the best
variance. The Fréchet distance is that of `skwave.validation`, of as many samples as there are test
images, to the test images; "floor" is the same of training images.
"""

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from _bench import RESULTS, earlier, save
from _data import cifar10, faces, mnist
from _vae import fit_vae, reconstruct, sample
from joblib import Memory
from sklearn.decomposition import PCA
from sklearn.model_selection import GroupShuffleSplit

from skwave import CASEGenerator
from skwave.validation import generation_report, psnr, ssim

N_SHOWN, N_MEASURED = 10, 1000
SHARED = {"J": 3, "learning_rate_init": 4e-3, "batch_size": 128, "random_state": 0}
DICTIONARY = {"decoder": "dictionary", "channels": 8, "n_atoms": (512, 32)}
CONVOLUTIONAL = {"decoder": "convolutional", "learning_rate_init": 2e-3, "scattering_weight": 0.05}
DECODERS = {
    "dictionary": {**DICTIONARY, "scattering_weight": 0.05},
    "squared": {**DICTIONARY, "scattering_weight": 0.0},
    "sharp": {**DICTIONARY, "scattering_weight": 1.0},
    "convolutional": CONVOLUTIONAL,
    "conv. alone": {**CONVOLUTIONAL, "linear_skip": False},
    "ridge": {"decoder": "linear"},
    "fine ridge": {"decoder": "linear", "J": 2},
}
EQUAL = {64: 14, 256: 10}  # channels with the weights of the dictionaries, by length of the codes
ROWS = ("floor", "pca", *DECODERS, "vae")
ABLATIONS = {
    "phase, whitened, 4 steps": {},
    "modulus": {"nonlinearity": "modulus"},
    "squared error alone": {"scattering_weight": 0.0},
    "sharp": {"scattering_weight": 1.0},
    "not whitened": {"whiten": False},
    "logarithm": {"gaussianize": "log"},
    "sphere": {"gaussianize": "sphere"},
    "quantile": {"gaussianize": "quantile"},
    "1 step (rectifiers)": {"n_iter": 1},
    "2 steps": {"n_iter": 2},
    "8 steps": {"n_iter": 8},
    "no noise on codes": {"latent_noise": 0.0},
    "without the regression": {"linear_skip": False},
    "convolutional": CONVOLUTIONAL,
}


def face_data():
    """Grey faces and their mirror images; other people to test on."""
    X, person, test = faces()
    test = test.astype(bool)
    groups = np.tile(person[~test], 2)
    return np.concatenate([X[~test], X[~test][..., ::-1]]), groups, X[test]


def shifted_data():
    """The same, and the training images shifted by a pixel in four directions."""
    X, groups, X_test = face_data()
    padded = np.pad(X, ((0, 0), (1, 1), (1, 1)), mode="edge")
    at = [(1, 1), (0, 1), (2, 1), (1, 0), (1, 2)]
    X = np.concatenate([padded[:, y : y + 32, x : x + 32] for y, x in at])
    return X, np.tile(groups, len(at)), X_test


def mnist_data():
    """20 000 digits, padded to 32 pixels a side."""
    X, _, X_test, _ = mnist()
    X, X_test = (np.pad(x, ((0, 0), (2, 2), (2, 2))) for x in (X[:20_000], X_test[:2000]))
    return X, np.arange(len(X)), X_test


def cifar_data():
    """Colour images of CIFAR-10, a JPEG copy."""
    X, _, X_test, _ = cifar10(None)
    return X, np.arange(len(X)), X_test[:2000]


# images, lengths of the codes, epochs, and what is not as in SHARED and DECODERS
DATA = {
    "faces": (face_data, [64, 256], 12, {}),
    "shifted": (shifted_data, [256], 5, {"J": 2, "scattering_weight": 0.2}),
    "mnist": (mnist_data, [64], 8, {}),
    "cifar": (cifar_data, [256], 5, {}),
}


def measured(row, decoded, samples, X, X_test):
    """Figures of a row; images of samples by the name of the sampler."""
    part = np.random.default_rng(0).permutation(len(X))[:N_MEASURED]
    for name, images, real in zip(
        ("train", "test"), decoded(X[part], X_test), (X[part], X_test), strict=True
    ):
        row[f"psnr_{name}"] = psnr(images, real)
        row[f"ssim_{name}"] = ssim(images[:N_MEASURED], real[:N_MEASURED])
    for name, images in samples.items():
        row[f"samples_{name}"] = vars(generation_report(images, X_test))
    return row


def interpolated(model, X, X_test):
    """Distance of mid-points to the nearest training image, and of averages of pixels."""
    a, b = X_test[:100], X_test[100:200]
    rows = {"middle": model.interpolate(a, b, 3)[:, 1], "average": (a + b) / 2}
    rows["a reconstruction"] = model.inverse_transform(model.transform(a))
    flat = torch.from_numpy(X.reshape(len(X), -1))
    return {
        name: float(torch.cdist(torch.from_numpy(y.reshape(100, -1)).float(), flat).amin(1).mean())
        for name, y in rows.items()
    }


def grid(path, rows):
    """Image of rows of images."""
    from PIL import Image

    lines = []
    for images in rows:
        images = np.clip(images[:N_SHOWN], 0, 1)
        images = images if images.ndim == 4 else images[:, None]
        padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=1)
        lines.append(np.concatenate(list(padded), 2))
    pixels = (255 * np.concatenate(lines, 1)).astype(np.uint8).transpose(1, 2, 0).squeeze()
    image = Image.fromarray(pixels)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.resize((3 * image.width, 3 * image.height), Image.Resampling.NEAREST).save(path)


def run_case(X, groups, X_test, d, parameters, epochs, memory, path):
    """One of our decoders."""
    if parameters["decoder"] == "convolutional":
        parameters = {**parameters, "channels": EQUAL.get(d, 14)}
    model = CASEGenerator(
        n_components=d, max_iter=epochs, sampler="mixture", memory=memory,
        **{**SHARED, **parameters},
    )  # fmt: skip
    start = time.process_time()
    model.fit(X, groups=groups)
    row = {
        "fit_s": time.process_time() - start,
        "n_parameters": model.n_parameters_,
        "epochs": model.n_iter_,
        "sparsity": model.sparsity_,
        "coherence": model.coherence_,
        "codes": model.latent_report_,
    }
    n = len(X_test)
    samples = {kind: model.sample(n, sampler=kind) for kind in ("normal", "norm", "mixture")}
    row["interpolation"] = interpolated(model, X, X_test)
    measured(
        row,
        lambda *parts: [model.inverse_transform(model.transform(x)) for x in parts],
        samples, X, X_test,
    )  # fmt: skip
    if path is not None:
        Z = model.transform(X_test[:N_SHOWN])
        paths = model.interpolate(X_test[:3], X_test[3:6], N_SHOWN)
        scales = [
            np.repeat(np.repeat(x, 2**j, -1), 2**j, -2)
            for j, x in zip(range(model.J, -1, -1), model.coarse_to_fine(Z), strict=True)
        ]
        grid(path, [X_test, model.inverse_transform(Z), *samples.values(), *paths, *scales])
    return row


def run_other(kind, X, groups, X_test, d, J, epochs, path):
    """PCA, the VAE, and the training images themselves."""
    shape, n = X.shape[1:], len(X_test)
    start, row = time.process_time(), {}
    if kind == "floor":
        part = X[np.random.default_rng(0).permutation(len(X))[:n]]
        return {"samples_real": vars(generation_report(part, X_test))}
    if kind == "pca":
        pca = PCA(d, whiten=True, random_state=0).fit(X.reshape(len(X), -1))
        noise = np.random.default_rng(0).standard_normal((n, d))
        samples = {"normal": pca.inverse_transform(noise).reshape(-1, *shape)}

        def decode(x):
            return pca.inverse_transform(pca.transform(x.reshape(len(x), -1))).reshape(-1, *shape)
    else:
        rows = next(GroupShuffleSplit(1, test_size=0.1, random_state=0).split(X, groups=groups))
        images = X if X.ndim == 4 else X[:, None]
        mean = images.mean(0)
        net = fit_vae(images - mean, rows, d=d, J=J, channels=EQUAL.get(d, 14), max_epochs=epochs)
        row["n_parameters"] = sum(p.numel() for p in net.module_.decoder.parameters())
        samples = {"normal": (sample(net, n, d) + mean).reshape(-1, *shape)}

        def decode(x):
            x = x if x.ndim == 4 else x[:, None]
            return (reconstruct(net, x - mean) + mean).reshape(-1, *shape)

    row["fit_s"] = time.process_time() - start
    measured(row, lambda *parts: [decode(x) for x in parts], samples, X, X_test)
    if path is not None:
        grid(path, [X_test, decode(X_test[:N_SHOWN]), samples["normal"]])
    return row


def table(found):
    """Markdown."""
    lines = [
        "| data | codes | decoder | weights | PSNR train | test | SSIM train | test | "
        "Fréchet, normal | norm | mixture | precision | recall | CPU s |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]

    def cell(row, key, form):
        return format(row[key], form) if key in row else ""

    for key, rows in found.items():
        data, d = key.split()
        for name, row in rows.items():
            reports = [row.get(f"samples_{kind}") for kind in ("normal", "norm", "mixture")]
            if name == "floor":
                reports[0] = row["samples_real"]
            best = min((r for r in reports if r), key=lambda r: r["frechet"], default=None)
            quality = [f"{best['precision']:.2f}", f"{best['recall']:.2f}"] if best else ["", ""]
            cells = [
                data, d, name, cell(row, "n_parameters", "d"),
                *(cell(row, f"psnr_{part}", ".2f") for part in ("train", "test")),
                *(cell(row, f"ssim_{part}", ".3f") for part in ("train", "test")),
                *(f"{r['frechet']:.2f}" if r else "" for r in reports),
                *quality, cell(row, "fit_s", ".0f"),
            ]  # fmt: skip
            lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "Precision and recall are of the sampler with the smallest distance.", ""]
    lines += ["| mean distance to the nearest training image | mid-point of codes | average of "]
    lines[-1] += "pixels | a reconstruction |"
    lines += ["|---|---|---|---|"]
    for key, rows in found.items():
        for name, row in rows.items():
            if "interpolation" in row:
                values = [
                    row["interpolation"][k] for k in ("middle", "average", "a reconstruction")
                ]
                lines.append(f"| {key} {name} | " + " | ".join(f"{v:.2f}" for v in values) + " |")
    return "\n".join(lines)


def main():
    """Run what is asked for and is not done yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "data", nargs="*", default=["faces"], help=f"any of {list(DATA)}, ablations"
    )
    parser.add_argument("--components", type=int, nargs="+", help="lengths of the codes")
    parser.add_argument("--rows", nargs="+", help=f"any of {ROWS}, or ablations by name")
    parser.add_argument("--epochs", type=int, help="largest number of epochs")
    parser.add_argument("--samples", type=int, help="training images, at most")
    parser.add_argument("--cache", help="folder for the coefficients; a temporary one by default")
    parser.add_argument("--figures", type=Path, default=RESULTS / "case")
    parser.add_argument("--again", action="store_true", help="run what is done as well")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # so that CPU seconds compare
    found = earlier("case_faces")
    with TemporaryDirectory() as folder:
        memory = Memory(arguments.cache or folder, verbose=0)
        for data in arguments.data:
            ablation = data == "ablations"
            load, sizes, epochs, special = DATA["faces" if ablation else data]
            X, groups, X_test = load()
            n = arguments.samples or (8000 if ablation else len(X))
            if n < len(X):
                part = np.random.default_rng(0).permutation(len(X))[:n]
                X, groups = X[part], groups[part]
            for d in arguments.components or ([64] if ablation else sizes):
                rows = found.setdefault(f"{data} {d}", {})
                for name in arguments.rows or (ABLATIONS if ablation else ROWS):
                    if name in rows and not arguments.again:
                        continue
                    settings = arguments.epochs or epochs
                    path = None if ablation else arguments.figures / f"{data}_{d}_{name}.png"
                    parameters = ABLATIONS.get(name) if ablation else DECODERS.get(name)
                    if parameters is None:
                        J = special.get("J", SHARED["J"])
                        rows[name] = run_other(name, X, groups, X_test, d, J, settings, path)
                    else:
                        parameters = {**DECODERS["dictionary"], **parameters, **special}
                        case = (X, groups, X_test, d, parameters, settings, memory, path)
                        rows[name] = run_case(*case)
                    rows[name]["n_train"] = len(X)
                    print(data, d, name, rows[name], flush=True)
                    save("case_faces", found, table(found))


if __name__ == "__main__":
    main()
