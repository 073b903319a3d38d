r"""
A signal with bursts
====================

Velocities in turbulence and returns on a market have this in common: their increments hardly
correlate, but their sizes do. Calm and restless times alternate on all scales. The power spectrum
does not see it; the signal is noise to it. Here is what moments of wavelet coefficients see.
"""

# %%
# A multifractal random walk
# --------------------------
# Increments are white noise times :math:`e^{\omega(t)}`, where :math:`\omega` is Gaussian with a
# covariance that falls logarithmically, :math:`\lambda^2\log(T/|\tau|)` (Bacry, Delour and
# Muzy, 2001). The spectrum of :math:`\omega` is made from this covariance.

import matplotlib.pyplot as plt
import numpy as np

from skwave import MaxEntTextureModel


def multifractal_increments(n, rng, intermittency=0.06, longest=512):
    """Increments of a multifractal random walk, periodic."""
    lag = np.minimum(np.arange(n), n - np.arange(n))
    covariance = intermittency * np.log(longest / (1 + np.minimum(lag, longest - 1)))
    power = np.fft.fft(covariance).real.clip(0)
    omega = np.fft.ifft(np.sqrt(power) * np.fft.fft(rng.standard_normal(n))).real
    x = rng.standard_normal(n) * np.exp(omega)
    return x / x.std()


n = 4096
x = multifractal_increments(n, np.random.default_rng(1))[None]

# %%
# Three models
# ------------
# ``ndim=1`` is for signals; all else is as for images. Two signals are sampled of each. The
# Gaussian model has the variances at each scale; scattering covariances have the moduli of
# wavelet coefficients, and how these vary; phase harmonics have covariances of moduli and waves,
# and fourth moments.

names = {
    "Gaussian": "wavelet_covariance",
    "scattering covariance": "scattering_covariance",
    "phase harmonics": "phase_harmonic",
}
signals = {"walk": x}
print("moments                 number   steps    energy")
for name, moments in names.items():
    model = MaxEntTextureModel(
        J=8, ndim=1, moments=moments, max_iter=200, tol=2e-4, dtype="float32", random_state=0
    )
    signals[name] = model.fit(x).sample(2)
    steps, energy = len(model.loss_curve_) - 1, np.nanmin(model.loss_curve_, axis=0).max()
    print(f"{name:22}  {model.n_moments_:6d}   {steps:5d}   {energy:.1e}")

fig, axes = plt.subplots(4, 1, figsize=(8, 5.6), sharex=True, sharey=True, layout="constrained")
for ax, (name, signal) in zip(axes, signals.items(), strict=True):
    ax.plot(signal[0], lw=0.4, color="k" if name == "walk" else "C0")
    ax.set_title("increments of the walk" if name == "walk" else name, fontsize=10)
    ax.margins(x=0)
axes[-1].set_xlabel("time (samples)")

# %%
# Tails, and memory
# -----------------
# Sums over :math:`d` samples are increments of the walk over this lag. Their kurtosis falls
# slowly to 3, that of a Gaussian variable. The sizes :math:`|x|` correlate over hundreds of
# samples.

lags = 2 ** np.arange(9)


def kurtosis(x, d):
    """Kurtosis of increments over a lag."""
    sums = sum(np.roll(x, i, axis=1) for i in range(d))
    return np.mean(sums**4) / np.mean(sums**2) ** 2


def correlation_of_sizes(x):
    """Correlation of absolute values over the lags."""
    size = np.abs(x) - np.abs(x).mean()
    return np.array([np.mean(size * np.roll(size, d, axis=1)) for d in lags]) / size.var()


fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
print("kurtosis at lag        " + "".join(f"{d:7d}" for d in lags[::2]))
for (name, signal), color in zip(signals.items(), ("k", "C1", "C2", "C0"), strict=True):
    of = [kurtosis(signal, d) for d in lags]
    left.plot(lags, of, color=color, label=name)
    right.plot(lags, correlation_of_sizes(signal), color=color)
    print(f"{name:23}" + "".join(f"{k:7.2f}" for k in of[::2]))
left.set(title="kurtosis of increments", xlabel="lag (samples)", yscale="log")
left.set_yticks([3, 5, 10, 20], [3, 5, 10, 20])
left.minorticks_off()
right.set(title="correlation of sizes", xlabel="lag (samples)")
for ax in (left, right):
    ax.set_xscale("log", base=2)
left.legend(frameon=False)
plt.show()

# %%
# To the Gaussian model the walk is Brownian: the kurtosis is 3 at all lags, and sizes do not
# correlate. Both other models have the bursts. Phase harmonics have fourth moments, and come nearer
# to the kurtosis at short lags.
