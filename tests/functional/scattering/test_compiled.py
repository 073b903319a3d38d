"""The compiled cascade is that of torch: on every geometry, processor, thread and input."""

import gc
import math
import warnings
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from skwave.functional import scattering, scattering_paths, scattering_plan
from skwave.functional._scattering import compiled
from skwave.functional._scattering.cascade import Shelf, _all, _cascade, cascade_adjoint
from skwave.functional._scattering.compiled import compiled_adjoint, compiled_cascade, serves
from skwave.functional._scattering.plan import n_kept
from skwave.functional._wavelets.nonlinearity import power_of_two

GEOMETRIES = {
    "32": ((32, 32), 2, {}),
    "64": ((64, 64), 4, {}),
    "oblong": ((32, 48), 2, {"L": 4}),
    "odd": ((33, 41), 2, {"L": 6}),
    "Q": ((40, 37), 3, {"L": 3, "Q": (2, 1)}),
    "one-scale": ((17, 19), 1, {}),
    "periodic": ((64, 32), 3, {"boundary": "periodic"}),
    "zero": ((30, 30), 2, {"boundary": "zero"}),
    "prime": ((68, 36), 2, {"L": 2}),  # extended to 76 = 4 * 19
    "global": ((32, 32), 2, {"averaging": "global"}),
    "rectifier": ((32, 32), 2, {"n_phases": 4, "L": 4}),
    "rectifier-global": ((31, 29), 2, {"n_phases": 3, "averaging": "global", "L": 4}),
    "oversampled": ((32, 32), 2, {"oversampling": 1}),
    "short-T": ((32, 32), 3, {"T": 4}),
    "order-1": ((32, 32), 2, {"max_order": 1}),
    "order-0": ((32, 32), 2, {"max_order": 0}),
    "more-wavelets-than-lanes": ((20, 20), 2, {"L": 20}),
    "signal": ((1024,), 5, {"Q": (8, 1)}),
    "signal-many-wavelets": ((2**13,), 6, {"Q": (20, 2)}),
    "signal-odd": ((999,), 4, {}),
    "signal-oversampled": ((777,), 4, {"oversampling": 1}),
    "signal-T": ((300,), 4, {"T": 20}),
    "signal-rectifier": ((1024,), 5, {"Q": (8, 1), "n_phases": 4}),
    "signal-global": ((5000,), 6, {"averaging": "global"}),
    "signal-zero": ((1024,), 5, {"Q": (8, 1), "boundary": "zero"}),
    "signal-periodic": ((1024,), 5, {"Q": (8, 1), "boundary": "periodic"}),
    "signal-given": ((4096,), 5, {"Q": (8, 1), "boundary": "given"}),
    "signal-order-1": ((5000,), 6, {"Q": (4, 1), "max_order": 1}),
    "signal-order-0": ((5000,), 6, {"max_order": 0}),
    # periods that no step divides
    "resampled": ((33, 40), 2, {"boundary": "periodic"}),
    "resampled-both": ((35, 44), 2, {"boundary": "periodic", "L": 4}),
    "resampled-global": ((21, 40), 3, {"boundary": "periodic", "averaging": "global"}),
    "resampled-rectifier": ((21, 40), 3, {"boundary": "periodic", "n_phases": 2, "L": 2}),
    "signal-short": ((64,), 3, {}),
    "signal-short-odd": ((63,), 2, {"Q": (4, 1)}),
    "signal-short-J": ((64,), 6, {}),
    "signal-short-periodic": ((48,), 3, {"boundary": "periodic"}),
    "signal-short-rectifier": ((50,), 2, {"n_phases": 3}),
    "signal-short-oversampled": ((130,), 4, {"oversampling": 1}),
}
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-14}


@pytest.fixture(autouse=True)
def processor(monkeypatch):
    """Function that forces vectors of a kind, and skips where there are none."""
    monkeypatch.delenv("SKWAVE_VECTORS", raising=False)
    compiled._levels.cache_clear()
    if not compiled._levels():
        pytest.skip("no compiled cascade: python hatch_build.py")

    def force(level):
        monkeypatch.setenv("SKWAVE_VECTORS", level)
        compiled._levels.cache_clear()
        if level in ("avx2", "avx512"):
            try:
                compiled._levels()
            except ValueError as error:
                pytest.skip(str(error))

    yield force
    compiled._levels.cache_clear()


