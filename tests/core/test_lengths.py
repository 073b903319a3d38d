import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skwave import FeatureCache, PhaseHarmonicTransformer, ScatteringTransformer
from skwave._core.lengths import by_length, signals_of, stack
from skwave.testing import assert_close

rng = np.random.default_rng(0)
LENGTHS = (70, 90, 70, 64, 128, 91)
SIGNALS = [rng.standard_normal(n).astype(np.float32) for n in LENGTHS]
CHANNELS = [np.stack([s, s[::-1]]) for s in SIGNALS]
WORDS = [np.sin(np.arange(n) * (0.3 + i % 2) + i) for i, n in enumerate(rng.integers(64, 90, 24))]
CLASSES = np.arange(24) % 2


def objects(signals):
    X = np.empty(len(signals), dtype=object)
    X[:] = signals
    return X


KINDS = {
    "list": list,
    "tuple": tuple,
    "objects": objects,
    "lists": lambda signals: [s.tolist() for s in signals],
    "tensors": lambda signals: [torch.from_numpy(s) for s in signals],
    "series": pd.Series,
    "frame": lambda signals: pd.DataFrame({"sound": signals, "index": range(6)})[["sound"]],
    "frame of lists": lambda signals: pd.DataFrame({"sound": [s.tolist() for s in signals]}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_signals_of_every_kind(kind):
    found = signals_of(KINDS[kind](SIGNALS))
    assert [len(s) for s in found] == list(LENGTHS)
    for signal, expected in zip(found, SIGNALS, strict=True):
        np.testing.assert_array_equal(signal, expected)
    assert isinstance(found[0], torch.Tensor) == (kind == "tensors")


def test_columns_of_a_frame_are_channels():
    frame = pd.DataFrame({"left": SIGNALS, "right": [s[::-1] for s in SIGNALS]})
    for signal, expected in zip(signals_of(frame), CHANNELS, strict=True):
        np.testing.assert_array_equal(signal, expected)


@pytest.mark.parametrize(
    "X",
    [
        np.ones((3, 8)),
        torch.ones(3, 8),
        np.ones((3, 8)).tolist(),
        [np.ones(8), np.ones(8)],
        objects([np.ones(8), np.ones(8)]),
        pd.DataFrame(np.ones((3, 8))),
        pd.DataFrame({"a": [np.ones(8)] * 2, "b": [1, 2]}),
        [1.0, 2.0],
        [["a", "b"], ["c"]],
        [np.ones((8, 8)), np.ones((9, 9))],
        [],
        3,
        None,
    ],
    ids=lambda X: type(X).__name__,
)
def test_other_samples_are_none(X):
    assert signals_of(X) is None


def test_arrays_of_another_length_than_expected():
    assert signals_of([np.ones(8), np.ones(8)], 8) is None
    assert len(signals_of([np.ones(8), np.ones(8)], 9)) == 2
    assert signals_of(np.ones((2, 8)).tolist(), 9) is None  # an array, for scikit-learn


def test_one_type_for_all():
    assert all(s.dtype == np.float64 for s in signals_of([np.ones(3), np.ones(2, np.float32)]))
    assert all(s.dtype == np.float32 for s in signals_of([np.ones(3, "i2"), np.ones(2, "f2")]))
    assert all(s.dtype == torch.float64 for s in signals_of([torch.ones(3).long(), torch.ones(2)]))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([np.ones(5), np.ones((2, 5)), np.ones(4)], r"sample 1 of X has the shape \(2, 5\)"),
        ([np.ones((1, 5)), np.ones((2, 6))], "None"),
        ([np.ones(5), np.ones(4), np.ones(0)], "sample 2 of X has no values"),
        ([np.ones(5), np.array([1, np.nan])], "NaN or infinity in sample 1"),
        ([torch.ones(5), torch.tensor([1, torch.inf])], "NaN or infinity in sample 1"),
        ([np.ones(5), np.ma.masked_equal([1.0, 2.0], 2)], "1 masked values"),
    ],
)
def test_bad_signals(X, message):
    if message == "None":
        assert signals_of(X) is None
        return
    with pytest.raises(ValueError, match=message):
        signals_of(X)


