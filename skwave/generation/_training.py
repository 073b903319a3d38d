"""Training of the network of `skwave.CASEGenerator`: the loss, and the net that adds noise.

The generator imports this module when it is fitted, since skorch takes seconds to import.
"""

from dataclasses import replace
from math import inf, prod

import numpy as np
import torch
from torch import Tensor, nn

from skwave._core.batches import predict_batches
from skwave._networks.fitting import training_parameters
from skwave._networks.randomness import DrawFrom
from skwave._networks.training import AutocastNet, train
from skwave.generation._layers import average_blocks, make_decoder
from skwave.scattering._layer import Scattering

_N_FIRST = 500  # samples that the thresholds and variances are set by
_L = 4  # orientations of the coefficients that are compared


class DecoderNet(AutocastNet):
    """Net from codes to images: a regression, and a module on codes with noise added in training.

    Parameters
    ----------
    *args : object
        Arguments of `AutocastNet`.
    coef : Tensor, shape (n_pixels, n_components)
        Matrix of the regression, on the device of the net.
    intercept : Tensor, shape (n_pixels,)
        Intercept of the regression, on the device of the net.
    noise : float, default=0.0
        Standard deviation of the noise, in units of the codes.
    **kwargs : object
        Arguments of `AutocastNet`.
    """

    def __init__(self, *args, coef, intercept, noise=0.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.coef, self.intercept, self.noise = coef, intercept, noise

    def infer(self, x, **fit_params):  # numpydoc ignore=GL08
        x = x.to(self.device)
        base = x @ self.coef.T + self.intercept
        if self.noise and self.module_.training:
            with DrawFrom(self.generator):
                x = x + self.noise * torch.randn(x.shape, dtype=x.dtype, device=x.device)
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
    loss : {"squared_error", "absolute_error"}
        Error of a pixel.
    scale_weight : float
        Weight :math:`w` of the coarse images.
    scattering_weight : float
        Weight :math:`v` of the coefficients.
    images : Tensor, shape (n, C, H, W)
        Images whose variances are the units of the errors of coefficients.
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

    def row_bytes(self, shape, itemsize):
        """Memory that the coefficients of one image and its decoded image take.

        Parameters
        ----------
        shape : tuple of int
            ``(C, H, W)``.
        itemsize : int
            Bytes of a number.

        Returns
        -------
        n_bytes : int
            0 without coefficients in the loss.
        """
        if not self.scattering_weight:
            return 0
        n_paths = 1 + self.J * _L + self.J * (self.J - 1) // 2 * _L**2
        # the first order on all pixels, complex, and the coefficients of both images
        return prod(shape) * itemsize * (4 * (1 + _L * self.J) + 4 * n_paths // 4**self.J + 4)

    def _error(self, e):
        return (e.square() if self.loss == "squared_error" else e.abs()).mean()


def _make_calibrated(design, Z):
    module, z = make_decoder(**design), torch.from_numpy(Z)
    module = module.to(z.dtype)
    if design["decoder"] == "dictionary":
        module.calibrate(z)
    return module


def train_decoder(model, regression, Z, images, rows, seed, device):
    """Train the network of a generator on the residuals of its regression.

    Parameters
    ----------
    model : CASEGenerator
        Generator with its parameters.
    regression : Decoder
        Decoder without a network.
    Z : ndarray, shape (n_samples, n_components)
        Codes.
    images : ndarray, shape (n_samples, n_pixels)
        Images.
    rows : tuple of ndarray of int, or None
        Samples to train on, and to choose the epoch on; None for all, and the last epoch.
    seed : int
        Seed of the first weights, the noise and the order of the samples.
    device : torch.device
        Where to compute.

    Returns
    -------
    decoder : Decoder
        Decoder with the trained network.
    loss_curve, validation_loss_curve : list of float
        Losses of each epoch, as `skwave._networks.training.train` gives them.
    """
    X = np.ascontiguousarray(images.reshape(-1, *regression.image_shape))
    design = _design(model, regression)
    loss = {name: getattr(model, name) for name in ("loss", "scale_weight", "scattering_weight")}
    loss |= {"J": regression.J, "images": torch.from_numpy(X[:_N_FIRST])}
    floor = inf if rows is None else _loss_of(regression, ImageLoss(**loss), Z, X, rows[1])
    network, *curves = train(
        DecoderNet,
        lambda: _make_calibrated(design, Z[:_N_FIRST]),
        Z,
        X,
        rows=rows,
        seed=seed,
        floor=floor,
        coef=torch.from_numpy(regression.coef).to(device),
        intercept=torch.from_numpy(regression.intercept).to(device),
        noise=model.latent_noise,
        criterion=ImageLoss,
        **{f"criterion__{name}": value for name, value in loss.items()},
        **training_parameters(model, device, (X, rows)),
    )
    return replace(regression, design=design, network=network), *curves


def _design(model, regression):
    # parameters of the network, which a pickle holds
    C, *shape = regression.image_shape
    design = {
        "decoder": model.decoder,
        "n_features": regression.coef.shape[1],
        "n_channels": C,
        "shape": shape,
        "J": regression.J,
        "channels": model.channels,
    }
    if model.decoder == "dictionary":
        design |= {"n_atoms": tuple(model.n_atoms), "n_iter": model.n_iter, "alpha": model.alpha}
    return design


@torch.no_grad()
def _loss_of(regression, loss, Z, X, rows):
    # mean over the rows: each has the loss of its batch
    def of_batch(batch):  # numpydoc ignore=GL08
        batch = batch.numpy()
        y = regression.regression(torch.from_numpy(Z[batch]))
        return loss(y, torch.from_numpy(X[batch])).expand(len(batch))

    n_bytes = 8 * X[0].nbytes + loss.row_bytes(X.shape[1:], X.itemsize)
    return predict_batches(of_batch, rows, row_bytes=n_bytes).double().mean().item()
