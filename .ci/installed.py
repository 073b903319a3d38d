"""Run from ``dist``: what is installed in ``site``, with the examples of the sdist."""

import runpy
import shutil
from importlib.metadata import requires, version
from pathlib import Path

import skwave
from skwave.datasets import load_cosmic_web, load_qm7_sample, load_textures

SITE, SDIST = Path("site").resolve(), Path("sdist").resolve()
EXAMPLES = ("plot_filter_banks.py", "plot_rectifier_harmonics.py", "plot_homotopy.py")

assert Path(skwave.__file__).is_relative_to(SITE), skwave.__file__
assert skwave.__version__ == version("skwave")
assert any(line.startswith("torch") for line in requires("skwave"))
assert (SITE / "skwave/py.typed").is_file()
if any(map(shutil.which, ("g++", "clang++", "c++"))):
    assert list((SITE / "skwave/functional/_scattering").glob("_cascade_*.so"))
assert not (SITE / "tests").exists()
assert len(load_qm7_sample().target) == 750
assert len(load_cosmic_web().images) == 8
load_textures()
for name in ("tests/conftest.py", "tests/api.txt", "README.md", "CHANGELOG.md", "LICENSE"):
    assert (SDIST / name).is_file(), name
for name in EXAMPLES:
    print(name, flush=True)
    runpy.run_path(str(SDIST / "examples" / name), run_name="__main__")
