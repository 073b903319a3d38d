"""Bad input, odd parameters and interruptions, the same for every estimator."""

import ast
import copy
import pickle
import re
import signal
import sys
import warnings
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy.sparse import issparse
from sklearn.exceptions import InconsistentVersionWarning

import skwave
import skwave.nn
from skwave import Molecules
from skwave._core.compat import Interval, StrOptions

try:
    import resource
except ImportError:  # not on Windows
    resource = None

rng = np.random.default_rng(0)
IMAGES, LABELS = rng.uniform(size=(12, 4, 4)), np.arange(12) % 2
MOLECULES = Molecules.from_pairs(
    [([1, 1], [[0, 0, 0], [0, 0, 0.74]]), ([9, 1], [[0, 0, 0], [0, 0.2, 0.9]])]
)


class Case(NamedTuple):
    """Cheap parameters of an estimator, what it is fitted to, and what is asked of it then."""

    parameters: dict
    X: object
    y: np.ndarray | None = None
    methods: tuple[str, ...] = ("transform",)
    draws: bool = False


CASES = {
    "CASEGenerator": Case(
        {
            "J": 1, "n_components": 2, "L": 1, "channels": 1, "n_atoms": (4, 2), "n_iter": 2,
            "max_iter": 2, "batch_size": 4, "random_state": 0,
        },
        IMAGES,
        draws=True,
    ),
    "EnergyRegressor": Case(
        {"L": 1, "J": 1, "Q": 1, "n_components": 2},
        MOLECULES,
        np.array([-1.0, -2.0]),
        methods=("predict",),
    ),
    "MaxEntTextureModel": Case(
        {"J": 1, "L": 2, "shifts": 1, "max_iter": 2, "random_state": 0},
        rng.normal(size=(2, 8, 8)),
        methods=("transform", "energy"),
        draws=True,
    ),
    "MultilinearRegressor": Case(
        {"n_terms": 2, "max_iter": 3, "batch_size": 4, "random_state": 0},
        rng.normal(size=(12, 3)),
        rng.normal(size=12),
        methods=("predict",),
    ),
    "PhaseHarmonicTransformer": Case({"J": 1, "L": 2, "shifts": 1}, rng.normal(size=(3, 8, 8))),
    "ScatteringDictionaryClassifier": Case(
        {
            "J": 1, "L": 2, "n_atoms": 4, "n_iter": 2, "projection": 3, "max_iter": 2,
            "batch_size": 4, "random_state": 0,
        },
        IMAGES,
        LABELS,
        methods=("predict_proba",),
    ),
    "ScatteringTransformer": Case({"J": 1}, rng.normal(size=(3, 8))),
    "SolidHarmonicScattering": Case(
        {"J": 1, "L": 1, "densities": ("full",), "accuracy": 0.1}, MOLECULES
    ),
    "SparseCoder": Case(
        {
            "n_components": 3, "alpha": 0.1, "algorithm": "fista", "max_iter": 2, "batch_size": 4,
            "random_state": 0,
        },
        rng.normal(size=(12, 4)),
    ),
}  # fmt: skip
NAMES = list(CASES)
OF_MOLECULES = ["EnergyRegressor", "SolidHarmonicScattering"]
OF_ARRAYS = [name for name in NAMES if name not in OF_MOLECULES]
# what begins a training, and a step of it
SETUP, STEP = "train", "__getitem__"
NETS = ["CASEGenerator", "MultilinearRegressor", "ScatteringDictionaryClassifier"]


def make(name, **parameters):
    return getattr(skwave, name)(**{**CASES[name].parameters, **parameters})


def fit(est, X=None, y=None):
    case = CASES[type(est).__name__]
    X, y = case.X if X is None else X, case.y if y is None else y
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of two steps, say
        return est.fit(X, y)


def use(est):
    """All that a fitted estimator gives for the data it was fitted to."""
    case = CASES[type(est).__name__]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [getattr(est, method)(case.X) for method in case.methods]
        return [*found, est.sample(2)] if case.draws else found


@pytest.fixture(scope="module")
def fitted():
    """Every estimator, fitted."""
    return {name: fit(make(name)) for name in NAMES}


def assert_same(est, before):
    """Nothing was set, replaced or removed."""
    assert vars(est).keys() == before.keys()
    assert all(value is before[name] for name, value in vars(est).items())


def text_of(error):
    return "\n".join([str(error), *getattr(error, "__notes__", [])])


def refused(call, est, *message):
    """It is refused, by an error that says why, and changes nothing."""
    before = dict(vars(est))
    with pytest.raises((ValueError, TypeError)) as raised:
        call()
    assert_same(est, before)
    for pattern in message:
        assert re.search(pattern, text_of(raised.value)), text_of(raised.value)


