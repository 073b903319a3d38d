"""Jobs that write a file in processes of their own: run them, kill them, look at what is left."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
from numpy.lib.format import open_memmap

from skwave.parallel._blocks import take

CHUNK = 1000


def start(arguments, out):
    """Start a script in a process group of its own; what it prints goes beside its output."""
    command = [sys.executable, *map(str, arguments)]
    with open(f"{out}.log", "w") as log:
        return subprocess.Popen(command, stdout=log, start_new_session=True)


def finish(process, out):
    """Lines that it printed."""
    if process.wait():
        raise SystemExit(f"a run ended with {process.returncode}")
    return Path(f"{out}.log").read_text().splitlines()


def wait_for(condition, process):
    """Wait until something has happened in a run."""
    while not condition():
        if process.poll() is not None:
            raise SystemExit("the run ended too early: take more rows")
        time.sleep(0.02)


def blocks_done(out):
    """Lines of the journal, without its head; -1 if there is none."""
    try:
        return len(Path(f"{out}.blocks").read_text().splitlines()) - 1
    except FileNotFoundError:
        return -1


def run(arguments, out):
    """Number of blocks of a run without accident, and the lines that it printed."""
    process = start(arguments, out)
    wait_for(lambda: blocks_done(out) >= 0, process)
    head = json.loads(Path(f"{out}.blocks").read_text().splitlines()[0])
    return -(-head["X"][0] // head["block_size"]), finish(process, out)


def crash(arguments, out, n_blocks):
    """Kill a worker after a third of the blocks, everything after two thirds, then resume.

    Blocks that were kept, and the lines that the second call printed.
    """
    process = start(arguments, out)
    wait_for(lambda: blocks_done(out) >= n_blocks / 3, process)
    workers = psutil.Process(process.pid).children(recursive=True)
    max(workers, key=lambda p: p.cpu_times().user).kill()
    wait_for(lambda: blocks_done(out) >= 2 * n_blocks / 3, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = blocks_done(out)
    return kept, finish(start(arguments, out), out)


def make_reference(est, X, path):
    """Write est.transform of every chunk; seconds that the transform took."""
    out, seconds = None, 0.0
    for start in range(0, len(X), CHUNK):
        x = take(X, start, start + CHUNK)
        begin = time.perf_counter()
        y = est.transform(x)
        seconds += time.perf_counter() - begin
        if out is None:
            out = open_memmap(path, "w+", y.dtype, (len(X), y.shape[1]))
        out[start : start + CHUNK] = y
    return seconds


def largest_difference(path, reference):
    """Largest difference to the reference, over its largest value."""
    a, b = np.load(path, mmap_mode="r"), np.load(reference, mmap_mode="r")
    if a.shape != b.shape:
        raise SystemExit(f"shapes differ: {a.shape} and {b.shape}")
    blocks = [slice(start, start + CHUNK) for start in range(0, len(a), CHUNK)]
    scale = max(np.abs(b[block]).max() for block in blocks)
    return float(max(np.abs(a[block] - b[block]).max() for block in blocks) / scale)
