r"""
A dictionary of scattering coefficients on CIFAR-10
===================================================

Photographs ask for more than the digits of the other example: here the learned layer is worth
several points. This script is not run with the documentation, since it downloads CIFAR-10 from
OpenML (``sklearn.datasets.fetch_openml``) and trains for about ten minutes on one core. Give a
number of labels, 15 000 say, on the command line; 50 000 are all of them.
"""

import sys

import numpy as np
from joblib import Memory
from sklearn.datasets import fetch_openml

from skwave import ScatteringDictionaryClassifier

n_labels = int(sys.argv[1]) if len(sys.argv) > 1 else 15_000

# %%
# Images
# ------
# Rows are flat, channel by channel. Colours become grey, red against green and yellow against blue,
# which are nearly uncorrelated in photographs, so that scattering each of them loses little of what
# the three say together.

X, y = fetch_openml("CIFAR_10", version=1, as_frame=False, return_X_y=True)
X = (X / 255).astype(np.float32).reshape(-1, 3, 32, 32)
OPPONENT = np.array([[1 / 3, 1 / 3, 1 / 3], [1 / 2, -1 / 2, 0], [1 / 4, 1 / 4, -1 / 2]], np.float32)
X = np.einsum("ij,njhw->nihw", OPPONENT, X)
X_train, y_train, X_test, y_test = X[:n_labels], y[:n_labels], X[50_000:], y[50_000:]

# %%
# One layer
# ---------
# The same scattering coefficients, on a grid of :math:`8 \times 8` positions, and mirrored ones,
# are classified linearly, with an ordinary layer of rectifiers before, and with sparse codes in a
# learned dictionary. They are computed once and read from the disk, 62 kB an image.

SHARED = {
    "J": 2, "mirror": True, "max_iter": 8, "early_stopping": False, "random_state": 0,
    "memory": Memory("scattering_of_cifar10", mmap_mode="r", verbose=0),
}  # fmt: skip
LAYER = {
    "n_atoms": 256, "projection": 128, "kernel_size": 3, "weight_decay": 1e-2, "dropout": 0.2,
}  # fmt: skip
ROWS = {
    "linear": {"block": None, "weight_decay": 0.1, "dropout": 0.3},
    "rectifiers": {**LAYER, "block": "relu"},
    "sparse codes": {**LAYER, "n_iter": 6, "alpha": 0.1},
}
for name, parameters in ROWS.items():
    model = ScatteringDictionaryClassifier(**SHARED, **parameters, verbose=1)
    model.fit(X_train, y_train)
    print(f"{name:14s} {100 * model.score(X_test, y_test):.2f} %")
print(f"{model.sparsity_:.0%} of the codes are not zero, coherence {model.coherence_:.2f}")
