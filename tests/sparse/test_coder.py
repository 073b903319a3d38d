"""SparseCoder: the same numbers as scikit-learn, every kind of array, bad input."""

import sys
import warnings

import numpy as np
import pytest
import sklearn
import torch
from scipy.sparse import csr_array, csr_matrix
from sklearn.base import clone
from sklearn.decomposition import MiniBatchDictionaryLearning, sparse_encode
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_transformer_n_iter

import skwave.sparse._coder
from skwave import SparseCoder
from skwave.functional import Codes, lasso_objective

ALGORITHMS = ["auto", "cd", "fista", "istc", "ista", "omp"]
EXACT = ["auto", "cd", "fista"]


def objective(coder, X, Z):
    arrays = (torch.from_numpy(np.asarray(a, float)) for a in (Z, X, coder.components_))
    return float(lasso_objective(*arrays, coder.alpha).mean())


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    D = rng.standard_normal((24, 12))
    D /= np.linalg.norm(D, axis=1, keepdims=True)
    Z = rng.standard_normal((700, 24)) * (rng.random((700, 24)) < 0.12)
    X = Z @ D + 0.01 * rng.standard_normal((700, 12))
    return X, D


@pytest.fixture(scope="module")
def fitted(data):
    return SparseCoder(24, alpha=0.05, max_iter=5, random_state=0).fit(data[0])


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("algorithm", EXACT)
def test_objective_of_sklearn(data, algorithm, positive):
    X, D = data
    coder = SparseCoder(alpha=0.1, algorithm=algorithm, dictionary=D, positive=positive).fit(X)
    assert np.array_equal(coder.components_, D)
    assert coder.n_iter_ == 1 and coder.loss_curve_ == []
    Z = coder.transform(X)
    expected = sparse_encode(
        X, D, algorithm="lasso_cd", alpha=0.1, positive=positive, max_iter=10_000
    )
    ours, theirs = objective(coder, X, Z), objective(coder, X, expected)
    assert abs(ours - theirs) <= 1e-4 * theirs
    np.testing.assert_allclose(Z, expected, atol=5e-3)
    assert not positive or Z.min() >= 0


def test_omp_of_sklearn(data):
    X, D = data
    coder = SparseCoder(dictionary=D, algorithm="omp", transform_n_nonzero_coefs=3).fit(X)
    expected = sparse_encode(X, D, algorithm="omp", n_nonzero_coefs=3)
    np.testing.assert_allclose(coder.transform(X), expected, atol=1e-8)
    few = clone(coder).set_params(transform_n_nonzero_coefs=None).fit(X).transform(X)
    assert (np.count_nonzero(few, axis=1) == 1).all()


@pytest.mark.parametrize("algorithm", ["istc", "ista"])
def test_inexact_algorithms_come_close(data, algorithm):
    X, D = data
    coder = SparseCoder(alpha=0.1, dictionary=D, algorithm=algorithm, transform_max_iter=200)
    exact = SparseCoder(alpha=0.1, dictionary=D).fit(X)
    least = objective(exact, X, exact.transform(X))
    reached = objective(exact, X, coder.fit(X).transform(X))
    assert least - 1e-9 <= reached <= 1.02 * least


def test_learns_the_planted_atoms(data):
    X, D = data
    coder = SparseCoder(24, alpha=0.05, max_iter=30, random_state=0).fit(X)
    found = np.abs(coder.components_ @ D.T).max(0)
    assert np.mean(found) > 0.85 and np.max(found) > 0.98
    np.testing.assert_allclose(np.linalg.norm(coder.components_, axis=1), 1)
    assert coder.n_iter_ == len(coder.loss_curve_) == 30
    assert coder.n_steps_ == 30 * 3
    assert coder.loss_curve_[-1] < 0.8 * coder.loss_curve_[0]
    assert 0 <= coder.dual_gap_ <= 1e-3
    gram = np.abs(coder.components_ @ coder.components_.T) - np.eye(24)
    np.testing.assert_allclose(coder.coherence_, gram.max())


