"""Layers that code vectors in dictionaries."""

import pickle

import pytest
import torch

from skwave.nn import ISTC, PhaseCollapse, Rectifier, TightFrame

LAYERS = [
    lambda: ISTC(5, 8, 4, alpha=0.05),
    lambda: ISTC(5, 8, 4, alpha=0.05, free=True),
    lambda: TightFrame(5, 8, alpha=0.05),
    lambda: TightFrame(5, 3, alpha=0.05),
    lambda: Rectifier(5, 8),
    lambda: PhaseCollapse(5, 8),
]


@pytest.mark.filterwarnings("ignore:You are using `torch.load`")  # torch before 2.6
@pytest.mark.parametrize("layer", LAYERS)
def test_gradients_axes_and_pickle(layer, randn):
    torch.manual_seed(0)
    layer = layer().double()
    parameters = dict(layer.named_parameters())
    names = list(parameters)

    def f(x, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,))

    x = torch.nn.functional.normalize(randn(3, 5), dim=1).requires_grad_()
    assert torch.autograd.gradcheck(f, (x, *parameters.values()))
    z = layer(x)
    assert (z >= 0).all() and (z > 0).any()
    assert torch.equal(layer(x.view(3, 1, 1, 5)), z.view(3, 1, 1, -1))
    assert torch.equal(pickle.loads(pickle.dumps(layer))(x), z)
    assert layer.atoms().shape == (z.shape[1], 5)


def test_the_dictionaries_of_istc(randn):
    layer = ISTC(5, 8, free=True).double()
    with torch.no_grad():
        layer.D.normal_()
        layer.W.normal_()
    D, W = layer.atoms(), layer.auxiliary()
    assert torch.allclose(D.norm(dim=1), torch.ones(8, dtype=D.dtype))
    assert torch.allclose((D * W).sum(1), torch.ones(8, dtype=D.dtype))
    assert not torch.allclose(D, W)
    tied = ISTC(5, 8)
    assert torch.equal(tied.atoms(), tied.auxiliary())
    kept = ISTC(5, 8, free=True, learn_dictionary=False)
    assert [name for name, p in kept.named_parameters() if p.requires_grad] == ["log_alpha"]


def test_orthonormal_atoms_are_soft_thresholded():
    layer = ISTC(4, 4, n_iter=5, alpha=0.2)
    with torch.no_grad():
        layer.D.copy_(torch.eye(4))
    x = torch.tensor([[0.9, 0.3, 0.1, -0.8]])
    assert torch.allclose(layer(x), torch.tensor([[0.7, 0.1, 0.0, 0.0]]))


def test_the_tight_frame(randn):
    for n_atoms in (3, 5, 9):
        F = TightFrame(5, n_atoms).double().atoms()
        product = F.T @ F if n_atoms >= 5 else F @ F.T
        assert torch.allclose(product, torch.eye(len(product), dtype=F.dtype))
    layer = TightFrame(5, 9, alpha=0.3).double()
    x = randn(20, 5)
    assert torch.allclose(layer(x), (x @ layer.atoms().T - 0.3).clamp(min=0))
    frames = []
    for pivot in (1e-7, -1e-7):
        with torch.no_grad():
            layer.F[0, 0] = pivot
        frames.append(layer.atoms())
    assert torch.allclose(*frames, atol=1e-5)


def test_phases_collapse(randn):
    layer = PhaseCollapse(5, 8).double()
    x = randn(20, 5)
    z = (x.to(torch.complex128) @ layer.atoms().T).abs()
    assert torch.allclose(layer(x), z) and torch.allclose(layer(-x), z)
