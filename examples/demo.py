"""
The two main jobs in one script: images and molecules
=====================================================

Grid-search the wavelet parameters of a pipeline on scikit-learn's handwritten digits, beside
the same classifier on raw pixels, for few and for all labels; then fit the
atomisation energies of molecules of QM7, beside a kernel on Coulomb matrices. Prints two tables
and writes ``demo.png``. ``make demo`` runs it.
"""

import time
from tempfile import TemporaryDirectory

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import PredictionErrorDisplay
from sklearn.model_selection import GridSearchCV, KFold, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skwave import EnergyRegressor, ScatteringTransformer
from skwave.datasets import load_qm7_sample

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


def best_of(search):
    """Best parameters, by their names alone."""
    return {name.partition("__")[2] or name: v for name, v in search.best_params_.items()}


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
    rows.append((n_labels, *scores, time.perf_counter() - start, best_of(waves)))

print(f"\nTest accuracy on {len(y_test)} images")
print(f"{'labels':>7} {'raw pixels':>11} {'scattering':>11} {'seconds':>8}  best parameters")
for n_labels, pixels, waves, seconds, best in rows:
    print(f"{n_labels:7d} {pixels:11.4f} {waves:11.4f} {seconds:8.1f}  {best}")


def coulomb_matrix(molecule, size):
    """Repulsions of the nuclei, atoms sorted by the norm of their row, padded."""
    Z, R = molecule.numbers, molecule.positions / 0.529177
    M = np.outer(Z, Z) / (np.linalg.norm(R[:, None] - R, axis=-1) + np.eye(len(Z)))
    np.fill_diagonal(M, 0.5 * Z**2.4)
    order = np.argsort(-np.linalg.norm(M, axis=1))
    padded = np.zeros((size, size))
    padded[: len(Z), : len(Z)] = M[np.ix_(order, order)]
    return padded[np.triu_indices(size)]


qm7 = load_qm7_sample()
molecules, energies, held_out = qm7.data, qm7.target, qm7.fold == 0
# the molecules are sorted by size and elements: without a shuffle folds would extrapolate
cv = KFold(5, shuffle=True, random_state=0)
print("\n--- molecules: a kernel on Coulomb matrices, then EnergyRegressor()")
matrices = np.stack([coulomb_matrix(m, molecules.n_atoms.max()) for m in molecules])
results = {}
start = time.perf_counter()
coulomb = GridSearchCV(
    KernelRidge(kernel="laplacian"),
    {"gamma": [1e-5, 3e-5, 1e-4, 3e-4], "alpha": [1e-6, 1e-4, 1e-2]},
    cv=cv,
    scoring="neg_mean_absolute_error",
).fit(matrices[~held_out], energies[~held_out])
results["Coulomb matrix"] = coulomb.predict(matrices[held_out]), time.perf_counter() - start
start = time.perf_counter()
model = EnergyRegressor().fit(molecules[~held_out], energies[~held_out])
results["EnergyRegressor"] = model.predict(molecules[held_out]), time.perf_counter() - start

print(f"\nTest error on {held_out.sum()} molecules, {(~held_out).sum()} for training")
print(f"{'model':>15} {'MAE, kcal/mol':>14} {'seconds':>8}")
true = energies[held_out]
for name, (predicted, seconds) in results.items():
    print(f"{name:>15} {np.abs(predicted - true).mean():14.2f} {seconds:8.1f}")
print(f"{'left out':>15} {model.loo_error_:14.2f}")

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4), width_ratios=(2, 3, 3))
tiles = np.pad(X_test[:20].reshape(4, 5, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))
left.imshow(tiles.transpose(0, 2, 1, 3).reshape(40, 50), cmap="gray_r")
left.set(title="scikit-learn's digits, 8×8 pixels", xticks=[], yticks=[])
labels = [str(row[0]) for row in rows]
middle.plot(labels, [100 * (1 - row[1]) for row in rows], "o--", label="raw pixels")
middle.plot(labels, [100 * (1 - row[2]) for row in rows], "o-", label="scattering, searched")
middle.set(xlabel="training labels", ylabel="test error (%)", ylim=(0, None))
middle.set_title(f"Logistic regression on {len(y_test)} test images")
middle.grid(alpha=0.3)
middle.legend()
PredictionErrorDisplay.from_predictions(
    true,
    results["EnergyRegressor"][0],
    kind="actual_vs_predicted",
    ax=right,
    scatter_kwargs={"s": 12},
)
error = np.abs(results["EnergyRegressor"][0] - true).mean()
right.set_title(f"{len(true)} test molecules, MAE {error:.1f} kcal/mol")
ticks = range(-2000, -800, 400)
right.set(xticks=ticks, yticks=ticks, ylabel="true energy (kcal/mol)")
right.set_xlabel("predicted by EnergyRegressor() (kcal/mol)")
figure.tight_layout()
figure.savefig("demo.png", dpi=120)
print("\nwrote demo.png")
