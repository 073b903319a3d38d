"""Networks as arrays."""

import numpy as np
import torch
from skorch import NeuralNet
from torch import nn

from skwave._networks.persistence import from_arrays, net_from_arrays, net_to_arrays, to_arrays


def make():
    """Network with weights that are not learned, and with buffers."""
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))
    network[0].bias.requires_grad_(False)
    return network


def trained():
    X = torch.randn(8, 3, dtype=torch.float64)
    net = NeuralNet(make().double(), nn.MSELoss, max_epochs=2, train_split=None, verbose=0)
    return net.fit(X, X[:, :1]), X


def test_network():
    net, X = trained()
    weights, state = to_arrays(net.module_), torch.get_rng_state()
    assert all(type(w) is np.ndarray for w in weights.values())
    network, expected = from_arrays(make, weights), net.module_.eval()(X)
    assert torch.equal(network(X), expected) and not network.training
    flags = [w.requires_grad for w in network.parameters()]
    assert flags == [w.requires_grad for w in net.module_.parameters()]
    assert torch.equal(torch.get_rng_state(), state)
    # they are copies
    for weight in weights.values():
        weight *= 0
    assert torch.equal(network(X), expected)


def test_net():
    net, X = trained()
    before = {"net_": net, "other": 1}
    state = net_to_arrays(before)
    assert before == {"net_": net, "other": 1} and sorted(state) == ["_epochs", "_weights", "other"]
    assert all(np.isscalar(v) for epoch in state["_epochs"] for v in epoch.values())
    again = net_from_arrays(make, state["_weights"], state["_epochs"])
    assert np.array_equal(again.predict(X), net.predict(X))
    assert again.history[:, "train_loss"] == net.history[:, "train_loss"]
    for nothing in ({"other": 1}, {"net_": None}):
        assert net_to_arrays(nothing) == nothing
