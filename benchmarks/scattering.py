"""Scattering against kymatio's torch backend, interleaved in one process.

``make bench NAME=scattering``, or ``python benchmarks/scattering.py [case ...]``. Ratios above 1
mean that skwave is quicker. On one thread process CPU time is measured, on two threads wall time,
on CUDA wall time around a synchronisation. The forward pass is measured with the vectors of the
processor, with those of AVX2 and of any processor (baseline), and in torch, without the compiled
cascade. The rate counts the floating-point operations of the FFTs that the transform is made of,
5 n log2(n) for n complex numbers and half as many for real ones, over the time of all: what is left
to the rate of the FFTs alone is spent on products, moduli, averages and memory.
"""

import argparse
import math
import os
import subprocess
import sys
import time
import warnings
from functools import partial

import numpy as np
import scipy.special
import torch
from _bench import memory_of, peak_memory, ratio, save

from skwave import ScatteringTransformer
from skwave.functional import scattering, scattering_plan

warnings.simplefilter("ignore")

CASES = {
    # name: batch, shape, J, Q, repetitions
    "2-D 32² J=2 L=8 ×128": (128, (32, 32), 2, 1, 15),
    "2-D 64² J=4 L=8 ×16": (16, (64, 64), 4, 1, 15),
    "2-D 256² J=4 L=8 ×4": (4, (256, 256), 4, 1, 9),
    "1-D 2¹³ J=6 Q=16 ×8": (8, (2**13,), 6, 16, 11),
    "1-D 2¹⁶ J=8 Q=12 ×8": (8, (2**16,), 8, 12, 5),
}


def import_kymatio():
    """kymatio; SciPy 1.17 removed a function that it imports."""
    if not hasattr(scipy.special, "sph_harm"):
        scipy.special.sph_harm = lambda m, n, azimuth, polar: scipy.special.sph_harm_y(
            n, m, polar, azimuth
        )
    import kymatio

    return kymatio


def kymatio_transform(shape, J, Q, L=8):
    """kymatio's torch module."""
    kymatio = import_kymatio()
    if len(shape) == 1:
        return kymatio.Scattering1D(J=J, shape=shape, Q=Q, frontend="torch")
    return kymatio.Scattering2D(J=J, shape=shape, L=L, frontend="torch")


def our_transform(x, J, Q, **parameters):
    """The estimator, fitted, as a function of a tensor."""
    est = ScatteringTransformer(J=J, Q=Q, ndim=x.ndim - 1, **parameters).fit(x)
    return lambda: est.transform(x)


def construction(shape, J, Q):
    """CPU seconds of making all the filters, cold caches."""

    def ours():
        scattering_plan(shape, J, Q=(Q, Q if len(shape) == 2 else 1))

    return ratio(lambda: kymatio_transform(shape, J, Q), ours, 1)


def backward(x, peer, J, Q, repeat, clock=time.process_time):
    """Forward and backward of the squared norm of the coefficients."""
    x = x.clone().requires_grad_()
    plan = scattering_plan(x.shape[1:], J, Q=(Q, Q if x.ndim == 3 else 1), device=x.device)

    def run(f):
        (gradient,) = torch.autograd.grad(f(x).square().sum(), x)
        return gradient

    with torch.enable_grad():
        return ratio(lambda: run(peer), lambda: run(lambda x: scattering(x, plan)), repeat, clock)


def signals(name):
    """White noise of a case."""
    batch, shape, *_ = CASES[name]
    return torch.from_numpy(np.random.RandomState(0).randn(batch, *shape).astype(np.float32))


def forward(name):
    """Median seconds of our forward pass, on one thread."""
    _, _, J, Q, repeat = CASES[name]
    torch.set_num_threads(1)
    ours = our_transform(signals(name), J, Q)
    return ratio(lambda: None, ours, repeat)["ours_s"]


def with_vectors(name, vectors):
    """The same in a fresh process, with the vectors of a kind; none for torch."""
    command = [sys.executable, __file__, "--forward", name]
    environment = os.environ | {"SKWAVE_VECTORS": vectors}
    run = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return float(run.stdout.split()[-1])


def fft_operations(name):
    """Floating-point operations of the FFTs of a case."""
    batch, shape, J, Q, _ = CASES[name]
    plan = scattering_plan(shape, J, Q=(Q, Q if len(shape) == 2 else 1))

    def cost(k):
        n = math.prod(plan.geometry.grid(k))
        return 5 * n * math.log2(n)

    total, averages = cost(0) / 2, 0.5 if len(shape) == 1 else 0
    for first in plan.stages:
        spectra = 0.5 if first.following else averages
        second = sum(s.n_filters * cost(s.k) * (1 + averages) for s in first.following)
        total += first.n_filters * (cost(first.k) * (1 + spectra) + second)
    return batch * total