def by_torch(x, plan):
    """Coefficients of signals, one after the other, by the torch path."""
    return torch.cat([_cascade(one, plan) for one in x.split(1)])


def errors(s, reference, plan):
    """Error of each order, relative to its norm."""
    sizes = [0, 0, 0]
    for path in scattering_paths(plan):
        sizes[len(path.n)] += math.prod(path.grid)
    parts = zip(s.split(sizes, -1), reference.split(sizes, -1), strict=True)
    return [float((a - b).norm() / b.norm()) for a, b in parts if b.numel()]


def problem(name, dtype=torch.float32, n=3):
    """Plan of a geometry, and signals with a mean."""
    shape, J, parameters = GEOMETRIES[name]
    plan = scattering_plan(shape, J, dtype=dtype, **parameters)
    generator = torch.Generator().manual_seed(0)
    return plan, torch.rand(n, *plan.given, generator=generator, dtype=dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", GEOMETRIES)
def test_every_geometry_agrees_with_torch(name, dtype):
    plan, x = problem(name, dtype)
    assert serves(x, plan)
    s = compiled_cascade(x, plan)
    assert max(errors(s, by_torch(x, plan), plan)) < TOLERANCE[dtype]


@pytest.mark.parametrize("level", ["avx512", "avx2", "baseline"])
@pytest.mark.parametrize("name", ["odd", "rectifier", "signal", "signal-global"])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_every_processor(name, level, dtype, processor):
    plan, x = problem(name, dtype)
    processor(level)
    s = compiled_cascade(x, plan)
    assert max(errors(s, by_torch(x, plan), plan)) < TOLERANCE[dtype]


@pytest.mark.parametrize("name", ["32", "odd", "rectifier-global", "signal", "signal-rectifier"])
def test_a_row_does_not_know_its_batch_nor_the_threads(name, monkeypatch):
    monkeypatch.setattr(compiled, "_THREAD", 1)  # small work takes threads, too
    # wide and narrow vectors, of which the number of signals decides, give the same bits
    plan, x = problem(name, n=21)
    s = compiled_cascade(x, plan)
    for rows in (slice(3, 4), slice(2, 10), slice(20, 21)):
        assert torch.equal(compiled_cascade(x[rows], plan), s[rows])
    torch.set_num_threads(3)
    try:
        assert torch.equal(compiled_cascade(x, plan), s)
    finally:
        torch.set_num_threads(1)


def test_calls_of_several_threads_share_a_plan():
    plan, x = problem("64", n=16)
    x.requires_grad_()
    expected = scattering(x, plan)
    (gradient,) = torch.autograd.grad(expected.sum(), x)
    fresh, _ = problem("64")

    def call(i):
        rows = x[i : i + 2].detach().requires_grad_()
        s = scattering(rows, fresh)
        return s.detach(), torch.autograd.grad(s.sum(), rows)[0]

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(call, range(0, 16, 2)))
    for found, whole in zip(zip(*results, strict=True), (expected, gradient), strict=True):
        assert torch.equal(torch.cat(found), whole)


def test_threads_are_those_of_torch_but_no_more_than_the_work_is_worth():
    plan, x = problem("64", n=2)
    held = compiled._compiled(plan, compiled._level(plan, 2, x.dtype))
    torch.set_num_threads(3)
    try:
        assert [held._threads(n) for n in (1, 10**6)] == [1, 3]
    finally:
        torch.set_num_threads(1)
    assert held._threads(10**6) == 1


def test_narrow_and_wide_vectors_give_the_same_bits(processor):
    plan, x = problem("64", n=2)
    results = []
    for level in ("avx512", "avx2"):
        processor(level)
        results.append(compiled_cascade(x, plan))
    assert torch.equal(*results)


