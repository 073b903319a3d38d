from collections import defaultdict

import pytest
import torch

from skwave.functional import (
    moment_family,
    moment_layout,
    moment_reduction,
    published_blocks,
    reduce_moments,
)
from skwave.functional._textures.covariances import block_rows

# all of whose rotations are in the table
COMPLETE = [
    ("phase_harmonic", 1),
    ("scattering_covariance", 2),
    (("S11", "S00", "S01", "C01", "C00", "K"), 2),
]


def moments(x, names, L=4, J=2, **options):
    layout = moment_layout(tuple(x.shape[-2:]), J, L, names, **options)
    return layout.rows(x.shape[1]), moment_family(layout, oversampling=J).moments(x, None, True)


def quarter_turn(x):
    """About the pixel (0, 0)."""
    return torch.rot90(x, 1, (-2, -1)).roll(1, -2)


def half_turn(x):
    return x.flip((-2, -1)).roll((1, 1), (-2, -1))


def coefficients(rows, r):
    """Fourier coefficients of each orbit, by frequency."""
    found = defaultdict(complex)
    for row, value in zip(rows, r.tolist(), strict=True):
        head, _, tail = row.part.rpartition("_")
        m = 0
        if tail[:1] == "f":
            m, value = int(tail[1:-2]), value * (1j if tail.endswith("im") else 1)
        found[row._replace(part=head if m else row.part), m] += value
    return found


@pytest.mark.parametrize(("names", "n_channels"), COMPLETE, ids=str)
@pytest.mark.parametrize("size", [16, 15])
def test_isotropic_moments_of_rotated_images(randn, names, n_channels, size):
    x = randn(1, n_channels, size, size) ** 3
    rows, raw = moments(x, names)
    _, other = moments(quarter_turn(x), names)
    assert (raw - other).abs().max() > 1e-2
    reduction = moment_reduction(rows, "isotropic")
    r, r_other = (reduce_moments(m, reduction) for m in (raw, other))
    assert r.shape == (1, len(reduction.rows))
    torch.testing.assert_close(r_other, r, rtol=0, atol=1e-11)
    assert {row.group for row in reduction.rows} == {row.group for row in rows}
    # none is always 0, but that of the lowest half octave, which has 4 frequencies here
    lowest = [row.group == "B" and row.j1 == 5 for row in reduction.rows]
    assert (r.abs()[0] > 1e-9).logical_or(torch.tensor(lowest)).all()


