"""The layer `skwave.nn.Scattering` against kymatio's torch module, forward and backward.

``make bench NAME=scattering_layer``, or ``python benchmarks/scattering_layer.py [case ...]``. The
peak memory is that of the first forward and backward pass, in fresh processes, over what is
resident with the filters made. Times are those of process CPU time on one thread, interleaved;
ratios above 1 mean that skwave is quicker, or smaller.
"""

import argparse
import time
import warnings

import numpy as np
import torch
from _bench import memory_of, peak_memory, ratio, save
from scattering import CASES, cell, kymatio_transform

from skwave.scattering._layer import Scattering

warnings.simplefilter("ignore")


def layers(shape, J, Q):
    """The peer's module, and ours."""
    return kymatio_transform(shape, J, Q), Scattering(J=J, Q=Q, ndim=len(shape))


def signals(batch, shape):
    """White noise that requires a gradient."""
    x = np.random.RandomState(0).randn(batch, *shape).astype(np.float32)
    return torch.from_numpy(x).requires_grad_()


def forward_backward(layer, x):
    """Gradient of the squared norm of the coefficients."""
    return torch.autograd.grad(layer(x).square().sum(), x)[0]


def difference(shape, J, Q):
    """Relative error of our gradient to the peer's; 1-D wavelets of kymatio 0.3.0 differ."""
    if len(shape) == 1:
        return None
    x = signals(2, shape)
    expected, found = (forward_backward(layer, x) for layer in layers(shape, J, Q))
    return float((found - expected).norm() / expected.norm())


def measure(name):
    """Memory and time of one case on the CPU."""
    batch, shape, J, Q, repeat = CASES[name]
    peer, ours = layers(shape, J, Q)
    x = signals(batch, shape)
    run = [lambda: forward_backward(peer, x), lambda: forward_backward(ours, x)]
    return {
        "case": name,
        "memory_mib": [peak_memory(__file__, name, which) for which in ("kymatio", "skwave")],
        "forward_backward": ratio(*run, max(3, repeat // 3)),
        "gradient_error": difference(shape, J, Q),
    }


def measure_cuda(name):
    """The same on the first CUDA device: memory that torch allocates, wall time."""
    batch, shape, J, Q, repeat = CASES[name]
    peer, ours = layers(shape, J, Q)
    peer, x = peer.cuda(), signals(batch, shape).detach().cuda().requires_grad_()

    def clock():
        torch.cuda.synchronize()
        return time.perf_counter()

    def peak(layer):
        forward_backward(layer, x)
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        forward_backward(layer, x)
        return (torch.cuda.max_memory_allocated() - before) / 2**20

    run = [lambda: forward_backward(peer, x), lambda: forward_backward(ours, x)]
    return {
        "case": name,
        "memory_mib": [peak(peer), peak(ours)],
        "forward_backward": ratio(*run, repeat, clock),
        "gradient_error": None,
    }


def memory(name, which):
    """Peak memory of the first forward and backward pass."""
    batch, shape, J, Q, _ = CASES[name]
    torch.set_num_threads(1)
    layer = layers(shape, J, Q)[which == "skwave"]
    with torch.no_grad():
        if which == "skwave":
            layer(torch.zeros(shape))  # makes the filters
    x = signals(batch, shape)
    return memory_of(lambda: forward_backward(layer, x))


def table(rows, unit):
    """Markdown table."""
    lines = [
        f"| case | peak memory, MiB | forward + backward, {unit} | difference of the gradients |",
        "|---|---|---|---|",
    ]
    for row in rows:
        peer, ours = row["memory_mib"]
        error = row["gradient_error"]
        cells = (
            row["case"],
            f"**{peer / ours:.1f}** ({peer:.0f} / {ours:.0f})",
            cell(row["forward_backward"]),
            "" if error is None else f"{error:.0e}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    """Measure the cases named, all of them by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", help=f"any of {list(CASES)}, or a part of a name")
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        print(memory(*arguments.memory))
        return
    torch.set_num_threads(1)
    chosen = [c for c in CASES if not arguments.cases or any(a in c for a in arguments.cases)]
    rows = []
    for name in chosen:
        rows.append(measure(name))
        print(name, rows[-1]["memory_mib"], rows[-1]["forward_backward"]["ratio"], flush=True)
    print("\nRatio kymatio / skwave (kymatio / skwave)")
    save("scattering_layer", rows, table(rows, "CPU ms"))
    if torch.cuda.is_available():
        rows = [measure_cuda(name) for name in chosen]
        save("scattering_layer", rows, table(rows, "ms"), torch.cuda.get_device_name())


if __name__ == "__main__":
    main()
