"""Textures that are turned in the test: means over rotations against plain scattering and LBP.

``make bench NAME=rotated_textures``. From the left half of each of the 14 VisTex textures of
128×128 pixels (grey, standardised) 20 upright patches of 40×40 are for training; from the right
half 20 upright ones and 20 at random angles are the test. The classifier is a logistic regression.
LBP are histograms of scikit-image's uniform local binary patterns at the radii 1, 2 and 3.
"""

import os
from pathlib import Path

import numpy as np
from _bench import save
from PIL import Image
from scipy.ndimage import map_coordinates
from skimage.feature import local_binary_pattern
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skwave import ScatteringTransformer

SIDE, N_PATCHES = 40, 20
RADII = ((8, 1), (16, 2), (24, 3))


def textures():
    """Grey textures of mean 0 and variance 1."""
    folder = Path(os.environ["SKWAVE_DATA"]) / "textures" / "vistex"
    images = [np.asarray(Image.open(path).convert("L"), float) for path in sorted(folder.glob("*"))]
    return [(image - image.mean()) / image.std() for image in images]


def patches(images, left, turned, rng):
    """Patches of one half of each texture, and the number of the texture."""
    v, u = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    margin = SIDE / np.sqrt(2) if turned else SIDE / 2
    X, y = [], []
    for label, image in enumerate(images):
        height, half = image.shape[0] - 1, image.shape[1] // 2
        for _ in range(N_PATCHES):
            angle = rng.uniform(0, 2 * np.pi) if turned else 0.0
            row = rng.uniform(margin, height - margin)
            column = rng.uniform(margin, half - 1 - margin) + (0 if left else half)
            c, s = np.cos(angle), np.sin(angle)
            X.append(map_coordinates(image, [row + c * v - s * u, column + s * v + c * u], order=1))
            y.append(label)
    return np.array(X, np.float32), np.array(y)


def binary_patterns(X):
    """Histograms of local binary patterns."""
    X = np.clip(32 * X + 128, 0, 255).astype(np.uint8)
    rows = []
    for x in X:
        maps = [(local_binary_pattern(x, p, r, "uniform"), p + 2) for p, r in RADII]
        rows.append(np.concatenate([np.histogram(m, bins=range(n + 1))[0] for m, n in maps]))
    return np.array(rows) / X[0].size


def main():
    """Accuracies of all features."""
    images, rng = textures(), np.random.default_rng(0)
    X, y = patches(images, True, False, rng)
    upright, turned = (patches(images, False, turn, rng) for turn in (False, True))
    plain = ScatteringTransformer(J=3, ndim=2, averaging="global", log=1e-3)
    isotropic = ScatteringTransformer(J=3, ndim=2, averaging="global", log=1e-3, reduce="isotropic")
    features = {
        "scattering": plain,
        'scattering, `reduce="isotropic"`': isotropic,
        "local binary patterns": FunctionTransformer(binary_patterns),
    }
    rows, lines = [], ["| features | upright | turned |", "|---|---|---|"]
    for name, transformer in features.items():
        model = make_pipeline(transformer, StandardScaler(), LogisticRegression(max_iter=1000))
        model.set_params(logisticregression__C=0.1).fit(X, y)
        scores = [model.score(*test) for test in (upright, turned)]
        rows.append({"features": name, "upright": scores[0], "turned": scores[1]})
        lines.append(f"| {name} | {100 * scores[0]:.1f} % | {100 * scores[1]:.1f} % |")
    save("rotated_textures", rows, "\n".join(lines))


if __name__ == "__main__":
    main()
