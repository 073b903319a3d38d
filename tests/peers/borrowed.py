"""Tests of other packages, run on this one: imported from where they lie, never copied.

A module of tests is loaded under a name of its own, and the names it tests are replaced by adapters
that take the peer's parameters and call this package. Each test of it then either runs here or has
a reason why it can't; `borrow` fails where a test has neither, which a new version of the peer may
bring.
"""

import importlib.util
import inspect
from pathlib import Path

import pytest


def load(path, **replaced):
    """Module of tests at a path, with the names it tests replaced.

    Parameters
    ----------
    path : str or Path
        File.
    **replaced
        Names in the module and what stands for them.

    Returns
    -------
    module : module
        Not in ``sys.modules``.
    """
    spec = importlib.util.spec_from_file_location(f"borrowed_{Path(path).stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, value in replaced.items():
        assert hasattr(module, name), f"{path} has no {name}"
        setattr(module, name, value)
    return module


def borrow(module, reasons):
    """Tests of a module that have a counterpart here.

    Parameters
    ----------
    module : module
        Loaded by `load`.
    reasons : dict
        Names of tests -> why they have none.

    Returns
    -------
    tests : dict
        Names -> functions and classes, as pytest collects them.
    """
    tests = {name: value for name, value in vars(module).items() if _is_test(name, value)}
    unknown = reasons.keys() - {*tests, *_methods(tests)}
    assert not unknown, f"{module.__name__} has no longer {sorted(unknown)}"
    for name, value in tests.items():
        for method in [m for m in reasons if m.startswith(f"{name}.")]:
            mark = pytest.mark.skip(reason=reasons[method])
            method = method.partition(".")[2]
            setattr(value, method, mark(getattr(value, method)))
    return {name: value for name, value in tests.items() if name not in reasons}


def _is_test(name, value):
    return (name.startswith("test_") and inspect.isfunction(value)) or (
        name.startswith("Test") and inspect.isclass(value)
    )


def _methods(tests):
    for name, value in tests.items():
        if inspect.isclass(value):
            yield from (f"{name}.{m}" for m in vars(value) if m.startswith("test_"))
