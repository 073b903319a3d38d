import pytest
import torch

from skwave.functional._textures.families import moment_family, moment_layout


@pytest.mark.parametrize("shape", [(8, 8), (7, 8), (9, 7), (9, 1), (8, 1)])
def test_gaussian_moments_are_the_periodogram(randn, shape):
    layout, x = moment_layout(shape, 2, 1, "gaussian"), randn(1, 1, *shape)
    family, rows = moment_family(layout), layout.rows()
    power = (torch.fft.fft2(x[0, 0], norm="forward")).abs().square()
    expected = torch.stack([power[r.dy, r.dx] for r in rows])
    torch.testing.assert_close(family.moments(x, None, False)[0], expected)
    # each wave once, the constant not at all
    pairs = [{(s * r.dy % shape[0], s * r.dx % shape[1]) for s in (1, -1)} for r in rows]
    assert sum(map(len, pairs)) == len(set.union(*pairs)) == x.numel() - 1
    torch.testing.assert_close(
        family.moments(x, None, True)[0], expected * (x.numel() - 1) / x.var(correction=0)
    )
