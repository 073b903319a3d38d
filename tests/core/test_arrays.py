import numpy as np
import pytest
import torch

from skwave import ScatteringTransformer
from skwave._core.arrays import available_devices, resolve_device, resolve_dtype, to_tensor


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("uint8", "float32"),
        ("int16", "float32"),
        ("bool", "float32"),
        ("int32", "float64"),
        ("int64", "float64"),
        ("float32", "float32"),
        ("float64", "float64"),
    ],
)
def test_output_types(dtype, expected):
    X = np.arange(64).reshape(2, 32) % 2
    est = ScatteringTransformer(J=2)
    assert est.fit_transform(X.astype(dtype)).dtype == expected
    y = est.fit_transform(torch.from_numpy(X.astype(dtype)))
    assert str(y.dtype) == f"torch.{expected}"


@pytest.mark.parametrize("dtype", ["float32", np.float32, np.dtype("float32"), torch.float32])
def test_dtype_parameter(dtype):
    X = np.ones((2, 32))
    assert ScatteringTransformer(J=2, dtype=dtype).fit_transform(X).dtype == np.float32
    assert resolve_dtype(dtype, X) == torch.float32


def test_devices():
    X = np.ones((2, 32))
    assert available_devices()[0] == "cpu"
    assert resolve_device(None, X) == resolve_device("cpu", X) == torch.device("cpu")
    assert str(resolve_device("auto", X)) in available_devices()
    with pytest.raises(ValueError, match="does not exist"):
        resolve_device("meta", X)


@pytest.mark.skipif("cuda:0" not in available_devices(), reason="needs CUDA")
@pytest.mark.parametrize("device", ["cuda", "auto"])
def test_cuda_agrees_and_results_come_back(device):
    X = np.random.default_rng(0).standard_normal((4, 16, 16))
    expected = ScatteringTransformer(J=2, ndim=2).fit_transform(X)
    moved = ScatteringTransformer(J=2, ndim=2, device=device).fit_transform(X)
    np.testing.assert_allclose(moved, expected, atol=1e-12)
    x = torch.from_numpy(X).cuda()
    y = ScatteringTransformer(J=2, ndim=2).fit_transform(x)
    assert y.is_cuda
    np.testing.assert_allclose(y.cpu(), expected, atol=1e-12)


def test_to_tensor_shares_memory_where_it_can():
    X = np.ones((2, 3), np.float32)
    x = to_tensor(X, torch.float32, torch.device("cpu"))
    assert x.data_ptr() == X.ctypes.data
    X.flags.writeable = False
    assert to_tensor(X, torch.float32, torch.device("cpu")).data_ptr() != X.ctypes.data
