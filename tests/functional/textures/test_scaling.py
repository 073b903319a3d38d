import numpy as np
import pytest
import torch

from skwave.functional._textures.families import moment_family, moment_layout

from .._harmonics_reference import Brute, moments_of


@pytest.mark.parametrize(("J", "scales"), [(3, {-1, 0}), (4, {-1, 0, 1})])
def test_scaling_moments_by_brute_force(randn, J, scales):
    x = randn(1, 32, 24) ** 3
    layout = moment_layout((32, 24), J, 1, ("L",))
    rows = layout.rows()
    assert {r.j1 for r in rows} == scales
    np.testing.assert_allclose(moments_of(x, layout), Brute(x, J, 1).rows(rows), rtol=1e-9)


def test_a_symmetric_field_has_no_covariance_with_its_modulus(randn):
    x = randn(1, 1, 32, 32)
    x = x - x.mean()
    layout = moment_layout((32, 32), 2, 1, ("L",))
    moments = moment_family(layout).moments
    both = (moments(x, None, True) + moments(-x, None, True))[0].view(2, 3)
    torch.testing.assert_close(both[:, 1], torch.zeros(2, dtype=x.dtype), atol=1e-12, rtol=0)
    assert (both[:, [0, 2]] > 0).all()
