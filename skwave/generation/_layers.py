"""Layers and networks that decode codes to images: dictionary chains, convolutions."""

from itertools import pairwise
from math import ceil, prod

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv_transpose2d, interpolate, unfold

from skwave._networks.layers import BatchNorm
from skwave.functional._sparse.coding import istc, lipschitz
from skwave.sparse._layers import ISTC

_KERNEL = 3  # positions of a coarse patch along an axis


class DictionaryStage(ISTC):
    r"""Vectors coded by ISTC in one dictionary, and decoded in another of the same atoms.

    .. math:: a = \arg\min_{a \ge 0} \tfrac12\|y - aD\|^2 + \alpha\|a\|_1, \qquad \hat x = aB

    The rows of :math:`D`, of norm 1, are the part of the atoms that an observation :math:`y` sees;
    those of :math:`B` are the atoms themselves, or the part that is not seen. All parameters of
    `ISTC` are learned, and :math:`B` and the step as well.

    Parameters
    ----------
    n_observed : int
        Length of :math:`y`.
    n_decoded : int
        Length of :math:`\hat x`.
    n_atoms : int
        Number of atoms.
    n_iter : int, default=4
        Number of steps :math:`N`. With one step the code is a layer of rectifiers.
    alpha : float, default=0.1
        Last threshold to begin with, in units of :math:`y`.

    References
    ----------
    .. [1] Zarka, J., Thiry, L., Angles, T. and Mallat, S., Deep network classification by
       scattering and homotopy dictionary learning, ICLR 2020.

    Examples
    --------
    >>> stage = DictionaryStage(16, 4, n_atoms=32)
    >>> stage(torch.randn(5, 16)).shape
    torch.Size([5, 4])
    """

    def __init__(self, n_observed, n_decoded, n_atoms, n_iter=4, *, alpha=0.1):
        super().__init__(n_observed, n_atoms, n_iter, alpha=alpha)
        self.B = nn.Parameter(torch.randn(n_atoms, n_decoded) / n_atoms**0.5)
        # from 1/|D|^2 on, where the objective falls at each step, it is learned
        self.log_step = nn.Parameter(-lipschitz(self.D.detach()).clamp(min=1).log())

    def codes(self, y: Tensor) -> Tensor:
        """Sparse codes of observations.

        Parameters
        ----------
        y : Tensor, shape (..., n_observed)
            Observations.

        Returns
        -------
        a : Tensor, shape (..., n_atoms)
            Not negative.
        """
        step = self.log_step.exp()
        return istc(y, self.atoms(), self.alpha, self.n_iter, step=step, positive=True)

    def forward(self, y: Tensor) -> Tensor:
        """Decode observations.

        Parameters
        ----------
        y : Tensor, shape (..., n_observed)
            Observations.

        Returns
        -------
        x : Tensor, shape (..., n_decoded)
            Sums of atoms.
        """
        return self.codes(y) @ self.B


def halved(shape, j):
    """Size of an image at scale ``2**j``.

    Parameters
    ----------
    shape : tuple of int
        ``(height, width)``.
    j : int
        Log2 of the scale.

    Returns
    -------
    shape : tuple of int
        Rounded up.
    """
    return tuple(ceil(n / 2**j) for n in shape)


def average_blocks(x: Tensor, j: int) -> Tensor:
    """Averages of images over blocks of ``2**j`` pixels a side.

    Blocks at the border may be smaller.

    Parameters
    ----------
    x : Tensor, shape (n, C, H, W)
        Images.
    j : int
        Log2 of the scale.

    Returns
    -------
    x : Tensor, shape (n, C, ceil(H / 2**j), ceil(W / 2**j))
        Coarse images.
    """
    for _ in range(j):
        x = avg_pool2d(x, 2, ceil_mode=True)
    return x


