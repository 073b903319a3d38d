import numpy as np
import pytest
import torch

from skwave.functional._textures.families import moment_layout

from .._harmonics_reference import (
    Brute,
    group_errors,
    moments_of,
    published_index_sets,
)


@pytest.mark.parametrize(("model", "count"), [("A", 2335), ("B", 6895), ("C", 10927), ("D", 769)])
def test_counts_of_the_published_models(model, count):
    assert len(moment_layout((256, 256), 5, 8, f"model_{model.lower()}").rows()) == count


@pytest.mark.parametrize("model", ["A", "B", "C"])
def test_published_models_by_brute_force(image, model):
    shape, J, L = (32, 32), 3, 4
    layout = moment_layout(shape, J, L, f"model_{model.lower()}")
    rows = layout.rows()
    here = {(r.j1, r.l1, r.k1, r.j2, r.l2, r.k2, (r.dy, r.dx)) for r in rows}
    there = {(*row[1:7], tau) for row in published_index_sets(model, J, L) for tau in row[7]}
    assert here == there
    assert len(here) == sum(r.part != "im" for r in rows)
    x = image(1, *shape)
    errors = group_errors(moments_of(x, layout, oversampling=2), Brute(x, J, L).rows(rows), rows)
    assert max(errors.values()) < 1e-11, errors


def test_model_d_by_brute_force(image):
    shape, J, L = (32, 32), 3, 4
    layout = moment_layout(shape, J, L, "model_d")
    rows = layout.rows()
    assert {r[1:7] for r in rows} == {row[1:7] for row in published_index_sets("D", J, L)}
    x = image(1, *shape)
    brute = Brute(x, J, L)

    def series(j, k):
        fields = np.stack([brute.field(0, j, l, k) for l in range(1 if j == J else 2 * L)])
        return np.fft.fft(fields, axis=0, norm="ortho")

    expected = []
    for r in rows:
        c = (series(r.j1, r.k1)[r.l1] * series(r.j2, r.k2)[r.l2].conj()).mean()
        expected.append(c.imag if r.part == "im" else c.real)
    errors = group_errors(moments_of(x, layout, oversampling=2), np.array(expected), rows)
    assert max(errors.values()) < 1e-11, errors


def test_opposite_orientations_say_the_same(image):
    shape, J, L = (32, 32), 2, 3
    layout, x = moment_layout(shape, J, L, "model_b"), image(1, *shape)
    values = dict(
        zip([r._replace(n=0, a=0) for r in layout.rows()], moments_of(x, layout), strict=True)
    )
    for r, value in values.items():
        if r.group == "C" and r.l1 < L and (r.dy, r.dx) == (0, 0):
            other = values[r._replace(l1=r.l1 + L, l2=(r.l2 + L) % (2 * L))]
            assert other == pytest.approx(-value if r.part == "im" else value, abs=1e-13)


def test_normalised_model_d_does_not_change_with_a_rotation(image):
    layout = moment_layout((32, 32), 2, 4, "model_d")
    x = image(1, 32, 32)
    x = x * torch.linspace(0.2, 2, 32, dtype=x.dtype).cos() + x.roll(3, -1)
    values, turned = (
        moments_of(y, layout, True, oversampling=2) for y in (x, x.rot90(1, (-2, -1)))
    )
    invariant = [r.l1 == r.l2 for r in layout.rows()]
    assert np.allclose(abs(values[invariant]), abs(turned[invariant]), atol=1e-9)
