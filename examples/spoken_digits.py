"""
Spoken digits from recordings of any length
===========================================

A list of recordings needs no padding: each is scattered at its own length, and statistics over time
give all of them as many features. This script is not run with the documentation:
``python examples/spoken_digits.py``, with the Free Spoken Digit Dataset (3000 recordings of six
speakers, 8 kHz) as ``images/spoken_digits.npz`` in the folder that SKWAVE_DATA names. The split is
the official one: the first five recordings of each digit and speaker are the test.
"""

import os
from pathlib import Path

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skwave import ScatteringTransformer

data = np.load(Path(os.environ["SKWAVE_DATA"]) / "images" / "spoken_digits.npz")
recordings = np.split(data["audio"].astype(np.float32), data["off"][1:-1])
X = [x / np.abs(x).max() for x in recordings]
y, test = data["y"], data["index"] < 5

scattering = ScatteringTransformer(J=8, Q=8, T=512, averaging="stats", log=1e-3)
model = make_pipeline(scattering, StandardScaler(), SVC(C=10))
model.fit([x for x, t in zip(X, test, strict=True) if not t], y[~test])
accuracy = model.score([x for x, t in zip(X, test, strict=True) if t], y[test])
print(f"{len(X)} recordings of {min(map(len, X))} to {max(map(len, X))} samples: {accuracy:.4f}")
