import copy
import io
import pickle
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from skwave import ScatteringTransformer
from skwave.scattering._layer import Scattering
from skwave.testing import assert_close

PARAMETERS = [
    ((64,), {"J": 3, "ndim": 1}),
    ((50,), {"J": 3, "Q": (4, 2), "ndim": 1, "T": 12.0, "boundary": "zero"}),
    ((64,), {"J": 3, "ndim": 1, "averaging": None, "oversampling": 1}),
    ((16, 20), {"J": 2, "L": 3, "ndim": 2}),
    ((16, 20), {"J": 2, "L": 3, "ndim": 2, "Q": 2, "averaging": "global", "max_order": 1}),
    ((16, 16), {"J": 2, "L": 2, "ndim": 2, "nonlinearity": "rectifier", "n_phases": 3}),
    ((16, 16), {"J": 1, "ndim": 2, "averaging": None, "boundary": "periodic"}),
]


def hybrid(n_classes=3):
    return nn.Sequential(
        Scattering(J=2, L=3, ndim=2),
        nn.Flatten(1, 2),
        nn.BatchNorm2d(16),
        nn.Flatten(),
        nn.Linear(16 * 16, n_classes),
    )


@pytest.mark.parametrize(("shape", "parameters"), PARAMETERS)
def test_coefficients_are_those_of_the_estimator(randn, device, shape, parameters):
    x = randn(2, 3, *shape)
    est = ScatteringTransformer(**parameters).fit(x)
    s = Scattering(**parameters)(x.to(device)).cpu()
    assert s.shape == (2, *est.output_shape_) or parameters.get("averaging") == "global"
    assert_close(s.flatten(1), est.transform(x))


def test_parameters_are_those_of_the_estimator():
    from inspect import signature

    ours = signature(Scattering).parameters
    theirs = signature(ScatteringTransformer).parameters
    assert set(theirs) - set(ours) == {
        "shape", "reduce", "log", "renormalize", "sampling_rate", "cache", "device", "dtype",
        "batch_size", "n_jobs", "verbose",
    }  # fmt: skip
    for name, parameter in ours.items():
        assert parameter.kind == theirs[name].kind
        if name != "J":  # which the estimator can take from the data
            assert parameter.default == theirs[name].default


@pytest.mark.parametrize("leading", [(), (1,), (2, 3), (2, 1, 3, 1), (0,), (2, 0)])
def test_leading_axes(randn, leading):
    layer = Scattering(J=2, L=3, ndim=2)
    x = randn(*leading, 12, 8)
    s = layer(x)
    assert s.shape == (*leading, 16, 3, 2)
    if x.numel():
        assert_close(s.reshape(-1, 16, 3, 2)[-1], layer(x.reshape(-1, 12, 8)[-1]))
    assert Scattering(J=2, ndim=2, averaging="global")(x).shape == (*leading, 81, 1, 1)
    assert Scattering(J=2, ndim=1, averaging="global")(x).shape == (*leading, 12, 4, 1)


def test_number_of_axes_is_that_of_the_estimator(randn):
    for shape in [(64,), (2, 64), (2, 3, 16, 16)]:
        x, ndim = randn(*shape), 2 if len(shape) == 4 else 1
        assert torch.equal(Scattering(J=2)(x), Scattering(J=2, ndim=ndim)(x))
    for shape in [(2, 16, 16), (2, 2, 3, 16, 16)]:
        with pytest.raises(ValueError, match=r"X has \d axes.*give Scattering ndim=2 for images"):
            Scattering(J=2)(randn(*shape))


@pytest.mark.parametrize(("shape", "parameters"), PARAMETERS)
def test_gradient(randn, shape, parameters):
    layer, x = Scattering(**parameters), randn(1, *shape).requires_grad_()
    weight = torch.linspace(-1, 1, layer(x).numel(), dtype=torch.float64)
    torch.autograd.gradcheck(lambda x: (weight * layer(x).flatten()).sum(), x, fast_mode=True)


def test_input_is_not_changed(randn):
    x = randn(2, 64)
    before = x.clone()
    Scattering(J=3)(x)
    assert torch.equal(x, before)
    # of any memory layout
    assert_close(Scattering(J=3)(x.T.contiguous().T), Scattering(J=3)(x))
    assert_close(Scattering(J=3)(x[:1].expand(2, 64)), Scattering(J=3)(x[[0, 0]]))


