"""Registry of moments: all groups, and the families that are named sets of them.

Each `MomentGroup` that is imported here is known by its name; a new group is one more line.
"""
# ruff: noqa: F401

from skwave.functional._textures.bands import B
from skwave.functional._textures.gaussian import gaussian
from skwave.functional._textures.kurtosis import K
from skwave.functional._textures.moments import MomentGroup
from skwave.functional._textures.phase_harmonics import C00, C01, C11, S00, S01, S11, Cphase
from skwave.functional._textures.published import model_a, model_b, model_c, model_d
from skwave.functional._textures.rectifier import rectifier
from skwave.functional._textures.scaling import L
from skwave.functional._textures.scattering_covariance import scattering

_KNOWN = [group for group in list(globals().values()) if isinstance(group, MomentGroup)]

# groups that may be combined, by name
GROUPS: dict[str, MomentGroup] = {group.name: group for group in _KNOWN if not group.alone}

# groups by the label of their rows
LABELS: dict[str, MomentGroup] = {
    l: group for group in _KNOWN for l in group.labels or [group.name]
}

FAMILIES: dict[str, tuple[MomentGroup, ...]] = {
    "phase_harmonic": (S11, S00, S01, C01, Cphase, C00, K, B, L),
    "pywph": (S11, S00, S01, C01, Cphase, L),
    "wavelet_covariance": (S11, C11),
    **{group.name: (group,) for group in _KNOWN if group.alone},
}


def groups_of(moments: str | tuple[str, ...] | list[str]) -> tuple[MomentGroup, ...]:
    """Groups of a family, or groups by their names.

    Parameters
    ----------
    moments : str or tuple of str
        Name of a family, or names of groups that may be combined.

    Returns
    -------
    groups : tuple of MomentGroup
        Groups, in the order of the names.

    Raises
    ------
    ValueError
        If there is no such family or group; the message lists those there are.
    """
    if isinstance(moments, str) and moments in FAMILIES:
        return FAMILIES[moments]
    if isinstance(moments, str) or not moments or set(moments) - set(GROUPS):
        raise ValueError(
            f"moments={moments!r} must be one of {tuple(FAMILIES)}, or a tuple of groups of "
            f"{tuple(GROUPS)}."
        )
    return tuple(GROUPS[name] for name in moments)
