import math

import pytest

from skwave.functional._textures.offsets import Shift, Shifts


@pytest.mark.parametrize("L", [1, 3, 4, 8])
@pytest.mark.parametrize("whole", [False, True])
def test_directions_are_counted_from_the_wave_vector(L, whole):
    A = 4
    for l in range(L):
        shifts = Shifts(3, A).of(l, L, 3, whole)
        assert [(s.n, s.a) for s in shifts] == [
            (n, a) for n in (1, 2, 3) for a in range(2 * A if whole else A)
        ]
        for s in shifts:
            # in the frame of the wave, the offset has the angle -pi a / A and the length 2^n
            turned = complex(s.dx, s.dy) * complex(
                math.cos(math.pi * l / L), -math.sin(math.pi * l / L)
            )
            angle = -math.pi * s.a / A
            expected = 2**s.n * complex(math.cos(angle), math.sin(angle))
            assert abs(turned - expected) <= math.sqrt(0.5) + 1e-12  # rounded to samples


def test_opposite_directions_are_opposite_offsets():
    shifts = {(s.n, s.a): s for s in Shifts(2, 4).of(1, 3, 2, True)}
    for (n, a), s in shifts.items():
        back = shifts[n, (a + 4) % 8]
        assert (back.dy, back.dx) == (-s.dy, -s.dx)


def test_signals_have_offsets_along_their_axis():
    shifts = Shifts(2, 1, ndim=1).of(0, 1, 2, True)
    assert shifts == [Shift(1, 0, 2), Shift(1, 1, -2), Shift(2, 0, 4), Shift(2, 1, -4)]
    assert Shifts(0, 4).of(0, 4, 0, True) == []
