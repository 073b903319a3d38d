import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skwave import MaxEntTextureModel, PhaseHarmonicTransformer
from skwave.functional import moment_reduction, reduce_moments
from skwave.functional._textures.families import moment_family, moment_layout
from skwave.functional._textures.registry import FAMILIES
from skwave.testing import check_transformer

REDUCIBLE = [name for name, groups in FAMILIES.items() if all(g.reducible for g in groups)]


@pytest.fixture
def X():
    return np.random.default_rng(0).standard_normal((3, 16, 16)) ** 3


@pytest.mark.parametrize("moments", [*FAMILIES, ("K", "C00")], ids=str)
@pytest.mark.parametrize("n_channels", [1, 2])
def test_features_have_names_and_rows(moments, n_channels):
    X = np.random.default_rng(0).standard_normal((2, n_channels, 16, 16))
    transformer = PhaseHarmonicTransformer(J=2, L=2, moments=moments).fit(X)
    Y = transformer.transform(X)
    names, table = transformer.get_feature_names_out(), transformer.moment_table_
    assert Y.shape == (2, len(names)) == (2, len(table))
    assert len(set(names)) == len(names)
    assert all(name.startswith("c") == (n_channels > 1) for name in names)
    assert set(table["c1"]) == set(range(n_channels))
    # what the functions give
    layout = moment_layout((16, 16), 2, 2, moments)
    expected = moment_family(layout).moments(torch.from_numpy(X), None, True)
    np.testing.assert_allclose(Y, expected, atol=1e-13)


def test_documented_names(X):
    names = set(PhaseHarmonicTransformer(J=3).fit(X).get_feature_names_out())
    assert {
        "S11_j0_l0", "S11_j0_l0_t1a0_re", "C01_j0_l1_j2_l1_t2a3_re", "K_j2_l3_abs4", "L_j0_k01",
        "Cphase_j0_l2_j2_l2_k1k4_im", "C00_j1_l0_j1_l3", "S01_j1_l2_j1_l2_im",
    } <= names  # fmt: skip


def test_table(X):
    transformer = PhaseHarmonicTransformer(J=3).fit(X)
    table = transformer.moment_table_
    row = table[list(transformer.get_feature_names_out()).index("C01_j0_l1_j2_l1_t2a3_re")]
    found = {name: row[name].item() for name in table.dtype.names}
    assert found == {
        "group": "C01", "j1": 0, "l1": 1, "k1": 0, "j2": 2, "l2": 1, "k2": 1, "n": 2, "a": 3,
        "dy": -4, "dx": 0, "part": "re", "c1": 0, "c2": 0, "j3": -1, "l3": -1,
    }  # fmt: skip


def parameters():
    yield {"normalize": False}, {}, {"normalize": False}
    yield {"oversampling": 1}, {"oversampling": 1}, {}
    yield {"wavelet": "morlet"}, {"wavelet": "morlet"}, {}
    yield {"boundary": "crop"}, {"valid": torch.ones(16, 16, dtype=bool)}, {}


@pytest.mark.parametrize(("set_", "options", "call"), parameters())
def test_parameters(X, set_, options, call):
    Y = PhaseHarmonicTransformer(J=3, **set_).fit_transform(X)
    family = moment_family(moment_layout((16, 16), 3, 4), **options)
    expected = family.moments(torch.from_numpy(X[:, None]), None, call.get("normalize", True))
    np.testing.assert_allclose(Y, expected, atol=1e-12)
    assert abs(Y - PhaseHarmonicTransformer(J=3).fit_transform(X)).max() > 1e-4


def test_shifts_harmonics_and_phases(X):
    def n(**options):
        return len(PhaseHarmonicTransformer(J=3, L=2, **options).fit(X).moment_table_)

    assert n(shifts=0) < n(shifts=1) < n(shifts=2)
    table = PhaseHarmonicTransformer(J=3, harmonics=2).fit(X).moment_table_
    assert max(table["k1"].max(), table["k2"].max()) == 2
    assert n(moments="rectifier", n_phases=2) < n(moments="rectifier", n_phases=3)


