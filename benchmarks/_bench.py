"""What all benchmarks share: interleaved timing, peak memory, and the results' files."""

import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def hardware():
    """Name of the processor and the number of cores that may be used."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        name = re.search(r"model name\s*:\s*(.+)", info.read_text() + "model name: " + name)[1]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores"


def ratio(peer, ours, repeat, clock=time.process_time):
    """Median of the times of two functions run in turn, and of the ratios pair by pair."""
    peer(), ours()
    pairs = []
    for _ in range(repeat):
        times = []
        for f in (peer, ours):
            start = clock()
            f()
            times.append(clock() - start)
        pairs.append(times)
    peer_times, our_times = zip(*pairs, strict=True)
    ratios = [p / o for p, o in pairs]
    return {
        "peer_s": statistics.median(peer_times),
        "ours_s": statistics.median(our_times),
        "ratio": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
    }


def peak_memory(script, *arguments):
    """MiB by which a call grows the resident memory: median of three fresh processes."""
    command = [sys.executable, script, "--memory", *map(str, arguments)]
    runs = [subprocess.run(command, check=True, capture_output=True, text=True) for _ in range(3)]
    return statistics.median(float(run.stdout.split()[-1]) for run in runs)


def memory_of(f):
    """In the fresh process: MiB that ``f`` adds to the resident memory at its peak."""

    def read(key):
        return int(re.search(rf"{key}:\s*(\d+)", Path("/proc/self/status").read_text())[1]) / 1024

    Path("/proc/self/clear_refs").write_text("5")
    before = read("VmRSS")
    f()
    return read("VmHWM") - before


def results_file(name, machine, suffix):
    """Where the results of a benchmark on a machine stand."""
    slug = re.sub(r"[^a-z0-9]+", "-", machine.lower()).strip("-")
    return RESULTS / f"{name}.{slug}.{suffix}"


def earlier(name):
    """Results of the last run of a benchmark on this machine, by part."""
    path = results_file(name, hardware(), "json")
    return json.loads(path.read_text())["rows"] if path.exists() else {}


def save(name, rows, table, device=None):
    """Print a Markdown table; write it and the rows, with the hardware's name."""
    machine = device or hardware()
    RESULTS.mkdir(exist_ok=True)
    record = {"hardware": machine, "python": platform.python_version(), "rows": rows}
    results_file(name, machine, "json").write_text(json.dumps(record, indent=1) + "\n")
    results_file(name, machine, "md").write_text(f"{machine}\n\n{table}\n")
    print(f"\n{machine}\n\n{table}")
