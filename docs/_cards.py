"""Make the pictures of the first page: ``python docs/_cards.py [name ...]``, a minute or two.

They lie in the repository, so that the documentation can be built without running the examples.
"""

import colorsys
import sys
from pathlib import Path

import matplotlib
import numpy as np
from sklearn.datasets import load_digits, load_sample_image

import skwave
from skwave.datasets import load_qm7_sample, make_turbulence
from skwave.functional import morlet_2d, wavelet_transform
from skwave.plotting import ScatteringDisplay, SolidHarmonicDisplay

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from matplotlib.colors import PowerNorm

FOLDER = Path(__file__).parent / "_static" / "cards"


def panels(rows, columns, gap=0.02):
    """Axes that fill a picture of 480 by 240 pixels."""
    fig, axes = plt.subplots(rows, columns, figsize=(4.8, 2.4), dpi=100, squeeze=False)
    fig.subplots_adjust(0, 0, 1, 1, gap, gap)
    for ax in axes.flat:
        ax.set_axis_off()
    return axes.ravel()


def save(name):
    """Write the picture, with nothing where nothing is drawn."""
    plt.savefig(FOLDER / f"{name}.webp", transparent=True, pil_kwargs={"quality": 80})
    plt.close()


def scattering():
    """Draw a photograph and, for each of its places, the disk of its coefficients."""
    photo = load_sample_image("flower.jpg")[120:376, 200:456]
    X = photo.mean(-1)[None] / 255
    left, right = panels(1, 2)
    left.imshow(photo)
    model = skwave.ScatteringTransformer(J=6, ndim=2).fit(X)
    norm = PowerNorm(0.5)
    ScatteringDisplay.from_estimator(model, X, positions="all", ax=right, cmap="magma", norm=norm)
    clean(right)


def clean(*axes):
    """Take the words, the axes and the colour bars off what a display has drawn."""
    for ax in list(axes[0].figure.axes):
        if ax.get_label() == "<colorbar>":
            ax.remove()
    for ax in axes:
        ax.set_axis_off()
        ax.set_title("")
    fig = axes[0].figure
    fig.set_layout_engine("none")
    for i, ax in enumerate(axes if len(axes) > 1 else (None, *axes)):
        if ax is not None:
            ax.set_position([0.505 * i, 0, 0.495, 1])


def phase_harmonics(x):
    """Draw wavelet coefficients at two scales: brightness is the modulus, hue the phase."""
    bank = morlet_2d(x.shape[1:], J=4, L=4)
    z = wavelet_transform(torch.from_numpy(x).double(), bank)[1][0].numpy()
    hue = np.array([colorsys.hsv_to_rgb(h, 0.75, 1) for h in np.linspace(0, 1, 256)])
    for ax, n in zip(panels(1, 2), (4, 8), strict=True):
        modulus = np.minimum(np.abs(z[n]) / np.quantile(np.abs(z[n]), 0.98), 1)
        phase = (np.angle(z[n]) / (2 * np.pi) % 1 * 255).astype(int)
        ax.imshow(modulus[..., None] ** 0.7 * hue[phase], interpolation="bilinear")


def maximum_entropy(x):
    """Draw a turbulent flow, and a sample of its model."""
    model = skwave.MaxEntTextureModel(J=5, tol=1e-3, random_state=0).fit(x)
    for ax, field in zip(panels(1, 2), (x[0], model.sample()[0]), strict=True):
        limit = np.quantile(np.abs(x), 0.995)
        ax.imshow(field, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="bilinear")


def solid_harmonics():
    """Draw the density of a molecule, and one of its moduli."""
    X = load_qm7_sample().data
    model = skwave.SolidHarmonicScattering(pooling="integral").fit(X)
    left, right = panels(1, 2)
    show = SolidHarmonicDisplay.from_estimator(model, X, sample=420, ax=left, cmap="magma")
    show.plot(right, j=0, l=2, cmap="magma")
    clean(left, right)
    for ax in (left, right):
        ax.set(xlim=(-3.2, 3.2), ylim=(-3.2, 3.2))


def sparse_codes():
    """Draw atoms learnt from patches of a photograph."""
    image = load_sample_image("china.jpg").mean(-1)
    windows = np.lib.stride_tricks.sliding_window_view(image, (10, 10))[::3, ::3]
    patches = windows.reshape(-1, 100)
    patches = patches - patches.mean(1, keepdims=True)
    patches = patches[patches.std(1) > 10]
    patches /= np.linalg.norm(patches, axis=1, keepdims=True)
    coder = skwave.SparseCoder(72, alpha=0.15, max_iter=6, random_state=0).fit(patches)
    use = (coder.transform(patches) != 0).sum(0)
    for ax, k in zip(panels(6, 12, 0.06), np.argsort(-use), strict=True):
        ax.imshow(coder.components_[k].reshape(10, 10), cmap="gray", interpolation="bilinear")


def scattering_dictionary():
    """Draw the mean code of each class of digits: a row for a class, a column for an atom."""
    X, y = load_digits(return_X_y=True)
    X = X.reshape(-1, 8, 8)
    model = skwave.ScatteringDictionaryClassifier(
        J=1, n_atoms=48, projection=32, max_iter=15, learning_rate_init=0.005, random_state=0
    ).fit(X[:1200], y[:1200])
    codes = model.codes(X).mean((2, 3))
    means = np.stack([codes[y == k].mean(0) for k in range(10)])
    means = means[:, np.argsort(means.argmax(0), kind="stable")]
    (ax,) = panels(1, 1)
    ax.imshow(means / means.max(0), cmap="magma", aspect="auto", interpolation="nearest")


def case():
    """Draw paths from twos to sevens, from left to right."""
    X, y = load_digits(return_X_y=True)
    X = (X / 16).reshape(-1, 8, 8).astype(np.float32)
    model = skwave.CASEGenerator(
        J=2, n_components=16, L=4, n_atoms=(256, 16), max_iter=20, random_state=0
    ).fit(X)
    paths = model.interpolate(X[y == 2][:4], X[y == 7][:4], n_steps=8)
    for ax, image in zip(panels(4, 8), paths.reshape(-1, 8, 8), strict=True):
        ax.imshow(image, cmap="magma", vmin=0, vmax=1, interpolation="bilinear")


def networks():
    """Draw real parts of wavelets."""
    bank = morlet_2d((48, 48), J=3, L=8)
    waves = torch.fft.fftshift(torch.fft.ifft2(bank.psi_hat).real, dim=(-2, -1)).numpy()
    waves = waves.reshape(3, 8, 48, 48)[:, 1:7, 12:37, 12:37].reshape(-1, 25, 25)
    for ax, wave in zip(panels(3, 6), waves, strict=True):
        limit = np.abs(wave).max()
        ax.imshow(wave, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="bilinear")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    flow = make_turbulence(1, 128, viscosity=3e-4, courant=0.5, random_state=0)
    for draw, *given in (
        (scattering,),
        (phase_harmonics, flow),
        (maximum_entropy, flow),
        (solid_harmonics,),
        (sparse_codes,),
        (scattering_dictionary,),
        (case,),
        (networks,),
    ):
        if len(sys.argv) == 1 or draw.__name__ in sys.argv:
            draw(*given)
            save(draw.__name__)
