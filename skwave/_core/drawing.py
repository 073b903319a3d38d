"""Matplotlib, imported when it is needed, and the checks that all displays share."""

from numbers import Integral, Real

from sklearn.utils.validation import check_is_fitted


def require_matplotlib(caller, *, ax=None, figure=None):
    """Raise an error if matplotlib is missing, or if what to draw in is something else.

    A display calls it before it computes anything.

    Parameters
    ----------
    caller : str
        The display or its method, for the message.
    ax : matplotlib Axes or None
        Where a display of one panel draws, as the user gave it.
    figure : Figure, SubFigure or None
        Where a display of several panels draws, as the user gave it.

    Raises
    ------
    ImportError
        If matplotlib is missing; it tells how to install it.
    TypeError
        If ``ax`` or ``figure`` is something else.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f'{caller} needs matplotlib: python -m pip install "skwave[plot]"'
        ) from error
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

    if ax is not None and not isinstance(ax, Axes):
        raise TypeError(
            f"ax must be one matplotlib Axes or None, got {type(ax).__name__}: a display draws "
            "in one Axes; of those that plt.subplots gives, choose one."
        )
    if figure is not None and not isinstance(figure, FigureBase):
        raise TypeError(
            f"figure must be a matplotlib Figure or SubFigure, got {type(figure).__name__}: this "
            "display has several panels, one Axes is not enough."
        )


def one_axes(ax, caller):
    """The Axes to draw in, new if none is given.

    Parameters
    ----------
    ax : matplotlib Axes or None
        What the user gave.
    caller : str
        The display or its method, for the message.

    Returns
    -------
    ax : matplotlib Axes
        In a figure of its own if it was None.
    """
    require_matplotlib(caller, ax=ax)
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained")[1]


def figure_of_panels(figure, size):
    """Figure of a display that has several panels, new if none is given.

    Parameters
    ----------
    figure : Figure, SubFigure or None
        What the user gave, after `require_matplotlib`.
    size : (float, float)
        Of a new figure, in inches.

    Returns
    -------
    figure : Figure or SubFigure
        Where to draw.
    """
    if figure is not None:
        return figure
    import matplotlib.pyplot as plt

    return plt.figure(figsize=size, layout="constrained")


def check_choice(name, value, choices):
    """Raise a ValueError if a value is not one of several.

    Parameters
    ----------
    name : str
        Name of the parameter.
    value : object
        What the user gave.
    choices : tuple
        What is allowed.
    """
    if not any(value is choice or value == choice for choice in choices):
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}.")


def check_index(name, value, size):
    """Raise a ValueError if a value is not an index of a sequence of some size.

    Parameters
    ----------
    name : str
        Name of the parameter.
    value : object
        What the user gave.
    size : int
        Number of things.
    """
    if not isinstance(value, Integral) or value not in range(size):
        raise ValueError(f"{name} must be an integer from 0 to {size - 1}, got {value!r}.")


def check_sampling_rate(sampling_rate, ndim):
    """Raise an error unless a sampling rate is None, or a positive number for signals.

    Parameters
    ----------
    sampling_rate : object
        What the user gave.
    ndim : int
        Number of axes of the signal.
    """
    if sampling_rate is None:
        return
    if ndim != 1:
        raise ValueError(
            f"sampling_rate={sampling_rate!r} is for signals of one dimension: frequencies of "
            "images are in cycles per pixel. Leave it out."
        )
    if not isinstance(sampling_rate, Real) or not 0 < sampling_rate < float("inf"):
        raise ValueError(
            f"sampling_rate must be a positive number of samples per second, got {sampling_rate!r}."
        )


def check_estimator(estimator, caller, kind):
    """Raise an error unless an estimator is of a class and fitted.

    Parameters
    ----------
    estimator : object
        What the user gave.
    caller : str
        The display or its method, for the message.
    kind : type
        The class.
    """
    if not isinstance(estimator, kind):
        raise TypeError(
            f"{caller} takes a fitted {kind.__name__}, got {type(estimator).__name__}. Of a "
            f"pipeline, give the step: pipeline.named_steps[{kind.__name__.lower()!r}]."
        )
    check_is_fitted(estimator)


def plain_log_axis(axis):
    """Make an axis logarithmic, with numbers such as 200 rather than powers of ten.

    Parameters
    ----------
    axis : matplotlib Axis
        Of frequencies.
    """
    from matplotlib.ticker import LogFormatter

    class _Plain(LogFormatter):
        def __call__(self, x, pos=None):
            return f"{x:g}" if super().__call__(x, pos) else ""

    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    axis.set_major_formatter(_Plain())
    axis.set_minor_formatter(_Plain())
