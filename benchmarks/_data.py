"""Real data for the benchmarks, from the directory that SKWAVE_DATA names."""

import io
import os
from itertools import pairwise
from pathlib import Path

import numpy as np


def load(name):
    """Arrays of ``images/<name>.npz``."""
    if "SKWAVE_DATA" not in os.environ:
        raise SystemExit("set SKWAVE_DATA to the directory of the data: see CONTRIBUTING.md")
    path = Path(os.environ["SKWAVE_DATA"]) / "images" / f"{name}.npz"
    if not path.exists():
        raise SystemExit(f"{path} is missing")
    return np.load(path, allow_pickle=False)


def mnist():
    """Images in [0, 1] and labels: the official 60 000 and 10 000."""
    d = load("mnist")
    X = [d[f"X_{part}"].astype(np.float32) / 255 for part in ("train", "test")]
    return X[0], d["y_train"], X[1], d["y_test"]


def cifar10(n_train):
    """Images (n, 3, 32, 32) in [0, 1], labels: the first ``n_train`` or all, and the test set."""
    from PIL import Image

    d, parts = load("cifar10_jpeg"), []
    for part, n in (("train", n_train), ("test", None)):
        jpeg, offset = d[f"jpeg_{part}"].tobytes(), d[f"off_{part}"]
        n = len(offset) - 1 if n is None else n
        images = [Image.open(io.BytesIO(jpeg[offset[i] : offset[i + 1]])) for i in range(n)]
        X = np.stack([np.asarray(image) for image in images]).transpose(0, 3, 1, 2)
        parts += [X.astype(np.float32) / 255, d[f"y_{part}"][:n]]
    return parts


def faces(side=32):
    """Grey faces (n, side, side) in [0, 1], their people, and the mask of the test people."""
    from PIL import Image

    d = load("faces_lfw64_jpeg")
    jpeg, offset = d["jpeg"].tobytes(), d["off"]
    X = np.empty((len(offset) - 1, side, side), np.float32)
    for i, (begin, end) in enumerate(pairwise(offset)):
        image = Image.open(io.BytesIO(jpeg[begin:end])).convert("L")
        block = image.width // side
        pixels = np.asarray(image, np.float32).reshape(side, block, side, block)
        X[i] = pixels.mean((1, 3)) / 255
    return X, d["person"], d["is_test"]


def spoken_digits(n_samples=2**13):
    """Recordings, centred, cropped or padded with zeros, their labels, and the test mask."""
    d = load("spoken_digits")
    audio, offset = d["audio"], d["off"]
    X = np.zeros((len(offset) - 1, n_samples), np.float32)
    for row, begin, end in zip(X, offset[:-1], offset[1:], strict=True):
        x = audio[begin:end].astype(np.float32)
        x = (x / np.abs(x).max())[:n_samples]
        start = (n_samples - len(x)) // 2
        row[start : start + len(x)] = x
    return X, d["y"], d["index"] < 5
