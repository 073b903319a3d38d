from itertools import product

import pytest
import torch

from skwave.functional import scattering, scattering_plan
from skwave.functional._scattering import cascade
from skwave.functional._scattering.cascade import Shelf, _average, _cascade, average_adjoint
from skwave.functional._scattering.compiled import serves
from skwave.functional._wavelets.fourier import (
    cut_filters,
    extend,
    extend_adjoint,
    extension_index,
    filter_fold,
    unfold_filter,
)
from skwave.functional._wavelets.nonlinearity import (
    modulus,
    modulus_adjoint,
    rectifier,
    rectifier_adjoint,
)
from skwave.testing import assert_close

SHAPES = [((50,), {"J": 3, "Q": (3, 1)}), ((18, 13), {"J": 2, "L": 3})]
AVERAGINGS = ["local", "global", None]
BOUNDARIES = ["reflect", "periodic", "zero"]


def gradients(x, plan, weight):
    """The gradient written out, and that of the graph of all the steps."""
    x = x.clone().requires_grad_()
    written = torch.autograd.grad(scattering(x, plan), x, weight)[0]
    graph = _cascade(x.reshape(-1, *plan.given), plan)
    return written, torch.autograd.grad(graph, x, weight.reshape(graph.shape))[0]


@pytest.mark.parametrize(("shape", "parameters"), SHAPES)
@pytest.mark.parametrize("n_phases", [None, 1, 3])
@pytest.mark.parametrize("averaging", AVERAGINGS)
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_gradient_is_that_of_the_graph(randn, shape, parameters, n_phases, averaging, boundary):
    options = {"n_phases": n_phases, "averaging": averaging, "boundary": boundary}
    plan = scattering_plan(shape, dtype=torch.float64, **parameters, **options)
    x = randn(3, *shape)
    written, graph = gradients(x, plan, randn(*scattering(x, plan).shape))
    assert_close(written, graph)


