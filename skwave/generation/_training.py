"""Training of `skwave.CASEGenerator`; apart, since skorch takes seconds to import."""

from math import ceil, inf

import numpy as np
import torch
from torch import Tensor, nn

from skwave._networks.fitting import training_parameters
from skwave._networks.training import AutocastNet, train
from skwave.functional._sparse.dictionaries import coherence
from skwave.generation._layers import average_blocks, make_decoder
from skwave.scattering._layer import Scattering

_ROWS = 500  # that thresholds and variances begin with, and that are summarised
_L = 4  # orientations of the coefficients that are compared


class DecoderNet(AutocastNet):
    """Net from codes to images: a regression, and a module that is given noisy codes in training.

    Parameters
    ----------
    *args : object
        As for `AutocastNet`.
    coef : Tensor, shape (n_pixels, n_components)
        Of the regression, on the device of the net.
    intercept : Tensor, shape (n_pixels,)
        The same.
    noise : float, default=0.0
        Standard deviation of the noise, in units of the codes.
    **kwargs : object
        As for `AutocastNet`.
    """

    def __init__(self, *args, coef, intercept, noise=0.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.coef, self.intercept, self.noise = coef, intercept, noise

    def infer(self, x, **fit_params):  # numpydoc ignore=GL08
        x = x.to(self.device)
        base = x @ self.coef.T + self.intercept
        if self.noise and self.module_.training:
            x = x + self.noise * torch.randn_like(x)
        y = super().infer(x, **fit_params)
        return y + base.view_as(y)


class ImageLoss(nn.Module):
    r"""Error of images, of their averages over blocks, and of their scattering coefficients.

    .. math:: \ell(x - \hat x) + w \sum_{j=1}^J \ell(\Phi^j x - \Phi^j\hat x)
       + v\, \sigma_0^2 \operatorname{mean}_{\lambda, u}
       \frac{|S_\lambda x - S_\lambda\hat x|^2(u)}{\sigma_\lambda^2},
       \qquad \ell(e) = \operatorname{mean} e^2 \text{ or } \operatorname{mean}|e|

    with the variances :math:`\sigma_\lambda^2` of coefficients and :math:`\sigma_0^2` of pixels.

    Parameters
    ----------
    J : int
        Log2 of the largest scale.
    loss : {"squared", "absolute"}
        Error of a pixel.
    scale_weight : float
        Weight :math:`w` of the coarse images.
    scattering_weight : float
        Weight :math:`v` of the coefficients.
    images : Tensor, shape (n, C, H, W)
        Images that variances are of.
    """

    def __init__(self, J, loss, scale_weight, scattering_weight, images):
        super().__init__()
        self.J, self.loss = J, loss
        self.scale_weight, self.scattering_weight = scale_weight, scattering_weight
        if scattering_weight:
            self.scattering = Scattering(J, _L, ndim=2, boundary="periodic")
            S = self.scattering(images)
            scale = S.var((0, -2, -1), keepdim=True) / images.var()
            self.register_buffer("scale", scale.clamp_min(1e-6 * scale.max()))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:  # numpydoc ignore=GL08
        e = x - y
        total = self._error(e)
        if self.scale_weight:
            for _ in range(self.J):
                e = average_blocks(e, 1)
                total = total + self.scale_weight * self._error(e)
        if self.scattering_weight:
            S = self.scattering(x) - self.scattering(y)
            total = total + self.scattering_weight * (S.square() / self.scale).mean()
        return total

    def _error(self, e):
        return (e.square() if self.loss == "squared" else e.abs()).mean()


def _calibrated(parts, z):
    module = make_decoder(**parts).to(z.dtype)
    if parts["decoder"] == "dictionary":
        module.calibrate(z)
    return module


def train_decoder(model, parts, Z, X, rows, seed, device):
    """Train the network of a generator on what its regression leaves over.

    Parameters
    ----------
    model : CASEGenerator
        With its parameters and its regression.
    parts : dict
        Parameters of `make_decoder`.
    Z : ndarray, shape (n_samples, n_components)
        Codes.
    X : ndarray, shape (n_samples, C, H, W)
        Images.
    rows : tuple of ndarray of int, or None
        Samples to train on, and to choose the epoch on; None for all, and the last epoch.
    seed : int
        Of the first weights, the noise and the order of the samples.
    device : torch.device
        Where to compute.

    Returns
    -------
    net, loss_curve, validation_loss_curve : object
        As of `skwave._networks.training.train`.
    """
    loss = {name: getattr(model, name) for name in ("J", "loss", "scale_weight")}
    loss |= {"scattering_weight": model.scattering_weight, "images": torch.from_numpy(X[:_ROWS])}
    floor = inf if rows is None else _loss_of_regression(model, ImageLoss(**loss), Z, X, rows[1])
    return train(
        DecoderNet,
        lambda: _calibrated(parts, torch.from_numpy(Z[:_ROWS])),
        Z,
        X,
        rows=rows,
        seed=seed,
        floor=floor,
        coef=torch.from_numpy(model.coef_).to(device),
        intercept=torch.from_numpy(model.intercept_).to(device),
        noise=model.latent_noise,
        criterion=ImageLoss,
        **{f"criterion__{name}": value for name, value in loss.items()},
        **training_parameters(model, device, (X, rows)),
    )


@torch.no_grad()
def _loss_of_regression(model, loss, Z, X, rows):
    total = 0.0
    for part in np.array_split(rows, ceil(len(rows) / _ROWS)):
        x = torch.from_numpy(X[part])
        y = torch.from_numpy(model._linear(Z[part])).view_as(x)
        total += len(part) * loss(y, x).item()
    return total / len(rows)


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
