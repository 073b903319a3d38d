r"""Dictionaries: coherence, orthogonal matching pursuit, and the update of learned atoms."""

import torch
from torch import Tensor


def coherence(D: Tensor, W: Tensor | None = None) -> Tensor:
    r"""Mutual coherence, the largest absolute product of two different atoms.

    .. math:: \mu = \max_{i\ne j} |\langle d_i, w_j\rangle|

    Parameters
    ----------
    D : Tensor, shape (K, p)
        Rows are atoms, of norm 1.
    W : Tensor, shape (K, p), default=None
        Auxiliary dictionary; None for ``D``.

    Returns
    -------
    mu : Tensor, shape ()
        0 for orthogonal atoms, 1 if one is there twice.

    Examples
    --------
    >>> float(coherence(torch.eye(3)))
    0.0
    """
    products = (D @ (D if W is None else W).T).abs()
    return (products - products.diagonal().diag()).max()


def mu_s(z: Tensor, D: Tensor, W: Tensor | None = None) -> Tensor:
    r"""Coherence times the number of atoms of a code, :math:`\mu s`.

    Below 1/2 the theorem of `istc` applies: the support is found, at an exponential rate.

    Parameters
    ----------
    z : Tensor, shape (..., K)
        Codes.
    D : Tensor, shape (K, p)
        Rows are atoms, of norm 1.
    W : Tensor, shape (K, p), default=None
        Auxiliary dictionary; None for ``D``.

    Returns
    -------
    mu_s : Tensor, shape (...)
        For each sample.

    Examples
    --------
    >>> float(mu_s(torch.tensor([2.0, 0.0]), torch.eye(2)))
    0.0
    """
    return coherence(D, W) * (z != 0).sum(-1)


@torch.no_grad()
def omp(x: Tensor, D: Tensor, n_nonzero: int, *, tol: float = 0.0) -> Tensor:
    r"""Orthogonal matching pursuit, all samples at once.

    .. math:: S \leftarrow S \cup \{\arg\max_k |\langle x - zD, d_k\rangle|\}, \qquad
       z_S \leftarrow \arg\min_z \|x - zD_S\|

    Parameters
    ----------
    x : Tensor, shape (..., p)
        Samples.
    D : Tensor, shape (K, p)
        Rows are atoms, of norm 1.
    n_nonzero : int
        Largest number of atoms of a code.
    tol : float, default=0.0
        A sample whose squared residual is at most this takes no more atoms.

    Returns
    -------
    z : Tensor, shape (..., K)
        Codes. Not differentiable.

    References
    ----------
    .. [1] Pati, Y. C., Rezaiifar, R. and Krishnaprasad, P. S., Orthogonal matching pursuit,
       Asilomar Conf. Signals, Systems and Computers, 1993.

    Examples
    --------
    >>> omp(torch.tensor([3.0, -0.5]), torch.eye(2), 1)
    tensor([3., 0.])
    """
    shape, x = x.shape[:-1], x.reshape(-1, x.shape[-1])
    gram, b = D @ D.T, x @ D.T
    z, q = torch.zeros_like(b), b
    eps = torch.finfo(x.dtype).eps
    x2 = x.square().sum(1)
    atoms = torch.empty(len(x), 0, dtype=torch.long, device=x.device)
    going = x2 > tol
    for _ in range(min(n_nonzero, *D.shape)):
        best = q.abs().scatter(1, atoms, -1.0).max(1)
        going = going & (best.values > 100 * eps * x2.sqrt())
        if not going.any():
            break
        atoms = torch.cat([atoms, best.indices[:, None]], 1)
        A = gram[atoms[:, :, None], atoms[:, None, :]]
        L, info = torch.linalg.cholesky_ex(A)
        going = going & (info == 0)
        w = torch.cholesky_solve(b.gather(1, atoms)[..., None], L)[..., 0]
        z = torch.where(going[:, None], torch.zeros_like(z).scatter_(1, atoms, w), z)
        q = b - z @ gram
        going = going & (x2 - ((b + q) * z).sum(1) > tol)
    return z.reshape(*shape, len(D))


def used_atoms(A: Tensor) -> Tensor:
    r"""Mask of the atoms that codes use enough to be updated.

    .. math:: A_{kk} > \varepsilon \max_j A_{jj}

    Parameters
    ----------
    A : Tensor, shape (K, K)
        Mean products of codes.

    Returns
    -------
    used : Tensor of bool, shape (K,)
        False where the mean square of a code is within rounding :math:`\varepsilon` of zero.
    """
    squares = A.diagonal()
    return squares > torch.finfo(A.dtype).eps * squares.max()


@torch.no_grad()
def update_dictionary(D: Tensor, A: Tensor, B: Tensor, *, positive: bool = False) -> Tensor:
    r"""Update of the atoms, one after the other, that lowers the mean error of reconstruction.

    With the statistics :math:`A = \langle z^\top z\rangle` and :math:`B = \langle z^\top
    x\rangle`, each atom moves to its minimum on the unit sphere, the others fixed:

    .. math:: d_k \leftarrow \frac{u}{\|u\|}, \qquad u = B_k - \sum_{j \ne k} A_{kj} d_j

    Parameters
    ----------
    D : Tensor, shape (K, p)
        Rows are atoms, of norm 1.
    A : Tensor, shape (K, K)
        Mean products of codes.
    B : Tensor, shape (K, p)
        Mean products of codes and samples.
    positive : bool, default=False
        Atoms that are not negative: :math:`\max(u, 0)` in place of :math:`u`.

    Returns
    -------
    D : Tensor, shape (K, p)
        Atoms. One that no code has, by `used_atoms`, or whose :math:`u` is 0 stays as it was.

    References
    ----------
    .. [1] Mairal, J., Bach, F., Ponce, J. and Sapiro, G., Online learning for matrix
       factorization and sparse coding, J. Mach. Learn. Res. 11, 2010, algorithm 2.

    Examples
    --------
    >>> z, x = torch.tensor([[2.0], [1.0]]), torch.tensor([[4.0, 0.0], [2.0, 0.0]])
    >>> update_dictionary(torch.tensor([[0.6, 0.8]]), z.T @ z, z.T @ x)
    tensor([[1., 0.]])
    """
    D = D.clone()
    others = A - A.diagonal().diag()
    for k in used_atoms(A).nonzero()[:, 0].tolist():
        u = B[k] - others[k] @ D
        u = u.clamp(min=0) if positive else u
        norm = torch.linalg.vector_norm(u)
        D[k] = torch.where(norm > 0, u / norm, D[k])
    return D
