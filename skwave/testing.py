"""Assertions and checks that all transformers of the package pass, for those who write others."""

import pickle
import warnings

import joblib
import numpy as np
import torch
from sklearn.base import clone
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


def _assert_refused(transformer, bad):
    try:
        transformer.transform(bad)
    except (ValueError, TypeError):
        return
    raise AssertionError(f"bad input was not refused: {bad!r}")
