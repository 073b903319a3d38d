"""Lines that tell the progress of a computation."""

import time

_EVERY = 10


def progress_line(name):
    """Function that prints a line of progress, with the seconds since it was made.

    Parameters
    ----------
    name : str
        Name of the estimator or function.

    Returns
    -------
    line : callable
        ``line(text)`` prints ``[name] text, 1.2 s``.
    """
    begin = time.perf_counter()

    def line(text):  # numpydoc ignore=GL08
        print(f"[{name}] {text}, {time.perf_counter() - begin:.1f} s", flush=True)

    return line


def step_reporter(name, max_iter):
    """Hook that prints the relative error after every tenth step.

    Parameters
    ----------
    name : str
        Name of the estimator.
    max_iter : int
        Largest number of steps.

    Returns
    -------
    report : callable
        ``on_step`` of `skwave.functional.lbfgs`, for squared relative errors.
    """
    line = progress_line(name)

    def report(n, x, f):
        if n % _EVERY == 0 or n == max_iter:
            error = f.sqrt()
            line(
                f"step {n}/{max_iter}: relative error {error.mean():.2e} on average, at most "
                f"{error.max():.2e}"
            )

    return report
