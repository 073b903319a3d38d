"""Training of `skwave.CASEGenerator`; apart, since skorch takes seconds to import."""

import warnings
from functools import partial
from math import cos, isfinite, pi
from pathlib import Path

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from skorch import NeuralNet
from skorch.callbacks import Callback, Checkpoint, LRScheduler
from torch import Tensor, nn

from skwave._case_layers import average_blocks
from skwave._net import Rows, as_batch, fixed_split

_BEST = "best.pt"


class DecoderNet(NeuralNet):
    """Net from codes to images, which adds noise to the codes in training.

    Parameters
    ----------
    *args : object
        As for skorch's ``NeuralNet``.
    noise : float, default=0.0
        Standard deviation of the noise, in units of the codes.
    autocast : bool, default=False
        Whether to compute in bfloat16 on CUDA.
    **kwargs : object
        As for skorch's ``NeuralNet``.
    """

    def __init__(self, *args, noise=0.0, autocast=False, **kwargs):
        super().__init__(*args, **kwargs)
        self.noise = noise
        self.autocast = autocast

    def infer(self, x, **fit_params):  # numpydoc ignore=GL08
        x = x.to(self.device)
        if self.noise and self.module_.training:
            x = x + self.noise * torch.randn_like(x)
        with torch.autocast("cuda", torch.bfloat16, enabled=self.autocast):
            y = super().infer(x, **fit_params)
        return y.float() if self.autocast else y


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


class Keeper(Callback):
    """Stop when nothing improves or a loss is not finite, keep the best weights, seed each epoch.

    Parameters
    ----------
    seed : int
        Each epoch draws from a seed of its own, so that a resumed training draws the same.
    patience : int
        Epochs without a lower validation loss before training stops.
    folder : Path or None
        Where to keep the best weights beside those in memory.
    floor : float
        Validation loss of the first weights, which are kept unless it gets lower.
    """

    def __init__(self, seed, patience, folder, floor):
        self.seed, self.patience, self.folder, self.floor = seed, patience, folder, floor

    def on_train_begin(self, net, **kwargs):  # numpydoc ignore=GL08
        path = self.folder and self.folder / _BEST
        stored = path and path.exists()
        device = net.device
        self.best_ = torch.load(path, map_location=device) if stored else _state(net)

    def on_epoch_begin(self, net, **kwargs):  # numpydoc ignore=GL08
        torch.manual_seed(self.seed + len(net.history))

    def on_batch_end(self, net, training, **kwargs):  # numpydoc ignore=GL08
        loss = net.history[-1, "batches", -1, "train_loss" if training else "valid_loss"]
        if not isfinite(loss):
            raise FloatingPointError(f"a loss of {loss}")

    def on_epoch_end(self, net, **kwargs):  # numpydoc ignore=GL08
        if net.train_split is None:
            self.best_ = _state(net)
            return
        losses = net.history[:, "valid_loss"]
        if losses[-1] == min(self.floor, *losses):
            self.best_ = _state(net)
            if self.folder:
                torch.save(self.best_, self.folder / _BEST)
        if len(losses) - 1 - np.argmin(losses) >= self.patience:
            raise KeyboardInterrupt  # which ends the loop of skorch

    def on_train_end(self, net, **kwargs):  # numpydoc ignore=GL08
        net.module_.load_state_dict(self.best_)


def _state(net):
    return {name: value.detach().clone() for name, value in net.module_.state_dict().items()}


def _rate(epoch, schedule, max_epochs):
    if schedule is None:
        return 1.0
    return (1 + cos(pi * epoch / max_epochs)) / 2


def train_decoder(
    module,
    Z,
    R,
    *,
    J,
    rows,
    loss,
    scale_weight,
    latent_noise,
    lr,
    weight_decay,
    schedule,
    batch_size,
    max_epochs,
    n_iter_no_change,
    seed,
    folder,
    device,
    autocast,
    verbose,
    name,
):
    """Train a network to decode, and keep its best weights.

    Parameters
    ----------
    module : Module
        Tensor (n, n_features) -> Tensor (n, C, H, W).
    Z : ndarray, shape (n_samples, n_features)
        Codes.
    R : ndarray, shape (n_samples, C, H, W)
        What it shall give.
    J : int
        Log2 of the largest scale of the loss.
    rows : tuple of ndarray of int, or None
        Samples to train on, and to choose the epoch on; None for all, and the last epoch.
    loss, scale_weight, latent_noise, lr, weight_decay, schedule, batch_size : object
        As in `skwave.CASEGenerator`.
    max_epochs, n_iter_no_change : int
        As there.
    seed : int
        Of the noise and the order of the samples.
    folder : Path or None
        Where to keep the state after each epoch, and to go on from.
    device : torch.device
        Where to compute.
    autocast : bool
        Whether to compute in bfloat16.
    verbose : int
        Print the progress if positive.
    name : str
        Name in the progress.

    Returns
    -------
    net : DecoderNet
        Trained.

    Warns
    -----
    ConvergenceWarning
        If a loss was not finite: the weights are the best until then.
    """
    # a decoder begins at zero
    floor = (
        np.inf
        if rows is None
        else float(ScaleLoss(J, loss, scale_weight)(torch.zeros(()), torch.from_numpy(R[rows[1]])))
    )
    keeper = Keeper(seed, n_iter_no_change, folder, floor)
    rate = partial(_rate, schedule=schedule, max_epochs=max_epochs)
    callbacks = [("rate", LRScheduler("LambdaLR", lr_lambda=rate)), ("keeper", keeper)]
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        last = Checkpoint(monitor=None, dirname=folder, fn_prefix="last_", event_name=None)
        callbacks.insert(1, ("last", last))
    net = DecoderNet(
        module,
        criterion=ScaleLoss,
        criterion__J=J,
        criterion__loss=loss,
        criterion__weight=scale_weight,
        optimizer=torch.optim.AdamW,
        optimizer__weight_decay=weight_decay,
        lr=lr,
        batch_size=batch_size,
        max_epochs=max_epochs,
        dataset=Rows,
        iterator_train__shuffle=True,
        iterator_train__collate_fn=as_batch,
        iterator_valid__collate_fn=as_batch,
        train_split=None if rows is None else partial(fixed_split, train=rows[0], test=rows[1]),
        callbacks=callbacks,
        device=device,
        noise=latent_noise,
        autocast=autocast,
        verbose=verbose,
    ).initialize()
    if folder is not None and Path(last.f_history_).exists():
        _resume(net, last, n_iter_no_change, name)
    try:
        net.partial_fit(Z, R)
    except FloatingPointError as error:
        keeper.on_train_end(net)
        warnings.warn(
            f"epoch {len(net.history)} had {error}: training has stopped, and the decoder is the "
            "best of the epochs before. Lower lr, or raise batch_size.",
            ConvergenceWarning,
            stacklevel=3,
        )
    net.train_split = None  # which holds the rows of the parts
    keeper.best_ = None
    return net


def _resume(net, last, patience, name):
    net.load_params(checkpoint=last)
    net.max_epochs -= len(net.history)
    if net.train_split is not None:
        losses = net.history[:, "valid_loss"]
        if len(losses) - 1 - np.argmin(losses) >= patience:
            net.max_epochs = 0
    if net.verbose:
        print(f"[{name}] goes on after {len(net.history)} epochs", flush=True)
