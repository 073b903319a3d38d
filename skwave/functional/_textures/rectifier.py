r"""Covariances of rectified wavelet coefficients, at several phases of the wavelets."""

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


class Rectifier(CovarianceGroup):
    """Group of the covariances of rectified wavelet coefficients."""

    name = "rectifier"
    labels = ("R",)
    alone = True
    reducible = False
    rectified = True

    def blocks(self, layout: MomentLayout) -> list[Block]:
        return rectifier_blocks(layout.J, layout.L, layout.n_phases or 1, layout.shifts)

    def orientation(self, l: int, layout: MomentLayout) -> str:
        l, phase = divmod(l, layout.n_phases or 1)
        return f"l{l}p{phase}"


rectifier = Rectifier()


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
        Offsets besides 0.

    Returns
    -------
    blocks : list of Block
        Scale after scale.
    """
    n, blocks = L * n_phases, []
    for j in range(J):
        block = Block("R", j, 0, j, 0, same_pairs(n), real=True, own=True)
        blocks += [block, *at_offsets(block, shifts, L, shifts.n_lengths, False, n_phases)]
        blocks.append(Block("R", j, 0, j, 0, upper_pairs(n), real=True))
    scales = [(j1, j2) for j1 in range(J) for j2 in range(j1 + 1, J)]
    return blocks + [Block("R", j1, 0, j2, 0, all_pairs(n), real=True) for j1, j2 in scales]
