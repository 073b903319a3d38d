"""More images than memory should hold: file to file, in two processes, and what a crash costs.

``make bench NAME=transform_blocks``, or ``python benchmarks/transform_blocks.py --images 20000``.
200 000 images of 32×32 (0.8 GB) become scattering coefficients (4.1 GB), both in ``.npy`` files.
Each run is a fresh process; memory is read from /proc, so this needs Linux. Then the same with a
worker killed after a third of the blocks, and the whole tree of processes killed after two
thirds; a second call does the rest. Every row is compared with that of ``est.transform``.
"""

import argparse
import json
import os
import shutil
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import joblib
import numpy as np
import psutil
from _bench import save
from _jobs import CHUNK, crash, largest_difference, make_reference, run
from numpy.lib.format import open_memmap

from skwave import ScatteringTransformer
from skwave.parallel._transform import transform_blocks

SHAPE = (32, 32)
MEASURES = {"Rss": "RSS", "Pss": "PSS", "Pss_Anon": "anonymous"}


def estimator():
    """The transformer of all runs; fitted to one image, because it only learns the shape."""
    est = ScatteringTransformer(J=2, ndim=2, boundary="periodic")
    return est.fit(np.zeros((1, *SHAPE), np.float32))


def make_images(path, n):
    """Write white noise, a chunk at a time."""
    X = open_memmap(path, "w+", np.float32, (n, *SHAPE))
    for start in range(0, n, CHUNK):
        rng = np.random.default_rng(start)
        X[start : start + CHUNK] = rng.standard_normal(X[start : start + CHUNK].shape, np.float32)


def read_memory(pid):
    """MiB of one process by kind, empty if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except (FileNotFoundError, ProcessLookupError):
        return {}
    values = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines}
    return {name: values[key] for key, name in MEASURES.items()}


@contextmanager
def peak_memory():
    """Peaks of this process and of its whole tree, read five times a second."""
    peaks = {"parent RSS": 0.0} | {f"tree {name}": 0.0 for name in MEASURES.values()}
    stop = threading.Event()

    def watch():
        while not stop.wait(0.2):
            tree = [os.getpid(), *(p.pid for p in psutil.Process().children(recursive=True))]
            readings = [reading for reading in map(read_memory, tree) if reading]
            now = {f"tree {k}": sum(r[k] for r in readings) for k in MEASURES.values()}
            now["parent RSS"] = readings[0]["RSS"]
            for key, value in now.items():
                peaks[key] = max(peaks[key], value)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peaks
    finally:
        stop.set()
        thread.join()


@contextmanager
def two_workers(backend):
    """joblib's processes, or a Dask cluster on this machine."""
    if backend == "loky":
        with joblib.parallel_config("loky", n_jobs=2):
            yield
        return
    import dask
    from distributed import Client, LocalCluster

    # a killed worker imports torch again, which may take longer than the default of 15 s
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "120s"}),
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50
        ) as c,
        Client(c),
        joblib.parallel_config("dask"),
    ):
        yield


def transform(backend, images, out):
    """In the fresh process: transform, print seconds and peaks."""
    X = np.load(images, mmap_mode="r")
    with two_workers(backend), peak_memory() as peaks:
        begin = time.perf_counter()
        transform_blocks(estimator(), X, out)
        seconds = time.perf_counter() - begin
    print(json.dumps({"seconds": seconds, **peaks}))


def measure(backend, images, out, reference):
    """All figures of one backend."""
    n = len(np.load(images, mmap_mode="r"))
    arguments = [__file__, "--run", backend, images, out]
    n_blocks, lines = run(arguments, out)
    row = json.loads(lines[-1])
    row = {"case": backend, "images_per_s": n / row["seconds"], **row}
    row["difference"] = largest_difference(out, reference)
    out.unlink()
    kept, lines = crash(arguments, out, n_blocks)
    second = json.loads(lines[-1])["seconds"]
    row["crash"] = {"blocks": n_blocks, "kept": kept, "second_call_s": second}
    row["crash"]["difference"] = largest_difference(out, reference)
    out.unlink()
    return row


def table(rows, n, seconds):
    """Markdown table."""
    lines = [
        f'{n} images of 32×32, `ScatteringTransformer(J=2, ndim=2, boundary="periodic")`, file '
        "to file, 2 processes. "
        f"`est.transform` alone, in one process with torch's threads: {n / seconds:.0f} images/s.",
        "",
        "| backend | wall s | images/s | parent RSS, MiB | tree RSS | tree PSS | tree anonymous "
        "| difference | after kills: blocks kept | second call, s | difference |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        memory = [row[key] for key in ("parent RSS", "tree RSS", "tree PSS", "tree anonymous")]
        crash = row["crash"]
        lines.append(
            f"| {row['case']} | {row['seconds']:.0f} | {row['images_per_s']:.0f} | "
            + " | ".join(f"{value:.0f}" for value in memory)
            + f" | {row['difference']:.0e} | {crash['kept']} of {crash['blocks']} "
            f"| {crash['second_call_s']:.0f} | {crash['difference']:.0e} |"
        )
    return "\n".join(lines)


def main():
    """Both backends, in a folder that is removed at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="on a disk with room")
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        transform(*arguments.run)
        return
    n = arguments.images
    needed = n * 4 * (1024 + 2 * 81 * 64)
    free = shutil.disk_usage(arguments.folder).free
    if free < 1.1 * needed:
        raise SystemExit(
            f"{arguments.folder} has {free / 1e9:.1f} GB left, {1.1 * needed / 1e9:.1f} are "
            "needed: give another --folder, or fewer --images."
        )
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        images, reference, out = (Path(folder, f"{name}.npy") for name in ("X", "reference", "out"))
        make_images(images, n)
        seconds = make_reference(estimator(), np.load(images, mmap_mode="r"), reference)
        print(f"est.transform alone: {n / seconds:.0f} images/s", flush=True)
        rows = []
        for backend in ("loky", "dask"):
            rows.append(measure(backend, images, out, reference))
            print(json.dumps(rows[-1]), flush=True)
    save("transform_blocks", rows, table(rows, n, seconds))


if __name__ == "__main__":
    main()
