import pytest
import torch

from skwave.functional._textures.fields import averaging_masks


@pytest.mark.parametrize("periodic", [False, True])
def test_a_hole_is_left_out_with_its_surroundings(periodic):
    valid = torch.ones(32, 32, dtype=torch.bool)
    valid[3, 20] = False
    y, x = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    for j, mask in enumerate(averaging_masks(valid, 4, periodic=periodic)):
        reach = 2 ** min(j, 3)
        dy, dx = (y - 3).abs(), (x - 20).abs()
        if periodic:
            far = (torch.minimum(dy, 32 - dy) > reach) | (torch.minimum(dx, 32 - dx) > reach)
        else:
            inside = (y >= reach) & (y < 32 - reach) & (x >= reach) & (x < 32 - reach)
            far = ((dy > reach) | (dx > reach)) & inside
        torch.testing.assert_close(mask > 0, far)
        assert float(mask.mean()) == pytest.approx(1)
