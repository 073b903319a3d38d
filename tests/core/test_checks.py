import pytest

from skwave._core.checks import default_scale, resolve_ndim


@pytest.mark.parametrize(
    ("shape", "J"),
    [
        ((8192,), 8),
        ((1024,), 8),
        ((1023,), 7),
        ((16,), 2),
        ((8,), 1),
        ((2,), 1),
        ((8, 8), 1),
        ((32, 32), 3),
        ((28, 28), 2),
        ((512, 64), 3),
        ((1, 64), 3),
        ((1, 1), 1),
    ],
)
def test_the_default_scale_leaves_four_positions(shape, J):
    assert default_scale(shape) == J
    assert J in (1, 8 if len(shape) == 1 else 3) or min(n for n in shape if n > 1) // 2**J in (4, 7)


def test_the_number_of_axes_is_told_or_inferred():
    assert resolve_ndim(2, None, 2, "E") == 2
    assert resolve_ndim(None, 16, 2, "E") == 1
    assert resolve_ndim(None, (8, 8), 2, "E") == 2
    assert resolve_ndim(None, None, 2, "E") == 1
    assert resolve_ndim(None, None, 4, "E") == 2
    assert resolve_ndim(None, None, 3, "E", stacked=2) == 2
    with pytest.raises(ValueError, match=r"X has 3 axes.*\(n, H, W\).*give E ndim=2 .* ndim=1"):
        resolve_ndim(None, None, 3, "E")
    with pytest.raises(ValueError, match="X has 5 axes"):
        resolve_ndim(None, None, 5, "E", stacked=2)
    for shape in [(), (2, 3, 4)]:
        with pytest.raises(ValueError, match=r"shape=.* must be \(N,\) .* or \(H, W\)"):
            resolve_ndim(None, shape, 2, "E")
