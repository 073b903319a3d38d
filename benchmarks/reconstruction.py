"""Signals and images from their scattering coefficients.

``make bench NAME=reconstruction``. In 1-D beside the gradient descent of kymatio's example
"Reconstruct a synthetic signal from its scattering transform", from the same white noise. In 2-D
beside the interpolation of the averages, order 0. The pictures lie beside the tables.
"""

import time
import warnings

import matplotlib
import numpy as np
import torch
from _bench import RESULTS, save
from scattering import kymatio_transform
from scipy.ndimage import map_coordinates
from sklearn.datasets import load_sample_image

from skwave import ScatteringTransformer
from skwave.functional import invert_scattering, scattering, scattering_plan
from skwave.functional._scattering.inversion import scale_noise

matplotlib.use("Agg")
import matplotlib.pyplot as plt

warnings.simplefilter("ignore")

N, J, Q, STEPS = 2**13, 6, 16, 200
AFTER = (20, 50, 100, 200)
ENOUGH = 0.05


def notes(n=N, n_intervals=4):
    """Seven notes of random pitch and phase, under Hann windows that overlap by half."""
    rng = np.random.RandomState(42)
    n_notes, support = 2 * n_intervals - 1, n // n_intervals
    frequencies = 0.05 + 0.1 * rng.rand(n_notes)
    phases = 2 * np.pi * rng.rand(n_notes)
    x, t = np.zeros(n), np.arange(support)
    for i, (frequency, phase) in enumerate(zip(frequencies, phases, strict=True)):
        start = i * support // 2
        note = np.cos(2 * np.pi * frequency * t + phase)
        x[start : start + support] += np.hanning(support) * note
    return x.astype(np.float32)


def bold_driver(f, s, y, rate=100.0, faster=1.1, slower=0.55):
    """Gradient descent of the example on the distance of coefficients; relative errors.

    A step is kept unless the one before it increased the error.
    """
    errors = []
    trial = y = y.clone().requires_grad_()
    s_trial = f(trial)
    for n in range(STEPS):
        error = torch.linalg.norm(s - s_trial)
        errors.append(float(error / s.norm()))
        if trial is y:
            (gradient,) = torch.autograd.grad(error, y)
        trial = (y - rate * gradient).detach().requires_grad_()
        s_trial = f(trial)
        if n and errors[n] > errors[n - 1]:
            rate *= slower
        else:
            rate, y = rate * faster, trial
    return y.detach(), [*errors, relative_error(f(y).detach(), s)]


def relative_error(a, b):
    """Of tensors or arrays, in the l2 norm."""
    return float(((a - b) ** 2).sum() ** 0.5 / (b**2).sum() ** 0.5)


def timed(f, *arguments, **parameters):
    """Result and CPU seconds."""
    start = time.process_time()
    return f(*arguments, **parameters), time.process_time() - start


def history_of(est, x, noise):
    """Relative errors of the coefficients at every step of `inverse_transform`."""
    plan = scattering_plan(x.shape, est.J, Q=(est.Q, 1))
    s = scattering(torch.from_numpy(x)[None, None], plan)
    start = scale_noise(torch.from_numpy(noise)[:, None], s, plan)
    return invert_scattering(s, plan, start, max_iter=STEPS).history[:, 0].sqrt().tolist()


def sound():
    """The notes, and what both methods make of the same white noise."""
    x, noise = notes(), np.random.RandomState(0).standard_normal((1, N)).astype(np.float32)
    est = ScatteringTransformer(J=J, Q=Q).fit(x[None])
    S = est.transform(x[None])
    y, seconds = timed(est.inverse_transform, S, max_iter=STEPS, tol=0, random_state=0)
    peer = kymatio_transform((N,), J, Q)
    s_peer = peer(torch.from_numpy(x))
    (y_peer, errors_peer), seconds_peer = timed(
        bold_driver, peer, s_peer, torch.from_numpy(noise[0])
    )
    methods = {
        "kymatio 0.3.0, gradient descent of its example": (errors_peer, seconds_peer, y_peer),
        "skwave, `inverse_transform`": (history_of(est, x, noise), seconds, y[0]),
    }
    rows = [
        {
            "method": method,
            "errors": [errors[n] for n in AFTER],
            "first_under": next((n for n, e in enumerate(errors) if e < ENOUGH), None),
            "cpu_s": cpu,
            "error_in_our_coefficients": relative_error(est.transform(np.asarray(z)[None]), S),
        }
        for method, (errors, cpu, z) in methods.items()
    ]
    draw_sound(x, {method: (errors, np.asarray(z)) for method, (errors, _, z) in methods.items()})
    return rows


