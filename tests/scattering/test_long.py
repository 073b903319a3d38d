"""Long signals in pieces: the same as the whole, in little memory."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from skwave import ScatteringTransformer
from skwave.functional import scattering, scattering_paths, scattering_plan
from skwave.scattering import _long
from skwave.scattering._long import Pieces, is_long, size_of_pieces
from skwave.scattering._plans import layout_parameters

CPU = torch.device("cpu")
rng = np.random.default_rng(0)


@pytest.fixture
def short_pieces(monkeypatch):
    """Pieces of about a thousand samples, so that signals of some thousands are long."""
    monkeypatch.setattr(_long, "_EXTENDED", 2**11)


def whole(est, X):
    """Coefficients of the signals in one piece, (n_samples, n_channels, n), without logarithm."""
    (n,) = est.signal_shape_
    x = torch.as_tensor(X).reshape(len(X), -1, n)
    plan = scattering_plan((n,), dtype=x.dtype, **layout_parameters(est, (n,)))
    return scattering(x, plan).flatten(2), plan


def fitted(X, **parameters):
    est = ScatteringTransformer(**{"J": 5, "Q": 4, "ndim": 1, **parameters}).fit(X)
    assert is_long(est.signal_shape_, CPU, **layout_parameters(est, est.signal_shape_))
    return est


def signals(n):
    """Noise, a random walk, a step, a chirp and a spike."""
    rng = np.random.default_rng(0)
    t = np.arange(n) / n
    walk = rng.standard_normal(n).cumsum()
    chirp = np.sin(0.25 * np.pi * n * t**2)
    return np.stack([rng.standard_normal(n), walk, t > 0.5, chirp, np.arange(n) == n // 3]) * 1.0


@pytest.mark.parametrize("boundary", ["reflect", "periodic", "zero"])
@pytest.mark.parametrize("averaging", ["local", "global", None])
@pytest.mark.parametrize("n", [2**15, 36_001])
def test_b6_pieces_give_what_the_whole_gives(monkeypatch, n, averaging, boundary):
    monkeypatch.setattr(_long, "_EXTENDED", 2**13)
    X = signals(n)
    est = fitted(X, averaging=averaging, boundary=boundary)
    expected, plan = whole(est, X)
    paths = scattering_paths(plan)
    lengths = [int(np.prod(path.grid)) for path in paths]
    found = torch.from_numpy(est.transform(X)).split(lengths, -1)
    for m in range(3):
        of_order = [i for i, path in enumerate(paths) if len(path.n) == m]
        a = torch.cat([found[i] for i in of_order], -1)
        b = torch.cat([expected[:, 0].split(lengths, -1)[i] for i in of_order], -1)
        # means change with the number of joints, of which signals as long as real ones have fewer
        tol = 2e-6 if averaging == "global" else 1e-6
        assert ((a - b).norm(dim=1) <= tol * b.norm(dim=1)).all()


@pytest.mark.parametrize(
    "parameters",
    [
        {"J": 6, "Q": 8}, {"J": 3, "Q": (2, 2)}, {"T": 20.0}, {"T": 64}, {"max_order": 1},
        {"max_order": 0}, {"oversampling": 1}, {"nonlinearity": "rectifier", "n_phases": 3},
        {"log": True},
    ],
    ids=str,
)  # fmt: skip
def test_b6_pieces_for_other_parameters(short_pieces, parameters):
    X = rng.standard_normal((2, 12000))
    est = fitted(X, **parameters)
    expected = whole(est, X)[0].flatten(1).numpy()
    found = est.transform(X)
    if est.log:
        found, expected = np.exp(found) - 1e-6, np.abs(expected)
    assert found.shape == (2, len(est.get_feature_names_out()))
    assert np.linalg.norm(found - expected) < 1e-6 * np.linalg.norm(expected)


def test_b6_pieces_of_channels_of_any_kind_of_array(short_pieces):
    X = rng.standard_normal((2, 3, 6000)).astype(np.float32)
    est = fitted(X)
    found = est.transform(X)
    assert found.dtype == np.float32
    expected = whole(est, X)[0].flatten(1).numpy()
    assert np.linalg.norm(found - expected) < 2e-6 * np.linalg.norm(expected)
    x = torch.from_numpy(X)
    for other in (x, x.mT.contiguous().mT, x.double().float()):
        assert isinstance(est.transform(other), torch.Tensor)
        np.testing.assert_array_equal(est.transform(other), found)
    np.testing.assert_array_equal(est.transform(X[:, :, ::-1][..., ::-1]), found)
    np.testing.assert_array_equal(est.set_params(n_jobs=2).transform(X), found)
    as_float64 = est.set_params(dtype="float64").transform(X)
    assert as_float64.dtype == np.float64
    np.testing.assert_allclose(found, as_float64, rtol=1e-3, atol=1e-5)


def test_b6_a_gradient_takes_the_whole(short_pieces):
    X = torch.randn(1, 6000, dtype=torch.float64, requires_grad=True)
    est = fitted(X.detach())
    Y = est.transform(X)
    torch.testing.assert_close(Y[0], whole(est, X.detach())[0][0, 0])
    Y.sum().backward()
    assert X.grad.abs().sum() > 0
    with torch.no_grad():
        assert (est.transform(X) - Y).norm() < 1e-6 * Y.norm()
        assert not torch.equal(est.transform(X), Y)


def test_b6_energies_in_pieces(short_pieces, monkeypatch):
    X = rng.standard_normal((2, 2, 9001))
    X[1] = 0
    for parameters in ({}, {"averaging": None}, {"nonlinearity": "rectifier"}):
        est = fitted(X, **parameters)
        ratio = est.explained_energy_ratio(X)
        with monkeypatch.context() as patch:
            patch.setattr(_long, "_FEWEST_PIECES", np.inf)
            np.testing.assert_allclose(ratio, est.explained_energy_ratio(X), rtol=1e-6)
    assert est.explained_energy_ratio(torch.from_numpy(X)).dtype == torch.float64


def test_b6_a_memory_map_is_read_piece_by_piece(short_pieces, tmp_path, monkeypatch):
    X = rng.standard_normal((2, 50_000)).astype(np.float32)
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    est, read = fitted(mapped), []

    def to_tensor(x, *arguments):
        read.append(x.size)
        return original(x, *arguments)

    original = _long.to_tensor
    monkeypatch.setattr(_long, "to_tensor", to_tensor)
    np.testing.assert_array_equal(est.transform(mapped), est.transform(X))
    assert max(read) <= 2**12
    assert len(read) > 100


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells the memory")
def test_b6_memory_is_that_of_a_few_pieces():
    X = rng.standard_normal((1, 3_000_000), dtype=np.float32)
    est = ScatteringTransformer(J=4).fit(X)

    def mebibytes(key):
        status = Path("/proc/self/status").read_text()
        return int(re.search(rf"{key}:\s*(\d+)", status)[1]) / 1024

    Path("/proc/self/clear_refs").write_text("5")
    before = mebibytes("VmRSS")
    output = est.transform(X).nbytes / 2**20
    # compiled loops hold a piece in each lane of a vector, up to 180; at once, it is 1000
    assert mebibytes("VmHWM") - before < output + 200


def test_b6_signals_are_long_by_their_supports():
    def long(n, J, T=None, device=CPU):
        return is_long((n,), device, J=J, T=T)

    assert long(2**18, 8)
    assert not long(2**17, 8)
    assert not long(2**18, 12)
    assert long(2**20, 12)
    assert not long(2**20, 8, T=2**14)
    assert not is_long((1000, 1000), CPU, J=2, T=None)
    cuda = torch.device("cuda")
    assert not long(2**20, 8, device=cuda)
    assert long(2**22, 8, device=cuda)
    assert size_of_pieces(cuda, J=8, T=None) > size_of_pieces(CPU, J=8, T=None)


def test_b6_progress_counts_pieces(short_pieces, capsys):
    X = rng.standard_normal((1, 8192))
    est = fitted(X, verbose=1)
    est.transform(X)
    n = -(-8192 // Pieces(X, 1, 8192, torch.float64, CPU, **layout_parameters(est, (8192,))).size)
    assert f"[ScatteringTransformer] {n}/{n} pieces" in capsys.readouterr().out


def test_b6_values_too_large_name_the_sample(short_pieces):
    X = rng.standard_normal((3, 8192))
    X[1, 5000] = 1e300
    est = fitted(X, dtype="float32")
    with pytest.raises(ValueError, match="sample 1 of X"):
        est.transform(X)
