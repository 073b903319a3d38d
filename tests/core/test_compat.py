"""What the package adds to scikit-learn's own validation of parameters."""

from numbers import Integral

import numpy as np
import pytest

from skwave._core.compat import Interval, Pair, StrOptions, validate_parameters

COUNT = Interval(Integral, 1, 8, closed="both")
CONSTRAINTS = {
    "n": [COUNT, Pair(Integral, 1, 8, closed="both")],
    "kind": [StrOptions({"a", "b"}), None],
}


@pytest.mark.parametrize("value", [True, np.bool_(True)])
def test_truth_is_not_a_number(value):
    assert COUNT.is_satisfied_by(1) and not COUNT.is_satisfied_by(value)


@pytest.mark.parametrize(
    "parameters", [{"n": 8}, {"n": (1, 8)}, {"n": np.int64(3), "kind": None}, {"kind": "b"}]
)
def test_values_that_are_allowed(parameters):
    validate_parameters(CONSTRAINTS, parameters, "Caller")


@pytest.mark.parametrize("value", [9, 0, 1.0, True, (1,), (1, 9), (1, True), [1, 2], "a", None])
def test_other_values_are_named_with_what_is_allowed(value):
    message = (
        r"The 'n' parameter of Caller must be an int in the range \[1, 8\] or a tuple of two, "
        r"such as \(8, 1\), each an int in the range \[1, 8\]\. Got "
    )
    with pytest.raises(ValueError, match=message):
        validate_parameters(CONSTRAINTS, {"kind": "a", "n": value}, "Caller")
