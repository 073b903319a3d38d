"""Display of a filter bank in the Fourier domain, and of its Littlewood-Paley sum."""

import numpy as np

from skwave._core.drawing import (
    check_choice,
    check_estimator,
    check_sampling_rate,
    one_axes,
    plain_log_axis,
    require_matplotlib,
)
from skwave.functional import Bank, littlewood_paley, morlet_1d, morlet_2d
from skwave.scattering._plans import cached_layout, layout_parameters
from skwave.scattering._transformer import ScatteringTransformer

_KINDS = ("both", "supports", "littlewood_paley")
# bins that resolve the narrowest filter of a drawing: per support of the low-pass, per axis
_BINS_1D, _MOST_BINS = 128, 2**18
_BINS_2D = 128


class FilterBankDisplay:
    r"""Filters of a bank in the Fourier domain, and their Littlewood–Paley sum.

    For a bank of signals, the curves :math:`|\hat\psi_\lambda(\omega)|`,
    :math:`|\hat\phi(\omega)|` and

    .. math:: A(\omega) = |\hat\phi(\omega)|^2
       + \frac12 \sum_\lambda |\hat\psi_\lambda(\omega)|^2 + |\hat\psi_\lambda(-\omega)|^2

    on the frequencies from 0 to half a cycle per sample. For a bank of images, the contours
    where each filter is at half its height, coloured by scale, over an image of :math:`A`.
    The vertical axis points down, as the rows of an image do; wavelets stand in one half
    of the plane, as the other half of a real image's spectrum is its conjugate.

    Everything is drawn in one Axes. For the supports and the sum side by side, plot twice,
    with two values of ``kind``.

    Parameters
    ----------
    bank : Bank
        Filters of signals or of images, such as `skwave.functional.morlet_1d` and
        `skwave.functional.morlet_2d` give.
    sampling_rate : float, default=None
        Samples per second, to have frequencies in Hz; else they are in cycles per sample.
        For banks of signals.

    Attributes
    ----------
    supports_ : list of Line2D or of ContourSet, or None
        One for each wavelet; None if not drawn.
    lowpass_ : Line2D or ContourSet, or None
        That of the low-pass.
    littlewood_paley_ : Line2D or AxesImage, or None
        That of the sum.
    ax_ : matplotlib Axes
        Where it is drawn.
    figure_ : matplotlib Figure
        The figure of the Axes.

    Raises
    ------
    TypeError
        If ``bank`` is not a `skwave.functional.Bank`.
    ValueError
        If ``sampling_rate`` is not a positive number, or is given for images.

    See Also
    --------
    skwave.functional.littlewood_paley : The sum.
    ScatteringDisplay : Scattering coefficients of a sample.

    References
    ----------
    Mallat, S., Group invariant scattering, Comm. Pure Appl. Math. 65, 2012, sec. 2.

    Examples
    --------
    >>> from skwave.functional import morlet_1d
    >>> from skwave.plotting import FilterBankDisplay
    >>> display = FilterBankDisplay(morlet_1d(1024, J=4), sampling_rate=8000).plot()
    >>> len(display.supports_), display.ax_.get_xlabel()
    (5, 'frequency (Hz)')
    """

    def __init__(self, bank, *, sampling_rate=None):
        if not isinstance(bank, Bank):
            raise TypeError(
                f"bank must be a skwave.functional.Bank, got {type(bank).__name__}: make one by "
                "skwave.functional.morlet_1d or morlet_2d. For an estimator use "
                "FilterBankDisplay.from_estimator."
            )
        check_sampling_rate(sampling_rate, len(bank.shape))
        self.bank = bank
        self.sampling_rate = sampling_rate

    def plot(self, ax=None, *, kind="both", xscale="log", cmap=None, colorbar=True):
        """Draw the bank.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.
        kind : {"both", "supports", "littlewood_paley"}, default="both"
            The filters, the Littlewood–Paley sum, or both in the same Axes.
        xscale : {"log", "linear"}, default="log"
            Scale of the frequency axis, for banks of signals.
        cmap : str or Colormap, default=None
            Colours of the wavelets, from fine to coarse scales; "viridis" by default.
        colorbar : bool, default=True
            Whether to add a colour bar to the image of the sum.

        Returns
        -------
        display : FilterBankDisplay
            Itself.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        TypeError
            If ``ax`` is not one Axes.
        ValueError
            If ``kind`` or ``xscale`` is not one of those above.
        """
        check_choice("kind", kind, _KINDS)
        check_choice("xscale", xscale, ("log", "linear"))
        ax = one_axes(ax, f"{type(self).__name__}.plot")
        bank = self.bank.to("cpu")
        self.supports_ = self.lowpass_ = self.littlewood_paley_ = None
        if len(bank.shape) == 1:
            rate = self.sampling_rate
            omega = np.arange(bank.shape[0] // 2 + 1) / bank.shape[0] * (rate or 1)
            if kind != "supports":
                self.littlewood_paley_ = _sum_1d(ax, omega, bank)
            if kind != "littlewood_paley":
                total = [] if kind == "supports" else [self.littlewood_paley_]
                self.supports_, self.lowpass_ = _supports_1d(ax, omega, bank, cmap, total)
            ax.set(xlabel=f"frequency ({'Hz' if rate else 'cycles per sample'})")
            if xscale == "log":
                plain_log_axis(ax.xaxis)
            ax.set(xlim=(omega[1] if xscale == "log" else 0, omega[-1]))
            ax.set_ylim(0, 1.35 * ax.dataLim.y1)
        else:
            if kind != "supports":
                self.littlewood_paley_ = _sum_2d(ax, bank, colorbar)
            if kind != "littlewood_paley":
                self.supports_, self.lowpass_ = _supports_2d(ax, bank, cmap)
            ax.set(xlabel="horizontal frequency (cycles per pixel)")
            ax.set(ylabel="vertical frequency (cycles per pixel)")
            ax.set(xlim=(-0.5, 0.5), ylim=(0.5, -0.5), aspect="equal")
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_estimator(cls, estimator, *, order=1, sampling_rate=None, ax=None, **kwargs):
        """Draw the filters of a scattering transform.

        They are sampled on the grid of the extended signals that the transform works on,
        or on a finer one if that is too coarse for a drawing.

        Parameters
        ----------
        estimator : ScatteringTransformer
            Fitted.
        order : {1, 2}, default=1
            The wavelets of the first or of the second order; they differ if ``Q`` does.
        sampling_rate : float, default=None
            Samples per second, to have frequencies in Hz; for signals.
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.
        **kwargs
            Those of `plot`.

        Returns
        -------
        display : FilterBankDisplay
            Its ``bank`` holds the filters.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        TypeError
            If the estimator is not a `ScatteringTransformer`.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If ``order`` is neither 1 nor 2.

        Examples
        --------
        >>> import numpy as np
        >>> from skwave import ScatteringTransformer
        >>> from skwave.plotting import FilterBankDisplay
        >>> scattering = ScatteringTransformer(J=2, L=4, ndim=2).fit(np.zeros((1, 32, 32)))
        >>> display = FilterBankDisplay.from_estimator(scattering, kind="supports")
        >>> len(display.supports_)
        8
        """
        caller = f"{cls.__name__}.from_estimator"
        require_matplotlib(caller, ax=ax)
        check_estimator(estimator, caller, ScatteringTransformer)
        check_choice("order", order, (1, 2))
        bank = _bank(estimator, order)
        return cls(bank, sampling_rate=sampling_rate).plot(ax, **kwargs)


def _bank(estimator, order):
    # the filters are functions of a continuous frequency: a finer grid only draws them better
    shape = estimator.signal_shape_
    parameters = layout_parameters(estimator, shape)
    geometry = cached_layout(shape, **parameters)[0].geometry
    J, Q, T = parameters["J"], parameters["Q"][order - 1], parameters["T"]
    if geometry.ndim == 1:
        n_bins = min(int(_BINS_1D * max(2**J, T or 1)), _MOST_BINS)
        return morlet_1d(max(geometry.extended[0], n_bins), J, Q, T)
    shape = tuple(max(n, _BINS_2D) for n in geometry.extended)
    return morlet_2d(shape, J, estimator.L, Q, T)


def _colours(bank, cmap):
    # one for each scale, from fine to coarse
    from matplotlib import colormaps

    cmap = cmap if callable(cmap) else colormaps[cmap or "viridis"]
    scales = sorted({wavelet.j for wavelet in bank.wavelets})
    return {j: cmap(0.9 * i / max(1, len(scales) - 1)) for i, j in enumerate(scales)}


def _legend(ax, colours, *others):
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=colour, label=f"j = {j:g}") for j, colour in colours.items()]
    style = {"fontsize": "small", "ncols": 4, "handlelength": 1.2, "columnspacing": 1}
    ax.legend(handles=[*handles, *others], loc="upper center", **style)


