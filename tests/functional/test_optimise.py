import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from skwave.functional import lbfgs
from skwave.functional.optimise import _line_search


def rosenbrock(x):
    return (100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2).sum(-1)


def increases(minimum):
    return float(minimum.history.diff(dim=0).max())


def test_quadratic(randn):
    # rows of condition 1e4; with memory for every direction the method ends as Newton's does
    target, weight = randn(4, 6), torch.logspace(-2, 2, 6, dtype=torch.float64)
    offset = torch.tensor([0.0, 1.0, 2.0, 0.5], dtype=torch.float64)
    minimum = lbfgs(lambda x: (weight * (x - target) ** 2).sum(-1) + offset, randn(4, 6))
    torch.testing.assert_close(minimum.x, target, rtol=0, atol=1e-6)
    torch.testing.assert_close(minimum.history[-1], offset, rtol=0, atol=1e-11)
    assert len(minimum.history) < 100 and not minimum.interrupted


def test_objective_of_many_axes(randn):
    target = randn(2, 3, 4, 5)
    minimum = lbfgs(lambda x: (x - target).square().flatten(1).sum(1), torch.zeros_like(target))
    assert minimum.x.shape == target.shape
    torch.testing.assert_close(minimum.x, target)


def test_rosenbrock():
    # the valley turns: there are steps that the line search has to shorten
    x = torch.tensor([[-1.2, 1.0], [0.0, 0.0], [2.0, -3.0], [1.0, 1.0]], dtype=torch.float64)
    minimum = lbfgs(rosenbrock, x)
    torch.testing.assert_close(minimum.x, torch.ones_like(x), rtol=0, atol=1e-8)
    assert len(minimum.history) < 120 and increases(minimum) <= 0


def test_history_and_points_agree(randn):
    points = []
    x = randn(3, 4)
    minimum = lbfgs(rosenbrock, x, max_iter=15, on_step=lambda n, x, f: points.append((n, x, f)))
    assert [n for n, _, _ in points] == list(range(1, 16))
    assert minimum.history.shape == (16, 3)
    torch.testing.assert_close(minimum.history[0], rosenbrock(x))
    for (_, x, f), row in zip(points, minimum.history[1:], strict=True):
        assert x.shape == (3, 4) and torch.equal(f, row)
        torch.testing.assert_close(rosenbrock(x), f)
    assert torch.equal(minimum.x, points[-1][1])
    assert increases(minimum) <= 0


@pytest.mark.parametrize("memory", [1, 3, 10])
def test_rows_are_independent(randn, memory):
    x = randn(4, 5)
    together = lbfgs(rosenbrock, x, max_iter=25, memory=memory)
    for i in range(len(x)):
        alone = lbfgs(rosenbrock, x[i : i + 1], max_iter=25, memory=memory)
        torch.testing.assert_close(together.x[i], alone.x[0], rtol=1e-6, atol=1e-9)
        n = len(alone.history)
        torch.testing.assert_close(
            together.history[:n, i], alone.history[:, 0], rtol=1e-6, atol=1e-12
        )
    # and steps differ from row to row: no common length would do
    assert float(together.history[-1].max()) > 2 * float(together.history[-1].min())


def test_memory_helps(randn):
    weight, x = torch.logspace(0, 4, 30, dtype=torch.float64), randn(1, 30)
    errors = [
        float(lbfgs(lambda x: (weight * x**2).sum(-1), x, max_iter=40, memory=m).history[-1])
        for m in (1, 5, 20)
    ]
    assert errors[2] < errors[1] / 2 < errors[0] / 2


