r"""
More images than memory holds
=============================

A million images of 32×32 pixels are 4 GB, and their scattering coefficients are 20 GB.
:func:`skwave.parallel.transform_blocks` applies a fitted transformer to blocks of rows, from file
to file: a few blocks are in memory at a time, in several processes or on a cluster, and what is
done stays done if the power fails. Here the million is scaled down to 10 000.
"""

# %%
# Images in a file
# ----------------
# The images are written a thousand at a time. Nobody needs them all in memory: a memory map
# behaves like an array and reads what is asked for. ``fit`` learns the shape of the images
# alone, so a few of them are enough.

import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import joblib
import matplotlib.pyplot as plt
import numpy as np
import psutil
from distributed import Client, LocalCluster
from numpy.lib.format import open_memmap

from skwave import ScatteringTransformer
from skwave.parallel._transform import transform_blocks

folder = tempfile.TemporaryDirectory()
path = Path(folder.name)
n_images = 10_000

rng = np.random.default_rng(0)
images = open_memmap(path / "images.npy", "w+", np.float32, (n_images, 32, 32))
for start in range(0, n_images, 1000):
    waves = rng.standard_normal((1000, 32, 32), dtype=np.float32).cumsum(-1)
    images[start : start + 1000] = waves - waves.mean((-2, -1), keepdims=True)

X = np.load(path / "images.npy", mmap_mode="r")
scattering = ScatteringTransformer(J=2, ndim=2, boundary="periodic").fit(X[:2])
n_features = len(scattering.get_feature_names_out())
print(f"{n_images} images: {X.nbytes / 1e6:.0f} MB")
print(f"{n_features} coefficients of each: {4 * n_images * n_features / 1e6:.0f} MB")

# %%
# The same line everywhere
# ------------------------
# ``transform_blocks(est, X, out)`` is the line. joblib's configuration says where the blocks are
# computed, and nothing else changes: ``"loky"`` is processes of this machine, ``"dask"`` is
# whatever the Dask client is connected to.
#
# Meanwhile a thread measures how much memory this process and its children have for themselves
# (the unique set size), and how many blocks are in the journal.


@contextmanager
def measured(out):
    """Seconds, MB of memory and finished blocks, ten times a second."""
    record, end, begin = [], threading.Event(), time.perf_counter()

    def finished():
        try:  # the first line is about the call
            return len(Path(f"{out}.blocks").read_text().splitlines()) - 1
        except FileNotFoundError:
            return None

    def memory(process):
        try:
            return process.memory_full_info().uss / 1e6
        except psutil.Error:  # it has ended
            return 0.0

    def watch():
        while not end.wait(0.1):
            tree = [psutil.Process(), *psutil.Process().children(recursive=True)]
            record.append((time.perf_counter() - begin, sum(map(memory, tree)), finished()))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield record
    finally:
        end.set()
        thread.join()


records = {}

with joblib.parallel_config("loky", n_jobs=2), measured(path / "loky.npy") as records["processes"]:
    S = transform_blocks(scattering, X, path / "loky.npy")

with (
    LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
    ) as c,
    Client(c),
    joblib.parallel_config("dask"),
    measured(path / "dask.npy") as records["Dask"],
):
    D = transform_blocks(scattering, X, path / "dask.npy")

print("same coefficients:", np.array_equal(S, D))

# %%
# Memory does not grow
# --------------------
# The file of coefficients grows, the memory does not: a million images would take the same. What
# the processes take before the first block is finished is the Python libraries, which every worker
# process loads; Dask's workers are threads of this process here and share them.
#
# Without ``processes=False``, ``LocalCluster`` starts processes, which run the main script again
# when they begin: protect what a script does by ``if __name__ == "__main__":``. joblib's
# processes need no such thing. On a cluster of machines it is
# ``Client("tcp://scheduler:8786")``, and the files lie on a disk that all of them see.

fig, axes = plt.subplots(1, 2, figsize=(8.5, 3.2), sharey=True, layout="constrained")
for ax, (name, record) in zip(axes, records.items(), strict=True):
    seconds, memory, done = map(np.array, zip(*(r for r in record if r[2]), strict=True))
    seconds -= seconds[0]
    ax.plot(seconds, S.nbytes / 1e6 * done / done.max(), "C1", label="coefficients written")
    ax.plot(seconds, memory - memory[0], "C0", label="memory, beyond the libraries")
    ax.set(xlabel="time since the first block (s)", title=name)
    ax.grid(alpha=0.3)
axes[0].set_ylabel("MB")
axes[0].legend()
plt.show()

# %%
# An interruption
# ---------------
# One image is spoilt. The transformer refuses it, and the error names the rows of the block. What
# was finished before is in the file, and a journal beside it knows which blocks these are.

images[7_500, 3, 4] = np.nan
broken = path / "broken.npy"

with joblib.parallel_config("threading", n_jobs=2), measured(broken) as first:
    try:
        transform_blocks(scattering, X, broken)
    except RuntimeError as error:
        print(str(error).splitlines()[0])
print(sorted(file.name for file in path.glob("broken*")))

# %%
# The image is mended, and the same line is called again. Blocks whose rows are there, which a
# checksum proves, are not computed a second time. It would have gone the same way had the machine
# been switched off, or had ``Ctrl-C`` been pressed. Another estimator, other images or another
# size of the blocks would be refused: rows of different origin do not get into one file.

images[7_500, 3, 4] = 0

with joblib.parallel_config("threading", n_jobs=2), measured(broken) as second:
    B = transform_blocks(scattering, X, broken)
print("complete:", np.array_equal(B[:7_500], S[:7_500]), np.isfinite(B).all())

fig, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
pause = first[-1][0] + 0.5
for record, offset, label in ((first, 0, "first call"), (second, pause, "second call")):
    points = [(t + offset, done) for t, _, done in record if done is not None]
    ax.plot(*zip(*points, strict=True), label=label)
ax.axvline(pause - 0.25, color="k", lw=0.8, ls=":")
ax.set(xlabel="time (s)", ylabel="blocks finished", ylim=(0, None))
ax.grid(alpha=0.3)
ax.legend(loc="lower right")
plt.show()

folder.cleanup()