@pytest.mark.parametrize("name", ["32", "rectifier", "signal", "signal-global"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stays_in_its_row(name, value):
    plan, x = problem(name, n=4)
    clean = _all(x, plan)
    x[2].view(-1)[5] = value
    s = _all(x, plan)
    rows = [0, 1, 3]
    assert torch.equal(s[rows], clean[rows])
    # order 0 is an average over neighbours: the others are of the whole signal
    n = math.prod(scattering_paths(plan)[0].grid)
    assert s[2, :n].isnan().any() and s[2, n:].isnan().all()


def test_scales_and_batches_of_any_shape():
    plan, x = problem("32", n=6)
    s = scattering(x, plan)
    assert torch.equal(scattering(x * 2.0**90, plan), s * 2.0**90)
    assert torch.equal(scattering(x.view(2, 3, 32, 32), plan), s.view(2, 3, *s.shape[1:]))
    assert torch.equal(scattering(x.mT.contiguous().mT, plan), s)
    assert scattering(x[:0], plan).shape == (0, *s.shape[1:])
    assert scattering(0 * x, plan).count_nonzero() == 0


def test_many_signals_are_computed_in_several_calls(monkeypatch):
    plan, x = problem("32", n=7)
    s = compiled_cascade(x, plan)
    monkeypatch.setattr(compiled, "_CALL", 2 * 40 * 40)
    assert torch.equal(compiled_cascade(x, plan), s)


def weights(x, plan):
    """White noise in place of a gradient by the coefficients."""
    shape = compiled_cascade(x, plan).shape
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=x.dtype)


def gradient_of(x, grad, plan):
    """Gradient of the sum of coefficients, none of which has been made 0, times weights."""
    return compiled_adjoint(x, torch.ones_like(grad), grad, plan)


def gradient_by_torch(x, s, plan):
    """Gradient of the sum of coefficients times s, by the torch path, signal after signal."""
    x = x / power_of_two(x, (-2, -1))
    gradients = []
    for one, g in zip(x.split(1), s.split(1), strict=True):
        kept = x.new_empty(n_kept(plan), dtype=x.dtype.to_complex())
        _cascade(one, plan, Shelf(kept))
        gradients.append(cascade_adjoint(one, g, Shelf(kept), plan))
    return torch.cat(gradients)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", GEOMETRIES)
def test_every_gradient_agrees_with_torch(name, dtype):
    plan, x = problem(name, dtype)
    x -= 0.5
    s = weights(x, plan)
    gradient, reference = (
        gradient_of(x, s, plan),
        gradient_by_torch(x, s, plan),
    )
    error = float((gradient - reference).norm() / reference.norm())
    if plan.n_phases and dtype == torch.float32:  # rounding may carry a number across the kink
        assert error < 1e-3
    else:
        assert error < 10 * TOLERANCE[dtype]


@pytest.mark.parametrize("name", ["odd", "rectifier", "signal-odd", "signal-global"])
@pytest.mark.parametrize("level", ["avx512", "avx2", "baseline"])
def test_gradients_on_every_processor(name, level, processor):
    plan, x = problem(name, torch.float64)
    processor(level)
    s = weights(x, plan)
    torch.testing.assert_close(gradient_of(x, s, plan), gradient_by_torch(x, s, plan))


@pytest.mark.parametrize("name", ["32", "odd", "signal", "signal-rectifier"])
def test_the_gradient_of_a_row_does_not_know_its_batch_nor_the_threads(name, monkeypatch):
    monkeypatch.setattr(compiled, "_THREAD", 1)
    plan, x = problem(name, n=21)
    s = weights(x, plan)
    gradient = gradient_of(x, s, plan)
    for rows in (slice(3, 4), slice(2, 10)):
        assert torch.equal(gradient_of(x[rows], s[rows], plan), gradient[rows])
    torch.set_num_threads(3)
    try:
        assert torch.equal(gradient_of(x, s, plan), gradient)
    finally:
        torch.set_num_threads(1)


def test_autograd_takes_the_compiled_gradient_and_that_of_torch_in_a_graph():
    shape, J, parameters = (12, 8), 1, {"L": 2, "boundary": "periodic"}
    plan = scattering_plan(shape, J, dtype=torch.float64, **parameters)
    x = torch.randn(2, *shape, dtype=torch.float64, requires_grad=True)
    assert serves(x, plan)
    assert torch.autograd.gradcheck(lambda x: scattering(x, plan), x)
    assert torch.autograd.gradgradcheck(lambda x: scattering(x, plan), x)
    with torch.no_grad():
        constant = scattering(x, plan)
    assert torch.equal(scattering(x, plan), constant)


def test_coefficients_that_were_made_zero_have_no_gradient():
    plan, x = problem("32", torch.float64)
    s, grad = torch.rand_like(compiled_cascade(x, plan)) - 0.5, weights(x, plan)
    n = math.prod(scattering_paths(plan)[0].grid)
    kept = grad * (s > 0)
    kept[:, :n] = grad[:, :n]
    torch.testing.assert_close(compiled_adjoint(x, s, grad, plan), gradient_of(x, kept, plan))


def test_the_gradient_at_zero_is_that_of_order_0():
    plan, x = problem("32")
    x = torch.zeros_like(x).requires_grad_()
    (gradient,) = torch.autograd.grad(scattering(x, plan).sum(), x)
    assert gradient.isfinite().all()
    order_0 = scattering(x.detach() + 1e-20, plan)[:, 0]
    assert float(gradient.sum() * 1e-20) == pytest.approx(float(order_0.sum()), rel=1e-3)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_tangents_and_batches_of_vmap_do_not_get_lost():
    plan, x = problem("oblong", torch.float64)
    with torch.autograd.forward_ad.dual_level():
        assert not serves(torch.autograd.forward_ad.make_dual(x, x), plan)

    def inside(x):
        assert not serves(x, plan)
        return x

    torch.func.vmap(inside)(x)


@pytest.mark.filterwarnings("ignore")  # traces warn, of shapes and of their age
def test_traces_and_shapes_without_numbers_are_left_to_torch():
    plan, x = problem("oblong")
    with FakeTensorMode() as mode:
        assert not serves(mode.from_tensor(x), plan)
    traced = torch.jit.trace(lambda x: scattering(x, plan), x, check_trace=False)
    torch.testing.assert_close(traced(x + 1), scattering(x + 1, plan))


@pytest.mark.parametrize(
    ("shape", "J", "parameters"),
    [
        ((200,), 5, {}),  # a period of 398 = 2 * 199
        ((32, 32), 2, {"averaging": None}),
        ((264, 16), 2, {"L": 2}),  # extended to 272 = 16 * 17, which is served
        ((420, 16), 2, {"L": 2}),  # extended to 428 = 4 * 107, which is not
    ],
)
def test_what_is_not_served_is_computed_by_torch(shape, J, parameters):
    plan = scattering_plan(shape, J, **parameters)
    x = torch.rand(2, *plan.given)
    assert serves(x, plan) == (shape == (264, 16))
    torch.testing.assert_close(_all(x, plan), by_torch(x, plan))


def test_without_the_library_torch_computes_and_says_so_once(monkeypatch, tmp_path):
    plan, x = problem("32")
    s = scattering(x, plan)
    monkeypatch.setattr(compiled, "_SOURCE", tmp_path / "cascade.cpp")
    compiled._levels.cache_clear()
    with pytest.warns(UserWarning, match="no compiled cascade, since it was installed without"):
        torch.testing.assert_close(scattering(x, plan), s)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scattering(x, plan)


def test_a_library_of_another_source_is_not_used(monkeypatch):
    monkeypatch.setattr(compiled, "crc32", lambda text: 1)
    compiled._levels.cache_clear()
    with pytest.warns(UserWarning, match="was changed since its build"):
        assert compiled._levels() == ()


def test_a_library_that_can_not_be_loaded_is_not_used(monkeypatch, tmp_path):
    monkeypatch.setattr(compiled, "_SOURCE", tmp_path / "cascade.cpp")
    (tmp_path / "_cascade_baseline_float.so").write_bytes(b"no library")
    compiled._library.cache_clear()
    compiled._levels.cache_clear()
    with pytest.warns(UserWarning, match="can't be loaded"):
        assert compiled._levels() == ()
    compiled._library.cache_clear()


def test_vectors_are_chosen_by_the_environment(processor):
    plan, x = problem("32")
    processor("none")
    assert not serves(x, plan)
    processor("baseline")
    assert compiled._levels() == ("baseline",)
    processor("sse9")
    with pytest.raises(ValueError, match="SKWAVE_VECTORS='sse9' must be one of"):
        serves(x, plan)


@pytest.mark.parametrize(
    ("level", "expected"), [(2, ("avx2", "avx512")), (1, ("avx2",)), (0, ("baseline",))]
)
def test_a_processor_computes_with_vectors_of_the_same_bits(level, expected, monkeypatch):
    source = compiled._library("baseline", torch.float32).cascade_source()
    library = SimpleNamespace(cascade_level=lambda: level, cascade_source=lambda: source)
    monkeypatch.setattr(compiled, "_library", lambda *_: library)
    compiled._levels.cache_clear()
    assert compiled._levels() == expected


def test_a_plan_and_what_is_compiled_of_it_end_together():
    plan, x = problem("32")
    compiled_cascade(x, plan)
    key = id(plan)
    assert any(k == key for k, _ in compiled._plans)
    del plan
    gc.collect()
    assert not any(k == key for k, _ in compiled._plans)
