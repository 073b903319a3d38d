import inspect
import pickle
from threading import Barrier, Thread

import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from skwave import MaxEntTextureModel, PhaseHarmonicTransformer, ScatteringTransformer
from skwave._core import cache
from skwave._core.checks import check_scales
from skwave.functional import radial_functions, scattering_layout, solid_harmonics
from skwave.scattering import _plans
from skwave.scattering._layer import Scattering
from skwave.scattering._plans import CONSTRAINTS, cached_layout, cached_plan, layout_parameters

PARAMETERS = {"J": 2, "L": 2, "Q": (1, 1)}


@pytest.fixture
def made(monkeypatch):
    """Shapes of the plans that were made, the cache being empty."""
    shapes, make = [], _plans.make_plan

    def counted(shape, **parameters):
        shapes.append(shape)
        return make(shape, **parameters)

    monkeypatch.setattr(_plans, "make_plan", counted)
    _plans._plan.clear()
    yield shapes
    _plans._plan.clear()


def plan(shape=(16, 16), dtype=torch.float32, **parameters):
    return cached_plan(shape, dtype, torch.device("cpu"), **PARAMETERS | parameters)


def test_threads_share_one_plan(made):
    n_threads = 4
    barrier, plans = Barrier(n_threads), []

    def ask():
        barrier.wait()
        plans.append(plan())

    threads = [Thread(target=ask) for _ in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(plans) == n_threads and len({id(p) for p in plans}) == 1
    assert made == [(16, 16)]


def test_a_plan_is_made_once_for_each_shape_type_and_parameter(made):
    assert plan() is plan()
    others = [plan((16, 12)), plan(dtype=torch.float64), plan(L=3), plan(averaging=None)]
    assert len(made) == 5 and len({id(p) for p in [plan(), *others]}) == 5
    assert plan(dtype=torch.float64).stages[0].tiles[0].values.dtype == torch.float64


def test_plans_are_kept_within_a_number_of_bytes(made, monkeypatch):
    monkeypatch.setattr(cache, "_MOST_BYTES", 4 * cache.n_bytes(plan((24, 8))))
    for n in range(8, 24):
        plan((n, 8))
    plan((23, 8))
    assert len(made) == 17
    plan((8, 8))
    assert len(made) == 18


def test_a_failure_is_not_kept(made):
    for _ in range(2):
        with pytest.raises(TypeError):
            plan(wavelet="morlet")
    assert plan() is plan()


def test_plans_of_inference_mode_are_of_use_outside(made):
    with torch.inference_mode():
        first = plan()
    assert not first.stages[0].tiles[0].values.is_inference()


def test_fits_in_inference_mode_leave_gradients_to_others():
    # sizes that no other test has, so that nothing is kept yet
    x = torch.randn(1, 22, 26, generator=torch.Generator().manual_seed(0))
    r = torch.randn(3, 3, dtype=torch.float64)
    with torch.inference_mode():
        PhaseHarmonicTransformer(J=2, L=3).fit_transform(x)
        radial_functions(r.square().sum(-1), (0.55,), 7), solid_harmonics(r, 7)
    with pytest.warns(ConvergenceWarning):
        MaxEntTextureModel(J=2, L=3, max_iter=2, random_state=0).fit(x).sample()
    r.requires_grad_()
    radial = radial_functions(r.square().sum(-1), (0.55,), 7)
    (radial.sum() + solid_harmonics(r, 7).sum()).backward()
    assert r.grad.isfinite().all()


def test_estimator_and_layer_share_a_plan(made):
    x = torch.ones(1, 16, 16)
    ScatteringTransformer(J=2, L=2, ndim=2).fit(x).transform(x)
    Scattering(J=2, L=2, ndim=2)(x)
    assert len(made) == 1


def test_layouts_are_kept():
    layout, paths = cached_layout((16, 16), **PARAMETERS)
    assert cached_layout((16, 16), **PARAMETERS)[0] is layout
    assert len(paths) == 1 + 4 + 4 and pickle.dumps(paths)


@pytest.mark.parametrize(
    ("Q", "shape", "pair"),
    [
        (4, (64,), (4, 1)),
        (4, (32, 32), (4, 4)),
        ((4, 2), (32, 32), (4, 2)),
        ((4, 2), (64,), (4, 2)),
    ],
)
def test_layout_parameters(Q, shape, pair):
    for kind in (ScatteringTransformer, Scattering):
        found = layout_parameters(kind(J=3, Q=Q, T=9), shape)
        assert found["Q"] == pair and found["J"] == 3 and found["n_phases"] is None
        assert found["T"] == 9
        other = kind(J=3, nonlinearity="rectifier", n_phases=5, averaging="global", T=9)
        assert layout_parameters(other, shape)["n_phases"] == 5
        assert layout_parameters(other, shape)["T"] is None


def test_layout_parameters_are_those_of_the_layout():
    found = layout_parameters(ScatteringTransformer(), (64,))
    assert {"shape", *found} == set(inspect.signature(scattering_layout).parameters)
    assert found["J"] == 4


@pytest.mark.parametrize("kind", [ScatteringTransformer, Scattering])
def test_constraints_are_those_of_the_parameters_in_their_order(kind):
    names = [name for name in inspect.signature(kind).parameters if name in CONSTRAINTS]
    assert names == list(CONSTRAINTS)


@pytest.mark.parametrize(
    ("shape", "J", "T", "message"),
    [
        ((8, 16), 4, None, r"J=4 is too large: 2\*\*J = 16 .*\(8, 16\)!\. Use J <= 3"),
        ((1, 1), 1, None, "too short for any J"),
        ((8, 0), 1, None, "too short for any J"),
        ((8, 16), 2, 9, r"T=9 exceeds.*\(8, 16\): use T <= 8"),
    ],
)
def test_scales_that_do_not_fit(shape, J, T, message):
    with pytest.raises(ValueError, match=message):
        check_scales(shape, J, T, "local", note="!")
    check_scales((1, 16), 4, 16, "local")
    check_scales((8, 16), 3, 99, "global")
