"""Displays of generated images: reconstructions, samples, and paths between images."""

from numbers import Integral

import numpy as np

from skwave._core.arrays import to_numpy
from skwave._core.drawing import check_estimator, one_axes, require_matplotlib
from skwave.generation._case import CASEGenerator


class LatentInterpolationDisplay:
    """Images along straight lines between the codes of pairs of images, a row for each pair.

    Parameters
    ----------
    images : array-like or Tensor, shape (n_pairs, n_steps, H, W) or (n_pairs, n_steps, C, H, W)
        Decoded images, as `skwave.CASEGenerator.interpolate` gives them.
    value_range : tuple of float, default=(0, 1)
        Values drawn as black and as white.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where the grid is.
    figure_ : matplotlib Figure
        Its figure.

    See Also
    --------
    skwave.plotting.GenerationDisplay : Reconstructions and samples.

    Examples
    --------
    >>> import numpy as np
    >>> from skwave.plotting import LatentInterpolationDisplay
    >>> images = np.random.default_rng(0).uniform(size=(2, 5, 8, 8))
    >>> display = LatentInterpolationDisplay(images).plot()
    """

    def __init__(self, images, *, value_range=(0, 1)):
        self.images = images
        self.value_range = value_range

    def plot(self, ax=None, *, cmap="gray"):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.
        cmap : str or Colormap, default="gray"
            Colours of images of one channel.

        Returns
        -------
        display : LatentInterpolationDisplay
            Itself.
        """
        ax = one_axes(ax, f"{type(self).__name__}.plot")
        images = _as_numpy(self.images)
        if images.ndim not in (4, 5):
            raise ValueError(
                "images must be (n_pairs, n_steps, H, W) or (n_pairs, n_steps, C, H, W), got the "
                f"shape {images.shape}."
            )
        _draw(ax, list(images), [""] * len(images), self.value_range, cmap)
        ax.set_xlabel("code of one image → code of another")
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_estimator(cls, estimator, X, Y, *, n_steps=8, ax=None, **kwargs):
        """Interpolate and draw.

        Parameters
        ----------
        estimator : CASEGenerator
            Fitted generator.
        X, Y : array-like or Tensor, shape (n_pairs, ...)
            Images where the paths begin and end.
        n_steps : int, default=8
            Images of a path.
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.
        **kwargs
            Those of `plot`: ``cmap``.

        Returns
        -------
        display : LatentInterpolationDisplay
            Drawn.
        """
        caller = f"{cls.__name__}.from_estimator"
        require_matplotlib(caller, ax=ax)
        check_estimator(estimator, caller, CASEGenerator)
        paths = _as_numpy(estimator.interpolate(X, Y, n_steps))
        images = _unfold(estimator, paths.reshape(-1, *paths.shape[2:]))
        images = images.reshape(*paths.shape[:2], *images.shape[1:])
        return cls(images, value_range=estimator.data_range_).plot(ax, **kwargs)


class GenerationDisplay:
    """Images, their reconstructions from coarse to fine, and images drawn from noise.

    Parameters
    ----------
    images : array-like or Tensor, shape (n, H, W) or (n, C, H, W)
        Real images.
    scales : list of array-like or Tensor, shape (n, h, w) or (n, C, h, w)
        Their reconstructions from the coarsest scale to the finest.
    samples : array-like or Tensor, shape (m, H, W) or (m, C, H, W)
        Images drawn from noise.
    value_range : tuple of float, default=(0, 1)
        Values drawn as black and as white.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where the grid is.
    figure_ : matplotlib Figure
        Its figure.

    See Also
    --------
    skwave.plotting.LatentInterpolationDisplay : Paths between images.
    skwave.validation.generation_report : Distances of samples to real images.

    Examples
    --------
    >>> import numpy as np
    >>> from skwave.plotting import GenerationDisplay
    >>> noise = np.random.default_rng(0).uniform(size=(3, 4, 8, 8))
    >>> display = GenerationDisplay(noise[0], scales=[noise[1]], samples=noise[2]).plot()
    """

    def __init__(self, images, *, scales, samples, value_range=(0, 1)):
        self.images = images
        self.scales = scales
        self.samples = samples
        self.value_range = value_range

    def plot(self, ax=None, *, cmap="gray"):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.
        cmap : str or Colormap, default="gray"
            Colours of images of one channel.

        Returns
        -------
        display : GenerationDisplay
            Itself.
        """
        ax = one_axes(ax, f"{type(self).__name__}.plot")
        images, samples = _as_numpy(self.images), _as_numpy(self.samples)
        if images.ndim not in (3, 4) or samples.shape[1:] != images.shape[1:]:
            raise ValueError(
                "images and samples must be of one shape (H, W) or (C, H, W), got "
                f"{images.shape[1:]} and {samples.shape[1:]}."
            )
        n = len(images)
        rows, names = [images], ["images"]
        for i, x in enumerate(self.scales):
            rows.append(_enlarged(_as_numpy(x), images.shape[-2:]))
            names.append("decoded" if i == len(self.scales) - 1 else "")
        for i in range(0, len(samples), n):
            rows.append(samples[i : i + n])
            names.append("samples" if not i else "")
        _draw(ax, rows, names, self.value_range, cmap)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_estimator(cls, estimator, X, *, n_samples=None, random_state=None, ax=None, **kwargs):
        """Reconstruct images, draw others, and show them.

        Parameters
        ----------
        estimator : CASEGenerator
            Fitted generator.
        X : array-like or Tensor, shape (n, ...)
            Real images, ten say.
        n_samples : int, default=None
            Images drawn from noise; None for twice as many as there are real ones.
        random_state : int, RandomState instance or None, default=None
            Draws them.
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.
        **kwargs
            Those of `plot`: ``cmap``.

        Returns
        -------
        display : GenerationDisplay
            Drawn.
        """
        caller = f"{cls.__name__}.from_estimator"
        require_matplotlib(caller, ax=ax)
        check_estimator(estimator, caller, CASEGenerator)
        n_samples = 2 * len(X) if n_samples is None else n_samples
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise ValueError(f"n_samples must be a positive integer, got {n_samples!r}.")
        display = cls(
            _unfold(estimator, _as_numpy(X)),
            scales=estimator.coarse_to_fine(estimator.transform(X)),
            samples=_unfold(estimator, estimator.sample(n_samples, random_state=random_state)),
            value_range=estimator.data_range_,
        )
        return display.plot(ax, **kwargs)


