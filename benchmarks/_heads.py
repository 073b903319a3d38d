"""Classifiers of the accuracy benchmark, their hyper-parameters chosen on the training labels."""

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skwave.scattering._mirror import mirror_features

FOLDS = StratifiedKFold(3, shuffle=True, random_state=0)


def standardised(S, S_test):
    """Both, as the training features would have mean 0 and deviation 1."""
    scaler = StandardScaler().fit(S)
    return scaler.transform(S), scaler.transform(S_test)


def distances(A, B):
    """Squared Euclidean distances, (len(A), len(B)), in the type of A."""
    return np.maximum((A**2).sum(1)[:, None] + (B**2).sum(1) - 2 * (A @ B.T), 0)


def svm(S, y, S_test, y_test):
    """Accuracies of a linear and of a Gaussian SVM."""
    S, S_test = standardised(S, S_test)
    D, D_test = distances(S, S), distances(S_test, S)
    median, n, n_test = np.median(D), (S**2).sum(1), (S_test**2).sum(1)
    kernels = {
        "linear": (n[:, None] + n - D, n_test[:, None] + n - D_test, n.mean() * 2),
        **{
            f"rbf {g}": (np.exp(-g * D / median), np.exp(-g * D_test / median), 1) for g in (0.3, 1)
        },
    }
    found = {}
    for name, (K, K_test, scale) in kernels.items():
        cv_score, score = search_svm(K / scale, y, K_test / scale, y_test)
        head = name.split()[0]
        if head not in found or cv_score > found[head][0]:
            found[head] = cv_score, score
    return {head: score for head, (_, score) in found.items()}


def search_svm(K, y, K_test, y_test):
    """Accuracies in cross-validation and in the test, with the best C."""
    model = GridSearchCV(SVC(kernel="precomputed"), {"C": [1, 3, 10, 30]}, cv=FOLDS).fit(K, y)
    return model.best_score_, model.score(K_test, y_test)


def symmetric_svm(scattering, S, y, S_test, y_test):
    """Accuracy of a Gaussian SVM whose kernel is the mean over the mirror images.

    Features are divided by the square root of their deviation: half-way between the logarithm
    as it is and standardised features.
    """
    mean, scale = S.mean(0), np.sqrt(S.std(0))
    M = (mirror_features(S, scattering) - mean) / scale
    S, S_test = (S - mean) / scale, (S_test - mean) / scale
    D, D_test = [(distances(A, S), distances(A, M)) for A in (S, S_test)]
    median = np.median(D[0])

    def kernel(pair, gamma):
        return sum(np.exp(-gamma * d / median) for d in pair)

    found = [search_svm(kernel(D, g), y, kernel(D_test, g), y_test) for g in (0.3, 1)]
    return max(found)[1]


def discriminant(S, y, S_test, y_test):
    """Accuracy of a shrunk linear discriminant in the span of the training features."""
    S, S_test = standardised(S, S_test)
    values, vectors = np.linalg.eigh(S @ S.T)
    keep = values > 1e-6 * values[-1]
    basis = S.T @ (vectors[:, keep] / np.sqrt(values[keep]))[:, ::-1][:, :2000]
    lda = LinearDiscriminantAnalysis(solver="lsqr")
    model = GridSearchCV(lda, {"shrinkage": [0.03, 0.1, 0.3]}, cv=FOLDS).fit(S @ basis, y)
    return model.score(S_test @ basis, y_test)
