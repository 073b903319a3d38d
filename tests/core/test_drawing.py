"""What the displays have in common."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from skwave import ScatteringTransformer
from skwave.functional import morlet_1d
from skwave.plotting import FilterBankDisplay, ScatteringDisplay

pytestmark = pytest.mark.usefixtures("plt")

X = np.ones((2, 64))


@pytest.fixture
def scattering():
    return ScatteringTransformer(J=3).fit(X)


@pytest.fixture(params=["filters", "coefficients"])
def from_estimator(request):
    """Both displays, called in the same way."""
    if request.param == "filters":
        return FilterBankDisplay.from_estimator
    return lambda estimator, **kwargs: ScatteringDisplay.from_estimator(estimator, X, **kwargs)


def test_matplotlib_is_not_imported_with_the_package():
    code = "import sys, skwave.plotting; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_without_matplotlib_the_extra_is_named(monkeypatch, scattering, from_estimator):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"from_estimator needs matplotlib.*skwave\[plot\]"):
        from_estimator(scattering)
    with pytest.raises(ImportError, match=r"FilterBankDisplay.plot needs.*skwave\[plot\]"):
        FilterBankDisplay(morlet_1d(64, 3)).plot()


def test_draws_in_the_axes_given(plt, scattering, from_estimator):
    figure, (left, right) = plt.subplots(1, 2)
    display = from_estimator(scattering, ax=left)
    assert display.ax_ is left and display.figure_ is figure
    assert left.has_data() and not right.has_data()
    assert display.plot(right) is display
    assert display.ax_ is right and right.has_data()
    assert plt.get_fignums() == [figure.number]


def test_draws_in_a_new_figure(plt, scattering, from_estimator):
    plt.figure()
    display = from_estimator(scattering)
    assert display.ax_.figure is display.figure_ is plt.gcf()
    assert len(plt.get_fignums()) == 2


def test_axes_that_are_none(plt, scattering, from_estimator):
    with pytest.raises(TypeError, match="ax must be one matplotlib Axes or None, got ndarray"):
        from_estimator(scattering, ax=plt.subplots(1, 2)[1])


def test_estimators_that_are_none(scattering, from_estimator):
    with pytest.raises(
        TypeError, match=r"takes a fitted ScatteringTransformer, got Pipeline.*step"
    ):
        from_estimator(make_pipeline(scattering))
    with pytest.raises(NotFittedError):
        from_estimator(ScatteringTransformer(J=3))


@pytest.mark.parametrize("rate", [0, -1, np.nan, np.inf, "8000"])
def test_bad_sampling_rate(scattering, from_estimator, rate):
    with pytest.raises(ValueError, match="sampling_rate must be a positive number"):
        from_estimator(scattering, sampling_rate=rate)