def _sum_1d(ax, omega, bank):
    total = littlewood_paley(bank)[: len(omega)].numpy()
    (line,) = ax.plot(omega, total, color="0.6", linewidth=3, label=r"$A(\omega)$")
    ax.set_ylabel(r"Littlewood–Paley sum $A(\omega)$")
    return line


def _supports_1d(ax, omega, bank, cmap, total):
    colours, filters = _colours(bank, cmap), bank.psi_hat[:, : len(omega)].abs().numpy()
    lines = []
    for wavelet, psi in zip(bank.wavelets, filters, strict=True):
        lines += ax.plot(omega, psi, color=colours[wavelet.j], linewidth=1)
    phi = bank.phi_hat[: len(omega)].abs().numpy()
    (lowpass,) = ax.plot(omega, phi, "k--", linewidth=1, label=r"$\hat\phi$")
    ax.set_ylabel(r"$|\hat\psi_\lambda(\omega)|$" + (r", $A(\omega)$" if total else ""))
    _legend(ax, colours, lowpass, *total)
    return lines, lowpass


def _sum_2d(ax, bank, colorbar):
    total = np.fft.fftshift(littlewood_paley(bank).numpy())
    # the edges of the first and of the last bin
    edges = [(-(n // 2) / n - 0.5 / n, ((n - 1) // 2) / n + 0.5 / n) for n in bank.shape]
    extent = (*edges[1], *edges[0][::-1])
    limits = {"vmin": 0, "vmax": max(1, total.max())}
    image = ax.imshow(total, cmap="gray", alpha=0.6, extent=extent, **limits)
    if colorbar:
        ax.figure.colorbar(image, ax=ax, label=r"Littlewood–Paley sum $A(\omega)$")
    return image


def _contour(ax, f_hat, colour):
    # at half the height; from -1/2 to 1/2, both of them, as the filters are periodic
    index = [np.arange(-(n // 2), n - n // 2 + 1) for n in f_hat.shape]
    y, x = (k / n for k, n in zip(index, f_hat.shape, strict=True))
    height = f_hat.abs().numpy()[np.ix_(*index)]
    return ax.contour(x, y, height, [height.max() / 2], colors=[colour])


def _supports_2d(ax, bank, cmap):
    from matplotlib.lines import Line2D

    colours = _colours(bank, cmap)
    _legend(ax, colours, Line2D([], [], color="tab:red", label=r"$\hat\phi$"))
    pairs = zip(bank.wavelets, bank.psi_hat, strict=True)
    contours = [_contour(ax, psi_hat, colours[wavelet.j]) for wavelet, psi_hat in pairs]
    return contours, _contour(ax, bank.phi_hat, "tab:red")
