r"""
Classify sounds: log-scattering and logistic regression
========================================================

Words are told apart by how the resonances of the mouth move, not by the pitch of the voice, nor by
the moment at which they begin. Scattering coefficients keep the first and, by their average
over time, most of the second is gone. Here ten synthetic words are recognised in noise. A real
data set of spoken digits takes the same lines; see the end.
"""

# %%
# Ten words
# ---------
# A voice is a periodic train of pulses. The mouth amplifies its harmonics near two frequencies,
# the formants, and a vowel is told by them. A word is a path from one vowel to another; ten
# ordered pairs of vowels make ten words. Five of them are the others backwards, so that a spectrum
# of the whole word cannot separate them.
#
# Each recording has its own pitch, speed, start, size of the mouth, and loudness, and white noise.

import matplotlib.pyplot as plt
import numpy as np
from scipy.signal import stft
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skwave import ScatteringTransformer

rate, n_samples = 8000, 2**12
rng = np.random.default_rng(0)

# first and second formant, in Hz
vowels = {"i": (280, 2250), "e": (400, 1900), "a": (750, 1250), "o": (450, 900), "u": (310, 700)}
words = ["ia", "ai", "ou", "uo", "ea", "ae", "iu", "ui", "eo", "oe"]


def say(word):
    """One recording of a word, by a voice and a speed of its own."""
    length = rng.integers(2000, 3600)
    start = rng.integers(0, n_samples - length)
    t = np.arange(length) / length
    pitch = rng.uniform(90, 240) * (1 + rng.uniform(-0.2, 0.2) * t)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    bend = 1 / (1 + np.exp(-12 * (t - rng.uniform(0.4, 0.6))))
    mouth = rng.uniform(0.9, 1.1)
    sound = np.zeros(length)
    formants = zip(vowels[word[0]], vowels[word[1]], strict=True)
    paths = [mouth * (first + (last - first) * bend) for first, last in formants]
    for k in range(1, int(rate / 2 / pitch.max())):
        gain = sum(
            a / (1 + ((k * pitch - f) / 80) ** 2) for a, f in zip((1, 0.6), paths, strict=True)
        )
        sound += gain * np.sin(k * phase + rng.uniform(0, 2 * np.pi))
    sound *= np.sin(np.pi * t) ** 0.5
    recording = np.zeros(n_samples)
    recording[start : start + length] = sound / np.abs(sound).max()
    return rng.uniform(0.2, 1) * (recording + 0.03 * rng.standard_normal(n_samples))


y = np.repeat(np.arange(len(words)), 60)
X = np.array([say(words[label]) for label in y], dtype=np.float32)
X /= np.abs(X).max(1, keepdims=True)
print(f"{len(X)} recordings of {n_samples / rate:.2f} s")

# %%
# A scalogram
# -----------
# With ``J=6`` the coefficients are averaged over :math:`2^6` samples, 8 ms. ``Q=8`` wavelets per
# octave resolve single harmonics at low frequencies and formants at high ones. Their map against
# time is a scalogram; its axis of frequencies is ``paths_["xi"]``, in cycles per sample.

fine = ScatteringTransformer(J=6, Q=8, max_order=1, log=1e-3).fit(X)
first = fine.paths_["order"] == 1
frequency = rate * fine.paths_["xi"][first, 0]

fig, axes = plt.subplots(2, 4, figsize=(9, 4), sharex=True, sharey=True, layout="constrained")
for ax, i in zip(axes.T.flat, [0, 1, 60, 61, 120, 121, 180, 181], strict=True):
    scalogram = fine.transform(X[i : i + 1]).reshape(fine.output_shape_)[0, first]
    time = np.arange(scalogram.shape[1]) * 2**6 / rate
    ax.pcolormesh(time, frequency, scalogram, vmin=-7, vmax=-2, shading="nearest")
    ax.set_title(f"“{words[y[i]]}”", fontsize=10)
    ax.set_yscale("log")
    ax.set_ylim(200, 3500)
    ax.set_yticks([250, 500, 1000, 2000], [250, 500, 1000, 2000])
    ax.minorticks_off()
for ax in axes[-1]:
    ax.set_xlabel("time (s)")
for ax in axes[:, 0]:
    ax.set_ylabel("frequency (Hz)")

# %%
# The classifier
# --------------
# For the classification ``T=1024`` averages over an eighth of a second: four coefficients of each
# path, which tell the beginning of a word from its end. The logarithm, taken after the average,
# turns gains into additive constants and evens out loud and faint frequencies. Its
# ``log=1e-3`` is about the level of the noise. A sound that is shifted by a few milliseconds
# hardly changes these numbers.
#
# Order 2 describes how the envelopes vary, such as the beats of neighbouring harmonics.

# For comparison, the logarithms of short-time power spectra, averaged over four parts of the
# recording.

X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)


def log_spectra(X):
    """Logarithms of short-time power spectra, averaged over four parts of the recording."""
    _, _, z = stft(X, nperseg=256, boundary=None, padded=False)
    parts = np.array_split(np.abs(z) ** 2, 4, axis=-1)
    return np.log(np.concatenate([part.mean(-1) for part in parts], axis=1) + 1e-8)


features = {
    "log-spectra": FunctionTransformer(log_spectra),
    "scattering, order 1": ScatteringTransformer(J=8, Q=8, T=1024, max_order=1, log=1e-3),
    "scattering, order 2": ScatteringTransformer(J=8, Q=8, T=1024, log=1e-3),
}
for name, transformer in features.items():
    model = make_pipeline(transformer, StandardScaler(), LogisticRegression(C=0.03, max_iter=1000))
    print(f"{name:20s} {model.fit(X_train, y_train).score(X_test, y_test):.3f}")

fig, ax = plt.subplots(figsize=(5.2, 4.6), layout="constrained")
ConfusionMatrixDisplay.from_predictions(
    y_test, model.predict(X_test), display_labels=words, ax=ax, cmap="Blues", colorbar=False
)
ax.set_title("Scattering of order 2, 30 test recordings of each word", fontsize=10)
plt.show()

# %%
# All errors but one are between “ou” and “uo”, two vowels whose formants are near each other.
#
# Real recordings
# ---------------
# Recordings have different lengths. A list of arrays is transformed at their own lengths, and
# ``averaging="stats"`` gives mean, deviation and quantiles over time::
#
#     X = [x / abs(x).max() for x in recordings]
#     scattering = ScatteringTransformer(J=8, Q=8, T=512, averaging="stats", log=1e-3)
#     model = make_pipeline(scattering, StandardScaler(), SVC(C=10)).fit(X, y)
#
# With the Free Spoken Digit Dataset, 3000 recordings of the digits 0 to 9, this is
# ``examples/spoken_digits.py``, which recognises 99.0 % of the test recordings.
#
# Search ``J``, ``Q``, ``T``, the value of ``log`` and ``C`` on the training recordings. Split by
# speaker, with ``GroupKFold``, if the speakers to come are others than those of the training.
# ``make bench NAME=scattering_accuracy`` does this with the same data.
