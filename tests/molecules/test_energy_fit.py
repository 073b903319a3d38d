"""Dual and primal regressions give one solution, its errors and its draws."""

import math

import numpy as np
import pytest
import torch

from skwave.datasets import load_qm7_sample
from skwave.molecules import _energy_fit
from skwave.molecules._energy_features import Features
from skwave.molecules._energy_fit import Problem, choose_scales, solve_problem
from skwave.molecules._energy_sources import LocalSource

SETTINGS = {"n_components": 6, "n_quadratic": 3, "n_products": 6, "power": 0.5, "per_component": 1}


@pytest.fixture(scope="module")
def problem():
    X, y = load_qm7_sample(return_X_y=True)
    X, y = X[::10], y[::10]
    source = LocalSource(np.unique(X.numbers), (0.3, 0.6), 2, cutoff=5.0, decay_radius=2.0)
    features = Features.learn(source, X, SETTINGS, np.random.RandomState(0))
    generator = torch.Generator().manual_seed(0)
    scale = torch.ones(len(y), dtype=torch.float64)
    found = Problem(features, features.encode(X), torch.tensor(y)[:, None], scale, generator)
    scales, _ = choose_scales(found, search=False)
    found.features = features.scaled(scales)
    return found


def brute_force(problem, noise):
    phi = problem.features.rows(problem.encoded)
    x = torch.cat([problem.encoded.counts, phi], 1)
    n = problem.encoded.counts.shape[1]
    penalty = torch.full((x.shape[1],), noise, dtype=torch.float64)
    penalty[:n] = 0
    return x, n, x.T @ x + torch.diag(penalty)


@pytest.mark.parametrize("solver", ["dual", "primal"])
@pytest.mark.parametrize("block", [16, 2048])
def test_solutions_are_those_of_the_normal_equations(problem, solver, block, monkeypatch):
    monkeypatch.setattr(_energy_fit, "_BLOCK", block)
    noise = 1e-3
    attempt, solution = solve_problem(problem, math.log(noise), solver, search=False)
    x, n, matrix = brute_force(problem, noise)
    expected = torch.linalg.lstsq(matrix, x.T @ problem.y).solution
    fitted = x[:, :n] @ solution.constant + x[:, n:] @ solution.weights
    torch.testing.assert_close(fitted, x @ expected, rtol=1e-6, atol=1e-4)
    # errors left out, in closed form from the hat matrix
    hat = x @ torch.linalg.lstsq(matrix, x.T).solution
    rows = problem.left_out
    left_out = ((problem.y - x @ expected)[:, 0] / (1 - hat.diagonal()))[rows]
    torch.testing.assert_close(attempt.errors[:, 0], left_out, rtol=1e-3, atol=1e-3)
    spread = (noise / (1 - hat.diagonal()))[rows].sqrt()
    torch.testing.assert_close(attempt.spread, spread, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("solver", ["dual", "primal"])
def test_draws_have_the_variance_of_predictions(problem, solver, monkeypatch):
    monkeypatch.setattr(_energy_fit, "_SAMPLES", 4000)
    noise = 1e-2
    _, solution = solve_problem(problem, math.log(noise), solver, search=False)
    x, n, matrix = brute_force(problem, noise)
    expected = noise * (x * torch.linalg.lstsq(matrix, x.T).solution.T).sum(1)
    drawn = x[:, :n] @ solution.constant_draws + x[:, n:] @ solution.draws
    torch.testing.assert_close(drawn.square().mean(1), expected, rtol=0.15, atol=0.0)


def test_the_regulariser_is_where_errors_left_out_are_smallest(problem):
    attempt, _ = solve_problem(problem, math.log(1e-4), "dual")
    for factor in (4, 1 / 4):
        other, _ = solve_problem(problem, math.log(attempt.noise * factor), "dual", search=False)
        assert other.criterion >= attempt.criterion


def test_scales_are_chosen_by_errors_left_out(problem):
    lines = []
    scales, chosen = choose_scales(problem, report=lines.append)
    assert len(lines) == 1
    assert set(chosen) == {*problem.features.names, "noise"}
    assert torch.isfinite(scales).all()


def test_among_many_molecules_a_part_chooses_the_regulariser(problem, monkeypatch):
    monkeypatch.setattr(_energy_fit, "_PART", 30)
    attempt, solution = solve_problem(problem, math.log(1e-4), "dual")
    same, expected = solve_problem(problem, math.log(attempt.noise), "dual", search=False)
    steps = math.log(attempt.noise / 1e-4) / math.log(4)
    assert abs(steps - round(steps)) < 1e-6
    torch.testing.assert_close(attempt.errors, same.errors)
    torch.testing.assert_close(solution.weights, expected.weights)


def test_parts_are_problems_of_their_own(problem):
    rows = torch.tensor([1, 4, 5, 30])
    part = problem.part(rows)
    torch.testing.assert_close(part.y, problem.y[rows])
    expected = problem.features.rows(problem.encoded)[rows]
    torch.testing.assert_close(part.features.rows(part.encoded), expected)
