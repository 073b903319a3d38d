"""Random numbers of networks from a generator of their own, apart from torch's global one."""

import torch
from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

# those that draw from the global generator unless they are given another
_DRAWING = {
    *(torch.bernoulli, torch.normal, torch.rand, torch.randint, torch.randn, torch.randperm),
    *(Tensor.bernoulli_, Tensor.normal_, Tensor.random_, Tensor.uniform_),
    *(init.kaiming_normal_, init.kaiming_uniform_, init.normal_, init.uniform_),
    *(init.xavier_normal_, init.xavier_uniform_),
}


class DrawFrom(TorchFunctionMode):
    """Context in which torch's functions draw their random numbers from a given generator.

    The context holds for the thread that enters it alone, so that fits in several threads do not
    take each other's numbers. Functions that take no generator, such as ``torch.randn_like`` and
    torch's dropout, still draw from the global one: networks here do without them.

    Parameters
    ----------
    generator : torch.Generator
        Source of the numbers, on the device of the tensors that are drawn.

    Examples
    --------
    >>> import torch
    >>> from skwave._networks.randomness import DrawFrom
    >>> with DrawFrom(torch.Generator().manual_seed(0)):
    ...     x = torch.randn(3)
    >>> torch.equal(x, torch.randn(3, generator=torch.Generator().manual_seed(0)))
    True
    """

    def __init__(self, generator):
        super().__init__()
        self.generator = generator

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in _DRAWING and kwargs.get("generator") is None:
            kwargs = {**kwargs, "generator": self.generator}
        return function(*args, **kwargs)
