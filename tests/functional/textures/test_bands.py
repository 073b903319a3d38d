from itertools import combinations_with_replacement

import torch

from skwave.functional._textures.families import moment_family, moment_layout
from skwave.functional._wavelets.bump import bump_2d


def test_third_moments_of_bands():
    J, L, shape = 3, 4, (64, 48)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 1, *shape, dtype=torch.float64, generator=generator).exp()
    bank, x_hat = bump_2d(shape, J, L), torch.fft.fft2(x[0, 0] - x.mean())
    y, x_ = (2 * torch.pi * torch.fft.fftfreq(n, dtype=torch.float64) for n in shape)
    radius = (y[:, None] ** 2 + x_**2).sqrt()
    u = []
    bands = [*bank.psi_hat.view(J, L, *shape).sum(1), bank.phi_hat]
    for f, j in zip(bands, (0, 1, 2, 3.5), strict=True):
        upper = radius >= 0.85 * torch.pi / 2**j
        u += [torch.fft.ifft2(x_hat * f * half).real for half in (upper, ~upper)]
    triples = list(combinations_with_replacement(range(2 * J + 2), 3))
    expected = torch.stack([(u[i] * u[j] * u[k]).mean() for i, j, k in triples])
    largest = [2.0 ** (1 - i // 2 - i % 2) for i in range(2 * J + 2)]
    kept = [largest[h] / 2 < largest[i] + largest[k] for h, i, k in triples]
    kept = torch.tensor(kept, dtype=torch.bool)
    assert expected[~kept].abs().max() < 2e-3 * expected.abs().max()  # by tails
    triples, expected = [t for t, k in zip(triples, kept, strict=True) if k], expected[kept]
    layout = moment_layout(shape, J, L, ("B",))
    assert [(row.j1, row.j2, row.j3) for row in layout.rows()] == triples
    for oversampling, tol in ((0, 1e-3), (1, 1e-13)):
        found = moment_family(layout, oversampling=oversampling).moments(x, None, False)[0]
        assert (found - expected).norm() < tol * expected.norm()
    moments = moment_family(layout).moments
    torch.testing.assert_close(moments(3 * x + 1, None, True), moments(x, None, True))