class DictionaryDecoder(nn.Module):
    r"""Generator of images from codes by sparse codes in dictionaries, from coarse to fine.

    A code :math:`z` is decoded by a fully connected `DictionaryStage` to :math:`m` maps
    :math:`I_J` on the grid of scale :math:`2^J`. From :math:`I_{j+1}` to :math:`I_j`, on a grid
    twice as fine, each patch :math:`y` of :math:`3 \times 3` positions has a sparse code,

    .. math:: a = \arg\min_{a \ge 0} \tfrac12\|y - aD_j\Phi_j\|^2 + \alpha_j\|a\|_1, \qquad
       I_j = \Phi_j^+ I_{j+1} + \operatorname{mean}\, aD_j(1 - \Phi_j\Phi_j^+),

    where :math:`\Phi_j` averages over blocks of :math:`2 \times 2` pixels, :math:`\Phi_j^+` repeats
    pixels, the rows of :math:`D_j` are patches of :math:`6 \times 6` pixels of :math:`m` maps, and
    the mean is over the patches that cover a pixel. So the sparse code gives what the averages do
    not tell, and :math:`\Phi_j I_j = I_{j+1}`. Maps 1 to :math:`C` are the image.

    Parameters
    ----------
    n_features : int
        Length of the codes.
    n_channels : int
        Channels :math:`C` of the images.
    shape : tuple of int
        ``(height, width)`` of the images.
    J : int
        Number of stages that double the resolution.
    channels : int, default=8
        Maps :math:`m_1` of scale 2, at least ``n_channels``; :math:`m_j = 2^{j-1} m_1`.
    n_atoms : tuple of int, default=(512, 32)
        Atoms of the fully connected stage, and of each that follows.
    n_iter : int, default=4
        Steps of ISTC.
    alpha : float, default=0.1
        Last thresholds to begin with, in units of the observations, see `calibrate`.

    Notes
    -----
    At the beginning the image is zero: only the maps beyond it are random.
    """

    def __init__(
        self, n_features, n_channels, shape, J, *, channels=8, n_atoms=(512, 32), n_iter=4,
        alpha=0.1,
    ):  # fmt: skip
        super().__init__()
        self.grids = [halved(shape, j) for j in range(J, -1, -1)]
        self.n_channels = n_channels
        # the last stage has no maps but the image to give
        widths = [*(channels * 2 ** (j - 1) for j in range(J, 0, -1)), n_channels]
        sizes = [(n_features, widths[0] * prod(self.grids[0]), n_atoms[0])]
        for n_in, n_out in pairwise(widths):
            sizes.append((n_in * _KERNEL**2, n_out * (2 * _KERNEL) ** 2, n_atoms[1]))
        self.stages = nn.ModuleList(DictionaryStage(*size, n_iter, alpha=alpha) for size in sizes)
        with torch.no_grad():
            for stage, n in zip(self.stages, widths, strict=True):
                stage.B.view(len(stage.B), n, -1)[:, :n_channels] = 0

    def details(self, j: int) -> Tensor:
        """Details of the atoms of a convolutional stage, which averages do not see.

        Parameters
        ----------
        j : int
            Number of the stage, from 1 on.

        Returns
        -------
        B : Tensor, shape (n_atoms, n_maps, 6, 6)
            Patches whose averages over blocks of 2 by 2 pixels are zero.
        """
        side = 2 * _KERNEL
        B = self.stages[j].B.unflatten(1, (-1, side, side))
        return B - interpolate(avg_pool2d(B, 2), scale_factor=2)

    def atoms(self, j: int) -> Tensor:
        """Atoms of a stage.

        Parameters
        ----------
        j : int
            Number of the stage, 0 for the fully connected one.

        Returns
        -------
        D : Tensor, shape (n_atoms, n_maps, height, width)
            Maps on the grid of the largest scale, or patches on the finer grid of the stage.
        """
        stage = self.stages[j]
        if not j:
            return stage.B.unflatten(1, (-1, *self.grids[0]))
        B = self.details(j)
        A = stage.atoms().unflatten(1, (-1, _KERNEL, _KERNEL))
        return interpolate(A[:, : B.shape[1]], scale_factor=2) + B

    def _observed(self, maps, j):
        # patches around each position, or the codes z
        if not j:
            return maps
        padded = nn.functional.pad(maps, [_KERNEL // 2] * 4, mode="replicate")
        return unfold(padded, _KERNEL).transpose(1, 2)

    def _decode(self, codes, maps, j):
        if not j:
            return (codes @ self.stages[0].B).unflatten(1, (-1, *self.grids[0]))
        B = self.details(j) / _KERNEL**2
        codes = codes.transpose(1, 2).unflatten(2, maps.shape[2:])
        details = conv_transpose2d(codes, B, stride=2, padding=2 * (_KERNEL // 2))
        height, width = self.grids[j]
        fine = interpolate(maps[:, : B.shape[1]], scale_factor=2) + details
        return fine[..., :height, :width]

    def chain(self, z: Tensor) -> tuple[list, list]:
        """Maps and sparse codes of all stages.

        Parameters
        ----------
        z : Tensor, shape (n, n_features)
            Codes of images.

        Returns
        -------
        maps : list of Tensor, shape (n, n_maps, height, width)
            From coarse to fine.
        codes : list of Tensor, shape (n, ..., n_atoms)
            Sparse codes that the maps are decoded from.
        """
        maps, codes = [z], []
        for j, stage in enumerate(self.stages):
            codes.append(stage.codes(self._observed(maps[-1], j)))
            maps.append(self._decode(codes[-1], maps[-1], j))
        return maps[1:], codes

    @torch.no_grad()
    def calibrate(self, z: Tensor) -> None:
        """Multiply each stage's threshold by the root mean square norm of its observations.

        Parameters
        ----------
        z : Tensor, shape (n, n_features)
            Some codes of images.
        """
        maps = z
        for j, stage in enumerate(self.stages):
            y = self._observed(maps, j)
            norm = y.square().sum(-1).mean().sqrt()
            # zero where there are no maps but the image
            stage.log_alpha += torch.where(norm > 0, norm, 1.0).log()
            maps = self._decode(stage.codes(y), maps, j)

    def forward(self, z: Tensor) -> Tensor:
        """Decode.

        Parameters
        ----------
        z : Tensor, shape (n, n_features)
            Codes of images.

        Returns
        -------
        x : Tensor, shape (n, n_channels, H, W)
            Images.
        """
        return self.chain(z)[0][-1][:, : self.n_channels]


class ConvolutionalDecoder(nn.Sequential):
    r"""Generator of images from codes by a fully connected layer and convolutions.

    Linear, batch norm, rectifier; ``J`` times doubled resolution, convolution, batch norm,
    rectifier; a last convolution, which is zero at the beginning [1]_.

    Parameters
    ----------
    n_features : int
        Length of the codes.
    n_channels : int
        Channels of the images.
    shape : tuple of int
        ``(height, width)`` of the images.
    J : int
        Number of times that the resolution is doubled.
    channels : int, default=16
        Maps of the finest scale; coarser ones have twice as many at each step.

    References
    ----------
    .. [1] Angles, T. and Mallat, S., Generative networks as inverse problems with scattering
       transforms, ICLR 2018.
    """

    def __init__(self, n_features, n_channels, shape, J, *, channels=16):
        grids = [halved(shape, j) for j in range(J, -1, -1)]
        widths = [channels * 2**j for j in range(J, -1, -1)]
        n = widths[0]
        layers = [
            nn.Linear(n_features, n * prod(grids[0]), bias=False),
            nn.Unflatten(1, (n, *grids[0])),
            BatchNorm(n),
            nn.ReLU(),
        ]
        for grid, n_in, n_out in zip(grids[1:], widths[:-1], widths[1:], strict=True):
            layers += [
                nn.Upsample(grid, mode="bilinear"),
                nn.Conv2d(n_in, n_out, 5, padding=2, padding_mode="replicate", bias=False),
                BatchNorm(n_out),
                nn.ReLU(),
            ]
        last = nn.Conv2d(widths[-1], n_channels, 5, padding=2, padding_mode="replicate")
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        super().__init__(*layers, last)


def make_decoder(decoder, **parameters):
    """Network that decodes codes to images, and gives zero before it is trained.

    Parameters
    ----------
    decoder : {"dictionary", "convolutional"}
        Kind of network.
    **parameters : object
        Parameters of `DictionaryDecoder` or `ConvolutionalDecoder`.

    Returns
    -------
    module : Module
        Tensor (n, n_features) -> Tensor (n, n_channels, H, W).
    """
    kind = DictionaryDecoder if decoder == "dictionary" else ConvolutionalDecoder
    return kind(**parameters)
