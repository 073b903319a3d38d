"""
Energies with predicted errors
==============================

:class:`skwave.EnergyRegressor` says how far its energies may be off. Here it learns some molecules
of QM7; the others show whether what it says is true.
"""

import matplotlib.pyplot as plt
import numpy as np

from skwave import EnergyRegressor
from skwave.datasets import load_qm7_sample

qm7 = load_qm7_sample()
X, y, test = qm7.data, qm7.target, qm7.fold == 0
model = EnergyRegressor(n_components=32).fit(X[~test], y[~test])
predicted, std = model.predict(X[test], return_std=True)
error = np.abs(predicted - y[test])
print(
    f"mean absolute error {error.mean():.2f} kcal/mol; left out in training {model.loo_error_:.2f}"
)
for k, expected in ((1, 68), (2, 95)):
    print(f"within {k} predicted deviations: {100 * (error < k * std).mean():.0f} % ({expected} %)")

# %%
# Molecules that are unlike those of the training have larger predicted errors. To leave out the
# least certain ones lowers the mean error of the others.

order = np.argsort(std)
kept = np.arange(10, len(order) + 1)
mean_error = np.cumsum(error[order]) / np.arange(1, len(order) + 1)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8))
left.loglog(std, error, "o", ms=4)
limits = np.array([std.min(), std.max()])
left.loglog(limits, limits, "k-", lw=1, label="one deviation")
left.loglog(limits, 2 * limits, "k--", lw=1, label="two")
left.set(xlabel="predicted deviation (kcal/mol)", ylabel="error (kcal/mol)")
left.legend()
right.plot(100 * kept / len(order), mean_error[kept - 1])
right.set(xlabel="molecules kept, the most certain first (%)", ylabel="mean error (kcal/mol)")
right.set_ylim(0, None)
figure.tight_layout()
plt.show()
