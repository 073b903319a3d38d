"""Samples for the benchmarks of sparse codes: patches of natural images, scattering features."""

import numpy as np
from _data import cifar10

from skwave import ScatteringTransformer


def patches(n_samples, seed=0):
    """Patches of 8 x 8 pixels of CIFAR-10 in grey, without mean, of norm 1; flat ones left out."""
    rng = np.random.default_rng(seed)
    images = cifar10(3000)[0].mean(1)
    rows, windows = rng.integers(len(images), size=2 * n_samples), []
    for i, (y, x) in zip(rows, rng.integers(25, size=(2 * n_samples, 2)), strict=True):
        windows.append(images[i, y : y + 8, x : x + 8].ravel())
    X = np.array(windows, float)
    X -= X.mean(1, keepdims=True)
    norm = np.linalg.norm(X, axis=1, keepdims=True)
    chosen = norm[:, 0] > 0.3
    return (X[chosen] / norm[chosen])[:n_samples]


def scattering_features(n_samples, seed=0):
    """Coefficients (243) at single positions of CIFAR-10 images, standardised, of norm 1."""
    rng = np.random.default_rng(seed)
    images = cifar10(n_samples // 8)[0]
    S = ScatteringTransformer(J=2, L=8, ndim=2).fit_transform(images)
    maps = np.asarray(S).reshape(len(images), -1, 64).transpose(0, 2, 1).reshape(-1, 243)
    X = maps[rng.permutation(len(maps))[:n_samples]].astype(float)
    X = (X - X.mean(0)) / X.std(0)
    return X / np.linalg.norm(X, axis=1, keepdims=True)
