import pytest

from skwave.functional._textures.families import moment_family, moment_layout
from skwave.functional._textures.registry import FAMILIES, GROUPS

SIGNALS = [name for name, groups in FAMILIES.items() if not any(g.images_only for g in groups)]
NAMES = [*FAMILIES, *((name,) for name in GROUPS), ("K", "S11")]


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


@pytest.mark.parametrize("moments", SIGNALS)
def test_families_of_signals(randn, moments):
    layout = moment_layout((24, 1), 2, 1, moments)
    m = moment_family(layout).moments(randn(2, 1, 24, 1), None, True)
    rows = layout.rows()
    assert m.shape == (2, len(rows)) == (2, len(set(rows)))
