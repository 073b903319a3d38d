"""Reports on textures: scores, their scale, copies, what is refused."""

import builtins
import os

import numpy as np
import pytest
import torch

from skwave.datasets import fetch_textures, load_cosmic_web
from skwave.functional import increment_kurtosis, power_spectrum
from skwave.validation import texture_report

FAMILIES = [
    "spectrum",
    "quantiles",
    "structure_functions",
    "increment_kurtosis",
    "minkowski",
    "bispectrum",
]


def draw(n, seed=0, size=96, scale=1.5, skew=0.8):
    """Skewed fields, correlated over a few pixels, with some white noise."""
    k = 2 * np.pi * np.fft.fftfreq(size)
    gain = np.exp(-0.5 * scale**2 * (k[:, None] ** 2 + k[None] ** 2))
    rng = np.random.default_rng(seed)
    x = np.fft.ifft2(np.fft.fft2(rng.normal(size=(n, size, size))) * gain).real
    x /= np.sqrt(np.mean(gain**2))
    return np.exp(skew * x) + 0.05 * rng.normal(size=x.shape)


def randomise(x, seed=0):
    """The same spectrum and mean, random phases."""
    noise = np.random.default_rng(seed).normal(size=x.shape)
    phases = np.exp(1j * np.angle(np.fft.rfft2(noise)))
    y = np.fft.irfft2(np.abs(np.fft.rfft2(x)) * phases)
    return y + x.mean() - y.mean()


@pytest.fixture(scope="module")
def maps():
    return draw(10)


def test_maps_of_one_process_score_as_real_ones(maps):
    report = texture_report(maps, draw(10, seed=1))
    assert report.unit == "z-score" and list(report.families) == list(report.real) == FAMILIES
    for name, z in report.families.items():
        assert z.shape == (10,) and report.real[name].shape == (9,)
        assert 0.6 < z.mean() / report.real[name].mean() < 1.7
        assert 0.8 < report.real[name].mean() < 3


def test_a_copy_is_at_distance_0_and_told(maps):
    report = texture_report(maps, np.roll(maps[3], (5, 9), (0, 1)), target=3)
    for z in report.families.values():
        assert z[0] < 1e-9
    assert report.copying == pytest.approx([1.0])
    assert (report.real_copying < 0.7).all()


@pytest.mark.parametrize(
    ("change", "caught"),
    [
        (randomise, {"quantiles", "minkowski"}),
        (lambda x: x + 0.3, {"quantiles", "minkowski"}),
        (lambda x: 1.5 * x, {"spectrum", "structure_functions", "quantiles"}),
        (lambda x: -x + 2 * x.mean(), {"quantiles", "minkowski", "bispectrum"}),
        (lambda x: x + 0.1 * np.random.default_rng(5).normal(size=x.shape), {"spectrum"}),
    ],
)
def test_each_family_tells_its_faults(maps, change, caught):
    report = texture_report(maps, change(maps[0]))
    found = {n for n, z in report.families.items() if z[0] > 1.5 * report.real[n].max()}
    same = {n for n, z in report.families.items() if z[0] < 1e-6}
    assert caught <= found
    if change is randomise:
        assert same == {"spectrum"}


def test_z_scores_by_hand(maps):
    """Of two families, from their definition."""
    x = torch.from_numpy(maps)
    y = torch.from_numpy(draw(2, seed=1))
    report = texture_report(maps, y, target=1)
    others = [0, *range(2, 10)]
    for name, statistic in (
        ("spectrum", lambda x: power_spectrum(x)[1].log()),
        ("increment_kurtosis", lambda x: increment_kurtosis(x, (1, 2, 4, 8, 16)).log().flatten(1)),
    ):
        s, t = statistic(x), statistic(y)
        sd = s[others].std(0)
        for found, values in ((report.families, t), (report.real, s[others])):
            expected = ((values - s[1]) / sd).square().mean(1).sqrt()
            np.testing.assert_allclose(found[name], expected, rtol=1e-9)


def test_one_real_map_gives_relative_errors(maps):
    for real in (maps[0], maps[:1], maps[:2]):
        report = texture_report(real, 1.1 * (maps[:1] - maps[0].mean()) + maps[0].mean())
        assert report.unit == "relative error" and "z-scores need" in repr(report)
        z = {name: float(values[0]) for name, values in report.families.items()}
        assert z["spectrum"] == pytest.approx(2 * np.log(1.1))
        assert z["structure_functions"] == pytest.approx(11**0.5 * np.log(1.1))
        assert z["increment_kurtosis"] == pytest.approx(0, abs=1e-9)
        assert z["bispectrum"] == pytest.approx(0, abs=1e-9)
        assert 0.05 < z["quantiles"] < 0.1
        n = 0 if real.ndim == 2 else len(real) - 1
        assert all(values.shape == (n,) for values in report.real.values())
        assert ("real" in repr(report).splitlines()[1]) == bool(n)


