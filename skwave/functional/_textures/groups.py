r"""Which covariances: the named groups of phase harmonics, and the published models."""

import math
from collections.abc import Callable
from typing import NamedTuple

from skwave.functional._textures.covariances import Block, Pairs, Shift

_HERE = (Shift(),)


class Shifts(NamedTuple):
    r"""Offsets of lengths :math:`2^n` in directions that are counted from the wave vector.

    Attributes
    ----------
    n_lengths : int
        Lengths 2, 4, ... in samples.
    n_directions : int
        Directions in :math:`[0, \pi)`.
    ndim : int
        1 or 2; of signals the directions are forwards and backwards.
    """

    n_lengths: int
    n_directions: int
    ndim: int = 2

    def of(self, l: int, L: int, n_lengths: int, whole: bool) -> list[Shift]:
        r"""Offsets for one orientation.

        Parameters
        ----------
        l, L : int
            Orientation, and the number of them.
        n_lengths : int
            Lengths to give.
        whole : bool
            Whether to give all directions, or those in :math:`[0, \pi)`.

        Returns
        -------
        shifts : list of Shift
            Lengths first; direction ``a`` is :math:`\theta_\ell - \pi a / A`.
        """
        shifts = []
        for n in range(1, n_lengths + 1):
            for a in range(self.n_directions * (2 if whole else 1)):
                angle = math.pi * l / L - math.pi * a / self.n_directions
                dy, dx = round(2.0**n * math.sin(angle)), round(2.0**n * math.cos(angle))
                if self.ndim == 1:
                    dy, dx = dx, 0
                shifts.append(Shift(n, a, dy, dx))
        return shifts


