"""Rules of the layout that neither ruff nor import-linter keeps."""

import ast
from pathlib import Path

import pytest

import skwave

ROOT = Path(skwave.__file__).parent
TESTS = Path(__file__).parent
LIMIT = 300  # lines of code in a module
MODULES = {path.relative_to(ROOT).as_posix(): path for path in sorted(ROOT.rglob("*.py"))}
# doors re-export; the API's snapshot and the tests of the topics are theirs
DOORS = {"augment.py", "interop.py", "nn.py", "plotting.py", "validation.py"}
NAMED_TUPLE = {"_asdict", "_fields", "_make", "_replace"}


def lines_of_code(text):
    """Number of lines that are no docstring, no comment and not blank."""
    documented = ast.Module | ast.ClassDef | ast.FunctionDef
    nodes = [n for n in ast.walk(ast.parse(text)) if isinstance(n, documented)]
    docstrings = {
        line
        for n in nodes
        if ast.get_docstring(n) is not None
        for line in range(n.body[0].lineno, n.body[0].end_lineno + 1)
    }
    return sum(
        bool(line.strip()) and not line.strip().startswith("#") and i not in docstrings
        for i, line in enumerate(text.splitlines(), 1)
    )


def test_docstrings_comments_and_blank_lines_are_no_code():
    text = '"""Doc.\n\nstring."""\n# comment\n\nx = 1\n\n\ndef f():\n    """Doc."""\n    return x\n'
    assert lines_of_code(text) == 3


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_small(name):
    assert lines_of_code(MODULES[name].read_text(encoding="utf-8")) <= LIMIT


def test_of(name):
    """File that tests a module: of the same name, in the folder of its topic."""
    path = Path(name)
    folders = [part.lstrip("_") for part in path.parent.parts]
    return TESTS.joinpath(*folders, f"test_{path.stem.lstrip('_')}.py")


test_of.__test__ = False


@pytest.mark.parametrize("name", [n for n in MODULES if not n.endswith("__init__.py")])
def test_each_module_has_its_tests(name):
    if name not in DOORS:
        assert test_of(name).is_file()


def names_of(tree):
    """Attributes and methods that the classes of a module define."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


@pytest.mark.parametrize("name", MODULES)
def test_private_attributes_stay_in_the_module_of_their_class(name):
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    own = {*names_of(tree), *NAMED_TUPLE}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or not node.attr.startswith("_"):
            continue
        of_itself = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
        dunder = node.attr.endswith("__")
        assert of_itself or dunder or node.attr in own, f"{name}:{node.lineno}: .{node.attr}"


def test_private_names_of_scikit_learn_are_imported_in_one_place():
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("sklearn"):
                private = [*node.module.split("."), *(alias.name for alias in node.names)]
                assert name == "_core/compat.py" or not any(p.startswith("_") for p in private)
