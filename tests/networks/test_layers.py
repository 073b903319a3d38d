"""Layers of networks of several topics."""

import pytest
import torch

from skwave._networks.layers import BatchNorm, Dropout


def test_batch_norm_of_one_value():
    """By the running statistics, which stay; of more values as torch does it."""
    norm, expected = BatchNorm(3), torch.nn.BatchNorm2d(3)
    x = torch.randn(2, 3, 1, 1)
    torch.testing.assert_close(norm(x), expected(x))
    before = norm.running_mean.clone()
    y = norm(x[:1])
    assert torch.equal(y, norm.eval()(x[:1])) and torch.equal(norm.running_mean, before)
    assert torch.equal(norm(x), expected.eval()(x))


@pytest.mark.parametrize("p", [0.0, 0.25, 0.9])
def test_dropout(p):
    """A share of p is zero, the rest is divided by 1 - p; nothing happens in evaluation."""
    layer, x = Dropout(p), 1 + torch.rand(200, 300)
    y = layer(x)
    kept = y != 0
    assert abs(kept.float().mean().item() - (1 - p)) < 0.01
    assert torch.allclose(y[kept], x[kept] / (1 - p))
    assert torch.equal(layer.eval()(x), x)
