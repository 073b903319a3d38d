import pytest

from skwave.functional._textures.families import moment_layout
from skwave.functional._textures.registry import FAMILIES, GROUPS, LABELS, groups_of


@pytest.mark.parametrize(
    "names", ["nothing", "S11", (), ("S11", "S99"), ("phase_harmonic",), ("S11", "rectifier")]
)
def test_unknown_families(names):
    with pytest.raises(
        ValueError, match=r"must be one of .*'phase_harmonic'.* or a tuple of groups"
    ):
        moment_layout((16, 16), 2, 2, names)
    with pytest.raises(ValueError, match="moments="):
        groups_of(names)


def test_families_are_their_groups():
    for name in ("phase_harmonic", "pywph", "wavelet_covariance"):
        groups = tuple(group.name for group in FAMILIES[name])
        assert (
            moment_layout((16, 16), 2, 2, name).rows()
            == moment_layout((16, 16), 2, 2, groups).rows()
        )


def test_every_group_has_its_own_labels():
    layouts = [moment_layout((16, 16), 2, 2, name) for name in FAMILIES]
    layouts += [moment_layout((16, 16), 2, 2, (name,)) for name in GROUPS]
    for layout in layouts:
        for group in layout.groups:
            labels = {row.group for row in group.rows(layout, 1)}
            assert labels <= set(group.labels or [group.name])
            assert all(type(LABELS[label]) is type(group) for label in labels)


def test_groups_come_in_the_order_of_their_names():
    names = ("K", "S11", "C00")
    layout = moment_layout((16, 16), 2, 2, names)
    assert list(dict.fromkeys(row.group for row in layout.rows(2))) == list(names)
