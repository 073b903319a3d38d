"""Variational autoencoder on skorch, which `skwave.CASEGenerator` is compared with."""

from itertools import pairwise

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import EarlyStopping, LRScheduler
from skorch.dataset import ValidSplit
from skorch.utils import noop
from torch import nn

from skwave._networks.training import Rows
from skwave.nn import ConvolutionalDecoder


class VAE(nn.Module):
    """Convolutional encoder to means and log variances, and the generator of Angles and Mallat."""

    def __init__(self, d, C, shape, J, channels):
        super().__init__()
        widths = [C, *(channels * 2 ** (j + 1) for j in range(J))]
        layers = []
        for n_in, n_out in pairwise(widths):
            layers += [
                nn.Conv2d(n_in, n_out, 5, stride=2, padding=2, bias=False),
                nn.BatchNorm2d(n_out),
                nn.ReLU(),
            ]
        size = widths[-1] * (shape[0] >> J) * (shape[1] >> J)
        self.encoder = nn.Sequential(*layers, nn.Flatten(), nn.Linear(size, 2 * d))
        self.decoder = ConvolutionalDecoder(d, C, shape, J, channels=channels)
        nn.init.normal_(self.decoder[-1].weight, std=0.02)

    def forward(self, x):
        mean, log_variance = self.encoder(x).chunk(2, 1)
        noise = torch.randn_like(mean) if self.training else 0.0
        z = mean + noise * (log_variance / 2).exp()
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
        return self.decoder(z), divergence


class Bound(nn.Module):
    """Evidence bound of Gaussian pixels, whose variance is the best one: Rybkin et al., 2021."""

    def forward(self, output, x):
        decoded, divergence = output
        size = x[0].numel()
        return size / 2 * (decoded - x).square().mean().log() + divergence.mean()


def fit_vae(X, rows, *, d, J, channels, max_epochs, lr=2e-3, batch_size=128, seed=0):
    """Trained net for images (n, C, H, W) less their mean image, and its weights' number."""
    torch.manual_seed(seed)
    net = NeuralNet(
        VAE(d, X.shape[1], X.shape[2:], J, channels),
        criterion=Bound,
        optimizer=torch.optim.AdamW,
        lr=lr,
        batch_size=batch_size,
        max_epochs=max_epochs,
        dataset=Rows,
        iterator_train__shuffle=True,
        iterator_train__collate_fn=tuple,
        iterator_valid__collate_fn=tuple,
        train_split=ValidSplit([rows]),
        callbacks=[
            LRScheduler("CosineAnnealingLR", T_max=max_epochs),
            EarlyStopping(patience=5, load_best=True, sink=noop),
        ],
        verbose=0,
    )
    return net.fit(X, X)


def reconstruct(net, X):
    """Decoded means."""
    net.module_.eval()
    with torch.no_grad():
        return np.concatenate([net.module_(x)[0].numpy() for x in torch.from_numpy(X).split(500)])


def sample(net, n, d, seed=0):
    """Decoded Gaussian noise."""
    z = torch.randn(n, d, generator=torch.Generator().manual_seed(seed))
    net.module_.eval()
    with torch.no_grad():
        return net.module_.decoder(z).numpy()
