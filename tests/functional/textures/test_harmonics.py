import math
import multiprocessing.dummy
from itertools import combinations_with_replacement

import numpy as np
import pytest
import torch

from skwave.functional._textures.families import moment_family, moment_layout
from skwave.functional._textures.fields import field_plan, reference
from skwave.functional._wavelets.bump import bump_2d, low_pass_width
from skwave.functional._wavelets.nonlinearity import rectifier_harmonics

from .._harmonics_reference import (
    SIGMA,
    bump_steerable,
    filtered,
    gaussian,
    harmonic,
    published_index_sets,
    pywph_moments,
)

GROUPS = ("S11", "S00", "S01", "C01", "Cphase", "C00", "C11")


@pytest.fixture
def image():
    """Smooth noise without symmetry, made skew, shape (C, H, W)."""

    def make(*shape):
        x = np.random.default_rng(1).standard_normal(shape)
        w = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n) for n in shape[-2:]), indexing="ij"))
        x = np.fft.ifft2(np.fft.fft2(x) / (0.05 + w)).real / 10
        return torch.from_numpy(x + 0.3 * x**2 + 0.2 * np.roll(abs(x), (2, 5), (-2, -1)) + 3)

    return make


def moments_of(x, layout, normalize=False, ref=None, **options):
    return moment_family(layout, **options).moments(x[None], ref, normalize)[0].numpy()


class Brute:
    """Moments at full resolution, one row of a table after the other."""

    def __init__(self, x, J, L, masks=None):
        self.x, self.J, self.L = x.numpy(), J, L
        self.masks = [np.ones(x.shape[-2:])] * (J + 1) if masks is None else masks
        self.found = {}

    def wave(self, c, j, l):
        shape = self.x.shape[-2:]
        if j == self.J:
            psi = gaussian(shape, np.log2(low_pass_width(self.J) / SIGMA))
        else:
            psi = bump_steerable(
                shape, j, np.pi / 2 if shape[1] == 1 else np.pi * l / self.L, self.L
            )
        return filtered(self.x[c] - self.x[c].mean(), psi)

    def field(self, c, j, l, k):
        key = (c, j, l, k)
        if key not in self.found:
            w = self.wave(c, j, l)
            h = w if k == 1 else harmonic(w, k)
            self.found[key] = h - self.mean(h, j) if k == 0 else h
        return self.found[key]

    def mean(self, u, j):
        return (u * self.masks[j]).mean() / self.masks[j].mean()

    def row(self, r):
        if r.group == "K":
            w = self.wave(r.c1, r.j1, r.l1)
            powers = {"re3": w.real**3, "re4": w.real**4, "abs4": abs(w) ** 4}
            return self.mean(powers[r.part], r.j1)
        if r.group == "L":
            h, w = self.x.shape[1:]
            phi = gaussian((h, w if w > 1 else 64), r.j1)
            phi = phi if w > 1 else phi[:, :1] / gaussian((64, 64), r.j1)[0, 0] ** 0.5
            u = filtered(self.x[r.c1] - self.x[r.c1].mean(), phi).real
            j = max(r.j1, 0)
            u = u - self.mean(u, j)
            of = abs(u) - self.mean(abs(u), j), u
            return self.mean(of[r.k1] * of[r.k2], j)
        a = self.field(r.c1, r.j1, r.l1, r.k1)
        b = self.field(r.c2, r.j2, r.l2, r.k2)
        c = self.mean(a * np.conj(np.roll(b, (r.dy, r.dx), (0, 1))), r.j2)
        return c.imag if r.part == "im" else c.real

    def rows(self, rows):
        return np.array([self.row(r) for r in rows])


def group_errors(found, expected, rows):
    assert len(found) == len(expected) == len(rows)
    groups = np.array([r.group for r in rows])
    return {
        str(g): np.linalg.norm((found - expected)[groups == g])
        / np.linalg.norm(expected[groups == g])
        for g in np.unique(groups)
    }


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


def rectified(x, J, L, A):
    layout = moment_layout(x.shape[-2:], J, L, "rectifier", n_phases=A)
    return layout.rows(), moments_of(x, layout, oversampling=2)


