"""Moments of phase harmonics and their gradient, and synthesis, against other packages.

``make bench NAME=phase_harmonics``, or ``python benchmarks/phase_harmonics.py [part ...]`` with
parts ``pywph_l4 pywph_l8 plenoptic foscat start synthesis cuda``; parts of earlier runs on the
machine stay in the table. Images of 256 by 256 pixels in float32, J=5, offsets of two lengths.
Times are CPU seconds on one thread, of interleaved pairs; memory is that of the first forward and
backward pass, in fresh processes, over what is resident with the filters made. Ratios above 1
mean that skwave is quicker, or smaller.

``start`` minimises the same kind of loss from the same white noise: pywph by L-BFGS-B of scipy for
``--iterations`` steps, skwave until its loss is as low; each loss is the squared distance of the
package's moments over their squared norm.
"""

import argparse
import importlib.util
import time
import warnings

import numpy as np
import torch
from _bench import earlier, memory_of, peak_memory, ratio, save
from _texture_peers import foscat_model, plenoptic_model, pywph_model

from skwave import MaxEntTextureModel
from skwave.datasets import load_cosmic_web
from skwave.functional._textures.families import moment_family, moment_layout
from skwave.functional._textures.fields import reference

warnings.simplefilter("ignore")
J, SIZE = 5, 256
PEERS = {
    "pywph_l4": ("pywph", lambda: pywph_model(SIZE, J, 4, 2), 4, "pywph"),
    "pywph_l8": ("pywph", lambda: pywph_model(SIZE, J, 8, 2), 8, "pywph"),
    "plenoptic": ("plenoptic", lambda: plenoptic_model(SIZE), 4, "phase_harmonic"),
    "foscat": ("foscat", lambda: foscat_model(SIZE), 4, "phase_harmonic"),
}


def image():
    """A map of the cosmic web."""
    return load_cosmic_web().images[0].astype(np.float32)


class Ours:
    """Moments normalised by those of a field, as the model has them in a synthesis."""

    def __init__(self, L, moments, x, device="cpu"):
        layout = moment_layout((SIZE, SIZE), J, L, moments)
        self.family = moment_family(layout, dtype=torch.float32, device=device)
        self.x = torch.from_numpy(x).to(device)[None, None]
        self.reference = reference(self.x, self.family.fields)
        self.n_moments = len(layout.rows())

    def forward(self):
        """Moments."""
        with torch.no_grad():
            return self.family.moments(self.x, self.reference, True)

    def forward_backward(self):
        """Gradient of the sum of their squares."""
        x = self.x.clone().requires_grad_()
        phi = self.family.moments(x, self.reference, True)
        return torch.autograd.grad(phi.square().sum(), x)[0]


def against(part, repeat):
    """Times and memory of a peer and ours."""
    package, make, L, moments = PEERS[part]
    if importlib.util.find_spec(package) is None:
        print(f"{part}: no {package}")
        return None
    x, peer = image(), make()
    y = (x - x.min()) / np.ptp(x) if package == "plenoptic" else x
    ours = Ours(L, moments, x)
    row = {
        "part": part,
        "package": package,
        "L": L,
        "moments": moments,
        # pywph counts complex numbers
        "M": [(2 if package == "pywph" else 1) * peer.n_moments, ours.n_moments],
        "forward": ratio(lambda: peer.forward(y), ours.forward, repeat),
        "forward_backward": ratio(lambda: peer.forward_backward(y), ours.forward_backward, repeat),
        "memory_mib": [peak_memory(__file__, part, which) for which in (package, "skwave")],
    }
    print(row, flush=True)
    return row


def memory(part, which):
    """Peak memory of the first forward and backward pass."""
    torch.set_num_threads(1)
    if part == "synthesis":
        model = MaxEntTextureModel(J, max_iter=5, tol=0, random_state=0).fit(image()[None])
        arguments = {"n_samples": 8} if which == "8" else {"shape": (2 * SIZE, 2 * SIZE)}
        return memory_of(lambda: model.sample(**arguments))
    _, make, L, moments = PEERS[part]
    x = image()
    if which == "skwave":
        return memory_of(Ours(L, moments, x).forward_backward)
    peer = make()
    return memory_of(lambda: peer.forward_backward(x))


def start(iterations):
    """CPU seconds to the same loss from the same white noise."""
    from scipy.optimize import minimize

    x = image()
    noise = np.random.default_rng(0).standard_normal(x.shape) * x.std() + x.mean()
    evaluate = pywph_model(SIZE, J, 4, 2).loss_and_grad(x)
    begin, losses = time.process_time(), [float(evaluate(noise.ravel())[0])]
    limits = {"maxiter": iterations, "maxcor": 20, "gtol": 0, "ftol": 0, "maxfun": 10 * iterations}
    found = minimize(evaluate, noise.ravel(), jac=True, method="L-BFGS-B", options=limits)
    losses.append(float(found.fun))
    peer_s = time.process_time() - begin
    model = MaxEntTextureModel(J, moments="pywph", max_iter=20 * iterations, tol=losses[1])
    model.fit(x[None])
    begin = time.process_time()
    model.sample(init=noise[None].astype(np.float32))
    return {
        "part": "start",
        "peer_s": peer_s,
        "ours_s": time.process_time() - begin,
        "iterations": [int(found.nit), len(model.loss_curve_) - 1],
        "peer_losses": losses,
        "our_losses": [float(model.loss_curve_[i, 0]) for i in (0, -1)],
    }


