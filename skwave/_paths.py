"""What scattering paths are called: a table of their indices, and names of features."""

from itertools import product

import numpy as np

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
