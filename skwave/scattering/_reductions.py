"""What is made of scattering coefficients: statistics, ratios of orders, means over rotations."""

import torch

_QUANTILES = (0.1, 0.5, 0.9)
STATISTICS = ("mean", "std", *(f"q{100 * q:.0f}" for q in _QUANTILES))


def statistics(s):
    """Mean, standard deviation and quantiles over positions.

    Parameters
    ----------
    s : Tensor, shape (n, C, n_paths, n_positions)
        Coefficients, or their logarithms.

    Returns
    -------
    y : Tensor, shape (n, C * n_paths * 5)
        The `STATISTICS` of each path, one after the other.
    """
    quantiles = torch.quantile(s, s.new_tensor(_QUANTILES), dim=-1).movedim(0, -1)
    moments = torch.stack([s.mean(-1), s.std(-1, correction=0)], -1)
    return torch.cat([moments, quantiles], -1).flatten(1)


def renormalized(s, mean, floor, paths):
    r"""Coefficients divided by those that they come from.

    .. math:: \tilde S[\lambda]x = \frac{S[\lambda]x}{|x|\star\phi + \epsilon}, \qquad
       \tilde S[\lambda, \lambda']x = \frac{S[\lambda, \lambda']x}{S[\lambda]x + \epsilon}

    Parameters
    ----------
    s : Tensor, shape (n, C, n_paths, ...)
        Coefficients of orders 0, 1 and 2, one order after the other.
    mean : Tensor, shape (n, C, 1, ...)
        Averages of the absolute signal, by which order 0 is divided, too.
    floor : Tensor, shape (n, C, 1, ...)
        What is added to divisors.
    paths : sequence of Path
        Paths.

    Returns
    -------
    ratios : Tensor, of the shape of ``s``
        Andén and Mallat, Deep scattering spectrum, 2014, section V.
    """
    place = {(path.n, path.phase): i for i, path in enumerate(paths)}
    parent = [place[path.n[:-1], path.phase[:-1]] for path in paths if len(path.n) == 2]
    first, second = s.split([len(paths) - len(parent), len(parent)], 2)
    return torch.cat([first / (mean + floor), second / (s[:, :, parent] + floor)], 2)


def orbits(layout, paths, L):
    r"""Paths that rotations of an image by multiples of :math:`\pi / L` map to each other.

    A rotation turns all wavelets of a path: :math:`(\theta, \theta')` becomes
    :math:`(\theta + k, \theta' + k)` modulo :math:`L`, and :math:`\theta' - \theta` stays.

    Parameters
    ----------
    layout : Layout
        Of images.
    paths : sequence of Path
        Its paths, without phases.
    L : int
        Number of orientations.

    Returns
    -------
    orbits : list of list of int
        Indices of ``L`` paths, of which the first begins with the angle 0, or of the one path of
        order 0; in the order of the first.
    """
    groups = {}
    for i, path in enumerate(paths):
        waves = [layout.wavelets[order][n] for order, n in enumerate(path.n)]
        turns = tuple((w.theta - waves[0].theta) % L for w in waves)
        groups.setdefault((tuple(w.j for w in waves), turns), []).append(i)
    return sorted(sorted(group) for group in groups.values())


def mean_over(s, groups):
    """Means of coefficients over groups of paths.

    Parameters
    ----------
    s : Tensor, shape (n, C, n_paths, ...)
        Coefficients.
    groups : list of list of int
        Those of `orbits`.

    Returns
    -------
    means : Tensor, shape (n, C, n_groups, ...)
        In the order of the groups.
    """
    zeroth, *others = groups
    means = [s[:, :, zeroth]]
    if others:
        means.append(s[:, :, torch.tensor(others, device=s.device)].mean(3))
    return torch.cat(means, 2)
