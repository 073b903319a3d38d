"""Decoders from codes to images."""

from itertools import pairwise

import pytest
import torch

from skwave.generation._layers import average_blocks
from skwave.nn import ConvolutionalDecoder, DictionaryDecoder, DictionaryStage


@pytest.fixture
def decoder():
    """Chain whose image is not zero, as it is at the beginning."""
    torch.manual_seed(0)
    net = DictionaryDecoder(5, 2, (12, 8), 2, channels=3, n_atoms=(20, 7), n_iter=3)
    with torch.no_grad():
        for stage in net.stages:
            stage.B.normal_()
    return net.double()


def test_stage_is_istc():
    torch.manual_seed(0)
    stage = DictionaryStage(6, 4, n_atoms=9, n_iter=3, alpha=0.2)
    y = torch.randn(5, 6)
    A, step, z = stage.atoms(), stage.log_step.exp(), torch.zeros(5, 9)
    assert torch.allclose(A.norm(dim=1), torch.ones(9))
    largest = (y @ A.T).amax(1, keepdim=True).clamp(min=0.2)
    for n in (1, 2, 3):
        threshold = largest * (0.2 / largest) ** (n / 3)
        z = torch.relu(z + step * ((y - z @ A) @ A.T - threshold))
    assert torch.allclose(stage.codes(y), z, atol=1e-5)
    assert torch.allclose(stage(y), z @ stage.B, atol=1e-5)
    assert stage.alpha.item() == pytest.approx(0.2)


def test_begins_at_zero():
    z = torch.randn(6, 5)
    for J in (1, 3):
        net = DictionaryDecoder(5, 2, (16, 8), J, channels=3, n_atoms=(20, 7))
        assert not net(z).any() and net.chain(z)[0][0][:, 2:].any()
        net = ConvolutionalDecoder(5, 2, (16, 8), J, channels=3)
        assert net(z).shape == (6, 2, 16, 8) and not net(z).any()


def test_averages_of_a_stage_are_the_stage_before(decoder):
    maps, codes = decoder.chain(torch.randn(4, 5, dtype=torch.float64))
    assert [tuple(m.shape[1:]) for m in maps] == [(6, 3, 2), (3, 6, 4), (2, 12, 8)]
    assert [c.shape[-1] for c in codes] == [20, 7, 7]
    for coarse, fine in pairwise(maps):
        assert torch.allclose(average_blocks(fine, 1), coarse[:, : fine.shape[1]])
        assert not torch.allclose(fine[..., ::2, ::2], coarse[:, : fine.shape[1]], atol=0.01)


def test_calibration(decoder):
    z = 10 * torch.randn(50, 5, dtype=torch.float64)
    decoder.calibrate(z)
    norm = z.square().sum(1).mean().sqrt()
    assert torch.isclose(decoder.stages[0].alpha, 0.1 * norm, rtol=1e-6)
    maps = decoder.chain(z)[0][0]
    patches = (
        torch.nn.functional.pad(maps, [1] * 4, mode="replicate").unfold(2, 3, 1).unfold(3, 3, 1)
    )
    norm = patches.square().sum((1, 4, 5)).mean().sqrt()
    assert torch.isclose(decoder.stages[1].alpha, 0.1 * norm, rtol=1e-6)


def test_patches_of_atoms_by_loops(decoder):
    z = torch.randn(2, 5, dtype=torch.float64)
    maps, codes = decoder.chain(z)
    B, (fine, coarse) = decoder.details(2), (maps[2], maps[1])
    expected = torch.zeros(2, 2, 6 * 2 + 4, 4 * 2 + 4, dtype=torch.float64)
    for y in range(6):
        for x in range(4):
            patch = torch.einsum("nk,kchw->nchw", codes[2][:, 4 * y + x], B) / 9
            expected[..., 2 * y : 2 * y + 6, 2 * x : 2 * x + 6] += patch
    repeated = coarse[:, :2].repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.allclose(fine, repeated + expected[..., 2:-2, 2:-2])
    # the code is that of the neighbourhood, the border repeated
    neighbours = coarse[:, :, [0, 0, 1]][..., [0, 0, 1]].flatten(1)
    assert torch.allclose(decoder.stages[2].codes(neighbours), codes[2][:, 0])


def test_atoms_and_what_is_observed_of_them(decoder):
    D = decoder.atoms(1)
    assert D.shape == (7, 3, 6, 6) and decoder.atoms(0).shape == (20, 6, 3, 2)
    observed = decoder.stages[1].atoms().unflatten(1, (6, 3, 3))[:, :3]
    assert torch.allclose(average_blocks(D, 1), observed)


def test_odd_sizes_and_gradients():
    torch.manual_seed(0)
    for net in (
        DictionaryDecoder(4, 1, (13, 9), 2, channels=2, n_atoms=(8, 5)),
        ConvolutionalDecoder(4, 1, (13, 9), 2, channels=2),
    ):
        x = net(torch.randn(3, 4))
        assert x.shape == (3, 1, 13, 9)
        (x - 1).square().sum().backward()
        assert sum(p.grad.abs().sum() > 0 for p in net.parameters() if p.grad is not None) > 0


def test_average_blocks():
    x = torch.arange(12.0).reshape(1, 1, 3, 4)
    assert average_blocks(x, 0) is x
    assert average_blocks(x, 1)[0, 0].tolist() == [[2.5, 4.5], [8.5, 10.5]]