def synthesis(iterations=100):
    """CPU seconds and loss of the default model from its own noise."""
    model = MaxEntTextureModel(J, max_iter=iterations, tol=0, random_state=0).fit(image()[None])
    begin = time.process_time()
    model.sample()
    seconds = time.process_time() - begin
    return {
        "part": "synthesis",
        "M": int(model.n_moments_),
        "cpu_s": seconds,
        "loss": float(model.loss_curve_[-1, 0]),
        "memory_mib": [peak_memory(__file__, "synthesis", which) for which in ("8", "larger")],
    }


def cuda(repeat):
    """Our times on a CUDA device, and a synthesis there; pywph on it, if it is installed."""

    def clock():
        torch.cuda.synchronize()
        return time.perf_counter()

    rows = []
    for L in (4, 8):
        fast, slow = (Ours(L, "pywph", image(), device) for device in ("cuda", "cpu"))
        times = {
            name: ratio(getattr(slow, name), getattr(fast, name), repeat, clock)
            for name in ("forward", "forward_backward")
        }
        rows.append({"part": f"cuda_l{L}", "L": L, **times})
    for batch in (1, 16):
        model = MaxEntTextureModel(J, device="cuda", tol=0, batch_size=batch, random_state=0)
        model.fit(image()[None])
        model.sample(batch)
        begin = clock()
        model.sample(batch)
        loss = float(np.nanmax(model.loss_curve_[-1]))
        rows.append({"part": "synthesis", "batch": batch, "wall_s": clock() - begin, "loss": loss})
    return rows


def cell(measured, per=(1, 1)):
    """Ratio and both times, of each moment if ``per`` counts them."""
    scaled = measured["ratio"] * per[1] / per[0]
    return f"**{scaled:.1f}** ({measured['peer_s']:.3f} / {measured['ours_s']:.3f})"


def table(found):
    """Markdown tables."""
    lines = [
        "256 by 256, J=5, one thread. Ratio peer / skwave (peer / skwave). M in real numbers",
        "",
        "| peer | L | our moments | M | forward, CPU s | forward + backward, CPU s "
        "| the same per moment | peak memory, MiB |",
        "|" + "---|" * 8,
    ]
    for part in PEERS:
        if part in found:
            r = found[part]
            peer, ours = r["memory_mib"]
            both = r["forward_backward"]
            cells = [r["package"], str(r["L"]), r["moments"], f"{r['M'][0]} / {r['M'][1]}"]
            cells += [cell(r["forward"]), cell(both)]
            cells.append(f"**{both['ratio'] * r['M'][1] / r['M'][0]:.1f}**")
            cells.append(f"**{peer / ours:.1f}** ({peer:.0f} / {ours:.0f})")
            lines.append("| " + " | ".join(cells) + " |")
    if "start" in found:
        r = found["start"]
        lines += [
            "",
            f"To the loss {r['peer_losses'][1]:.1e}, from white noise: pywph "
            f"{r['peer_s']:.0f} CPU s ({r['iterations'][0]} steps of scipy), skwave "
            f"{r['ours_s']:.1f} CPU s ({r['iterations'][1]} steps, {r['our_losses'][1]:.1e}): "
            f"**{r['peer_s'] / r['ours_s']:.1f}**.",
        ]
    if "synthesis" in found:
        r = found["synthesis"]
        lines += [
            "",
            f"Synthesis with the {r['M']} default moments, 100 steps from Gaussian noise: "
            f"**{r['cpu_s']:.0f}** CPU s, relative loss {r['loss']:.1e}. Peak memory over that of "
            f"the model: {r['memory_mib'][0]:.0f} MiB for `sample(8)`, "
            f"{r['memory_mib'][1]:.0f} MiB for a sample of 512 by 512.",
        ]
    return "\n".join(lines)


def cuda_table(rows):
    """Markdown list of what a CUDA device does."""
    lines = ["| what | CPU wall s / CUDA wall s |", "|---|---|"]
    for r in rows:
        if "batch" in r:
            what = f"100 steps, batch of {r['batch']}, loss up to {r['loss']:.1e}"
            lines.append(f"| {what} | {r['wall_s']:.2f} s |")
        else:
            for name in ("forward", "forward_backward"):
                lines.append(f"| {name.replace('_', ' + ')}, L={r['L']} | {cell(r[name])} |")
    return "\n".join(lines)


def main():
    """The parts named, all of them by default."""
    parts = [*PEERS, "start", "synthesis", "cuda"]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=parts, help=f"any of {parts}")
    parser.add_argument("--iterations", type=int, default=50, help="steps of pywph in 'start'")
    parser.add_argument("--repeat", type=int, default=7, help="pairs of each measurement")
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        print(memory(*arguments.memory))
        return
    torch.set_num_threads(1)
    found = earlier("phase_harmonics")
    for part in arguments.parts:
        if part == "cuda":
            if torch.cuda.is_available():
                rows = cuda(arguments.repeat)
                save("phase_harmonics", rows, cuda_table(rows), torch.cuda.get_device_name())
            continue
        if part in PEERS:
            row = against(part, arguments.repeat)
        else:
            row = start(arguments.iterations) if part == "start" else synthesis()
        if row is not None:
            found[part] = row
            save("phase_harmonics", found, table(found))


if __name__ == "__main__":
    main()
