"""Every private import from scikit-learn, in one place."""

from sklearn.base import _fit_context as fit_context
from sklearn.utils._array_api import get_namespace
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_feature_names_in as check_feature_names_in

__all__ = ["Interval", "StrOptions", "check_feature_names_in", "fit_context", "get_namespace"]