@pytest.mark.filterwarnings("ignore:Objective did not converge")
def test_no_worse_than_sklearn(data):
    X, _ = data
    train, test = X[:500], X[500:]
    common = {"n_components": 24, "alpha": 0.05, "batch_size": 64, "max_iter": 4}
    common |= {"random_state": 0}
    ours = SparseCoder(**common).fit(train)
    theirs = MiniBatchDictionaryLearning(
        **common, tol=0, max_no_improvement=None, fit_algorithm="cd"
    ).fit(train)
    same = SparseCoder(alpha=0.05, dictionary=theirs.components_).fit(train)
    assert objective(ours, test, ours.transform(test)) <= 1.01 * objective(
        same, test, same.transform(test)
    )


def test_first_atoms_and_order(data):
    X, D = data
    coder = SparseCoder(alpha=0.05, dict_init=D, max_iter=2, shuffle=False).fit(X)
    assert np.abs((coder.components_ * D).sum(1)).min() > 0.95
    again = SparseCoder(alpha=0.05, dict_init=2 * D, max_iter=2, shuffle=False).fit(X)
    np.testing.assert_allclose(again.components_, coder.components_, atol=1e-7)
    few = SparseCoder(40, alpha=0.05, max_iter=1, random_state=0).fit(X[:10])
    assert few.components_.shape == (40, 12) and np.isfinite(few.components_).all()
    assert SparseCoder(alpha=0.05, max_iter=1).fit(X[:50]).components_.shape == (12, 12)


def test_steps_of_learning(data):
    """The statistics of Mairal et al. 2010, algorithm 1, and one pass of algorithm 2."""
    X, D = data
    coder = SparseCoder(alpha=0.05, dict_init=D[::-1], batch_size=128, random_state=0)
    atoms, A, B = D[::-1].copy(), np.zeros((24, 24)), np.zeros((24, 12))
    for n, x in enumerate(np.split(X[:640], 5), start=1):
        coder.partial_fit(x)
        z = sparse_encode(x, atoms, algorithm="lasso_cd", alpha=0.05, max_iter=100_000)
        beta = (1 - 1 / n) ** 4
        A, B = beta * A + z.T @ z / len(x), beta * B + z.T @ x / len(x)
        for k in range(24):
            u = B[k] - A[k] @ atoms + A[k, k] * atoms[k]
            atoms[k] = u / np.linalg.norm(u)
        np.testing.assert_allclose(coder.components_, atoms, atol=0.02)


def test_atoms_that_no_code_has(data):
    """They are drawn anew from the samples."""
    X, D = data
    X = X * (np.arange(12) < 10)
    D = np.concatenate([D[:20], np.eye(12)[10:]])
    D[:20, 10:] = 0
    coder = SparseCoder(alpha=0.05, dict_init=D, batch_size=700, max_iter=1, random_state=0).fit(X)
    samples = X / np.linalg.norm(X, axis=1, keepdims=True)
    assert (coder.components_[20:] @ samples.T).max(1).min() > 1 - 1e-6
    assert coder.set_params(max_iter=1).partial_fit(X).loss_curve_[-1] < coder.loss_curve_[0]


def test_random_state(data):
    state = torch.get_rng_state()
    a, b, c = (
        SparseCoder(8, alpha=0.05, max_iter=1, random_state=seed).fit(data[0]).components_
        for seed in (0, 0, 1)
    )
    assert np.array_equal(a, b) and not np.allclose(a, c)
    assert torch.equal(torch.get_rng_state(), state)


def test_partial_fit_from_a_memory_map(data, tmp_path):
    X, _ = data
    np.save(tmp_path / "X.npy", X.astype(np.float32))
    blocks = np.load(tmp_path / "X.npy", mmap_mode="r")
    coder = SparseCoder(24, alpha=0.05, random_state=0)
    for _ in range(3):
        for start in range(0, len(blocks), 200):
            coder.partial_fit(blocks[start : start + 200])
    assert coder.components_.dtype == np.float32
    assert coder.n_steps_ == 3 * 4 == len(coder.loss_curve_)
    assert coder.loss_curve_[-1] < coder.loss_curve_[0]
    whole = SparseCoder(24, alpha=0.05, max_iter=1, shuffle=False, random_state=0).fit(X)
    once = SparseCoder(24, alpha=0.05, shuffle=False, random_state=0).partial_fit(X)
    np.testing.assert_allclose(once.components_, whole.components_)
    given = SparseCoder(dictionary=whole.components_).partial_fit(0.1 + 10 * X[:5])
    assert np.array_equal(given.components_, whole.components_)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.filterwarnings("ignore:ISTC")
