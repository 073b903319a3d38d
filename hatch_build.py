"""Compile the scattering cascade with the package: a hook of hatchling.

``python hatch_build.py`` builds it in place, for a checkout that is not installed.
"""

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zlib import crc32

FOLDER = Path("skwave/functional/_scattering")
SOURCE = "cascade.cpp"
# errors of floating-point operations and signs of zeros aside, numbers keep their meaning:
# products are fused with sums, but nothing is reordered
FLAGS = ["-std=c++17", "-O3", "-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros"]
FLAGS += ["-ffp-contract=fast", "-fvisibility=hidden", "-shared", "-fPIC", "-pthread"]
TYPES = ("float", "double")
# bytes of a vector, and what the compiler may use
TARGETS = {"baseline": (16, [])}
if platform.machine().lower() in ("x86_64", "amd64"):
    wide = "-mavx512f -mavx512vl -mavx512dq -mavx512bw -mfma -mprefer-vector-width=512"
    TARGETS |= {"avx2": (32, ["-mavx2", "-mfma"]), "avx512": (64, wide.split())}


def compile_cascade(root):
    """Build the libraries beside their source.

    Parameters
    ----------
    root : Path
        Folder of the project.

    Returns
    -------
    libraries : list of Path
        Relative to ``root``; empty without a compiler that builds all of them.
    """
    compiler = next(filter(None, map(shutil.which, compilers())), None)
    if compiler is None or os.name == "nt":
        print("skwave: no C++ compiler, so scattering on CPUs runs in torch", file=sys.stderr)
        return []

    def build(job):
        target, real = job
        width, flags = TARGETS[target]
        library = FOLDER / f"_cascade_{target}_{real}.so"
        draft = library.with_suffix(f".{os.getpid()}.tmp")
        command = [compiler, *FLAGS, *flags, f"-DREAL={real}", f"-DBYTES={width}"]
        command += [f"-DSOURCE={crc32((root / FOLDER / SOURCE).read_bytes())}u"]
        command += [str(FOLDER / SOURCE), "-o", str(draft)]
        subprocess.run(command, check=True, cwd=root, capture_output=True, text=True)
        os.replace(root / draft, root / library)  # a process may have the old one in use
        return library

    jobs = [(target, real) for target in TARGETS for real in TYPES]
    try:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(build, jobs))
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or error
        print(f"skwave: {compiler} can't build the cascade:\n{reason}", file=sys.stderr)
        return []


def compilers():
    """Names of compilers, the user's choice first."""
    return [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++", "c++"]


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # in a checkout, without the build's tools
    BuildHookInterface = object


class CascadeHook(BuildHookInterface):
    """Adds the libraries to a wheel, or to a checkout that is installed in place."""

    def initialize(self, version, build_data):
        """Build them, and say which machine they are for."""
        if self.target_name != "wheel":
            return
        libraries = compile_cascade(Path(self.root))
        build_data["artifacts"] += [f"/{library.as_posix()}" for library in libraries]
        if libraries:
            system = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{system}"


if __name__ == "__main__":
    sys.exit(not compile_cascade(Path(__file__).parent))
