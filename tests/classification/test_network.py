"""The network from scattering coefficients to classes."""

import numpy as np
import pytest
import torch
from sklearn import config_context

from skwave.classification._network import describe, make_network, row_bytes, run
from skwave.nn import ScatteringDictionary


@pytest.fixture
def network():
    """Of two channels at 3 by 4 positions, each value of a sample found once."""
    torch.manual_seed(0)
    design = {
        "mean": np.zeros(2), "scale": np.array([1.0, 2.0]),
        "views": np.arange(24).reshape(1, 2, 3, 4).transpose(0, 2, 3, 1), "n_classes": 3,
        "block": "istc", "n_iter": 3, "alpha": 0.1, "learn_dictionary": True, "projection": 5,
        "n_atoms": 9, "classifier": "linear", "n_hidden": 0, "pooling": 2,
    }  # fmt: skip
    return make_network(**design).double().eval()


def test_description(network):
    S = np.random.default_rng(0).standard_normal((20, 24))
    D, coherence, sparsity = describe(network, S)
    assert np.allclose(D, network.block.atoms().detach())
    assert np.isclose(coherence, np.abs(D @ D.T - np.eye(9)).max())
    with torch.no_grad():
        z = network.codes(torch.from_numpy(S))
    assert z.shape == (20, 9, 3, 4) and np.isclose(sparsity, (z > 0).double().mean())


def test_batches(network):
    """One or two images at a time give what all give, from memory that may not be written to."""
    S = np.random.default_rng(0).standard_normal((20, 24))
    S.flags.writeable = False
    expected, sizes = run(network, network, S), []

    def f(x):
        sizes.append(len(x))
        return network(x)

    with config_context(working_memory=2.5 * row_bytes(network) / 2**20):
        assert torch.allclose(run(network, f, S), expected)
    assert sizes == [2] * 10


def test_views_are_drawn_in_training():
    views = torch.tensor([0, 1, 2, 3]).view(1, 2, 2, 1)
    views = torch.cat([views, views.flip(2)])
    network = ScatteringDictionary(
        torch.zeros(1), torch.ones(1), views, None, 0, 0, n_classes=2, dropout=0.0
    )
    X = torch.arange(4.0).expand(400, 4)
    assert torch.equal(
        network.codes(X, 0)[:, 0], torch.tensor([[0.0, 1], [2, 3]]).expand(400, 2, 2)
    )
    assert torch.equal(
        network.codes(X, 1)[:, 0], torch.tensor([[1.0, 0], [3, 2]]).expand(400, 2, 2)
    )
    network.eval()
    assert len(network(X).unique(dim=0)) == 1
    assert not torch.allclose(network(X, 1), network(X, 0))
    network.train()
    rows, counts = network(X).unique(dim=0, return_counts=True)
    assert len(rows) == 2 and counts.min() > 100
