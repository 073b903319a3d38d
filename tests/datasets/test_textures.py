"""Textures: those in the package, and the collection on disk."""

import hashlib
import os
import sys
from importlib.resources import files

import numpy as np
import pytest

from skwave.datasets import _textures, fetch_textures, load_cosmic_web, load_textures

SIZES = {
    "cosmic_web": (20, 256, 256),
    "dust": (4, 512, 512),
    "fields": (4, 512, 512),
    "portilla_simoncelli": (6, 256, 256),
    "vistex": (14, 3, 128, 128),
    "brodatz": (1, 640, 640),
}


@pytest.fixture
def elsewhere(monkeypatch):
    monkeypatch.delenv("SKWAVE_DATA", raising=False)


def jump(x):
    """Mean square difference over the edge, to that of neighbours."""
    return np.mean((x[..., 0, :] - x[..., -1, :]) ** 2) / np.mean(np.diff(x, axis=-2) ** 2)


def test_cosmic_web():
    maps = load_cosmic_web()
    x = maps.images
    assert x.dtype == np.float32 and x.shape == (8, 256, 256)
    assert maps.names == [f"df_z0_{i}" for i in range(8)]
    assert maps.licences == ["BSD-3-Clause"] * 8 and "Allys" in maps.DESCR
    np.testing.assert_array_equal(x, load_cosmic_web().images)
    assert maps.periodic and 0.7 < jump(x) < 1.4
    z = (x - x.mean((1, 2), keepdims=True)) / x.std((1, 2), keepdims=True)
    np.testing.assert_allclose(x.std((1, 2)), 0.77, atol=0.02)
    assert ((z**3).mean((1, 2)) > 0.2).all()  # filaments and haloes over voids
    assert np.abs(np.corrcoef(z.reshape(8, -1)) - np.eye(8)).max() < 0.1


def test_textures():
    textures = load_textures()
    x = textures.images
    assert x.dtype == np.float32 and x.shape == (2, 256, 256)
    assert x.min() == 0 and x.max() == 1
    assert textures.licences == ["MIT", "MIT"] and "Portilla" in textures.DESCR
    assert not textures.periodic and jump(x) > 3


def test_the_package_stays_small_and_has_the_licences():
    folder = files("skwave.datasets") / "data"
    assert sum(len((folder / f"{n}.npz").read_bytes()) for n in ("cosmic_web", "textures")) < 6e5
    assert "Tanguy Marchand" in (folder / "COSMIC_WEB_LICENSE.txt").read_text()
    assert "LabForComputationalVision" in (folder / "TEXTURES_LICENSE.txt").read_text()
    readme = (folder / "README.md").read_text()
    assert "cosmic_web.npz" in readme and "textures.npz" in readme


def test_missing_altered_and_unknown(tmp_path, elsewhere):
    with pytest.raises(ValueError, match=r"name must be one of 'cosmic_web', .* got 'web'"):
        fetch_textures("web", data_home=tmp_path)
    with pytest.raises(OSError, match=r"df_z0_0\.npy is not in .*Either save .*SKWAVE_DATA") as e:
        fetch_textures(data_home=tmp_path)
    path = tmp_path / "textures" / "cosmic_web" / "df_z0_0.npy"
    assert str(path) in str(e.value)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    with pytest.raises(OSError, match="has been altered"):
        fetch_textures(data_home=tmp_path)


def test_images_are_read_as_grey_values_and_colours(tmp_path):
    image = pytest.importorskip("PIL.Image")
    colours = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    image.fromarray(colours).save(tmp_path / "a.png")
    x = _textures._read(tmp_path / "a.png")
    assert x.dtype == np.float32 and x.flags.c_contiguous
    np.testing.assert_allclose(x, np.moveaxis(colours, -1, 0) / 255, rtol=1e-6)
    image.fromarray(colours[..., 0]).save(tmp_path / "b.png")
    np.testing.assert_allclose(
        _textures._read(tmp_path / "b.png"), colours[..., 0] / 255, rtol=1e-6
    )


def test_without_pillow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"Pillow.*skwave\[data\]"):
        _textures._read(tmp_path / "a.png")


def test_the_home_is_read(tmp_path, elsewhere, monkeypatch):
    rng = np.random.default_rng(0)
    maps = {name: rng.normal(size=(8, 8)).astype(np.float32) for name in "ab"}
    folder = tmp_path / "textures" / "dust"
    folder.mkdir(parents=True)
    lines = []
    for name, x in maps.items():
        np.save(folder / f"{name}.npy", x)
        digest = hashlib.sha256((folder / f"{name}.npy").read_bytes()).hexdigest()
        lines.append(f"{digest}  textures/dust/{name}.npy")
    listing = tmp_path / "data" / "textures.sha256"
    listing.parent.mkdir()
    listing.write_text("\n".join(lines))
    monkeypatch.setattr(_textures, "files", lambda package: tmp_path)
    dust = fetch_textures("dust", data_home=tmp_path)
    assert dust.names == ["a", "b"] and dust.periodic and dust.licences == ["BSD-3-Clause"] * 2
    np.testing.assert_array_equal(dust.images, np.stack(list(maps.values())))


@pytest.mark.data
@pytest.mark.skipif("SKWAVE_DATA" not in os.environ, reason="SKWAVE_DATA is not set")
@pytest.mark.parametrize("name", SIZES)
def test_the_collection(name):
    textures = fetch_textures(name)
    assert textures.images.shape == SIZES[name] and textures.images.dtype == np.float32
    assert len(textures.names) == len(textures.licences) == len(textures.images)
    if name == "cosmic_web":
        maps = load_cosmic_web()
        assert textures.names[:8] == maps.names
        np.testing.assert_allclose(textures.images[:8], maps.images, atol=1 / 32)
    if name == "portilla_simoncelli":
        rows = [textures.names.index(n) for n in load_textures().names]
        np.testing.assert_array_equal(textures.images[rows], load_textures().images)
