import array_api_strict
import numpy as np
import pytest
import sklearn
import torch
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from skwave import ScatteringTransformer
from skwave.testing import assert_close, relative_error

rng = np.random.default_rng(0)


def chirps(*shape):
    t = np.linspace(0, 1, shape[-1])
    rates = np.linspace(10, 30, int(np.prod(shape[:-1]))).reshape(*shape[:-1], 1)
    return np.sin(rates * (t + t**2)) + 0.3


def errors(est, x, S):
    difference = np.asarray(est.transform(x)) - np.asarray(S)
    return np.linalg.norm(difference, axis=1) / np.linalg.norm(S, axis=1)


@pytest.mark.parametrize("log", [False, True, 0.01])
@pytest.mark.parametrize("nonlinearity", ["modulus", "rectifier"])
@pytest.mark.parametrize("averaging", ["local", "global", None])
def test_features_are_met(log, nonlinearity, averaging):
    X = chirps(2, 96) + 1  # positive, since logarithms lose the sign
    est = ScatteringTransformer(
        J=3, averaging=averaging, nonlinearity=nonlinearity, n_phases=3, log=log
    ).fit(X)
    S = est.transform(X)
    Y = est.inverse_transform(S, max_iter=40, random_state=0)
    assert Y.shape == X.shape and Y.dtype == X.dtype
    # the error that counts is that of the coefficients, not of their logarithms
    linear = ScatteringTransformer(**est.get_params() | {"log": False}).fit(X)
    bound = {"local": 0.1, "global": 0.02, None: 1e-3}[averaging]
    assert errors(linear, Y, linear.transform(X)).max() < bound


def test_log_of_images():
    # the sign of order 0 is lost; that of an image is known
    u = np.linspace(0, 1, 24)
    X = (1 + np.sin(20 * u[:, None] * u) * np.cos(9 * u))[None] / 2
    est = ScatteringTransformer(J=2, L=4, ndim=2, log=True).fit(X)
    Y = est.inverse_transform(est.transform(X), max_iter=60, random_state=0)
    assert relative_error(Y, X) < 0.15


def test_log_of_a_signal_that_changes_sign():
    # what comes out has positive averages, near the magnitudes of those that changed sign
    X = chirps(3, 256) - 0.3
    linear = ScatteringTransformer(J=3).fit(X)
    est = ScatteringTransformer(J=3, log=True).fit(X)
    s = linear.transform(X)
    assert s.min() < -0.01
    y = linear.transform(est.inverse_transform(est.transform(X), max_iter=50, random_state=0))
    assert relative_error(y, abs(s)) < 0.35 < 0.5 < relative_error(y, s)


@pytest.mark.parametrize(
    ("sample", "parameters"),
    [
        ((64,), {"J": 3}),
        ((2, 48), {"J": 3, "Q": 2, "ndim": 1}),
        ((20, 16), {"J": 2, "L": 4, "ndim": 2}),
        ((2, 3, 12, 12), {"J": 1, "L": 2, "ndim": 2, "boundary": "periodic"}),
        ((240,), {"J": 1, "L": 2, "ndim": 2, "shape": (10, 12)}),
        ((120,), {"J": 2, "shape": (60,)}),
    ],
)
def test_shapes(sample, parameters):
    X = chirps(3, *sample)
    est = ScatteringTransformer(**parameters).fit(X)
    S = est.transform(X)
    Y = est.inverse_transform(S, max_iter=40, random_state=0)
    assert Y.shape == X.shape
    assert errors(est, Y, S).max() < 0.12
    assert errors(est, rng.standard_normal(X.shape), S).min() > 0.5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kinds_of_arrays(dtype):
    X = chirps(2, 64)
    est = ScatteringTransformer(J=3).fit(X)
    S = est.transform(X)
    expected = est.inverse_transform(S, max_iter=3, random_state=0)
    tol = 1e-4 if dtype == "float32" else 1e-10
    Y = est.inverse_transform(S.astype(dtype), max_iter=3, random_state=0)
    assert isinstance(Y, np.ndarray) and Y.dtype == dtype and Y.flags.writeable
    assert_close(Y, expected, tol)
    s = torch.from_numpy(S.astype(dtype)).requires_grad_()
    y = est.inverse_transform(s, max_iter=3, random_state=0)
    assert isinstance(y, torch.Tensor) and y.dtype == s.dtype and not y.requires_grad
    assert_close(y, expected, tol)
    with sklearn.config_context(array_api_dispatch=True):
        a = array_api_strict.asarray(S.astype(dtype))
        y = est.inverse_transform(a, max_iter=3, random_state=0)
        init = array_api_strict.asarray(X.astype(dtype))
        same = est.inverse_transform(a, init=init, max_iter=3)
    assert type(y) is type(a) and y.dtype == a.dtype
    assert_close(np.asarray(y), expected, tol)
    assert_close(np.asarray(same), X, tol)
    assert_close(est.inverse_transform(S.tolist(), max_iter=3, random_state=0), expected)
    est.set_params(dtype="float32")
    assert est.inverse_transform(S.astype(dtype), max_iter=1).dtype == np.float32