def test_groups():
    groups = by_length(SIGNALS)
    assert list(groups) == [64, 70, 90, 91, 128]
    assert groups[70] == [0, 2]
    assert stack([SIGNALS[0], SIGNALS[2]]).shape == (2, 70)
    assert isinstance(stack([torch.ones(3)] * 2), torch.Tensor)


TRANSFORMERS = [
    ScatteringTransformer(J=4, Q=2, averaging="global"),
    ScatteringTransformer(J=4, Q=2, averaging="global", log=True, nonlinearity="rectifier"),
    ScatteringTransformer(J=4, Q=2, averaging="stats", log=True),
    ScatteringTransformer(averaging="global"),
    PhaseHarmonicTransformer(J=3),
    PhaseHarmonicTransformer(ndim=1, moments="scattering_covariance", boundary="crop"),
]


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("transformer", TRANSFORMERS)
def test_each_signal_as_if_it_were_alone(transformer, cached):
    transformer = clone(transformer)
    if cached:
        transformer.set_params(cache=FeatureCache())
    Y = transformer.fit(SIGNALS).transform(SIGNALS)
    assert Y.shape == (6, len(transformer.get_feature_names_out())) and Y.dtype == np.float32
    alone = clone(transformer).set_params(J=transformer.J_, cache=None)
    for signal, y in zip(SIGNALS, Y, strict=True):
        assert_close(y, alone.fit_transform(signal[None])[0])
    assert np.array_equal(transformer.transform(SIGNALS), Y)
    assert_close(transformer.transform(SIGNALS[::-1])[::-1], Y)
    for kind in KINDS.values():
        assert_close(np.asarray(transformer.transform(kind(SIGNALS))), Y, 1e-6)
    # arrays are signals of one length
    assert_close(transformer.transform(np.stack([SIGNALS[0], SIGNALS[2]])), Y[[0, 2]])
    if cached:
        assert len(transformer.cache) == 2 * 6  # lists of floats are of double precision


