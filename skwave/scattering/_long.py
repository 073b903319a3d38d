"""Scattering of long signals: pieces with their surroundings, whose results are put together."""

from math import prod

import numpy as np
import torch

from skwave._core.arrays import empty_like_kind, like_kind, native, to_tensor, write
from skwave._core.batches import check_result, run_batches
from skwave.functional import scattering
from skwave.functional._scattering.layout import piece_size
from skwave.functional._wavelets.fourier import sample_at
from skwave.scattering._plans import cached_layout, cached_plan

# samples of a piece with its margins: its maps stay in the cache of a CPU, or fill a GPU
_EXTENDED, _EXTENDED_CUDA = 2**17, 2**20
# signals of fewer pieces are quicker as a whole
_FEWEST_PIECES = 2


class Pieces:
    """Signals cut into pieces: scattering by overlap-save, in the memory of a few pieces.

    A piece is transformed with 13 supports of the low-pass on each side, of the signal or of what
    its boundary says lies beyond; filters decay so fast that what lies farther changes the
    coefficients by less than 1e-6 of their norm.

    Parameters
    ----------
    X : array, shape (n_samples, ...)
        Validated samples; a memory map is read piece by piece.
    n_channels : int
        Signals of a sample.
    n : int
        Length of a signal.
    dtype : torch.dtype
        Type to compute in.
    device : torch.device
        Where to compute.
    **parameters
        Those of `skwave.functional.scattering_layout`.
    """

    def __init__(self, X, n_channels, n, dtype, device, **parameters):
        self.X, self.n, self.dtype, self.device = X, n, dtype, device
        self.n_signals, self.n_channels = X.shape[0] * n_channels, n_channels
        self.signals = native(X).reshape(X.shape[0], n_channels, n)
        self.parameters = parameters
        self.size = size_of_pieces(device, **parameters)

    def _given(self):
        return self.parameters | {"boundary": "given"}

    def grids(self, size):
        """Coefficients of each path of a piece.

        Parameters
        ----------
        size : int
            Samples of the piece.

        Returns
        -------
        grids : list of int
            In the order of the paths.
        """
        return [prod(path.grid) for path in cached_layout((size,), **self._given())[1]]

    def _read(self, number, plan):
        # samples of a piece of a signal and of what lies around it, (n_given,)
        signal, start = self._place(number)
        first = start - plan.geometry.left[0]
        last = first + plan.given[0]
        x = self.signals[divmod(signal, self.n_channels)]
        if 0 <= first and last <= self.n:
            return to_tensor(x[first:last], self.dtype, self.device)
        index = sample_at(torch.arange(first, last), self.n, self.parameters["boundary"])
        inside = index.clamp(max=self.n - 1)
        x = x[inside.numpy() if isinstance(x, np.ndarray) else inside.to(x.device)]
        zeros = (index == self.n).to(self.device)
        return to_tensor(x, self.dtype, self.device).masked_fill(zeros, 0)

    def _place(self, number):
        # pieces of one size first, signal after signal, then the rest of each signal
        n_whole, rest = divmod(self.n, self.size)
        if number < self.n_signals * n_whole:
            signal, piece = divmod(number, n_whole)
            return signal, piece * self.size
        return number - self.n_signals * n_whole, self.n - rest

    def _compute(self, numbers):
        size = min(self.size, self.n - self._place(numbers[0])[1])
        plan = cached_plan((size,), self.dtype, self.device, **self._given())
        with torch.no_grad():  # a thread's own
            x = torch.stack([self._read(number, plan) for number in numbers])
            return numbers, scattering(x, plan).flatten(1)

    def coefficients(self, *, n_jobs=None, verbose=0, name=""):
        """Coefficients of all pieces, as they come.

        Parameters
        ----------
        n_jobs : int, default=None
            Pieces at once on a CPU, in threads.
        verbose : int, default=0
            Print the progress if positive.
        name : str, default=""
            Name in the progress line and in errors.

        Yields
        ------
        signal : int
            Number of the signal: all channels of a sample, then the next.
        start : int
            First sample of the piece.
        s : Tensor, shape (n,)
            Coefficients of the piece, path after path.
        """
        n_whole, rest = divmod(self.n, self.size)
        middle = self.n_signals * n_whole
        total = middle + self.n_signals * (rest > 0)
        at_once = 1 if self.device.type == "cpu" else 16
        batches = [
            range(i, min(i + at_once, end))
            for begin, end in ((0, middle), (middle, total))
            for i in range(begin, end, at_once)
        ]
        if self.device.type != "cpu":
            n_jobs = 1
        for numbers, y in run_batches(
            self._compute, batches, n_samples=total, n_jobs=n_jobs, verbose=verbose, name=name,
            unit="pieces",
        ):  # fmt: skip
            for number, s in zip(numbers, y, strict=True):
                signal, start = self._place(number)
                check_result(s[None], signal // self.n_channels, name)
                yield signal, start, s

    def features(self, finish, **options):
        """Coefficients of the signals, the same as of each in one piece.

        Parameters
        ----------
        finish : callable
            Applied to coefficients, one by one.
        **options
            Those of `coefficients`.

        Returns
        -------
        Y : array, shape (n_samples, n_features)
            Same kind and device as ``X``.
        """
        paths = cached_layout((self.n,), **self.parameters)[1]
        grids = [prod(path.grid) for path in paths]
        n_out = self.n_channels * sum(grids)
        out = empty_like_kind(self.X, (self.X.shape[0], n_out), self.dtype)
        rows = out.reshape(self.n_signals, sum(grids))
        if self.parameters["averaging"] == "global":
            write(rows, 0, finish(self._mean(len(paths), **options).to(self.dtype)))
            return like_kind(out, self.X)
        offsets = np.cumsum([0, *grids[:-1]])
        steps = self.grids(self.size)
        for signal, start, s in self.coefficients(**options):
            parts = finish(s).split(self.grids(min(self.size, self.n - start)))
            piece = start // self.size
            for offset, step, part in zip(offsets, steps, parts, strict=True):
                write(rows[signal], int(offset) + piece * step, part)
        return like_kind(out, self.X)

    def _mean(self, n_paths, **options):
        # means over signals, (n_signals, n_paths), of the means over their pieces
        means = torch.zeros(self.n_signals, n_paths, dtype=torch.float64)
        for signal, start, s in self.coefficients(**options):
            share = min(self.size, self.n - start) / self.n
            means[signal] += share * s.to("cpu", torch.float64)
        return means

    def energies(self, **options):
        """Mean squares of the signals and of their coefficients.

        Parameters
        ----------
        **options
            Those of `coefficients`.

        Returns
        -------
        energies : Tensor of float64, shape (n_samples, n_channels, n_paths)
            Of the coefficients, at the positions of the local average.
        total : Tensor of float64, shape (n_samples, n_channels)
            Of the signals.
        """
        paths = cached_layout((self.n,), **self.parameters)[1]
        energies = torch.zeros(self.n_signals, len(paths), dtype=torch.float64)
        total = torch.zeros(self.n_signals, dtype=torch.float64)
        for signal, start, s in self.coefficients(**options):
            s = s.to("cpu", torch.float64).reshape(len(paths), -1)
            energies[signal] += s.square().sum(-1) / prod(paths[0].grid)
            x = self.signals[divmod(signal, self.n_channels)][start : start + self.size]
            x = to_tensor(x, torch.float64, torch.device("cpu"))
            total[signal] += x.square().sum() / self.n
        shape = (self.X.shape[0], self.n_channels)
        return energies.reshape(*shape, -1), total.reshape(shape)


def size_of_pieces(device, *, J, T, **parameters):
    """Samples of the pieces of a long signal.

    Parameters
    ----------
    device : torch.device
        Where they are computed.
    J : int
        Log2 of the largest scale.
    T : float or None
        Support of the low-pass.
    **parameters
        Others of `skwave.functional.scattering_layout`.

    Returns
    -------
    size : int
        Samples.
    """
    return piece_size(J, T, _EXTENDED if device.type == "cpu" else _EXTENDED_CUDA)


def is_long(shape, device, **parameters):
    """Whether a signal is transformed in pieces.

    Parameters
    ----------
    shape : tuple of int
        Signal.
    device : torch.device
        Where it is computed.
    **parameters
        Those of `skwave.functional.scattering_layout`.

    Returns
    -------
    long : bool
        True for 1-D signals of two pieces and more: pieces then take less time than the whole,
        whose maps leave the cache, and less memory.
    """
    if len(shape) != 1:
        return False
    return shape[0] >= _FEWEST_PIECES * size_of_pieces(device, **parameters)