def test_maps(data, algorithm):
    """Each position of a map is coded as a sample of its own."""
    X, D = data
    maps = X[:48].reshape(2, 4, 6, 12).transpose(0, 3, 1, 2)
    coder = SparseCoder(alpha=0.1, dictionary=D, algorithm=algorithm).fit(maps)
    Z = coder.transform(maps)
    assert Z.shape == (2, 24, 4, 6)
    rows = coder.transform(X[:48])
    np.testing.assert_allclose(Z.transpose(0, 2, 3, 1).reshape(48, 24), rows, atol=1e-8)
    np.testing.assert_allclose(
        coder.inverse_transform(Z).transpose(0, 2, 3, 1).reshape(48, 12), rows @ D, atol=1e-10
    )
    assert coder.transform(maps[..., 0]).shape == (2, 24, 4)


def test_learns_from_maps(data):
    X, _ = data
    maps = X.reshape(7, 10, 10, 12).transpose(0, 3, 1, 2)
    coder = SparseCoder(24, alpha=0.05, max_iter=2, random_state=0).fit(maps)
    rows = SparseCoder(24, alpha=0.05, max_iter=2, random_state=0).fit(X)
    np.testing.assert_allclose(coder.components_, rows.components_, atol=1e-10)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kinds_of_arrays(data, algorithm, dtype):
    X = data[0][:60].astype(dtype)
    coder = SparseCoder(16, alpha=0.1, algorithm=algorithm, max_iter=2, random_state=0).fit(X)
    Z = coder.transform(X)
    assert Z.dtype == coder.components_.dtype == coder.inverse_transform(Z).dtype == dtype
    tensor = SparseCoder(16, alpha=0.1, algorithm=algorithm, max_iter=2, random_state=0)
    z = tensor.fit(torch.from_numpy(X)).transform(torch.from_numpy(X))
    assert isinstance(z, torch.Tensor) and isinstance(tensor.inverse_transform(z), torch.Tensor)
    np.testing.assert_allclose(z.numpy(), Z, atol=1e-4)


@pytest.mark.parametrize("algorithm", ["cd", "fista", "istc", "ista"])
def test_differentiable(data, algorithm):
    X, D = data
    coder = SparseCoder(alpha=0.1, dictionary=D, algorithm=algorithm, tol=1e-12).fit(X)
    x = torch.from_numpy(X[:3]).requires_grad_()
    (gradient,) = torch.autograd.grad(coder.transform(x).square().sum(), x)
    step = 1e-6 * torch.randn(3, 12, dtype=x.dtype, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        values = [coder.transform(x + t * step).square().sum() for t in (1, -1)]
    torch.testing.assert_close(
        (values[0] - values[1]) / 2, (gradient * step).sum(), rtol=1e-3, atol=0
    )


@pytest.mark.parametrize("algorithm", EXACT)
def test_batches_do_not_matter(data, fitted, algorithm):
    X = data[0][:100]
    coder = clone(fitted).set_params(algorithm=algorithm, max_iter=1).fit(X)
    Z = coder.transform(X)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skwave._core.batches.batch_rows", lambda *arguments: 37)
        np.testing.assert_allclose(coder.transform(X), Z, atol=1e-6)
        np.testing.assert_allclose(coder.set_params(n_jobs=2).transform(X), Z, atol=1e-6)


def test_grid_search_in_a_pipeline(data):
    X, D = data
    y = (np.abs(sparse_encode(X, D, algorithm="lasso_lars", alpha=0.05)[:, :6]).sum(1) > 0.3) * 1
    pipeline = make_pipeline(SparseCoder(24, max_iter=2, random_state=0), LogisticRegression())
    search = GridSearchCV(pipeline, {"sparsecoder__alpha": [0.02, 0.1]}, cv=2).fit(X, y)
    assert len(set(search.cv_results_["mean_test_score"])) == 2
    assert list(search.best_estimator_[0].get_feature_names_out()[:2]) == [
        "sparsecoder0",
        "sparsecoder1",
    ]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"alpha": 0}, "alpha"),
        ({"alpha": -1.0}, "alpha"),
        ({"n_components": 0}, "n_components"),
        ({"algorithm": "lars"}, "algorithm"),
        ({"max_iter": -1}, "max_iter"),
        ({"dictionary": np.eye(5)}, r"shape \(5, 5\).*\(n_components, 12\)"),
        ({"dictionary": np.ones(12)}, "transpose"),
        ({"dictionary": np.full((2, 12), np.nan)}, r"atoms \[0, 1\].*not finite"),
        ({"dict_init": np.zeros((0, 12))}, r"dict_init has shape \(0, 12\)"),
        ({"dictionary": np.eye(12), "n_components": 3}, "leave n_components out"),
        ({"device": "abacus"}, "does not exist"),
    ],
)
def test_bad_parameters(data, parameters, message):
    with pytest.raises(ValueError, match=message):
        SparseCoder(**({"alpha": 0.1} | parameters)).fit(data[0])