def test_training_lowers_the_loss(randn):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = hybrid()
        # something to learn on either side of the layer
        network.insert(0, nn.Conv2d(1, 1, 3, padding=1))
        network[2], network[3] = nn.Flatten(1, 2), nn.BatchNorm2d(16)
    x, y = randn(12, 1, 16, 16, dtype=torch.float32), torch.arange(12) % 3
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    first = network[0].weight.detach().clone()
    losses = []
    for _ in range(12):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(network(x), y)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert float((network[0].weight.detach() - first).norm()) > 0.01


def test_it_holds_nothing(randn):
    layer = Scattering(J=2, L=3, ndim=2)
    x = randn(2, 16, 16, dtype=torch.float32)
    layer(x)
    assert not layer.state_dict() and not list(layer.parameters()) and not list(layer.buffers())
    assert len(pickle.dumps(layer)) < 2000
    assert repr(layer).startswith("Scattering(J=2, L=3, Q=1, ndim=2")


def test_state_dict(randn):
    x = randn(4, 1, 16, 16, dtype=torch.float32)
    network, other = hybrid(), hybrid()
    network(x)  # filters made, statistics moved
    state = network.state_dict()
    assert {key.split(".")[0] for key in state} == {"2", "4"}
    other.load_state_dict(state, strict=True)
    assert torch.equal(other.eval()(x), network.eval()(x))


@pytest.mark.parametrize(
    "parameters", [{"J": 2, "L": 3, "ndim": 2}, {"J": 3, "Q": (8, 2), "ndim": 1}]
)
def test_copies(randn, parameters):
    layer, x = Scattering(**parameters), randn(2, 16, 16)
    expected = layer(x)
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    for same in (pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer), loaded):
        assert repr(same) == repr(layer)
        assert torch.equal(same(x), expected)


def test_a_parameter_can_be_set_later(randn):
    layer, x = Scattering(J=3), randn(64)
    layer(x)
    layer.J = 4
    assert torch.equal(layer(x), Scattering(J=4)(x))


def test_types_follow_the_input(randn, device):
    network = hybrid()
    x = randn(3, 1, 16, 16)
    network.double().to(device)
    y = network(x.to(device))
    assert y.dtype == torch.float64 and y.device.type == device
    network.float()
    assert network(x.float().to(device)).dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(randn, dtype):
    layer = Scattering(J=2, L=3, ndim=2)
    x = randn(2, 16, 16).to(dtype).requires_grad_()
    s = layer(x)
    assert s.dtype == dtype
    expected = layer(x.detach().float())
    assert torch.equal(s, expected.to(dtype))
    s.float().sum().backward()
    assert x.grad.dtype == dtype and x.grad.isfinite().all()
    # a network of half precision goes through
    assert nn.Sequential(layer, nn.Flatten(), nn.Linear(256, 2)).to(dtype)(x).dtype == dtype


def test_autocast(randn):
    layer = Scattering(J=2, L=3, ndim=2)
    x = randn(2, 16, 16, dtype=torch.float32).requires_grad_()
    expected = layer(x)
    (gradient,) = torch.autograd.grad(expected.square().sum(), x)
    network = nn.Sequential(layer, nn.Flatten(), nn.Linear(256, 2))
    with torch.autocast("cpu", torch.bfloat16):
        s = layer(x)
        assert torch.equal(s, expected)
        assert torch.equal(torch.autograd.grad(s.square().sum(), x)[0], gradient)
        assert network(x).dtype == torch.bfloat16


def test_modes(randn):
    layer, x = Scattering(J=3), randn(2, 64)
    expected = layer(x)
    assert torch.equal(layer.eval()(x), expected) and torch.equal(layer.train()(x), expected)
    y = x.clone().requires_grad_()
    with torch.no_grad():
        assert not layer(y).requires_grad
    assert_close(layer(y).detach(), expected)
    with torch.inference_mode():
        assert torch.equal(layer(x), expected)


