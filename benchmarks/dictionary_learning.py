"""Dictionary learning against scikit-learn and SPAMS: held-out objective against CPU time.

``make bench NAME=dictionary_learning``, with SKWAVE_DATA set. The same first atoms, number of
atoms, batches, epochs and alpha; one thread, process CPU time. The held-out objective is that of
exact codes in float64, whoever learnt the atoms, which are brought to norm 1 before.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
import warnings

import numpy as np
import torch
from _bench import save
from _patches import patches
from sklearn.decomposition import MiniBatchDictionaryLearning

from skwave import SparseCoder
from skwave.sparse._compiled import lasso_gram

warnings.simplefilter("ignore")

N_TRAIN, N_TEST, N_ATOMS, ALPHA, BATCH = 20_000, 5000, 256, 0.1, 256
EPOCHS = (1, 2, 3)


def skwave(X, D, epochs, dtype):
    """Ours."""
    coder = SparseCoder(alpha=ALPHA, dict_init=D, max_iter=epochs, batch_size=BATCH, random_state=0)
    return coder.fit(X.astype(dtype)).components_


def sklearn(X, D, epochs):
    """scikit-learn by coordinate descent in float64, without early stopping."""
    model = MiniBatchDictionaryLearning(
        len(D),
        alpha=ALPHA,
        dict_init=D,
        max_iter=epochs,
        batch_size=BATCH,
        fit_algorithm="cd",
        tol=0,
        max_no_improvement=None,
        random_state=0,
    )
    return model.fit(X).components_


def spams(X, D, epochs):
    """SPAMS, whose steps are counted in batches."""
    import spams

    steps = epochs * -(-len(X) // BATCH)
    atoms = spams.trainDL(
        np.asfortranarray(X.T),
        D=np.asfortranarray(D.T),
        lambda1=ALPHA,
        batchsize=BATCH,
        iter=steps,
        mode=2,
        numThreads=1,
        verbose=False,
    )
    return np.ascontiguousarray(atoms.T)


def held_out(D, X):
    """Mean objective of exact codes."""
    D = D.astype(float)
    D = D / np.maximum(np.linalg.norm(D, axis=1, keepdims=True), 1e-12)
    Z = lasso_gram(X, D, ALPHA, tol=1e-9)[0]
    return float((np.square(X - Z @ D).sum(1) / 2 + ALPHA * np.abs(Z).sum(1)).mean())


def main():
    """Learn with each, for one to three epochs."""
    torch.set_num_threads(1)
    X = patches(N_TRAIN + N_TEST)
    X, X_test = X[:N_TRAIN], X[N_TRAIN:]
    D = X[np.random.default_rng(0).permutation(len(X))[:N_ATOMS]]
    learners = {
        "skwave float32": lambda epochs: skwave(X, D, epochs, np.float32),
        "skwave float64": lambda epochs: skwave(X, D, epochs, np.float64),
        "SPAMS trainDL float64": lambda epochs: spams(X, D, epochs),
        "sklearn MiniBatchDictionaryLearning float64": lambda epochs: sklearn(X, D, epochs),
    }
    skwave(X[:300], D, 1, np.float32), skwave(X[:300], D, 1, np.float64)
    rows = []
    for epochs in EPOCHS:
        for name, learn in learners.items():
            start = time.process_time()
            atoms = learn(epochs)
            seconds = time.process_time() - start
            rows.append(
                {"epochs": epochs, "learner": name, "cpu_s": seconds, "F": held_out(atoms, X_test)}
            )
            print(rows[-1], flush=True)
    lines = [
        f"{N_TRAIN} patches of 8 × 8, {N_ATOMS} atoms, batches of {BATCH}, α = {ALPHA}; load "
        f"average {os.getloadavg()[0]:.1f}; the first atoms have the held-out objective "
        f"{held_out(D, X_test):.5f}",
        "",
        "| epochs | learner | CPU s | over skwave float32 | held-out objective |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        (ours,) = (
            r["cpu_s"]
            for r in rows
            if (r["epochs"], r["learner"]) == (row["epochs"], "skwave float32")
        )
        lines.append(
            f"| {row['epochs']} | {row['learner']} | {row['cpu_s']:.1f} "
            f"| {row['cpu_s'] / ours:.1f} | {row['F']:.5f} |"
        )
    save("dictionary_learning", rows, "\n".join(lines))


if __name__ == "__main__":
    main()
