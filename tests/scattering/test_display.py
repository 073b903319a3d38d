"""Scalograms and disks: what is drawn are the coefficients, where they belong."""

import numpy as np
import pytest
import torch

from skwave import ScatteringTransformer
from skwave.plotting import ScatteringDisplay

pytestmark = pytest.mark.usefixtures("plt")

RATE = 8000


def tone(frequency, modulation=0.0):
    t = np.arange(8192) / RATE
    return (np.cos(2 * np.pi * frequency * t) * (1 + np.cos(2 * np.pi * modulation * t)))[None]


def wave(angle, cycles=0.2, n=64):
    """An image whose wave vector has this angle, from the right to down."""
    y, x = np.mgrid[:n, :n]
    return np.cos(2 * np.pi * cycles * (np.cos(angle) * x + np.sin(angle) * y))[None]


def coefficients(scattering, X):
    return scattering.transform(X).reshape(len(X), *scattering.output_shape_)


@pytest.fixture
def sound(randn):
    return randn(3, 2, 1000).numpy()


@pytest.fixture
def image(randn):
    return randn(2, 2, 40, 56).numpy()


def test_scalogram_holds_the_coefficients(sound):
    scattering = ScatteringTransformer(J=5, Q=6, ndim=1).fit(sound)
    display = ScatteringDisplay.from_estimator(scattering, sound, sample=2, channel=1)
    first = scattering.paths_["order"] == 1
    xi = scattering.paths_["xi"][first, 0]
    increasing = np.argsort(xi)
    expected = coefficients(scattering, sound)[2, 1, first][increasing]
    np.testing.assert_allclose(display.mesh_.get_array(), expected, rtol=1e-12)
    # each frequency and each time within its cell
    corners = display.mesh_.get_coordinates()
    rows, columns = corners[:, 0, 1], corners[0, :, 0]
    assert (rows[:-1] < xi[increasing]).all() and (xi[increasing] < rows[1:]).all()
    t = 32 * np.arange(expected.shape[1])
    assert (columns[:-1] <= t).all() and (t < columns[1:]).all()
    assert columns[0] == 0 and columns[-1] == 1000
    assert display.ax_.get_xlabel() == "time (samples)"
    assert display.ax_.get_ylabel() == "frequency (cycles per sample)"
    assert display.ax_.get_yscale() == "log"
    assert display.mesh_.get_clim() == (0, pytest.approx(expected.max()))
    assert display.line_ is None and display.sectors_ is None


def test_a_tone_is_at_its_frequency():
    scattering = ScatteringTransformer(J=7, Q=8).fit(tone(440))
    for frequency in (300, 440, 1000):
        display = ScatteringDisplay.from_estimator(scattering, tone(frequency), sampling_rate=RATE)
        mean = display.mesh_.get_array().mean(axis=1)
        rows = display.mesh_.get_coordinates()[:, 0, 1]
        largest = mean.argmax()
        assert rows[largest] < frequency < rows[largest + 1]
        columns = RATE * display.mesh_.get_coordinates()[0, :, 0]
        np.testing.assert_allclose(columns, [0, *range(64, 8100, 128), 8192])
        assert display.ax_.get_xlabel() == "time (s)"


def test_a_modulation_is_at_its_frequency():
    X = tone(1000, modulation=40)
    scattering = ScatteringTransformer(J=9, Q=4).fit(X)
    paths = scattering.paths_
    first = paths["order"] == 1
    n = paths["n"][first, 0][np.abs(RATE * paths["xi"][first, 0] - 1000).argmin()]
    display = ScatteringDisplay.from_estimator(scattering, X, order=2, n=n, sampling_rate=RATE)
    rows = display.mesh_.get_coordinates()[:, 0, 1]
    largest = display.mesh_.get_array().mean(axis=1).argmax()
    assert rows[largest] < 40 < rows[largest + 1]
    after = (paths["order"] == 2) & (paths["n"][:, 0] == n)
    expected = coefficients(scattering, X)[0, 0, after][np.argsort(paths["xi"][after, 1])]
    np.testing.assert_allclose(display.mesh_.get_array(), expected, rtol=1e-12)
    assert display.ax_.get_ylabel() == "frequency of the second wavelet (Hz)"
    xi = RATE * paths["xi"][after, 0][0]
    assert display.ax_.get_title() == f"first wavelet: {xi:.3g} Hz"


