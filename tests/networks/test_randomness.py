"""Random numbers from a generator of one's own."""

from threading import Barrier, Thread

import pytest
import torch
from torch import nn

from skwave._networks.randomness import DrawFrom


def draws():
    """Numbers of all kinds that networks and their layers draw."""
    x = torch.zeros(5, 4)
    modules = nn.Linear(4, 3), nn.Conv2d(2, 3, 3), nn.ConvTranspose2d(2, 3, 3), nn.Embedding(3, 2)
    return [
        *(p.detach() for module in modules for p in module.parameters()),
        torch.randn(3), torch.rand(2, 2), torch.randint(10, (7,)), torch.randperm(9),
        torch.bernoulli(x + 0.5), torch.normal(x, 1.0), x.clone().normal_(), x.clone().uniform_(),
        x.clone().bernoulli_(0.5), nn.init.xavier_uniform_(x.clone()),
    ]  # fmt: skip


def test_as_the_global_generator():
    """The same numbers as after torch.manual_seed, which the global generator does not see."""
    torch.manual_seed(7)
    expected, state = draws(), torch.get_rng_state()
    with DrawFrom(torch.Generator().manual_seed(7)):
        found = draws()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_generator_that_is_given_stays():
    with DrawFrom(torch.Generator().manual_seed(7)):
        x = torch.randn(3, generator=torch.Generator().manual_seed(8))
    assert torch.equal(x, torch.randn(3, generator=torch.Generator().manual_seed(8)))


def test_ends_with_an_error():
    state = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), DrawFrom(torch.Generator()):
        torch.randn(3)
        raise ZeroDivisionError
    assert torch.equal(torch.get_rng_state(), state)
    torch.randn(3)
    assert not torch.equal(torch.get_rng_state(), state)


def test_for_one_thread():
    found, barrier = {}, Barrier(2)

    def work(seed):
        with DrawFrom(torch.Generator().manual_seed(seed)):
            barrier.wait()
            found[seed] = torch.stack([torch.randn(10) for _ in range(200)])
            barrier.wait()

    threads = [Thread(target=work, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, x in found.items():
        generator = torch.Generator().manual_seed(seed)
        expected = [torch.randn(10, generator=generator) for _ in range(200)]
        assert torch.equal(x, torch.stack(expected))
