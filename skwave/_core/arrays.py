"""Arrays of numpy, torch and the array API; no other module tells these kinds apart."""

import numpy as np
import torch

from skwave._core.compat import get_namespace

_DTYPES = {"float32": torch.float32, "float64": torch.float64}


def dtype_name(dtype):
    """Name of a floating type, the same for numpy, torch and the array API.

    Parameters
    ----------
    dtype : numpy or torch dtype, numpy scalar type, or name
        Any of ``"float32"``, ``np.float32``, ``np.dtype("float32")``, ``torch.float32``.

    Returns
    -------
    name : str
        Such as ``"float32"``.
    """
    name = dtype.__name__ if isinstance(dtype, type) else str(dtype)
    return name.split(".")[-1]  # "torch.float32" without the library


def resolve_dtype(dtype, X):
    """Torch dtype to compute in: ``dtype``, or that of ``X`` if it is None.

    Parameters
    ----------
    dtype : {"float32", "float64"}, dtype or None
        The parameter of the estimator.
    X : array
        Validated samples.

    Returns
    -------
    dtype : torch.dtype
        The type float32 or float64.

    Raises
    ------
    ValueError
        If ``dtype`` is anything else.
    """
    if dtype is None:
        dtype = X.dtype
    name = dtype_name(dtype)
    if name not in _DTYPES:
        raise ValueError(
            f"dtype={dtype!r} is not a type to compute in: use 'float32', 'float64', or None "
            "for that of the input."
        )
    return _DTYPES[name]


def available_devices():
    """Names of the devices of this machine that torch can compute on.

    Returns
    -------
    names : list of str
        ``"cpu"`` first.
    """
    names = ["cpu"] + [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return names + ["mps"] * torch.backends.mps.is_available()


def resolve_device(device, X):
    """Device to compute on.

    Parameters
    ----------
    device : str, torch.device or None
        ``None``: where ``X`` lives; ``"auto"``: CUDA if there is one.
    X : array
        Validated samples.

    Returns
    -------
    device : torch.device
        A device that exists.

    Raises
    ------
    ValueError
        If there is no such device; the message lists those there are.
    """
    if device is None:
        return X.device if isinstance(X, torch.Tensor) else torch.device("cpu")
    names = available_devices()
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda:0" if "cuda:0" in names else "cpu")
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError):
        chosen = None
    if chosen is not None and chosen.type == "cuda" and chosen.index is None:
        chosen = torch.device("cuda:0")
    # the one device of its kind is "mps" by name, and "mps:0" where a tensor says it
    if str(chosen).removesuffix(":0" if chosen and chosen.type == "mps" else "") not in names:
        raise ValueError(
            f"device={device!r} does not exist on this machine: use one of {names}, 'auto', or "
            "None for the device of the input."
        )
    return chosen


def to_tensor(X, dtype, device):
    """Torch tensor of a block of samples.

    Parameters
    ----------
    X : array
        Block of validated samples.
    dtype : torch.dtype
        Floating type.
    device : torch.device
        Where to.

    Returns
    -------
    x : Tensor
        Shares memory with ``X`` where it can.
    """
    if isinstance(X, np.ndarray):
        # torch has no read-only tensors, nor negative strides
        X = np.require(X, requirements=["C", "W"])
        X = torch.from_numpy(X)
    return native(X).to(device=device, dtype=dtype)


def records_gradient(X):
    """Whether results of samples are to keep a graph.

    Parameters
    ----------
    X : object
        Samples.

    Returns
    -------
    records : bool
        True for a tensor that requires a gradient, where one is recorded.
    """
    return isinstance(X, torch.Tensor) and X.requires_grad and torch.is_grad_enabled()


def native(X):
    """Array of numpy or torch, of an array of any kind.

    Parameters
    ----------
    X : array
        Samples.

    Returns
    -------
    X : ndarray or Tensor
        The argument, but an array of the array API becomes a tensor that shares its memory.
    """
    # numbers of numpy have a namespace too
    if hasattr(X, "__array_namespace__") and not isinstance(X, np.ndarray | np.generic):
        return torch.from_dlpack(X)
    return X


def to_numpy(X):
    """Numpy array of a tensor or of an array of the array API.

    Parameters
    ----------
    X : object
        A tensor, an array, or anything else.

    Returns
    -------
    X : object
        A numpy array, in memory and without a graph; anything else is given back as it is. numpy
        has no bfloat16, whose values float32 holds.

    Raises
    ------
    ValueError
        If ``X`` is a sparse tensor.
    """
    X = native(X)
    if not isinstance(X, torch.Tensor):
        return X
    refuse_sparse(X)
    return (X.float() if X.dtype == torch.bfloat16 else X).numpy(force=True)


def refuse_sparse(X):
    """Raise an error if a tensor is sparse, which no transform is made for.

    Parameters
    ----------
    X : Tensor
        Of any layout.

    Raises
    ------
    ValueError
        If the layout is not that of a dense tensor.
    """
    if X.layout != torch.strided:
        raise ValueError(
            f"X is a sparse tensor of shape {tuple(X.shape)}, layout {X.layout}: give a dense one, "
            "X.to_dense()."
        )


def reshape(Y, shape):
    """Reshape an array of any kind.

    Parameters
    ----------
    Y : array
        Of numpy, of torch or of the array API.
    shape : tuple of int
        New shape.

    Returns
    -------
    Y : array
        Of the same kind.
    """
    if isinstance(Y, torch.Tensor | np.ndarray):
        return Y.reshape(shape)
    xp, _ = get_namespace(Y)
    return xp.reshape(Y, shape)


def from_tensor(y, X):
    """Array of the same kind as ``X``, of a tensor.

    Parameters
    ----------
    y : Tensor
        Results, on the device of ``X`` if that is a tensor.
    X : array
        Validated samples.

    Returns
    -------
    Y : array
        Of the namespace and on the device of ``X``.
    """
    return y if isinstance(X, torch.Tensor) else like_kind(y.cpu().numpy(), X)


def empty_like_kind(X, shape, dtype):
    """New output array, of the kind and on the device of ``X``.

    Parameters
    ----------
    X : array
        Validated samples.
    shape : tuple of int
        Shape.
    dtype : torch.dtype
        Floating type.

    Returns
    -------
    out : ndarray or Tensor
        For an array-API array, a numpy array that `like_kind` turns into its kind.
    """
    if isinstance(X, torch.Tensor):
        return torch.empty(shape, dtype=dtype, device=X.device)
    return np.empty(shape, dtype=dtype_name(dtype))


def write(out, start, y):
    """Write a block of results into the output of `empty_like_kind`.

    Parameters
    ----------
    out : ndarray or Tensor
        Output.
    start : int
        First row.
    y : Tensor
        Block of results, on any device.
    """
    rows = slice(start, start + len(y))
    out[rows] = y if isinstance(out, torch.Tensor) else y.cpu().numpy()


def like_kind(out, X):
    """Array of the same kind as ``X``, of an output of `empty_like_kind`.

    Parameters
    ----------
    out : ndarray or Tensor
        Output of `empty_like_kind`.
    X : array
        Validated samples.

    Returns
    -------
    out : array
        Of the namespace and on the device of ``X``.
    """
    if isinstance(X, torch.Tensor | np.ndarray):
        return out
    xp, _ = get_namespace(X)
    return xp.asarray(out, device=X.device)
