"""Network from scattering coefficients of images to classes, by codes at each position."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from skwave._core.batches import predict_batches
from skwave._networks.layers import BatchNorm, Dropout
from skwave.functional._sparse.dictionaries import coherence
from skwave.functional._sparse.prox import normalize_atoms
from skwave.sparse._layers import ISTC, PhaseCollapse, Rectifier, TightFrame


class ScatteringDictionary(nn.Module):
    r"""Network from scattering coefficients to scores of classes.

    .. math:: S \;\to\; \text{standardise} \;\to\; u = PS \;\to\; u/\|u\| \;\to\; z
       \;\to\; \text{batch norm} \;\to\; \text{average pool} \;\to\; \text{classifier}

    with :math:`z` the code of `block` at each position.

    Parameters
    ----------
    mean, scale : Tensor, shape (n_channels,)
        Mean and deviation of each channel of the coefficients.
    views : Tensor of int, shape (n_views, height, width, n_channels)
        Columns of the coefficients that each view of a sample consists of. One drawn at random
        serves in training, the first in evaluation.
    block : Module or None
        Tensor (..., n_projected) -> Tensor (..., n_atoms), as `ISTC`; None for the
        standardised coefficients themselves.
    n_projected, n_atoms : int
        Lengths of the block's vectors and of its codes.
    n_classes : int
        Number of scores.
    kernel_size, stride : int, default=1
        Size and step of the projection :math:`P`, a convolution over positions.
    pooling : int, default=4
        Cells along each axis over which codes are averaged; all positions if they are fewer.
    n_hidden : int, default=0
        Width of the hidden layer of the classifier; 0 for a linear one.
    dropout : float, default=0.0
        Share of the inputs of the classifier's layers that are dropped in training.
    """

    def __init__(
        self,
        mean,
        scale,
        views,
        block,
        n_projected,
        n_atoms,
        n_classes,
        *,
        kernel_size=1,
        stride=1,
        pooling=4,
        n_hidden=0,
        dropout=0.0,
    ):
        super().__init__()
        self.register_buffer("shift", -mean / scale)
        self.register_buffer("gain", 1 / scale)
        self.register_buffer("views", views)
        self.block = block
        grid, n_maps = tuple(views.shape[1:3]), len(mean)
        if block is not None:
            padding = (kernel_size - 1) // 2
            self.projection = nn.Conv2d(
                n_maps, n_projected, kernel_size, stride, padding, bias=False
            )
            grid = tuple((n + 2 * padding - kernel_size) // stride + 1 for n in grid)
            n_maps = n_atoms
        self.norm = BatchNorm(n_maps)
        cells = tuple(min(n, pooling) for n in grid)
        self.pooling = nn.AdaptiveAvgPool2d(cells)
        widths = [n_maps * cells[0] * cells[1], *[n_hidden] * (n_hidden > 0)]
        layers = [nn.Flatten()]
        for n_in, n_out in pairwise(widths):
            layers += [Dropout(dropout), nn.Linear(n_in, n_out), nn.ReLU()]
        self.classifier = nn.Sequential(*layers, Dropout(dropout), nn.Linear(widths[-1], n_classes))

    def codes(self, X: Tensor, view: int = 0) -> Tensor:
        """Codes at each position.

        Parameters
        ----------
        X : Tensor, shape (n, n_features)
            Scattering coefficients.
        view : int or Tensor of int, shape (n,), default=0
            View of each sample.

        Returns
        -------
        z : Tensor, shape (n, n_atoms, height, width)
            Codes on the grid of the projection.
        """
        columns = self.views[view]
        shape = (len(X), *columns.shape[-3:])
        columns = columns.flatten(-3).expand(len(X), -1)
        x = X.gather(1, columns).view(shape)
        x = torch.addcmul(self.shift, x, self.gain).permute(0, 3, 1, 2)
        if self.block is None:
            return x
        u = nn.functional.normalize(self.projection(x).permute(0, 2, 3, 1), dim=-1)
        return self.block(u).permute(0, 3, 1, 2)

    def forward(self, X: Tensor, view: int = 0) -> Tensor:
        """Scores of the classes.

        Parameters
        ----------
        X : Tensor, shape (n, n_features)
            Scattering coefficients.
        view : int, default=0
            View of the samples; in training each has one drawn at random.

        Returns
        -------
        scores : Tensor, shape (n, n_classes)
            Logits.
        """
        if self.training:
            view = torch.randint(len(self.views), (len(X),), device=X.device)
        return self.classifier(self.pooling(self.norm(self.codes(X, view))))


def make_network(
    *, mean, scale, views, n_classes, block, n_iter, alpha, learn_dictionary, projection,
    n_atoms, classifier, n_hidden, **others,
):  # fmt: skip
    """Network of a classifier.

    Parameters
    ----------
    mean, scale, views : ndarray
        As in `ScatteringDictionary`.
    n_classes : int
        Number of scores.
    block, n_iter, alpha, learn_dictionary, projection : object
        As in `skwave.ScatteringDictionaryClassifier`.
    n_atoms, classifier, n_hidden : object
        As there.
    **others : object
        As in `ScatteringDictionary`.

    Returns
    -------
    network : ScatteringDictionary
        With random weights.
    """
    # torch takes no bool of numpy
    steps = {"n_iter": n_iter, "alpha": alpha, "learn_dictionary": bool(learn_dictionary)}
    layer, parameters = {
        "istc": (ISTC, steps),
        "istc_free": (ISTC, {**steps, "free": True}),
        "tight_frame": (TightFrame, {"alpha": alpha}),
        "relu": (Rectifier, {}),
        "phase_collapse": (PhaseCollapse, {}),
        None: (lambda *n: None, {}),
    }[block]
    return ScatteringDictionary(
        *(torch.tensor(array) for array in (mean, scale, views)),  # copies, to be written to
        layer(projection, n_atoms, **parameters),
        projection,
        n_atoms,
        n_classes,
        n_hidden=n_hidden if classifier == "mlp" else 0,
        **others,
    )


@torch.no_grad()
def run(network, f, S):
    """Apply a function of a network to coefficients, batch after batch.

    Parameters
    ----------
    network : ScatteringDictionary
        Network in evaluation mode.
    f : callable
        Tensor (n, n_features), of the type and on the device of the network -> Tensor (n, ...).
    S : array, shape (n_samples, n_features)
        Scattering coefficients, in memory or on disk.

    Returns
    -------
    y : Tensor, shape (n_samples, ...)
        Results, on the CPU.
    """
    weight = network.gain
    return predict_batches(
        lambda x: f(x.to(weight)).cpu(), S, row_bytes=row_bytes(network), device=weight.device
    )


def row_bytes(network):
    """Memory that the coefficients and codes of one image take in a network.

    Parameters
    ----------
    network : ScatteringDictionary
        Network of a classifier.

    Returns
    -------
    n_bytes : int
        Memory of about all arrays that are held at once.
    """
    height, width, n_maps = network.views.shape[1:]
    numbers = 4 * n_maps  # coefficients, in two orders of axes, and columns, of twice the size
    if network.block is not None:
        n_atoms, n_projected = network.block.atoms().shape
        numbers += 3 * n_projected + 5 * n_atoms  # products and residual of a step, thresholds
    return height * width * numbers * network.gain.element_size()


@torch.no_grad()
def describe(network, S):
    """Dictionary of a network, its coherence, and the sparsity of its codes.

    Parameters
    ----------
    network : ScatteringDictionary
        Trained network with a block, in evaluation mode.
    S : array, shape (n_samples, n_features)
        Scattering coefficients.

    Returns
    -------
    dictionary : ndarray, shape (n_atoms, n_projected)
        Atoms.
    coherence : float
        Largest product of an atom with another one, or with another row of :math:`W`.
    sparsity : float
        Share of the codes that is not zero.
    """
    block = network.block
    D = block.atoms()
    unit = normalize_atoms(D)
    W = block.auxiliary() if hasattr(block, "auxiliary") else unit.conj()
    positive = run(network, lambda x: (network.codes(x) > 0).flatten(1).float().mean(1), S)
    return D.detach().cpu().numpy(), float(coherence(unit, W)), float(positive.mean())
