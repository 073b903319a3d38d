"""Problems that the tests of sparse codes share."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import sparse_encode

from skwave.functional import normalize_atoms


@pytest.fixture
def problem(randn):
    return randn(3, 5, 8), normalize_atoms(randn(20, 8))


@pytest.fixture
def planted():
    """Codes of two atoms in an incoherent dictionary: mu s < 1/2."""
    generator = torch.Generator().manual_seed(1)
    identity = torch.eye(256, dtype=torch.float64)
    n = torch.arange(256, dtype=torch.float64)
    cosines = normalize_atoms(torch.cos(torch.pi / 256 * (n + 0.5) * n[:, None]))
    D = torch.cat([identity, cosines])  # spikes and cosines: coherence sqrt(2 / 256)
    z = torch.zeros(50, 512, dtype=torch.float64)
    chosen = torch.rand(50, 512, generator=generator).topk(2).indices
    signs = torch.randint(2, (50, 2), generator=generator, dtype=torch.float64) * 2 - 1
    sizes = signs * (1 + torch.rand(50, 2, generator=generator, dtype=torch.float64))
    return D, z.scatter_(1, chosen, sizes)


@pytest.fixture
def correlated(randn):
    """Atoms of a few directions and noise: like a learnt dictionary, far from incoherent."""
    D = normalize_atoms(randn(64, 6) @ randn(6, 16) + 0.5 * randn(64, 16))
    z = torch.where(randn(40, 64) > 1, randn(40, 64), 0.0)
    x = z @ D
    return x / x.norm(dim=1, keepdim=True), D


@pytest.fixture
def sklearn_codes():
    """Codes of scikit-learn as a tensor of any leading axes."""

    def codes(x, D, **parameters):
        rows = x.reshape(-1, x.shape[-1]).numpy()
        z = sparse_encode(rows, D.numpy(), max_iter=100_000, **parameters)
        return torch.from_numpy(np.ascontiguousarray(z)).reshape(*x.shape[:-1], len(D))

    return codes
