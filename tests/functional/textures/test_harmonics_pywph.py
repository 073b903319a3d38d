"""The brute-force reference of the phase harmonics against pywph, moment by moment."""

import multiprocessing.dummy

import numpy as np
import pytest

from .._harmonics_reference import (
    bump_steerable,
    count_reals,
    gaussian,
    published_index_sets,
    pywph_moments,
    reference_moments,
)


@pytest.fixture
def operator(monkeypatch):
    """Operators of pywph in float64, their filters built by threads instead of processes."""
    wph_operator = pytest.importorskip("pywph.wph_operator")
    monkeypatch.setattr(wph_operator, "mp", multiprocessing.dummy)
    return lambda *args, **options: wph_operator.WPHOp(*args, precision="double", **options)


@pytest.fixture
def image():
    """An uneven, skewed image without symmetry: smooth noise, squared on one side."""

    def make(shape):
        x = np.random.default_rng(0).standard_normal(shape)
        w = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n) for n in shape), indexing="ij"))
        x = np.fft.ifft2(np.fft.fft2(x) / (0.02 + w)).real / 20
        return x + 0.3 * x**2 + 0.2 * np.roll(np.abs(x), (2, 5), (0, 1)) + 3

    return make


@pytest.mark.parametrize(("shape", "L"), [((64, 64), 4), ((48, 40), 8), ((33, 40), 3)])
def test_filters(operator, shape, L):
    J = 4
    op = operator(*shape, J, L=L)
    psi = [bump_steerable(shape, j, np.pi * i / L, L) for j in range(J) for i in range(L)]
    np.testing.assert_allclose(op.psi_f.numpy(), psi, atol=1e-12)
    phi = [gaussian(shape, j) for j in op.phi_indices]
    np.testing.assert_allclose(op.phi_f.numpy(), phi, atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "J", "L", "dn"),
    [((64, 64), 4, 4, 2), ((64, 48), 3, 8, 2), ((40, 40), 3, 3, 1), ((128, 128), 5, 4, 2)],
)
def test_moments(operator, image, shape, J, L, dn):
    op, x = operator(*shape, J, L=L, dn=dn), image(shape)
    rows = pywph_moments(J, L, dn)
    indices = [[r.j1, r.l1, r.k1, r.j2, r.l2, r.k2, r.n, r.a, 0] for r in rows if r.group != "L"]
    np.testing.assert_array_equal(op.wph_moments_indices, indices)
    scaling = [[r.j1, r.k1, r.k2, 0] for r in rows if r.group == "L"]
    np.testing.assert_array_equal(op.scaling_moments_indices, scaling)
    taus = [[r.tau[1] % shape[1], r.tau[0] % shape[0]] for r in rows if r.group != "L"]
    np.testing.assert_array_equal(op._translation_pos, taus)
    expected = op.apply(x, norm=None).numpy()
    value = np.array(list(reference_moments(x, rows, L).values()))
    np.testing.assert_allclose(value, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    for group in {r.group for r in rows}:
        some = [r.group == group for r in rows]
        error = np.linalg.norm((value - expected)[some]) / np.linalg.norm(expected[some])
        assert error < 1e-11, (group, error)


@pytest.mark.parametrize(
    ("L", "counts"), [(8, (2335, 6895, 10927, 769)), (4, (1175, 2655, 3775, 385))]
)
def test_counts_of_published_models(L, counts):
    assert tuple(count_reals(published_index_sets(m, 5, L)) for m in "ABCD") == counts
    for model in "ABCD":
        rows = published_index_sets(model, 5, L)
        assert len(set(rows)) == len(rows)