@pytest.mark.parametrize("averaging", ["local", "global"])
def test_means_of_a_signal_are_a_curve(sound, averaging):
    scattering = ScatteringTransformer(J=5, Q=6, averaging=averaging, ndim=1).fit(sound)
    display = ScatteringDisplay.from_estimator(scattering, sound, positions="mean")
    first = scattering.paths_["order"] == 1
    increasing = np.argsort(scattering.paths_["xi"][first, 0])
    S = coefficients(scattering, sound)[0, 0, first][increasing]
    np.testing.assert_allclose(display.line_.get_ydata(), S.reshape(len(S), -1).mean(1))
    expected = scattering.paths_["xi"][first, 0][increasing]
    np.testing.assert_array_equal(display.line_.get_xdata(), expected)
    assert display.mesh_ is None and display.colorbar_ is None


def test_a_global_average_is_drawn_as_a_mean_by_default(sound):
    scattering = ScatteringTransformer(J=5, averaging="global", ndim=1).fit(sound)
    assert ScatteringDisplay.from_estimator(scattering, sound).line_ is not None


def test_short_signals_have_one_cell(randn):
    X = randn(1, 9).numpy()
    scattering = ScatteringTransformer(J=3, T=9).fit(X)
    mesh = ScatteringDisplay.from_estimator(scattering, X).mesh_
    assert mesh.get_coordinates()[0, :, 0].tolist() == [0, 4, 9]
    one = ScatteringTransformer(J=1).fit(X)
    mesh = ScatteringDisplay.from_estimator(one, X).mesh_
    assert mesh.get_array().shape[0] == (one.paths_["order"] == 1).sum()


@pytest.mark.parametrize("averaging", ["local", "global"])
@pytest.mark.parametrize("order", [1, 2])
def test_sectors_hold_the_mean_coefficients(image, averaging, order):
    scattering = ScatteringTransformer(J=3, L=4, Q=(2, 1), ndim=2, averaging=averaging).fit(image)
    display = ScatteringDisplay.from_estimator(scattering, image, sample=1, channel=1, order=order)
    paths = scattering.paths_["order"] == order
    S = coefficients(scattering, image)[1, 1, paths]
    expected = S.reshape(len(S), -1).mean(1)
    values = np.asarray(display.sectors_.get_array())
    np.testing.assert_allclose(values[::2], expected, rtol=1e-12)
    np.testing.assert_array_equal(values[1::2], values[::2])
    assert display.sectors_.get_clim()[0] == 0
    assert display.mesh_ is None and display.line_ is None


def middle(vertices):
    return (vertices.min(axis=0) + vertices.max(axis=0)) / 2


def brightest(display, rank=0):
    """Outlines of the brightest sector, or of the one opposite to it."""
    value = np.asarray(display.sectors_.get_array())
    (outline,) = display.sectors_.get_paths()[2 * value[::2].argmax() + rank].to_polygons()
    return outline


@pytest.mark.parametrize("L", [4, 6, 8])
def test_a_wave_lights_the_sector_of_its_wave_vector(plt, L):
    scattering = ScatteringTransformer(J=3, L=L, ndim=2, max_order=1).fit(wave(0))
    for angle in np.pi / L * np.arange(L):
        for j, outer in enumerate((1, 0.75, 0.5)):
            X = wave(angle, cycles=0.375 / 2**j)
            display = ScatteringDisplay.from_estimator(scattering, X)
            turns = []
            for rank in (0, 1):
                x, y = brightest(display, rank).T
                radii = np.hypot(x, y)
                np.testing.assert_allclose(
                    (radii.min(), radii.max()), (outer - 0.25, outer), atol=0.01
                )
                turns.append(np.angle((x + 1j * y).sum() * np.exp(-1j * angle)))
            np.testing.assert_allclose(np.sort(np.abs(turns)), [0, np.pi], atol=0.05)
            assert display.ax_.yaxis_inverted()
            plt.close("all")


