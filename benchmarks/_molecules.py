"""What the benchmarks of molecular energies share: peers' features, and the regressors."""

import math
import time

import numpy as np
import torch
from joblib import parallel_config
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, Ridge, RidgeCV
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skwave import MultilinearRegressor, SolidHarmonicScattering
from skwave.parallel._transform import transform_blocks

POWERS = (0.0, 0.25, 0.5)
WIDTHS = (3, 8, 20, 60)
ALPHAS = tuple(10.0**k for k in range(-12, 0))
N_COMPONENTS = 400
N_CHOICE, N_EXACT = 5000, 25_000
N_QM9 = 130_831


def local_scattering():
    """Our local invariants, in single precision."""
    return SolidHarmonicScattering(dtype="float32")


def ours(est, X):
    """Features of one of our estimators, and CPU seconds a molecule."""
    est.fit(X)
    start = time.process_time()
    with parallel_config("threading", n_jobs=2):
        F = transform_blocks(est, X)
    return F, (time.process_time() - start) / len(X)


def soap(X):
    """dscribe's SOAP summed over the atoms, and CPU seconds a molecule."""
    from dscribe.descriptors import SOAP

    elements = np.unique(X.numbers).tolist()
    descriptor = SOAP(
        species=elements, r_cut=5.0, n_max=8, l_max=6, sigma=0.3, average="outer", dtype="float32"
    )
    atoms = X.to_ase()
    start = time.process_time()
    F = descriptor.create(atoms) * X.n_atoms[:, None]
    return F, (time.process_time() - start) / len(X)


def coulomb_matrix(X):
    """Coulomb matrices sorted by the norm of rows, lower triangles; CPU seconds a molecule."""
    largest = int(X.n_atoms.max())
    rows, columns = np.tril_indices(largest)
    F = np.zeros((len(X), len(rows)), dtype=np.float32)
    start = time.process_time()
    for i, (z, r) in enumerate(X):
        distance = np.linalg.norm(r[:, None] - r, axis=2)
        np.fill_diagonal(distance, 1)
        C = np.outer(z, z) / distance
        np.fill_diagonal(C, 0.5 * z.astype(float) ** 2.4)
        order = np.argsort(-np.linalg.norm(C, axis=1), kind="stable")
        padded = np.zeros((largest, largest))
        padded[: len(z), : len(z)] = C[order][:, order]
        F[i] = padded[rows, columns]
    return F, (time.process_time() - start) / len(X)


def composition(X):
    """Numbers of atoms of each element."""
    elements = np.unique(X.numbers)
    counts = (X.numbers[:, None] == elements).astype(float)
    return np.add.reduceat(counts, X.offsets[:-1], axis=0)


def errors(prediction, y):
    """Mean absolute and root mean square errors."""
    e = prediction - y
    return {"mae": float(np.abs(e).mean()), "rmse": float(np.sqrt((e**2).mean()))}


def ridge(F, counts, y, train, test, choice=None):
    """Ridge on standardised features; the regulariser by leave-one-out on a part."""
    A, B = (F[rows].astype(np.float64) for rows in (train, test))
    scaler = StandardScaler(copy=False)
    A, B = scaler.fit_transform(A), scaler.transform(B)
    if choice is None:
        part = np.random.default_rng(0).permutation(len(train))[:N_CHOICE]
        choice = RidgeCV(np.logspace(-6, 2, 17)).fit(A[part], y[train][part]).alpha_
    return Ridge(choice, solver="cholesky", copy_X=False).fit(A, y[train]).predict(B), choice