def test_training_after_inference_mode(randn):
    # the first call for a shape makes the filters, which the later one shares
    x = randn(1, 29, 31)
    with torch.inference_mode():
        Scattering(J=2, L=2, ndim=2)(x)
    layer, x = Scattering(J=2, L=2, ndim=2), x.requires_grad_()
    (gradient,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
    gradient.square().sum().backward()
    assert x.grad.isfinite().all()


def test_compiled_network(randn):
    pytest.importorskip("torch._dynamo")
    network = hybrid().eval()
    x = randn(2, 1, 16, 16, dtype=torch.float32)
    expected = network(x)
    network[0] = torch.compiler.disable(network[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compiled = torch.compile(network, backend="eager")
            found = compiled(x)
        except RuntimeError as error:
            if "not supported" not in str(error):
                raise
            pytest.skip(f"no dynamo here: {error}")
        found.sum().backward()
    assert_close(found.detach(), expected.detach())
    assert network[-1].weight.grad is not None


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"J": 0}, r"'J' parameter of Scattering must be an int .* \[1, inf\)\. Got 0"),
        ({"J": None}, "'J' parameter of Scattering must be an int .* Got None"),
        ({"J": True}, "'J' parameter of Scattering must be an int .* Got True"),
        ({"J": 2.0}, r"'J' parameter .* Got 2\.0"),
        ({"J": 2, "L": "8"}, "'L' parameter .* Got '8'"),
        (
            {"J": 2, "Q": 0},
            r"'Q' parameter .* \[1, 1024\] or a tuple of two, such as .*, each .* Got 0",
        ),
        ({"J": 2, "Q": (1, 2, 3)}, r"'Q' parameter .* Got \(1, 2, 3\)"),
        ({"J": 2, "Q": (1, 0)}, r"'Q' parameter .* Got \(1, 0\)"),
        ({"J": 2, "Q": [8, 1]}, r"'Q' parameter .* Got \[8, 1\]"),
        ({"J": 2, "ndim": 3}, r"'ndim' parameter .* \[1, 2\] or None\. Got 3"),
        ({"J": 2, "max_order": 3}, r"'max_order' parameter .* \[0, 2\]\. Got 3"),
        ({"J": 2, "T": 0.5}, r"'T' parameter .* \[1\.0, inf\) or None\. Got 0\.5"),
        ({"J": 2, "T": "global"}, "'T' parameter .* Got 'global'"),
        ({"J": 2, "T": float("nan")}, "'T' parameter .* Got nan"),
        ({"J": 2, "nonlinearity": "relu"}, "'nonlinearity' parameter .*rectifier.* Got 'relu'"),
        ({"J": 2, "n_phases": 0}, r"'n_phases' parameter .* \[1, 1024\]\. Got 0"),
        ({"J": 2, "n_phases": 10**9}, r"'n_phases' parameter .* \[1, 1024\]\. Got 1000000000"),
        ({"J": 2, "averaging": "mean"}, "'averaging' parameter .*local.* Got 'mean'"),
        ({"J": 2, "oversampling": -1}, r"'oversampling' parameter .* \[0, inf\)\. Got -1"),
        ({"J": 2, "boundary": "same"}, "'boundary' parameter .*reflect.* Got 'same'"),
    ],
)
def test_bad_parameters_are_named(parameters, message):
    with pytest.raises(ValueError, match=message):
        Scattering(**parameters)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones((2, 16, 16)), "takes tensors, not ndarray: torch"),
        (torch.ones(2, 16, 16, dtype=torch.int64), r"not torch\.int64: x\.float\(\)"),
        (torch.ones(2, 16, 16, dtype=torch.complex64), r"not torch\.complex64"),
        (torch.ones(16), r"shape \(16,\) has fewer axes.*\(H, W\)"),
        (torch.ones(16, 3), r"J=2 is too large: 2\*\*J = 4 .*\(16, 3\).*Use J <= 1"),
        (torch.ones(2, 16, 0), "too short for any J"),
    ],
)
def test_bad_input_is_refused(x, message):
    with pytest.raises((ValueError, TypeError), match=message):
        Scattering(J=2, L=2, ndim=2)(x)


def test_a_support_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="T=65 exceeds"):
        Scattering(J=2, T=65)(torch.ones(64))