@pytest.mark.parametrize(
    ("names", "n_channels", "L", "turn"),
    [
        *[(*case, 4, quarter_turn) for case in COMPLETE],
        ("scattering_covariance", 1, 8, quarter_turn),
        (("C01", "Cphase", "C00"), 1, 8, quarter_turn),
        ("phase_harmonic", 1, 3, half_turn),
        ("scattering_covariance", 1, 1, half_turn),
        (("S00", "S01", "C01", "C00"), 2, 3, half_turn),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_rotations_turn_the_phases_of_fourier_series(randn, names, n_channels, L, turn):
    x = randn(1, n_channels, 16, 16) ** 3
    rows, raw = moments(x, names, L)
    _, other = moments(turn(x), names, L)
    reduction = moment_reduction(rows, "fourier")
    c, c_other = (
        coefficients(reduction.rows, reduce_moments(m, reduction)[0]) for m in (raw, other)
    )
    quarters = 2 if turn is half_turn else 1
    assert c.keys() == c_other.keys()
    for key, value in c.items():
        assert abs(c_other[key] - value * 1j ** (quarters * key[1])) < 1e-11, key


@pytest.mark.parametrize("L", [1, 3, 4, 6])
@pytest.mark.parametrize("names", ["phase_harmonic", "scattering_covariance"])
def test_fourier_series_lose_nothing(randn, names, L):
    rows = moment_layout((32, 32), 2, L, names).rows()
    reduction = moment_reduction(rows, "fourier")
    isotropic = moment_reduction(rows, "isotropic")
    assert len(set(reduction.rows)) == len(reduction.rows) == len(rows)
    identity = torch.eye(len(rows), dtype=torch.float64)
    assert torch.linalg.matrix_rank(reduce_moments(identity, reduction)) == len(rows)
    # the mean is the isotropic moment
    m = randn(2, len(rows))
    mean = ["f" not in row.part for row in reduction.rows]
    assert [row for row, of in zip(reduction.rows, mean, strict=True) if of] == isotropic.rows
    torch.testing.assert_close(reduce_moments(m, reduction)[:, mean], reduce_moments(m, isotropic))


def test_parseval_and_series_by_fft(randn):
    L = 4
    layout = moment_layout((32, 32), 1, L, ("S00", "S01", "K"), n_lengths=1)
    rows = layout.rows()
    m = randn(1, len(rows))
    reduction = moment_reduction(rows, "fourier")
    c = coefficients(reduction.rows, reduce_moments(m, reduction)[0])
    for row, value in zip(rows, m[0], strict=True):
        if row.l1 == 0:
            alike = row._replace(dy=0, dx=0)
            v = torch.stack([
                value for r, value in zip(rows, m[0], strict=True)
                if r._replace(l1=0, l2=min(r.l2, 0), dy=0, dx=0) == alike
            ])  # fmt: skip
            v = torch.cat((v, -v if row.part == "im" else v))
            expected = torch.fft.fft(v)[: L + 1] / (2 * L)
            found = torch.tensor([c.get((row, k), 0) for k in range(L + 1)], dtype=expected.dtype)
            torch.testing.assert_close(found, expected, atol=1e-14, rtol=0)
            weights = torch.tensor([1, 2, 2, 2, 1])
            power = (weights * found.abs().square()).sum()
            torch.testing.assert_close(power, v.square().mean())


def test_scale_means_by_brute_force(randn):
    for names in ("phase_harmonic", "scattering_covariance", ("C11",)):
        rows = moment_layout((32, 32), 4, 2, names).rows()
        m = randn(2, len(rows))
        reduction = moment_reduction(rows, "scale")
        r = reduce_moments(m, reduction)
        expected = defaultdict(list)
        for i, row in enumerate(rows):
            shift = row.j1
            if row.group == "B":  # half octaves; the last two are the low-pass
                shift = 0 if max(row.j1, row.j2, row.j3) >= 8 else row.j1 - row.j1 % 2
            j2, j3 = (j - shift if j >= 0 else j for j in (row.j2, row.j3))
            expected[row._replace(j1=row.j1 - shift, j2=j2, j3=j3)].append(m[:, i])
        assert reduction.rows == list(expected)
        means = torch.stack([torch.stack(of).mean(0) for of in expected.values()], 1)
        torch.testing.assert_close(r, means)


def test_both(randn):
    rows = moment_layout((32, 32), 3, 4, "scattering_covariance").rows(2)
    m = randn(2, len(rows))
    isotropic = moment_reduction(rows, "isotropic")
    scale = moment_reduction(isotropic.rows, "scale")
    both = moment_reduction(rows, "isotropic-scale")
    assert both.rows == scale.rows
    expected = reduce_moments(reduce_moments(m, isotropic), scale)
    torch.testing.assert_close(reduce_moments(m, both), expected)


def test_relative_orientations():
    # same scale: (l, l + 3) is (l + 4, l + 3) in the other order
    rows = moment_layout((32, 32), 2, 4, ("C00",)).rows()
    found = [(r.j1, r.j2, r.l1, r.l2) for r in moment_reduction(rows, "isotropic").rows]
    assert found == [
        *[(j, j, 0, d) for j in (0, 1) for d in (1, 2)],
        *[(0, 1, 0, d) for d in range(4)],
    ]


@pytest.mark.parametrize("reduce", ["isotropic", "fourier"])
@pytest.mark.parametrize("names", ["phase_harmonic", "scattering_covariance"])
def test_relative_orientations_are_less_than_l(names, reduce):
    rows = moment_reduction(moment_layout((32, 32), 2, 4, names).rows(), reduce).rows
    assert {row.l1 for row in rows} <= {0, -1}
    assert {row.l2 for row in rows} | {row.l3 for row in rows} == {-1, 0, 1, 2, 3}


def test_rotations_out_of_the_table(randn):
    # C11: means over the rotations there are; relative orientations from -3 to 3
    rows = moment_layout((32, 32), 2, 4, ("C11",)).rows()
    m = randn(1, len(rows))
    for reduce in ("isotropic", "fourier"):
        reduction = moment_reduction(rows, reduce)
        r = reduce_moments(m, reduction)[0]
        for row, value in zip(reduction.rows, r, strict=True):
            if row.part == "re":
                d = (row.l2 + 3) % 8 - 3
                same = [
                    (r.j1, r.j2, r.part, r.l2 - r.l1) == (row.j1, row.j2, "re", d) for r in rows
                ]
                assert sum(same) == 4 - abs(d)
                torch.testing.assert_close(value, m[0, same].mean())
        parts = [row for row in reduction.rows if row.part == "re"]
        assert len(parts) == 3 + 3 + 7
        assert {row.part for row in reduction.rows if row.l2} == {"re"}


@pytest.mark.parametrize("reduce", ["isotropic", "scale", "isotropic-scale", "fourier"])
def test_types_and_gradients(randn, reduce, device):
    rows = moment_layout((32, 32), 2, 3).rows()
    reduction = moment_reduction(rows, reduce)
    m = randn(2, len(rows)).to(device).requires_grad_()
    r = reduce_moments(m, reduction)
    g = torch.autograd.grad(r.square().sum() / 2, m)[0]
    torch.testing.assert_close((g * m).sum(), r.square().sum())  # the adjoint
    half = reduce_moments(m.detach().float(), reduction)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half.double(), r.detach(), rtol=1e-5, atol=1e-6)


def test_moments_without_orientations():
    rows = moment_layout((32, 32), 2, 4, ("B", "L")).rows()
    assert moment_reduction(rows, "isotropic").rows == rows
    scales = {(r.group, r.j1, r.j2, r.j3) for r in moment_reduction(rows, "scale").rows}
    assert {("B", 0, 0, 1), ("B", 1, 1, 1), ("B", 0, 2, 3)} <= scales
    assert {("B", 4, 4, 4), ("B", 2, 3, 4)} <= scales  # with the low-pass
    assert ("B", 2, 2, 2) not in scales


def test_bad_arguments():
    rows = moment_layout((32, 32), 2, 4).rows()
    with pytest.raises(ValueError, match=r"reduce='angle' must be one of \('isotropic',"):
        moment_reduction(rows, "angle")
    rows = [row for block in published_blocks("B", 2, 4) for row in block_rows(block, 1)]
    with pytest.raises(ValueError, match=r"'scale' is not defined .* groups \['C', 'S', 'phi'\]"):
        moment_reduction(rows, "scale")