def test_every_estimator_is_here():
    others = {"FeatureCache", "Molecules", "clear_cache"}
    assert sorted(NAMES) == sorted(set(skwave.__all__) - others)


def _holed(X, value):
    X = np.array(X, dtype=np.result_type(X, type(value)))
    X.flat[1] = value
    return X


BAD = {
    "NaN": (lambda X: _holed(X, np.nan), "NaN"),
    "infinite": (lambda X: _holed(X, -np.inf), "infinity"),
    "no samples": (lambda X: X[:0], "0 sample"),
    "no features": (lambda X: X[:, :0], "0 feature|minimum|J=1"),
    "one sample": (lambda X: X[0].ravel(), "2D"),
    "a number": (lambda X: 3.0, "2D"),
    "a number of numpy": (lambda X: np.float64(3), "2D"),
    "None": (lambda X: None, "2D|None"),
    "text": (lambda X: "abc", "2D|real"),
    "strings": (lambda X: np.full(X.shape, "a"), "real"),
    "objects": (lambda X: _holed(X.astype(object), {}), "real"),
    "complex": (lambda X: X + 1j, "Complex"),
    "ragged": (lambda X: [x[: i + 1] for i, x in enumerate(X.tolist())], "shape"),
    "NaN, torch": (lambda X: torch.from_numpy(_holed(X, np.nan)), "NaN"),
    "complex, torch": (lambda X: torch.from_numpy(X + 1j), "Complex"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("name", OF_ARRAYS)
def test_bad_samples(fitted, name, kind):
    """Neither a first fit nor another one takes them, nor what needs a fit."""
    bad, message = BAD[kind]
    case = CASES[name]
    X = bad(case.X)
    for est in (make(name), fitted[name]):
        refused(lambda: est.fit(X, case.y), est, r"\bX\b|signals of shape", message)  # noqa: B023
    for method in case.methods:
        refused(lambda: getattr(fitted[name], method)(X), fitted[name], r"\bX\b")  # noqa: B023


def _cells(X):
    # a column of arrays, as if cells were series
    cells = np.empty(len(X), object)
    cells[:] = [*np.reshape(X, (len(X), -1))]
    return cells


def _frame_of_series(X):
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame({"dim_0": [pandas.Series(x) for x in _cells(X)]})


TEACHING = {
    "arrays of different shapes": (
        lambda X: [x[: i + 1] for i, x in enumerate(np.asarray(X))],
        "different shapes, .*(pad|crop)",
    ),
    "lists of different lengths": (
        lambda X: [x[: i + 1] for i, x in enumerate(np.asarray(X).tolist())],
        "different shapes.*(pad|crop)",
    ),
    "objects of different lengths": (
        lambda X: np.array([*(x[: 1 + i % 2].ravel() for i, x in enumerate(X)), None], object)[:-1],
        "different shapes.*pad",
    ),
    "series in a frame": (_frame_of_series, r"column 'dim_0' holds a series.*np\.stack"),
    "complex": (lambda X: X + 1j, r"array of complex128, shape \(.*np\.abs\(X\)"),
    "1-D": (lambda X: X.ravel(), r"1D array of shape \(\d+,\).*X\.reshape\(1, -1\)"),
    "a list of numbers": (lambda X: [1.0, 2.0], r"1D array of shape \(2,\).*X\.reshape\(1, -1\)"),
    "a path": (lambda X: "x.npy", r"X='x\.npy' is text.*np\.load"),
    "a Path": (lambda X: Path("x.npy"), r"X='x\.npy' is text.*np\.load"),
}


# which are signals of different lengths to those that take them
OF_LENGTHS = {
    *(("ScatteringTransformer", kind) for kind in TEACHING if "different" in kind),
    ("ScatteringTransformer", "series in a frame"),
    ("PhaseHarmonicTransformer", "objects of different lengths"),
    ("PhaseHarmonicTransformer", "series in a frame"),
}


@pytest.mark.parametrize(("name", "kind"), sorted(OF_LENGTHS))
def test_c_signals_of_different_lengths(name, kind):
    X = TEACHING[kind][0](CASES[name].X)
    if name == "ScatteringTransformer" and kind != "series in a frame":
        refused(lambda: make(name).fit(X), make(name), "J=1 is too large")  # of one sample
        X = [np.tile(x, 8) for x in X]
    est = fit(make(name, averaging="global") if "Scattering" in name else make(name), X)
    Y = est.transform(X)
    assert est.any_length_ and Y.shape == (len(X), len(est.get_feature_names_out()))
    assert np.isfinite(Y).all()


@pytest.mark.parametrize("kind", TEACHING)
@pytest.mark.parametrize("name", OF_ARRAYS)
def test_c_errors_say_what_to_do(fitted, name, kind):
    """In a line or two, without the values of the array."""
    if (name, kind) in OF_LENGTHS:
        return
    bad, message = TEACHING[kind]
    case = CASES[name]
    X = bad(case.X)
    for est in (make(name), fitted[name]):
        refused(lambda: est.fit(X, case.y), est, message)  # noqa: B023
        with pytest.raises((ValueError, TypeError)) as raised:
            est.fit(X, case.y)
        assert len(str(raised.value)) < 400
    for method in case.methods:
        refused(lambda: getattr(fitted[name], method)(X), fitted[name], message)  # noqa: B023


@pytest.mark.parametrize("kind", ["list", "objects", "images"])
@pytest.mark.parametrize("name", OF_ARRAYS)
def test_c_lists_of_arrays_and_images(name, kind):
    """They give what their array gives."""
    case = CASES[name]
    X = np.asarray(case.X)
    if kind == "images":
        image = pytest.importorskip("PIL.Image")
        X = np.round(255 * rng.uniform(size=(len(X), 8, 8))).astype(np.uint8)
        if name in ("MultilinearRegressor", "ScatteringTransformer"):
            pytest.skip("takes rows, or has to be told that these are images")
        parts = [image.fromarray(x) for x in X]
    else:
        parts = [*X] if kind == "list" else np.array([*X, None], object)[:-1]
    est, other = fit(make(name), parts), fit(make(name), X)
    for method in case.methods:
        np.testing.assert_array_equal(getattr(est, method)(parts), getattr(other, method)(X))


@pytest.mark.parametrize("name", NAMES)
def test_c_swapped_arguments(fitted, name):
    case = CASES[name]
    y = np.arange(len(case.X)) % 2 if case.y is None else case.y
    for est in (make(name), fitted[name]):
        refused(lambda: est.fit(y, case.X), est, r"fit\(X, y\)|of molecules")  # noqa: B023
    if case.y is not None:
        refused(lambda: est.fit(y, case.X), est, r"swapped.*fit\(X, y\)")


@pytest.mark.parametrize("name", [n for n in NAMES if "random_state" in make(n).get_params()])
def test_c_a_generator_as_random_state(name):
    est, seed = make(name, random_state=np.random.default_rng(0)), r"random_state.*rng\.integers"
    refused(lambda: est.fit(CASES[name].X, CASES[name].y), est, seed)


@pytest.mark.parametrize(
    "name", [n for n in OF_ARRAYS if n not in ("MultilinearRegressor", "SparseCoder")]
)
def test_c_grey_images_after_colours(name):
    """Both shapes are told, and what makes the one of the other."""
    case, parameters = CASES[name], {"channels": 3} if name == "CASEGenerator" else {}
    if name == "ScatteringTransformer":
        parameters = {"ndim": 2}
    grey, colours = rng.uniform(size=(12, 8, 8)), rng.uniform(size=(12, 3, 8, 8))
    y = None if case.y is None else np.arange(12) % 2
    est = fit(make(name, **parameters), colours, y)
    shapes = r"shape \(8, 8\).*fitted to samples of shape \(3, 8, 8\).*np\.repeat"
    refused(lambda: getattr(est, case.methods[0])(grey), est, shapes)
    est = fit(make(name, **parameters), grey, y)
    shapes = r"shape \(3, 8, 8\).*fitted to samples of shape \(8, 8\).*X\.mean\(1\)"
    refused(lambda: getattr(est, case.methods[0])(colours), est, shapes)


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_c_maps_are_no_data_frames(container):
    pytest.importorskip(container)
    est = skwave.SparseCoder(dictionary=np.eye(4), alpha=0.1).set_output(transform=container)
    assert est.transform(np.ones((3, 4))).shape == (3, 4)
    for shape in ((3, 4, 2), (3, 4, 2, 2)):
        message = rf"X has {len(shape)} axes.*no {container}.*set_output\(transform='default'\)"
        refused(lambda: est.transform(np.ones(shape)), est, message)  # noqa: B023
    assert est.set_output(transform="default").transform(np.ones((3, 4, 2, 2))).ndim == 4


@pytest.mark.parametrize("name", OF_ARRAYS)
def test_c_black_images(name):
    """They give finite numbers, or an error that says what they lack."""
    case = CASES[name]
    est, X = make(name), np.zeros_like(case.X)
    if name == "CASEGenerator":
        for value in (None, 2):
            est.set_params(n_components=value)
            refused(lambda: est.fit(X), est, "all images of X are the same.*images that differ")
    elif name == "MaxEntTextureModel":
        refused(lambda: est.fit(X), est, "channel 0 of X is constant")
    else:
        fit(est, X, case.y)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert all(np.isfinite(getattr(est, m)(X)).all() for m in case.methods)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"Q": [8, 1]}, r"'Q'.*an int.*or a tuple of two, such as \(8, 1\).*Got \[8, 1\]"),
        ({"Q": (8,)}, r"'Q'.*a tuple of two, such as \(8, 1\).*Got \(8,\)"),
        ({"T": 0}, r"'T'.*\[1\.0, inf\) or None. Got 0 instead. T=None stands for 2\*\*J"),
        ({"T": "global"}, r"'T'.*Got 'global' instead.*averaging='global' gives the mean"),
        ({"T": -1.0}, "'T'.*Got -1.0 instead.*averaging=None"),
    ],
)
def test_c_parameters_of_scattering(parameters, message):
    est = make("ScatteringTransformer", **parameters)
    refused(lambda: est.fit(CASES["ScatteringTransformer"].X), est, message)
    with pytest.raises(ValueError, match=message):
        skwave.nn.Scattering(J=1, **parameters)


