"""Compilation by numba, an extra: imported where it is used."""

from numba import njit


def jit(f):
    """Compile a function, which then holds no lock.

    Parameters
    ----------
    f : callable
        Of arrays and numbers.

    Returns
    -------
    f : callable
        Compiled at the first call with given types, and cached on the disk.
    """
    options = {
        "nogil": True,
        "error_model": "numpy",
        "fastmath": {"contract", "reassoc", "nsz"},  # infinities and NaN keep their meaning
    }
    try:
        return njit(cache=True, **options)(f)
    except RuntimeError:  # no directory for the cache can be written
        return njit(**options)(f)
