import cmath
import math

import pytest
import torch

from skwave.functional import morlet_1d, morlet_2d, scattering, scattering_paths, scattering_plan
from skwave.functional._scattering.plan import is_spectral
from skwave.functional._wavelets.fourier import extend

DEFAULTS = {"L": 8, "Q": (1, 1), "T": None}
CASES = [
    {"shape": (60,), "J": 3},
    {"shape": (100,), "J": 4, "Q": (4, 1), "T": 11},
    {"shape": (64,), "J": 3, "Q": (2, 2), "T": 40, "boundary": "zero"},
    {"shape": (330,), "J": 3},
    {"shape": (93,), "J": 5, "Q": (4, 1), "T": 16, "boundary": "periodic"},
    {"shape": (20, 16), "J": 2, "L": 3},
    {"shape": (17, 24), "J": 3, "L": 2, "boundary": "periodic"},
    {"shape": (16, 16), "J": 2, "L": 2, "Q": (2, 1), "T": 2},
]
NONLINEARITIES = [None, 3]


def size(plan):
    return sum(math.prod(path.grid) for path in scattering_paths(plan))


@pytest.mark.parametrize("kwargs", CASES)
@pytest.mark.parametrize("averaging", ["local", "global", None])
@pytest.mark.parametrize("n_phases", NONLINEARITIES)
@pytest.mark.parametrize("max_order", [0, 1, 2])
def test_paths_account_for_every_coefficient(randn, kwargs, averaging, n_phases, max_order):
    options = {"averaging": averaging, "n_phases": n_phases, "max_order": max_order}
    plan = scattering_plan(**kwargs, **options)
    paths = scattering_paths(plan)
    s = scattering(randn(2, 1, *kwargs["shape"], dtype=torch.float32), plan)
    assert s.flatten(2).shape == (2, 1, size(plan))
    if averaging is not None:
        assert s.shape == (2, 1, len(paths), *paths[0].grid)
    # every path of growing scale, at every phase, by order and then one after the other
    first, second = plan.wavelets
    a = range(n_phases or 1)
    expected = [((), ())]
    if max_order > 0:
        expected += [((n,), (i,)) for n in range(len(first)) for i in a]
    if max_order > 1:
        expected += [
            ((n, m), (i, k))
            for n in range(len(first))
            for i in a
            for m in range(len(second))
            if second[m].j > first[n].j
            for k in a
        ]
    assert [(path.n, path.phase) for path in paths] == expected
    assert {len(path.n) for path in paths} == set(range(max_order + 1))


def test_two_scales_per_octave_may_follow_each_other():
    plan = scattering_plan((32, 32), 2, L=2, Q=(2, 2))
    j = [w.j for w in plan.wavelets[0]]
    pairs = {(j[p.n[0]], j[p.n[1]]) for p in scattering_paths(plan) if len(p.n) == 2}
    assert pairs == {(a / 2, b / 2) for a in range(4) for b in range(a + 1, 4)}


def along_the_path(x, plan, path, banks):
    # the definition, without subsampling before the average
    geometry, bank = plan.geometry, banks[0]
    u = extend(x.reshape(geometry.shape), plan.index, plan.boundary).reshape(bank.shape)
    for n, a, bank_n in zip(path.n, path.phase, banks, strict=False):
        z = torch.fft.ifftn(torch.fft.fftn(u) * bank_n.psi_hat[n])
        angle = 2 * math.pi * a / (plan.n_phases or 1)
        u = z.abs() if plan.n_phases is None else (z * cmath.rect(1, angle)).real.relu()
    if plan.averaging == "local":
        u = torch.fft.ifftn(torch.fft.fftn(u) * bank.phi_hat).real
        index = [
            geometry.step * torch.arange(first, first + count)
            for first, count in zip(geometry.first, geometry.count, strict=True)
        ]
    else:
        index = [k + torch.arange(n) for k, n in zip(geometry.left, geometry.shape, strict=True)]
    for axis in range(u.ndim):
        u = u.index_select(axis, index[axis])
    return u.mean() if plan.averaging == "global" else u


@pytest.mark.parametrize("kwargs", CASES)
@pytest.mark.parametrize("averaging", ["local", "global", None])
@pytest.mark.parametrize("n_phases", NONLINEARITIES)
def test_coefficients_follow_the_paths(randn, kwargs, averaging, n_phases):
    options = {"n_phases": n_phases, "averaging": averaging, "oversampling": 9}
    plan = scattering_plan(**kwargs, **options, dtype=torch.float64)
    J, L, Q, T = ((DEFAULTS | kwargs)[key] for key in ("J", "L", "Q", "T"))
    if plan.geometry.ndim == 1:
        banks = [morlet_1d(plan.geometry.span[0], J, q, T) for q in Q]
    else:
        banks = [morlet_2d(plan.geometry.span, J, L, q, T) for q in Q]
    x = randn(*kwargs["shape"])
    paths = scattering_paths(plan)
    maps = scattering(x, plan).flatten().split([math.prod(path.grid) for path in paths])
    # signals lose what phi lets through above the Nyquist frequency of the coefficients
    atol = 1e-5 if is_spectral(plan) else 1e-12
    for path, s in zip(paths, maps, strict=True):
        expected = along_the_path(x, plan, path, banks).flatten()
        torch.testing.assert_close(s, expected.reshape(-1), rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kwargs", CASES)
@pytest.mark.parametrize("averaging", ["local", None])
def test_blocks_do_not_change_the_result(randn, relative_error, dtype, kwargs, averaging):
    x = randn(3, 2, *kwargs["shape"], dtype=dtype)
    small, large = (
        scattering_plan(**kwargs, averaging=averaging, dtype=dtype, block=block)
        for block in (2**6, 2**22)
    )
    assert len(small.stages) > len(large.stages)
    assert scattering_paths(small) == scattering_paths(large)
    error = relative_error(scattering(x, small), scattering(x, large))
    assert error < (1e-6 if dtype == torch.float32 else 1e-14)


def test_plan_on_its_dtype_and_device(device):
    plan = scattering_plan((32, 32), 2, L=2, dtype=torch.float64, device=device)
    values = [tile.values for stage in plan.stages for tile in stage.tiles]
    values += [tile.values for stage in plan.stages for s in stage.following for tile in s.tiles]
    values += [matrix for matrices in plan.lowpass.values() for matrix in matrices]
    assert {(v.dtype, v.device.type) for v in values} == {(torch.float64, device)}
    assert {index.device.type for index in plan.index} == {device}
