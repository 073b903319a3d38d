import numpy as np

from skwave.functional._textures.families import moment_layout
from skwave.functional._wavelets.nonlinearity import rectifier_harmonics

from .._harmonics_reference import (
    Brute,
    moments_of,
)


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
