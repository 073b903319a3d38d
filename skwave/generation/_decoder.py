"""Decoder of `skwave.CASEGenerator`: a ridge regression, and a network on its residuals."""

from dataclasses import dataclass
from math import prod
from numbers import Integral

import numpy as np
import torch
from sklearn.linear_model import Ridge
from torch import nn

from skwave._core.batches import predict_batches
from skwave._core.compat import Interval
from skwave._networks.persistence import network_from_arrays, network_to_arrays
from skwave.functional._sparse.dictionaries import coherence
from skwave.generation._layers import (
    DictionaryDecoder,
    average_blocks,
    halved,
    make_decoder,
)

_N_DESCRIBED = 500  # codes that the sparsity is measured on
_N_ATOMS = Interval(Integral, 1, 2**20, closed="both")


@dataclass(frozen=True)
class Decoder:
    r"""Map from codes to images.

    .. math:: \hat x = Bz + b + G(z)

    Attributes
    ----------
    coef : ndarray, shape (n_pixels, n_components)
        Matrix :math:`B` of the regression.
    intercept : ndarray, shape (n_pixels,)
        Image :math:`b`.
    image_shape : tuple of int
        ``(C, H, W)``.
    J : int
        Log2 of the largest scale of `coarse_to_fine`.
    design : dict or None
        Parameters of `make_decoder`, of which the network is made.
    network : Module or None
        Network :math:`G`, in evaluation mode; None for the regression alone.
    """

    coef: np.ndarray
    intercept: np.ndarray
    image_shape: tuple
    J: int
    design: dict | None = None
    network: nn.Module | None = None

    def __getstate__(self):
        return network_to_arrays(vars(self), "network")

    def __setstate__(self, state):
        state = network_from_arrays(state, lambda: make_decoder(**state["design"]), "network")
        vars(self).update(state)

    def regression(self, Z):
        """Images that the regression gives.

        Parameters
        ----------
        Z : Tensor, shape (n, n_components)
            Codes, on the CPU.

        Returns
        -------
        images : Tensor, shape (n, C, H, W)
            Images :math:`Bz + b`.
        """
        x = Z.numpy() @ self.coef.T + self.intercept
        return torch.from_numpy(x).unflatten(1, self.image_shape)

    @torch.no_grad()
    def coarse_to_fine(self, Z, scales):
        """Images at given scales, averages over blocks of ``2**j`` pixels a side.

        Parameters
        ----------
        Z : Tensor, shape (n, n_components)
            Codes, on the CPU.
        scales : sequence of int
            Scales ``j``, from 0 to ``J``.

        Returns
        -------
        images : list of Tensor, shape (n, C, height, width)
            Images of ``H / 2**j`` by ``W / 2**j`` pixels, rounded up.
        """
        C, *shape = self.image_shape
        shapes = [(C, *halved(shape, j)) for j in scales]

        def decode(z):  # numpydoc ignore=GL08
            # the images of all scales in one row
            return torch.cat([x.flatten(1) for x in self._decode(z, scales)], 1)

        rows = predict_batches(decode, Z, row_bytes=self._row_bytes())
        parts = rows.split([prod(shape) for shape in shapes], 1)
        return [part.unflatten(1, shape) for part, shape in zip(parts, shapes, strict=True)]

    def _decode(self, z, scales):
        x = self.regression(z)
        if self.network is None:
            return [average_blocks(x, j) for j in scales]
        z = z.to(next(self.network.parameters()).device)
        if not isinstance(self.network, DictionaryDecoder):
            x = x + self.network(z).cpu()
            return [average_blocks(x, j) for j in scales]
        maps = self.network.chain(z)[0]
        C = self.image_shape[0]
        return [average_blocks(x, j) + maps[self.J - j][:, :C].cpu() for j in scales]

    def _row_bytes(self):
        numbers = 4 * prod(self.image_shape)
        if isinstance(self.network, DictionaryDecoder):
            numbers += sum(_stage_sizes(self.network))
        elif self.network is not None:
            # maps of the finest scale, the layer before and its norm beside it
            numbers += 4 * self.design["channels"] * prod(self.image_shape[1:])
        return numbers * self.coef.itemsize

    def n_parameters(self):
        """Number of weights of the network.

        Returns
        -------
        n : int
            0 for the regression alone.
        """
        return 0 if self.network is None else sum(p.numel() for p in self.network.parameters())

    @torch.no_grad()
    def describe(self, Z):
        """Dictionaries of the network, the sparsity of its codes, the coherence of its atoms.

        Parameters
        ----------
        Z : ndarray, shape (n_samples, n_components)
            Codes of images.

        Returns
        -------
        dictionaries : list of ndarray
            Atoms of each scale, the finest first; no scale if there are no dictionaries.
        sparsity : list of float
            Share of the sparse codes that is not zero.
        coherence : list of float
            Largest product of two atoms as they are observed.
        """
        if not isinstance(self.network, DictionaryDecoder):
            return [], [], []
        network, stages = self.network, range(len(self.network.stages) - 1, -1, -1)

        def positive(z):  # numpydoc ignore=GL08
            codes = network.chain(z)[1]
            return torch.stack([(codes[s] > 0).flatten(1).float().mean(1) for s in stages], 1)

        device = next(network.parameters()).device
        shares = predict_batches(
            positive, Z[:_N_DESCRIBED], row_bytes=self._row_bytes(), device=device
        )
        return (
            [network.atoms(s).cpu().numpy() for s in stages],
            shares.mean(0).tolist(),
            [float(coherence(network.stages[s].atoms())) for s in stages],
        )


def _stage_sizes(network):
    # numbers of one image that each stage holds: observations, residuals, codes, decoded patches
    positions = [1, *(prod(grid) for grid in network.grids[:-1])]
    for n, stage in zip(positions, network.stages, strict=True):
        n_atoms, n_observed = stage.D.shape
        yield n * (3 * n_observed + 4 * n_atoms + stage.B.shape[1])


def fit_regression(Z, images, image_shape, J, *, linear, ridge_alpha):
    """Decoder without a network.

    Parameters
    ----------
    Z : ndarray, shape (n_samples, n_components)
        Codes of the training images.
    images : ndarray, shape (n_samples, n_pixels)
        Training images.
    image_shape : tuple of int
        ``(C, H, W)``.
    J : int
        Log2 of the largest scale.
    linear : bool
        Whether to regress on the codes, or to give the mean image for all.
    ridge_alpha : float
        Penalty of the regression.

    Returns
    -------
    decoder : Decoder
        Fitted decoder.
    """
    if not linear:
        coef = np.zeros((images.shape[1], Z.shape[1]), Z.dtype)
        return Decoder(coef, images.mean(0), image_shape, J)
    ridge = Ridge(ridge_alpha).fit(Z, images)
    coef = ridge.coef_.reshape(images.shape[1], -1)
    return Decoder(coef, np.reshape(ridge.intercept_, -1), image_shape, J)


def check_atoms(n_atoms):
    """Refuse numbers of atoms that are not two positive integers.

    Parameters
    ----------
    n_atoms : tuple of int
        Parameter of `skwave.CASEGenerator`.
    """
    if len(n_atoms) != 2 or not all(_N_ATOMS.is_satisfied_by(n) for n in n_atoms):
        raise ValueError(
            f"n_atoms={n_atoms!r} must be two integers from 1 to {_N_ATOMS.right}: the atoms of "
            "the fully connected dictionary, and of each convolutional one."
        )
