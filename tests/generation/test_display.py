"""Displays of generated images."""

import numpy as np
import pytest
import torch

from skwave import CASEGenerator, ScatteringTransformer
from skwave.plotting import GenerationDisplay, LatentInterpolationDisplay

pytestmark = pytest.mark.usefixtures("plt")


@pytest.fixture(scope="module")
def images():
    """Smooth images in [0, 2]."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:8, :8] / 8
    a, b = rng.uniform(1, 3, (2, 60, 1, 1))
    return (1 + np.sin(a * x + b * y + a)).astype(np.float32)


@pytest.fixture(scope="module")
def model(images):
    """Fitted without a network."""
    return CASEGenerator(J=2, n_components=3, L=2, decoder="linear").fit(images)


def canvas(display):
    """Pixels that are drawn."""
    return display.ax_.images[0].get_array()


def test_interpolation(images, model, plt):
    ax = plt.subplots()[1]
    display = LatentInterpolationDisplay.from_estimator(
        model, images[:2], images[2:4], n_steps=5, ax=ax, cmap="gray_r"
    )
    assert display.ax_ is ax and display.figure_ is ax.figure
    assert ax.images[0].get_cmap().name == "gray_r"
    pixels, (low, high) = canvas(display), model.data_range_
    assert pixels.shape == (2 * 9 - 1, 5 * 9 - 1)
    decoded = model.interpolate(images[:2], images[2:4], 5)
    expected = np.clip((decoded[1, 3] - low) / (high - low), 0, 1)
    assert np.allclose(pixels[9:17, 27:35], expected)
    assert pixels.mask[8].all() and not pixels.mask[:8, :8].any()


def test_nothing_is_computed_for_what_is_no_axes(images, model, plt, monkeypatch):
    monkeypatch.setattr(CASEGenerator, "transform", None)
    axes = plt.subplots(1, 2)[1]
    for display, X in (
        (GenerationDisplay, [images[:2]]),
        (LatentInterpolationDisplay, [images[:2], images[2:4]]),
    ):
        with pytest.raises(TypeError, match="ax must be one matplotlib Axes"):
            display.from_estimator(model, *X, ax=axes)


def test_generation(images, model):
    display = GenerationDisplay.from_estimator(model, images[:4], n_samples=6, random_state=0)
    pixels, (low, high) = canvas(display), model.data_range_
    # images, three scales, two rows of samples
    assert pixels.shape == (6 * 9 - 1, 4 * 9 - 1)
    assert np.allclose(pixels[:8, :8], (images[0] - low) / (high - low))
    coarse = np.clip(
        (model.coarse_to_fine(model.transform(images[:1]))[0] - low) / (high - low), 0, 1
    )
    assert np.allclose(pixels[9:17, :8], np.kron(coarse[0], np.ones((4, 4))))
    samples = np.clip((model.sample(6, random_state=0) - low) / (high - low), 0, 1)
    assert np.allclose(pixels[45:53, 9:17], samples[5]) and pixels.mask[45:53, 18:].all()
    names = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert names == ["images", "decoded", "samples"]


def test_kinds_of_images(images):
    flat = CASEGenerator(J=1, n_components=3, L=2, decoder="linear", shape=(8, 8))
    flat.fit(images.reshape(60, 64))
    display = GenerationDisplay.from_estimator(flat, images.reshape(60, 64)[:3])
    assert canvas(display).shape == (5 * 9 - 1, 3 * 9 - 1)
    colour = np.stack([images, images**2, 2 - images], 1)
    model = CASEGenerator(J=1, n_components=3, L=2, decoder="linear").fit(colour)
    X = torch.from_numpy(colour[:3])
    assert canvas(GenerationDisplay.from_estimator(model, X)).shape == (44, 26, 3)
    display = LatentInterpolationDisplay.from_estimator(model, X, X, n_steps=2)
    assert canvas(display).shape == (26, 17, 3)
    odd = CASEGenerator(J=2, n_components=3, L=2, decoder="linear").fit(images[:, :7, :5])
    assert canvas(GenerationDisplay.from_estimator(odd, images[:2, :7, :5])).shape == (47, 11)


def test_bad_input(images, model):
    with pytest.raises(TypeError, match="fitted CASEGenerator"):
        GenerationDisplay.from_estimator(ScatteringTransformer(J=1), images)
    with pytest.raises(ValueError, match="n_samples"):
        GenerationDisplay.from_estimator(model, images[:2], n_samples=0)
    with pytest.raises(ValueError, match="n_steps"):
        LatentInterpolationDisplay.from_estimator(model, images[:2], images[:2], n_steps=1)
    with pytest.raises(ValueError, match="n_pairs, n_steps"):
        LatentInterpolationDisplay(images[:3]).plot()
    with pytest.raises(ValueError, match="of one shape"):
        GenerationDisplay(images, scales=[], samples=images[:, :4]).plot()
    with pytest.raises(ValueError, match="2 channels"):
        LatentInterpolationDisplay(np.zeros((1, 2, 2, 8, 8))).plot()