def test_relative_errors_on_demand(maps):
    y = draw(2, seed=1)
    found = texture_report(maps, y, unit="relative error")
    expected = texture_report(maps[0], y)
    assert found.unit == "relative error" and "need" not in repr(found)
    for name in FAMILIES:
        np.testing.assert_array_equal(found.families[name], expected.families[name])
        assert found.real[name].shape == (len(maps) - 1,)


def test_units_and_kinds_of_arrays_do_not_matter(maps):
    y = draw(2, seed=1)
    y.flags.writeable = False
    for real, synthetic in (
        (maps, y),
        (torch.from_numpy(maps), torch.tensor(y).requires_grad_()),
        (list(maps), y.tolist()),
        (1e3 * maps, 1e3 * y),
        (1e3 * maps[0], 1e3 * y),
    ):
        report = texture_report(real, synthetic)
        reference = texture_report(maps if len(real) == len(maps) else maps[0], y)
        for name in FAMILIES:
            np.testing.assert_allclose(report.families[name], reference.families[name], rtol=1e-8)


def test_edges(maps):
    """Maps cut from larger ones have no periodic edges: they must not count."""
    periodic = draw(8, seed=1, size=48, scale=5, skew=0.1)
    cut = draw(10, size=96, scale=5, skew=0.1)[:, :48, :48]
    z, reference = (
        [texture_report(cut, x, periodic=p).families["spectrum"].mean() for p in (True, False)]
        for x in (periodic, cut[1:])
    )
    assert z[0] > 1.7 * reference[0] and z[1] < 1.7 * reference[1]


def test_table(maps):
    pandas = pytest.importorskip("pandas")
    report = texture_report(maps, draw(2, seed=1))
    frame = report.to_frame()
    assert isinstance(frame, pandas.DataFrame) and list(frame) == [*FAMILIES, "copying"]
    assert frame.index.names == ["kind", "map"] and len(frame) == 11
    assert frame.loc[("synthetic", 1), "minkowski"] == report.families["minkowski"][1]
    assert frame.loc[("real", 8), "copying"] == report.real_copying[8]
    lines = repr(report).splitlines()
    assert lines[0].endswith("2 synthetic maps, z-scores by the scatter of 9 other real maps")
    assert [line.split()[0] for line in lines[2:]] == [*FAMILIES, "copying"]
    assert lines[2].split()[1] == f"{report.families['spectrum'].mean():.3f}"


def test_the_table_needs_pandas(maps, monkeypatch):
    report, load = texture_report(maps[:2], maps[0]), builtins.__import__

    def without(name, *args, **kwargs):
        if name == "pandas":
            raise ImportError
        return load(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="pip install pandas"):
        report.to_frame()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"real": np.zeros((2, 2, 16, 16))}, r"real must be one map .*\(2, 2, 16, 16\)"),
        ({"synthetic": np.zeros(16)}, r"synthetic must be one map"),
        ({"synthetic": np.zeros((0, 32, 32))}, r"synthetic must be one map"),
        ({"real": np.zeros((3, 8, 32))}, r"real has maps of \(8, 32\) pixels: at least 16"),
        ({"synthetic": np.zeros((2, 32, 32))}, r"synthetic has constant maps, at \[0, 1\]"),
        ({"synthetic": np.full((32, 32), np.nan)}, "synthetic has values that are NaN"),
        ({"synthetic": np.eye(16)}, r"real maps are \(96, 96\), synthetic ones \(16, 16\)"),
        ({"synthetic": 1j * np.eye(96)}, "maps must be real"),
        ({"unit": "decibel"}, r"unit must be one of \('z-score', 'relative error'\) or None, got"),
        ({"real": np.eye(96), "unit": "z-score"}, "needs two real maps besides the target, got 0"),
        ({"target": 10}, "target must be an integer from 0 to 9, got 10"),
    ],
)
def test_bad_input(maps, arguments, message):
    with pytest.raises(ValueError, match=message):
        texture_report(**{"real": maps, "synthetic": maps[:1], **arguments})


def test_the_cosmic_web_is_not_gaussian():
    maps = load_cosmic_web().images
    report = texture_report(maps, randomise(maps[0]))
    assert report.families["spectrum"] < 1e-3
    for name in ("quantiles", "structure_functions", "increment_kurtosis", "bispectrum"):
        assert report.families[name] > 1.5 * report.real[name].mean()


@pytest.mark.data
@pytest.mark.skipif("SKWAVE_DATA" not in os.environ, reason="SKWAVE_DATA is not set")
def test_the_scatter_of_twenty_maps():
    """About sqrt(2), with which a published comparison of 30 such maps agrees."""
    maps = fetch_textures("cosmic_web").images
    report = texture_report(maps, maps[:1])
    for name, z in report.real.items():
        assert 1.1 < z.mean() < 2.5, name


def test_equal_real_maps_are_refused():
    maps = np.random.default_rng(0).normal(size=(4, 16, 16))
    maps[3] = maps[1]
    with pytest.raises(ValueError, match="real maps 1 and 3 are equal: give each map once"):
        texture_report(maps, maps[0] + 1)
