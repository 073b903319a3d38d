"""Lines of progress that estimators print if they are verbose."""

import time

_EVERY = 10


def progress_lines(name):
    """Function that prints a line of progress, with the time since it was made.

    Parameters
    ----------
    name : str
        Who reports, an estimator say.

    Returns
    -------
    report : callable
        ``report(text)`` prints ``[name] text, 1.5 s``.
    """
    begin = time.perf_counter()

    def report(text):  # numpydoc ignore=GL08
        print(f"[{name}] {text}, {time.perf_counter() - begin:.1f} s", flush=True)

    return report


def report_batches(results, n_samples, name, unit="samples"):
    """Pass results of batches on, and print how many samples are done after each.

    Parameters
    ----------
    results : iterable
        Pairs of a batch and the results of its samples.
    n_samples : int
        Samples of all batches.
    name : str
        Name of the estimator.
    unit : str, default="samples"
        What they are of.

    Yields
    ------
    batch, results : tuple
        The pairs, as they come.
    """
    report, done = progress_lines(name), 0
    for batch, y in results:
        yield batch, y
        done += len(y)
        report(f"{done}/{n_samples} {unit}")


def step_reporter(name, max_iter):
    """Hook that prints the relative errors of a minimisation after every tenth step.

    Parameters
    ----------
    name : str
        Name of the estimator.
    max_iter : int
        Largest number of steps.

    Returns
    -------
    on_step : callable
        For `skwave.functional.lbfgs`, whose objective is a squared relative error.
    """
    report = progress_lines(name)

    def on_step(n, x, f):  # numpydoc ignore=GL08
        if n % _EVERY == 0 or n == max_iter:
            error = f.sqrt()
            report(
                f"step {n}/{max_iter}: relative error {error.mean():.2e} on average, "
                f"at most {error.max():.2e}"
            )

    return on_step
