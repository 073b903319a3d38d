"""Layers of networks that code vectors by a dictionary: ISTC, tight frames, rectifiers, moduli."""

from math import log

import torch
from torch import Tensor, nn

from skwave.functional._sparse.coding import istc
from skwave.functional._sparse.prox import nonnegative_threshold, normalize_atoms


class ISTC(nn.Module):
    r"""Sparse codes in a learned dictionary, by unrolled thresholding with continuation.

    .. math:: z_n = \max\big(z_{n-1} + (x - z_{n-1}D)\,W^\top - \alpha_n,\, 0\big), \qquad
       \alpha_n = \alpha_{\max}\Big(\frac{\alpha}{\alpha_{\max}}\Big)^{n/N}, \quad z_0 = 0

    `skwave.functional._sparse.coding.istc` with codes that are not negative. The atoms, rows of
    :math:`D`, have norm 1. They are learned through the :math:`N` steps, and so is the last
    threshold :math:`\alpha`.

    Parameters
    ----------
    n_features : int
        Length of :math:`x`.
    n_atoms : int
        Number of atoms.
    n_iter : int, default=12
        Number of steps :math:`N`.
    alpha : float, default=0.1
        Last threshold to begin with.
    free : bool, default=False
        Learn :math:`W` apart from :math:`D`, with :math:`\langle d_k, w_k\rangle = 1`;
        else :math:`W = D`.
    learn_dictionary : bool, default=True
        Whether to learn :math:`D`, and :math:`W`, or to keep the random ones.

    References
    ----------
    .. [1] Zarka, J., Thiry, L., Angles, T. and Mallat, S., Deep network classification by
       scattering and homotopy dictionary learning, ICLR 2020.

    Examples
    --------
    >>> z = ISTC(16, n_atoms=32)(torch.randn(5, 8, 8, 16))
    >>> z.shape, bool((z >= 0).all())
    (torch.Size([5, 8, 8, 32]), True)
    """

    def __init__(
        self, n_features, n_atoms, n_iter=12, *, alpha=0.1, free=False, learn_dictionary=True
    ):
        super().__init__()
        self.n_iter = n_iter
        D = normalize_atoms(torch.randn(n_atoms, n_features))
        self.D = nn.Parameter(D, requires_grad=learn_dictionary)
        self.W = nn.Parameter(D.clone(), requires_grad=learn_dictionary) if free else None
        self.log_alpha = nn.Parameter(torch.tensor(log(alpha)))

    @property
    def alpha(self):  # numpydoc ignore=RT01
        """Last threshold."""
        return self.log_alpha.exp()

    def atoms(self) -> Tensor:
        """Atoms, of norm 1.

        Returns
        -------
        D : Tensor, shape (n_atoms, n_features)
            Rows are atoms.
        """
        return normalize_atoms(self.D)

    def auxiliary(self) -> Tensor:
        """Matrix :math:`W` that correlates the residual with the atoms.

        Returns
        -------
        W : Tensor, shape (n_atoms, n_features)
            The atoms unless ``free``.
        """
        D = self.atoms()
        return D if self.W is None else self.W + (1 - (self.W * D).sum(1, keepdim=True)) * D

    def forward(self, x: Tensor) -> Tensor:
        """Compute the codes.

        Parameters
        ----------
        x : Tensor, shape (..., n_features)
            Vectors.

        Returns
        -------
        z : Tensor, shape (..., n_atoms)
            Codes.
        """
        return istc(x, self.atoms(), self.alpha, self.n_iter, W=self.auxiliary(), positive=True)