def test_frames():
    transformer = ScatteringTransformer(J=4, Q=2, log=1e-3, cache=FeatureCache()).fit(SIGNALS)
    frames = transformer.transform(SIGNALS)
    assert isinstance(frames, list)
    names = transformer.get_feature_names_out()
    assert transformer.output_shape_ == (1, len(names)) and names[0] == "s0"
    for signal, y in zip(SIGNALS, frames, strict=True):
        alone = ScatteringTransformer(J=4, Q=2, log=1e-3).fit(signal[None])
        grid = alone.output_shape_[-1]
        assert y.shape == (grid, len(names)) == (-(-len(signal) // 16), len(names))
        assert_close(y.T, alone.transform(signal[None]).reshape(len(names), grid))
    for again, y in zip(transformer.transform(SIGNALS), frames, strict=True):
        np.testing.assert_array_equal(again, y)
    tensors = transformer.transform([torch.from_numpy(s) for s in SIGNALS])
    assert all(isinstance(y, torch.Tensor) for y in tensors)


def test_channels():
    transformer = ScatteringTransformer(J=4, ndim=1, averaging="global").fit(CHANNELS)
    Y = transformer.transform(CHANNELS)
    names = transformer.get_feature_names_out()
    assert Y.shape == (6, len(names)) and names[-1].startswith("c1_")
    one = ScatteringTransformer(J=4, averaging="global").fit(SIGNALS)
    assert_close(Y[:, : len(names) // 2], one.transform(SIGNALS))
    with pytest.raises(ValueError, match=r"fitted to signals of 2 channels"):
        transformer.transform(SIGNALS)
    with pytest.raises(ValueError, match="give ScatteringTransformer ndim=2"):
        ScatteringTransformer(J=4).fit(CHANNELS)


def test_statistics_are_those_of_the_frames():
    transformer = ScatteringTransformer(J=4, Q=2, T=8, log=1e-3)
    S = transformer.fit_transform(SIGNALS[0][None]).reshape(transformer.output_shape_)[0]
    expected = np.stack(
        [S.mean(1), S.std(1), *(np.quantile(S, q, axis=1) for q in (0.1, 0.5, 0.9))], axis=1
    )
    transformer.set_params(averaging="stats")
    Y = transformer.fit_transform(SIGNALS[0][None])
    assert transformer.output_shape_ == (1, *expected.shape)
    assert_close(Y, expected.reshape(1, -1), 1e-5)
    names = transformer.get_feature_names_out()
    assert list(names[:5]) == ["s0_mean", "s0_std", "s0_q10", "s0_q50", "s0_q90"]


def test_statistics_of_images_and_of_long_signals():
    images = ScatteringTransformer(J=2, L=2, ndim=2, averaging="stats")
    assert images.fit_transform(rng.normal(size=(2, 16, 16))).shape == (2, 9 * 5)
    x = rng.normal(size=(1, 300_000))
    long = ScatteringTransformer(J=2, max_order=1).fit(x)
    S = long.transform(x).reshape(long.output_shape_)
    long.set_params(averaging="stats")
    assert_close(long.fit_transform(x).reshape(1, -1, 5)[..., 0], S.mean(-1))


def test_gradients_go_through():
    signals = [torch.from_numpy(s).double().requires_grad_() for s in SIGNALS[:3]]
    for averaging in ("global", "stats"):
        transformer = ScatteringTransformer(J=4, averaging=averaging).fit(signals)
        transformer.transform(signals).square().sum().backward()
        assert all(s.grad.abs().sum() > 0 for s in signals)


@pytest.mark.parametrize("kind", ["list", "objects", "series"])
def test_searches(kind):
    X = KINDS[kind](WORDS)
    transformer = ScatteringTransformer(J=3, averaging="stats", cache=FeatureCache())
    model = make_pipeline(transformer, StandardScaler(), LogisticRegression())
    assert cross_val_score(model, X, CLASSES, cv=3).mean() == 1
    search = GridSearchCV(model, {"scatteringtransformer__J": [2, 3]}, cv=3).fit(X, CLASSES)
    assert search.score(X, CLASSES) == 1
    assert len(transformer.cache) == 2 * len(WORDS)
    assert search.predict([WORDS[0]]) == CLASSES[:1]


def test_a_fit_to_one_length_takes_lists_of_others():
    X = rng.normal(size=(4, 80))
    transformer = ScatteringTransformer(J=3, averaging="global").fit(X)
    some = [X[0], X[1, :60]]
    expected = ScatteringTransformer(J=3, averaging="global").fit(some).transform(some)
    assert_close(transformer.transform(some), expected)
    assert_close(transformer.transform([X[1, :60]]), expected[1:])
    with pytest.raises(ValueError, match="60 features"):
        transformer.transform(X[:, :60])


def test_a_fit_to_an_array_follows_one_to_a_list():
    transformer = ScatteringTransformer(J=3).fit(SIGNALS)
    assert transformer.any_length_ and not hasattr(transformer, "n_features_in_")
    transformer.fit(np.ones((2, 64)))
    assert not transformer.any_length_ and transformer.n_features_in_ == 64
    with pytest.raises(ValueError, match="72 features"):
        transformer.transform(np.ones((2, 72)))


def test_refusals():
    transformer = ScatteringTransformer(J=5, averaging="global").fit(SIGNALS)
    with pytest.raises(ValueError, match="J=5 is too large") as error:
        transformer.transform([*SIGNALS, np.ones(20)])
    assert error.value.__notes__ == ["It is sample 6 of X."]
    with pytest.raises(ValueError, match="J=7 is too large"):
        ScatteringTransformer(J=7).fit(SIGNALS)
    for parameters in ({"ndim": 2}, {"shape": 64}):
        with pytest.raises(ValueError, match=r"different lengths.*set ndim=1.*shape=None"):
            ScatteringTransformer(J=3, **parameters).fit(SIGNALS)
    with pytest.raises(ValueError, match="averaging=None gives maps on several grids"):
        ScatteringTransformer(J=3, averaging=None).fit(SIGNALS).transform(SIGNALS)
    for other in (transformer, ScatteringTransformer(J=3, averaging="stats").fit(WORDS[:1])):
        S = np.ones((1, len(other.get_feature_names_out())))
        with pytest.raises(ValueError, match="recovered from features of one length"):
            other.inverse_transform(S)
    with pytest.raises(ValueError, match="sample 1 of X has the shape"):
        ScatteringTransformer().fit([np.ones(70), np.ones((2, 80))])


def test_progress(capsys):
    ScatteringTransformer(J=3, averaging="global", verbose=1).fit(SIGNALS).transform(SIGNALS)
    assert "5 lengths" in capsys.readouterr().out
