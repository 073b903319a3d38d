"""The simulated GPU refuses what a GPU refuses, counts what is slow there, and computes."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from .simulated_device import SimulatedDevice


@pytest.fixture
def gpu():
    with SimulatedDevice() as gpu:
        yield gpu


def costs_of(gpu, call):
    with gpu.counting() as costs:
        call()
    return {name: n for name, n in costs.items() if name != "launch" and n}


MAKERS = {
    "ones": lambda device: torch.ones(3, device=device),
    "arange": lambda device: torch.arange(3.0, device=device),
    "tensor": lambda device: torch.tensor([1.0, 2.0, 3.0], device=device),
    "as_tensor": lambda device: torch.as_tensor(np.arange(3.0), device=device),
    "to": lambda device: torch.ones(3).to(device),
    "to, by name": lambda device: torch.ones(3).to(device=device, dtype=torch.float64),
    "drawn": lambda device: torch.randn(3, device=device),
    "like": lambda device: torch.zeros_like(torch.ones(3), device=device),
    "new": lambda device: torch.ones(3, device=device).new_tensor([1.0, 2.0, 3.0]),
}


@pytest.mark.parametrize("device", ["cuda", "cuda:0", torch.device("cuda"), torch.device("cuda:0")])
@pytest.mark.parametrize("make", MAKERS)
def test_tensors_say_where_they_are(gpu, make, device):
    x = MAKERS[make](device)
    assert gpu.holds(x) and x.is_cuda and not x.is_cpu
    assert str(x.device) == "cuda:0"
    assert x.cpu().device.type == "cpu"


def test_outside_of_the_context_there_is_no_device():
    n, lifted = torch.cuda.device_count(), torch._C._only_lift_cpu_tensors()
    generator, to = torch.Generator, torch.Tensor.to
    with SimulatedDevice():
        assert torch.cuda.is_available() and torch.cuda.device_count() == 1
    assert torch.cuda.device_count() == n
    assert torch.Generator is generator and torch.Tensor.to is to
    assert torch._C._only_lift_cpu_tensors() == lifted


REFUSED = {
    "sum": lambda x: x + torch.ones(3),
    "product": lambda x: x @ torch.ones(3),
    "list": lambda x: torch.stack([x, torch.ones(3)]),
    "index on the CPU": lambda x: torch.ones(3)[x > 0],
    "condition": lambda x: torch.where(x > 0, x, torch.zeros(3)),
    "in place": lambda x: x.add_(torch.ones(3)),
    "numpy": lambda x: x.numpy(),
    "array": lambda x: np.asarray(x),
    "generator of the CPU": lambda x: torch.randn(3, device=x.device, generator=torch.Generator()),
    "pickle": pickle.dumps,
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_gpu_refuses(gpu, case):
    with pytest.raises((RuntimeError, TypeError), match=r"device|cuda"):
        REFUSED[case](torch.ones(3, device="cuda"))


def test_numbers_of_the_cpu_go_along(gpu):
    x = torch.ones(3, device="cuda")
    assert gpu.holds(x * torch.tensor(2.0))
    x[0] = torch.tensor(5.0)
    assert x.tolist() == [5.0, 1.0, 1.0]


WAITING = {
    "item": lambda x: x.sum().item(),
    "float": lambda x: float(x[0]),
    "bool": lambda x: bool(x.any()),
    "if": lambda x: 1 if x[0] > 0 else 0,
    "nonzero": lambda x: x.nonzero(),
    "mask": lambda x: x[x > 0],
    "mask, set": lambda x: x.__setitem__(x > 0, 0.0),
    "selected": lambda x: x.masked_select(x > 0),
    "unique": lambda x: x.unique(),
    "repeated": lambda x: x.repeat_interleave(torch.arange(3, device=x.device)),
    "equal": lambda x: torch.equal(x, x),
    "close": lambda x: torch.allclose(x, x),
    "factor": lambda x: torch.linalg.cholesky(torch.diag(x)),
}


@pytest.mark.parametrize("case", WAITING)
def test_waits_are_counted(gpu, case):
    x = torch.ones(3, device="cuda")
    assert costs_of(gpu, lambda: WAITING[case](x)) == {"wait": 1}


FREE = {
    "where": lambda x: torch.where(x > 0, x, 0.0),
    "index": lambda x: x[torch.arange(2, device=x.device)],
    "slice": lambda x: x[1:],
    "number": lambda x: x * 2.0 + 1,
    "already there": lambda x: x.to("cuda"),
    "no check": lambda x: torch.linalg.cholesky_ex(torch.diag(x)),
    "repeated": lambda x: x.repeat_interleave(torch.arange(3, device=x.device), output_size=3),
    "drawn": lambda x: torch.randn(3, device="cuda"),
}


@pytest.mark.parametrize("case", FREE)
def test_what_needs_no_wait(gpu, case):
    x = torch.ones(3, device="cuda")
    assert costs_of(gpu, lambda: FREE[case](x)) == {}


def test_copies_are_counted(gpu):
    x, y = torch.ones(3), torch.ones(3, device="cuda")
    assert costs_of(gpu, lambda: x.to("cuda")) == {"upload": 1}
    assert costs_of(gpu, lambda: y.copy_(x)) == {"upload": 1}
    assert costs_of(gpu, lambda: torch.tensor([1, 2], device="cuda")) == {"upload": 1}
    assert costs_of(gpu, lambda: y[[0, 1]]) == {"upload": 1}
    assert costs_of(gpu, lambda: y.cpu()) == {"download": 1}
    assert costs_of(gpu, lambda: x.copy_(y)) == {"download": 1}
    assert costs_of(gpu, lambda: y.tolist()) == {"download": 1}
    assert costs_of(gpu, lambda: y.double()) == {}


def test_launches_are_counted(gpu):
    x = torch.ones(4, 4, device="cuda")
    for call, n in ((lambda: x.T[1:], 0), (lambda: x + 1, 1), (lambda: (x @ x).relu_(), 2)):
        with gpu.counting() as costs:
            call()
        assert costs["launch"] == n


def test_lines_that_wait_are_told(gpu):
    from skwave.functional import minkowski_functionals

    with gpu.trace() as lines:
        minkowski_functionals(torch.randn(8, 8, device="cuda"), torch.tensor([0.0], device="cuda"))
    assert all(place.startswith("functional/") for _, place in lines)


def test_numbers_are_those_of_the_cpu(gpu):
    x = torch.randn(5, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def f(x):
        z = torch.fft.fft(x).conj()
        z[:, 0] = 0
        z[[1, 2], [3, 4]] = 1.0
        y = torch.stack([z.real, z.imag], -1)[..., (0, 1)]
        y[y.abs() < 0.1] *= 3
        return (y.mT @ y).cumsum(0).sort().values

    torch.testing.assert_close(f(x.to("cuda")).cpu(), f(x), rtol=0, atol=0)


def test_gradients(gpu):
    module, x = torch.nn.Linear(4, 2), torch.randn(3, 4)
    expected = torch.autograd.grad(module(x).square().sum(), module.weight)[0]
    module = module.to("cuda")
    loss = module(x.to("cuda")).square().sum()
    loss.backward()
    assert gpu.holds(module.weight) and gpu.holds(module.weight.grad)
    torch.testing.assert_close(module.weight.grad.cpu(), expected)
    twin = copy.deepcopy(module)
    torch.optim.AdamW(module.parameters()).step()
    assert not torch.equal(module.weight, twin.weight)


def test_draws_follow_their_generator(gpu):
    state = torch.get_rng_state()
    x, y = (
        torch.randn(3, device="cuda", generator=torch.Generator("cuda").manual_seed(7))
        for _ in range(2)
    )
    torch.randn(3, device="cuda")
    assert torch.equal(x, y)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.Generator("cuda").device == torch.device("cuda:0")
    assert isinstance(torch.Generator(), torch.Generator)


def test_memory_runs_out_and_is_given_back():
    with SimulatedDevice(memory=1200) as gpu:
        for _ in range(10):
            x = torch.ones(100, device="cuda") + 1
        assert gpu.used == 400 and gpu.peak == 1200  # the old x, the ones and the sum
        views = x[:50], x[None]
        assert gpu.used == 400
        with pytest.raises(torch.OutOfMemoryError, match="out of memory"):
            torch.ones(201, device="cuda")
        del x, views
        assert gpu.used == 0


def test_mps_has_no_float64():
    with SimulatedDevice("mps") as gpu:
        x = torch.ones(3, device="mps")
        assert str(x.device) == "mps:0" and gpu.holds(x) and not x.is_cuda
        for call in (x.double, lambda: torch.ones(3, dtype=torch.float64, device="mps")):
            with pytest.raises(TypeError, match="float64"):
                call()
        assert x.cpu().double().dtype == torch.float64


def test_other_threads_may_use_its_tensors(gpu):
    x = torch.ones(3, device="cuda")
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: (x + x).tolist()).result() == [2.0, 2.0, 2.0]
