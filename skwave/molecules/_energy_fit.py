"""Regression of energies and forces on features of molecules: dual or primal, one result."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from skwave.functional._molecules.energy_solvers import (
    cholesky_in_place,
    choose_weights,
    divide_by_free,
    solve,
    solve_lower,
)

_CHOICE = 1000  # molecules by which the weights of the groups are chosen
_LEFT_OUT = 1000  # molecules whose errors left out choose the regulariser
_PART = 6000  # molecules by which the regulariser of twice as many, or more, is chosen
_FRAMES = 50  # the same, of molecules with forces
_SAMPLES = 64  # draws of the weights, by which errors are predicted
_ROWS = 1024  # of features at once
_BLOCK = 2048  # of a kernel at once
_EXACT = 1000  # molecules up to which all of a kernel is in double precision
_EMPTY = 1e-20  # mean square of the features of a group that says nothing
_STEP = math.log(4)  # of the regulariser
# logarithms of weights of groups whose kernels have the mean diagonal 1: where the search starts
_START = {"linear": 0.0, "element": -1.5, "quadratic": -7.0}
_NOISE = -10.5


@dataclass
class Attempt:
    """A regularised regression, and its errors on molecules that are left out."""

    noise: float
    """Regulariser."""
    unknowns: Tensor
    """Solution of the linear system; that for targets first, then those for draws."""
    errors: Tensor
    """Errors of some molecules that are left out, shape (m, t)."""
    spread: Tensor
    """Their predicted deviations but for a factor, shape (m,)."""
    force_errors: Tensor | None = None
    """Errors of the force components of molecules that are left out."""

    @property
    def criterion(self):  # numpydoc ignore=RT01
        """What the regulariser is chosen by."""
        error = float(self.errors.abs().mean())
        if self.force_errors is None:
            return error
        force_error = float(self.force_errors.abs().mean())
        return math.sqrt(error * force_error) if error > 0 else force_error


@dataclass
class Solution:
    """What a regression gives."""

    weights: Tensor
    """Weights of the features, shape (D, t)."""
    constant: Tensor
    """Energies of the elements, shape (E, t)."""
    draws: Tensor
    """Weights drawn from their distribution about the solution, shape (D, samples)."""
    constant_draws: Tensor
    """The same of the energies of the elements, shape (E, samples)."""


class ForceRows:
    """Force components of the training molecules, as rows beside those of energies.

    Parameters
    ----------
    molecules : Molecules
        Molecules.
    forces : list of ndarray, shape (n_atoms, 3)
        Forces on their atoms.
    scale : float
        Factor of the rows.
    """

    def __init__(self, molecules, forces, scale):
        self.molecules, self.forces, self.scale = molecules, forces, scale

    def __len__(self):
        return len(self.forces)

    def of(self, features, i):  # numpydoc ignore=PR01,RT01
        """Features and targets of the components of one molecule."""
        slopes = features.slopes(self.molecules[i : i + 1])
        target = torch.tensor(self.forces[i], dtype=torch.float64).reshape(-1, 1)
        return slopes * -self.scale, target * self.scale


class Problem:
    """Features and targets of a training set, rows scaled by their weights.

    Parameters
    ----------
    features : Features
        Features, groups not scaled.
    encoded : Encoded
        Training molecules.
    y : Tensor, shape (n, t)
        Energies.
    scale : Tensor, shape (n,)
        Factor of each row: the root of its weight, over the number of atoms for means.
    generator : torch.Generator
        Source of draws.
    forces : ForceRows or None, default=None
        Force components, as further rows.
    """

    def __init__(self, features, encoded, y, scale, generator, forces=None):
        self.features, self.encoded, self.scale = features, encoded, scale[:, None]
        self.generator, self.forces = generator, forces
        self.y = y * self.scale
        left, sizes, right = torch.linalg.svd(encoded.counts * self.scale, full_matrices=False)
        known = sizes > 1e-9 * sizes.max().clamp_min(1e-300)
        self.basis, self._inverse = left[:, known], right[known].T / sizes[known]
        n = len(encoded)
        order = torch.randperm(n, generator=generator)
        self.left_out = order[: _FRAMES if forces else _LEFT_OUT].sort().values

    def project(self, y):  # numpydoc ignore=PR01,RT01
        """Targets without the part of the composition."""
        return y - self.basis @ (self.basis.T @ y)

    def part(self, rows):  # numpydoc ignore=PR01,RT01
        """Same for some of the molecules, increasing indices, without forces."""
        scale = self.scale[rows]
        y = self.y[rows] / torch.where(scale > 0, scale, 1.0)
        return Problem(self.features, self.encoded.select(rows), y, scale[:, 0], self.generator)

    def group(self, encoded, g, scale):  # numpydoc ignore=PR01,RT01
        """Rows of one group, times their factors."""
        return self.features.group(encoded, g) * scale

    def solution(self, weights, draws, sums, noise, epsilon):  # numpydoc ignore=PR01,RT01
        """Solution from weights of features: the energies of elements that fit best beside."""

        def constant(y, w):  # numpydoc ignore=GL08
            return self._inverse @ (self.basis.T @ y - sums @ w)

        shifts = constant(math.sqrt(noise) * epsilon, draws)
        return Solution(weights, constant(self.y, weights), draws, shifts)


def choose_scales(problem, search=True, report=None):
    """Factors of the groups, by errors left out of some molecules.

    Parameters
    ----------
    problem : Problem
        Features without scales.
    search : bool, default=True
        Whether to search; else the weights are those from which a search starts.
    report : callable or None, default=None
        Called with a line about the progress.

    Returns
    -------
    scales : Tensor, shape (n_groups,)
        Factors.
    chosen : dict
        Logarithms of the weights of the groups, and of the regulariser as ``"noise"``.
    """
    names = problem.features.names
    rows = torch.randperm(len(problem.encoded), generator=problem.generator)[:_CHOICE]
    rows = rows.sort().values  # molecules of a file may be sorted
    n, some, scale = len(rows), problem.encoded.select(rows), problem.scale[rows]
    if not problem.scale.any():  # forces alone
        scale = torch.ones_like(scale)
    left, sizes, _ = torch.linalg.svd(some.counts * scale, full_matrices=False)
    basis = left[:, sizes > 1e-9 * sizes.max()]
    kernels, sizes = [], []
    for g in range(len(names)):
        phi = problem.group(some, g, scale)
        phi = phi - basis @ (basis.T @ phi)
        kernel = phi @ phi.T
        sizes.append(kernel.diagonal().mean())
        kernels.append(kernel)
    sizes = torch.stack(sizes)
    used = sizes > _EMPTY
    factors = torch.where(used, 1 / torch.where(used, sizes, 1.0), 0.0)
    start = [_START[name.rstrip("0123456789")] for name in names]
    start = torch.tensor([*start, _NOISE], dtype=torch.float64)
    if search and n > 2 * basis.shape[1] + 10:
        start, error = choose_weights(
            torch.stack(kernels) * factors[:, None, None], problem.y[rows], basis, start
        )
        if report is not None:
            report(f"weights chosen by {n} molecules, relative error left out {error:.2e}")
    scales = (start[:-1].exp() * factors).sqrt()
    return scales, dict(zip([*names, "noise"], start.tolist(), strict=True))


def solve_problem(problem, noise, solver, search=True, report=None):
    """Solve a regression, the regulariser by errors left out.

    Parameters
    ----------
    problem : Problem
        Features with their scales.
    noise : float
        Logarithm of the regulariser to start from.
    solver : {"dual", "primal"}
        Whether to solve for a weight of each molecule, by a kernel, or of each feature.
    search : bool, default=True
        Whether to look for a better regulariser; among many molecules by a part of them, as it
        hardly depends on their number.
    report : callable or None, default=None
        Called with a line about the progress.

    Returns
    -------
    attempt : Attempt
        The best.
    solution : Solution
        Its weights.
    """
    if search and not problem.forces and len(problem.encoded) > 2 * _PART:
        rows = torch.randperm(len(problem.encoded), generator=problem.generator)[:_PART]
        found = _search(_Dual(problem.part(rows.sort().values), report), noise, True, report)
        noise, search = math.log(found.noise), False
    system = (_Dual if solver == "dual" else _Primal)(problem, report)
    best = _search(system, noise, search, report)
    return best, system.solution(best)


def _search(system, noise, search, report):
    best, at, direction = None, noise, -_STEP
    while True:
        found = _attempt(system, at, report)
        if found is not None and (best is None or found.criterion < best.criterion):
            best = found
            if not search:
                break
        elif direction < 0 and abs(math.log(best.noise) - noise) < 0.1 if best else search:
            at, direction = noise, _STEP  # the first step was the wrong way
        else:
            break
        at += direction
    if best is None:
        raise ValueError(
            f"alpha={math.exp(noise):.1e} is so small that the regression cannot be solved in "
            "double precision: increase it, or leave alpha=None."
        )
    return best


def _attempt(system, at, report):
    # None if the matrix is not positive by rounding, or there is nothing left to regularise
    if not -40 < at < 10:
        return None
    try:
        found = system.attempt(math.exp(at))
    except torch.linalg.LinAlgError:
        return None
    if report is not None:
        report(f"regulariser {math.exp(at):.1e}: error left out {found.criterion:.4g}")
    return found


class _Dual:
    # (K + noise) alpha = y, K in the upper blocks and its factor in the lower ones

    def __init__(self, problem, report):
        self._problem = problem
        features, encoded = problem.features, problem.encoded
        n = len(encoded)
        self._kernel = torch.zeros(n, n, dtype=torch.float64)
        self._theta = torch.randn(
            sum(features.widths), _SAMPLES, generator=problem.generator, dtype=torch.float64
        )
        self._epsilon = torch.randn(n, _SAMPLES, generator=problem.generator, dtype=torch.float64)
        self._prior = torch.zeros(n, _SAMPLES, dtype=torch.float64)
        sums = []
        thetas = self._theta.split(features.widths)
        for g, theta in enumerate(thetas):
            phi = problem.group(encoded, g, problem.scale)
            sums.append(problem.basis.T @ phi)
            phi -= problem.basis @ sums[-1]
            self._prior += phi @ theta
            # the rounding of centred quadratic features is far below the regulariser
            phi = phi.float() if g > 1 and n > _EXACT else phi
            for i in range(0, n, _BLOCK):
                j = min(i + _BLOCK, n)
                self._kernel[i:j, i:] += phi[i:j] @ phi[i:].T
            if report is not None:
                report(f"kernel: group {g + 1} of {len(thetas)}")
        self._sums = torch.cat(sums, 1)
        self._corners = [
            self._kernel[i : i + _BLOCK, i : i + _BLOCK].clone() for i in range(0, n, _BLOCK)
        ]

    def _factor(self, noise):
        kernel, n = self._kernel, len(self._kernel)
        for i, corner in zip(range(0, n, _BLOCK), self._corners, strict=True):
            j = min(i + _BLOCK, n)
            kernel[i:j, i:j] = corner
            kernel[j:, i:j] = kernel[i:j, j:].T
        kernel.diagonal().add_(noise)
        return cholesky_in_place(kernel)

    def attempt(self, noise):
        """Solve for one regulariser."""
        problem = self._problem
        factor = self._factor(noise)
        y = problem.project(problem.y)
        drawn = self._prior + math.sqrt(noise) * problem.project(self._epsilon)
        alpha = solve(factor, torch.cat([y, drawn], 1))
        t, rows = y.shape[1], problem.left_out
        unit = torch.zeros(len(factor), len(rows), dtype=torch.float64)
        unit[rows, torch.arange(len(rows))] = 1
        diagonal = solve_lower(factor, unit).square().sum(0)
        diagonal -= problem.basis[rows].square().sum(1) / noise
        free = (noise * diagonal).clamp(1e-12, 1)
        errors = divide_by_free(alpha[rows, :t], free, noise)
        return Attempt(noise, alpha, errors, (noise / free).sqrt())

    def solution(self, attempt):
        """Weights of the features."""
        problem, alpha, t = self._problem, attempt.unknowns, self._problem.y.shape[1]
        found = []
        for g in range(len(problem.features.widths)):
            phi = problem.group(problem.encoded, g, problem.scale)
            found.append(phi.T @ alpha)
        found = torch.cat(found) - self._sums.T @ (problem.basis.T @ alpha)
        weights, draws = found[:, :t], self._theta - found[:, t:]
        return problem.solution(weights, draws, self._sums, attempt.noise, self._epsilon)


class _Primal:
    # (Phi' Phi + noise) w = Phi' y, the matrix in the upper blocks and its factor in the lower

    def __init__(self, problem, report):
        self._problem = problem
        encoded, width = problem.encoded, sum(problem.features.widths)
        n, generator = len(encoded), problem.generator
        self._epsilon = torch.randn(n, _SAMPLES, generator=generator, dtype=torch.float64)
        self._eta = torch.randn(width, _SAMPLES, generator=generator, dtype=torch.float64)
        y = problem.project(problem.y)
        self._sums = torch.zeros(problem.basis.shape[1], width, dtype=torch.float64)
        for rows, phi in self._blocks():
            self._sums += problem.basis[rows].T @ phi
        self._gram = torch.zeros(width, width, dtype=torch.float64)
        self._right = torch.zeros(width, y.shape[1] + _SAMPLES, dtype=torch.float64)
        for rows, phi in self._blocks():
            phi -= problem.basis[rows] @ self._sums
            self._add(phi, torch.cat([y[rows], self._epsilon[rows]], 1))
            if report is not None:
                report(f"features of {rows.stop}/{n} molecules")
        for i in range(len(problem.forces or ())):
            slopes, forces = problem.forces.of(problem.features, i)
            epsilon = torch.randn(len(slopes), _SAMPLES, generator=generator, dtype=torch.float64)
            self._add(slopes, torch.cat([forces, epsilon], 1))
            if report is not None and (i + 1) % 100 == 0:
                report(f"derivatives of {i + 1}/{n} molecules")
        self._corners = [
            self._gram[i : i + _BLOCK, i : i + _BLOCK].clone() for i in range(0, width, _BLOCK)
        ]

    def _blocks(self):
        problem, n = self._problem, len(self._problem.encoded)
        for i in range(0, n, _ROWS):
            rows = slice(i, min(i + _ROWS, n))
            phi = problem.features.rows(problem.encoded.take(rows.start, rows.stop))
            yield rows, phi * problem.scale[rows]

    def _add(self, phi, right):
        for i in range(0, phi.shape[1], _BLOCK):
            self._gram[i : i + _BLOCK, i:].addmm_(phi[:, i : i + _BLOCK].T, phi[:, i:])
        self._right.addmm_(phi.T, right)

    def _factor(self, noise):
        gram, width = self._gram, len(self._gram)
        for i, corner in zip(range(0, width, _BLOCK), self._corners, strict=True):
            j = min(i + _BLOCK, width)
            gram[i:j, i:j] = corner
            gram[j:, i:j] = gram[i:j, j:].T
        gram.diagonal().add_(noise)
        return cholesky_in_place(gram)

    def attempt(self, noise):
        """Solve for one regulariser."""
        t = self._problem.y.shape[1]
        factor = self._factor(noise)
        drawn = math.sqrt(noise) * self._right[:, t:] + noise * self._eta
        found = solve(factor, torch.cat([self._right[:, :t], drawn], 1))
        errors, free, force_errors = self._errors(factor, found[:, :t])
        return Attempt(noise, found, errors, (noise / free).sqrt(), force_errors)

    def solution(self, attempt):
        """Weights of the features."""
        t = self._problem.y.shape[1]
        weights, draws = attempt.unknowns[:, :t], attempt.unknowns[:, t:]
        return self._problem.solution(weights, draws, self._sums, attempt.noise, self._epsilon)

    def _errors(self, factor, weights):
        # each molecule is left out with its forces
        problem, parts, targets = self._problem, [], []
        y = problem.project(problem.y)
        for i in problem.left_out.tolist():
            phi = problem.features.rows(problem.encoded.take(i, i + 1)) * problem.scale[i]
            phi = phi - problem.basis[i : i + 1] @ self._sums
            target = y[i : i + 1]
            if problem.forces:
                slopes, forces = problem.forces.of(problem.features, i)
                phi, target = torch.cat([phi, slopes]), torch.cat([target, forces])
            parts.append(phi)
            targets.append(target)
        phi, sizes = torch.cat(parts), [len(part) for part in parts]
        residuals = (torch.cat(targets) - phi @ weights).split(sizes)
        halves = solve_lower(factor, phi.T).split(sizes, dim=1)
        errors, free, force_errors = [], [], []
        for i, half, residual in zip(problem.left_out, halves, residuals, strict=True):
            kept = torch.eye(half.shape[1], dtype=half.dtype) - half.T @ half
            kept[0, 0] -= problem.basis[i].square().sum()
            inverse = torch.linalg.pinv(kept, rtol=1e-8, hermitian=True)
            left_out = inverse @ residual
            errors.append(left_out[:1])
            free.append(1 / inverse[0, 0].clamp(1, 1e12))
            force_errors.append(left_out[1:])
        forces = torch.cat(force_errors) / problem.forces.scale if problem.forces else None
        return torch.cat(errors), torch.stack(free), forces