def test_cuda():
    if not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    X = chirps(2, 64)
    est = ScatteringTransformer(J=3).fit(X)
    S = est.transform(X)
    expected = est.inverse_transform(S, max_iter=3, random_state=0)
    y = est.inverse_transform(torch.from_numpy(S).cuda(), max_iter=3, random_state=0)
    assert y.is_cuda
    assert_close(y.cpu(), expected, 1e-8)
    moved = est.set_params(device="cuda").inverse_transform(S, max_iter=3, random_state=0)
    assert_close(moved, expected, 1e-8)


@pytest.mark.parametrize("parameters", [{"batch_size": 1}, {"batch_size": 2, "n_jobs": 2}])
def test_batches_do_not_matter(parameters):
    X = chirps(5, 64)
    est = ScatteringTransformer(J=3).fit(X)
    S = est.transform(X)
    expected = est.inverse_transform(S, max_iter=15, random_state=0)
    est.set_params(**parameters)
    assert_close(est.inverse_transform(S, max_iter=15, random_state=0), expected, 1e-6)


def test_random_state():
    X = chirps(2, 64)
    est = ScatteringTransformer(J=3).fit(X)
    S = est.transform(X)

    def invert(random_state):
        return est.inverse_transform(S, max_iter=2, random_state=random_state)

    state = torch.get_rng_state()
    first = invert(3)
    assert np.array_equal(first, invert(3))
    assert np.array_equal(first, invert(np.random.RandomState(3)))
    assert relative_error(invert(4), first) > 0.1
    # each sample has noise of its own
    same = est.inverse_transform(S[[0, 0]], max_iter=2, random_state=3)
    assert relative_error(same[1], same[0]) > 0.1
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy, np.ndarray.tolist])
def test_init(kind):
    X = chirps(2, 2, 64)
    est = ScatteringTransformer(J=3, ndim=1).fit(X)
    S = est.transform(X)
    # the signal itself is done at once
    assert_close(est.inverse_transform(S, init=kind(X)), X)
    assert_close(est.inverse_transform(torch.from_numpy(S), init=kind(X)), X)
    # and another one is taken as it is
    assert_close(est.inverse_transform(S, init=kind(3 * X), tol=10), 3 * X)
    near = est.inverse_transform(S, init=kind(X + 0.01), max_iter=2)
    assert 0 < relative_error(near, X) < 0.05
    # without noise nothing is random
    again = est.inverse_transform(S, init=kind(X + 0.01), max_iter=2, random_state=5)
    assert np.array_equal(near, again)


def test_going_on_from_what_was_found():
    X = chirps(1, 128)
    est = ScatteringTransformer(J=3).fit(X)
    S = est.transform(X)
    first = est.inverse_transform(S, max_iter=10, random_state=0)
    before = first.copy()
    second = est.inverse_transform(S, init=first, max_iter=30)
    assert errors(est, second, S) < errors(est, first, S)
    assert np.array_equal(first, before)


def test_tol():
    X = chirps(3, 128)
    est = ScatteringTransformer(J=3).fit(X)
    S = est.transform(X)
    found = errors(est, est.inverse_transform(S, tol=0.2, random_state=0), S)
    assert (found <= 0.2).all() and found.min() > 0.05


def test_interrupt_keeps_what_was_found(monkeypatch):
    # Ctrl-C in the second block of three
    X = chirps(3, 64)
    est = ScatteringTransformer(J=3, batch_size=1).fit(X)
    S = est.transform(X)
    expected = est.inverse_transform(S, max_iter=12, random_state=0)
    import skwave.functional._scattering.inversion as inversion

    count, compute = 0, inversion.scattering

    def scattering(x, plan):
        nonlocal count
        count += 1
        if count == 20:
            raise KeyboardInterrupt
        return compute(x, plan)

    monkeypatch.setattr(inversion, "scattering", scattering)
    with pytest.warns(ConvergenceWarning, match="interrupted.*init="):
        Y = est.inverse_transform(S, max_iter=12, random_state=0)
    found = errors(est, Y, S)
    assert_close(Y[0], expected[0])
    assert found[0] < found[1] < 0.5 < found[2]
    assert count == 21  # of the third, the noise was scaled