def test_agreement_with_scipy(randn):
    # a robust regression, whose minimum is not zero
    A, b = randn(30, 6), randn(3, 30)

    def objective(x):
        return torch.log(torch.cosh(x @ A.T - b)).sum(-1)

    minimum = lbfgs(objective, torch.zeros(3, 6, dtype=torch.float64))
    for i in range(3):

        def f(x, i=i):
            x = torch.from_numpy(x)[None].requires_grad_()
            value = torch.log(torch.cosh(x @ A.T - b[i])).sum()
            (gradient,) = torch.autograd.grad(value, x)
            return float(value.detach()), gradient[0].numpy()

        expected = minimize(
            f, np.zeros(6), jac=True, method="L-BFGS-B", options={"gtol": 1e-10, "ftol": 1e-15}
        )
        assert float(minimum.history[-1, i]) == pytest.approx(expected.fun, rel=1e-12)
        np.testing.assert_allclose(minimum.x[i].numpy(), expected.x, atol=1e-6)


def test_kinks(randn):
    # the corner of a sum of absolute values, where no gradient is zero
    target, weight = randn(3, 4), torch.tensor([1.0, 2.0, 5.0, 10.0], dtype=torch.float64)
    minimum = lbfgs(lambda x: (weight * (x - target).abs()).sum(-1), randn(3, 4), max_iter=300)
    assert float(minimum.history[-1].max()) < 1e-5
    assert increases(minimum) <= 0


def test_tol_ends_each_row(randn):
    x = torch.cat([0.01 * randn(1, 6), randn(2, 6) + 3])
    seen = []
    weight = torch.logspace(0, 3, 6, dtype=torch.float64)
    objective = lambda x: (weight * x**2).sum(-1)  # noqa: E731
    minimum = lbfgs(objective, x, tol=1e-2, on_step=lambda n, x, f: seen.append(x[0].clone()))
    assert float(minimum.history[-1].max()) <= 1e-2 < float(minimum.history[-2].max())
    # the first row was done at once, and does not move while the others go on
    done = int((minimum.history[:, 0] <= 1e-2).nonzero()[0])
    assert done < len(seen) - 2
    assert all(torch.equal(seen[done], x) for x in seen[done:])
    # of a row that is done at the start nothing is asked at all
    still = lbfgs(objective, x[:1] / 100, tol=1e-2)
    assert torch.equal(still.x, x[:1] / 100) and len(still.history) == 1


def test_on_step_ends_it(randn):
    minimum = lbfgs(rosenbrock, randn(2, 4), on_step=lambda n, x, f: n == 5)
    assert len(minimum.history) == 6 and not minimum.interrupted


@pytest.mark.parametrize("calls", [0, 1, 7])
def test_interrupt_keeps_the_best(randn, calls):
    x, count = randn(2, 4), 0

    def objective(x):
        nonlocal count
        if count == calls:
            raise KeyboardInterrupt
        count += 1
        return rosenbrock(x)

    minimum = lbfgs(objective, x)
    assert minimum.interrupted
    if calls < 2:
        assert torch.equal(minimum.x, x)
    if calls:
        torch.testing.assert_close(rosenbrock(minimum.x), minimum.history[-1])
    else:
        assert minimum.history.shape == (1, 2) and minimum.history.isnan().all()
    if calls == 7:
        assert (minimum.history[-1] < minimum.history[0]).all()


def test_interrupt_of_on_step(randn):
    def on_step(n, x, f):
        if n == 3:
            raise KeyboardInterrupt

    minimum = lbfgs(rosenbrock, randn(2, 4), on_step=on_step)
    assert minimum.interrupted and len(minimum.history) == 4