@pytest.mark.parametrize("parameters", [{}, {"positive": True}, {"dictionary": np.eye(12)}])
def test_alpha_above_alpha_max(data, parameters):
    coder = SparseCoder(5, alpha=50.0, **parameters)
    if "dictionary" in parameters:
        coder.set_params(n_components=None)
    with pytest.warns(UserWarning, match=r"alpha=50 is not below alpha_max=\d\.\d+.*zero"):
        coder.fit(data[0])
    assert not coder.transform(data[0]).any()
    with pytest.warns(UserWarning, match="alpha_max"):
        coder.partial_fit(data[0])


def test_bad_samples(data, fitted):
    X = data[0]
    with pytest.raises(ValueError, match="NaN"):
        SparseCoder().fit(np.full((3, 4), np.nan))
    with pytest.raises(ValueError, match="12 features"):
        fitted.transform(X[:, :5])
    with pytest.raises(ValueError, match="24 atoms in axis 1"):
        fitted.inverse_transform(X)
    with pytest.raises(ValueError, match=r"istc.*fit"):
        clone(fitted).fit(X).set_params(algorithm="istc").transform(X)


def test_too_few_steps(data):
    coder = SparseCoder(alpha=0.01, algorithm="fista", dictionary=data[1], transform_max_iter=2)
    with pytest.warns(ConvergenceWarning, match="raise transform_max_iter"):
        coder.fit(data[0]).transform(data[0])


def test_homotopy_that_diverges(data):
    """Samples unlike those that the step was chosen on are coded by the safe step."""
    X, _ = data
    rng = np.random.default_rng(0)
    D = rng.standard_normal((40, 3)) @ rng.standard_normal((3, 12))
    D += 0.3 * rng.standard_normal(D.shape)
    D /= np.linalg.norm(D, axis=1, keepdims=True)
    coder = SparseCoder(alpha=0.02, algorithm="istc", dictionary=D).fit(X)
    coder.step_ = 1.0
    with pytest.warns(ConvergenceWarning, match="step 1/"):
        Z = coder.transform(X)
    assert objective(coder, X, Z) < np.mean((X**2).sum(1)) / 2


@pytest.fixture
def interrupt_at(monkeypatch):
    """Make Ctrl-C come in one of the next steps."""
    learn = skwave.sparse._coder.learn

    def arrange(step):
        calls = []

        def interrupted(*arguments, **parameters):
            calls.append(0)
            if len(calls) == step:
                raise KeyboardInterrupt
            return learn(*arguments, **parameters)

        monkeypatch.setattr("skwave.sparse._coder.learn", interrupted)

    return arrange


def test_interrupted(data, interrupt_at):
    interrupt_at(8)
    with pytest.warns(ConvergenceWarning, match="pass 3 of 10"):
        coder = SparseCoder(24, alpha=0.05, random_state=0).fit(data[0])
    assert coder.n_iter_ == 2
    assert coder.transform(data[0]).any()


