"""Assertions and checks that the estimators of the package pass, for those who write others."""

import pickle
import warnings

import joblib
import numpy as np
import torch
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.utils import get_tags

from skwave._core.arrays import dtype_name, native
from skwave.molecules import as_molecules

_TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


def tolerance(dtype):
    """Relative error that a computation in a floating type is allowed.

    Parameters
    ----------
    dtype : numpy or torch dtype, or its name
        Type float32 or float64.

    Returns
    -------
    tol : float
        1e-5 or 1e-12.

    Examples
    --------
    >>> tolerance("float32")
    1e-05
    """
    return _TOLERANCE[dtype_name(dtype)]


def relative_error(actual, expected):
    r"""Relative error :math:`\|a - b\|_2 / \|b\|_2` of an array to another, of any kinds.

    Parameters
    ----------
    actual, expected : array
        Arrays of one shape.

    Returns
    -------
    error : float
        The norm of ``actual`` itself if ``expected`` is zero.
    """
    actual, expected = (_in_double(a) for a in (actual, expected))
    if actual.shape != expected.shape:
        raise AssertionError(f"shapes differ: {actual.shape} and {expected.shape}")
    return float(np.linalg.norm(actual - expected) / (np.linalg.norm(expected) or 1.0))


def _in_double(a):
    a = native(a)
    if isinstance(a, torch.Tensor):  # numpy has not all of its types
        a = a.detach().cpu().to(torch.complex128 if a.is_complex() else torch.float64).numpy()
    return np.asarray(a, dtype=complex if np.iscomplexobj(a) else float)


def assert_close(actual, expected, tol=None):
    """Assert that two arrays agree to the tolerance of their type.

    Parameters
    ----------
    actual, expected : array
        Arrays of one shape.
    tol : float, default=None
        Largest relative error; that of the type of ``actual`` by default.

    Raises
    ------
    AssertionError
        With the error found.
    """
    error, tol = relative_error(actual, expected), tolerance(actual.dtype) if tol is None else tol
    if not error <= tol:
        raise AssertionError(f"relative error {error:.3g} exceeds {tol:.3g}")


def assert_invariant(f, x, transformed, tol):
    """Assert that a function gives the same for a signal and for its transformed copy.

    Parameters
    ----------
    f : callable
        Array -> array.
    x, transformed : array
        Signals, before and after a translation or a rotation, say.
    tol : float
        Largest relative error.
    """
    assert_close(f(transformed), f(x), tol)


def check_transformer(transformer, X):
    """Check what every transformer of the package promises.

    Of signals: the kind, device and type of array that comes in comes out, with one value for all
    of them; the result depends neither on batches and threads nor on the memory layout; pickle,
    clone and joblib's hash are small and stable; names are unique and reach pandas; bad input is
    refused and leaves the fit as it was. Of molecules, whose transformers have not the tag
    ``two_d_array``: batches, persistence, names, order and refusals.

    Parameters
    ----------
    transformer : estimator
        Not fitted.
    X : ndarray of float64, shape (n_samples, ...), or molecules
        At least three samples that it takes.

    Raises
    ------
    AssertionError
        At the first promise that is not kept.
    """
    arrays = get_tags(transformer).input_tags.two_d_array
    own = (_check_arrays, _check_memory_layout, _check_refusals) if arrays else (_check_molecules,)
    for check in (*own, _check_batches, _check_persistence, _check_names):
        check(clone(transformer), X)


def check_molecular_regressor(regressor, X, y):
    """Check what a regressor of molecules promises.

    Predictions are those of each molecule by itself, in any order, and do not change when a
    molecule is moved or its atoms are renumbered. A fit can be repeated, cloned and pickled, takes
    splits of a cross-validation, and changes neither parameters nor targets. Bad molecules and
    targets are refused and leave the fit as it was.

    Parameters
    ----------
    regressor : estimator
        Not fitted.
    X : molecules
        At least ten molecules that it takes, of which each two of three have all elements.
    y : ndarray of float, shape (n_molecules,)
        Targets, which vary.

    Raises
    ------
    AssertionError
        At the first promise that is not kept.
    """
    X, y = as_molecules(X), np.asarray(y, dtype=float)
    for check in (_check_predictions, _check_fits, _check_refused_targets):
        check(clone(regressor), X, y)


def _check_predictions(regressor, X, y):
    """Each molecule has its own prediction, whose symmetries are those of energies."""
    expected = regressor.fit(X, y).predict(X)
    _assert(expected.shape == y.shape, f"{expected.shape} predictions for {y.shape} targets")
    scale = np.std(y)

    def compare(predicted, known=expected, tol=1e-8):  # numpydoc ignore=GL08
        error = float(np.max(np.abs(predicted - known))) / scale
        _assert(error <= tol, f"predictions differ by {error:.1e} standard deviations of y")

    compare(regressor.predict(X[::-1])[::-1])
    compare(np.concatenate([regressor.predict(X[i : i + 1]) for i in range(3)]), expected[:3])
    numbers, positions = X[0]
    compare(regressor.predict([(numbers, positions + 1.5)]), expected[:1])
    compare(regressor.predict([(numbers[::-1], positions[::-1])]), expected[:1])
    _assert(np.isfinite(regressor.score(X, y)), "the score is not finite")


