import multiprocessing.dummy

import numpy as np
import pytest
import torch

from skwave.functional._textures.families import moment_family, moment_layout
from skwave.functional._textures.fields import field_plan

from .._harmonics_reference import (
    Brute,
    group_errors,
    moments_of,
    pywph_moments,
)

GROUPS = ("S11", "S00", "S01", "C01", "Cphase", "C00", "C11")


@pytest.mark.parametrize(
    ("shape", "J", "L"), [((32, 32), 3, 4), ((27, 32), 3, 3), ((21, 16), 2, 2), ((20, 24), 1, 5)]
)
def test_groups_by_brute_force(image, shape, J, L):
    x = image(1, *shape)
    for group in (*GROUPS, "K", "L"):
        if J == 1 and group in ("C01", "Cphase"):  # of two scales
            continue
        layout = moment_layout(shape, J, L, (group,))
        rows = layout.rows()
        expected = Brute(x, J, L).rows(rows)
        # two octaves finer, all scales are on the grid of the image
        exact = moments_of(x, layout, oversampling=2)
        assert group_errors(exact, expected, rows)[group] < 1e-11, group
        error = group_errors(moments_of(x, layout), expected, rows)[group]
        assert error < 6e-3, (group, error)


def test_grids_converge(image):
    shape, J, L = (64, 64), 4, 4
    x, layout = image(1, *shape), moment_layout((64, 64), J, L, (*GROUPS, "K", "L"))
    rows = layout.rows()
    expected = Brute(x, J, L).rows(rows)
    errors = [group_errors(moments_of(x, layout, oversampling=o), expected, rows) for o in range(3)]
    for bound, error in zip((6e-3, 6e-4, 1e-4), errors, strict=True):
        assert max(error.values()) < bound, error
    for linear in ("S11", "C11", "L"):  # nothing aliases
        assert errors[0][linear] < 1e-12


def test_groups_of_signals_by_brute_force():
    x = torch.from_numpy(np.random.default_rng(2).standard_normal((1, 60, 1)) ** 3)
    layout = moment_layout((60, 1), 3, 1, ("S11", "S00", "S01", "C01", "Cphase", "C00", "K", "L"))
    rows = layout.rows()
    assert {(r.dy, r.dx) for r in rows} >= {(0, 0), (2, 0), (4, 0), (-2, 0), (-4, 0)}
    assert not any(r.dx for r in rows)
    errors = group_errors(moments_of(x, layout, oversampling=2), Brute(x, 3, 1).rows(rows), rows)
    assert max(errors.values()) < 1e-11, errors


def test_moments_across_channels_by_brute_force(image):
    shape, J, L = (16, 20), 2, 2
    x = image(3, *shape)
    layout = moment_layout(shape, J, L, (*GROUPS[:-1], "K", "L"), n_lengths=1)
    rows = layout.rows(3)
    errors = group_errors(moments_of(x, layout, oversampling=2), Brute(x, J, L).rows(rows), rows)
    assert max(errors.values()) < 1e-11, errors
    s11 = {(r.c1, r.c2) for r in rows if r.group == "S11" and r.n == 0}
    assert s11 == {(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)}
    assert {(r.c1, r.c2) for r in rows if r.group == "C01"} == {
        (a, b) for a in range(3) for b in range(3)
    }
    # one channel alone is what it is without the others
    alone = moments_of(x[1:2], layout, oversampling=2)
    own = [i for i, r in enumerate(rows) if r.c1 == r.c2 == 1]
    np.testing.assert_allclose(
        moments_of(x, layout, oversampling=2)[own], alone, rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("masked", [False, True])
def test_masked_moments_by_brute_force(image, masked):
    shape, J, L = (32, 28), 3, 2
    x, valid = image(1, *shape), torch.ones(shape, dtype=bool)
    if masked:
        valid[10:13, 4:6] = False
    masks = [m.numpy() for m in field_plan(shape, J, L, valid=valid).masks]
    layout = moment_layout(shape, J, L, (*GROUPS, "K", "L"))
    rows = layout.rows()
    expected = Brute(x, J, L, masks).rows(rows)
    found = moments_of(x, layout, valid=valid, oversampling=2)
    errors = group_errors(found, expected, rows)
    assert max(errors.values()) < 1e-11, errors
    assert max(group_errors(moments_of(x, layout, oversampling=2), expected, rows).values()) > 0.01


def test_moments_of_the_interior_are_near_those_of_a_larger_field(image):
    # the sides of a crop do not belong together: averages that leave them out are unbiased
    x, J, L = image(1, 128, 128), 3, 2
    layout = moment_layout((128, 128), J, L, ("S11", "S00"), n_lengths=0)
    whole = moments_of(x, layout)
    crops = x.unfold(1, 48, 40).unfold(2, 48, 40).reshape(-1, 1, 48, 48)
    small = moment_layout((48, 48), J, L, ("S11", "S00"), n_lengths=0)
    error = []
    for valid in (None, torch.ones(48, 48, dtype=bool)):
        found = moment_family(small, valid=valid).moments(crops, None, False).mean(0).numpy()
        error.append(abs(np.log(found / whole)).mean())
    assert error[1] < 0.5 * error[0], error


def test_counts_of_pywph():
    rows = moment_layout((256, 256), 5, 4, "pywph").rows()
    assert sum(r.part != "im" for r in rows) == 1517
    rows = moment_layout((256, 256), 5, 8, "pywph").rows()
    assert sum(r.part != "im" for r in rows) == 3345
    rows = moment_layout((256, 256), 5, 4, "pywph", n_lengths=0).rows()
    assert sum(r.part != "im" for r in rows) == 269


@pytest.mark.parametrize(
    ("shape", "J", "L"), [((64, 64), 4, 4), ((64, 48), 3, 8), ((128, 128), 5, 4)]
)
def test_moments_of_pywph(monkeypatch, image, shape, J, L):
    wph_operator = pytest.importorskip("pywph.wph_operator")
    monkeypatch.setattr(wph_operator, "mp", multiprocessing.dummy)
    op = wph_operator.WPHOp(*shape, J, L=L, dn=2, precision="double")
    x = image(1, *shape)
    theirs = op.apply(x[0].numpy(), norm=None).numpy()
    key = {(*r[:7], r.n, r.a): i for i, r in enumerate(pywph_moments(J, L, 2))}
    layout = moment_layout(shape, J, L, "pywph")
    rows = layout.rows()
    assert sum(r.part != "im" for r in rows) == len(key)
    expected = []
    for r in rows:
        name = (r.group, r.j1, r.l1, r.k1, r.j2, r.l2, r.k2, r.n, r.a)
        if r.group == "L":
            name = ("L", r.j1, -1, r.k1, r.j1, -1, r.k2, 0, 0)
        c = theirs[key[name]]
        expected.append(c.imag if r.part == "im" else c.real)
    expected = np.array(expected)
    for oversampling, bound in ((0, 6e-3), (1, 6e-4), (2, 1e-4)):
        found = moments_of(x, layout, oversampling=oversampling)
        errors = group_errors(found, expected, rows)
        assert max(errors.values()) < bound, errors


def test_largest_harmonic(image):
    x = image(1, 32, 32)
    layout, few = (moment_layout((32, 32), 3, 2, harmonics=k) for k in (None, 2))
    rows = layout.rows()
    kept = [i for i, r in enumerate(rows) if r.k2 <= 2]
    assert [rows[i] for i in kept] == few.rows()
    assert len(kept) < len(rows)
    np.testing.assert_allclose(moments_of(x, few), moments_of(x, layout)[kept], atol=1e-14)
