import numpy as np
import pytest
import torch

from skwave.functional._textures.families import moment_family, moment_layout

from .._harmonics_reference import Brute, moments_of


@pytest.mark.parametrize("shape", [(32, 32), (21, 24), (40, 1)])
def test_powers_by_brute_force(randn, shape):
    J, L = 2, 1 if shape[1] == 1 else 3
    x = randn(1, *shape) ** 3
    layout = moment_layout(shape, J, L, ("K",))
    rows = layout.rows()
    assert [r.part for r in rows[:3]] == ["re3", "re4", "abs4"]
    expected = Brute(x, J, L).rows(rows)
    np.testing.assert_allclose(moments_of(x, layout, oversampling=2), expected, rtol=1e-9)


def test_gaussian_noise_has_no_kurtosis(randn):
    """Of a complex Gaussian w with <|w|^2> = 1: <Re^4> = 3/4, <|w|^4> = 2."""
    x = randn(200, 1, 32, 32)
    layout = moment_layout((32, 32), 2, 2, ("K",))
    # of scale 1: wavelets of scale 0 reach the highest frequencies, where the real part alone is
    m = moment_family(layout).moments(x, None, True).mean(0).view(2, 2, 3)[1]
    expected = torch.tensor([0.0, 0.75, 2.0], dtype=m.dtype).expand(2, 3)
    torch.testing.assert_close(m, expected, rtol=0.05, atol=0.02)
