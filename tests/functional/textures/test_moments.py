import pytest
import torch

from skwave.functional._textures.families import moment_family, moment_layout
from skwave.functional._textures.fields import field_plan, reference
from skwave.functional._textures.moments import Batch, Moment, MomentGroup, shift_scales


def names(moments, L=2, n_channels=1, **options):
    layout = moment_layout((32, 32), 3, L, moments, **options)
    return [layout.name(row, n_channels) for row in layout.rows(n_channels)]


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        (("S11",), "S11_j0_l1_t2a3_re"),
        (("C01",), "C01_j0_l1_j2_l1_t2a3_re"),
        (("Cphase",), "Cphase_j0_l1_j2_l1_k1k4_im"),
        (("K",), "K_j2_l1_abs4"),
        (("B",), "B_h0_h1_h2"),
        (("L",), "L_j-1_k01"),
        ("rectifier", "R_j0_l1p2_j1_l0p1"),
        ("gaussian", "P_y1x-3"),
        ("scattering_covariance", "S4_j0_l0_j1_l1_j2_l0_im"),
        ("model_b", "C_j1_l2_j1_l3_k0k0"),
        ("model_b", "phi_j3_l0"),
    ],
)
def test_names(moments, expected):
    found = names(moments, n_phases=3)
    assert expected in found
    assert len(set(found)) == len(found)


def test_names_of_channels():
    found = names(("S11", "K"), n_channels=2)
    assert {"c0_S11_j0_l0", "c0c1_S11_j0_l0_re", "c1_K_j0_l0_re3"} <= set(found)
    assert len(set(found)) == len(found)


def test_scales_that_are_shifted():
    row = Moment("C01", 1, 2, 0, 3, 1, 1, j3=-1)
    assert shift_scales(row, 1) == row._replace(j1=0, j2=2)
    assert shift_scales(row._replace(j3=4), 1) == row._replace(j1=0, j2=2, j3=3)


def test_fields_and_deviations_of_a_batch(randn):
    x, layout, plan = (
        randn(2, 1, 16, 16) + 3,
        moment_layout((16, 16), 2, 2),
        field_plan((16, 16), 2, 2),
    )
    assert Batch(x, layout, plan, normalize=False).deviations is None
    own = Batch(x, layout, plan)
    torch.testing.assert_close(own.fields.x_hat[..., 0, 0].abs(), torch.zeros(2, 1, 1).double())
    assert own.deviations.waves[0].shape == (2, 1, 2)
    ref = reference(randn(3, 1, 16, 16), plan)
    given = Batch(x, layout, plan, ref)
    assert given.deviations is ref
    assert given.fields.means is ref.means
    assert float(given.fields.x_hat[..., 0, 0].abs().min()) > 2


class Means(MomentGroup):
    """Means of the moduli: a group of one's own."""

    name = "M"

    def channel_rows(self, layout):
        return [Moment("M", j, l, 0) for j in range(layout.J) for l in range(layout.L)]

    def values(self, batch, filters):
        waves = (batch.fields.harmonic(j, 1, g) for j, g in enumerate(batch.plan.grids[:-1]))
        return torch.stack([w.abs().mean((-2, -1)) for w in waves], 2).flatten(1)


def test_a_group_of_ones_own(randn):
    layout = moment_layout((16, 16), 2, 3, ("K",))
    layout = type(layout)(**{**vars(layout), "groups": (Means(), *layout.groups)})
    x, rows = randn(2, 2, 16, 16), layout.rows(2)
    m = moment_family(layout).moments(x, None, False)
    assert m.shape == (2, len(rows))
    assert layout.name(rows[7], 2) == "c1_M_j0_l1"
    w = Batch(x, layout, field_plan((16, 16), 2, 3)).fields.wavelet_spectrum(0)
    expected = torch.fft.ifft2(w, norm="forward").abs().mean((-2, -1))[:, 1, 1]
    torch.testing.assert_close(m[:, 7], expected)


def test_what_a_group_must_write():
    with pytest.raises(NotImplementedError, match="MomentGroup must write channel_rows"):
        MomentGroup().rows(None, 1)
    with pytest.raises(NotImplementedError, match="MomentGroup must write values"):
        MomentGroup().values(None, ())