@pytest.mark.parametrize("boundary", ["crop", "periodic"])
def test_mask(X, boundary):
    mask = np.ones((16, 16), bool)
    mask[3, 3] = False
    masked = PhaseHarmonicTransformer(J=2, mask=mask, boundary=boundary).fit_transform(X)
    family = moment_family(
        moment_layout((16, 16), 2, 4),
        valid=torch.from_numpy(mask),
        periodic=boundary == "periodic",
    )
    counting = np.where(mask, X - X[:, mask].mean(1)[:, None, None], 0.0)
    expected = family.moments(torch.from_numpy(counting[:, None]), None, True)
    np.testing.assert_allclose(masked, expected, atol=1e-12)


def test_signals():
    X = np.random.default_rng(0).standard_normal((4, 2, 50))
    transformer = PhaseHarmonicTransformer(J=3, ndim=1).fit(X)
    family = moment_family(moment_layout((50, 1), 3, 1))
    expected = family.moments(torch.from_numpy(X)[..., None], None, True)
    np.testing.assert_allclose(transformer.transform(X), expected, atol=1e-12)
    assert transformer.signal_shape_ == (50,)
    assert not transformer.moment_table_["dx"].any()


def test_moments_do_not_depend_on_place_gain_or_batch(X):
    transformer = PhaseHarmonicTransformer(J=2, batch_size=1).fit(X)
    Y = transformer.transform(X)
    np.testing.assert_allclose(transformer.transform(np.roll(X, (4, 2), (1, 2))), Y, atol=1e-10)
    np.testing.assert_allclose(transformer.transform(5 * X - 1), Y, atol=1e-10)
    np.testing.assert_allclose(
        transformer.set_params(batch_size=3, n_jobs=2).transform(X), Y, atol=1e-12
    )


def test_data_frames(X):
    pd = pytest.importorskip("pandas")
    flat = pd.DataFrame(X.reshape(3, -1)).add_prefix("p")
    transformer = PhaseHarmonicTransformer(J=2, shape=(16, 16)).set_output(transform="pandas")
    Y = transformer.fit_transform(flat)
    assert list(Y.columns) == list(transformer.get_feature_names_out())
    np.testing.assert_allclose(Y, PhaseHarmonicTransformer(J=2).fit_transform(X))


def test_grid_search_tells_textures_apart():
    # equal spectra, other higher moments: lines, and the same with random signs of the waves
    generator = np.random.default_rng(0)
    sparse = (generator.random((40, 32, 32)) < 0.02).astype(float)
    y = np.arange(40) % 2
    noise = generator.standard_normal((20, 32, 32)) * np.sqrt(0.02)
    sparse[y == 1] = noise + 0.02
    search = GridSearchCV(
        make_pipeline(
            PhaseHarmonicTransformer(J=1, shifts=0), StandardScaler(), LogisticRegression()
        ),
        {"phaseharmonictransformer__J": [1, 2], "phaseharmonictransformer__L": [1, 2]},
        cv=2,
    ).fit(sparse, y)
    assert search.best_score_ > 0.9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"J": 5}, r"J=5 is too large: 2\*\*J = 32 .* Use J <= 4"),
        ({"moments": "nothing"}, "moments='nothing' must be one of"),
        ({"moments": ("S11", "S12")}, "a tuple of groups of"),
        ({"moments": "model_b", "ndim": 1, "J": 2}, "'model_b' are of images: use ndim=2"),
        ({"mask": np.ones((16, 15))}, r"mask of shape \(16, 15\) must have the shape \(16, 16\)"),
        ({"mask": np.zeros((16, 16))}, "True somewhere"),
        ({"boundary": "crop", "J": 4}, "boundary='crop' leaves nothing"),
        ({"mask": np.eye(16), "J": 2}, "no valid sample is farther than"),
        ({"J": 0}, "'J' parameter"),
        ({"boundary": "reflect"}, "'boundary' parameter"),
        ({"wavelet": "haar"}, "'wavelet' parameter"),
        ({"ndim": 3}, "'ndim' parameter"),
        ({"reduce": "angles"}, "'reduce' parameter"),
        ({"reduce": "scale", "moments": "rectifier"}, "reduce='scale' .* moments='rectifier'"),
        ({"reduce": "isotropic", "moments": "gaussian"}, "is not defined for moments='gaussian'"),
        ({"reduce": "fourier", "moments": "model_d"}, "reduce=None, or moments that are one of"),
        ({"reduce": "fourier", "ndim": 1}, "reduce='fourier' is over rotations, which signals"),
        ({"reduce": "isotropic-scale", "ndim": 1}, "use reduce='scale' or None"),
    ],
)
def test_bad_parameters(X, options, message):
    with pytest.raises(ValueError, match=message):
        PhaseHarmonicTransformer(**{"J": 2, **options}).fit(X)


