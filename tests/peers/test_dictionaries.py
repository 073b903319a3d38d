"""scikit-learn's own tests of dictionary learning and sparse coding, on `SparseCoder`."""

import pytest

from skwave import SparseCoder

from .borrowed import borrow, load

peer = pytest.importorskip("sklearn.decomposition.tests.test_dict_learning")

# algorithms of the peer -> of this package
ALGORITHMS = {"lasso_cd": "auto", "lasso_lars": "auto", "cd": "auto", "omp": "omp"}
# parameters without a counterpart, which change neither shapes nor types
IGNORED = {"fit_algorithm", "max_no_improvement", "verbose"}
# without these words a parameter is that of `SparseCoder`
RENAMED = {
    "positive_code": "positive",
    "transform_alpha": "alpha",
    "transform_n_nonzero_coefs": "transform_n_nonzero_coefs",
    "n_nonzero_coefs": "transform_n_nonzero_coefs",
}


def algorithm_of(name):
    if name not in ALGORITHMS:
        pytest.skip(f"SparseCoder has no algorithm {name!r}, which solves no lasso")
    return ALGORITHMS[name]


def coder(n_components=None, transform_algorithm="omp", **parameters):
    """`SparseCoder` with the parameters of a peer's estimator, whose default is OMP."""
    found = {"algorithm": algorithm_of(transform_algorithm)}
    for name, value in parameters.items():
        if name not in IGNORED:
            found[RENAMED.get(name, name)] = value
    if "alpha" in parameters and "transform_alpha" in parameters:
        pytest.skip("SparseCoder has one alpha, to learn and to code with")
    return SparseCoder(n_components, **found)


def given_coder(dictionary, **parameters):
    return coder(dictionary=dictionary, **parameters)


def sparse_encode(
    X, dictionary, *, algorithm="lasso_lars", alpha=None, positive=False, **parameters
):
    return coder(
        dictionary=dictionary,
        transform_algorithm=algorithm,
        alpha=1.0 if alpha is None else alpha,
        positive_code=positive,
        **parameters,
    ).transform(X)


# the functions dict_learning and dict_learning_online, and what only they and the estimators' own
# parts have: a learner here is an estimator alone
FUNCTIONS = [
    "test_max_iter", "test_dict_learning_lars_positive_parameter",
    "test_dict_learning_online_shapes",
    "test_dict_learning_online_lars_positive_parameter", "test_dict_learning_online_positivity",
    "test_dict_learning_online_verbosity", "test_dict_learning_dtype_match",
    "test_dict_learning_numerical_consistency", "test_dict_learning_online_dtype_match",
    "test_dict_learning_online_numerical_consistency", "test_update_dict",
]  # fmt: skip
MESSAGE = "asks for the words of the peer's message; ours are tested with SparseCoder"
REASONS = {
    **dict.fromkeys(FUNCTIONS, "tests functions of the peer that have no counterpart"),
    "test_dict_learning_reconstruction": "sets transform_algorithm, which is algorithm here",
    "test_dict_learning_reconstruction_parallel": "sets transform_algorithm, as above",
    "test_dict_learning_online_initialization": "atoms have norm 1 here from the start on",
    "test_sparse_encode_unavailable_positivity": MESSAGE,
    "test_sparse_encoder_feature_number_error": MESSAGE,
    "test_minibatch_dictionary_learning_dtype_match": "looks into private attributes of the peer",
    "test_get_feature_names_out": "its estimators are made before they can be replaced",
    "test_cd_work_on_joblib_memmapped_data": "replaces parts inside of the peer",
}

module = load(
    peer.__file__,
    DictionaryLearning=coder,
    MiniBatchDictionaryLearning=coder,
    SparseCoder=given_coder,
    sparse_encode=sparse_encode,
)
globals().update(borrow(module, REASONS))
pytestmark = [
    pytest.mark.filterwarnings("ignore:alpha="),
    pytest.mark.filterwarnings("ignore:the relative duality gap"),
]
