"""Display of scattering coefficients: scalograms of signals, disks of images."""

import numpy as np
import torch

from skwave._core.arrays import to_tensor
from skwave._core.drawing import (
    check_choice,
    check_estimator,
    check_index,
    check_sampling_rate,
    one_axes,
    plain_log_axis,
    require_matplotlib,
)
from skwave.scattering._disks import draw_disks
from skwave.scattering._plans import cached_layout, layout_parameters
from skwave.scattering._transformer import ScatteringTransformer


class ScatteringDisplay:
    r"""Scattering coefficients of one sample.

    Of a signal, order 1 is a scalogram, :math:`|x\star\psi_\lambda|\star\phi(t)` against the
    time :math:`t` and the centre frequency :math:`\xi_\lambda`; order 2 is
    :math:`||x\star\psi_\lambda|\star\psi_{\lambda'}|\star\phi(t)` against :math:`t` and
    :math:`\xi_{\lambda'}`, for one first wavelet :math:`\lambda`. The means over time are
    curves.

    Of an image, the coefficients are disks [1]_: the Fourier plane, where the wavelet
    :math:`(j, \theta)` has a sector around its wave vector, in the ring of its scale, the
    finest outermost. The rings are of one thickness, so the radius is a logarithm of the
    frequency; the hole is left by the low-pass. Opposite sectors are equal, as those of a
    real image's spectrum. In order 2 the sector of the first wavelet is cut in the same way
    for the second one: its scales outwards from coarse to fine, its orientations in turn. The
    coarsest scale is followed by no other, and has no sector there.

    Parameters
    ----------
    coefficients : ndarray, shape ``(n_paths, *grid)``
        Coefficients of one channel of one sample; ``grid`` is empty for a global average.
    paths : structured ndarray, shape (n_paths,)
        Rows of ``ScatteringTransformer.paths_``, with one phase at most of each path.
    signal_shape : tuple of int
        ``(N,)`` or ``(H, W)``.
    positions : tuple of ndarray, default=()
        For each axis of the grid, where the coefficients lie in the signal, in samples.
    sampling_rate : float, default=None
        Samples per second, to have times in seconds and frequencies in Hz; else they are in
        samples and cycles per sample. For signals.
    log : bool, default=False
        Whether the coefficients are logarithms.

    Attributes
    ----------
    mesh_ : QuadMesh or None
        Image of a signal's coefficients, the lowest frequency first.
    line_ : Line2D or None
        Curve of their means.
    sectors_ : PatchCollection or None
        Sectors of an image's disks: position after position, path after path, each sector
        followed by the opposite one.
    colorbar_ : Colorbar or None
        Colour bar.
    ax_ : matplotlib Axes
        Where it is drawn.
    figure_ : matplotlib Figure
        The figure of the Axes.

    See Also
    --------
    FilterBankDisplay : The filters.
    skwave.ScatteringTransformer : The transform; ``paths_`` lists the wavelets.

    References
    ----------
    .. [1] Bruna, J. and Mallat, S., Invariant scattering convolution networks, IEEE Trans.
       PAMI 35, 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from skwave import ScatteringTransformer
    >>> from skwave.plotting import ScatteringDisplay
    >>> X = np.cos(2 * np.pi * 440 / 8000 * np.arange(4096))[None]
    >>> scattering = ScatteringTransformer(J=7, Q=8).fit(X)
    >>> display = ScatteringDisplay.from_estimator(scattering, X, sampling_rate=8000)
    >>> display.ax_.get_ylabel()
    'frequency (Hz)'
    >>> display.mesh_.get_array().shape  # frequencies and times
    (46, 32)
    """

    def __init__(
        self, coefficients, paths, *, signal_shape, positions=(), sampling_rate=None, log=False
    ):
        check_sampling_rate(sampling_rate, len(signal_shape))
        self.coefficients = coefficients
        self.paths = paths
        self.signal_shape = signal_shape
        self.positions = positions
        self.sampling_rate = sampling_rate
        self.log = log

    def plot(
        self, ax=None, *, order=1, n=None, positions=None, cmap=None, norm=None, colorbar=True
    ):
        """Draw the coefficients of one order.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.
        order : {1, 2}, default=1
            Order of the coefficients.
        n : int, default=None
            For order 2, the index of the first wavelet (``paths["n"][:, 0]``); a signal
            needs it. Of an image, the disk is that of the second wavelets which follow;
            by default all first wavelets are shown.
        positions : {"all", "mean"}, default=None
            The coefficients at every position, or their mean. By default "all" for
            signals and "mean" for images; a global average has only the mean.
        cmap : str or Colormap, default=None
            Colours, matplotlib's default if None.
        norm : str or Normalize, default=None
            Scale of the colours, ``"log"`` say; linear by default, from 0 unless the
            coefficients are logarithms.
        colorbar : bool, default=True
            Whether to add a colour bar.

        Returns
        -------
        display : ScatteringDisplay
            Itself.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        TypeError
            If ``ax`` is not one Axes.
        ValueError
            If there are no such coefficients, or a parameter is not one of those above.
        """
        image, local = len(self.signal_shape) == 2, self.coefficients.ndim > 1
        if positions is None:
            positions = "all" if local and not image else "mean"
        check_choice("positions", positions, ("all", "mean"))
        if positions == "all" and not local:
            raise ValueError(
                "positions='all' needs averaging='local': these coefficients are means."
            )
        rows = self._rows(order, n)
        ax = one_axes(ax, f"{type(self).__name__}.plot")
        paths, values = self.paths[rows], self.coefficients[rows]
        if positions == "mean":
            values = values.reshape(len(rows), -1).mean(axis=1)
        label = "log coefficient" if self.log else "coefficient"
        coloured = self.mesh_ = self.line_ = self.sectors_ = self.colorbar_ = None
        if image:
            orders = [0, 1] if order == 2 and n is None else [order - 1]
            centres = self.positions if positions == "all" else ()
            j, theta = paths["j"][:, orders], paths["theta"][:, orders]
            coloured = self.sectors_ = draw_disks(ax, values, j, theta, centres)
        elif positions == "all":
            coloured = self.mesh_ = self._scalogram(ax, paths, order, values)
        else:
            (self.line_,) = ax.plot(self._frequencies(paths, order), values, marker=".")
            ax.set(xlabel=self._frequency_label(order), ylabel=f"mean {label}")
            plain_log_axis(ax.xaxis)
        if order == 2 and n is not None:
            ax.set_title(self._first_wavelet(paths[0]), fontsize="medium")
        if coloured is not None:
            coloured.set(cmap=cmap, norm=norm)
            if norm is None and not self.log:
                coloured.set_clim(vmin=0)
            if colorbar:
                self.colorbar_ = ax.figure.colorbar(coloured, ax=ax, label=label)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_estimator(
        cls, estimator, X, *, sample=0, channel=0, sampling_rate=None, ax=None, **kwargs
    ):
        """Transform one sample, and draw its coefficients.

        A rectifier's coefficients are averaged over the phases, which gives in order 1 nearly
        those of the modulus divided by pi. Logarithms, of an estimator with ``log``, are
        drawn as they are; means are those of the logarithms.

        Parameters
        ----------
        estimator : ScatteringTransformer
            Fitted, with local or global averaging.
        X : array-like or Tensor, shape (n_samples, ...)
            Samples of the fitted shape.
        sample : int, default=0
            Which sample.
        channel : int, default=0
            Which of its channels.
        sampling_rate : float, default=None
            Samples per second, to have times in seconds and frequencies in Hz; for
            signals.
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.
        **kwargs
            Those of `plot`: ``order``, ``n``, ``positions`` and the colours.

        Returns
        -------
        display : ScatteringDisplay
            It can be plotted again, for another order.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        TypeError
            If the estimator is not a `ScatteringTransformer`.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If there are no such samples, channels or coefficients, or if the maps are not
            averaged, ``averaging=None``: they have no grid in common.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from skwave import ScatteringTransformer
        >>> from skwave.plotting import ScatteringDisplay
        >>> X, y = load_digits(return_X_y=True)
        >>> scattering = ScatteringTransformer(J=2, shape=(8, 8)).fit(X)
        >>> display = ScatteringDisplay.from_estimator(scattering, X, sample=3)
        >>> len(display.sectors_.get_array())  # 2 scales, 8 orientations, twice each
        32
        """
        caller = f"{cls.__name__}.from_estimator"
        require_matplotlib(caller, ax=ax)
        check_estimator(estimator, caller, ScatteringTransformer)
        if sampling_rate is None:
            sampling_rate = estimator.sampling_rate
        check_sampling_rate(sampling_rate, estimator.ndim_)
        coefficients, paths, positions = sample_coefficients(estimator, X, sample, channel)
        display = cls(
            coefficients,
            paths,
            signal_shape=estimator.signal_shape_,
            positions=positions,
            sampling_rate=sampling_rate,
            log=bool(estimator.log),
        )
        return display.plot(ax, **kwargs)

    def _rows(self, order, n):
        # the paths to draw; those of a signal by increasing frequency
        check_choice("order", order, (1, 2))
        rows = np.flatnonzero(self.paths["order"] == order)
        if len(rows) == 0:
            raise ValueError(
                f"There are no coefficients of order {order}: max_order is smaller, or J is too "
                "small for a second wavelet at a larger scale."
            )
        first = self.paths["n"][rows, 0]
        if order == 1 and n is not None:
            raise ValueError(f"n={n!r} chooses the first wavelet of order 2: leave it out.")
        if n is not None or (order == 2 and len(self.signal_shape) == 1):
            if n not in first.tolist():
                raise ValueError(
                    "order=2 is drawn for one first wavelet, whose index n must be from "
                    f"{first.min()} to {first.max()}, got {n!r}. paths['xi'] has the frequencies."
                )
            rows = rows[first == n]
        if len(self.signal_shape) == 1:
            rows = rows[np.argsort(self.paths["xi"][rows, order - 1])]
        return rows

    def _unit(self, seconds, samples):
        return samples if self.sampling_rate is None else seconds

    def _frequencies(self, paths, order):
        return paths["xi"][:, order - 1] * (self.sampling_rate or 1)

    def _frequency_label(self, order):
        name = "frequency" if order == 1 else "frequency of the second wavelet"
        return f"{name} ({self._unit('Hz', 'cycles per sample')})"

    def _first_wavelet(self, path):
        if len(self.signal_shape) == 2:
            return f"first wavelet: j = {path['j'][0]:g}, theta = {path['theta'][0]}"
        unit = self._unit("Hz", "cycles per sample")
        return f"first wavelet: {path['xi'][0] * (self.sampling_rate or 1):.3g} {unit}"

    def _scalogram(self, ax, paths, order, values):
        rate = self.sampling_rate or 1
        rows, columns = cell_edges(
            self._frequencies(paths, order), self.positions[0] / rate, self.signal_shape[0] / rate
        )
        ax.set(xlabel=f"time ({self._unit('s', 'samples')})", ylabel=self._frequency_label(order))
        plain_log_axis(ax.yaxis)
        return ax.pcolormesh(columns, rows, values)