def test_disks_stand_at_the_positions_of_the_coefficients(image):
    scattering = ScatteringTransformer(J=3, L=4, ndim=2).fit(image)
    display = ScatteringDisplay.from_estimator(scattering, image, positions="all")
    S = coefficients(scattering, image)[0, 0, scattering.paths_["order"] == 1]
    values = np.asarray(display.sectors_.get_array()).reshape(5, 7, len(S), 2)
    np.testing.assert_allclose(values[..., 0], np.moveaxis(S, 0, -1), rtol=1e-12)
    paths = display.sectors_.get_paths()
    assert len(paths) == values.size
    for row, column in [(0, 0), (2, 5), (4, 6)]:
        start = (row * 7 + column) * 2 * len(S)
        disk = np.concatenate([p.vertices for p in paths[start : start + 2 * len(S)]])
        np.testing.assert_allclose(middle(disk), (8 * column, 8 * row), atol=0.2)
        assert np.ptp(disk, axis=0).max() < 8


def test_a_patch_lights_the_disk_that_lies_on_it():
    X = np.zeros((1, 64, 64))
    X[0, 12:20, 36:44] = wave(0, 0.3, 8)[0]
    scattering = ScatteringTransformer(J=3, L=4, ndim=2).fit(X)
    display = ScatteringDisplay.from_estimator(scattering, X, positions="all")
    np.testing.assert_allclose(middle(brightest(display)), (40, 16), atol=4)


def test_second_order_of_one_wavelet_of_an_image(image):
    scattering = ScatteringTransformer(J=3, L=4, ndim=2).fit(image)
    display = ScatteringDisplay.from_estimator(scattering, image, order=2, n=2)
    paths = scattering.paths_
    after = (paths["order"] == 2) & (paths["n"][:, 0] == 2)
    expected = coefficients(scattering, image)[0, 0, after].mean((1, 2))
    np.testing.assert_allclose(np.asarray(display.sectors_.get_array())[::2], expected)
    # a disk of its own: two scales follow, in rings of a third
    outlines = [path.to_polygons()[0] for path in display.sectors_.get_paths()]
    radii = {round(np.hypot(*outline.T).max(), 1) for outline in outlines}
    assert radii == {0.7, 1.0}
    assert display.ax_.get_title() == "first wavelet: j = 0, theta = 2"


@pytest.mark.parametrize("ndim", [1, 2])
def test_phases_of_the_rectifier_are_averaged(randn, ndim):
    X = randn(1, *[64] * ndim).numpy()
    kwargs = {"J": 3, "L": 2, "ndim": ndim, "averaging": "global", "oversampling": 1}
    scattering = ScatteringTransformer(nonlinearity="rectifier", n_phases=4, **kwargs).fit(X)
    display = ScatteringDisplay.from_estimator(scattering, X)
    S, paths = coefficients(scattering, X)[0, 0], scattering.paths_
    assert len(display.coefficients) == len(display.paths) < len(paths)
    for mean, path in zip(display.coefficients, display.paths, strict=True):
        phases = (paths["n"] == path["n"]).all(axis=1)
        assert phases.sum() == 4 ** path["order"]
        np.testing.assert_allclose(mean, S[phases].mean(), rtol=1e-12)
    modulus = ScatteringTransformer(**kwargs).fit(X)
    assert (display.paths["n"] == modulus.paths_["n"]).all()
    first = display.paths["order"] == 1
    expected = coefficients(modulus, X)[0, 0, first] / np.pi
    np.testing.assert_allclose(display.coefficients[first], expected, rtol=0.05)


def test_logarithms_are_drawn_as_they_are(image):
    scattering = ScatteringTransformer(J=2, L=4, ndim=2, log=True).fit(image)
    display = ScatteringDisplay.from_estimator(scattering, image)
    expected = coefficients(scattering, image)[0, 0, 1:9].mean((1, 2))
    values = np.asarray(display.sectors_.get_array())
    np.testing.assert_allclose(values[::2], expected)
    assert display.sectors_.get_clim() == (values.min(), values.max())
    assert display.colorbar_.ax.get_ylabel() == "log coefficient"


