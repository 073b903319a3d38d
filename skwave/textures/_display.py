"""Figure of the samples of a texture model beside real maps, with their statistics."""

from numbers import Integral

import numpy as np

from skwave._core.drawing import check_estimator, figure_of_panels, require_matplotlib
from skwave.functional import increment_kurtosis, power_spectrum
from skwave.textures._model import MaxEntTextureModel
from skwave.textures._report import TextureReport, as_maps, texture_report

_REAL, _SYNTHETIC, _TARGET = "0.75", "C0", "black"


class TextureDisplay:
    """Figure of the target and the samples of a texture model, their statistics and distances.

    Above, the target and some samples in the same grey values, and the distances of
    `skwave.validation.texture_report` for each family of statistics. Below, the power spectrum over
    rings of frequencies, the density of the pixels, and the kurtosis of increments along the axes.
    The target is black, samples are blue, and other real maps grey: the range they span, and their
    mean distance. Under each sample stands its largest correlation with the target over all shifts:
    it is near 1 if the model has copied the target.

    Parameters
    ----------
    report : TextureReport
        Distances of the synthetic maps to the target.
    real : array-like or Tensor, shape (n_real, H, W) or (H, W)
        Real maps of one process.
    synthetic : array-like or Tensor, shape (n_synthetic, H, W) or (H, W)
        Maps of a model.
    target : int, default=0
        Which of the real maps the model was fitted to.
    periodic : bool, default=True
        Whether maps are periodic.
    loss_curve : array-like, shape (n_steps,) or (n_steps, n_curves), default=None
        Loss at each step of the model, positive. If given it is drawn too.

    Attributes
    ----------
    axes_ : dict of matplotlib Axes
        By name: "target", "sample 0" and so on, "distances", "spectrum", "pixels", "kurtosis", and
        "loss" if there is one.
    figure_ : matplotlib Figure or SubFigure
        Figure of the axes.

    Raises
    ------
    TypeError
        If ``report`` is not a `skwave.validation.TextureReport`.

    See Also
    --------
    skwave.validation.texture_report : The distances.

    Examples
    --------
    >>> from skwave.datasets import load_cosmic_web
    >>> from skwave.plotting import TextureDisplay
    >>> maps = load_cosmic_web().images
    >>> display = TextureDisplay.from_maps(maps[:4], maps[4:6])
    >>> list(display.axes_)
    ['target', 'sample 0', 'sample 1', 'distances', 'spectrum', 'pixels', 'kurtosis']
    """

    def __init__(self, report, *, real, synthetic, target=0, periodic=True, loss_curve=None):
        if not isinstance(report, TextureReport):
            raise TypeError(
                f"report must be a skwave.validation.TextureReport, got {type(report).__name__}: "
                "make one by texture_report, or use TextureDisplay.from_maps."
            )
        self.report = report
        self.real = real
        self.synthetic = synthetic
        self.target = target
        self.periodic = periodic
        self.loss_curve = loss_curve

    def plot(self, figure=None, *, n_samples=3, cmap="gray"):
        """Draw all panels of the figure.

        Parameters
        ----------
        figure : matplotlib Figure or SubFigure, default=None
            Where to draw; by default a new one.
        n_samples : int, default=3
            How many of the synthetic maps to show as images, at most; statistics are of all.
        cmap : str or Colormap, default="gray"
            Colours of the images.

        Returns
        -------
        display : TextureDisplay
            Itself.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        TypeError
            If ``figure`` is not a figure.
        ValueError
            If ``n_samples`` is not a positive integer.
        """
        require_matplotlib(f"{type(self).__name__}.plot", figure=figure)
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise ValueError(f"n_samples must be a positive integer, got {n_samples!r}.")
        real, synthetic = as_maps(self.real), as_maps(self.synthetic)
        others = [i for i in range(len(real)) if i != self.target]
        groups = {"target": real[[self.target]], "sample": synthetic}
        groups |= {"real": real[others]} if others else {}
        upper, lower = figure_of_panels(figure, (13, 6.8)).subfigures(2, 1, height_ratios=(1.15, 1))
        self.axes_ = _draw_images(upper, groups, n_samples, cmap)
        for copying, ax in zip(self.report.copying, list(self.axes_.values())[1:-1], strict=False):
            ax.set_xlabel(f"correlation ≤ {copying:.2f}")
        names = ["spectrum", "pixels", "kurtosis"]
        names += ["loss"] if self.loss_curve is not None else []
        self.axes_ |= dict(zip(names, lower.subplots(1, len(names)), strict=True))
        _draw_spectrum(self.axes_["spectrum"], groups, self.periodic)
        _draw_pixels(self.axes_["pixels"], groups)
        _draw_kurtosis(self.axes_["kurtosis"], groups, self.periodic)
        _draw_distances(self.axes_["distances"], self.report)
        if self.loss_curve is not None:
            self.axes_["loss"].semilogy(self.loss_curve, color=_SYNTHETIC, lw=1)
            self.axes_["loss"].set(xlabel="step", title="loss")
        self.figure_ = upper.figure if figure is None else figure
        return self

    @classmethod
    def from_estimator(
        cls, estimator, X, *, n_samples=3, target=0, periodic=None, figure=None, **kwargs
    ):
        """Make samples of a fitted model, compare them with real maps, and draw the figure.

        Parameters
        ----------
        estimator : MaxEntTextureModel
            Fitted to ``X[target]``.
        X : array-like or Tensor, shape (n_real, H, W) or (H, W)
            Real maps of one process.
        n_samples : int, default=3
            How many maps to make.
        target : int, default=0
            Which of the real maps the model was fitted to.
        periodic : bool, default=None
            Whether maps are periodic; None for the ``boundary`` of the model.
        figure : matplotlib Figure or SubFigure, default=None
            Where to draw; by default a new one.
        **kwargs
            Those of `plot`: ``cmap``.

        Returns
        -------
        display : TextureDisplay
            Its ``report`` has the distances, ``synthetic`` the samples.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        TypeError
            If ``estimator`` is no `skwave.MaxEntTextureModel`, or ``figure`` no figure.
        ValueError
            If `skwave.validation.texture_report` refuses the maps.
        """
        require_matplotlib(f"{cls.__name__}.from_estimator", figure=figure)
        check_estimator(estimator, f"{cls.__name__}.from_estimator", MaxEntTextureModel)
        synthetic = estimator.sample(n_samples, shape=np.shape(X)[-2:])
        return cls.from_maps(
            X,
            synthetic,
            target=target,
            periodic=estimator.boundary == "periodic" if periodic is None else periodic,
            loss_curve=estimator.loss_curve_,
            figure=figure,
            n_samples=n_samples,
            **kwargs,
        )

    @classmethod
    def from_maps(
        cls, real, synthetic, *, target=0, periodic=True, loss_curve=None, figure=None, **kwargs
    ):
        """Compare synthetic maps with a real map, and draw the figure.

        Parameters
        ----------
        real : array-like or Tensor, shape (n_real, H, W) or (H, W)
            Real maps of one process.
        synthetic : array-like or Tensor, shape (n_synthetic, H, W) or (H, W)
            Maps of a model.
        target : int, default=0
            Which of the real maps the model was fitted to.
        periodic : bool, default=True
            Whether maps are periodic.
        loss_curve : array-like, shape (n_steps,) or (n_steps, n_curves), default=None
            Loss at each step of the model, positive.
        figure : matplotlib Figure or SubFigure, default=None
            Where to draw; by default a new one.
        **kwargs
            Those of `plot`: ``n_samples`` and ``cmap``.

        Returns
        -------
        display : TextureDisplay
            Its ``report`` has the distances.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        ValueError
            If `skwave.validation.texture_report` refuses the maps.
        """
        require_matplotlib(f"{cls.__name__}.from_maps", figure=figure)
        maps = {"real": real, "synthetic": synthetic, "target": target, "periodic": periodic}
        display = cls(texture_report(**maps), **maps, loss_curve=loss_curve)
        return display.plot(figure, **kwargs)