BAD_MOLECULES = {
    "none": ([], "X has 0 molecules"),
    "None": (None, "pair"),
    "text": ("water", "molecule 0 is a str"),
    "one molecule": (([1, 1], [[0, 0, 0], [0, 0, 0.74]]), "molecule 0"),
    "NaN": ([([1], [[0, 0, np.nan]])], "molecule 0: atom 0.*not finite"),
    "infinite": (np.array([[[1, 0, 0, np.inf]]]), "molecule 0: atom 0.*not finite"),
    "two coordinates": ([([1], [[0, 0]])], r"\(n_atoms, 3\)"),
    "lengths": ([([1, 1], [[0, 0, 0.0]])], r"\(n_atoms, 3\)"),
    "complex": (np.ones((1, 1, 4), complex), "real numbers"),
    "flat": (np.ones((2, 8)), r"\(n, n_atoms, 4\)"),
    "charges": ([([0.5], [[0, 0, 0.0]])], "integer from 1 to 118"),
    "overlap": ([([1, 1], np.zeros((2, 3)))], "overlap"),
}


@pytest.mark.parametrize("kind", BAD_MOLECULES)
def test_bad_molecules(fitted, kind):
    X, message = BAD_MOLECULES[kind]
    for est in (make("SolidHarmonicScattering"), fitted["SolidHarmonicScattering"]):
        refused(lambda: est.fit(X), est, message)  # noqa: B023
    refused(lambda: est.transform(X), est, message)


