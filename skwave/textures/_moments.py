"""What moments are called, and the functions that compute them, made once for each shape."""

import numpy as np
import torch

from skwave._core.cache import Cache
from skwave.functional._textures.families import Family, MomentLayout, moment_family, moment_layout
from skwave.functional._textures.reductions import Reduction, moment_reduction


@Cache
def cached_layout(shape, **parameters) -> MomentLayout:
    """Layout of moments.

    Parameters
    ----------
    shape : tuple of int
        Signal, ``(N,)`` or ``(H, W)``.
    **parameters
        Those of `skwave.functional.moment_layout`, hashable.

    Returns
    -------
    layout : MomentLayout
        Kept for the next call.
    """
    return moment_layout(shape if len(shape) == 2 else (*shape, 1), **parameters)


@Cache
def _family(layout, mask, **parameters):
    if mask is not None:
        mask = torch.from_numpy(np.frombuffer(mask, bool).copy()).view(layout.shape)
    return moment_family(layout, valid=mask, **parameters)


def cached_family(layout, mask, **parameters) -> Family:
    """Functions of moments; threads that ask for the same wait for one to make them.

    Parameters
    ----------
    layout : MomentLayout
        Which moments.
    mask : ndarray of bool or None
        Samples that count.
    **parameters
        Those of `skwave.functional.moment_family`, hashable.

    Returns
    -------
    family : Family
        Kept for the next call.
    """
    mask = None if mask is None else np.ascontiguousarray(mask, dtype=bool).tobytes()
    return _family(layout, mask, **parameters)


@Cache
def cached_reduction(layout, n_channels, reduce) -> Reduction:
    """Map of moments to averages over rotations or scales.

    Parameters
    ----------
    layout : MomentLayout
        Which moments.
    n_channels : int
        Number of channels.
    reduce : str
        Name of the reduction.

    Returns
    -------
    reduction : Reduction
        Kept for the next call.
    """
    return moment_reduction(layout.rows(n_channels), reduce)


def moment_table(rows) -> np.ndarray:
    """Table of moments.

    Parameters
    ----------
    rows : list of Moment
        What each moment is of.

    Returns
    -------
    table : structured ndarray, shape (n_moments,)
        Fields of `skwave.functional._textures.covariances.Moment`.
    """
    kinds = [
        (name, "U16" if isinstance(value, str) else "i4")
        for name, value in zip(rows[0]._fields, rows[0], strict=True)
    ]
    return np.array([tuple(row) for row in rows], dtype=kinds)


def moment_name(row, n_channels, n_phases=None) -> str:
    """Name of a moment.

    Parameters
    ----------
    row : Moment
        What it is of.
    n_channels : int
        Number of channels; one is not named.
    n_phases : int or None
        Phases of a rectifier, which count along with the orientations.

    Returns
    -------
    name : str
        Such as ``"C01_j0_l1_j2_l1_t2a3_re"``.
    """
    if row.group == "P":
        names = ["P", f"y{row.dy}x{row.dx}"]
    elif row.group == "L":
        names = ["L", f"j{row.j1}", f"k{row.k1}{row.k2}"]
    elif row.group == "B":
        names = ["B", f"h{row.j1}", f"h{row.j2}", f"h{row.j3}"]
    else:
        names = [row.group]
        last = (
            (row.j2, row.l2) if (row.j2, row.l2, row.k2) != (row.j1, row.l1, row.k1) else (-1, -1)
        )
        for j, l in ((row.j1, row.l1), last, (row.j3, row.l3)):
            if j >= 0:
                names += [f"j{j}", _orientation(l, n_phases)]
        if row.group in ("C", "S", "Cphase") and (row.k1, row.k2) != (-1, -1):
            names.append(f"k{row.k1}k{row.k2}")
        if row.n:
            names.append(f"t{row.n}a{row.a}")
    names += [row.part] * bool(row.part)
    if n_channels > 1:
        names.insert(0, f"c{row.c1}" + (f"c{row.c2}" if row.c2 != row.c1 else ""))
    return "_".join(names)


def _orientation(l, n_phases):
    return f"l{l}" if n_phases is None else f"l{l // n_phases}p{l % n_phases}"
