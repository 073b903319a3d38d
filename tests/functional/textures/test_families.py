import pytest
import torch

from skwave.functional._textures.families import (
    FAMILIES,
    OTHERS,
    PUBLISHED,
    check_groups,
    moment_family,
    moment_layout,
)
from skwave.functional._textures.groups import GROUPS

NAMES = [*FAMILIES, *OTHERS, *PUBLISHED, *((g,) for g in (*GROUPS, "K", "L")), ("K", "S11")]


@pytest.mark.parametrize("moments", NAMES, ids=str)
@pytest.mark.parametrize("wavelet", ["bump", "morlet"])
def test_every_moment_has_a_row_of_its_own(randn, moments, wavelet):
    layout = moment_layout((12, 16), 2, 2, moments, n_phases=3)
    family = moment_family(layout, wavelet=wavelet)
    for n_channels in (1, 2):
        rows = layout.rows(n_channels)
        m = family.moments(randn(2, n_channels, 12, 16), None, True)
        assert m.shape == (2, len(rows))
        assert m.isfinite().all()
        assert len(set(rows)) == len(rows)
        assert {r.c1 for r in rows} == set(range(n_channels))


@pytest.mark.parametrize("moments", [*FAMILIES, *OTHERS], ids=str)
def test_families_of_signals(randn, moments):
    layout = moment_layout((24, 1), 2, 1, moments)
    m = moment_family(layout).moments(randn(2, 1, 24, 1), None, True)
    rows = layout.rows()
    assert m.shape == (2, len(rows)) == (2, len(set(rows)))


def test_families_are_their_groups():
    for name, groups in FAMILIES.items():
        assert (
            moment_layout((16, 16), 2, 2, name).rows()
            == moment_layout((16, 16), 2, 2, groups).rows()
        )


@pytest.mark.parametrize("shape", [(8, 8), (7, 8), (9, 7), (9, 1), (8, 1)])
def test_gaussian_moments_are_the_periodogram(randn, shape):
    layout, x = moment_layout(shape, 2, 1, "gaussian"), randn(1, 1, *shape)
    family, rows = moment_family(layout), layout.rows()
    power = (torch.fft.fft2(x[0, 0], norm="forward")).abs().square()
    expected = torch.stack([power[r.dy, r.dx] for r in rows])
    torch.testing.assert_close(family.moments(x, None, False)[0], expected)
    # each wave once, the constant not at all
    pairs = [{(s * r.dy % shape[0], s * r.dx % shape[1]) for s in (1, -1)} for r in rows]
    assert sum(map(len, pairs)) == len(set.union(*pairs)) == x.numel() - 1
    torch.testing.assert_close(
        family.moments(x, None, True)[0], expected * (x.numel() - 1) / x.var(correction=0)
    )


@pytest.mark.parametrize("names", ["nothing", (), ("S11", "S99"), ("phase_harmonic",)])
def test_unknown_families(names):
    with pytest.raises(
        ValueError, match=r"must be one of .*'phase_harmonic'.* or a tuple of groups"
    ):
        moment_layout((16, 16), 2, 2, names)
    with pytest.raises(ValueError, match="moments="):
        check_groups(names)