@pytest.mark.parametrize("name", OF_ARRAYS)
def test_too_small(fitted, name):
    """One pixel has no scales; three samples have not three directions."""
    X = CASES[name].X
    too_small = {"MultilinearRegressor": X[:1], "SparseCoder": None}
    small = too_small.get(name, X[..., :1] if X.ndim == 2 else X[..., :1, :1])
    if small is None:
        pytest.skip("one value is a sample to code")
    message = "minimum of 2" if name == "MultilinearRegressor" else "too short for any J"
    for est in (make(name), fitted[name]):
        refused(lambda: fit(est, small), est, message)  # noqa: B023


@pytest.mark.parametrize("name", OF_ARRAYS)
def test_other_samples_than_fitted(fitted, name):
    X, est = CASES[name].X, fitted[name]
    for other in (X[..., :-1], np.concatenate([X, X], -1), X[:, None], torch.ones(2, 99)):
        for method in CASES[name].methods:
            refused(lambda: getattr(est, method)(other), est, "X has|dim")  # noqa: B023


@pytest.mark.parametrize("name", OF_ARRAYS)
def test_names_of_columns(name):
    """They are kept, and others are refused."""
    pandas = pytest.importorskip("pandas")
    case = CASES[name]
    X = np.reshape(case.X, (len(case.X), -1))
    frame = pandas.DataFrame(X, columns=[f"p{i}" for i in range(X.shape[1])])
    est = make(name, **({} if case.X.ndim == 2 else {"shape": case.X.shape[1:]}))
    fit(est, frame)
    assert list(est.feature_names_in_) == list(frame.columns)
    others = frame.rename(columns={"p1": "q1"})
    refused(lambda: getattr(est, case.methods[0])(others), est, "feature names.*(?s:.)*q1")


