"""Training of `skwave.CASEGenerator`; apart, since skorch takes seconds to import."""

from math import inf

import torch
from torch import Tensor, nn

from skwave._case_layers import average_blocks, make_decoder
from skwave._fitting import some_rows, training_parameters
from skwave._training import AutocastNet, train
from skwave.functional.dictionaries import coherence

_ROWS = 500  # that thresholds begin with, and that are summarised


class DecoderNet(AutocastNet):
    """Net from codes to images, which adds noise to the codes in training.

    Parameters
    ----------
    *args : object
        As for `AutocastNet`.
    noise : float, default=0.0
        Standard deviation of the noise, in units of the codes.
    **kwargs : object
        As for `AutocastNet`.
    """

    def __init__(self, *args, noise=0.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.noise = noise

    def infer(self, x, **fit_params):  # numpydoc ignore=GL08
        x = x.to(self.device)
        if self.noise and self.module_.training:
            x = x + self.noise * torch.randn_like(x)
        return super().infer(x, **fit_params)


class ScaleLoss(nn.Module):
    r"""Error of images, and of their averages over blocks at each scale.

    .. math:: \ell(x - \hat x) + w \sum_{j=1}^J \ell(\Phi^j x - \Phi^j\hat x), \qquad
       \ell(e) = \operatorname{mean} e^2 \text{ or } \operatorname{mean}|e|

    Parameters
    ----------
    J : int
        Log2 of the largest scale.
    loss : {"squared", "absolute"}
        Error of a pixel.
    weight : float
        Weight :math:`w` of the coarse images.
    """

    def __init__(self, J, loss, weight):
        super().__init__()
        self.J, self.loss, self.weight = J, loss, weight

    def forward(self, x: Tensor, y: Tensor) -> Tensor:  # numpydoc ignore=GL08
        e = x - y
        total = self._error(e)
        if self.weight:
            for _ in range(self.J):
                e = average_blocks(e, 1)
                total = total + self.weight * self._error(e)
        return total

    def _error(self, e):
        return (e.square() if self.loss == "squared" else e.abs()).mean()


def _calibrated(parts, z):
    module = make_decoder(**parts).to(z.dtype)
    if parts["decoder"] == "dictionary":
        module.calibrate(z)
    return module


def train_decoder(model, parts, Z, R, rows, seed, device):
    """Train the network of a generator on what its regression leaves over.

    Parameters
    ----------
    model : CASEGenerator
        With its parameters.
    parts : dict
        Parameters of `make_decoder`.
    Z : ndarray, shape (n_samples, n_components)
        Codes.
    R : ndarray, shape (n_samples, C, H, W)
        What the network shall give.
    rows : tuple of ndarray of int, or None
        Samples to train on, and to choose the epoch on; None for all, and the last epoch.
    seed : int
        Of the first weights, the noise and the order of the samples.
    device : torch.device
        Where to compute.

    Returns
    -------
    net, loss_curve, validation_loss_curve : object
        As of `skwave._training.train`.
    """
    loss = {"J": model.J, "loss": model.loss, "weight": model.scale_weight}
    zero, floor = torch.zeros(()), inf
    if rows is not None:
        floor = ScaleLoss(**loss)(zero, torch.from_numpy(R[rows[1]])).item()
    return train(
        DecoderNet,
        lambda: _calibrated(parts, torch.from_numpy(Z[:_ROWS])),
        Z,
        R,
        rows=rows,
        seed=seed,
        floor=floor,
        noise=model.latent_noise,
        criterion=ScaleLoss,
        **{f"criterion__{name}": value for name, value in loss.items()},
        **training_parameters(model, device, (len(Z), some_rows(Z), some_rows(R))),
    )


@torch.no_grad()
def describe(module, Z):
    """Dictionaries of a chain, how sparse its codes and how coherent its atoms are.

    Parameters
    ----------
    module : DictionaryDecoder
        Trained.
    Z : ndarray, shape (n_samples, n_components)
        Codes of images.

    Returns
    -------
    dictionaries : list of ndarray
        Atoms of each scale, the finest first.
    sparsity : list of float
        Share of the codes that is not zero.
    coherence : list of float
        Largest product of two atoms as they are observed.
    """
    codes = module.eval().chain(torch.from_numpy(Z[:_ROWS]).to(module.stages[0].B))[1]
    stages = range(len(codes) - 1, -1, -1)
    return (
        [module.atoms(s).cpu().numpy() for s in stages],
        [float((codes[s] > 0).float().mean()) for s in stages],
        [float(coherence(module.stages[s].atoms())) for s in stages],
    )