def test_a_row_without_decrease_stalls_alone(randn):
    # in row 0 the gradient points the wrong way
    class Liar(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return torch.cat([-grad[:1], grad[1:]])

    def objective(x):
        return rosenbrock(Liar.apply(x))

    x = randn(3, 4)
    minimum = lbfgs(objective, x, max_iter=60)
    assert (
        torch.equal(minimum.x[0], x[0]) and (minimum.history[:, 0] == minimum.history[0, 0]).all()
    )
    expected = lbfgs(rosenbrock, x[1:], max_iter=60)
    torch.testing.assert_close(minimum.x[1:], expected.x, rtol=1e-5, atol=1e-7)
    # alone it gives up after the second attempt
    assert len(lbfgs(objective, x[:1], max_iter=60).history) == 3


def test_after_a_failure_the_gradient_alone_leads(randn):
    x, calls, seen, blocked = randn(1, 4), [], {}, False

    def objective(x):
        calls.append(x.detach().clone())
        return rosenbrock(x) * (math.nan if blocked else 1)

    def on_step(n, x, f):
        nonlocal blocked
        seen[n], blocked = (x.clone(), f.clone(), len(calls)), n == 5

    minimum = lbfgs(objective, x, max_iter=100, on_step=on_step)
    x, f, n_calls = seen[6]
    assert torch.equal(x, seen[5][0])
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(rosenbrock(x).sum(), x)
    torch.testing.assert_close(calls[n_calls], x.detach() - f / gradient.square().sum() * gradient)
    assert float(minimum.history[-1]) < 1e-12


def test_no_increase_is_accepted_along_a_direction_that_rises():
    # by less than the gradient says
    def evaluate(x):
        return 1 + 1e-6 * x, torch.ones_like(x)

    x = torch.zeros(1, 1, dtype=torch.float64)
    f, gradient = evaluate(x)
    found, f_found, _ = _line_search(evaluate, x, f, gradient, gradient)
    assert torch.equal(found, x) and torch.equal(f_found, f)


@pytest.mark.parametrize("wall", [math.nan, math.inf])
def test_steps_do_not_lead_where_nothing_is_defined(wall):
    # the first step of a steep slope lands beyond 1, where the objective is not a number
    def objective(x):
        return torch.where(x < 1, (x - 0.9) ** 2 + 0.05 * (x + 2), wall).sum(-1)

    x = torch.tensor([[-1.0], [0.5]], dtype=torch.float64)
    assert not objective(x + 2).isfinite().any()
    minimum = lbfgs(objective, x)
    torch.testing.assert_close(minimum.x, torch.full_like(x, 0.875), rtol=0, atol=1e-6)
    assert minimum.history.isfinite().all()


def test_steps_do_not_lead_where_there_is_no_gradient():
    # the square root has an infinite slope at 0, where the first step lands
    def objective(x):
        return x.clamp(min=0).sqrt().sum(-1) + (x - 1).square().sum(-1) * 0

    x = torch.tensor([[1.0]], dtype=torch.float64)
    minimum = lbfgs(objective, x, max_iter=5)
    assert minimum.x.isfinite().all() and minimum.history.isfinite().all()
    assert increases(minimum) <= 0


def test_an_exhausted_line_search_keeps_its_decrease():
    # a linear slope that ends at a cliff: no point fulfils both conditions
    def objective(x):
        return torch.where(x > 1.7, 100.0, 10 - x).sum(-1)

    minimum = lbfgs(objective, torch.zeros(1, 1, dtype=torch.float64), max_iter=1)
    assert float(minimum.x) == pytest.approx(1.7, abs=1e-3)


def test_float32_and_graphs(randn):
    x = randn(2, 4, dtype=torch.float32).requires_grad_()
    minimum = lbfgs(rosenbrock, x, max_iter=5)
    assert minimum.x.dtype == minimum.history.dtype == torch.float32
    assert not minimum.x.requires_grad and not minimum.history.requires_grad and x.grad is None


@pytest.mark.parametrize(
    ("objective", "parameters", "message"),
    [
        (lambda x: x.square().sum(), {}, r"shape \(\) for 2 rows.*shape \(2,\)"),
        (lambda x: x.square().sum(-1, keepdim=True), {}, r"shape \(2, 1\) for 2 rows"),
        (lambda x: x.square().sum(-1), {"memory": 0}, "memory=0 must be an integer from 1"),
        (lambda x: (x / torch.tensor([[1.0], [0.0]])).square().sum(-1), {}, r"start of rows \[1\]"),
        (lambda x: (x - x.detach()).abs().sqrt().sum(-1), {}, r"start of rows \[0, 1\]"),
    ],
)
def test_bad_input_is_refused(objective, parameters, message):
    with pytest.raises(ValueError, match=message):
        lbfgs(objective, torch.ones(2, 3), **parameters)
