r"""Covariances of the published models A to D of Zhang and Mallat."""

from skwave.functional._textures.covariances import Block, CovarianceGroup, same_pairs
from skwave.functional._textures.moments import MomentLayout
from skwave.functional._textures.offsets import Shift


class PublishedModel(CovarianceGroup):
    """Group of the covariances of one of the published models.

    Parameters
    ----------
    model : {"A", "B", "C", "D"}
        Name of the model.
    """

    labels = ("phi", "S", "C")
    alone = True
    reducible = False
    images_only = True
    shows_harmonics = ("S", "C")

    def __init__(self, model: str):
        self.model, self.name = model, f"model_{model.lower()}"

    def blocks(self, layout: MomentLayout) -> list[Block]:
        return published_blocks(self.model, layout.J, layout.L)


model_a, model_b, model_c, model_d = (PublishedModel(model) for model in "ABCD")


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
    same = same_pairs(n)
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