def test_an_interrupted_pass_is_kept(data, interrupt_at):
    X = data[0][:60]
    coder = SparseCoder(24, alpha=0.05, batch_size=20, shuffle=False, random_state=0)
    expected = clone(coder).set_params(max_iter=1).fit(X)
    interrupt_at(4)
    with pytest.warns(ConvergenceWarning, match="pass 2 of"):
        coder.fit(X)
    np.testing.assert_array_equal(coder.components_, expected.components_)
    interrupt_at(3)
    with pytest.warns(ConvergenceWarning, match="pass 1 of"):
        part = clone(coder).set_params(max_iter=1).fit(X)
    assert part.n_steps_ == 2 and len(part.loss_curve_) == 1
    assert not np.array_equal(part.components_, expected.components_)


def test_algorithms_set_later(data):
    X = data[0]
    coder = SparseCoder(24, alpha=0.05, algorithm="istc", max_iter=1, random_state=0).fit(X)
    coder.set_params(algorithm="auto").fit(X)
    with pytest.raises(ValueError, match="algorithm='istc' has no step yet, which fit chooses"):
        coder.set_params(algorithm="istc").transform(X)
    coder.set_params(algorithm="omp", positive=True)
    for call in (coder.fit, coder.partial_fit, coder.transform):
        with pytest.raises(ValueError, match="positive=True is not for algorithm='omp'"):
            call(X)


def test_without_numba(data, monkeypatch):
    X, _ = data
    with_numba = SparseCoder(24, alpha=0.05, max_iter=2, random_state=0).fit(X)
    for module in ("_coder", "_solvers"):
        monkeypatch.setattr(f"skwave.sparse.{module}.compiled", lambda: False)
    monkeypatch.setitem(sys.modules, "skwave.sparse._compiled", None)
    without = SparseCoder(24, alpha=0.05, max_iter=2, random_state=0).fit(X)
    np.testing.assert_allclose(without.components_, with_numba.components_, atol=0.05)
    with pytest.raises(ImportError, match="pip install numba"):
        SparseCoder(algorithm="cd").fit(X)


def test_verbose(data, capsys):
    SparseCoder(5, alpha=0.05, max_iter=2, verbose=1).fit(data[0])
    assert "pass 2/2: objective" in capsys.readouterr().out