def _check_fits(regressor, X, y):
    """Fits are repeated, cloned, pickled, cross-validated; parameters and data are kept."""
    before, given = joblib.hash(regressor.get_params()), y.copy()
    expected = regressor.fit(X, y).predict(X)
    _assert(regressor.fit(X, y) is regressor, "fit does not return the regressor")
    _assert(joblib.hash(regressor.get_params()) == before, "fit changes parameters")
    _assert(np.array_equal(y, given), "fit changes y")
    for same in (regressor, clone(regressor).fit(X, y), pickle.loads(pickle.dumps(regressor))):
        _assert(np.array_equal(same.predict(X), expected), "a fit is not repeated")
    other = clone(regressor).fit(X, y.tolist()).predict(X)
    _assert(np.array_equal(other, expected), "a list of targets gives another fit")
    scores = cross_val_score(clone(regressor), X, y, cv=3, error_score="raise")
    _assert(np.isfinite(scores).all(), "a split has no score")


def _check_refused_targets(regressor, X, y):
    """Bad molecules and targets are refused, and the fit is kept."""
    expected = regressor.fit(X, y).predict(X)
    numbers, positions = X[0]
    bad = [[], "text", [(numbers, np.full_like(positions, np.nan))], [(-numbers, positions)]]
    for molecules in bad:
        _assert_refused(regressor, molecules, "predict")
    holed, infinite = y.copy(), y.copy()
    holed[1], infinite[2] = np.nan, np.inf
    for targets in (holed, infinite, y[:-1], y + 0j, None):
        _assert_refused(clone(regressor), (X, targets), "fit")
    _assert(np.array_equal(regressor.predict(X), expected), "a refusal changes the fit")


def _check_arrays(transformer, X):
    """Same kind, device and type of array out as in; same values from all of them."""
    expected = transformer.fit_transform(X)
    for dtype in (np.float32, np.float64):
        Y = transformer.fit(X.astype(dtype)).transform(X.astype(dtype))
        _assert(isinstance(Y, np.ndarray) and Y.dtype == dtype, f"numpy {dtype} not preserved")
        # a single-precision result may have passed through a square root of a small number
        assert_close(Y, expected, 10 * tolerance(dtype))
        x = torch.from_numpy(X.astype(dtype))
        y = transformer.fit(x).transform(x)
        _assert(isinstance(y, torch.Tensor) and y.dtype == x.dtype, f"{x.dtype} not preserved")
        assert_close(y, Y, 10 * tolerance(dtype))
    integers = np.round(10 * X).astype(np.int64)
    assert_close(transformer.fit_transform(integers), transformer.fit_transform(integers * 1.0))


def _check_batches(transformer, X):
    """The result depends neither on the batches nor on the threads."""
    expected = transformer.fit_transform(X)
    for parameters in ({"batch_size": 1}, {"batch_size": 2}, {"batch_size": 2, "n_jobs": 2}):
        assert_close(clone(transformer).set_params(**parameters).fit_transform(X), expected)


def _check_memory_layout(transformer, X):
    """Read-only, Fortran-ordered and reversed arrays give the same; X is not changed."""
    expected = transformer.fit_transform(X)
    read_only = X.copy()
    read_only.flags.writeable = False
    for same in (read_only, np.asfortranarray(X), X[::-1].copy()[::-1]):
        assert_close(transformer.fit_transform(same), expected)
    _assert(np.array_equal(read_only, X), "X was changed")


def _check_persistence(transformer, X):
    """Clone, pickle and joblib hash: small, stable, and with the same results."""
    before = joblib.hash(clone(transformer).fit(X))
    expected = transformer.fit_transform(X)
    data = pickle.dumps(transformer)
    arrays = [v for v in vars(transformer).values() if hasattr(v, "dtype") or hasattr(v, "_fields")]
    learnt = pickle.dumps(arrays) if arrays else b""
    _assert(len(data) < 1000 + len(learnt), f"the pickle has {len(data)} bytes")
    _assert(joblib.hash(transformer) == before, "transform changes the hash")
    assert_close(pickle.loads(data).transform(X), expected)
    assert_close(clone(transformer).fit_transform(X), expected)


def _check_names(transformer, X):
    """As many names as features, all different; pandas output carries them."""
    Y = transformer.fit_transform(X)
    names = transformer.get_feature_names_out()
    _assert(Y.shape == (len(X), len(names)), f"{len(names)} names for {Y.shape} features")
    _assert(len(set(names)) == len(names), "names are not unique")
    frame = clone(transformer).set_output(transform="pandas").fit_transform(X)
    _assert(list(frame.columns) == list(names), "the data frame has other names")


def _check_molecules(transformer, X):
    """Bad molecules are refused, and their order is that of the rows."""
    expected = transformer.fit_transform(X)
    numbers, positions = as_molecules(X)[0]
    nowhere = np.full_like(positions, np.nan)
    for bad in (
        [],
        "text",
        [(numbers, nowhere)],
        [(numbers, positions[:0])],
        [(-numbers, positions)],
    ):
        _assert_refused(transformer, bad)
    assert_close(transformer.transform(as_molecules(X)[::-1]), expected[::-1])


def _check_refusals(transformer, X):
    """Bad input is refused by a ValueError or TypeError, and the fit is kept."""
    transformer.fit(X)
    expected = transformer.transform(X)
    holed, infinite = X.copy(), X.copy()
    holed.flat[0], infinite.flat[-1] = np.nan, np.inf
    text = np.full(X.shape, "a", dtype=object)
    bad = [holed, infinite, X + 0j, X[:0], text, X[..., :-1], X[0, ..., 0].ravel()]
    bad += [torch.from_numpy(a) for a in (holed, infinite, X + 0j, X[:0])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for X_bad in bad:
            _assert_refused(transformer, X_bad)
    assert_close(transformer.transform(X), expected)


def _assert(condition, message):
    if not condition:
        raise AssertionError(message)


def _assert_refused(estimator, bad, method="transform"):
    try:
        getattr(estimator, method)(*(bad if method == "fit" else (bad,)))
    except (ValueError, TypeError):
        return
    raise AssertionError(f"bad input was not refused: {bad!r}")
