r"""
Twelve steps of sparse coding
=============================

A network that computes sparse codes has a fixed number of layers, each of them one step of an
iteration towards

.. math:: \min_z \tfrac12\|x - zD\|^2 + \alpha\|z\|_1

Which iteration makes most of few steps? This example compares ISTA, FISTA and the homotopy ISTC of
Zarka, Thiry, Angles and Mallat (2020), first where their theorem holds, then on a dictionary that
was learnt from patches of textures, where it does not.
"""

# %%
# Where the theorem holds
# -----------------------
# Spikes and cosines make a dictionary of 512 atoms in 256 dimensions whose largest product, the
# coherence, is :math:`\mu = \sqrt{2/256}`. Codes of :math:`s = 2` atoms then have
# :math:`\mu s < 1/2`, and the homotopy is sure to find them: its thresholds
# :math:`\alpha_n = \alpha_{\max}\gamma^{-n}` fall, the error with them, and no wrong atom is chosen
# on the way.

import matplotlib.pyplot as plt
import numpy as np
import torch

from skwave import SparseCoder
from skwave.datasets import load_textures
from skwave.functional import (
    coherence,
    fista,
    ista,
    istc,
    istc_step,
    lasso,
    lasso_objective,
    lipschitz,
    mu_s,
)

torch.manual_seed(0)
n = torch.arange(256, dtype=torch.float64)
cosines = torch.cos(torch.pi / 256 * (n + 0.5) * n[:, None])
D = torch.cat([torch.eye(256, dtype=torch.float64), cosines / cosines.norm(dim=1, keepdim=True)])
z = torch.zeros(100, 512, dtype=torch.float64)
z.scatter_(1, torch.rand(100, 512).topk(2).indices, torch.randn(100, 2, dtype=torch.float64).sign())
x = z @ D
product = float(mu_s(z, D).max())
print(f"coherence {float(coherence(D)):.3f}, mu s = {product:.2f}")

first, gamma, steps = 2.0, 2.0, range(1, 21)
errors, wrong = [], 0
for k in steps:
    found = istc(x, D, first * gamma**-k, k, alpha_max=first)
    errors.append(float((found - z).abs().max()))
    wrong += int((found[z == 0] != 0).sum())
print(f"gamma = {gamma} < 1/(2 mu s) = {1 / (2 * product):.2f}; wrong atoms in all steps: {wrong}")

fig, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
ax.semilogy(steps, errors, "o-", ms=4, label="largest error of a coefficient")
ax.semilogy(
    steps, [2 * first * gamma**-k for k in steps], "k:", label=r"$2\alpha_{\max}\gamma^{-n}$"
)
ax.set(xlabel="steps n", xticks=range(0, 21, 4), title="Incoherent dictionary: the theorem")
ax.legend(frameon=False)

# %%
# A dictionary that was learnt
# ----------------------------
# 128 atoms are learnt from patches of 8×8 pixels of textures, without their mean and of norm 1.
# They resemble each other far more: the theorem is void.

rng = np.random.default_rng(0)
images = load_textures().images
patches = np.stack(
    [
        images[i, r : r + 8, c : c + 8].ravel()
        for i, r, c in zip(
            rng.integers(len(images), size=6000),
            rng.integers(images.shape[1] - 8, size=6000),
            rng.integers(images.shape[2] - 8, size=6000),
            strict=True,
        )
    ]
).astype(float)
patches -= patches.mean(1, keepdims=True)
patches /= np.linalg.norm(patches, axis=1, keepdims=True) + 1e-9

alpha = 0.1
coder = SparseCoder(128, alpha=alpha, max_iter=3, random_state=0).fit(patches[:5000])
D, x = torch.from_numpy(coder.components_), torch.from_numpy(patches[5000:])
best = lasso(x, D, alpha)
least = lasso_objective(best.z, x, D, alpha).mean()
support = float((best.z != 0).sum(1).double().mean())
product = float(mu_s(best.z, D).mean())
print(f"coherence {coder.coherence_:.2f}, {support:.1f} atoms in a code, mu s = {product:.1f}")

# %%
# With the step 1 of the theorem the homotopy explodes. The safe step is :math:`1/\|D\|^2`, the
# inverse of the largest eigenvalue of :math:`D^\top D`; but codes are sparse, and few atoms at a
# time bear a larger one. :func:`~skwave.functional.istc_step` finds it on samples, and
# ``SparseCoder(algorithm="istc")`` does so in ``fit``.

safe, step = float(1 / lipschitz(D)), istc_step(x[:256], D, alpha)


def gap(z):
    """Mean objective over the least one, minus 1."""
    return float(lasso_objective(z, x, D, alpha).mean() / least - 1)


print(f"step 1: gap {gap(istc(x, D, alpha, 12)):.1e}")
print(f"step {safe:.3f} = 1/||D||²: gap {gap(istc(x, D, alpha, 12, step=safe)):.1e}")
print(f"step {step:.3f}: gap {gap(istc(x, D, alpha, 12, step=step)):.1e}")

steps = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64]
curves = {
    f"ISTC, step {step:.2f}": lambda k: istc(x, D, alpha, k, step=step),
    f"ISTC, step {safe:.3f}": lambda k: istc(x, D, alpha, k, step=safe),
    "FISTA": lambda k: fista(x, D, alpha, k),
    "ISTA": lambda k: ista(x, D, alpha, k),
}
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for name, solve in curves.items():
    codes = [solve(k) for k in steps]
    left.loglog(steps, [gap(z) for z in codes], ".-", label=name)
    right.semilogx(steps, [float((z != 0).sum(1).double().mean()) for z in codes], ".-")
    print(f"{name:16} 12 steps: gap {gap(codes[6]):.3f}; 64 steps: {gap(codes[-1]):.5f}")
right.axhline(support, color="0.5", ls=":")
for ax in (left, right):
    ax.set(xlabel="steps", xticks=[1, 4, 12, 32, 64], xticklabels=[1, 4, 12, 32, 64])
left.set(title="Objective over the least one", ylabel="relative gap")
right.set(title="Atoms of a code (dotted: the minimum)", ylim=(0, None))
left.legend(frameon=False)
plt.show()

# %%
# Few steps are where the homotopy is best: large thresholds at first keep the codes as sparse as
# they end, so that a large step does no harm. After some 24 steps FISTA overtakes it. Take ISTC for
# the layers of a network, and an exact algorithm for codes that are results:
# :func:`~skwave.functional.lasso` goes on until the duality gap of every sample is under 1e-6.
#
# .. rubric:: References
#
# Zarka, J., Thiry, L., Angles, T. and Mallat, S., Deep network classification by scattering and
# homotopy dictionary learning, ICLR 2020.