def test_no_warning_on_good_input(data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for dtype in (np.float32, np.float64):
            SparseCoder(24, alpha=0.05, random_state=0).fit(data[0].astype(dtype)).transform(
                data[0]
            )


@pytest.mark.parametrize("algorithm", ["auto", "fista", "istc", "omp"])
@pytest.mark.parametrize(
    ("unit", "dtype"), [(1e-30, np.float32), (1e30, np.float32), (1e-170, float), (1e200, float)]
)
@pytest.mark.filterwarnings("ignore:ISTC")
def test_units_do_not_matter(data, algorithm, unit, dtype):
    """Samples and alpha in other units give the same atoms, and codes in those units."""
    X = data[0][:200]
    common = {"n_components": 16, "algorithm": algorithm, "max_iter": 2, "random_state": 0}
    unit = 2.0 ** round(np.log2(unit))  # exact
    coder = SparseCoder(alpha=0.1, **common).fit(X.astype(dtype))
    scaled = SparseCoder(alpha=0.1 * unit, **common).fit(unit * X.astype(dtype))
    np.testing.assert_allclose(scaled.components_, coder.components_, atol=1e-5)
    curve = np.array(scaled.loss_curve_) / unit / unit
    if 1e-150 < unit < 1e150:
        np.testing.assert_allclose(curve, coder.loss_curve_, rtol=1e-5)
    Z = coder.transform(X.astype(dtype))
    assert Z.any()
    np.testing.assert_allclose(scaled.transform(unit * X.astype(dtype)) / unit, Z, atol=1e-4)


@pytest.mark.parametrize("algorithm", ["auto", "fista", "omp"])
@pytest.mark.filterwarnings("ignore:the relative duality gap")  # alpha is far below rounding
def test_samples_of_every_size_in_one_batch(data, algorithm):
    X, D = data
    sizes = 2.0 ** np.arange(-90, 90, 30)
    coder = SparseCoder(dictionary=D[:8], algorithm=algorithm)  # few atoms: codes are unique
    Z = coder.set_params(alpha=1e-30).transform((sizes[:, None] * X[:6]).astype(np.float32))
    for x, z, size in zip(X[:6], Z, sizes, strict=True):
        expected = coder.set_params(alpha=1e-30 / size).transform(x[None].astype(np.float32))
        np.testing.assert_allclose(z / size, expected[0], atol=1e-4 * np.abs(expected).max())


def test_atoms_of_any_size(data):
    X, D = data
    Z = SparseCoder(alpha=0.1, dictionary=D).transform(X)
    large = SparseCoder(alpha=0.1 * 2.0**664, dictionary=2.0**664 * D).fit(X).transform(X)
    np.testing.assert_allclose(2.0**664 * large, Z, atol=1e-12)
    with pytest.raises(ValueError, match=r"atoms \[0, .* of dictionary are too large for float32"):
        SparseCoder(dictionary=1e200 * D).transform(X.astype(np.float32))
    with pytest.raises(ValueError, match=r"atoms \[0, .* of dictionary are too small for float32"):
        SparseCoder(dictionary=1e-200 * D).fit(X.astype(np.float32))


def test_codes_that_no_number_holds(data):
    X, D = data
    X = X[:4].astype(np.float32)
    X[2] *= 1e37
    with pytest.raises(ValueError, match=r"codes of samples \[2\] exceed the range of float32"):
        SparseCoder(alpha=1e-30, dictionary=1e-10 * D).transform(X)


@pytest.mark.parametrize("alpha", [1e-45, 1e-300])
def test_alpha_below_every_number(data, alpha):
    X, D = (a.astype(np.float32) for a in data)
    Z = SparseCoder(alpha=alpha, dictionary=D).transform(X[:20])
    np.testing.assert_allclose(Z @ D, X[:20], atol=1e-4)


def test_a_gap_that_is_not_a_number_is_reported(data, monkeypatch):
    X, D = data

    def encode(x, D, **coding):
        z = torch.zeros(len(x), len(D), dtype=x.dtype)
        return Codes(z, torch.full((len(x),), torch.nan), torch.ones(len(x)))

    monkeypatch.setattr("skwave.sparse._solvers.encode", encode)
    with pytest.warns(ConvergenceWarning, match="gap of a code is nan"):
        SparseCoder(dictionary=D).transform(X)


@pytest.mark.parametrize("algorithm", [a for a in ALGORITHMS if a != "istc"])
def test_a_given_dictionary_needs_no_fit(data, algorithm):
    X, D = data
    coder = SparseCoder(alpha=0.1, dictionary=D, algorithm=algorithm)
    Z = coder.transform(X)
    assert not hasattr(coder, "components_")
    np.testing.assert_array_equal(Z, clone(coder).fit(X).transform(X))
    np.testing.assert_allclose(coder.inverse_transform(Z), Z @ D)
    assert list(coder.get_feature_names_out()[-1:]) == ["sparsecoder23"]
    assert make_pipeline(coder).transform(X).shape == (700, 24)
    as_list = SparseCoder(alpha=0.1, dictionary=D.tolist(), algorithm=algorithm)
    np.testing.assert_array_equal(as_list.transform(X), Z)
    as_csr = SparseCoder(alpha=0.1, dictionary=csr_array(D), algorithm=algorithm)
    np.testing.assert_array_equal(as_csr.transform(X), Z)
    with pytest.raises(ValueError, match=r"shape \(24, 12\).*\(n_components, 5\)"):
        coder.transform(X[:, :5])


def test_what_needs_fit(data):
    X, D = data
    with pytest.raises(NotFittedError):
        SparseCoder().transform(X)
    with pytest.raises(ValueError, match="which fit chooses: call fit"):
        SparseCoder(dictionary=D, algorithm="istc").transform(X)


def test_iterations_of_a_given_dictionary():
    """scikit-learn's check that what has max_iter has n_iter_ above zero."""
    check_transformer_n_iter("SparseCoder", SparseCoder(dictionary=np.eye(3)))


def test_no_pass(data):
    X, D = data
    coder = SparseCoder(dict_init=3 * D, alpha=0.1, max_iter=0).fit(X)
    np.testing.assert_allclose(coder.components_, D)
    assert (coder.n_iter_, coder.n_steps_, coder.loss_curve_) == (0, 0, [])
    assert coder.transform(X).any()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.filterwarnings("ignore:ISTC")
def test_atoms_of_zeros(data, algorithm):
    """No code has them; those that learning would start from are drawn."""
    X, D = data
    padded = np.concatenate([D, np.zeros((2, 12))])
    coder = SparseCoder(alpha=0.1, algorithm=algorithm, dictionary=padded).fit(X)
    Z = coder.transform(X)
    assert not Z[:, 24:].any()
    expected = SparseCoder(alpha=0.1, algorithm=algorithm, dictionary=D).fit(X)
    if algorithm != "istc":  # whose step may differ
        np.testing.assert_allclose(Z[:, :24], expected.transform(X), atol=1e-8)
    learnt = SparseCoder(dict_init=padded, alpha=0.1, max_iter=1, random_state=0).fit(X)
    np.testing.assert_allclose(np.linalg.norm(learnt.components_, axis=1), 1)


@pytest.mark.parametrize("with_numba", [True, False])
def test_positive_atoms(data, with_numba, monkeypatch):
    """Parts that add up: those of samples which are sums of atoms without negative numbers."""
    if not with_numba:
        monkeypatch.setattr("skwave.sparse._solvers.compiled", lambda: False)
    rng = np.random.default_rng(0)
    D = rng.random((8, 12)) * (rng.random((8, 12)) < 0.4)
    D /= np.linalg.norm(D, axis=1, keepdims=True)
    X = (rng.random((600, 8)) * (rng.random((600, 8)) < 0.3)) @ D
    common = {"alpha": 0.01, "positive": True, "positive_dict": True, "random_state": 0}
    coder = SparseCoder(8, max_iter=20, **common).fit(X)
    assert coder.components_.min() >= 0
    np.testing.assert_allclose(np.linalg.norm(coder.components_, axis=1), 1)
    assert coder.loss_curve_[-1] < 0.8 * coder.loss_curve_[0]
    assert np.mean((D @ coder.components_.T).max(1)) > 0.95
    mixed = SparseCoder(20, alpha=0.05, positive_dict=True, max_iter=2, random_state=0).fit(data[0])
    assert mixed.components_.min() >= 0 and np.isfinite(mixed.components_).all()
    signed = SparseCoder(alpha=0.05, dict_init=-D, positive_dict=True, max_iter=0).fit(X)
    assert signed.components_.min() >= 0


def test_split_sign_of_sklearn(data):
    X, D = data
    coder = SparseCoder(alpha=0.1, dictionary=D, split_sign=True)
    Z = coder.transform(X)
    twin = sklearn.decomposition.SparseCoder(
        D, transform_algorithm="lasso_cd", transform_alpha=0.1, split_sign=True,
        transform_max_iter=10_000,
    )  # fmt: skip
    np.testing.assert_allclose(Z, twin.transform(X), atol=5e-3)
    signed = SparseCoder(alpha=0.1, dictionary=D).transform(X)
    np.testing.assert_array_equal(Z[:, :24] - Z[:, 24:], signed)
    assert len(coder.get_feature_names_out()) == 48
    np.testing.assert_allclose(coder.inverse_transform(Z), signed @ D)
    maps = X[:48].reshape(2, 24, 12).transpose(0, 2, 1)
    np.testing.assert_allclose(coder.transform(maps).transpose(0, 2, 1).reshape(48, 48), Z[:48])
    with pytest.raises(ValueError, match="48 atoms in axis 1"):
        coder.inverse_transform(Z[:, :24])


@pytest.mark.parametrize("positive", [False, True])
def test_d_threshold_of_sklearn(data, positive):
    X, D = data
    coder = SparseCoder(alpha=0.1, dictionary=D, algorithm="threshold", positive=positive)
    expected = sparse_encode(X, D, algorithm="threshold", alpha=0.1, positive=positive)
    np.testing.assert_allclose(coder.transform(X), expected, atol=1e-12)
    np.testing.assert_allclose(coder.set_params(dictionary=1e9 * D).transform(X),
        sparse_encode(X, 1e9 * D, algorithm="threshold", alpha=0.1, positive=positive))  # fmt: skip
    x = torch.from_numpy(X[:5]).requires_grad_()
    (gradient,) = torch.autograd.grad(coder.set_params(dictionary=D).transform(x).sum(), x)
    np.testing.assert_allclose(gradient, (np.sign(expected[:5]) ** (1 + positive)) ** 2 @ D)


def test_d_sparse_output(data):
    """What the dense codes hold that is not zero; classifiers and pipelines take it."""
    X, D = data
    for parameters in ({"dictionary": D}, {"dictionary": D, "split_sign": True}):
        coder = SparseCoder(alpha=0.1, sparse_output=True, **parameters)
        Z, dense = coder.transform(X), clone(coder).set_params(sparse_output=False).transform(X)
        assert isinstance(Z, csr_array) and Z.nnz == np.count_nonzero(dense) < dense.size / 2
        np.testing.assert_array_equal(Z.toarray(), dense)
        assert coder.transform(X.astype(np.float32)).dtype == np.float32
        rebuilt = coder.inverse_transform(dense)
        np.testing.assert_allclose(coder.inverse_transform(Z), rebuilt)
        np.testing.assert_allclose(coder.inverse_transform(csr_matrix(Z)), rebuilt)
        with pytest.raises(ValueError, match="atoms in axis 1"):
            coder.inverse_transform(Z[:, :5])
    y = (X[:, 0] > 0) * 1
    assert make_pipeline(coder, LogisticRegression()).fit(X, y).score(X, y) > 0.5
    with pytest.raises(ValueError, match="sparse_output=True, but X is of 3 axes"):
        coder.transform(X[:24].reshape(2, 12, 12))
    with pytest.raises(ValueError, match="sparse_output=True, but X is a tensor"):
        coder.transform(torch.from_numpy(X))
    pytest.importorskip("pandas")
    with pytest.raises(ValueError, match=r"sparse matrix\. Try to set"):
        coder.set_output(transform="pandas").transform(X)


def test_out_of_memory(data, monkeypatch):
    """A batch that the device has no room for is halved, in fit as in transform."""
    X, _ = data
    encode, sizes = skwave.sparse._solvers.encode, []

    def small_device(x, *arguments, **parameters):
        sizes.append(len(x))
        if len(x) > 100:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return encode(x, *arguments, **parameters)

    coder = SparseCoder(24, alpha=0.05, max_iter=2, random_state=0)
    expected = clone(coder).fit(X)
    codes = expected.transform(X)
    monkeypatch.setattr("skwave.sparse._solvers.encode", small_device)
    coder.fit(X)
    assert max(sizes) == 256 and 64 in sizes
    np.testing.assert_allclose(coder.components_, expected.components_, atol=1e-10)
    np.testing.assert_allclose(coder.loss_curve_, expected.loss_curve_)
    np.testing.assert_allclose(coder.transform(X), codes, atol=1e-8)


def test_working_memory(data, monkeypatch):
    X, _ = data
    encode, sizes = skwave.sparse._solvers.encode, []

    def noting(x, *arguments, **parameters):
        sizes.append(len(x))
        return encode(x, *arguments, **parameters)

    monkeypatch.setattr("skwave.sparse._solvers.encode", noting)
    with sklearn.config_context(working_memory=0.1):  # MiB; a sample takes 8 x 24 x 8 bytes
        coder = SparseCoder(24, alpha=0.05, max_iter=1, random_state=0).fit(X)
        assert max(sizes) == int(0.1 * 2**20 // 1536) == 68
        sizes.clear()
        coder.transform(X)
        assert max(sizes) == 68 and sum(sizes) == 700
