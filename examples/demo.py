"""
The main job in one script: few-label classification of real images
====================================================================

Grid-search the wavelet parameters of a pipeline on scikit-learn's handwritten digits, beside
the same classifier on raw pixels, for few and for all labels. Prints a table and writes
``demo.png``. ``make demo`` runs it.
"""

import time
from tempfile import TemporaryDirectory

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skwave import ScatteringTransformer

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=597, stratify=y, random_state=0)


def search(steps, grid, X, y, memory):
    """Grid search of a pipeline; the transformed training folds are cached in ``memory``."""
    pipeline = Pipeline(
        [*steps, ("scale", StandardScaler()), ("classify", LogisticRegression(max_iter=2000))],
        memory=memory,
    )
    grid = {**grid, "classify__C": [0.001, 0.01, 0.1, 1]}
    return GridSearchCV(pipeline, grid, cv=5, n_jobs=2, verbose=1).fit(X, y)


scattering = [("scattering", ScatteringTransformer(J=1, ndim=2, shape=(8, 8)))]
wavelets = {
    "scattering__J": [1, 2],
    "scattering__L": [4, 8],
    "scattering__max_order": [1, 2],
}

rows = []
for n_labels in (50, 100, 300, len(y_train)):
    print(f"--- {n_labels} labels: raw pixels, then scattering")
    X_few, y_few = X_train, y_train
    if n_labels < len(y_train):
        X_few, _, y_few, _ = train_test_split(
            X_train, y_train, train_size=n_labels, stratify=y_train, random_state=0
        )
    start = time.perf_counter()
    with TemporaryDirectory() as memory:
        pixels = search([], {}, X_few, y_few, memory)
        waves = search(scattering, wavelets, X_few, y_few, memory)
        scores = pixels.score(X_test, y_test), waves.score(X_test, y_test)
    best = {name.rpartition("_")[2]: value for name, value in waves.best_params_.items()}
    best["max_order"] = best.pop("order")
    rows.append((n_labels, *scores, time.perf_counter() - start, best))

print(f"\nTest accuracy on {len(y_test)} images")
print(f"{'labels':>7} {'raw pixels':>11} {'scattering':>11} {'seconds':>8}  best parameters")
for n_labels, pixels, waves, seconds, best in rows:
    print(f"{n_labels:7d} {pixels:11.4f} {waves:11.4f} {seconds:8.1f}  {best}")

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), width_ratios=(2, 3))
tiles = np.pad(X_test[:20].reshape(4, 5, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))
left.imshow(tiles.transpose(0, 2, 1, 3).reshape(40, 50), cmap="gray_r")
left.set(title="scikit-learn's digits, 8×8 pixels", xticks=[], yticks=[])
labels = [str(row[0]) for row in rows]
right.plot(labels, [100 * (1 - row[1]) for row in rows], "o--", label="raw pixels")
right.plot(labels, [100 * (1 - row[2]) for row in rows], "o-", label="scattering, searched")
right.set(xlabel="training labels", ylabel="test error (%)", ylim=(0, None))
right.set_title("Logistic regression on 597 test images")
right.grid(alpha=0.3)
right.legend()
figure.tight_layout()
figure.savefig("demo.png", dpi=120)
print("\nwrote demo.png")
