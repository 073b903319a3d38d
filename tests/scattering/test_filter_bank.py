"""Filters and Littlewood-Paley sums, as they are drawn."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from skwave import ScatteringTransformer
from skwave.functional import littlewood_paley, morlet_1d, morlet_2d, tight_frame
from skwave.plotting import FilterBankDisplay

pytestmark = pytest.mark.usefixtures("plt")


@pytest.fixture(params=[256, 255])
def bank_1d(request):
    return morlet_1d(request.param, J=4, Q=3)


@pytest.fixture(params=[(48, 64), (63, 49)])
def bank_2d(request):
    return morlet_2d(request.param, J=2, L=6, Q=2)


@pytest.mark.parametrize("rate", [None, 8000])
def test_curves_of_a_bank(bank_1d, rate):
    display = FilterBankDisplay(bank_1d, sampling_rate=rate).plot()
    n = bank_1d.shape[0]
    half = n // 2 + 1
    total = display.littlewood_paley_
    np.testing.assert_allclose(total.get_xdata(), np.arange(half) / n * (rate or 1), rtol=1e-15)
    np.testing.assert_array_equal(total.get_ydata(), littlewood_paley(bank_1d)[:half])
    np.testing.assert_array_equal(display.lowpass_.get_ydata(), bank_1d.phi_hat[:half])
    for line, wavelet, psi in zip(
        display.supports_, bank_1d.wavelets, bank_1d.psi_hat, strict=True
    ):
        np.testing.assert_array_equal(line.get_ydata(), psi[:half].abs())
        peak = line.get_xdata()[line.get_ydata().argmax()]
        assert abs(peak - wavelet.xi * (rate or 1)) < 2 / n * (rate or 1)
    assert display.ax_.get_xlabel() == f"frequency ({'Hz' if rate else 'cycles per sample'})"


def test_the_highest_curve_is_within_the_axes():
    display = FilterBankDisplay(tight_frame(morlet_1d(512, J=4, Q=8))).plot()
    top = max(line.get_ydata().max() for line in display.supports_)
    assert top > 1.3 and display.ax_.get_ylim()[1] > top


@pytest.mark.parametrize("xscale", ["log", "linear"])
def test_scale_of_the_frequencies(bank_1d, xscale):
    ax = FilterBankDisplay(bank_1d).plot(xscale=xscale).ax_
    assert ax.get_xscale() == xscale
    assert (ax.get_xlim()[0] == 0) == (xscale == "linear")


def test_image_of_the_sum(bank_2d):
    display = FilterBankDisplay(bank_2d).plot(kind="littlewood_paley")
    expected = littlewood_paley(bank_2d).numpy()
    image = display.littlewood_paley_
    drawn, (left, right, bottom, top) = image.get_array(), image.get_extent()
    height, width = bank_2d.shape
    ys = top + (np.arange(height) + 0.5) * (bottom - top) / height
    xs = left + (np.arange(width) + 0.5) * (right - left) / width
    for row, column in [(0, 0), (0, 5), (height - 3, 7), (height // 2, 1), (4, width - 1)]:
        # the pixel whose centre is at this frequency
        (i,) = np.flatnonzero(np.isclose(ys, np.fft.fftfreq(height)[row]))
        (k,) = np.flatnonzero(np.isclose(xs, np.fft.fftfreq(width)[column]))
        assert drawn[i, k] == expected[row, column]
    assert drawn.shape == expected.shape
    assert display.ax_.yaxis_inverted() and image.get_clim()[0] == 0


def test_contours_are_at_half_height(bank_2d):
    display = FilterBankDisplay(bank_2d).plot(kind="supports")
    filters = [*bank_2d.psi_hat.abs().numpy(), bank_2d.phi_hat.numpy()]
    for contour, f in zip([*display.supports_, display.lowpass_], filters, strict=True):
        vertices = contour.get_paths()[0].vertices
        assert len(vertices) > 8
        bins = vertices[:, ::-1].T * np.array(f.shape)[:, None]
        height = map_coordinates(f, bins, order=1, mode="grid-wrap")
        np.testing.assert_allclose(height, f.max() / 2, rtol=1e-9)


def test_contours_surround_the_wave_vectors():
    L = 8
    bank = morlet_2d((128, 128), J=3, L=L)
    display = FilterBankDisplay(bank).plot()
    for contour, wavelet in zip(display.supports_, bank.wavelets, strict=True):
        if wavelet.j > 0:  # those of scale 0 are cut at the border
            angle = (3 - wavelet.theta) * np.pi / L
            x, y = contour.get_paths()[0].vertices.mean(axis=0)
            expected = wavelet.xi * np.cos(angle), wavelet.xi * np.sin(angle)
            np.testing.assert_allclose((y, x), expected, atol=0.2 * wavelet.xi)


def test_one_colour_for_each_scale():
    bank = morlet_2d((64, 64), J=2, L=3, Q=2)
    display = FilterBankDisplay(bank).plot(cmap="plasma")
    colours = [tuple(c.get_edgecolor()[0]) for c in display.supports_]
    assert len(set(colours)) == 4
    assert all(len(set(colours[3 * j : 3 * j + 3])) == 1 for j in range(4))
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels[:4] == ["j = 0", "j = 0.5", "j = 1", "j = 1.5"]


@pytest.mark.parametrize("ndim", [1, 2])
@pytest.mark.parametrize("kind", ["both", "supports", "littlewood_paley"])
def test_kinds(ndim, kind):
    bank = morlet_1d(64, J=3) if ndim == 1 else morlet_2d((32, 32), J=2, L=2)
    display = FilterBankDisplay(bank).plot(kind=kind)
    assert (display.littlewood_paley_ is None) == (kind == "supports")
    assert (display.supports_ is None) == (kind == "littlewood_paley")
    assert (display.lowpass_ is None) == (kind == "littlewood_paley")
    display.figure_.canvas.draw()


def test_colour_bar_is_optional():
    display = FilterBankDisplay(morlet_2d((32, 32), J=2, L=2))
    assert len(display.plot().figure_.axes) == 2
    assert len(display.plot(colorbar=False).figure_.axes) == 1


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("ndim", [1, 2])
def test_filters_of_an_estimator(ndim, order):
    scattering = ScatteringTransformer(J=3, L=3, Q=(2, 1), T=16, ndim=ndim)
    scattering.fit(np.zeros((1, *[64] * ndim)))
    bank = FilterBankDisplay.from_estimator(scattering, order=order).bank
    assert len(bank.wavelets) == len(scattering._layout()[0].wavelets[order - 1])
    used = scattering.paths_["xi"][:, order - 1]
    assert set(used[~np.isnan(used)]) <= {wavelet.xi for wavelet in bank.wavelets}
    # phi is a Gaussian of width 0.1 / T cycles per sample, or 0.4 T pixels
    sigma = 0.1 / 16 if ndim == 1 else 1 / (2 * np.pi * 0.4 * 16)
    profile = bank.phi_hat if ndim == 1 else bank.phi_hat[0]
    omega = np.fft.fftfreq(len(profile))
    np.testing.assert_allclose(profile, np.exp(-(omega**2) / (2 * sigma**2)), atol=1e-4)


@pytest.mark.parametrize(("J", "shape"), [(4, (64,)), (8, (4000,)), (2, (300, 40))])
def test_filters_of_an_estimator_are_resolved(J, shape):
    scattering = ScatteringTransformer(J=J, Q=8 if len(shape) == 1 else 1, ndim=len(shape))
    scattering.fit(np.zeros((1, *shape)))
    display = FilterBankDisplay.from_estimator(scattering)
    extended = scattering._layout()[0].geometry.extended
    assert all(n >= m for n, m in zip(display.bank.shape, extended, strict=False))
    assert all(n > 100 for n in display.bank.shape)
    if len(shape) == 1:
        for line in [*display.supports_, display.lowpass_]:
            assert (line.get_ydata() > 0.5).sum() >= 5


def test_bad_parameters():
    bank = morlet_1d(64, J=3)
    with pytest.raises(ValueError, match=r"kind must be one of 'both', 'supports'.*got 'all'"):
        FilterBankDisplay(bank).plot(kind="all")
    with pytest.raises(ValueError, match="xscale must be one of 'log', 'linear', got 'logit'"):
        FilterBankDisplay(bank).plot(xscale="logit")
    with pytest.raises(ValueError, match="for signals of one dimension"):
        FilterBankDisplay(morlet_2d((32, 32), J=2), sampling_rate=10)
    with pytest.raises(
        TypeError, match=r"bank must be a skwave.functional.Bank, got Scatt.*from_es"
    ):
        FilterBankDisplay(ScatteringTransformer(J=3))
    with pytest.raises(ValueError, match="order must be one of 1, 2, got 0"):
        scattering = ScatteringTransformer(J=3).fit(np.zeros((1, 64)))
        FilterBankDisplay.from_estimator(scattering, order=0)