class TightFrame(nn.Module):
    r"""Coefficients in a learned tight frame, thresholded.

    .. math:: z = \max(xF^\top - \alpha,\, 0), \qquad F^\top F = I

    The frame is the orthogonal factor of a free matrix, so that it is tight at every step of
    the training. With fewer atoms than features they are orthonormal, :math:`FF^\top = I`.

    Parameters
    ----------
    n_features : int
        Length of :math:`x`.
    n_atoms : int
        Number of atoms.
    alpha : float, default=0.1
        Threshold to begin with, learned.

    References
    ----------
    .. [1] Zarka, J., Guth, F. and Mallat, S., Separation and concentration in deep networks,
       ICLR 2021.

    Examples
    --------
    >>> frame = TightFrame(4, n_atoms=6)
    >>> F = frame.atoms()
    >>> bool(torch.allclose(F.T @ F, torch.eye(4), atol=1e-5))
    True
    """

    def __init__(self, n_features, n_atoms, *, alpha=0.1):
        super().__init__()
        self.F = nn.Parameter(torch.randn(n_atoms, n_features))
        self.log_alpha = nn.Parameter(torch.tensor(log(alpha)))

    @property
    def alpha(self):  # numpydoc ignore=RT01
        """Threshold."""
        return self.log_alpha.exp()

    def atoms(self) -> Tensor:
        """Rows of the frame.

        Returns
        -------
        F : Tensor, shape (n_atoms, n_features)
            Its columns, or its rows if they are fewer, are orthonormal.
        """
        tall = self.F.shape[0] >= self.F.shape[1]
        Q, R = torch.linalg.qr(self.F if tall else self.F.T)
        Q = torch.where(R.diagonal() < 0, -Q, Q)  # the one that is continuous in F
        return Q if tall else Q.T

    def forward(self, x: Tensor) -> Tensor:
        """Compute the coefficients.

        Parameters
        ----------
        x : Tensor, shape (..., n_features)
            Vectors.

        Returns
        -------
        z : Tensor, shape (..., n_atoms)
            Coefficients.
        """
        return nonnegative_threshold(x @ self.atoms().T, self.alpha)


class Rectifier(nn.Linear):
    r"""One layer of rectifiers, as `ISTC` with one step and a threshold for each atom.

    .. math:: z = \max(xW^\top + b,\, 0)

    Parameters
    ----------
    n_features : int
        Length of :math:`x`.
    n_atoms : int
        Number of rectifiers.

    Examples
    --------
    >>> Rectifier(4, n_atoms=6)(torch.randn(5, 4)).shape
    torch.Size([5, 6])
    """

    def __init__(self, n_features, n_atoms):
        super().__init__(n_features, n_atoms)

    def atoms(self) -> Tensor:
        """Weights, in the place of atoms.

        Returns
        -------
        W : Tensor, shape (n_atoms, n_features)
            Rows.
        """
        return self.weight

    def forward(self, x: Tensor) -> Tensor:
        """Compute the layer.

        Parameters
        ----------
        x : Tensor, shape (..., n_features)
            Vectors.

        Returns
        -------
        z : Tensor, shape (..., n_atoms)
            Not negative.
        """
        return torch.relu(super().forward(x))


class PhaseCollapse(nn.Module):
    r"""Moduli of products with complex atoms: phases collapse, no threshold makes them sparse.

    .. math:: z = |xP^\top|, \qquad P \in \mathbb{C}^{K \times p}

    Parameters
    ----------
    n_features : int
        Length of :math:`x`.
    n_atoms : int
        Number of complex atoms.

    References
    ----------
    .. [1] Guth, F., Zarka, J. and Mallat, S., Phase collapse in neural networks, ICLR 2022.

    Examples
    --------
    >>> PhaseCollapse(4, n_atoms=6)(torch.randn(5, 4)).shape
    torch.Size([5, 6])
    """

    def __init__(self, n_features, n_atoms):
        super().__init__()
        self.P = nn.Parameter(torch.randn(2, n_atoms, n_features) / n_features**0.5)

    def atoms(self) -> Tensor:
        """Complex atoms.

        Returns
        -------
        P : Tensor, complex, shape (n_atoms, n_features)
            Rows.
        """
        return torch.complex(*self.P)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the moduli.

        Parameters
        ----------
        x : Tensor, shape (..., n_features)
            Real vectors.

        Returns
        -------
        z : Tensor, shape (..., n_atoms)
            Not negative.
        """
        real, imaginary = x @ self.P[0].T, x @ self.P[1].T
        return (real**2 + imaginary**2 + 1e-12).sqrt()