def test_progress(capsys):
    X = chirps(2, 64)
    est = ScatteringTransformer(J=3, verbose=1).fit(X)
    S = est.transform(X)
    capsys.readouterr()
    Y = est.inverse_transform(S, max_iter=25, random_state=0)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        f"[ScatteringTransformer] step {n}/25" for n in (10, 20, 25)
    ]
    est.set_params(verbose=0)
    found = errors(est, Y, S)
    assert f"relative error {found.mean():.2e} on average, at most {found.max():.2e}" in lines[-1]
    est.inverse_transform(S, max_iter=10)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients(mode):
    X = chirps(2, 64)
    est = ScatteringTransformer(J=3).fit(X)
    S = est.transform(X)
    expected = est.inverse_transform(S, max_iter=3, random_state=0)
    with mode():
        assert_close(est.inverse_transform(S, max_iter=3, random_state=0), expected)
        s = est.transform(torch.from_numpy(X))
        assert_close(est.inverse_transform(s, max_iter=3, random_state=0), expected)


def test_zero_and_constant_signals():
    X = np.stack([np.zeros(64), np.full(64, 3.0)])
    est = ScatteringTransformer(J=3).fit(X)
    Y = est.inverse_transform(est.transform(X), random_state=0)
    assert (Y[0] == 0).all()
    assert_close(Y[1], X[1], 0.05)


@pytest.mark.parametrize(
    ("X", "parameters", "message"),
    [
        (np.ones((2, 7)), {}, r"rows of shape \(7,\).*gives \d+ features.*transform"),
        (torch.ones(2, 7), {}, r"rows of shape \(7,\).*gives \d+ features.*transform"),
        (None, {"init": np.ones((3, 64))}, "init has 3 signals for 2 rows"),
        (None, {"init": np.ones((2, 32))}, "32 features|shape"),
        (None, {"init": np.full((2, 64), np.nan)}, "NaN"),
        (None, {"max_iter": 0}, r"'max_iter' parameter of inverse_transform .* \[1, inf\)\. Got 0"),
        (None, {"max_iter": 1.5}, r"'max_iter' parameter of inverse_transform .* Got 1\.5"),
        (None, {"tol": -1}, r"'tol' parameter .* \[0\.0, inf\)\. Got -1"),
        (None, {"tol": np.nan}, "'tol' parameter .* Got nan"),
        (None, {"tol": "a"}, "'tol' parameter .* Got 'a'"),
        (None, {"random_state": "a"}, "seed"),
        (np.full((2, 7), np.nan), {}, "NaN"),
        (torch.full((2, 7), torch.inf), {}, "infinity"),
        (np.ones((2, 7)) * 1j, {}, "Complex"),
        (torch.ones(2, 7) * 1j, {}, "Complex"),
        (np.ones(7), {}, "Expected 2D"),
    ],
)
def test_bad_input_is_refused(X, parameters, message):
    est = ScatteringTransformer(J=3).fit(np.ones((2, 64)))
    S = est.transform(np.ones((2, 64)))
    with pytest.raises((ValueError, TypeError), match=f"(?s){message}"):
        est.inverse_transform(S if X is None else X, **parameters)


def test_not_fitted():
    with pytest.raises(NotFittedError):
        ScatteringTransformer(J=3).inverse_transform(np.ones((2, 40)))


def test_parameters_set_since_the_fit_are_checked():
    est = ScatteringTransformer(J=3).fit(np.ones((2, 64)))
    S = est.transform(np.ones((2, 64)))
    with pytest.raises(ValueError, match="J=9 is too large"):
        est.set_params(J=9).inverse_transform(S)
    with pytest.raises(ValueError, match="device='gpu'"):
        est.set_params(J=3, device="gpu").inverse_transform(S)


def test_features_of_more_than_the_type_can_hold():
    est = ScatteringTransformer(J=3, log=True).fit(np.ones((1, 64)))
    S = est.transform(np.ones((1, 64)))
    with pytest.raises(ValueError, match=r"not finite at the start of rows \[0\]"):
        est.inverse_transform(S + 1000)
