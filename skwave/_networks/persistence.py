"""Networks as arrays, which every format of files holds and every device reads."""

from functools import partial

import torch
from torch import nn


def to_arrays(module):
    """Weights of a network.

    Parameters
    ----------
    module : Module
        Trained.

    Returns
    -------
    weights : dict of ndarray
        By name.
    """
    return {name: weight.cpu().numpy() for name, weight in module.state_dict().items()}


def from_arrays(make_module, weights):
    """Network of given weights, on the CPU.

    torch's global generator is left as it was.

    Parameters
    ----------
    make_module : callable
        Without arguments; makes the module, of any weights.
    weights : dict of ndarray
        As of `to_arrays`.

    Returns
    -------
    module : Module
        In evaluation.
    """
    with torch.random.fork_rng(devices=[]):
        module = make_module()
    weights = {name: torch.tensor(weight) for name, weight in weights.items()}
    module.load_state_dict(weights, assign=True)  # along with their type
    return module.eval()


def net_to_arrays(state):
    """Replace the net of an estimator by arrays.

    Parameters
    ----------
    state : dict
        Of the estimator, with or without ``net_``, which may be None.

    Returns
    -------
    state : dict
        With ``_weights`` and ``_epochs`` instead, if there is a net.
    """
    state = dict(state)
    if state.get("net_") is not None:
        net = state.pop("net_")
        state["_weights"] = to_arrays(net.module_)
        state["_epochs"] = [
            {name: value for name, value in epoch.items() if name != "batches"}
            for epoch in net.history
        ]
    return state


def net_from_arrays(make_module, weights, epochs):
    """Net that predicts; how it was trained is not stored.

    Parameters
    ----------
    make_module : callable
        As in `from_arrays`.
    weights : dict of ndarray
        As there.
    epochs : list of dict
        Its history.

    Returns
    -------
    net : skorch.NeuralNet
        Initialised.
    """
    from skorch import NeuralNet  # takes seconds to import

    net = NeuralNet(from_arrays(make_module, weights), nn.MSELoss, device="cpu", train_split=None)
    net.initialize().history.extend(epochs)
    return net


class NetAsArrays:
    """Estimator whose ``net_`` is stored as arrays; ``_make_module(weights)`` makes its module."""

    def __getstate__(self):
        return net_to_arrays(super().__getstate__())

    def __setstate__(self, state):
        state = dict(state)
        weights, epochs = state.pop("_weights", None), state.pop("_epochs", None)
        super().__setstate__(state)
        if weights is not None:
            self.net_ = net_from_arrays(partial(self._make_module, weights), weights, epochs)