def _shifted(
    block: Block, shifts: Shifts, L: int, n_lengths: int, whole: bool, n_phases: int = 1
) -> list[Block]:
    # the same block at offsets, if there are any
    of_pairs = [shifts.of(l2 // n_phases, L, n_lengths, whole) for _, l2 in block.pairs]
    union = tuple(sorted({shift for of_pair in of_pairs for shift in of_pair}))
    if not union:
        return []
    chosen = tuple(tuple(union.index(shift) for shift in of_pair) for of_pair in of_pairs)
    return [block._replace(shifts=union, chosen=chosen, own=False)]


def _same(L: int) -> Pairs:
    return tuple((l, l) for l in range(L))


def _all(L: int) -> Pairs:
    return tuple((a, b) for a in range(L) for b in range(L))


def _upper(L: int) -> Pairs:
    return tuple((a, b) for a in range(L) for b in range(a + 1, L))


def _scales(J: int) -> list[tuple[int, int]]:
    return [(j1, j2) for j1 in range(J) for j2 in range(j1 + 1, J)]


def _own(group: str, k: int, J: int, L: int, shifts: Shifts) -> list[Block]:
    # C(-tau) is the conjugate of C(tau): half of the directions say all
    blocks = []
    for j in range(J):
        block = Block(group, j, k, j, k, _same(L), real=k == 0, own=True)
        blocks += [block, *_shifted(block, shifts, L, shifts.n_lengths, whole=False)]
    return blocks


def _s11(J: int, L: int, shifts: Shifts) -> list[Block]:
    return _own("S11", 1, J, L, shifts)


def _s00(J: int, L: int, shifts: Shifts) -> list[Block]:
    return _own("S00", 0, J, L, shifts)


def _s01(J: int, L: int, shifts: Shifts) -> list[Block]:
    return [Block("S01", j, 0, j, 1, _same(L)) for j in range(J)]


def _c01(J: int, L: int, shifts: Shifts) -> list[Block]:
    blocks = []
    for j1, j2 in _scales(J):
        same = Block("C01", j1, 0, j2, 1, _same(L))
        blocks.append(same._replace(pairs=_all(L)))
        blocks += _shifted(same, shifts, L, shifts.n_lengths, whole=True)
    return blocks


def _cphase(J: int, L: int, shifts: Shifts) -> list[Block]:
    blocks = []
    for j1, j2 in _scales(J):
        block = Block("Cphase", j1, 1, j2, 2 ** (j2 - j1), _same(L))
        n_lengths = min(shifts.n_lengths, J - 1 - j2)
        blocks += [block, *_shifted(block, shifts, L, n_lengths, whole=True)]
    return blocks


def _c00(J: int, L: int, shifts: Shifts) -> list[Block]:
    same = [Block("C00", j, 0, j, 0, _upper(L), real=True) for j in range(J) if L > 1]
    return same + [Block("C00", j1, 0, j2, 0, _all(L), real=True) for j1, j2 in _scales(J)]


def _c11(J: int, L: int, shifts: Shifts) -> list[Block]:
    same = [Block("C11", j, 1, j, 1, _upper(L)) for j in range(J) if L > 1]
    return same + [Block("C11", j, 1, j + 1, 1, _all(L)) for j in range(J - 1)]


GROUPS: dict[str, Callable[[int, int, Shifts], list[Block]]] = {
    "S11": _s11,
    "S00": _s00,
    "S01": _s01,
    "C01": _c01,
    "Cphase": _cphase,
    "C00": _c00,
    "C11": _c11,
}


def group_blocks(groups: tuple[str, ...], J: int, L: int, shifts: Shifts) -> list[Block]:
    r"""Blocks of named groups of covariances.

    ========  ===========================  ===================================================
    Group     Harmonics :math:`k_1, k_2`   Scales, orientations, offsets
    ========  ===========================  ===================================================
    S11       1, 1                         equal, equal, half of all: the power spectrum
    S00       0, 0                         equal, equal, half of all
    S01       0, 1                         equal, equal, none
    C01       0, 1                         :math:`j_1 < j_2`, any, all for equal orientations
    Cphase    1, :math:`2^{j_2 - j_1}`     :math:`j_1 < j_2`, equal, all up to :math:`J-1-j_2`
    C00       0, 0                         :math:`j_1 \le j_2`, any, none
    C11       1, 1                         equal and neighbouring, any, none
    ========  ===========================  ===================================================

    The first five with two lengths and four directions are the default of pywph. Three other groups
    are no covariances of harmonics: K, third and fourth moments of wavelet coefficients; B, third
    moments of isotropic bands; L, scaling moments. `harmonic_moments` has them.

    Parameters
    ----------
    groups : tuple of str
        Names.
    J, L : int
        Numbers of scales and of orientations.
    shifts : Shifts
        Offsets beside 0.

    Returns
    -------
    blocks : list of Block
        Group after group.

    References
    ----------
    .. [1] Allys, E. et al., New interpretable statistics for large-scale structure analysis and
       generation, Phys. Rev. D 102, 2020.
    .. [2] Regaldo-Saint Blancard, B. et al., Generative models of multi-channel data from a single
       example, Astrophys. J. 943, 2023.
    """
    return [block for group in groups for block in GROUPS[group](J, L, shifts)]


def rectifier_blocks(J: int, L: int, n_phases: int, shifts: Shifts) -> list[Block]:
    r"""Blocks of the covariances of rectified wavelet coefficients, group ``"R"``.

    .. math:: \big\langle \rho(\mathrm{Re}(e^{i\alpha} x\star\psi_\lambda))(u)\,
       \rho(\mathrm{Re}(e^{i\alpha'} x\star\psi_{\lambda'}))(u - \tau) \big\rangle_u

    for :math:`j \le j'` and all pairs of orientations and phases, and at offsets for equal ones.
    Orientation ``l`` with phase ``a`` counts as ``l * n_phases + a``.

    Parameters
    ----------
    J, L : int
        Numbers of scales and of orientations.
    n_phases : int
        Number of phases.
    shifts : Shifts
        Offsets beside 0.

    Returns
    -------
    blocks : list of Block
        Scale after scale.
    """
    n, blocks = L * n_phases, []
    for j in range(J):
        block = Block("R", j, 0, j, 0, _same(n), real=True, own=True)
        blocks += [block, *_shifted(block, shifts, L, shifts.n_lengths, False, n_phases)]
        blocks.append(Block("R", j, 0, j, 0, _upper(n), real=True))
    return blocks + [Block("R", j1, 0, j2, 0, _all(n), real=True) for j1, j2 in _scales(J)]


def published_blocks(model: str, J: int, L: int) -> list[Block]:
    """Blocks of the models A to D of Zhang and Mallat, with all ``2 * L`` orientations.

    Parameters
    ----------
    model : {"A", "B", "C", "D"}
        Gaussian; harmonics 0 and 1 within a scale; C adds those of neighbouring scales; D has
        Fourier series along orientations.
    J, L : int
        Numbers of scales and of orientations in ``[0, pi)``.

    Returns
    -------
    blocks : list of Block
        2335, 6895, 10927 and 769 numbers for ``J=5, L=8``. For a real signal opposite
        orientations say the same: about half of the numbers repeat the others.

    References
    ----------
    .. [1] Zhang, S. and Mallat, S., Maximum entropy models from phase harmonic covariances,
       Appl. Comput. Harmon. Anal. 53, 2021.
    """
    n, angular = 2 * L, model == "D"
    steps = [(m, s) for m in range(3) for s in range(-2, 3) if (m, s) != (0, 0)]

    def grid(j: int) -> tuple[Shift, ...]:  # numpydoc ignore=GL08
        return tuple(Shift(j + 1, i, -m * 2**j, -s * 2**j) for i, (m, s) in enumerate(steps, 1))

    low = Block("phi", J, 1, J, 1, ((0, 0),), real=True, own=True)
    blocks = [low] if angular else [low, low._replace(shifts=grid(J - 1), own=False)]
    same = _same(n)
    reach = L // 2 if model in "BC" else 0
    near = tuple((l, (l + d) % n) for l in range(n) for d in range(-reach, reach + 1))
    others = tuple(pair for pair in near if pair[0] != pair[1])
    for j in range(J):
        if not angular:
            for k in (1,) if model == "A" else (0, 1):
                blocks.append(Block("S", j, k, j, k, same, grid(j), real=k == 0))
        for k in (1,) if model == "A" else (0, 1):
            real = k == 0
            own = Block("C", j, k, j, k, same, real=real, own=True, angular=angular)
            blocks.append(own)
            if others:
                blocks.append(own._replace(pairs=others, own=False))
        if model != "A":
            blocks.append(Block("C", j, 1, j, 0, near, angular=angular))
        if model in "CD" and j + 1 < J:
            for k1, k2 in ((0, 0), (0, 1), (0, 2), (1, 2)):
                real = k1 == k2 == 0
                blocks.append(Block("C", j, k1, j + 1, k2, near, real=real, angular=angular))
    return blocks