TARGETS = {
    "fewer": (lambda y: y[:-1], "numbers of samples"),
    "two columns": (lambda y: np.stack([y, y], 1) + 0.5, "y should be a 1d array|label type"),
    "None": (lambda y: None, r"requires y|\by\b"),
    "NaN": (lambda y: _holed(y, np.nan), r"\by contains NaN"),
    "infinite": (lambda y: _holed(y, np.inf), r"\by contains infinity"),
    "none": (lambda y: y[:0], "numbers of samples|0 sample"),
    "complex": (lambda y: y + 1j, "Complex|label type"),
}


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("name", ["MultilinearRegressor", "ScatteringDictionaryClassifier"])
def test_bad_targets(fitted, name, kind):
    bad, message = TARGETS[kind]
    X, y = CASES[name].X, bad(CASES[name].y)
    for est in (make(name), fitted[name]):
        refused(lambda: est.fit(X, y), est, message)  # noqa: B023
        if y is not None:
            weight = "weight|sample|Complex"
            refused(lambda: est.fit(X, CASES[name].y, y), est, weight)  # noqa: B023


def test_targets_of_the_wrong_kind(fitted):
    words = np.array(["a", "b"] * 6)
    est = fitted["MultilinearRegressor"]
    refused(lambda: est.fit(CASES["MultilinearRegressor"].X, words), est, r"\by\b")
    est = fitted["ScatteringDictionaryClassifier"]
    refused(lambda: est.fit(IMAGES, np.linspace(0, 1, 12)), est, "label type: continuous")
    refused(lambda: est.fit(IMAGES, np.zeros(12)), est, "y holds one class only")


HUGE = 10**9
ODD = [None, -1, 0, 0.5, 1e9, HUGE, np.nan, np.inf, "x", (), [], True, object()]
STEPS = {"max_iter"}  # as many as are asked for
PATHS = {"memory", "checkpoint", "cache"}


@contextmanager
def limits(seconds, memory=2**31):
    """Little time and memory for what should ask for neither, where the system can limit them."""

    def stop(*arguments):
        raise TimeoutError(f"longer than {seconds} s")

    old = None
    if resource is not None and sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        old = resource.getrlimit(resource.RLIMIT_AS)
        limit = pages * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, old[1]))
    if hasattr(signal, "setitimer"):
        handler = signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, handler)
        if old is not None:
            resource.setrlimit(resource.RLIMIT_AS, old)


def refuses_or_works(name, parameters):
    """Parameters are refused by name and nothing is set, or all that comes out is finite."""
    case, est = CASES[name], make(name, **parameters)
    before, fits, found = dict(vars(est)), True, []
    seconds = 3 if HUGE in parameters.values() else 20
    with warnings.catch_warnings(record=True) as caught, limits(seconds):
        warnings.simplefilter("always")
        try:
            est.fit(case.X, case.y)
            fits = False
            found = [getattr(est, method)(case.X) for method in case.methods]
            found += [est.sample(2)] if case.draws else []
        except (ValueError, TypeError) as error:
            text = text_of(error)
            assert any(re.search(rf"\b{parameter}\b", text) for parameter in parameters), text
            if fits:
                assert_same(est, before)
            return
    assert "x" not in [value for p, value in parameters.items() if p not in PATHS]
    warned = any(issubclass(w.category, UserWarning) for w in caught)
    found = [f.data if issparse(f) else np.asarray(f) for f in found]
    assert warned or all(np.isfinite(f).all() for f in found)


