"""Training of the generative autoencoder."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits

from skwave import CASEGenerator, ScatteringTransformer
from skwave.generation._training import ImageLoss

PLAIN = {"J": 2, "loss": "squared_error", "scale_weight": 0.0, "scattering_weight": 0.0}


@pytest.fixture
def images():
    """Colour images of odd size, and others near them."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 5, 3, 9, 14))
    return torch.from_numpy(x[0]), torch.from_numpy(x[0] + 0.3 * x[1])


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
def test_loss_of_scales(images, loss):
    x, y = (v[..., :8, :12] for v in images)
    error = np.square if loss == "squared_error" else np.abs
    e = (x - y).numpy()
    expected = error(e).mean()
    for _ in range(2):
        e = (e[..., ::2, ::2] + e[..., 1::2, ::2] + e[..., ::2, 1::2] + e[..., 1::2, 1::2]) / 4
        expected += 0.7 * error(e).mean()
    found = ImageLoss(**{**PLAIN, "loss": loss, "scale_weight": 0.7}, images=x)(x, y)
    assert np.isclose(found.item(), expected, rtol=1e-12)


def test_loss_of_coefficients(images):
    x, y = images
    found = ImageLoss(**{**PLAIN, "scattering_weight": 0.7}, images=x)(x, y).item()
    est = ScatteringTransformer(2, 4, ndim=2, boundary="periodic", dtype=None).fit(x.numpy())
    S, T = (est.transform(v.numpy()).reshape(5, *est.output_shape_[:2], -1) for v in (x, y))
    units = S.var((0, 3), keepdims=True, ddof=1) / x.numpy().var(ddof=1)
    expected = np.mean((x - y).numpy() ** 2) + 0.7 * np.mean((S - T) ** 2 / units)
    assert np.isclose(found, expected, rtol=1e-9)
    # the same weight means the same for images of another contrast
    double = ImageLoss(**{**PLAIN, "scattering_weight": 0.7}, images=2 * x)(2 * x, 2 * y).item()
    assert np.isclose(double, 4 * found, rtol=1e-9)


def test_loss_has_gradients_at_equal_and_flat_images(images):
    x, _ = images
    loss = ImageLoss(**{**PLAIN, "scattering_weight": 0.7}, images=x)
    for y in (x, torch.zeros_like(x)):
        y = y.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(y, x), y)
        assert torch.isfinite(gradient).all()


def test_coefficients_in_the_loss_make_images_sharper():
    X = (load_digits().images / 16).astype(np.float32)
    X, X_test = X[:600], X[900:1100]
    smooth = CASEGenerator(
        2,
        8,
        L=2,
        channels=4,
        n_atoms=(48, 16),
        n_iter=2,
        max_iter=6,
        learning_rate_init=0.01,
        random_state=0,
    ).fit(X)
    sharp = clone(smooth).set_params(scattering_weight=1.0).fit(X)
    assert sharp.score(X_test) < smooth.score(X_test)
    est = ScatteringTransformer(2, 4, ndim=2, max_order=1, averaging="global").fit(X)
    missing = [
        np.abs(1 - est.transform(m.inverse_transform(m.transform(X_test))) / est.transform(X_test))
        for m in (smooth, sharp)
    ]
    assert missing[1][:, 1:5].mean() < 0.9 * missing[0][:, 1:5].mean()
