r"""Which samples count in the average of a scale."""

import torch
from torch import Tensor


def averaging_masks(valid: Tensor, J: int, *, periodic: bool = False) -> list[Tensor]:
    """Weights of the averages of each scale, 0 near samples that are not valid.

    Parameters
    ----------
    valid : Tensor of bool, shape (H, W)
        Samples that count.
    J : int
        Number of scales.
    periodic : bool, default=False
        Whether samples continue at the opposite side; else the sides are like what is not valid.

    Returns
    -------
    masks : list of Tensor of float64, shape (H, W)
        Of mean 1, for the scales and the low-pass.

    Raises
    ------
    ValueError
        If nothing is left.
    """
    good = [_eroded(valid, 2 ** min(j, J - 1), periodic) for j in range(J + 1)]
    if not all(mask.any() for mask in good):
        raise ValueError(
            f"no valid sample is farther than 2**(J - 1) = {2 ** (J - 1)} from "
            f"{'' if periodic else 'the sides and '}those that are not valid: use a smaller J."
        )
    return [mask / mask.mean() for mask in good]


def _eroded(valid: Tensor, radius: int, periodic: bool) -> Tensor:
    # 1 where all samples within the radius are valid, 0 elsewhere
    bad = 1.0 - valid.to(torch.float64)
    for axis in range(2):
        if valid.shape[axis] > 1:
            moved = bad.movedim(axis, -1)[:, None]
            if periodic:
                padded = torch.nn.functional.pad(moved, (radius, radius), mode="circular")
            else:
                padded = torch.nn.functional.pad(moved, (radius, radius), value=1.0)
            moved = torch.nn.functional.max_pool1d(padded, 2 * radius + 1, 1)
            bad = moved[:, 0].movedim(-1, axis)
    return 1.0 - bad
