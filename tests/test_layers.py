"""Imports within the package run one way."""

import ast
from pathlib import Path

import pytest

import skwave

LAYERS = [
    "functional",
    "_sklearn",
    "_arrays",
    "_samples",
    "_batch",
    "_base",
    "_progress",
    "_inversion",
    "_paths",
    "_moments",
    "_plans",
    "_dictionary_layers",
    "_dictionary_network",
    "_case_layers",
    "_case_convolutional",
    "nn",
    "_phase_harmonic",
    "_synthesis",
    "_restoration",
    "_texture",
    "_scattering",
    "_fitting",
    "molecules",
    "_densities",
    "_solid",
    "_stored",
    "_training",
    "_net",
    "_multilinear",
    "_numba",
    "_coordinate_descent",
    "_atom_updates",
    "_codes",
    "_sparse",
    "_case_embedding",
    "_case_codes",
    "_case_net",
    "_case_decoding",
    "_reconstruction",
    "_generation",
    "_case",
    "_texture_report",
    "validation",
    "plotting",
    "datasets",
    "_workers",
    "_blocks",
    "parallel",
    "interop",
    "augment",
    "_feature_maps",
    "_scattering_dictionary",
]
PACKAGE = Path(skwave.__file__).parent


def imported(path):
    """Modules of the package that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("skwave."):
            yield node.module.split(".")[1]


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_knows_only_those_below(layer):
    files = [*PACKAGE.glob(f"{layer}.py"), *PACKAGE.glob(f"{layer}/**/*.py")]
    assert files
    allowed = set(LAYERS[: LAYERS.index(layer)]) | {layer} - {f.stem for f in files}
    for path in files:
        assert set(imported(path)) <= allowed


def test_private_names_of_scikit_learn_are_imported_in_one_place():
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        assert path.name == "_sklearn.py" or "import _" not in text.replace("import __", "")
        assert path.name == "_sklearn.py" or "sklearn.utils._" not in text
