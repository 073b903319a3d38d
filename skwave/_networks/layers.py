"""Layers of torch that networks of several topics have."""

from torch import Tensor, nn


class BatchNorm(nn.BatchNorm2d):
    """Batch norm of maps, by the running statistics where a batch is one image of one position.

    It has no variance: torch's own raises an error.
    """

    def forward(self, x: Tensor) -> Tensor:  # numpydoc ignore=GL08
        if not self.training or x.numel() > x.shape[1]:
            return super().forward(x)
        statistics = self.running_mean, self.running_var
        return nn.functional.batch_norm(x, *statistics, self.weight, self.bias, eps=self.eps)
