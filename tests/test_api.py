"""The public API is the one in `api.txt`.

After a change that is meant: ``python tests/test_api.py > tests/api.txt``, and a line in
``CHANGELOG.md``.
"""

import inspect
import re
import subprocess
import sys
from difflib import unified_diff
from functools import cached_property
from importlib import import_module
from pathlib import Path

import skwave

MODULES = (
    "skwave",
    "skwave.augment",
    "skwave.datasets",
    "skwave.functional",
    "skwave.interop",
    "skwave.molecules",
    "skwave.nn",
    "skwave.parallel",
    "skwave.plotting",
    "skwave.testing",
    "skwave.validation",
)

# the packages of these topics give no other names than the package itself
TOPICS = ("classification", "generation", "scattering", "sparse", "textures")


class _Default:
    """A default that prints the same in every process."""

    def __init__(self, value):
        self.value = value

    def __repr__(self):
        return getattr(self.value, "__qualname__", None) or repr(self.value)


def signature(f):
    """Names, kinds and defaults of the parameters."""
    found = inspect.signature(f)
    empty = inspect.Parameter.empty
    parameters = [
        p.replace(annotation=empty, default=empty if p.default is empty else _Default(p.default))
        for p in found.parameters.values()
    ]
    return str(found.replace(parameters=parameters, return_annotation=empty))


def members(cls):
    """Methods and properties, those that other packages give it left out."""
    own = [base for base in cls.__mro__ if base.__module__.startswith("skwave")]
    for name in sorted({name for base in own for name in vars(base)}):
        # scikit-learn sets those of metadata on every class
        if name.startswith("_") or re.fullmatch(r"set_\w+_request", name):
            continue
        if isinstance(inspect.getattr_static(cls, name), property | cached_property):
            yield name
        elif callable(member := getattr(cls, name)):
            yield name + signature(member)


def public_names(module):
    """`__all__`, or what is defined there."""
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    return sorted(
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    )


def lines():
    """One for each module, name and member."""
    for path in MODULES:
        module = import_module(path)
        yield path
        for name in public_names(module):
            value = getattr(module, name)
            yield f"    {name}{signature(value) if callable(value) else ''}"
            if inspect.isclass(value):
                yield from (f"        {member}" for member in members(value))


def test_the_api_is_the_one_written_down():
    written = Path(__file__).with_name("api.txt").read_text(encoding="utf-8").splitlines()
    found = list(lines())
    changes = "\n".join(unified_diff(written, found, "tests/api.txt", "skwave", lineterm="", n=1))
    assert not changes, f"{__doc__}\n{changes}"


def test_all_that_is_public_is_in_the_snapshot():
    """Also a module that is new."""
    package = Path(import_module("skwave").__file__).parent
    modules = {p.stem for p in package.glob("*.py")} | {
        p.parent.name for p in package.glob("*/__init__.py")
    }
    public = {f"skwave.{name}" for name in modules if not name.startswith("_")}
    assert {"skwave", *public} == {*MODULES, *(f"skwave.{topic}" for topic in TOPICS)}
    for topic in TOPICS:
        assert set(import_module(f"skwave.{topic}").__all__) <= set(skwave.__all__)


def test_import_is_quick():
    """What takes long to import, or is optional, waits until it is needed."""
    late = {"ase", "dask", "kymatio", "matplotlib", "numba", "PIL", "pooch", "skimage", "skorch"}
    code = f"import sys, skwave; print(*({late} & sys.modules.keys()))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


if __name__ == "__main__":
    print("\n".join(lines()))