def measure(name, short):
    """All the figures of one case on the CPU, or those of one thread alone."""
    _, shape, J, Q, repeat = CASES[name]
    x = signals(name)
    row = {"case": name, "fft_operations": fft_operations(name)}
    torch.set_num_threads(1)
    peer = kymatio_transform(shape, J, Q)
    row["forward"] = ratio(lambda: peer(x), our_transform(x, J, Q), repeat)
    for vectors in ("avx2", "baseline", "none"):
        row[vectors] = with_vectors(name, vectors)
    row["forward_backward"] = backward(x, peer, J, Q, max(3, repeat // 3))
    if short:
        return row
    row["construction"] = construction(shape, J, Q)
    torch.set_num_threads(2)
    for key, n_jobs in (("two_threads", None), ("two_jobs", 2)):
        ours = our_transform(x, J, Q, n_jobs=n_jobs)
        row[key] = ratio(lambda: peer(x), ours, repeat, time.perf_counter)
    row["memory_mib"] = [peak_memory(__file__, name, which) for which in ("kymatio", "skwave")]
    return row


def measure_cuda(name):
    """Forward, and forward with backward, on the first CUDA device."""
    batch, shape, J, Q, repeat = CASES[name]
    x = torch.randn(batch, *shape, device="cuda")
    peer = kymatio_transform(shape, J, Q).cuda()

    def clock():
        torch.cuda.synchronize()
        return time.perf_counter()

    return {
        "case": name,
        "forward": ratio(lambda: peer(x), our_transform(x, J, Q), repeat, clock),
        "forward_backward": backward(x, peer, J, Q, repeat, clock),
    }


def memory(name, which):
    """Peak memory of the first call, over what is resident with the filters made."""
    _, shape, J, Q, _ = CASES[name]
    x = signals(name)
    torch.set_num_threads(1)
    if which == "kymatio":
        f = kymatio_transform(shape, J, Q)
    else:
        plan = scattering_plan(shape, J, Q=(Q, Q if len(shape) == 2 else 1))
        f = partial(scattering, plan=plan)
    return memory_of(lambda: f(x))


def cell(result, unit=1e3):
    """Ratio and times of both in milliseconds."""
    return (
        f"**{result['ratio']:.1f}** ({unit * result['peer_s']:.0f} / {unit * result['ours_s']:.0f})"
    )


def cpu_table(rows):
    """Markdown table of the figures on the CPU."""
    heads = ["case", "forward, 1 thread, CPU ms", "FFT GFLOP/s", "AVX2", "baseline", "in torch"]
    heads += ["forward + backward"]
    keys = ["forward_backward"]
    if "memory_mib" in rows[0]:
        heads += ["2 threads, wall ms", "2 threads, `n_jobs=2`", "construction, CPU ms"]
        heads += ["peak memory, MiB"]
        keys += ["two_threads", "two_jobs", "construction"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in rows:
        rate = row["fft_operations"] / row["forward"]["ours_s"] / 1e9
        cells = [row["case"], cell(row["forward"]), f"{rate:.0f}"]
        peer = row["forward"]["peer_s"]
        cells += [f"{peer / row[vectors]:.1f}" for vectors in ("avx2", "baseline", "none")]
        cells += [cell(row[key]) for key in keys]
        if "memory_mib" in row:
            cells.append("{:.0f} / {:.0f}".format(*row["memory_mib"]))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cuda_table(rows):
    """Markdown table of the figures on CUDA."""
    lines = ["| case | forward, ms | forward + backward, ms |", "|---|---|---|"]
    for row in rows:
        cells = (row["case"], cell(row["forward"]), cell(row["forward_backward"]))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    """Measure the cases named, all of them by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", help=f"any of {list(CASES)}, or a part of a name")
    parser.add_argument("--short", action="store_true", help="one thread, time alone")
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--forward", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_grad_enabled(False)
    if arguments.memory:
        print(memory(*arguments.memory))
        return
    if arguments.forward:
        print(forward(arguments.forward))
        return
    chosen = [c for c in CASES if not arguments.cases or any(a in c for a in arguments.cases)]
    rows = []
    for name in chosen:
        rows.append(measure(name, arguments.short))
        print(
            name,
            {k: round(v["ratio"], 2) for k, v in rows[-1].items() if isinstance(v, dict)},
            flush=True,
        )
    print("\nRatio kymatio / skwave (kymatio / skwave), medians of interleaved pairs")
    save("scattering", rows, cpu_table(rows))
    if torch.cuda.is_available():
        rows = [measure_cuda(name) for name in chosen]
        save("scattering", rows, cuda_table(rows), torch.cuda.get_device_name())


if __name__ == "__main__":
    main()
