r"""Reductions of moments: averages and Fourier series over rotations, averages over scales.

A reduction is a sparse matrix that is found from the table of the moments alone. Sums of moments
are kept as ``(row, {place: weight})``, the row of the sum and the moments that it adds up.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from skwave.functional._textures.moments import Moment
from skwave.functional._textures.registry import LABELS

REDUCTIONS = ("isotropic", "scale", "isotropic-scale", "fourier")
_Sum = tuple[Moment, dict[int, float]]  # row of the sum; weights by the place of a moment


class Reduction(NamedTuple):
    """Fixed linear map of a vector of moments to a shorter one.

    Attributes
    ----------
    rows : list of Moment
        Table rows of the reduced moments.
    target, source : Tensor of int64, shape (n,)
        The reduced moment ``target`` has the moment ``source`` in it,
    weight : Tensor of float64, shape (n,)
        so many times.
    """

    rows: list[Moment]
    target: Tensor
    source: Tensor
    weight: Tensor


def moment_reduction(rows: list[Moment], reduce: str, *, n_directions: int = 4) -> Reduction:
    r"""Linear map that averages moments over rotations or scales.

    Moments of orientations :math:`\ell_1, \ell_2, \ell_3` are those of
    :math:`\ell_1 + p, \ell_2 + p, \ell_3 + p` of the field rotated by :math:`p\pi/L`. Orientation
    :math:`\ell + L` has the wavelet :math:`\psi_{\ell}(-u)`, whose coefficients are conjugate, so
    all :math:`2L` rotations are known from :math:`L` orientations. The reduced moments are

    .. math:: c_m = \frac{1}{2L} \sum_{p=0}^{2L-1} v_p\, e^{-i\pi mp/L}

    of the real or imaginary part :math:`v_p`. Rotating the field multiplies :math:`c_m` by a
    phase; :math:`c_0` stays the same.

    Parameters
    ----------
    rows : list of Moment
        Table of the moments, from `MomentLayout.rows`.
    reduce : {"isotropic", "scale", "isotropic-scale", "fourier"}
        ``"isotropic"``
            The mean :math:`c_0` over all rotations, relative orientations kept.
        ``"scale"``
            The mean over :math:`j_1`, all differences of scales kept. Bands that hold the
            low-pass stay as they are.
        ``"isotropic-scale"``
            One after the other.
        ``"fourier"``
            The mean, then the real and imaginary parts of :math:`c_1, \dots, c_L`.
    n_directions : int, default=4
        Directions of the offsets, see `Shifts`.

    Returns
    -------
    reduction : Reduction
        Map. Its rows have ``l1=0`` and relative orientations ``l2, l3`` after rotations, ``j1=0``
        and differences ``j2, j3`` after scales; ``part`` is ``"re_f2im"`` for the imaginary part
        of :math:`c_2` of a real part.

    Raises
    ------
    ValueError
        If there is no such reduction, or none of a group.

    Notes
    -----
    Coefficients that vanish for every field are left out. Without an offset, imaginary parts
    change sign in the rotation by :math:`\pi`: their mean is 0, and only odd :math:`m` remain.
    Without a sign only even :math:`m` do.

    Of one group the table lacks rotations: C11 of different orientations. It is averaged over
    those there are, also for ``"fourier"``, and not exactly invariant. Its relative orientations
    :math:`\ell_2 < \ell_1` count as ``l2 - l1 + 2 * L``.

    Examples
    --------
    >>> from skwave.functional import moment_layout
    >>> rows = moment_layout((32, 32), J=3, L=4, moments="scattering_covariance").rows()
    >>> reduction = moment_reduction(rows, "isotropic")
    >>> len(rows), len(reduction.rows)
    (1112, 154)
    >>> reduce_moments(torch.ones(2, 1112), reduction).shape
    torch.Size([2, 154])
    """
    if reduce not in REDUCTIONS:
        raise ValueError(f"reduce={reduce!r} must be one of {REDUCTIONS}.")
    known = sorted(label for label, group in LABELS.items() if group.reducible)
    others = {row.group for row in rows} - set(known)
    if others:
        raise ValueError(
            f"reduce={reduce!r} is not defined for moments of the groups {sorted(others)}: use "
            f"those of {tuple(known)}."
        )
    sums = [(row, {i: 1.0}) for i, row in enumerate(rows)]
    if reduce != "scale":
        sums = _rotations(rows, n_directions, reduce == "fourier")
    if "scale" in reduce:
        sums = _scales(sums)
    entries = [(i, j, w) for i, (_, terms) in enumerate(sums) for j, w in terms.items()]
    target, source, weight = zip(*entries, strict=True)
    return Reduction(
        [row for row, _ in sums],
        torch.tensor(target),
        torch.tensor(source),
        torch.tensor(weight, dtype=torch.float64),
    )


def reduce_moments(m: Tensor, reduction: Reduction) -> Tensor:
    """Reduced moments of a batch of vectors of moments.

    Parameters
    ----------
    m : Tensor, shape (B, n_moments)
        Moments, in the order of the table.
    reduction : Reduction
        Made by `moment_reduction`.

    Returns
    -------
    r : Tensor, shape (B, n_reduced)
        Same type, in the order of ``reduction.rows``.
    """
    terms = m[:, reduction.source.to(m.device)] * reduction.weight.to(m)
    r = m.new_zeros(len(m), len(reduction.rows))
    return r.index_add(1, reduction.target.to(m.device), terms)


def _scales(sums: list[_Sum]) -> list[_Sum]:
    # Means of the moments that differ by a change of scale alone. The group of a row says which
    # rows become equal then; the group B counts half octaves and knows the low-pass.
    by_label: dict[str, list[Moment]] = {}
    for row, _ in sums:
        by_label.setdefault(row.group, []).append(row)
    relative = {
        label: iter(LABELS[label].relative_scales(rows)) for label, rows in by_label.items()
    }
    alike: dict[Moment, list[dict[int, float]]] = {}
    for row, terms in sums:
        alike.setdefault(next(relative[row.group]), []).append(terms)
    return [
        (row, {i: w / len(members) for terms in members for i, w in terms.items()})
        for row, members in alike.items()
    ]


def _rotations(rows: list[Moment], n_directions: int, fourier: bool) -> list[_Sum]:
    # Each moment belongs to the orbit of one moment `first` with l1 = 0: its 2L rotations by
    # multiples of pi/L. Orbits are found in the order of the table, then replaced by the mean or
    # the Fourier series along them.
    L = 1 + max(max(row.l1, row.l2, row.l3) for row in rows)
    # offsets in samples turn with the wave; length and direction n, a are relative to it and stay
    index = {row._replace(dy=0, dx=0): i for i, row in enumerate(rows)}
    done, sums = set(), []
    for i, row in enumerate(rows):
        if i in done:
            continue
        if row.l1 < 0:  # without an orientation: invariant
            sums.append((row, {i: 1.0}))
            continue
        # Relative orientations count modulo L, as the table has them for moduli and for most
        # pairs of waves. Where this leads past the row itself (pairs of waves l2 < l1, whose
        # product with the opposite wave is another moment) they count modulo 2L.
        for turn in (L, 2 * L):
            first = _rotated(row, -row.l1, turn)
            orbit = [_find(_rotated(first, p, 2 * L), index, L, n_directions) for p in range(2 * L)]
            if any(member and member[0] == i for member in orbit):
                break
        done |= {member[0] for member in orbit if member}
        sums += _series(first, orbit, fourier)
    return sums


def _rotated(row: Moment, p: int, turn: int) -> Moment:
    # all orientations plus p, modulo `turn`
    l1, l2, l3 = ((l + p) % turn if l >= 0 else l for l in (row.l1, row.l2, row.l3))
    return row._replace(l1=l1, l2=l2, l3=l3)


def _find(
    row: Moment, index: dict[Moment, int], L: int, n_directions: int
) -> tuple[int, float] | None:
    # Place in the table of a moment with orientations up to 2L, and the sign of its part; None if
    # the table lacks it. Orientation l + L stands for the conjugate coefficients of l, moduli
    # (k = 0) are the same for both, and l3 is a wavelet, as with k = 1.
    waves = [l for l, k in ((row.l1, row.k1), (row.l2, row.k2), (row.l3, 1)) if l >= 0 and k > 0]
    opposite = {l >= L for l in waves}
    if len(opposite) == 2:  # one factor conjugate, <w w'> in place of <w w'*>: another moment
        return None
    # seen from the opposite wave, an offset has the opposite direction
    back = (row.a + n_directions) % (2 * n_directions) if row.n else 0
    here = _rotated(row, 0, L)._replace(dy=0, dx=0, a=back if row.l2 >= L else row.a)
    conjugate = True in opposite  # all factors conjugate: the imaginary part changes its sign
    if here not in index:
        if here.n and (here.j1, here.l1, here.k1) != (here.j2, here.l2, here.k2):
            return None
        # C(-tau) of two factors is the conjugate of C(tau) of the same in the other order
        back = (here.a + n_directions) % (2 * n_directions) if here.n else 0
        here = here._replace(
            j1=here.j2, l1=here.l2, k1=here.k2, c1=here.c2,
            j2=here.j1, l2=here.l1, k2=here.k1, c2=here.c1, a=back,
        )  # fmt: skip
        conjugate = not conjugate
        if here not in index:
            return None
    return index[here], -1.0 if conjugate and here.part == "im" else 1.0


def _series(row: Moment, orbit: list[tuple[int, float] | None], fourier: bool) -> list[_Sum]:
    # Sums along an orbit v_0 ... v_{2L-1}: the mean c_0, with `fourier` also the real and the
    # imaginary part of c_1 ... c_L. v_p is a moment times its sign. Moments that occur more than
    # once in an orbit may cancel: coefficients that are 0 for every field are left out.
    found = []
    fourier = fourier and None not in orbit
    members = [(p, *member) for p, member in enumerate(orbit) if member]
    for m in range(len(orbit) // 2 + 1 if fourier else 1):
        for name, wave in (("re", math.cos), ("im", lambda angle: -math.sin(angle))):
            terms: dict[int, float] = {}
            for p, i, sign in members:
                value = sign * wave(2 * math.pi * m * p / len(orbit)) / len(members)
                terms[i] = terms.get(i, 0.0) + value
            if max(abs(w) for w in terms.values()) > 1e-9:
                part = "_".join(filter(None, (row.part, f"f{m}{name}"))) if m else row.part
                found.append((row._replace(part=part), terms))
    return found