@pytest.mark.parametrize(
    ("name", "parameter"), [(name, p) for name in NAMES for p in make(name).get_params()]
)
def test_odd_parameters(fitted, name, parameter, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where memory="x" and cache="x" go
    for value in ODD:
        if not (parameter in STEPS and value is HUGE):
            refuses_or_works(name, {parameter: value})


TOGETHER = [
    ("CASEGenerator", {"alpha": 1e-300}),
    ("CASEGenerator", {"alpha": 1e300}),
    ("CASEGenerator", {"decoder": "convolutional", "J": 2, "batch_size": 1}),
    ("CASEGenerator", {"latent_noise": 1e300}),
    ("CASEGenerator", {"learning_rate_init": 1e6, "weight_decay": 1e6}),
    ("CASEGenerator", {"n_atoms": (HUGE, 2)}),
    ("CASEGenerator", {"validation_fraction": 0.95}),
    ("MaxEntTextureModel", {"boundary": "crop", "oversampling": HUGE}),
    ("MultilinearRegressor", {"validation_fraction": 0.95}),
    ("MultilinearRegressor", {"learning_rate_init": 1e300}),
    ("MultilinearRegressor", {"learning_rate_init": 1e6, "weight_decay": 1e6}),
    ("ScatteringDictionaryClassifier", {"J": 2, "batch_size": 1}),
    ("ScatteringDictionaryClassifier", {"learning_rate_init": 1e300}),
    ("ScatteringDictionaryClassifier", {"learning_rate_init": 1e6, "weight_decay": 1e6}),
    ("ScatteringDictionaryClassifier", {"validation_fraction": 0.95}),
    ("ScatteringTransformer", {"Q": (1, HUGE)}),
    ("ScatteringTransformer", {"T": 1e9, "averaging": "global"}),
    ("SolidHarmonicScattering", {"densities": ([],)}),
    ("SolidHarmonicScattering", {"integral_powers": (1, "x")}),
    ("SolidHarmonicScattering", {"integral_powers": (np.inf,)}),
    ("SolidHarmonicScattering", {"sigma": 1e-300}),
    ("SolidHarmonicScattering", {"accuracy": 1e-300}),
]


@pytest.mark.parametrize(("name", "parameters"), TOGETHER, ids=str)
def test_other_odd_parameters(fitted, name, parameters):
    refuses_or_works(name, parameters)


def allowed_values(st, constraint):
    """What a constraint of a parameter allows, in small numbers; None if it is not simple."""
    if constraint is None:
        return st.none()
    if constraint == "boolean":
        return st.booleans()
    if isinstance(constraint, StrOptions):
        return st.sampled_from(sorted(constraint.options))
    if not isinstance(constraint, Interval):
        return None
    low, high = constraint.left, 5 if constraint.right is None else min(constraint.right, 5)
    if issubclass(constraint.type, Integral):
        return st.integers(low, high)
    open_ends = {"exclude_min": constraint.closed in ("right", "neither")}
    open_ends["exclude_max"] = constraint.right == high and constraint.closed in ("left", "neither")
    return st.floats(low, high, allow_subnormal=False, **open_ends)


@pytest.mark.parametrize("name", NAMES)
def test_allowed_parameters_together(fitted, name, tmp_path, monkeypatch):
    """What each may be does not always go together, but then it is said."""
    hypothesis = pytest.importorskip("hypothesis")
    st = hypothesis.strategies
    monkeypatch.chdir(tmp_path)
    parameters = {}
    for parameter, constraints in getattr(skwave, name)._parameter_constraints.items():
        values = [v for c in constraints if (v := allowed_values(st, c)) is not None]
        if values:
            parameters[parameter] = st.one_of(values)

    quick = {
        "max_examples": 5 if name in NETS else 10,
        "phases": [hypothesis.Phase.generate],
        "deadline": None,
        "derandomize": True,
        "database": None,
    }

    @hypothesis.settings(**quick)
    @hypothesis.given(st.fixed_dictionaries({}, optional=parameters))
    def check(chosen):
        refuses_or_works(name, chosen)

    check()


def calls_of_package(call, at=None):
    """Names of the package's functions that a call runs; in the one ``at``, Ctrl-C is pressed."""
    folder, names = str(Path(skwave.__file__).parent), []

    def profile(frame, event, argument):
        if event == "call" and frame.f_code.co_filename.startswith(folder):
            names.append(frame.f_code.co_name)
            if len(names) - 1 == at:
                sys.setprofile(None)
                raise KeyboardInterrupt

    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(None)
    return names


def interrupted(est, at):
    """Whether Ctrl-C in a fit was taken as its end; if not, nothing has changed."""
    before, state = dict(vars(est)), torch.get_rng_state()
    try:
        calls_of_package(lambda: fit(est), at)
        came_back = True
    except KeyboardInterrupt:
        assert_same(est, before)
        came_back = False
    assert torch.equal(torch.get_rng_state(), state)
    return came_back


def calls_of_fit(name, wanted):
    """Number of calls of a fit, and places of some."""
    fit(make(name))  # which fills the caches
    est = make(name)
    calls = calls_of_package(lambda: fit(est))
    return len(calls), [i for i, call in enumerate(calls) if call == wanted]


@pytest.mark.parametrize("name", NAMES)
def test_interrupted_at_any_time(fitted, name):
    """It has what it had before, and the next fit is as good as ever."""
    n_calls, training = calls_of_fit(name, SETUP)
    for at in np.linspace(0, min([n_calls, *training]) - 1, 5).astype(int):
        for est in (make(name), copy.copy(fitted[name])):
            assert not interrupted(est, at) or name == "SparseCoder"
            for a, b in zip(use(fit(est)), use(fitted[name]), strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("when", ["first epoch", "last epoch"])
@pytest.mark.parametrize("name", NETS)
def test_interrupted_in_training(name, when):
    """It keeps what was learnt, as its documentation says."""
    steps = calls_of_fit(name, STEP)[1]
    est = make(name)
    assert interrupted(est, steps[0 if when == "first epoch" else -2])
    assert all(np.isfinite(a).all() for a in use(est))
    assert est.n_iter_ == len(est.loss_curve_) == len(est.validation_loss_curve_)
    assert (est.n_iter_ == 0) == (when == "first epoch")


def _loads(path):
    """Calls in a module that may run what they read, with their line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        given = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
        unsafe = (
            (name.endswith(("np.load", "numpy.load")) and given.get("allow_pickle") is not False)
            or (name == "torch.load" and given.get("weights_only") is not True)
            or name in ("loads", "pickle.loads", "pickle.load", "joblib.load", "eval", "exec")
        )
        if unsafe:
            yield f"{path.name}:{node.lineno}: {name}"


# what they have pickled themselves, in the same session
OWN_PICKLES = {"_transform.py", "testing.py"}


def _sources():
    files = sorted(Path(skwave.__file__).parent.rglob("*.py"))
    return [path for path in files if path.name not in OWN_PICKLES]


@pytest.mark.parametrize(
    "path", [p for p in _sources() if "load" in p.read_text("utf-8")], ids=lambda p: p.stem
)
def test_what_is_read_is_never_run(path):
    assert list(_loads(path)) == []


def test_a_pickle_of_another_scikit_learn(fitted, monkeypatch):
    """Its parts that are scikit-learn's warn."""
    with monkeypatch.context() as patch:
        patch.setattr("sklearn.base.__version__", "0.1")
        data = pickle.dumps(fitted["CASEGenerator"])
    with pytest.warns(InconsistentVersionWarning, match=r"PCA from version 0\.1"):
        pickle.loads(data)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("bool", "float32"), ("uint8", "float32"), ("int16", "float32"), ("int32", "float64")],
)
@pytest.mark.parametrize(
    "estimator",
    [
        skwave.ScatteringTransformer(J=1, ndim=2),
        skwave.PhaseHarmonicTransformer(J=1, L=2),
        skwave.SparseCoder(dictionary=np.eye(8), alpha=0.1),
    ],
    ids=lambda e: type(e).__name__,
)
def test_a9_integers_have_the_type_that_holds_them(estimator, dtype, expected):
    X = rng.integers(0, 2, (3, 8) if "Coder" in type(estimator).__name__ else (3, 16, 16))
    found = estimator.fit(X.astype(dtype)).transform(X.astype(dtype))
    assert found.dtype == expected
    np.testing.assert_allclose(found, estimator.transform(X.astype(float)), rtol=1e-4, atol=1e-5)


