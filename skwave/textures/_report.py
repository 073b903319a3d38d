"""Report on the quality of synthetic maps: distances of their statistics to real maps."""

from dataclasses import dataclass

import numpy as np
import torch

from skwave.functional._textures.statistics import (
    bispectrum,
    kurtosis,
    minkowski_functionals,
    power_spectrum,
    shift_correlation,
    structure_functions,
)

_LEVELS = tuple(i / 26 for i in range(1, 26))  # of quantiles and of thresholds
_UNITS = ("z-score", "relative error")
_LOGARITHMIC = ("spectrum", "structure_functions", "increment_kurtosis")


@dataclass(frozen=True, eq=False, repr=False)
class TextureReport:
    """Distances of synthetic maps to a target in families of statistics, from `texture_report`.

    Attributes
    ----------
    unit : {"z-score", "relative error"}
        Unit of the distances.
    families : dict of ndarray of float64, shape (n_synthetic,)
        Distance of each synthetic map, by the name of the family.
    real : dict of ndarray of float64, shape (n_real - 1,)
        The same of each real map but the target.
    copying : ndarray of float64, shape (n_synthetic,)
        Largest correlation of each synthetic map with the target, over all circular shifts.
    real_copying : ndarray of float64, shape (n_real - 1,)
        The same of each real map but the target.

    Examples
    --------
    >>> import numpy as np
    >>> from skwave.validation import texture_report
    >>> noise = np.random.default_rng(0).normal(size=(6, 32, 32))
    >>> report = texture_report(noise[:4], noise[4:])
    >>> report.unit, list(report.families)[:2], report.families["spectrum"].shape
    ('z-score', ['spectrum', 'quantiles'], (2,))
    """

    unit: str
    families: dict
    real: dict
    copying: np.ndarray
    real_copying: np.ndarray

    def to_frame(self):
        """Data frame of the distances, with a row for each map.

        Returns
        -------
        frame : pandas.DataFrame
            Columns are the families and ``copying``; rows are ``("synthetic", i)``, and ``("real",
            i)`` in the order of the real maps without the target.

        Raises
        ------
        ImportError
            If pandas is missing.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError("to_frame needs pandas: python -m pip install pandas") from error
        synthetic = pandas.DataFrame({**self.families, "copying": self.copying})
        real = pandas.DataFrame({**self.real, "copying": self.real_copying})
        return pandas.concat({"synthetic": synthetic, "real": real}, names=("kind", "map"))

    def __repr__(self):
        n, n_others = len(self.copying), len(self.real_copying)
        if self.unit == "z-score":
            scale = f"z-scores by the scatter of {n_others} other real maps"
        else:
            scale = "relative errors" + "; z-scores need two other real maps" * (n_others < 2)
        lines = [f"TextureReport of {n} synthetic maps, {scale}", f"{'':20}synthetic" + " " * 6]
        lines[1] += "real" if n_others else ""
        rows = {**self.families, "copying": self.copying}
        others = {**self.real, "copying": self.real_copying}
        for name, values in rows.items():
            real = f"{others[name].mean():10.3f}" if n_others else ""
            lines.append(f"{name:20}{values.mean():9.3f}{real}")
        return "\n".join(line.rstrip() for line in lines)


def texture_report(real, synthetic, *, target=0, periodic=True, unit=None):
    r"""Compare synthetic maps with a real map by statistics that the model was not fitted to.

    The distance of a map :math:`x` to the target :math:`y`, in a family of statistics :math:`s_k`,
    is

    .. math:: z = \Big( \operatorname{mean}_k \frac{(s_k(x) - s_k(y))^2}{\sigma_k^2} \Big)^{1/2}

    with :math:`\sigma_k` the standard deviation of :math:`s_k` over the real maps but the
    target. The other real maps have such a distance too, about :math:`\sqrt 2`: a model is as good
    as another draw of the process where its distances are no larger than theirs.

    Parameters
    ----------
    real : array-like or Tensor, shape (n_real, H, W) or (H, W)
        Real maps of one process. One of them is the target, which the model was fitted to. Ten
        others or more give steady z-scores.
    synthetic : array-like or Tensor, shape (n_synthetic, H, W) or (H, W)
        Maps of the model.
    target : int, default=0
        Which of the real maps the model was fitted to.
    periodic : bool, default=True
        Whether maps are. If not, pairs of pixels over the edges are left out, and spectra are
        those of windowed maps; synthetic maps are treated alike.
    unit : {"z-score", "relative error"}, default=None
        Unit of the distances; by default z-scores if there are two real maps besides the target,
        whose scatter is compared with. Relative errors suit fewer than about eight: the standard
        deviation of a few numbers is now and then close to 0, and the statistics where it is
        then decide alone.

    Returns
    -------
    report : TextureReport
        Distances of the synthetic maps and of the other real maps. Its ``repr`` is a table of
        their means, `TextureReport.to_frame` has all of them.

    Raises
    ------
    ValueError
        If the maps are not two-dimensional, of one size of at least 16 pixels a side, finite and
        not constant; if two real maps are equal; if there is no such target; or z-scores are asked
        for without two other maps.

    See Also
    --------
    skwave.plotting.TextureDisplay : The same in a figure.
    skwave.functional.structure_functions : One of the statistics; the others are beside it.

    Notes
    -----
    The families are

    * ``spectrum``: logarithms of the power spectrum over rings of a quarter octave;
    * ``quantiles``: 25 quantiles of the pixels;
    * ``structure_functions``: logarithms of the moments of order 1 to 5 of increments, over the
      distances 1, 2, 4, … up to a quarter of the map, along axes and diagonals;
    * ``increment_kurtosis``: logarithms of the kurtosis of these increments;
    * ``minkowski``: area, perimeter and Euler characteristic of the sets above 25 thresholds, the
      quantiles of the target;
    * ``bispectrum``: normalised bispectrum over equilateral, flattened and squeezed triangles.

    A relative error is the root mean square of :math:`s_k(x) - s_k(y)` itself for logarithms; in
    units of the target's standard deviation for quantiles; and divided by the root mean square of
    :math:`s_k(y)`, for each of the three Minkowski functionals, and for the bispectrum.

    A model that copied its target would have distances of 0. ``copying`` tells: the largest
    correlation with the target over all circular shifts should be no larger than that of the other
    real maps.

    References
    ----------
    Allys, E., Marchand, T., Cardoso, J.-F., Villaescusa-Navarro, F., Ho, S. and Mallat, S., New
    interpretable statistics for large-scale structure analysis and generation, Phys. Rev. D 102,
    103506, 2020.

    Examples
    --------
    Maps of the cosmic web, and noise that has the spectrum of one of them:

    >>> import numpy as np
    >>> from skwave.datasets import load_cosmic_web
    >>> from skwave.validation import texture_report
    >>> maps = load_cosmic_web().images
    >>> noise = np.random.default_rng(0).normal(size=maps[0].shape)
    >>> phases = np.exp(1j * np.angle(np.fft.rfft2(noise)))
    >>> surrogate = np.fft.irfft2(np.abs(np.fft.rfft2(maps[0])) * phases)
    >>> surrogate += maps[0].mean() - surrogate.mean()
    >>> report = texture_report(maps, surrogate)
    >>> bool(report.families["spectrum"] < 0.1), bool(report.families["minkowski"] > 3)
    (True, True)
    """
    real, synthetic = _maps("real", real), _maps("synthetic", synthetic)
    if real.shape[1:] != synthetic.shape[1:]:
        raise ValueError(
            f"real maps are {tuple(real.shape[1:])}, synthetic ones {tuple(synthetic.shape[1:])}: "
            "they must be of one size. Sample the model at the size of the real maps, or cut both."
        )
    if target not in range(len(real)):
        raise ValueError(f"target must be an integer from 0 to {len(real) - 1}, got {target!r}.")
    if unit not in (None, *_UNITS):
        raise ValueError(f"unit must be one of {_UNITS} or None, got {unit!r}.")
    if unit == "z-score" and len(real) < 3:
        raise ValueError(
            f"unit='z-score' needs two real maps besides the target, got {len(real) - 1}: give "
            "more, or take unit='relative error'."
        )
    same = [(i, j) for j in range(len(real)) for i in range(j) if torch.equal(real[i], real[j])]
    if same:
        raise ValueError(
            f"real maps {same[0][0]} and {same[0][1]} are equal: give each map once, else the "
            "scatter of the real maps is not theirs."
        )
    unit = unit or _UNITS[len(real) < 3]
    levels = torch.tensor(_LEVELS, dtype=torch.float64)
    thresholds = _quantiles(real[target], levels)
    everything = [
        _statistics(x, levels, thresholds, periodic) for x in torch.cat((real, synthetic))
    ]
    others = [i for i in range(len(real)) if i != target]
    families, reference = {}, {}
    for name in everything[0]:
        s = torch.stack([statistics[name] for statistics in everything])
        scale = s[others].std(0) if unit == "z-score" else _magnitude(name, s[target], real[target])
        z = _distance(s - s[target], scale)
        families[name], reference[name] = z[len(real) :].numpy(), z[others].numpy()
    return TextureReport(
        unit,
        families,
        reference,
        _copying(synthetic, real[target]),
        _copying(real[others], real[target]),
    )


def as_maps(x):
    """Tensor of maps, from arrays of any kind.

    Parameters
    ----------
    x : array-like or Tensor, shape (n, H, W) or (H, W)
        Maps.

    Returns
    -------
    x : Tensor of float64, shape (n, H, W)
        Without a graph, in the memory of the processor.
    """
    # a copy: torch warns of arrays that cannot be written to
    x = x.detach().cpu() if isinstance(x, torch.Tensor) else torch.from_numpy(np.array(x))
    if x.is_complex():
        raise ValueError("maps must be real, got complex ones: compare their parts one by one.")
    return x.to(torch.float64)[None] if x.ndim == 2 else x.to(torch.float64)


def _maps(name, x):
    x = as_maps(x)
    if x.ndim != 3 or not len(x):
        raise ValueError(
            f"{name} must be one map (H, W) or several (n, H, W), got the shape {tuple(x.shape)}."
        )
    if min(x.shape[1:]) < 16:
        raise ValueError(
            f"{name} has maps of {tuple(x.shape[1:])} pixels: at least 16 a side are needed."
        )
    if not x.isfinite().all():
        raise ValueError(f"{name} has values that are NaN or infinite.")
    constant = (x.amax((1, 2)) == x.amin((1, 2))).nonzero().flatten().tolist()
    if constant:
        raise ValueError(f"{name} has constant maps, at {constant}: they have no statistics.")
    return x


def _quantiles(x, levels):
    ordered = x.flatten().sort().values
    position = levels * (len(ordered) - 1)
    below = position.long()
    return torch.lerp(ordered[below], ordered[below + 1], position - below)


def _statistics(x, levels, thresholds, periodic):
    """Statistics of a map, one vector for each family."""
    distances = tuple(2**i for i in range(min(x.shape).bit_length() - 2))
    moments = structure_functions(x, distances, periodic=periodic)
    statistics = {
        "spectrum": power_spectrum(x, periodic=periodic)[1],
        "quantiles": _quantiles(x, levels),
        "structure_functions": moments,
        "increment_kurtosis": kurtosis(moments[..., 1], moments[..., 3]),
        "minkowski": minkowski_functionals(x, thresholds, periodic=periodic),
        "bispectrum": bispectrum(x, periodic=periodic),
    }
    tiny = torch.finfo(x.dtype).tiny
    return {
        name: (s.clamp(min=tiny).log() if name in _LOGARITHMIC else s).flatten()
        for name, s in statistics.items()
    }


def _magnitude(name, s, x):
    """Scale of the statistics of a map, for relative errors."""
    if name in _LOGARITHMIC:
        return torch.ones_like(s)
    if name == "quantiles":
        return x.std().expand_as(s)
    blocks = s.unflatten(0, (3, -1)) if name == "minkowski" else s[None]
    return blocks.square().mean(1, keepdim=True).sqrt().expand_as(blocks).flatten()


def _distance(difference, scale):
    # where all real maps agree to rounding there is no scatter to compare with
    kept = scale > 1e-12 * scale.max()
    return (difference[:, kept] / scale[kept]).square().mean(1).sqrt()


def _copying(maps, target):
    return np.array([float(shift_correlation(x, target)) for x in maps])
