"""Layers of torch for the networks of several topics."""

import torch
from torch import Tensor, nn


class BatchNorm(nn.BatchNorm2d):
    """Batch norm of maps, by the running statistics where a batch is one image of one position.

    Such a batch has no variance: torch's own layer raises an error.
    """

    def forward(self, x: Tensor) -> Tensor:  # numpydoc ignore=GL08
        if not self.training or x.numel() > x.shape[1]:
            return super().forward(x)
        statistics = self.running_mean, self.running_var
        return nn.functional.batch_norm(x, *statistics, self.weight, self.bias, eps=self.eps)


class Dropout(nn.Dropout):
    """Dropout whose mask is drawn by a function that takes a generator.

    `skwave._networks.randomness.DrawFrom` cannot hand a generator to torch's own dropout.
    """

    def forward(self, x: Tensor) -> Tensor:  # numpydoc ignore=GL08
        if not self.training or not self.p:
            return x
        kept = torch.empty_like(x).bernoulli_(1 - self.p)
        return x * kept / (1 - self.p)
