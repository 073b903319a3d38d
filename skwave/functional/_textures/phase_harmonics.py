r"""Covariances of phase harmonics that are named groups, such as S11 and Cphase."""

from collections.abc import Callable

from skwave.functional._textures.covariances import (
    Block,
    CovarianceGroup,
    all_pairs,
    at_offsets,
    same_pairs,
    upper_pairs,
)
from skwave.functional._textures.moments import MomentLayout
from skwave.functional._textures.offsets import Shifts


def _scale_pairs(J: int) -> list[tuple[int, int]]:
    return [(j1, j2) for j1 in range(J) for j2 in range(j1 + 1, J)]


def _own(group: str, k: int, J: int, L: int, shifts: Shifts) -> list[Block]:
    # C(-tau) is the conjugate of C(tau): half of the directions say all
    blocks = []
    for j in range(J):
        block = Block(group, j, k, j, k, same_pairs(L), real=k == 0, own=True)
        blocks += [block, *at_offsets(block, shifts, L, shifts.n_lengths, whole=False)]
    return blocks


def _s11(J: int, L: int, shifts: Shifts) -> list[Block]:
    return _own("S11", 1, J, L, shifts)


def _s00(J: int, L: int, shifts: Shifts) -> list[Block]:
    return _own("S00", 0, J, L, shifts)


def _s01(J: int, L: int, shifts: Shifts) -> list[Block]:
    return [Block("S01", j, 0, j, 1, same_pairs(L)) for j in range(J)]


def _c01(J: int, L: int, shifts: Shifts) -> list[Block]:
    blocks = []
    for j1, j2 in _scale_pairs(J):
        same = Block("C01", j1, 0, j2, 1, same_pairs(L))
        blocks.append(same._replace(pairs=all_pairs(L)))
        blocks += at_offsets(same, shifts, L, shifts.n_lengths, whole=True)
    return blocks


def _cphase(J: int, L: int, shifts: Shifts) -> list[Block]:
    blocks = []
    for j1, j2 in _scale_pairs(J):
        block = Block("Cphase", j1, 1, j2, 2 ** (j2 - j1), same_pairs(L))
        n_lengths = min(shifts.n_lengths, J - 1 - j2)
        blocks += [block, *at_offsets(block, shifts, L, n_lengths, whole=True)]
    return blocks


def _c00(J: int, L: int, shifts: Shifts) -> list[Block]:
    same = [Block("C00", j, 0, j, 0, upper_pairs(L), real=True) for j in range(J) if L > 1]
    return same + [
        Block("C00", j1, 0, j2, 0, all_pairs(L), real=True) for j1, j2 in _scale_pairs(J)
    ]


def _c11(J: int, L: int, shifts: Shifts) -> list[Block]:
    same = [Block("C11", j, 1, j, 1, upper_pairs(L)) for j in range(J) if L > 1]
    return same + [Block("C11", j, 1, j + 1, 1, all_pairs(L)) for j in range(J - 1)]


_BLOCKS: dict[str, Callable[[int, int, Shifts], list[Block]]] = {
    "S11": _s11,
    "S00": _s00,
    "S01": _s01,
    "C01": _c01,
    "Cphase": _cphase,
    "C00": _c00,
    "C11": _c11,
}


class PhaseHarmonics(CovarianceGroup):
    """Named group of covariances of phase harmonics, such as C01.

    Parameters
    ----------
    name : str
        Name of a group of `group_blocks`.
    """

    shows_harmonics = ("Cphase",)

    def __init__(self, name: str):
        self.name = name

    def blocks(self, layout: MomentLayout) -> list[Block]:
        return group_blocks((self.name,), layout.J, layout.L, layout.shifts)


S11, S00, S01, C01, Cphase, C00, C11 = (PhaseHarmonics(name) for name in _BLOCKS)


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
    moments of isotropic bands; L, scaling moments. `harmonic_moments` computes them.

    Parameters
    ----------
    groups : tuple of str
        Names of groups.
    J, L : int
        Numbers of scales and of orientations.
    shifts : Shifts
        Offsets besides 0.

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
    return [block for group in groups for block in _BLOCKS[group](J, L, shifts)]
