"""Atoms as patches, and the curves of their codes."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest

from skwave import ScatteringTransformer, SparseCoder
from skwave.functional import duality_gap, ista
from skwave.plotting import SparseCodeDisplay

pytestmark = pytest.mark.usefixtures("plt")


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    X = (rng.standard_normal((150, 30)) * (rng.random((150, 30)) < 0.1)) @ rng.standard_normal(
        (30, 16)
    )
    return SparseCoder(12, alpha=0.3, max_iter=2, random_state=0).fit(X), X


def test_panels(fitted):
    coder, X = fitted
    display = SparseCodeDisplay.from_estimator(coder, X, max_iter=30)
    axes = display.axes_
    assert all(ax.get_title() for ax in axes.values())
    (image,) = axes["atoms"].images
    picture = np.asarray(image.get_array())
    assert picture.shape == (3 * 5 - 1, 4 * 5 - 1)
    share = (coder.transform(X) != 0).mean(0)
    first = coder.components_[np.argsort(-share, kind="stable")[0]]
    np.testing.assert_allclose(
        picture[:4, :4].ravel(), 0.5 + first / (2 * np.abs(first).max()), atol=1e-12
    )
    counts = sum(patch.get_height() for patch in axes["activations"].patches)
    assert counts == 12
    display.figure_.canvas.draw()


def test_curves(fitted):
    import torch

    coder, X = fitted
    display = SparseCodeDisplay.from_estimator(coder, X, max_iter=30)
    lines = {line.get_label(): line for line in display.axes_["gap"].lines}
    x, D = torch.from_numpy(X), torch.from_numpy(coder.components_)
    half = x.square().sum(1) / 2
    for n, gap in zip(lines["ISTA"].get_xdata(), lines["ISTA"].get_ydata(), strict=True):
        expected = duality_gap(ista(x, D, 0.3, int(n)), x, D, 0.3)[half > 0] / half[half > 0]
        assert gap == pytest.approx(float(expected.mean()), abs=1e-12)
    assert lines["FISTA"].get_ydata()[-1] < lines["ISTA"].get_ydata()[-1]
    sparsity = {line.get_label(): line for line in display.axes_["sparsity"].lines}
    mean = (coder.transform(X) != 0).sum(1).mean()
    assert sparsity["coder"].get_ydata()[0] == pytest.approx(mean)


def test_shapes(fitted):
    coder, X = fitted
    for shape, size in (((2, 8), (3 * 3 - 1, 4 * 9 - 1)), ((1, 16), (12 * 2 - 1, 16))):
        display = SparseCodeDisplay.from_estimator(coder, X, shape=shape, max_iter=2)
        assert display.axes_["atoms"].images[0].get_array().shape == size
    with pytest.raises(ValueError, match="16 values of an atom"):
        SparseCodeDisplay.from_estimator(coder, X, shape=(3, 3))


def test_bad_input(fitted):
    with pytest.raises(TypeError, match="fitted SparseCoder"):
        SparseCodeDisplay.from_estimator(ScatteringTransformer(J=1), fitted[1])


def test_one_axes_is_not_enough(fitted, monkeypatch):
    monkeypatch.setattr(SparseCoder, "transform", None)  # nothing is computed
    with pytest.raises(TypeError, match="figure must be a matplotlib Figure"):
        SparseCodeDisplay.from_estimator(*fitted, figure=plt.subplots()[1])


def test_without_matplotlib(fitted, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"skwave\[plot\]"):
        SparseCodeDisplay.from_estimator(*fitted, max_iter=2)
