"""Filters of scattering transforms, made once for each shape, type and device."""

from functools import lru_cache
from itertools import product
from threading import Lock

import numpy as np
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
    names = ("J", "L", "max_order", "averaging", "oversampling", "boundary")
    n_phases = model.n_phases if model.nonlinearity == "rectifier" else None
    T = model.T if model.averaging == "local" else None  # no other average has a low-pass
    return {**{n: getattr(model, n) for n in names}, "Q": Q, "T": T, "n_phases": n_phases}


_INDICES = ("n", "theta", "phase")
_NUMBERS = ("j", "xi", "sigma")


def path_table(layout, paths):
    """Tabulate the wavelets of each path.

    Parameters
    ----------
    layout : Layout
        Made by `skwave.functional.scattering_layout`.
    paths : sequence of Path
        Its paths.

    Returns
    -------
    table : structured ndarray, shape (n_paths,)
        Fields ``order`` and, for each order, the indices and numbers of the wavelet; -1 and
        NaN beyond the order of a path.
    """
    kind = [("order", "i4"), *((name, "i4", 2) for name in _INDICES)]
    table = np.empty(len(paths), [*kind, *((name, "f8", 2) for name in _NUMBERS)])
    for name in _INDICES:
        table[name] = -1
    for name in _NUMBERS:
        table[name] = np.nan
    for row, path in zip(table, paths, strict=True):
        row["order"] = len(path.n)
        for order, (n, phase) in enumerate(zip(path.n, path.phase, strict=True)):
            wavelet = layout.wavelets[order][n]
            row["n"][order], row["phase"][order] = n, phase
            for name in ("j", "theta", "xi", "sigma"):
                row[name][order] = getattr(wavelet, name)
    return table


def path_names(layout, paths):
    """Name the coefficients: order, wavelets, position.

    Parameters
    ----------
    layout : Layout
        Made by `skwave.functional.scattering_layout`.
    paths : sequence of Path
        Its paths.

    Returns
    -------
    names : list of str
        One for each coefficient of a signal.
    """
    names = []
    for path in paths:
        name = f"s{len(path.n)}"
        for order, (n, phase) in enumerate(zip(path.n, path.phase, strict=True)):
            wavelet = layout.wavelets[order][n]
            image = layout.geometry.ndim == 2
            name += f"_j{wavelet.j:g}t{wavelet.theta}" if image else f"_n{n}"
            name += "" if layout.n_phases is None else f"a{phase}"
        names += [name + position for position in _positions(path.grid, layout.averaging)]
    return names


def _positions(grid, averaging):
    if averaging == "global":
        return [""]
    if len(grid) == 1:
        return [f"_t{t}" for t in range(grid[0])]
    return [f"_y{y}x{x}" for y, x in product(*map(range, grid))]
