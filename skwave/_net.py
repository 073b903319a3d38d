"""Training of regression networks by skorch."""

import torch
from skorch import NeuralNet
from skorch.callbacks import EarlyStopping, LRScheduler
from skorch.dataset import ValidSplit
from skorch.utils import noop
from torch import nn

_LOSSES = {"squared_error": nn.MSELoss, "absolute_error": nn.L1Loss}


class _WeightedNet(NeuralNet):
    # the columns of y are targets and weights, as skorch splits y along with X

    def get_loss(self, y_pred, y_true, *args, **kwargs):
        y, weight = y_true.to(y_pred).unbind(1)
        return (weight * super().get_loss(y_pred, y, *args, **kwargs)).mean()


def weighted_net(
    module,
    *,
    loss,
    alpha,
    rate,
    batch_size,
    max_iter,
    validation_fraction,
    n_iter_no_change,
    tol,
    device,
    seed,
    verbose,
):
    """Net for ``fit(X, y)`` where ``y`` has the columns target and weight.

    Parameters
    ----------
    module : torch.nn.Module
        Network.
    loss : {"squared_error", "absolute_error"}
        Loss.
    alpha : float
        Decay of the weights.
    rate : float
        First learning rate; it falls along a cosine to 0 at ``max_iter``.
    batch_size : int
        Samples of a step.
    max_iter : int
        Largest number of epochs.
    validation_fraction : float or None
        Share of the samples by which to stop early; None for no such thing.
    n_iter_no_change : int
        Epochs of patience.
    tol : float
        Relative fall of the loss that counts.
    device : torch.device
        Where to compute.
    seed : int
        Seed of the split.
    verbose : int
        Print epochs if positive.

    Returns
    -------
    net : skorch.NeuralNet
        Not fitted.
    """
    callbacks = [("rate", LRScheduler("CosineAnnealingLR", T_max=max_iter))]
    split = None
    if validation_fraction is not None:
        stop = EarlyStopping(patience=n_iter_no_change, threshold=tol, load_best=True, sink=noop)
        callbacks.append(("stop", stop))
        split = ValidSplit(validation_fraction, random_state=seed)
    return _WeightedNet(
        module,
        criterion=_LOSSES[loss],
        criterion__reduction="none",
        optimizer=torch.optim.AdamW,
        optimizer__weight_decay=alpha,
        lr=rate,
        batch_size=batch_size,
        max_epochs=max_iter,
        iterator_train__shuffle=True,
        train_split=split,
        callbacks=callbacks,
        device=device,
        verbose=verbose,
    )