def kernel_ridge(F, counts, y, train, test, choice=None):
    """Gaussian kernel ridge: the composition removed by least squares, then the kernel.

    The power of the scaling, the width (in median distances) and the regulariser are chosen on
    a part of the training samples, of which a fifth validates; the regulariser again on a larger
    part, up to 20 000 and 2500. Of more than ``N_EXACT`` samples equal parts have a model each,
    and the predictions are averaged.
    """
    linear = LinearRegression().fit(counts[train], y[train])
    residual = y - linear.predict(counts)
    if choice is None:
        part = np.random.default_rng(0).permutation(train)[:N_CHOICE]
        choice = choose(F, residual, *train_test_split(part, test_size=0.2, random_state=0))
        choice = (*choice, len(train) > N_CHOICE)
    if choice[3]:
        n = min(4 * len(train) // 5, 20_000)
        choice = regulariser(F, residual, train[:n], train[n:][:2500], *choice[:3])
    parts = np.array_split(train, math.ceil(len(train) / N_EXACT))
    found = [kernel_predictions(F, residual, part, test, choice) for part in parts]
    return np.mean(found, 0) + linear.predict(counts[test]), choice


def kernels(F, train, test, power, width):
    """Kernels of the training samples, lower blocks alone, and of the others with them."""
    A, B = (torch.from_numpy(a) for a in scaled(F, train, test, power))
    gamma = gamma_of(width, A.numpy())
    K = A.new_zeros(len(A), len(A))
    for i, stop in blocks(len(A)):
        K[i:stop, :stop] = gaussian_kernel(A[i:stop], A[:stop], gamma)
    return K, gaussian_kernel(B, A, gamma)


def blocks(n, size=2048):
    """Bounds of blocks of rows."""
    return [(i, min(i + size, n)) for i in range(0, n, size)]


def weights_of(K, alpha, y):
    """Weights of kernel ridge by Cholesky's factor, in place of the lower blocks of ``K``.

    torch's needs twice the memory, and LAPACK's integers overflow from 23 171 rows on.
    """
    K.diagonal().fill_(1 + alpha)
    parts, x = blocks(len(K)), torch.from_numpy(y).clone()[:, None]
    for i, j in parts:
        corner = K[i:j, i:j] = torch.linalg.cholesky(K[i:j, i:j])
        K[j:, i:j] = torch.linalg.solve_triangular(corner.mT, K[j:, i:j], upper=True, left=False)
        for k, m in parts[parts.index((i, j)) + 1 :]:
            K[k:, k:m].addmm_(K[k:, i:j], K[k:m, i:j].mT, alpha=-1)
        x[i:j] = torch.linalg.solve_triangular(corner, x[i:j] - K[i:j, :i] @ x[:i], upper=False)
    for i, j in reversed(parts):
        right = x[i:j] - K[j:, i:j].mT @ x[j:]
        x[i:j] = torch.linalg.solve_triangular(K[i:j, i:j].mT, right, upper=True)
    return x


def kernel_predictions(F, residual, train, test, choice):
    """Predictions of one Gaussian kernel."""
    power, width, alpha, _ = choice
    K, P = kernels(F, train, test, power, width)
    return (P @ weights_of(K, alpha, residual[train]))[:, 0].numpy()


def validated(F, residual, train, valid, power, width, alphas):
    """Mean absolute errors of the other samples by regulariser."""
    K, P = kernels(F, train, valid, power, width)
    found = {}
    for alpha in alphas:
        try:
            weights = weights_of(K.clone(), alpha, residual[train])
        except torch.linalg.LinAlgError:  # not positive by rounding
            continue
        found[alpha] = np.abs((P @ weights)[:, 0].numpy() - residual[valid]).mean()
    return found


def choose(F, residual, train, valid):
    """The best of all powers, widths and regularisers."""
    found = {
        (power, width, alpha): error
        for power in POWERS
        for width in WIDTHS
        for alpha, error in validated(F, residual, train, valid, power, width, ALPHAS).items()
    }
    return min(found, key=found.get)


def regulariser(F, residual, train, valid, power, width, alpha):
    """The choice with the regulariser that is best on a large part, from one on a small part."""
    alphas = [a for a in ALPHAS if a < 20 * alpha]
    found = validated(F, residual, train, valid, power, width, alphas)
    return power, width, min(found, key=found.get), False


def gaussian_kernel(A, B, gamma):
    """Gaussian kernel in little memory, where scikit-learn's needs three times the result."""
    K = A @ B.T
    K *= 2 * gamma
    K -= gamma * A.square().sum(1)[:, None]
    K -= gamma * B.square().sum(1)
    return K.exp_()


def scaled(F, train, test, power):
    """Features centred and divided by a power of their standard deviation, both parts."""
    mean = F[train].mean(0, dtype=np.float64)
    std = F[train].std(0, dtype=np.float64)
    used = std > 1e-7 * std.max()
    weight = np.where(used, np.where(used, std, 1) ** -power, 0)
    parts = F[train].astype(np.float64), F[test].astype(np.float64)
    for part in parts:
        part -= mean
        part *= weight
    return parts


def gamma_of(width, A):
    """Exponent of the kernel of a width in median distances of at most 2000 samples."""
    return 1 / (2 * width**2 * np.median(euclidean_distances(A[:2000], squared=True)))


def multilinear(F, counts, y, train, test, choice=None):
    """Multilinear regression of degree 2 on principal components, as large as they are."""
    linear = LinearRegression().fit(counts[train], y[train])
    pca = make_pipeline(
        StandardScaler(),
        PCA(min(N_COMPONENTS, F.shape[1]), svd_solver="randomized", random_state=0),
    )
    Z = pca.fit_transform(F[train])
    scale = Z[:, 0].std()
    model = MultilinearRegressor(
        2, 32, standardize=False, learning_rate_init=2e-3, n_iter_no_change=50, random_state=0
    )
    model.fit(np.float32(Z / scale), y[train] - linear.predict(counts[train]))
    residual = model.predict(np.float32(pca.transform(F[test]) / scale))
    return linear.predict(counts[test]) + residual, None


HEADS = {"ridge": ridge, "kernel ridge": kernel_ridge, "multilinear": multilinear}