# what decides a fit, and what counts at each call alone
SET_AFTER_FIT = [
    ("CASEGenerator", {"n_components": 1}, {"verbose": 1, "batch_size": 3, "sampler": "norm"}),
    ("CASEGenerator", {"gaussianize": "sphere"}, {"max_iter": 9}),
    ("MaxEntTextureModel", {"J": 2}, {"max_iter": 3, "batch_size": 1}),
    ("MaxEntTextureModel", {"mask": np.ones((8, 8), bool)}, {"tol": 0.1, "init": "white"}),
    ("MultilinearRegressor", {"standardize": False}, {"verbose": 1, "device": "cpu"}),
    ("PhaseHarmonicTransformer", {"shape": (4, 16)}, {"J": 2}),
    ("ScatteringDictionaryClassifier", {"mirror": True}, {"batch_size": 3, "device": "cpu"}),
    ("ScatteringDictionaryClassifier", {"log": True}, {"verbose": 1}),
    ("ScatteringTransformer", {"ndim": 2}, {"J": 2}),
    ("SolidHarmonicScattering", {"elements": ["H", "F", "O"]}, {"J": 2}),
    ("SparseCoder", {"dictionary": np.eye(4)}, {"alpha": 0.2, "algorithm": "omp"}),
    ("SparseCoder", {"n_components": 4}, {"split_sign": True}),
]


