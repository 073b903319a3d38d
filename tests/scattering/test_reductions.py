import numpy as np
import pytest
import torch

from skwave import ScatteringTransformer
from skwave.augment import mirror_features
from skwave.functional import scattering_layout, scattering_paths
from skwave.plotting import ScatteringDisplay
from skwave.scattering._reductions import STATISTICS, mean_over, orbits, renormalized, statistics
from skwave.testing import assert_close, relative_error

rng = np.random.default_rng(0)


def blobs(angle, n=64, seed=0):
    """A smooth image: elongated Gaussians about the centre, turned by an angle."""
    rng = np.random.default_rng(seed)
    v, u = np.mgrid[:n, :n] - (n - 1) / 2
    c, s = np.cos(angle), np.sin(angle)
    u, v = c * u + s * v, c * v - s * u
    image = np.zeros((n, n))
    for x, y, a, b, t in rng.uniform([-9, -9, 2, 1.5, 0], [9, 9, 5, 2.5, np.pi], (12, 5)):
        p = np.cos(t) * (u - x) + np.sin(t) * (v - y)
        q = np.cos(t) * (v - y) - np.sin(t) * (u - x)
        image += rng.normal() * np.exp(-(p**2) / (2 * a**2) - q**2 / (2 * b**2))
    return image


def test_statistics():
    s = torch.from_numpy(rng.normal(size=(2, 3, 4, 50)))
    y = statistics(s).reshape(2, 3, 4, len(STATISTICS))
    assert_close(y[..., 0], s.mean(-1))
    assert_close(y[..., 1], s.numpy().std(-1))
    assert_close(y[..., 2:].movedim(-1, 0), np.quantile(s, [0.1, 0.5, 0.9], axis=-1))
    assert statistics(s[..., :1]).isfinite().all()


def test_ratios_undo_gains():
    layout = scattering_layout((64,), 3, Q=(2, 1))
    paths = list(scattering_paths(layout))
    s = torch.from_numpy(rng.uniform(1, 2, size=(2, 1, len(paths), 4)))
    mean, floor = torch.ones(2, 1, 1, 4).double(), torch.zeros(2, 1, 1, 1).double()
    ratios = renormalized(s, mean, floor, paths)
    assert_close(renormalized(7 * s, 7 * mean, floor, paths), ratios)
    assert_close(ratios[:, :, 0], s[:, :, 0])


@pytest.mark.parametrize("L", [3, 4])
def test_orbits_hold_each_path_once(L):
    layout = scattering_layout((32, 32), 3, L=L)
    paths = list(scattering_paths(layout))
    groups = orbits(layout, paths, L)
    assert sorted(i for group in groups for i in group) == list(range(len(paths)))
    assert [len(group) for group in groups] == [1] + [L] * (len(groups) - 1)
    assert len(groups) == 1 + 3 + 3 * L
    s = torch.from_numpy(rng.normal(size=(2, 1, len(paths))))
    means = mean_over(s, groups)
    for i, group in enumerate(groups):
        assert_close(means[:, :, i], s[:, :, group].mean(2))
        assert paths[group[0]].n[:1] in ((), (0,), (L,), (2 * L,))


def test_rotations_by_a_right_angle_change_nothing():
    X = rng.normal(size=(2, 32, 32))
    transformer = ScatteringTransformer(
        J=3, L=4, ndim=2, averaging="global", boundary="periodic", reduce="isotropic"
    )
    Y = transformer.fit_transform(X)
    turned = transformer.transform(np.rot90(X, axes=(1, 2)))
    # wavelets on a grid are not the same after a turn at the highest frequencies
    assert relative_error(turned, Y) < 2e-3
    plain = transformer.set_params(reduce=None).fit_transform(X)
    assert relative_error(transformer.transform(np.rot90(X, axes=(1, 2))), plain) > 2e-2


@pytest.mark.parametrize("angle", [np.pi / 8, 0.3, 1.0, 2.2])
@pytest.mark.parametrize("max_order", [1, 2])
def test_rotations_of_smooth_images_change_little(angle, max_order):
    transformer = ScatteringTransformer(
        J=4, ndim=2, averaging="global", max_order=max_order, reduce="isotropic"
    ).fit(blobs(0)[None])
    Y, turned = (transformer.transform(blobs(a)[None])[0] for a in (0, angle))
    assert relative_error(turned, Y) < 0.01
    for order in range(max_order + 1):
        rows = transformer.paths_["order"] == order
        assert relative_error(turned[rows], Y[rows]) < 0.02
    plain = transformer.set_params(reduce=None)
    Y, turned = (plain.transform(blobs(a)[None])[0] for a in (0, angle))
    assert relative_error(turned, Y) > 0.05


def test_relative_angles_stay():
    X = rng.normal(size=(2, 1, 16, 16))
    transformer = ScatteringTransformer(J=2, L=4, reduce="isotropic").fit(X)
    names = transformer.get_feature_names_out()
    assert transformer.output_shape_ == (1, 1 + 2 + 4, 4, 4) and len(names) == 7 * 16
    assert names[16].startswith("s1_j0t0_") and names[-1].startswith("s2_j0t0_j1t3")
    plain = ScatteringTransformer(J=2, L=4).fit(X)
    S = plain.transform(X).reshape(2, *plain.output_shape_)
    paths = plain.paths_
    for row, y in zip(
        transformer.paths_, transformer.transform(X).reshape(2, 7, 4, 4).swapaxes(0, 1), strict=True
    ):
        same = (paths["order"] == row["order"]) & (
            np.where(np.isnan(paths["j"]), -1, paths["j"])
            == np.where(np.isnan(row["j"]), -1, row["j"])
        ).all(1)
        if row["order"] == 2:
            same &= (paths["theta"][:, 1] - paths["theta"][:, 0]) % 4 == row["theta"][1]
        assert_close(y, S[:, 0, same].mean(1))


def test_refusals():
    X = rng.normal(size=(2, 1, 16, 16))
    with pytest.raises(ValueError, match="reduce='isotropic' is for moduli of images"):
        ScatteringTransformer(J=2, reduce="isotropic").fit(X[:, 0, 0])
    with pytest.raises(ValueError, match="nonlinearity='rectifier'"):
        ScatteringTransformer(J=2, reduce="isotropic", nonlinearity="rectifier").fit(X)
    with pytest.raises(ValueError, match="averaging=None has orders"):
        ScatteringTransformer(J=2, reduce="isotropic", averaging=None).fit(X)
    transformer = ScatteringTransformer(J=2, L=4, reduce="isotropic").fit(X)
    S = transformer.transform(X)
    with pytest.raises(ValueError, match="reduce='isotropic'"):
        transformer.inverse_transform(S)
    with pytest.raises(ValueError, match="reduce='isotropic'"):
        mirror_features(S, transformer)
    with pytest.raises(ValueError, match="reduce='isotropic'"):
        ScatteringDisplay.from_estimator(transformer, X)
