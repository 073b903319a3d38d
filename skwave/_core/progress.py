"""What a minimisation says of its progress."""

import time

_EVERY = 10


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
    begin = time.perf_counter()

    def report(n, x, f):
        if n % _EVERY == 0 or n == max_iter:
            error = f.sqrt()
            print(
                f"[{name}] step {n}/{max_iter}: relative error {error.mean():.2e} on average, "
                f"at most {error.max():.2e}, {time.perf_counter() - begin:.1f} s",
                flush=True,
            )

    return report