@pytest.mark.parametrize(("name", "decides", "counts"), SET_AFTER_FIT, ids=str)
def test_a10_parameters_set_after_fit(fitted, name, decides, counts):
    """Those that decided the fit are refused by name, until they are set back or fitted."""
    est, case = copy.copy(fitted[name]), CASES[name]
    before = {parameter: est.get_params()[parameter] for parameter in decides}
    est.set_params(**decides)
    for again in (est, pickle.loads(pickle.dumps(est))):
        for method in case.methods:
            message = rf"{next(iter(decides))}=.*set after fit.*fit again"
            refused(lambda: getattr(again, method)(case.X), again, message)  # noqa: B023
    assert use(est.set_params(**before, **counts))
    for a, b in zip(use(fit(est)), use(fit(make(name, **counts))), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a10_codes_and_names_after_fit(fitted):
    """All that needs a fit refuses, whatever method it is."""
    for name, decides, calls in [
        ("CASEGenerator", {"alpha": 0.2}, ["sample", "score", "inverse_transform"]),
        ("MaxEntTextureModel", {"L": 3}, ["sample", "get_feature_names_out", "denoise", "inpaint"]),
        ("ScatteringDictionaryClassifier", {"n_atoms": 5}, ["predict", "codes", "score"]),
        ("SparseCoder", {"positive_dict": True}, ["partial_fit", "inverse_transform"]),
    ]:
        est = copy.copy(fitted[name]).set_params(**decides)
        data = {"sample": (), "get_feature_names_out": (), "inpaint": (CASES[name].X, True)}
        data |= {"score": (CASES[name].X, CASES[name].y), "denoise": (CASES[name].X, None)}
        for call in calls:
            arguments = data.get(call, (CASES[name].X,))
            message = f"{next(iter(decides))}=.*fit again"
            refused(lambda: getattr(est, call)(*arguments), est, message)  # noqa: B023


@pytest.mark.parametrize("parameter", ["dictionary", "dict_init", "mask"])
def test_b9_a_number_for_an_array(parameter):
    name = "MaxEntTextureModel" if parameter == "mask" else "SparseCoder"
    est = make(name, **{parameter: np.float64(1)})
    refused(lambda: est.fit(CASES[name].X), est, parameter)


def _tensor(X):
    return torch.from_numpy(np.ascontiguousarray(X))


OTHER_KINDS = {
    "reversed": lambda X: np.ascontiguousarray(X[:, ::-1])[:, ::-1],
    "column after column": np.asfortranarray,
    "big endian": lambda X: X.astype(">f8"),
    "tensor": _tensor,
}


@pytest.mark.parametrize("kind", OTHER_KINDS)
@pytest.mark.parametrize("name", OF_ARRAYS)
def test_b9_the_same_numbers_in_another_kind_of_array(fitted, name, kind):
    case = CASES[name]
    X = OTHER_KINDS[kind](np.asarray(case.X))
    est = fit(make(name), X)
    for method in case.methods:
        expected = getattr(fitted[name], method)(case.X)
        for found in (getattr(est, method)(X), getattr(fitted[name], method)(X)):
            np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", OF_ARRAYS)
def test_b9_half_precision(name):
    """float32 holds its numbers."""
    case = CASES[name]
    half = _tensor(case.X).to(torch.bfloat16)
    y = None if case.y is None else _tensor(case.y)
    y = y if y is None or not y.is_floating_point() else y.to(torch.bfloat16)
    whole = y if y is None or not y.is_floating_point() else y.float()
    est, other = fit(make(name), half, y), fit(make(name), half.float(), whole)
    for method in case.methods:
        found, expected = (getattr(e, method)(x) for e, x in ((est, half), (other, half.float())))
        np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


@pytest.mark.parametrize("layout", ["sparse_coo", "sparse_csr"])
@pytest.mark.parametrize("name", OF_ARRAYS)
@pytest.mark.filterwarnings("ignore:Sparse (CSR|invariant)")
def test_b9_sparse_tensors(fitted, name, layout):
    case = CASES[name]
    X = _tensor(case.X)
    X = X.to_sparse() if layout == "sparse_coo" else X.flatten(1).to_sparse_csr()
    message = rf"X is a sparse tensor of shape .*{layout}.*X\.to_dense\(\)"
    for est in (make(name), fitted[name]):
        refused(lambda: est.fit(X, case.y), est, message)  # noqa: B023
    for method in case.methods:
        refused(lambda: getattr(fitted[name], method)(X), fitted[name], message)  # noqa: B023


@pytest.mark.parametrize("name", NAMES)
def test_b9_scalars_of_numpy_as_parameters(fitted, name):
    """They are what Python's are."""
    kinds = {bool: np.bool_, int: np.int64, float: np.float64}
    values = make(name).get_params()
    values = {p: kinds[type(v)](v) for p, v in values.items() if type(v) in kinds}
    found, expected = use(fit(make(name, **values))), use(fitted[name])
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["CASEGenerator", "ScatteringDictionaryClassifier"])
def test_b7_a_tilde_is_the_home(name, tmp_path, monkeypatch):
    """In the paths of checkpoints and of cached coefficients."""
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.chdir(here)
    fit(make(name, checkpoint="~/states", memory="~/coefficients"))
    assert sorted(path.name for path in home.iterdir()) == ["coefficients", "states"]
    fit(make(name, memory=Path("~/others")))
    assert (home / "others").exists() and not list(here.iterdir())
