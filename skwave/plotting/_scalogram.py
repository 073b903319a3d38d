"""Scalograms: coefficients of a signal against time and frequency."""

import numpy as np


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