def test_colours(sound):
    scattering = ScatteringTransformer(J=4, ndim=1).fit(sound)
    display = ScatteringDisplay.from_estimator(scattering, sound, cmap="magma", norm="log")
    assert display.mesh_.get_cmap().name == "magma"
    assert type(display.mesh_.norm).__name__ == "LogNorm"
    assert display.mesh_.get_clim()[0] > 0
    assert display.colorbar_.ax.get_ylabel() == "coefficient"
    assert display.plot(colorbar=False).colorbar_ is None


def test_zeros_can_be_drawn():
    for X in (np.zeros((1, 64)), np.zeros((1, 32, 32))):
        scattering = ScatteringTransformer(J=2, ndim=X.ndim - 1).fit(X)
        ScatteringDisplay.from_estimator(scattering, X).figure_.canvas.draw()


def test_kinds_of_arrays(sound):
    pandas = pytest.importorskip("pandas")
    xp = pytest.importorskip("array_api_strict")
    X = sound[:, 0]
    scattering = ScatteringTransformer(J=4).fit(X)
    expected = ScatteringDisplay.from_estimator(scattering, X, sample=1).mesh_.get_array()
    tensor = torch.from_numpy(X).requires_grad_()
    for same in (tensor, X.tolist(), pandas.DataFrame(X), xp.asarray(X)):
        display = ScatteringDisplay.from_estimator(scattering, same, sample=1)
        np.testing.assert_allclose(display.mesh_.get_array(), expected, rtol=1e-12)
    frame = pandas.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])
    scattering.set_output(transform="pandas").fit(frame)
    display = ScatteringDisplay.from_estimator(scattering, frame, sample=1)
    np.testing.assert_allclose(display.mesh_.get_array(), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"sample": 3}, "sample must be an integer from 0 to 2, got 3"),
        ({"sample": -1}, "sample must be an integer from 0 to 2, got -1"),
        ({"sample": 1.0}, "sample must be an integer from 0 to 2, got 1.0"),
        ({"channel": 2}, "channel must be an integer from 0 to 1, got 2"),
        ({"order": 3}, "order must be one of 1, 2, got 3"),
        ({"order": 2}, "order=2 is drawn for one first wavelet, .* from 0 to .*, got None"),
        ({"order": 2, "n": 99}, "n must be from 0 to .*, got 99"),
        ({"n": 1}, "n=1 chooses the first wavelet of order 2"),
        ({"positions": "some"}, "positions must be one of 'all', 'mean', got 'some'"),
    ],
)
def test_bad_parameters(sound, kwargs, message):
    scattering = ScatteringTransformer(J=5, Q=2, ndim=1).fit(sound)
    with pytest.raises(ValueError, match=message):
        ScatteringDisplay.from_estimator(scattering, sound, **kwargs)


@pytest.mark.parametrize(
    ("parameters", "kwargs", "message"),
    [
        ({"averaging": None}, {}, r"averaging=None .*set_params\(averaging='local'\)"),
        ({"averaging": "global"}, {"positions": "all"}, "positions='all' needs averaging='local'"),
        ({"max_order": 0}, {}, "no coefficients of order 1: max_order is smaller"),
        ({"max_order": 1}, {"order": 2, "n": 0}, "no coefficients of order 2: max_order"),
    ],
)
def test_what_a_transform_does_not_have(sound, parameters, kwargs, message):
    scattering = ScatteringTransformer(J=5, **parameters, ndim=1).fit(sound)
    with pytest.raises(ValueError, match=message):
        ScatteringDisplay.from_estimator(scattering, sound, **kwargs)


def test_images_have_no_sampling_rate(image):
    scattering = ScatteringTransformer(J=2, ndim=2).fit(image)
    with pytest.raises(ValueError, match=r"in cycles per pixel\. Leave it out"):
        ScatteringDisplay.from_estimator(scattering, image, sampling_rate=10)


def test_samples_of_another_shape(sound):
    scattering = ScatteringTransformer(J=5, ndim=1).fit(sound)
    with pytest.raises(ValueError, match=r"fitted to samples of shape \(2, 1000\)"):
        ScatteringDisplay.from_estimator(scattering, sound[..., :500])
