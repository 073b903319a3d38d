"""Parameters, plans and paths that the scattering estimator and its layer share."""

from itertools import product
from numbers import Integral, Real

import numpy as np

from skwave._core.cache import Cache
from skwave._core.checks import default_scale
from skwave._core.compat import Interval, Pair, StrOptions
from skwave.functional import Layout, Path, Plan, scattering_layout, scattering_paths
from skwave.functional import scattering_plan as make_plan

_COUNT = Interval(Integral, 1, 1024, closed="both")

# of the estimator and of the layer, in the order of their parameters; J=None is the estimator's
CONSTRAINTS = {
    "J": [Interval(Integral, 1, None, closed="left")],
    "L": [_COUNT],
    "Q": [_COUNT, Pair(Integral, 1, 1024, closed="both")],
    "ndim": [Interval(Integral, 1, 2, closed="both"), None],
    "max_order": [Interval(Integral, 0, 2, closed="both")],
    "T": [Interval(Real, 1, None, closed="left"), None],
    "nonlinearity": [StrOptions({"modulus", "rectifier"})],
    "n_phases": [_COUNT],
    "averaging": [StrOptions({"local", "global"}), None],
    "oversampling": [Interval(Integral, 0, None, closed="left")],
    "boundary": [StrOptions({"reflect", "periodic", "zero"})],
}

# values that a GPU works on at once; a CPU's default is the size of its cache
_CUDA_BLOCK = 2**26


@Cache
def _plan(shape, dtype, device, **parameters):
    if device.type != "cpu":
        parameters["block"] = _CUDA_BLOCK
    return make_plan(shape, dtype=dtype, device=device, **parameters)


def cached_plan(shape, dtype, device, **parameters) -> Plan:
    """Plan of a scattering transform, kept for the next call.

    Threads that ask for the same plan wait for one of them to make it.

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
        Layout and filters.
    """
    return _plan(shape, dtype, device, **parameters)


@Cache
def cached_layout(shape, **parameters) -> tuple[Layout, tuple[Path, ...]]:
    """Layout of a scattering transform and its paths, kept for the next call.

    Parameters
    ----------
    shape : tuple of int
        Signal.
    **parameters
        Those of `scattering_layout`.

    Returns
    -------
    layout : Layout
        Grids, wavelets and scales.
    paths : tuple of Path
        In the order of the coefficients.
    """
    layout = scattering_layout(shape, **parameters)
    return layout, tuple(scattering_paths(layout))


def layout_parameters(model, shape) -> dict:
    """Parameters of `scattering_layout` for the estimator or the layer.

    Parameters
    ----------
    model : ScatteringTransformer or nn.Scattering
        With the parameters that `CONSTRAINTS` lists.
    shape : tuple of int
        Signal.

    Returns
    -------
    parameters : dict
        Keywords, without ``shape``. One ``Q`` is made two, ``J=None`` a number, ``n_phases`` is
        None for the modulus, and ``T`` is None unless the average has a low-pass.
    """
    averaging = "local" if model.averaging == "stats" else model.averaging
    Q = model.Q if isinstance(model.Q, tuple) else (model.Q, model.Q if len(shape) == 2 else 1)
    return {
        "J": default_scale(shape) if model.J is None else model.J,
        "L": model.L,
        "Q": Q,
        "T": model.T if averaging == "local" else None,
        "max_order": model.max_order,
        "n_phases": model.n_phases if model.nonlinearity == "rectifier" else None,
        "averaging": averaging,
        "oversampling": model.oversampling,
        "boundary": model.boundary,
    }


_INDICES = ("n", "theta", "phase")
_NUMBERS = ("j", "xi", "sigma")


def path_table(layout, paths):
    """Table of the wavelets of each path.

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


def path_names(layout, paths, sampling_rate=None):
    """Names of the coefficients: order, wavelets, position.

    Parameters
    ----------
    layout : Layout
        Made by `skwave.functional.scattering_layout`.
    paths : sequence of Path
        Its paths.
    sampling_rate : float, default=None
        Samples per second of a signal, for names in Hz and seconds.

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
            wave = f"n{n}" if sampling_rate is None else f"{wavelet.xi * sampling_rate:.5g}Hz"
            name += f"_j{wavelet.j:g}t{wavelet.theta}" if image else f"_{wave}"
            name += "" if layout.n_phases is None else f"a{phase}"
        names += [name + position for position in _positions(path.grid, layout, sampling_rate)]
    return names


def _positions(grid, layout, sampling_rate):
    if layout.averaging == "global":
        return [""]
    if len(grid) == 2:
        return [f"_y{y}x{x}" for y, x in product(*map(range, grid))]
    if sampling_rate is None:
        return [f"_t{t}" for t in range(grid[0])]
    step, n = layout.geometry.step, layout.geometry.shape[0]
    if layout.averaging is None:  # the power of two of which there are as many in the signal
        step = min(
            (2**k for k in range(n.bit_length() + 1)), key=lambda s: abs(-(-n // s) - grid[0])
        )
    return [f"_t{t * step / sampling_rate:.6g}s" for t in range(grid[0])]