def _draw_images(figure, groups, n_samples, cmap):
    images = {"target": groups["target"][0].numpy()}
    images |= {f"sample {i}": x for i, x in enumerate(groups["sample"][:n_samples].numpy())}
    low, high = np.quantile(images["target"], (0.002, 0.998))
    axes = dict(zip([*images, "distances"], figure.subplots(1, len(images) + 1), strict=True))
    for name, image in images.items():
        axes[name].imshow(image, cmap=cmap, vmin=low, vmax=high, interpolation="nearest")
        axes[name].set(title=name, xticks=[], yticks=[])
    return axes


def _draw_curves(ax, x, curves, **labels):
    """Curves of the target and the samples over the range of the real maps."""
    if "real" in curves:
        low, high = curves["real"].min(0), curves["real"].max(0)
        ax.fill_between(x, low, high, color=_REAL, lw=0, label="other real maps")
    lines = ax.plot(x, curves["sample"].T, color=_SYNTHETIC, lw=1)
    lines[0].set_label("samples")
    ax.plot(x, curves["target"][0], color=_TARGET, lw=1, label="target")
    ax.set(**labels)


def _draw_spectrum(ax, groups, periodic):
    found = {name: power_spectrum(x, periodic=periodic) for name, x in groups.items()}
    frequency = found["target"][0].numpy() / (2 * np.pi)
    curves = {name: power.numpy() for name, (_, power) in found.items()}
    labels = {"xlabel": "frequency (cycles per pixel)", "title": "power spectrum"}
    _draw_curves(ax, frequency, curves, **labels, xscale="log", yscale="log")
    ax.legend(frameon=False, fontsize="small")


