"""The network from scattering coefficients to classes."""

import torch

from skwave.nn import ScatteringDictionary


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
