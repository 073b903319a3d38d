import math

import numpy as np
import pytest

from skwave.functional._textures.families import moment_family, moment_layout
from skwave.functional._textures.fields import reference

from .._harmonics_reference import (
    Brute,
    moments_of,
)


def test_divisors(image):
    # by the reference, covariances are correlations: variances of the reference are 1
    shape, J, L = (24, 32), 2, 3
    x = image(2, *shape)
    layout = moment_layout(
        shape, J, L, ("S11", "S00", "S01", "C01", "Cphase", "C00", "C11", "K", "L")
    )
    rows = layout.rows(2)
    family = moment_family(layout, oversampling=2)
    ref = reference(x[None], family.fields)
    plain = moments_of(x, layout, oversampling=2)
    by_ref = moments_of(x, layout, True, ref, oversampling=2)
    by_itself = moments_of(x, layout, True, oversampling=2)
    brute = Brute(x, J, L)

    def sd(c, j, l, k):
        h = brute.field(c, j, l, 1 if k else 0)
        return math.sqrt((abs(h) ** 2).mean())

    for i, r in enumerate(rows):
        std = float(x[r.c1].std(correction=0))
        if r.group == "K":
            by = sd(r.c1, r.j1, r.l1, 1) ** (3 if r.part == "re3" else 4)
            own = by
        elif r.group == "L":
            by = own = std**2
        else:
            by = sd(r.c1, r.j1, r.l1, r.k1) * sd(r.c2, r.j2, r.l2, r.k2)
            own = by
            if r.group == "S11" and r.n == 0:
                own = std * float(x[r.c2].std(correction=0))
            if r.group == "S00" and r.n == 0:
                own = sd(r.c1, r.j1, r.l1, 1) * sd(r.c2, r.j2, r.l2, 1)
        assert by_ref[i] == pytest.approx(plain[i] / by, abs=1e-12)
        assert by_itself[i] == pytest.approx(plain[i] / own, abs=1e-12)
        if r.group in ("S11", "S00") and r.n == 0 and r.c1 == r.c2:
            assert by_ref[i] == pytest.approx(1, abs=1e-12)


def test_divisors_of_rectifiers_and_of_angular_frequencies(image):
    shape, J, L, A = (32, 32), 2, 4, 3
    x = image(1, *shape)
    brute = Brute(x, J, L)
    power = [[(abs(brute.field(0, j, l, 1)) ** 2).mean() for l in range(L)] for j in range(J)]

    def ratios(moments):
        layout = moment_layout(shape, J, L, moments, n_phases=A)
        plain, by = (moments_of(x, layout, flag, oversampling=2) for flag in (False, True))
        for r, a, b in zip(layout.rows(), plain, by, strict=True):
            if abs(b) > 1e-9 and r[1:4] == r[4:7] and r.n == 0 and r.k1 == 0 and r.j1 < J:
                yield r, a / b

    found = list(ratios("rectifier"))
    assert {r.l1 for r, _ in found} == set(range(L * A))
    for r, ratio in found:
        assert ratio == pytest.approx(power[r.j1][r.l1 // A], rel=1e-9)
    found = list(ratios("model_d"))
    assert len(found) >= L
    for r, ratio in found:
        assert ratio == pytest.approx(np.mean(power[r.j1]), rel=1e-9)