def cell_edges(xi, t, n):
    """Edges of the cells of a scalogram, around frequencies and times.

    Parameters
    ----------
    xi : ndarray, shape (n_frequencies,)
        Increasing frequencies; edges are their geometric means.
    t : ndarray, shape (n_times,)
        Increasing times; edges are halfway, and 0 and ``n``.
    n : float
        Length of the signal.

    Returns
    -------
    rows, columns : ndarray
        One more than there are frequencies, and times.

    Examples
    --------
    >>> rows, columns = cell_edges(np.array([1.0, 4.0]), np.array([0, 10]), 20)
    >>> rows.tolist(), columns.tolist()
    ([0.5, 2.0, 8.0], [0.0, 5.0, 20.0])
    """
    half = np.sqrt(xi[1:] / xi[:-1]) if len(xi) > 1 else np.sqrt([2.0])
    rows = np.array([xi[0] / half[0], *xi[:-1] * half[: len(xi) - 1], xi[-1] * half[-1]])
    return rows, np.array([0.0, *(t[1:] + t[:-1]) / 2, n])


def sample_coefficients(estimator, X, sample, channel):
    """Scattering coefficients of one channel of one sample, with their paths and positions.

    Parameters
    ----------
    estimator : ScatteringTransformer
        Fitted.
    X : array-like or Tensor, shape (n_samples, ...)
        Samples of the fitted shape.
    sample, channel : int
        Which sample, and which of its channels.

    Returns
    -------
    coefficients : ndarray of float64, shape (n_paths, *grid)
        Means over the phases of a rectifier.
    paths : structured ndarray, shape (n_paths,)
        Their rows of ``paths_``, with the first phase.
    positions : tuple of ndarray
        Where the coefficients lie in the signal, for each axis of the grid.

    Raises
    ------
    ValueError
        If the coefficients have no grid, or if there is no such sample or channel.
    """
    reduced = estimator.any_length_ or estimator.reduce is not None
    if estimator.averaging not in ("local", "global") or reduced:
        raise ValueError(
            f"averaging={estimator.averaging!r} with reduce={estimator.reduce!r}, any_length_="
            f"{estimator.any_length_}: positions or orientations are missing. Fit to an array, "
            "with estimator.set_params(averaging='local'), or 'global', and reduce=None."
        )
    check_index("sample", sample, X.shape[0] if hasattr(X, "shape") else len(X))
    check_index("channel", channel, estimator.n_channels_)
    row = slice(sample, sample + 1)
    # an array of the array API wants all its axes indexed, a data frame only the first
    row = (row, ...) if hasattr(X, "__array_namespace__") else row
    S = _to_numpy(estimator.transform(X[row]))
    S = S.reshape(estimator.output_shape_)[channel]
    paths = estimator.paths_
    for name in ("xi", "sigma"):  # in cycles per sample
        paths[name] /= estimator.sampling_rate or 1
    return *_mean_over_phases(S, paths), _positions(estimator)


def _to_numpy(S):
    S = S.to_numpy() if hasattr(S, "to_numpy") else S  # a data frame
    return to_tensor(S, torch.float64, torch.device("cpu")).detach().numpy()


def _mean_over_phases(S, paths):
    # one row for all phases of a path, in the order of the paths
    _, rows, group = np.unique(paths["n"], axis=0, return_index=True, return_inverse=True)
    total = np.zeros((len(rows), *S.shape[1:]))
    np.add.at(total, group.ravel(), S)
    counts = np.bincount(group.ravel()).reshape(-1, *[1] * (S.ndim - 1))
    order = np.argsort(rows)
    return (total / counts)[order], paths[rows[order]]


def _positions(estimator):
    if estimator.averaging == "global":
        return ()
    shape = estimator.signal_shape_
    geometry = cached_layout(shape, **layout_parameters(estimator, shape))[0].geometry
    axes = list(zip(geometry.first, geometry.count, geometry.left, strict=True))
    return tuple(
        geometry.step * (first + np.arange(count)) - left
        for first, count, left in axes[: geometry.ndim]
    )
