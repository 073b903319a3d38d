"""One long signal, read from a file in pieces: memory, and time beside that of short signals.

``make bench NAME=long_signal``. CPU time on one thread; memory by which the first call grows the
resident memory of a fresh process, with the filters, which it makes, and the output.
"""

import argparse
import functools
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from _bench import memory_of, peak_memory, save
from numpy.lib.format import open_memmap
from sklearn import config_context

from skwave import ScatteringTransformer

N, J, Q = 10**7, 10, 8
SHORT = (2**14, 2**16, 2**17)
WORKING_MEMORY = (1024, 256)  # MiB
REPEAT = 5


def signal(path):
    """Write one signal of float32, and map it."""
    rng = np.random.default_rng(0)
    x = open_memmap(path, "w+", np.float32, (1, N))
    for start in range(0, N, 2**20):
        block = x[0, start : start + 2**20]
        block[:] = rng.standard_normal(block.shape)
    x.flush()
    return np.load(path, mmap_mode="r")


def make(x):
    """The estimator, fitted."""
    return ScatteringTransformer(J=J, Q=Q).fit(x)


def memory(path, working_memory):
    """In a fresh process: MiB that a transform takes."""
    x = np.load(path, mmap_mode="r")
    with config_context(working_memory=int(working_memory)):
        est = make(x)
        return memory_of(lambda: est.transform(x))


def times(x):
    """CPU nanoseconds a sample, long and short in turn: medians, and of the ratios."""
    inputs = {N: x} | {n: np.array(x[0, : 2**18]).reshape(-1, n) for n in SHORT}
    calls = {n: functools.partial(make(part).transform, part) for n, part in inputs.items()}
    for call in calls.values():
        call()  # makes the filters
    runs = []
    for _ in range(REPEAT):
        run = {}
        for n, call in calls.items():
            start = time.process_time()
            for _ in range(1 if n == N else 8):
                call()
            run[n] = (time.process_time() - start) / (1 if n == N else 8) / inputs[n].size * 1e9
        runs.append(run)
    median = statistics.median
    return [
        {
            "samples": n,
            "ns_per_sample": median(run[n] for run in runs),
            "long_over_this": median(run[N] / run[n] for run in runs),
        }
        for n in calls
    ]


def main():
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.memory:
        print(memory(*arguments.memory))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "signal.npy"
        x = signal(path)
        output = make(x).transform(x).nbytes / 2**20
        speed = times(x)
        peaks = {m: peak_memory(__file__, path, m) for m in WORKING_MEMORY}
    lines = [
        "| samples of a signal | CPU ns a sample | time of the long one / this |",
        "|---|---|---|",
    ]
    lines += [
        f"| {row['samples']} | {row['ns_per_sample']:.0f} | {row['long_over_this']:.2f} |"
        for row in speed
    ]
    lines += ["", "| `working_memory` + output, MiB | peak, MiB |", "|---|---|"]
    lines += [f"| {m} + {output:.0f} | {peak:.0f} |" for m, peak in peaks.items()]
    rows = {
        "speed": speed,
        "output_mib": output,
        "peak_mib": {str(m): peak for m, peak in peaks.items()},
    }
    save("long_signal", rows, "\n".join(lines))


if __name__ == "__main__":
    main()
