"""The mathematics depends on nothing but torch."""

import ast
import sys
from pathlib import Path

import pytest

import skwave.functional

MODULES = sorted(Path(skwave.functional.__file__).parent.glob("**/*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_imports_only_torch_and_itself(path):
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names.add(node.module)
    roots = {".".join(name.split(".")[:2]) for name in names}
    outside = {root for root in roots if root.split(".")[0] not in sys.stdlib_module_names}
    assert names
    assert outside <= {"torch", "skwave.functional"}