def test_bad_input(X):
    transformer = PhaseHarmonicTransformer(J=2)
    X[0, 3, 3] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        transformer.fit(X)
    with pytest.raises(ValueError, match="Complex data not supported"):
        transformer.fit(X + 1j)
    with pytest.raises(ValueError, match=r"shape \(16, 8\)"):
        transformer.fit(np.ones((2, 16, 16))).transform(np.ones((2, 16, 8)))


def test_gradients_pass_through(X):
    x = torch.from_numpy(X).requires_grad_()
    Y = clone(PhaseHarmonicTransformer(J=2)).fit(X).transform(x)
    (gradient,) = torch.autograd.grad(Y.square().sum(), x)
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0


@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize("moments", [*REDUCIBLE, ("K", "B")], ids=str)
@pytest.mark.parametrize("reduce", ["isotropic", "scale", "isotropic-scale", "fourier"])
def test_reductions_have_names_and_rows(reduce, moments, n_channels):
    X = np.random.default_rng(0).standard_normal((2, n_channels, 16, 16))
    transformer = PhaseHarmonicTransformer(J=2, moments=moments, reduce=reduce).fit(X)
    Y = transformer.transform(X)
    names, table = transformer.get_feature_names_out(), transformer.moment_table_
    assert Y.shape == (2, len(names)) == (2, len(table))
    assert len(set(names)) == len(names)
    assert set(table["l1" if reduce != "scale" else "j1"][table["group"] == "K"]) <= {0}
    full = PhaseHarmonicTransformer(J=2, moments=moments).fit_transform(X)
    reduction = moment_reduction(moment_layout((16, 16), 2, 4, moments).rows(n_channels), reduce)
    np.testing.assert_allclose(Y, reduce_moments(torch.from_numpy(full), reduction), atol=1e-12)
    assert table["part"].tolist() == [row.part for row in reduction.rows]


def test_reduced_names(X):
    def names(reduce):
        transformer = PhaseHarmonicTransformer(J=3, reduce=reduce).fit(X)
        return set(transformer.get_feature_names_out())

    assert {"S11_j2_l0_t1a3_re", "C01_j0_l0_j2_l3_re", "C00_j1_l0_j1_l2"} <= names("isotropic")
    assert {"S11_j0_l2_t1a0_re", "C01_j0_l1_j2_l1_im", "B_h0_h1_h2"} <= names("scale")
    assert {"K_j0_l0_abs4", "L_j0_k01", "C00_j0_l0_j2_l3"} <= names("isotropic-scale")
    assert {"S00_j0_l0_t1a1", "S00_j0_l0_t1a1_f2im", "K_j1_l0_abs4_f4re"} <= names("fourier")


@pytest.mark.parametrize(
    "options",
    [
        {"reduce": "fourier", "moments": "scattering_covariance"},
        {"reduce": "scale", "ndim": 1, "moments": ("S11", "Cphase", "K")},
    ],
    ids=["fourier", "signals"],
)
def test_reduced_moments_keep_all_promises(options):
    shape = (16, 12) if options.get("ndim", 2) == 2 else (2, 40)
    X = np.random.default_rng(0).standard_normal((4, *shape))
    check_transformer(PhaseHarmonicTransformer(J=2, L=3, **options), X)


def test_isotropic_features_of_turned_images(X):
    transformer = PhaseHarmonicTransformer(J=2, oversampling=2, reduce="isotropic").fit(X)
    turned = np.rot90(X, axes=(1, 2))
    np.testing.assert_allclose(transformer.transform(turned), transformer.transform(X), atol=1e-6)
    raw = PhaseHarmonicTransformer(J=2, oversampling=2).fit(X)
    assert abs(raw.transform(turned) - raw.transform(X)).max() > 1e-2