def draw_sound(x, methods):
    """The errors against the steps, and spectrograms of the notes and of what was found."""
    fig, axes = plt.subplots(1, 4, figsize=(13, 3), layout="constrained")
    for method, (errors, _) in methods.items():
        axes[0].semilogy(errors, label=method.split(",")[0])
    axes[0].set(xlabel="step", title="relative error of the coefficients")
    axes[0].legend()
    signals = {"notes": x, **{method.split(",")[0]: z for method, (_, z) in methods.items()}}
    for ax, (name, z) in zip(axes[1:], signals.items(), strict=True):
        ax.specgram(z, NFFT=256, noverlap=192, Fs=1, vmin=-60, vmax=15)
        ax.set(title=name, xlabel="time (samples)", ylim=(0, 0.25))
    axes[1].set_ylabel("frequency (cycles per sample)")
    save_figure(fig, "sound")


def save_figure(fig, name):
    """Write a picture beside the tables."""
    RESULTS.mkdir(exist_ok=True)
    fig.savefig(RESULTS / f"reconstruction_{name}.png", dpi=110)
    plt.close(fig)


def psnr(y, x):
    """Peak signal-to-noise ratio in dB, of values between 0 and 1."""
    return float(-10 * np.log10(((y - x) ** 2).mean()))


def interpolate(s0, J, shape):
    """Cubic interpolation of the averages, which lie at multiples of ``2**J``."""
    grid = np.mgrid[: shape[0], : shape[1]] / 2**J
    return map_coordinates(s0, grid, order=3, mode="nearest")


def image():
    """A photograph, from its averages alone, and from orders 0 and 1, or 0 to 2."""
    x = load_sample_image("china.jpg").mean(-1)[100:228, 200:328].astype(np.float32) / 255
    rows, pictures = [], {}
    for J in (2, 3):
        pictures[J] = {"photograph": x}
        for max_order in (0, 1, 2):
            est = ScatteringTransformer(J=J, ndim=2, max_order=max_order).fit(x[None])
            S = est.transform(x[None])
            row = {"J": J, "max_order": max_order, "n_features": S.shape[1]}
            if max_order == 0:
                y, error = interpolate(S.reshape(est.output_shape_)[0, 0], J, x.shape), None
                seconds = 0.0
            else:
                Y, seconds = timed(est.inverse_transform, S, max_iter=STEPS, random_state=0)
                y, error = Y[0], relative_error(est.transform(Y), S)
            rows.append({**row, "psnr": psnr(y, x), "error": error, "cpu_s": seconds})
            print(rows[-1], flush=True)
            name = f"orders 0 to {max_order}" if max_order else "order 0, cubic"
            pictures[J][f"{name}: {psnr(y, x):.1f} dB"] = y
    draw_image(pictures)
    return rows


def draw_image(pictures):
    """Photograph and reconstructions, a row for each scale."""
    fig, axes = plt.subplots(len(pictures), 4, figsize=(11, 6), layout="constrained")
    for row, (J, images) in zip(axes, pictures.items(), strict=True):
        row[0].set_ylabel(f"J = {J}")
        for ax, (name, y) in zip(row, images.items(), strict=True):
            ax.imshow(y, cmap="gray", vmin=0, vmax=1)
            ax.set(title=name, xticks=[], yticks=[])
    save_figure(fig, "image")


def table(sounds, images):
    """Markdown tables."""
    steps = " | ".join(f"after {n}" for n in AFTER)
    lines = [
        f"{N} samples, J={J}, Q={Q}, from white noise: relative error of the coefficients",
        "",
        f"| method | {steps} | first step under {ENOUGH} | CPU s | in skwave's coefficients |",
        "|---" * (len(AFTER) + 4) + "|",
    ]
    for row in sounds:
        errors = " | ".join(f"{e:.3f}" for e in row["errors"])
        lines.append(
            f"| {row['method']} | {errors} | {row['first_under'] or '–'} | {row['cpu_s']:.0f} "
            f"| {row['error_in_our_coefficients']:.3f} |"
        )
    lines += [
        "",
        f"A photograph of 128×128 pixels, L=8, from white noise, {STEPS} steps",
        "",
        "| J | orders | features | PSNR, dB | relative error of the coefficients | CPU s |",
        "|---|---|---|---|---|---|",
    ]
    for row in images:
        m = row["max_order"]
        error = "" if row["error"] is None else f"{row['error']:.4f}"
        orders = f"0 to {m}" if m else "0, cubic interpolation"
        lines.append(
            f"| {row['J']} | {orders} | {row['n_features']} | {row['psnr']:.1f} | {error} "
            f"| {row['cpu_s']:.0f} |"
        )
    return "\n".join(lines)


def main():
    """Both parts, on one thread."""
    torch.set_num_threads(1)
    images = image()
    sounds = sound()
    save("reconstruction", {"sound": sounds, "image": images}, table(sounds, images))


if __name__ == "__main__":
    main()
