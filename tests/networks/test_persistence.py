"""Networks as arrays."""

import numpy as np
import torch
from torch import nn

from skwave._networks.persistence import (
    from_arrays,
    network_from_arrays,
    network_to_arrays,
    to_arrays,
)


def make():
    """Network with weights that are not learned, and with buffers."""
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))
    network[0].bias.requires_grad_(False)
    return network


def trained():
    """Network of another type than `make` gives, with statistics, and inputs."""
    X, network = torch.randn(8, 3, dtype=torch.float64), make().double()
    network(X)
    return network.eval(), X


def test_network():
    trained_network, X = trained()
    weights, state = to_arrays(trained_network), torch.get_rng_state()
    assert all(type(w) is np.ndarray for w in weights.values())
    network, expected = from_arrays(make, weights), trained_network(X)
    assert torch.equal(network(X), expected) and not network.training
    flags = [w.requires_grad for w in network.parameters()]
    assert flags == [w.requires_grad for w in trained_network.parameters()]
    assert torch.equal(torch.get_rng_state(), state)
    # they are copies
    for weight in weights.values():
        weight *= 0
    assert torch.equal(network(X), expected)


def test_state():
    network, X = trained()
    for name in ("network_", "other"):
        before = {name: network, "n_iter_": 1}
        state = network_to_arrays(before, name)
        assert before == {name: network, "n_iter_": 1} and sorted(state) == sorted(before)
        assert sorted(state[name]) == sorted(network.state_dict())
        again = network_from_arrays(state, make, name)
        assert torch.equal(again[name](X), network(X)) and again["n_iter_"] == 1
    for nothing in ({"other": 1}, {"network_": None}):
        assert network_to_arrays(nothing) == network_from_arrays(nothing, make) == nothing
