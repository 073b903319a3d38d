import math

import numpy as np
import pytest
import torch

from skwave.functional._scattering.layout import (
    next_fast_length,
    piece_size,
    scattering_geometry,
    scattering_layout,
)

MODES = ["reflect", "periodic", "zero"]


def test_next_fast_length_is_the_next_product_of_small_primes():
    fast = sorted(
        2**a * 3**b * 5**c * 7**d
        for a in range(12)
        for b in range(8)
        for c in range(6)
        for d in range(5)
    )
    n = np.arange(1, 2000)
    expected = np.array(fast)[np.searchsorted(fast, n)]
    assert [next_fast_length(int(i)) for i in n] == expected.tolist()


@pytest.mark.parametrize("J", range(1, 6))
def test_sizes_of_images_are_those_of_kymatio(kymatio, J):
    from kymatio.scattering2d.utils import compute_padding

    for shape in [(32, 32), (33, 45), (64, 37), (100, 128), (63, 96), (224, 224)]:
        padded = compute_padding(*shape, J)
        geometry = scattering_geometry(shape, J)
        assert geometry.extended == padded
        assert geometry.count == tuple(n // 2**J - 2 for n in padded)
        assert geometry.left == tuple((m - n) // 2 for m, n in zip(padded, shape, strict=True))


@pytest.mark.parametrize("boundary", MODES)
@pytest.mark.parametrize(
    ("n", "J", "T"), [(100, 3, None), (300, 3, None), (512, 5, 70), (999, 4, 3), (64, 6, 64)]
)
def test_coefficients_of_a_signal_lie_at_multiples_of_the_step(boundary, n, J, T):
    geometry = scattering_geometry((n,), J, T, boundary)
    support, step = max(2**J, T or 1), geometry.step
    assert step <= (T or 2**J) < 2 * step
    assert geometry.first[0] * step == geometry.left[0]
    assert (geometry.count[0] - 1) * step < n <= geometry.count[0] * step
    assert geometry.extended[0] % 2**J == geometry.extended[0] % step == 0
    period = {"reflect": 2 * n - 2, "periodic": n}.get(boundary)
    if geometry.span[0] == period:  # one period, on a grid that is no coarser
        assert geometry.left[0] == 0
        assert period <= geometry.extended[0] < n + 18 * support
    else:
        assert not geometry.resampled
        right = geometry.extended[0] - n - geometry.left[0]
        assert min(geometry.left[0], right) >= max(9, 6.5 + math.log2(n / support) / 2) * support


@pytest.mark.parametrize(("shape", "J"), [((64,), 4), ((32, 48), 3), ((33, 17), 3), ((61,), 4)])
def test_periodic_signals_are_not_extended(shape, J):
    geometry = scattering_geometry(shape, J, boundary="periodic")
    ndim = len(shape)
    assert geometry.span[:ndim] == shape
    assert geometry.left[:ndim] == geometry.first[:ndim] == (0,) * ndim
    expected = [n // 2**J if ndim == 2 else -(-n // 2**J) for n in shape]
    assert geometry.count[:ndim] == tuple(expected)
    assert geometry.resampled == any(n % 2**J for n in shape)
    assert all(n % 2**J == 0 for n in geometry.extended[:ndim])


@pytest.mark.parametrize("shape", [(33, 45), (16, 20), (200,)])
@pytest.mark.parametrize("k", range(4))
def test_inside_is_the_part_of_the_grid_on_the_signal(shape, k):
    geometry = scattering_geometry(shape, J=3)
    inside = geometry.inside(k)
    for axis, n in enumerate(shape):
        position = torch.arange(0, geometry.extended[axis], 2**k) - geometry.left[axis]
        assert geometry.grid(k)[axis] == len(position)
        kept = position[(position >= 0) & (position < n)]
        assert torch.equal(position[inside[axis]], kept)
    if len(shape) == 1:
        assert geometry.grid(k)[1] == 1
        assert inside[1] == slice(0, 1)


@pytest.mark.parametrize("k", range(4))
def test_inside_of_a_period_begins_with_the_signal(k):
    geometry = scattering_geometry((50,), J=3)
    assert geometry.span[0] == 98 and geometry.grid(0)[0] == 98
    assert geometry.inside(k)[0] == slice(0, -(-50 // 2**k))
    if k:
        assert geometry.grid(k)[0] == geometry.extended[0] >> k


@pytest.mark.parametrize(("J", "T"), [(1, None), (5, None), (8, 100), (3, 77), (14, None)])
def test_pieces_are_multiples_of_every_step_and_their_margins_are_not_most_of_them(J, T):
    size = piece_size(J, T)
    geometry = scattering_geometry((size,), J, T, "given")
    support = max(2**J, T or 0)
    assert size % 2**J == size % geometry.step == geometry.left[0] % 2**J == 0
    assert geometry.extended[0] >= 2**17
    assert geometry.left[0] >= 13 * support
    assert geometry.extended[0] - size - geometry.left[0] >= 13 * support
    assert size >= 2 * (geometry.extended[0] - size) or size >= 2**16
    assert geometry.count[0] == size // geometry.step


def test_a_piece_has_the_paths_of_the_signal():
    for J, T, Q in [(3, None, (8, 1)), (6, 40, (4, 2)), (5, None, (1, 1))]:
        for boundary in MODES:
            whole = scattering_layout((2**14,), J, T=T, Q=Q, boundary=boundary)
            piece = scattering_layout((2**10,), J, T=T, Q=Q, boundary="given")
            assert piece.scales == whole.scales
            assert piece.given[0] > 2**10
            assert whole.given == (2**14, 1)
