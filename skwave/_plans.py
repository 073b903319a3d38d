"""Filters of scattering transforms, made once for each shape, type and device."""

from functools import lru_cache
from threading import Lock

import torch

from skwave.functional import Layout, Path, Plan, scattering_layout, scattering_paths
from skwave.functional import scattering_plan as make_plan

# values that a GPU works on at once; a CPU's default is the size of its cache
_CUDA_BLOCK = 2**26
_lock = Lock()


@lru_cache(maxsize=8)
def _plan(shape, dtype, device, **parameters):
    if device.type != "cpu":
        parameters["block"] = _CUDA_BLOCK
    return make_plan(shape, dtype=dtype, device=device, **parameters)


def cached_plan(shape, dtype, device, **parameters) -> Plan:
    """Plan of a scattering transform; threads that ask for the same wait for one to make it.

    Parameters
    ----------
    shape : tuple of int
        Signal.
    dtype : torch.dtype
        Type float32 or float64.
    device : torch.device
        Device of the filters.
    **parameters
        Those of `scattering_layout`.

    Returns
    -------
    plan : Plan
        Kept for the next call.
    """
    # filters made in inference mode could not be used for training later
    with _lock, torch.inference_mode(False):
        return _plan(shape, dtype, device, **parameters)


@lru_cache(maxsize=64)
def cached_layout(shape, **parameters) -> tuple[Layout, tuple[Path, ...]]:
    """Layout of a scattering transform, and its paths.

    Parameters
    ----------
    shape : tuple of int
        Signal.
    **parameters
        Those of `scattering_layout`.

    Returns
    -------
    layout : Layout
        Kept for the next call.
    paths : tuple of Path
        In the order of the coefficients.
    """
    layout = scattering_layout(shape, **parameters)
    return layout, tuple(scattering_paths(layout))


def layout_parameters(model) -> dict:
    """Parameters of `scattering_layout` from those of the estimator or of the layer.

    Parameters
    ----------
    model : ScatteringTransformer or nn.Scattering
        What has the attributes ``J``, ``L``, ``Q`` and so on.

    Returns
    -------
    parameters : dict
        Keywords.
    """
    Q = model.Q if isinstance(model.Q, tuple) else (model.Q, model.Q if model.ndim == 2 else 1)
    names = ("J", "L", "max_order", "averaging", "oversampling", "padding")
    n_phases = model.n_phases if model.nonlinearity == "rectifier" else None
    T = model.T if model.averaging == "local" else None  # no other average has a low-pass
    return {**{n: getattr(model, n) for n in names}, "Q": Q, "T": T, "n_phases": n_phases}


def check_scales(shape, J, T, averaging, note="") -> None:
    """Refuse scales that do not fit into a signal.

    Parameters
    ----------
    shape : tuple of int
        Signal.
    J : int
        Log2 of the largest scale.
    T : float or None
        Support of the low-pass.
    averaging : {"local", "global"} or None
        Kind of average.
    note : str, default=""
        Put behind the shape in the message.

    Raises
    ------
    ValueError
        If ``2**J``, or ``T`` with a local average, exceeds the smallest side.
    """
    # a side of one pixel is constant: no scale is too large for it
    sides = [n for n in shape if n != 1]
    largest = max(int(min(sides, default=0)).bit_length() - 1, 0)
    if J > largest:
        support = f" = {2**J}" if J < 64 else ""
        raise ValueError(
            f"J={J} is too large: 2**J{support} samples do not fit into signals of shape "
            f"{shape}{note}. "
            + (f"Use J <= {largest}." if largest else "They are too short for any J.")
        )
    if T is not None and averaging == "local" and min(sides) < T:
        raise ValueError(
            f"T={T} exceeds the signals of shape {shape}: use T <= {min(sides)}, or "
            "averaging='global' for the mean over the whole signal."
        )
