"""Updates of dictionaries, compiled by numba."""

import numpy as np

from skwave._numba import jit


@jit
def _update(D, A, B):
    K, p = D.shape
    u = np.empty_like(D[0])
    limit = 0.0
    for k in range(K):
        limit = max(limit, 1e-7 * A[k, k])
    for k in range(K):
        if A[k, k] <= limit:
            continue
        u[:] = B[k]
        for j in range(K):
            a = A[k, j]
            if a != 0 and j != k:
                for i in range(p):
                    u[i] -= a * D[j, i]
        norm = np.sqrt(np.dot(u, u))
        if norm > 0:
            for j in range(p):
                D[k, j] = u[j] / norm


def update_atoms(D, A, B):
    """`skwave.functional.update_dictionary`, compiled.

    Parameters
    ----------
    D : ndarray, shape (K, p)
        Rows are atoms, of norm 1.
    A : ndarray, shape (K, K)
        Mean of products of codes.
    B : ndarray, shape (K, p)
        Mean of products of codes and samples.

    Returns
    -------
    D : ndarray, shape (K, p)
        Atoms.

    Examples
    --------
    >>> z, x = np.array([[2.0], [1.0]]), np.array([[4.0, 0.0], [2.0, 0.0]])
    >>> update_atoms(np.array([[0.6, 0.8]]), z.T @ z, z.T @ x)
    array([[1., 0.]])
    """
    D = D.copy()
    _update(D, A, B)
    return D