@pytest.mark.parametrize("reduce", ["isotropic", "fourier"])
def test_gradients_of_reduced_moments(X, reduce):
    x = torch.from_numpy(X).requires_grad_()
    Y = PhaseHarmonicTransformer(J=2, reduce=reduce).fit(X).transform(x)
    (gradient,) = torch.autograd.grad(Y.square().sum(), x)
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0


def test_the_model_has_all_moments(X):
    model = MaxEntTextureModel(J=2).fit(X)
    assert "reduce" not in model.get_params()
    assert len(model.moments_) == len(model.moment_table_)


@pytest.mark.parametrize(
    "moments", ["phase_harmonic", "model_d", "wavelet_covariance", "rectifier", "pywph"]
)
def test_the_unit_of_layers_and_of_tiny_fields_does_not_matter(moments):
    row = np.random.default_rng(0).standard_normal(64)
    layers = np.tile(row, (64, 1))[None]
    transform = PhaseHarmonicTransformer(J=3, L=4, moments=moments).fit_transform
    expected = transform(layers)
    for unit in (2.0**-10, 2.0**10):
        np.testing.assert_allclose(transform(unit * layers), expected, atol=1e-9)
    noise = np.random.default_rng(1).standard_normal((1, 64, 64)).astype(np.float32)
    expected = transform(noise)
    np.testing.assert_allclose(transform(np.float32(1e-15) * noise), expected, atol=2e-3)
    for unit in (1e-18, 3e-19, 1e-20):
        assert np.isfinite(transform(np.float32(unit) * noise)).all()


def test_defaults_fit_the_shape(X):
    for x, J, ndim in (
        (np.tile(X, (1, 2, 2)), 3, 2),
        (X[:, None], 2, 2),
        (X.reshape(3, 256), 6, 1),
        (X[:, :4, :4], 1, 2),
    ):
        fitted = PhaseHarmonicTransformer().fit(x)
        assert (fitted.J_, fitted.ndim_) == (J, ndim)
        expected = PhaseHarmonicTransformer(J=J, ndim=ndim).fit_transform(x)
        np.testing.assert_array_equal(fitted.transform(x), expected)
    assert PhaseHarmonicTransformer(shape=(16, -1)).fit(X.reshape(3, 256)).ndim_ == 2
    assert PhaseHarmonicTransformer(ndim=1).fit(X).n_channels_ == 16
    with pytest.raises(ValueError, match="give PhaseHarmonicTransformer ndim=2 for images"):
        PhaseHarmonicTransformer().fit(X[:, None, None])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_samples_under_the_mask_may_be_anything(X, dtype):
    mask = np.ones((16, 16), bool)
    mask[3:5, 9] = False
    X = X.astype(dtype)
    harmonics = PhaseHarmonicTransformer(J=2, mask=mask)
    expected = harmonics.fit_transform(X)
    for value in (np.nan, np.inf, -1.6e30):
        other = np.where(mask, X, value).astype(dtype)
        np.testing.assert_array_equal(harmonics.fit(other).transform(other), expected)
        flat = PhaseHarmonicTransformer(J=2, mask=mask, shape=(16, 16))
        np.testing.assert_array_equal(flat.fit_transform(other.reshape(len(X), -1)), expected)
        tensor = harmonics.fit_transform(torch.from_numpy(other))
        np.testing.assert_array_equal(tensor, expected)
    with pytest.raises(ValueError, match="NaN"):
        harmonics.transform(np.where(mask, np.nan, X))


def test_masked_arrays(X):
    mask = np.ones((16, 16), bool)
    mask[3:5, 9] = False
    hidden = np.ma.masked_array(X, np.broadcast_to(~mask, X.shape))
    with pytest.raises(ValueError, match=r"with 6 masked values.*give it as mask="):
        PhaseHarmonicTransformer(J=2).fit(hidden[:3])
    expected = PhaseHarmonicTransformer(J=2, mask=mask).fit_transform(X)
    found = PhaseHarmonicTransformer(J=2, mask=mask).fit_transform(hidden)
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="masked array that hides"):
        PhaseHarmonicTransformer(J=2, mask=np.roll(mask, 1, 0)).fit(hidden)
    assert PhaseHarmonicTransformer(J=2).fit(np.ma.masked_array(X)).n_features_in_ == 16
