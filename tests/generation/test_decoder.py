"""The decoder from codes to images."""

import pickle

import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.linear_model import Ridge

from skwave.generation._decoder import Decoder, check_atoms, fit_regression
from skwave.generation._layers import average_blocks, make_decoder

rng = np.random.default_rng(0)
CODES, IMAGES = rng.standard_normal((50, 4)), rng.standard_normal((50, 2 * 7 * 6))
SHAPE = (2, 7, 6)
DESIGNS = {
    "linear": None,
    "dictionary": {"channels": 3, "n_atoms": (20, 7), "n_iter": 3, "alpha": 0.1},
    "convolutional": {"channels": 3},
}


@pytest.fixture(params=DESIGNS)
def decoder(request):
    """Regression, and a network of random weights."""
    regression = fit_regression(CODES, IMAGES, SHAPE, 2, linear=True, ridge_alpha=2.0)
    if request.param == "linear":
        return regression
    shared = {"n_features": 4, "n_channels": 2, "shape": [7, 6], "J": 2}
    design = {"decoder": request.param, **shared, **DESIGNS[request.param]}
    torch.manual_seed(0)
    network = make_decoder(**design).double().eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.normal_(std=0.3)
    return Decoder(regression.coef, regression.intercept, SHAPE, 2, design, network)


def test_regression():
    found = fit_regression(CODES, IMAGES, SHAPE, 2, linear=True, ridge_alpha=2.0)
    expected = Ridge(2.0).fit(CODES, IMAGES).predict(CODES)
    images = found.regression(torch.from_numpy(CODES))
    assert images.shape == (50, *SHAPE) and np.allclose(images.flatten(1), expected)
    mean = fit_regression(CODES, IMAGES, SHAPE, 2, linear=False, ridge_alpha=2.0)
    images = mean.regression(torch.from_numpy(CODES))
    assert np.allclose(images.flatten(1), np.broadcast_to(IMAGES.mean(0), IMAGES.shape))


def test_sum_of_regression_and_network(decoder):
    z = torch.from_numpy(CODES)
    (images,) = decoder.coarse_to_fine(z, [0])
    expected = decoder.regression(z)
    if decoder.network is not None:
        with torch.no_grad():
            G = decoder.network(z)
        assert G.abs().max() > 0.01
        expected = expected + G
    assert torch.allclose(images, expected)


def test_scales_are_averages_of_each_other(decoder):
    z = torch.from_numpy(CODES)
    images = decoder.coarse_to_fine(z, [2, 1, 0])
    assert [tuple(x.shape) for x in images] == [(50, 2, 2, 2), (50, 2, 4, 3), (50, 2, 7, 6)]
    # blocks at the border of an odd size are smaller, and the chain has those within alone
    coarse, fine = average_blocks(images[1][..., :3, :], 1), images[0]
    assert torch.allclose(coarse[..., :1, :1], fine[..., :1, :1])
    assert torch.equal(decoder.coarse_to_fine(z, [1])[0], images[1])


def test_working_memory_does_not_matter(decoder):
    z = torch.from_numpy(CODES)
    expected = decoder.coarse_to_fine(z, [1, 0])
    with config_context(working_memory=0.02):  # 20 kB: an image or two
        found = decoder.coarse_to_fine(z, [1, 0])
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b)


def test_pickle_and_weights(decoder):
    z, again = torch.from_numpy(CODES), pickle.loads(pickle.dumps(decoder))
    assert torch.equal(again.coarse_to_fine(z, [0])[0], decoder.coarse_to_fine(z, [0])[0])
    assert again.n_parameters() == decoder.n_parameters()
    if decoder.network is None:
        assert decoder.n_parameters() == 0
    else:
        sizes = [w.size for w in decoder.__getstate__()["network"].values()]
        assert 0 < decoder.n_parameters() <= sum(sizes)


def test_description(decoder):
    dictionaries, sparsity, coherence = decoder.describe(CODES)
    if not decoder.design or decoder.design["decoder"] != "dictionary":
        assert dictionaries == sparsity == coherence == []
        return
    assert [D.shape for D in dictionaries] == [(7, 2, 6, 6), (7, 3, 6, 6), (20, 6, 2, 2)]
    codes = decoder.network.chain(torch.from_numpy(CODES))[1]
    assert np.allclose(sparsity, [(c > 0).double().mean().item() for c in codes[::-1]])
    for stage, found in zip(decoder.network.stages, coherence[::-1], strict=True):
        D = stage.atoms().detach().numpy()
        assert np.isclose(found, np.abs(D @ D.T - np.eye(len(D))).max())


def test_numbers_of_atoms():
    check_atoms((3, 4))
    for bad in ((3,), (3, 0), (3, 2.5), (3, 4, 5), (True, 2)):
        with pytest.raises(ValueError, match=r"n_atoms=.* must be two integers from 1"):
            check_atoms(bad)