@pytest.mark.parametrize(
    ("shape", "parameters"),
    [
        ((64,), {"J": 3, "max_order": 1}),
        ((64,), {"J": 3, "max_order": 0}),
        ((64,), {"J": 3, "oversampling": 2}),
        ((64,), {"J": 3, "T": 20.0}),
        ((90,), {"J": 3, "Q": (8, 2), "T": 2.0}),
        ((64,), {"J": 6, "boundary": "periodic"}),
        ((12, 40), {"J": 3, "L": 2, "oversampling": 1}),
        ((16, 16), {"J": 4, "L": 2, "boundary": "periodic"}),
        ((9, 40), {"J": 3, "L": 2, "boundary": "periodic", "T": 33.0}),
        ((20, 16), {"J": 2, "L": 2, "Q": (2, 1), "T": 11.0}),
        ((1, 30), {"J": 2, "L": 2}),
        ((64,), {"J": 3, "boundary": "given"}),
        ((50,), {"J": 2, "boundary": "given", "averaging": "global"}),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradient_of_other_layouts(randn, tolerance, shape, parameters, dtype):
    plan = scattering_plan(shape, dtype=dtype, **parameters)
    x = randn(2, *plan.given[: len(shape)], dtype=dtype)
    written, graph = gradients(x, plan, randn(*scattering(x, plan).shape, dtype=dtype))
    assert_close(written, graph, 5 * tolerance[dtype])


@pytest.mark.parametrize(("shape", "parameters"), SHAPES)
@pytest.mark.parametrize("n_phases", [None, 2])
@pytest.mark.parametrize("block", [1, 3000, 2**19])
def test_gradient_does_not_depend_on_blocks(randn, shape, parameters, n_phases, block):
    # forward and backward cut their work into blocks of different sizes
    options = {"n_phases": n_phases, "dtype": torch.float64}
    plan = scattering_plan(shape, block=block, **parameters, **options)
    x = randn(5, *shape)
    weight = randn(*scattering(x, plan).shape)
    whole = scattering_plan(shape, block=2**22, **parameters, **options)
    written, _ = gradients(x, plan, weight)
    _, graph = gradients(x, whole, weight)
    assert_close(written, graph)


def check_adjoint(f, adjoint, x, y):
    """<f(x), y> = <x, adjoint(y)>, of real tensors or of real parts."""
    left, right = ((a.conj() * b).real.sum() for a, b in ((f(x), y), (x, adjoint(y))))
    torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("averaging", AVERAGINGS)
@pytest.mark.parametrize(
    ("shape", "parameters"),
    [
        ((64,), {"J": 4}),
        ((50,), {"J": 3, "Q": (8, 1), "T": 5.0}),  # an odd grid of coefficients
        ((48,), {"J": 4, "boundary": "periodic"}),
        ((64,), {"J": 2, "oversampling": 2}),
        ((20, 12), {"J": 2, "L": 2}),
    ],
)
def test_adjoint_of_the_average(randn, shape, parameters, averaging):
    plan = scattering_plan(shape, averaging=averaging, dtype=torch.float64, **parameters)
    steps = {0} | {stage.k for stage in plan.stages}
    for k in steps:
        u = randn(2, 3, *plan.geometry.grid(k))
        s = randn(*_average(u, plan, k).shape)
        check_adjoint(
            lambda u, k=k: _average(u, plan, k),
            lambda s, k=k: average_adjoint(s, plan, k),
            u,
            s,
        )


@pytest.mark.parametrize("mode", BOUNDARIES)
@pytest.mark.parametrize(("n", "left", "right"), [(5, 3, 4), (4, 11, 9), (1, 2, 3), (6, 0, 0)])
def test_adjoint_of_the_extension(randn, mode, n, left, right):
    index = (extension_index(n, left, right, mode), extension_index(3, 1, 2, mode))
    x, y = randn(2, n, 3), randn(2, n + left + right, 6)
    check_adjoint(
        lambda x: extend(x, index, mode), lambda y: extend_adjoint(y, index, (n, 3)), x, y
    )


def test_adjoint_of_the_folded_filters(randn):
    psi_hat = randn(3, 12, 16)
    psi_hat[0, 6:] = psi_hat[1, :, 4:12] = psi_hat[2, 1:3] = 0
    for shape in ((12, 16), (6, 4), (3, 16)):
        tiles = cut_filters(psi_hat, shape, 0.0)
        x, y = torch.complex(randn(2, 12, 16), randn(2, 12, 16)), randn(2, 3, *shape) + 0j
        check_adjoint(
            lambda x, tiles=tiles, shape=shape: filter_fold(x, tiles, 3, shape),
            lambda y, tiles=tiles, x=x: unfold_filter(y, tiles, torch.zeros_like(x)),
            x,
            y * 1j,
        )
    # it adds to what is there, and gives it back
    out = torch.ones_like(x)
    assert unfold_filter(y, tiles, out) is out
    torch.testing.assert_close(out - 1, unfold_filter(y, tiles, torch.zeros_like(x)))


@pytest.mark.parametrize("n_phases", [None, 1, 4])
def test_adjoint_of_the_nonlinearities(randn, n_phases):
    z = torch.complex(randn(2, 3, 4, 5), randn(2, 3, 4, 5))
    z[0, 0, 0] = 0
    z.requires_grad_()
    value = modulus(z) if n_phases is None else rectifier(z, n_phases)
    u = randn(*value.shape)
    (expected,) = torch.autograd.grad(value, z, u)
    z = z.detach()
    before = z.clone()
    found = modulus_adjoint(u, z) if n_phases is None else rectifier_adjoint(u, z)
    assert_close(torch.view_as_real(found), torch.view_as_real(expected))
    assert (found[0, 0, 0] == 0).all() and torch.equal(z, before)


@pytest.mark.parametrize(("shape", "parameters"), SHAPES)
def test_derivatives_to_the_second(randn, shape, parameters):
    for n_phases, averaging in product([None, 2], AVERAGINGS):
        plan = scattering_plan(
            tuple(n // 2 for n in shape),
            dtype=torch.float64,
            n_phases=n_phases,
            averaging=averaging,
            **parameters | {"J": 1 if len(shape) == 2 else 2, "max_order": 2},
        )
        x = randn(1, *plan.geometry.shape[: len(shape)]).requires_grad_()

        def few(x, plan=plan):
            # all derivatives, seen through a few fixed sums
            s = scattering(x, plan).flatten()
            return torch.stack(
                [(s * torch.cos((i + 1.0) * torch.arange(len(s)))).sum() for i in (0, 1)]
            )

        torch.autograd.gradcheck(few, x)
        # the rectifier is linear between its kinks, which differences step over
        if n_phases is None:
            torch.autograd.gradgradcheck(few, x, fast_mode=True)


def test_second_derivative_through_other_layers(randn):
    # a penalty on the gradient, with something before and after
    plan = scattering_plan((32,), 3, dtype=torch.float64)
    weight = randn(2, 1).requires_grad_()

    def penalty(weight):
        x = (weight * torch.sin(torch.arange(32) / 3.0)).tanh()
        loss = scattering(x, plan).square().sum()
        (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
        return gradient.square().sum()

    torch.autograd.gradcheck(penalty, weight)


def test_the_graph_can_be_used_twice(randn):
    plan = scattering_plan((12, 12), 2, L=3, dtype=torch.float64)
    x = randn(2, 12, 12).requires_grad_()
    s = scattering(x, plan)
    first = torch.autograd.grad(s, x, torch.ones_like(s), retain_graph=True)
    second = torch.autograd.grad(s, x, torch.ones_like(s))
    assert torch.equal(first[0], second[0])


def test_gradient_at_zero(randn):
    for n_phases in (None, 3):
        plan = scattering_plan((32,), 3, n_phases=n_phases, max_order=1, dtype=torch.float64)
        x = torch.zeros(1, 32, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(scattering(x, plan)[:, 1:].sum(), x)
        assert (gradient == 0).all()


@pytest.mark.parametrize(("shape", "parameters"), SHAPES)
def test_torch_func(randn, shape, parameters):
    plan = scattering_plan(shape, dtype=torch.float64, **parameters)
    x = randn(2, *shape)

    def energy(x):
        return scattering(x, plan).square().sum()

    expected = torch.autograd.functional.vjp(energy, x)[1]
    assert_close(torch.func.grad(energy)(x), expected)
    direction = randn(2, *shape)
    _, expected = torch.autograd.functional.vhp(energy, x, direction)
    second = torch.func.grad(lambda x: (torch.func.grad(energy)(x) * direction).sum())(x)
    assert_close(second, expected)


@pytest.mark.parametrize("compiled", [True, False])
def test_only_the_input_the_output_and_the_second_order_are_kept(randn, monkeypatch, compiled):
    plan = scattering_plan((32, 32), 3, L=4, dtype=torch.float64)
    x = randn(4, 32, 32).requires_grad_()
    sizes = []
    if compiled and not serves(x, plan):
        pytest.skip("no compiled cascade: python hatch_build.py")
    monkeypatch.setattr(cascade, "serves", lambda *_: compiled)

    def pack(t):
        sizes.append(t.numel() * t.element_size())
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        s = scattering(x, plan)
    grids = [plan.geometry.extended[0] // 2**j for j in range(3)]
    # 16 pairs of angles at the scales (0, 1), (0, 2) and (1, 2), on the grid of the second
    second = 16 * (grids[1] ** 2 + 2 * grids[2] ** 2)
    if compiled:  # computes the second order anew
        second = 0
    assert sorted(sizes) == sorted([x.numel() * 8, s.numel() * 8, len(x) * second * 16])


def test_shelf(randn):
    memory = torch.arange(10)
    shelf = Shelf(memory)
    assert shelf.take((2, 3)).tolist() == [[0, 1, 2], [3, 4, 5]]
    last = shelf.take((4,))
    last[0] = -1
    assert memory[6] == -1 and len(shelf.rest) == 0


def test_autocast_changes_nothing(randn):
    plan = scattering_plan((16, 16), 2, L=3)
    x = randn(2, 16, 16, dtype=torch.float32).requires_grad_()
    weight = torch.ones_like(scattering(x, plan))
    expected, _ = gradients(x.detach(), plan, weight)
    with torch.autocast("cpu", torch.bfloat16):
        s = scattering(x, plan)
        (found,) = torch.autograd.grad(s, x, weight)
    assert s.dtype == found.dtype == torch.float32
    assert torch.equal(found, expected)