def _as_numpy(x):
    return np.asarray(to_numpy(x))


def _unfold(estimator, X):
    scattering = estimator.scattering_
    shape = scattering.signal_shape_
    return X.reshape(len(X), *[scattering.n_channels_] * (scattering.n_channels_ > 1), *shape)


def _enlarged(x, shape):
    # pixels repeated, to the size of the finest scale
    for axis, n in zip((-2, -1), shape, strict=True):
        x = np.repeat(x, -(-n // x.shape[axis]), axis)
    return x[..., : shape[0], : shape[1]]


def _draw(ax, rows, names, value_range, cmap):
    """Grid of images; rows may differ in length."""
    if not (all(x.shape[2:] for x in rows) and all(len(x) for x in rows)):
        raise ValueError("there must be an image in every row.")
    channels = rows[0].shape[1] if rows[0].ndim == 4 else 1
    if channels not in (1, 3):
        raise ValueError(f"images have {channels} channels: 1 (grey) or 3 (RGB) can be drawn.")
    height, width = rows[0].shape[-2:]
    low, high = value_range
    # a margin of a pixel, which stays blank
    blank = np.nan if channels == 1 else 1.0
    size = len(rows) * (height + 1), max(map(len, rows)) * (width + 1), channels
    canvas = np.full(size, blank)
    for i, row in enumerate(rows):
        for k, x in enumerate(row):
            pixels = np.clip((x - low) / (high - low), 0, 1).reshape(channels, height, width)
            top, left = i * (height + 1), k * (width + 1)
            canvas[top : top + height, left : left + width] = pixels.transpose(1, 2, 0)
    ax.imshow(canvas[:-1, :-1].squeeze(), cmap=cmap, vmin=0, vmax=1, interpolation="nearest")
    middles = [i * (height + 1) + height / 2 - 0.5 for i in range(len(rows))]
    labelled = [(y, name) for y, name in zip(middles, names, strict=True) if name]
    ax.set(xticks=[], yticks=[y for y, _ in labelled], yticklabels=[name for _, name in labelled])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
