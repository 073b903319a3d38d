r"""
Learning curves on molecules
============================

How many computed energies does a regression need? The mean absolute error on new molecules falls
about as a power of their number, so that on logarithmic axes it is a straight line. Good features
lower the line; features that lose nothing keep it falling. This example draws it for three kinds
of features, on the 750 molecules of QM7 that are in the package.
"""

# %%
# Three kinds of features
# -----------------------
# They are those of :doc:`the example before </auto_examples/plot_qm7>`: sorted Coulomb matrices,
# integrals of wavelet moduli, and local invariants. None of them learns anything from the energies,
# so they are computed once for all.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.metrics.pairwise import euclidean_distances, manhattan_distances
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skwave import SolidHarmonicScattering
from skwave.datasets import load_qm7_sample

qm7 = load_qm7_sample()
X, y = qm7.data, qm7.target


def coulomb_matrix(molecule, size):
    """Upper triangle of the sorted matrix, padded to a number of atoms."""
    Z, R = molecule.numbers, molecule.positions / 0.529177
    M = np.outer(Z, Z) / (np.linalg.norm(R[:, None] - R, axis=-1) + np.eye(len(Z)))
    np.fill_diagonal(M, 0.5 * Z**2.4)
    order = np.argsort(-np.linalg.norm(M, axis=1))
    padded = np.zeros((size, size))
    padded[: len(Z), : len(Z)] = M[np.ix_(order, order)]
    return padded[np.triu_indices(size)]


coulomb = np.stack([coulomb_matrix(molecule, X.n_atoms.max()) for molecule in X])
integrals = SolidHarmonicScattering(
    J=2, L=2, sigma=0.3, pooling="integral", max_order=1, accuracy=1e-2, dtype="float32"
).fit_transform(X)
local = SolidHarmonicScattering(L=4, pooling="elements").fit(X)
is_count = np.char.startswith(local.get_feature_names_out().astype(str), "n_")
invariants = local.transform(X)
counts, invariants = invariants[:, is_count], invariants[:, ~is_count]

# %%
# Three regressions
# -----------------
# Each takes the indices of the molecules to fit and to predict.


def predict_coulomb(train, test):
    """Laplacian kernel on Coulomb matrices."""
    gamma = 1 / (30 * np.median(manhattan_distances(coulomb[train])))
    model = KernelRidge(kernel="laplacian", gamma=gamma, alpha=1e-6)
    return model.fit(coulomb[train], y[train]).predict(coulomb[test])


def predict_integrals(train, test):
    """Linear model of standardised integrals."""
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-6, 0, 7)))
    S = integrals.astype(np.float64)
    return model.fit(S[train], y[train]).predict(S[test])


def predict_invariants(train, test, width=30, alpha=1e-9):
    """Composition by least squares, the rest by a Gaussian kernel on local invariants."""
    composition = LinearRegression().fit(counts[train], y[train])
    mean = invariants[train].mean(0)
    A, B = invariants[train] - mean, invariants[test] - mean
    gamma = 0.5 / (width * np.median(euclidean_distances(A))) ** 2
    kernel = KernelRidge(kernel="rbf", gamma=gamma, alpha=alpha)
    kernel.fit(A, y[train] - composition.predict(counts[train]))
    return composition.predict(counts[test]) + kernel.predict(B)


models = {
    "Coulomb matrix, Laplacian kernel": predict_coulomb,
    "integrals, ridge": predict_integrals,
    "local invariants, Gaussian kernel": predict_invariants,
}

# %%
# The curves
# ----------
# A fifth of the molecules is the test set, each fifth in turn. The training sets are drawn from the
# rest, each of them a part of the next larger one.

sizes, n_folds = [50, 100, 200, 400, 600], 5
errors = {name: np.empty((len(sizes), n_folds)) for name in models}
for fold in range(n_folds):
    test = np.flatnonzero(qm7.fold == fold)
    rest = np.random.default_rng(fold).permutation(np.flatnonzero(qm7.fold != fold))
    for row, size in enumerate(sizes):
        for name, predict in models.items():
            errors[name][row, fold] = np.abs(predict(rest[:size], test) - y[test]).mean()

fig, ax = plt.subplots(figsize=(6, 4.2), layout="constrained")
for (name, error), marker in zip(errors.items(), "s^o", strict=True):
    ax.errorbar(sizes, error.mean(1), error.std(1), marker=marker, capsize=3, label=name)
ax.set(xscale="log", yscale="log", xlabel="molecules of the training set")
ax.set(ylabel="mean absolute error (kcal/mol)", title="Atomisation energies, sample of QM7")
ax.set_xticks(sizes, sizes)
ax.set_yticks([3, 5, 10, 20, 50], [3, 5, 10, 20, 50])
ax.minorticks_off()
ax.grid(alpha=0.3)
ax.legend()

print(f"{'molecules':36}" + "".join(f"{size:8d}" for size in sizes))
for name, error in errors.items():
    print(f"{name:36}" + "".join(f"{e:8.1f}" for e in error.mean(1)))

# %%
# Error bars are standard deviations over the folds.
#
# The real thing
# --------------
# 750 molecules only begin the curve. :func:`~skwave.datasets.fetch_qm9` downloads more than a
# hundred thousand, which take the place of the sample:
#
# .. code-block:: python
#
#    from skwave.datasets import fetch_qm9
#    from skwave.parallel import transform_blocks
#
#    X, y = fetch_qm9(return_X_y=True)  # internal energies of atomisation, kcal/mol
#    local = SolidHarmonicScattering(L=4, pooling="elements").fit(X)
#    invariants = transform_blocks(local, X, "qm9_invariants.npy")
#    sizes = [100, 300, 1000, 3000, 10_000]
#
# ``transform_blocks`` writes to a file what does not fit into memory. The kernel regression solves
# a linear system of the size of the training set: 10 000 molecules take a minute and 2 GB.

plt.show()
