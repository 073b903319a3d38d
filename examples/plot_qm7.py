r"""
Atomisation energies of molecules
=================================

The energy that it takes to tear a molecule into its atoms follows from where the nuclei are: from
Schrödinger's equation, in minutes or hours, or from a regression on molecules whose energy is
known, in milliseconds. The regression needs features that do not change when the molecule is moved
or turned or its atoms are renumbered. This example compares three kinds by a five-fold
cross-validation on 750 molecules of QM7.
"""

# %%
# The molecules
# -------------
# :func:`~skwave.datasets.load_qm7_sample` holds molecules of up to seven atoms of carbon, nitrogen,
# oxygen and sulphur, with hydrogen. The energies are in kcal/mol. A chemist calls 1 kcal/mol
# accurate.

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.metrics import PredictionErrorDisplay, mean_absolute_error, root_mean_squared_error
from sklearn.metrics.pairwise import euclidean_distances, manhattan_distances
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skwave import SolidHarmonicScattering
from skwave.datasets import load_qm7_sample

qm7 = load_qm7_sample()
X, y = qm7.data, qm7.target
cv = PredefinedSplit(qm7.fold)
print(X)
print(f"energies from {y.min():.0f} to {y.max():.0f} kcal/mol, deviation {y.std():.0f}")

# %%
# The Coulomb matrix
# ------------------
# The usual baseline is the matrix of the repulsions of the nuclei,
#
# .. math:: M_{kl} = \frac{Z_k Z_l}{|r_k - r_l|}, \qquad M_{kk} = \tfrac12 Z_k^{2.4},
#
# with lengths in Bohr and the atoms sorted by the norm of their row. Sorting makes it independent
# of the numbers of the atoms, at a price: where two norms cross, entries jump. A Laplacian kernel
# does best on it.


def coulomb_matrix(molecule, size):
    """Upper triangle of the sorted matrix, padded to a number of atoms."""
    Z, R = molecule.numbers, molecule.positions / 0.529177
    M = np.outer(Z, Z) / (np.linalg.norm(R[:, None] - R, axis=-1) + np.eye(len(Z)))
    np.fill_diagonal(M, 0.5 * Z**2.4)
    order = np.argsort(-np.linalg.norm(M, axis=1))
    padded = np.zeros((size, size))
    padded[: len(Z), : len(Z)] = M[np.ix_(order, order)]
    return padded[np.triu_indices(size)]


predictions, seconds = {}, {}
start = time.perf_counter()
M = np.stack([coulomb_matrix(molecule, X.n_atoms.max()) for molecule in X])
gamma = 1 / (30 * np.median(manhattan_distances(M)))
model = KernelRidge(kernel="laplacian", gamma=gamma, alpha=1e-6)
predictions["Coulomb matrix, kernel ridge"] = cross_val_predict(model, M, y, cv=cv)
seconds["Coulomb matrix, kernel ridge"] = time.perf_counter() - start

# %%
# Integrals of wavelet moduli, and a linear model
# -----------------------------------------------
# ``pooling="integral"`` gives integrals of :math:`U[j,\ell]\rho^q` over space for three densities.
# The setting here is quick rather than good: one wavelet per path, an accuracy of 1 % and single
# precision. ``max_order=2`` takes longer and errs less.

start = time.perf_counter()
integrals = SolidHarmonicScattering(
    J=2, L=2, sigma=0.3, pooling="integral", max_order=1, accuracy=1e-2, dtype="float32"
)
S = integrals.fit_transform(X)
model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-6, 0, 7)))
predictions["Integrals, ridge"] = cross_val_predict(model, S.astype(np.float64), y, cv=cv)
seconds["Integrals, ridge"] = time.perf_counter() - start
print("integrals:", S.shape)

# %%
# Local invariants, and a Gaussian kernel
# ---------------------------------------
# ``pooling="elements"`` samples wavelet fields of each element at the nuclei and sums their
# products over the atoms of each element. There is no grid, so a molecule takes about a
# millisecond.
#
# Most of an energy is a sum over atoms. A linear model on the numbers of atoms takes this part,
# the kernel learns what is left. The kernel is wide, 30 times the median distance between
# molecules, and the regulariser small: such a kernel is nearly a polynomial of low degree. The
# features are neither standardised nor whitened: their natural size tells which of them matter.

start = time.perf_counter()
local = SolidHarmonicScattering(L=4, pooling="elements")
S = local.fit_transform(X)
is_count = np.char.startswith(local.get_feature_names_out().astype(str), "n_")
counts, S = S[:, is_count], S[:, ~is_count]
print("local invariants:", S.shape)


def fit_predict(train, test, width=30, alpha=1e-9):
    """Composition by least squares, the rest by a Gaussian kernel."""
    composition = LinearRegression().fit(counts[train], y[train])
    mean = S[train].mean(0)
    A, B = S[train] - mean, S[test] - mean
    gamma = 0.5 / (width * np.median(euclidean_distances(A))) ** 2
    kernel = KernelRidge(kernel="rbf", gamma=gamma, alpha=alpha)
    kernel.fit(A, y[train] - composition.predict(counts[train]))
    return composition.predict(counts[test]) + kernel.predict(B)


predictions["Local invariants, kernel ridge"] = np.empty_like(y)
for train, test in cv.split():
    predictions["Local invariants, kernel ridge"][test] = fit_predict(train, test)
seconds["Local invariants, kernel ridge"] = time.perf_counter() - start

# %%
# Comparison
# ----------
# Mean absolute and root mean square errors over the five folds, and the seconds for everything.

print(f"{'':32}{'MAE':>8}{'RMSE':>8}{'s':>8}")
print(f"{'kcal/mol':>48}")
for name, predicted in predictions.items():
    mae, rmse = mean_absolute_error(y, predicted), root_mean_squared_error(y, predicted)
    print(f"{name:32}{mae:8.2f}{rmse:8.2f}{seconds[name]:8.1f}")

fig, axes = plt.subplots(1, 3, figsize=(11, 4), layout="constrained", sharey=True)
for ax, (name, predicted) in zip(axes, predictions.items(), strict=True):
    PredictionErrorDisplay.from_predictions(
        y, predicted, kind="residual_vs_predicted", subsample=None, ax=ax, scatter_kwargs={"s": 8}
    )
    features, regressor = name.split(", ")
    mae = mean_absolute_error(y, predicted)
    ax.set_title(f"{features}\n{regressor}, MAE {mae:.1f} kcal/mol", fontsize=10)
    ax.set(xlabel="predicted energy (kcal/mol)", ylabel="true less predicted (kcal/mol)")
    ax.locator_params(axis="x", nbins=5)
    ax.label_outer()

# %%
# The models saw 600 molecules each. How the errors fall with their number is the subject of
# :doc:`another example </auto_examples/plot_learning_curve_molecules>`; what the features mean, of
# the :doc:`user guide </user_guide/molecules>`.

plt.show()
