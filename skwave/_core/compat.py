"""What the package uses of scikit-learn's private names; no other module imports them."""

import re
from contextlib import contextmanager
from functools import wraps
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils._array_api import get_namespace
from sklearn.utils._param_validation import HasMethods, InvalidParameterError, StrOptions
from sklearn.utils._param_validation import Interval as _Interval
from sklearn.utils._param_validation import (
    validate_parameter_constraints as _validate_parameter_constraints,
)
from sklearn.utils.validation import _check_feature_names_in as check_feature_names_in
from sklearn.utils.validation import _check_sample_weight as check_sample_weight
from sklearn.utils.validation import check_is_fitted

__all__ = [
    "REMEDIES",
    "Estimator",
    "HasMethods",
    "Interval",
    "Pair",
    "StrOptions",
    "check_feature_names_in",
    "check_sample_weight",
    "fit_context",
    "get_namespace",
    "validate_parameters",
]


# what to do about values of parameters that many try
REMEDIES = {
    "T": "T=None stands for 2**J; averaging='global' gives the mean over the whole signal, "
    "averaging=None the maps without an average.",
    "random_state": "Of a numpy Generator rng, draw a seed: int(rng.integers(2**32)).",
}


@contextmanager
def _with_remedy():
    try:
        yield
    except InvalidParameterError as error:
        parameter = re.match(r"The '(\w+)' parameter", str(error))
        remedy = REMEDIES.get(parameter[1]) if parameter else None
        if remedy is None:
            raise
        raise InvalidParameterError(f"{error} {remedy}") from None


class Estimator(BaseEstimator):
    """Base of the estimators: what was fitted goes with the parameters that it was fitted with.

    ``_of_fit`` names the parameters that decide what a fit finds. Once one of them has another
    value, methods that need the fit refuse by its name, until it has the old value or there is
    another fit. The diagram in a notebook links to skwave's documentation.
    """

    _of_fit: ClassVar[tuple[str, ...]] = ()
    _doc_link_module = "skwave"
    _doc_link_template = (
        "https://skwave.readthedocs.io/stable/generated/skwave.{estimator_name}.html"
    )

    def _doc_link_url_param_generator(self):
        return {"estimator_name": type(self).__name__}

    def _validate_params(self):
        with _with_remedy():
            super()._validate_params()

    def _remember(self):
        # the values that decided the fit
        if self._of_fit:
            self._fitted_with = {name: getattr(self, name) for name in self._of_fit}

    def _check_fit(self):
        # it is there, and of these parameters
        check_is_fitted(self)
        for name, value in getattr(self, "_fitted_with", {}).items():
            now = getattr(self, name)
            if not _is_same(now, value):
                raise ValueError(
                    f"{name}={_short(now)} was set after fit, which had {name}={_short(value)}: "
                    "fit again, or set it back."
                )


def _is_same(a, b):
    # values of one parameter; arrays are compared by their numbers
    if a is b:
        return True
    if callable(a) or callable(b):
        return False
    if hasattr(a, "shape") or hasattr(b, "shape"):
        return np.shape(a) == np.shape(b) and bool(np.all(np.asarray(a == b)))
    return bool(np.all(a == b))


def _short(value):
    shape = getattr(value, "shape", None)
    return f"<array of shape {tuple(shape)}>" if shape else repr(value)[:80]


class Interval(_Interval):
    """Constraint of scikit-learn: a number of an interval. True is not 1."""

    def is_satisfied_by(self, val):  # numpydoc ignore=GL08
        return not isinstance(val, bool | np.bool_) and super().is_satisfied_by(val)


class Pair(Interval):
    """Constraint of scikit-learn: a tuple of two numbers of an interval."""

    def is_satisfied_by(self, val):  # numpydoc ignore=GL08
        pair = isinstance(val, tuple) and len(val) == 2
        return pair and all(super(Pair, self).is_satisfied_by(v) for v in val)

    def __str__(self):  # numpydoc ignore=GL08
        return f"a tuple of two, such as (8, 1), each {super().__str__()}"


def validate_parameters(constraints, parameters, caller):
    """Check parameters as scikit-learn checks those of its estimators.

    Parameters
    ----------
    constraints : dict
        Lists of constraints by name, as ``_parameter_constraints`` of an estimator.
    parameters : dict
        Values by name.
    caller : str
        What the parameters are of, for the message.

    Raises
    ------
    ValueError
        For the first value that satisfies none of its constraints; scikit-learn's
        ``InvalidParameterError``, which is a TypeError too.
    """
    with _with_remedy():
        _validate_parameter_constraints(constraints, parameters, caller_name=caller)


def fit_context(*, prefer_skip_nested_validation):
    """Decorate a fit: parameters are checked, and a fit that fails changes nothing.

    An error, or Ctrl-C that the fit does not catch, leaves the estimator as it was: not fitted,
    or fitted to what it was fitted to before. The parameters that decide a fit are remembered.

    Parameters
    ----------
    prefer_skip_nested_validation : bool
        As for scikit-learn's own decorator.

    Returns
    -------
    decorator : callable
        Method -> method. A fit assigns attributes and does not write into those that it finds.
    """

    def decorator(fit):  # numpydoc ignore=GL08
        checked = _fit_context(prefer_skip_nested_validation=prefer_skip_nested_validation)(fit)

        @wraps(fit)
        def all_or_nothing(estimator, *args, **kwargs):  # numpydoc ignore=GL08
            before = dict(vars(estimator))
            try:
                fitted = checked(estimator, *args, **kwargs)
                estimator._remember()
                return fitted
            except BaseException:
                vars(estimator).clear()
                vars(estimator).update(before)
                raise

        return all_or_nothing

    return decorator