def test_rectifier_moments_by_brute_force(image):
    shape, J, L, A = (16, 24), 2, 2, 3
    x = image(1, *shape)
    rows, found = rectified(x, J, L, A)
    brute = Brute(x, J, L)

    def field(j, la):
        l, a = divmod(la, A)
        u = np.maximum((np.exp(2j * np.pi * a / A) * brute.wave(0, j, l)).real, 0)
        return u - u.mean()

    expected = [
        (field(r.j1, r.l1) * np.roll(field(r.j2, r.l2), (r.dy, r.dx), (0, 1))).mean() for r in rows
    ]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)
    # offsets are counted from the wave vector, whatever the phase
    offsets = {(r.l1 // A, r.n, r.a, r.dy, r.dx) for r in rows if r.n}
    assert len(offsets) == L * 2 * 4
    assert (0, 1, 0, 0, 2) in offsets
    assert (1, 1, 0, 2, 0) in offsets


def test_rectifier_moments_are_a_series_of_phase_harmonic_covariances(image):
    # sum over k, k' of c_k c_k' e^{i(k alpha - k' alpha')} Cov([z]^k, [z']^k')
    shape, J, L, A, K = (16, 16), 2, 2, 4, 64
    x = image(1, *shape)
    rows, found = rectified(x, J, L, A)
    brute, c, expected = Brute(x, J, L), rectifier_harmonics("relu", K).numpy(), []
    k = np.arange(-K, K + 1)

    def harmonics(j, la):
        z = brute.wave(0, j, la // A)
        h = abs(z) * np.exp(1j * k[:, None, None] * (np.angle(z) + 2 * np.pi * (la % A) / A))
        h *= c[abs(k)][:, None, None]
        return h - h.mean((1, 2), keepdims=True)

    cache = {(j, la): harmonics(j, la) for j in range(J) for la in range(L * A)}
    for r in rows:
        a, b = cache[r.j1, r.l1], np.roll(cache[r.j2, r.l2], (r.dy, r.dx), (1, 2))
        covariances = a.reshape(len(k), -1) @ b.reshape(len(k), -1).conj().T / a[0].size
        expected.append(covariances.sum().real)
    error = np.linalg.norm(found - expected) / np.linalg.norm(found)
    assert error < 1e-3, error


@pytest.mark.parametrize("normalize", [False, True])
def test_translation_invariance(image, normalize):
    shape, layout = (32, 24), moment_layout((32, 24), 3, 3)
    x = image(2, *shape)
    expected = moments_of(x, layout, normalize, oversampling=2)
    moved = moments_of(x.roll((5, -7), (-2, -1)), layout, normalize, oversampling=2)
    np.testing.assert_allclose(moved, expected, rtol=1e-9, atol=1e-11)
    # of steps of the coarsest grid, on the usual grids too
    expected = moments_of(x, layout, normalize)
    moved = moments_of(x.roll((8, -4), (-2, -1)), layout, normalize)
    np.testing.assert_allclose(moved, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    "moments", ["phase_harmonic", "scattering_covariance", "rectifier", "gaussian", "model_d"]
)
def test_normalised_moments_do_not_change_with_gain_and_offset(image, moments):
    x, layout = image(2, 16, 16), moment_layout((16, 16), 2, 2, moments)
    expected = moments_of(x, layout, True)
    gain = torch.tensor([3.0, 0.1], dtype=torch.float64)[:, None, None]
    np.testing.assert_allclose(
        moments_of(gain * x + 7, layout, True), expected, rtol=1e-9, atol=1e-12
    )
    assert abs(moments_of(gain * x, layout, False) - moments_of(x, layout, False)).max() > 0.01


def test_a_constant_has_moments_zero():
    layout = moment_layout((16, 16), 2, 2)
    m = moments_of(torch.full((1, 16, 16), 3.0, dtype=torch.float64), layout, True)
    assert abs(m).max() < 1e-10


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


def test_normalised_model_d_does_not_change_with_a_rotation(image):
    layout = moment_layout((32, 32), 2, 4, "model_d")
    x = image(1, 32, 32)
    x = x * torch.linspace(0.2, 2, 32, dtype=x.dtype).cos() + x.roll(3, -1)
    values, turned = (
        moments_of(y, layout, True, oversampling=2) for y in (x, x.rot90(1, (-2, -1)))
    )
    invariant = [r.l1 == r.l2 for r in layout.rows()]
    assert np.allclose(abs(values[invariant]), abs(turned[invariant]), atol=1e-9)


def test_reference_of_several_realisations(image):
    x = torch.stack([image(2, 16, 16), 2 * image(2, 16, 16).flip(-1)])
    plan = field_plan((16, 16), 2, 2)
    ref, each = reference(x, plan), [reference(y[None], plan) for y in x]
    torch.testing.assert_close(ref.mean, (each[0].mean + each[1].mean) / 2)
    for j in range(2):
        torch.testing.assert_close(ref.means[j], (each[0].means[j] + each[1].means[j]) / 2)
        power = (each[0].waves[j].square() + each[1].waves[j].square()) / 2
        torch.testing.assert_close(ref.waves[j].square(), power)
        moduli = [e.moduli[j].square() + (e.means[j] - ref.means[j]).square() for e in each]
        torch.testing.assert_close(ref.moduli[j].square(), (moduli[0] + moduli[1]) / 2)


@pytest.mark.parametrize("moments", ["phase_harmonic", "rectifier", "model_c", "model_d"])
def test_derivatives(randn, moments):
    layout = moment_layout((8, 8), 2, 2, moments, n_phases=2)
    family = moment_family(layout)
    x = randn(1, 1, 8, 8).requires_grad_()
    weights = randn(2, len(layout.rows())) / 10

    def f(x):
        return family.moments(x, None, True) @ weights.T

    assert torch.autograd.gradcheck(f, x)


def test_derivatives_with_a_reference_and_a_mask(randn):
    layout = moment_layout((8, 7), 2, 2)
    family = moment_family(layout, valid=torch.ones(8, 7, dtype=bool))
    x = randn(1, 2, 8, 7).requires_grad_()
    ref = reference(randn(2, 2, 8, 7), family.fields)
    weights = randn(1, len(layout.rows(2))) / 10
    assert torch.autograd.gradcheck(lambda x: family.moments(x, ref, True) @ weights.T, x)


def test_rows_of_a_batch_are_those_of_each(image):
    x = torch.stack([image(1, 16, 16), image(1, 16, 16).flip(-1)])
    family = moment_family(moment_layout((16, 16), 2, 2))
    both = family.moments(x, None, True)
    for i in range(2):
        torch.testing.assert_close(both[i : i + 1], family.moments(x[i : i + 1], None, True))


def test_single_precision(image):
    x = image(1, 32, 32)
    layout = moment_layout((32, 32), 3, 4)
    expected = moments_of(x, layout, True)
    found = moment_family(layout, dtype=torch.float32).moments(x[None].float(), None, True)[0]
    assert found.dtype == torch.float32
    found = found.numpy()
    assert np.linalg.norm(found - expected) / np.linalg.norm(expected) < 1e-5


def test_largest_harmonic(image):
    x = image(1, 32, 32)
    layout, few = (moment_layout((32, 32), 3, 2, harmonics=k) for k in (None, 2))
    rows = layout.rows()
    kept = [i for i, r in enumerate(rows) if r.k2 <= 2]
    assert [rows[i] for i in kept] == few.rows()
    assert len(kept) < len(rows)
    np.testing.assert_allclose(moments_of(x, few), moments_of(x, layout)[kept], atol=1e-14)


def test_third_moments_of_bands():
    J, L, shape = 3, 4, (64, 48)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 1, *shape, dtype=torch.float64, generator=generator).exp()
    bank, x_hat = bump_2d(shape, J, L), torch.fft.fft2(x[0, 0] - x.mean())
    y, x_ = (2 * torch.pi * torch.fft.fftfreq(n, dtype=torch.float64) for n in shape)
    radius = (y[:, None] ** 2 + x_**2).sqrt()
    u = []
    bands = [*bank.psi_hat.view(J, L, *shape).sum(1), bank.phi_hat]
    for f, j in zip(bands, (0, 1, 2, 3.5), strict=True):
        upper = radius >= 0.85 * torch.pi / 2**j
        u += [torch.fft.ifft2(x_hat * f * half).real for half in (upper, ~upper)]
    triples = list(combinations_with_replacement(range(2 * J + 2), 3))
    expected = torch.stack([(u[i] * u[j] * u[k]).mean() for i, j, k in triples])
    largest = [2.0 ** (1 - i // 2 - i % 2) for i in range(2 * J + 2)]
    kept = [largest[h] / 2 < largest[i] + largest[k] for h, i, k in triples]
    kept = torch.tensor(kept, dtype=torch.bool)
    assert expected[~kept].abs().max() < 2e-3 * expected.abs().max()  # by tails
    triples, expected = [t for t, k in zip(triples, kept, strict=True) if k], expected[kept]
    layout = moment_layout(shape, J, L, ("B",))
    assert [(row.j1, row.j2, row.j3) for row in layout.rows()] == triples
    for oversampling, tol in ((0, 1e-3), (1, 1e-13)):
        found = moment_family(layout, oversampling=oversampling).moments(x, None, False)[0]
        assert (found - expected).norm() < tol * expected.norm()
    moments = moment_family(layout).moments
    torch.testing.assert_close(moments(3 * x + 1, None, True), moments(x, None, True))
