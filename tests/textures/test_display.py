"""Maps of a texture model beside real ones."""

import sys

import numpy as np
import pytest
import torch
from matplotlib.collections import PolyCollection

from skwave import MaxEntTextureModel
from skwave.functional import increment_kurtosis, power_spectrum
from skwave.plotting import TextureDisplay
from skwave.validation import texture_report

pytestmark = pytest.mark.usefixtures("plt")


@pytest.fixture(scope="module")
def maps():
    x = np.random.default_rng(0).normal(size=(7, 32, 32)).astype(np.float32)
    return np.exp(x + np.roll(x, 1, 1))


def test_panels(maps):
    display = TextureDisplay.from_maps(maps[:5], maps[5:], target=1, loss_curve=[1.0, 0.5, 0.1])
    names = ["target", "sample 0", "sample 1", "distances", "spectrum", "pixels", "kurtosis"]
    assert list(display.axes_) == [*names, "loss"]
    axes = display.axes_
    for name, x in (("target", maps[1]), ("sample 0", maps[5]), ("sample 1", maps[6])):
        (image,) = axes[name].images
        np.testing.assert_allclose(image.get_array(), x, rtol=1e-6)
        assert image.get_clim() == axes["target"].images[0].get_clim()
    assert axes["sample 1"].get_xlabel().endswith(f"{display.report.copying[1]:.2f}")
    np.testing.assert_array_equal(axes["loss"].lines[0].get_ydata(), [1.0, 0.5, 0.1])
    for ax in display.axes_.values():
        assert ax.get_title()
    display.figure_.canvas.draw()


def test_curves(maps):
    axes = TextureDisplay.from_maps(maps[:5], maps[5:], target=1).axes_
    x = torch.tensor(maps, dtype=torch.float64)
    kurtosis = increment_kurtosis(x, (1, 2, 4, 8))[:, :2].mean(1)
    for name, values in (("spectrum", power_spectrum(x)[1]), ("kurtosis", kurtosis)):
        *samples, target = axes[name].lines[:3]
        np.testing.assert_allclose(target.get_ydata(), values[1])
        for line, expected in zip(samples, values[5:], strict=True):
            np.testing.assert_allclose(line.get_ydata(), expected)
        (shade,) = axes[name].collections
        assert isinstance(shade, PolyCollection)
        found = shade.get_paths()[0].vertices[:, 1]
        others = values[[0, 2, 3, 4]]
        assert found.min() == pytest.approx(float(others.min()))
        assert found.max() == pytest.approx(float(others.max()))
    target = axes["pixels"].lines[-1]
    width = np.diff(target.get_xdata())[0]
    assert np.nansum(target.get_ydata()) * width == pytest.approx(1, abs=0.02)


def test_distances(maps):
    display = TextureDisplay.from_maps(maps[:5], maps[5:])
    ax, report = display.axes_["distances"], display.report
    samples, real = ax.containers
    assert [bar.get_width() for bar in samples] == [z.mean() for z in report.families.values()]
    assert [bar.get_width() for bar in real] == [z.mean() for z in report.real.values()]
    assert ax.get_xlabel() == "z-score"
    assert ax.get_yticklabels()[2].get_text() == "structure functions"


def test_one_real_map(maps):
    display = TextureDisplay.from_maps(
        maps[0], maps[1:], periodic=False, loss_curve=np.ones((5, 3))
    )
    assert display.axes_["distances"].get_xlabel() == "relative error"
    assert len(display.axes_["distances"].containers) == 1
    assert not display.axes_["spectrum"].collections
    assert len(display.axes_["loss"].lines) == 3
    assert "sample 2" in display.axes_ and "sample 3" not in display.axes_


def test_drawn_again(maps, plt):
    report = texture_report(maps[:3], torch.tensor(maps[3:]))
    display = TextureDisplay(report, real=maps[:3], synthetic=torch.tensor(maps[3:]))
    left, right = plt.figure(layout="constrained").subfigures(1, 2)
    assert display.plot(left, n_samples=1, cmap="magma") is display
    assert display.figure_ is left and "sample 1" not in display.axes_
    assert display.axes_["target"].images[0].get_cmap().name == "magma"
    assert display.plot(right).figure_ is right
    assert isinstance(display.plot().figure_, plt.Figure)


@pytest.mark.parametrize("boundary", ["periodic", "crop"])
def test_from_estimator(maps, boundary):
    model = MaxEntTextureModel(
        J=2, L=2, moments="wavelet_covariance", boundary=boundary, max_iter=20, tol=1.0,
        random_state=0,
    ).fit(maps[1:2])  # fmt: skip
    display = TextureDisplay.from_estimator(model, maps[:3], n_samples=2, target=1, cmap="magma")
    np.testing.assert_array_equal(display.synthetic, model.sample(2))
    expected = texture_report(maps[:3], model.sample(2), target=1, periodic=boundary == "periodic")
    assert display.periodic == (boundary == "periodic") and str(display.report) == str(expected)
    np.testing.assert_array_equal(display.loss_curve, model.loss_curve_)
    with pytest.raises(TypeError, match="takes a fitted MaxEntTextureModel, got ndarray"):
        TextureDisplay.from_estimator(maps, maps)


def test_bad_input(maps, plt):
    display = TextureDisplay.from_maps(maps[:3], maps[3:])
    with pytest.raises(TypeError, match=r"figure must be a matplotlib Figure .*got Axes"):
        display.plot(plt.subplots()[1])
    model = MaxEntTextureModel(J=3).fit(maps[:1])
    with pytest.raises(TypeError, match="figure must be"):
        TextureDisplay.from_estimator(model, maps[:3], figure=plt.subplots()[1])
    assert not hasattr(model, "loss_curve_")  # nothing was sampled
    with pytest.raises(ValueError, match="n_samples must be a positive integer, got 0"):
        display.plot(n_samples=0)
    with pytest.raises(TypeError, match=r"TextureReport, got dict.*from_maps"):
        TextureDisplay({}, real=maps, synthetic=maps)
    with pytest.raises(ValueError, match="target must be an integer"):
        TextureDisplay.from_maps(maps[:3], maps[3:], target=3)


def test_without_matplotlib(maps, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"TextureDisplay\.from_maps needs matplotlib.*plot"):
        TextureDisplay.from_maps(maps[:3], maps[3:])