def _draw_pixels(ax, groups):
    everything = np.concatenate([x.numpy().ravel() for x in groups.values()])
    edges = np.linspace(*np.quantile(everything, (1e-5, 1 - 1e-5)), 61)
    curves = {
        name: np.reshape([np.histogram(m, edges, density=True)[0] for m in x.numpy()], (-1, 60))
        for name, x in groups.items()
    }
    # in a logarithmic plot an empty bin is a gap, but the range of many maps ends there
    smallest = min(c[c > 0].min() for c in curves.values()) / 2
    curves = {n: np.where(c > 0, c, smallest if n == "real" else np.nan) for n, c in curves.items()}
    labels = {"xlabel": "value", "title": "density of pixels", "yscale": "log"}
    _draw_curves(ax, (edges[1:] + edges[:-1]) / 2, curves, **labels)
    ax.set_ylim(smallest, 2 * np.nanmax(curves["target"]))


def _draw_kurtosis(ax, groups, periodic):
    distances = tuple(2**i for i in range(min(groups["target"].shape[1:]).bit_length() - 2))
    curves = {
        name: increment_kurtosis(x, distances, periodic=periodic)[:, :2].mean(1).numpy()
        for name, x in groups.items()
    }
    labels = {"xlabel": "distance (pixels)", "title": "kurtosis of increments"}
    _draw_curves(ax, distances, curves, **labels)
    ax.axhline(3, color="0.5", lw=0.8, ls=":")
    ax.set_xscale("log", base=2)
    ax.set_xticks(distances, [str(d) for d in distances])


def _draw_distances(ax, report):
    names = list(report.families)
    y = np.arange(len(names))
    means = [report.families[name].mean() for name in names]
    has_real = len(report.real_copying) > 0
    ax.barh(y - 0.2 * has_real, means, 0.38, color=_SYNTHETIC, label="samples")
    if has_real:
        means = [report.real[name].mean() for name in names]
        ax.barh(y + 0.2, means, 0.38, color=_REAL, label="other real maps")
    ax.set_yticks(y, [name.replace("_", " ") for name in names])
    ax.set_ylim(len(names) + 0.8, -0.6)  # with room for the legend
    ax.legend(frameon=False, fontsize="small", loc="lower right", ncols=2)
    ax.set(xlabel=report.unit, title="distance to the target")
