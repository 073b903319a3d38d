r"""Compiled cascade: scattering on a CPU and its gradient, as `cascade.cpp` computes them.

What `cascade.py` computes in torch, tensor by tensor, `cascade.cpp` computes in one pass over
vectors of signals and wavelets side by side: FFTs, modulus and averages stay in the cache, and
what a wavelet does not see is skipped. The same plans serve both, and the results are equal to
rounding; those of a signal do not depend on the others of its batch, to the last bit.

The library is built with the package where there is a compiler (``hatch_build.py``), for each
type and for vectors of AVX-512, of AVX2 and of any processor. The environment variable
``SKWAVE_VECTORS`` forces ``avx512``, ``avx2`` or ``baseline``; ``none`` leaves all to torch.
"""

import ctypes
import math
import os
import warnings
import weakref
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import torch
from torch import Tensor
from torch.nn import Parameter

from skwave.functional._scattering.layout import map_shape, scattering_paths
from skwave.functional._scattering.plan import Plan, Stage, is_spectral, n_kept, stage_shape

_SOURCE = Path(__file__).with_name("cascade.cpp")
_BYTES = {"baseline": 16, "avx2": 32, "avx512": 64}  # of a vector
_LEVELS = tuple(_BYTES)
_TYPES = {torch.float32: "float", torch.float64: "double"}
# complex values of spectra of signals in one call, which cannot be interrupted
_CALL = 2**22
# samples of maps that are worth a thread, about a millisecond
_THREAD = 2**20
# lanes of one wide vector take so much more time than those of one narrow
_WIDE = 1.6
# longer signals leave the cache in wide vectors
_LONG = 2**15
# sizes with larger prime factors are left to torch
_LARGEST_PRIME = 61

_NO_MEMORY = "no memory for the maps of a scattering transform: use fewer threads."

_P, _I, _L = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
_FUNCTIONS = {
    "cascade_source": (ctypes.c_uint, ()),
    "cascade_level": (_I, ()),
    "cascade_new": (_P, (_I, _I, _I, _I, _P, _P)),
    "cascade_free": (None, (_P,)),
    "cascade_grid": (None, (_P, _I, _I, _I, _I, _P, _I, _P)),
    "cascade_lowpass": (None, (_P, _I, _I, _I, _I, _P)),
    "cascade_filters": (_P, (_P, _I, _I)),
    "cascade_tile": (None, (_P, _P, _I, _I, _I, _I, _I, _I, _P)),
    "cascade_stage": (None, (_P, _P, _I, _L, _L, _L)),
    "cascade_second": (None, (_P, _P, _I, _L)),
    "cascade_run": (_I, (_P, _P, _L, _P, _L, _I)),
    "cascade_run_adjoint": (_I, (_P, _P, _L, _P, _P, _L, _P, _I)),
}


def _path(level: str, dtype: torch.dtype) -> Path:
    return _SOURCE.with_name(f"_cascade_{level}_{_TYPES[dtype]}.so")


@cache
def _library(level: str, dtype: torch.dtype) -> Any:
    # the functions for a type and a width of vectors
    library = ctypes.CDLL(str(_path(level, dtype)))
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def _unavailable() -> str | None:
    # why there is no library that can be used
    if not _path("baseline", torch.float32).is_file():
        return "was installed without a C++ compiler"
    try:
        built_from = _library("baseline", torch.float32).cascade_source()
    except (AttributeError, OSError) as error:
        return f"can't be loaded ({error})"
    return None if built_from == crc32(_SOURCE.read_bytes()) else "was changed since its build"


@cache
def _levels() -> tuple[str, ...]:
    # widths of vectors to choose from on this processor; none without the library
    wanted = os.environ.get("SKWAVE_VECTORS") or None
    if wanted == "none":
        return ()
    if wanted not in (None, *_LEVELS):
        raise ValueError(
            f"the environment variable SKWAVE_VECTORS={wanted!r} must be one of "
            f"{[*_LEVELS, 'none']}, or not be set."
        )
    reason = _unavailable()
    if reason is not None:
        warnings.warn(
            f"skwave has no compiled cascade, since it {reason}: scattering on CPUs runs in "
            "torch, several times slower. Install g++ or clang++, then skwave once more (in a "
            "checkout, python hatch_build.py).",
            stacklevel=2,
        )
        return ()
    runs = _LEVELS[: _library("baseline", torch.float32).cascade_level() + 1]
    if wanted is None:
        return runs[1:] or runs  # those of AVX2 and AVX-512 give the same bits
    if wanted not in runs:
        raise ValueError(
            f"the environment variable SKWAVE_VECTORS={wanted!r} asks for what this processor "
            f"does not have: {list(runs)}."
        )
    return (wanted,)


def _lanes(level: str, dtype: torch.dtype) -> int:
    return _BYTES[level] // dtype.itemsize


def _groups(plan: Plan) -> list[list[Stage]]:
    # stages of the first order; parts of one that blocks have cut belong together
    groups: list[list[Stage]] = []
    for stage in plan.stages:
        last = groups[-1][0] if groups else None
        if last and last.k == stage.k and last.following is stage.following:
            groups[-1].append(stage)
        else:
            groups.append([stage])
    return groups


def _parts(group: list[Stage], lanes: int) -> list[range]:
    # the wavelets of a group, as many side by side as a vector has lanes
    n = sum(stage.n_filters for stage in group)
    return [range(i, min(i + lanes, n)) for i in range(0, n, lanes)]


def _shifts(n: int, padded: int, start: int, size: int) -> list[tuple[slice, int]]:
    # the parts of start, ..., start + size - 1 on a padded axis that hold the n numbers of a
    # spectrum, and the place that the first of `size` would have among these
    if n == padded:
        return [(slice(0, size), start)]
    parts = []
    for begin, end, shift in ((0, n - n // 2, 0), (padded - n // 2, padded, n - padded)):
        part = slice(max(begin - start, 0), min(end - start, size))
        if part.start < part.stop:
            parts.append((part, start + shift))
    return parts


def _sources(
    tile: Tensor, top: int, left: int, k: int, stage: Stage, plan: Plan
) -> Iterator[tuple[slice, slice, int, int]]:
    # the parts of a tile (rows, width, p) that spectra of maps of step 2**k have, and where they
    # are in them: all, unless the tile is on a finer grid, which the spectra would be padded to,
    # with zeros between the frequencies of either sign
    own = plan.geometry.grid(k)
    given = plan.geometry.extended if stage.k > k == 0 else own
    for rows, y in _shifts(own[0], given[0], top, tile.shape[0]):
        for columns, x in _shifts(own[1], given[1], left, tile.shape[1]):
            yield rows, columns, y, x


def _n_vectors(plan: Plan, n: int, lanes: int) -> int:
    # of maps of the first order, of n signals
    parts = [part for group in _groups(plan) for part in _parts(group, lanes)]
    return sum(math.ceil(n * len(part) / lanes) for part in parts)


class _Compiled:
    # a plan as the library holds it: the numbers stay in tensors that are kept here

    def __init__(self, plan: Plan, level: str, dtype: torch.dtype):
        self.library, self.dtype = _library(level, dtype), dtype
        self.lanes = _lanes(level, dtype)
        self.kept: list[Tensor] = []
        geometry = plan.geometry
        first = sum(stage.n_filters * math.prod(geometry.grid(stage.k)) for stage in plan.stages)
        self.n_samples = math.prod(geometry.grid(0)) + first + n_kept(plan)
        self.n_out = sum(math.prod(path.grid) for path in scattering_paths(plan))
        rows, columns = (self._keep(i, torch.int32) for i in self._index(plan))
        self.handle = self.library.cascade_new(
            geometry.ndim, *plan.given, plan.n_phases or 0, rows, columns
        )
        weakref.finalize(self, self.library.cascade_free, self.handle)
        for k in plan.lowpass:
            self._add_grid(plan, k)
        self._add_stages(plan)

    def _keep(self, x: Tensor, dtype: torch.dtype | None = None) -> int:
        x = x.to(dtype or self.dtype).contiguous()
        self.kept.append(x)
        return x.data_ptr()

    @staticmethod
    def _index(plan: Plan) -> list[Tensor]:
        # samples that extend a signal along both axes; -1 for zero
        index = [*plan.index, torch.zeros(1, dtype=torch.int64)][:2]
        return [torch.where(i < n, i, -1) for i, n in zip(index, plan.given, strict=True)]

    def _add_grid(self, plan: Plan, k: int) -> None:
        height, width = plan.geometry.grid(k)
        n_rows, n_columns = map_shape(plan, k)
        if is_spectral(plan):
            (phi_hat,) = plan.lowpass[k]
            self.library.cascade_grid(self.handle, k, height, width, n_rows, None, 1, None)
            n, first = plan.geometry.extended[0] // plan.geometry.step, plan.geometry.first[0]
            phi = self._keep(phi_hat[:, 0] / height)  # and the inverse transform's factor
            self.library.cascade_lowpass(self.handle, k, n, first, len(phi_hat), phi)
            return
        matrices = [self._keep(m) for m in plan.lowpass[k]] + [None]
        rows, columns = matrices[:2]
        self.library.cascade_grid(self.handle, k, height, width, n_rows, rows, n_columns, columns)

    def _add_filters(self, stages: list[Stage], part: range, k: int, plan: Plan) -> int:
        # of the wavelets of stages of one step, those in `part` side by side; maps of step 2**k
        height, width = plan.geometry.grid(stages[0].k)
        n_lines = height if plan.geometry.ndim == 2 else 1
        filters = int(self.library.cascade_filters(self.handle, len(part), n_lines))
        before = 0
        for stage in stages:
            for top, left, first, row, values in stage.tiles:
                n, rows = values.shape[:2]
                begin = before + first
                inside = range(max(begin, part.start), min(begin + n, part.stop))
                if not inside:
                    continue
                tile = values.new_zeros(rows, width, len(part))
                parts = values[inside.start - begin : inside.stop - begin, ..., 0]
                offset = inside.start - part.start
                tile[..., offset : offset + len(inside)] = parts.movedim(0, -1)
                tile /= height * width
                for rows_in, columns_in, y, x in _sources(tile, top + row, left, k, stage, plan):
                    cut = torch.zeros_like(tile[rows_in])
                    cut[:, columns_in] = tile[rows_in, columns_in]
                    # as many numbers as a vector has are read from each place on
                    numbers = self._keep(torch.cat([cut.flatten(), cut.new_zeros(self.lanes)]))
                    first, n_rows = row + rows_in.start, rows_in.stop - rows_in.start
                    self.library.cascade_tile(
                        self.handle, filters, k, y - row, x, first, n_rows, width, numbers
                    )
            before += stage.n_filters
        return filters

    def _add_stages(self, plan: Plan) -> None:
        # the order of the coefficients is that of cascade.py
        n_maps = plan.n_phases or 1
        offset = math.prod(map_shape(plan, 0))
        offset_2 = offset + sum(math.prod(stage_shape(stage, plan)) for stage in plan.stages)
        for group in _groups(plan):
            k, following = group[0].k, group[0].following
            size = math.prod(map_shape(plan, k))
            size_2 = sum(math.prod(stage_shape(s, plan)) for s in following)
            followers = self._followers(following, k, plan)
            for part in _parts(group, self.lanes):
                filters = self._add_filters(group, part, 0, plan)
                self.library.cascade_stage(self.handle, filters, k, offset, offset_2, size_2)
                for follower in followers:
                    self.library.cascade_second(self.handle, *follower)
                offset += len(part) * n_maps * size
                offset_2 += len(part) * n_maps * size_2

    def _followers(
        self, following: tuple[Stage, ...], k: int, plan: Plan
    ) -> list[tuple[int, int, int]]:
        # wavelets of order 2, their step, and the place of their coefficients
        followers, offset = [], 0
        for stage in following:
            size = math.prod(stage_shape(stage, plan)) // stage.n_filters
            for i in range(stage.n_filters):
                filters = self._add_filters([stage], range(i, i + 1), k, plan)
                followers.append((filters, stage.k, offset))
                offset += size
        return followers

    def _threads(self, n: int) -> int:
        # torch's, but no more than n signals are worth
        return max(1, min(torch.get_num_threads(), n * self.n_samples // _THREAD))

    def run(self, x: Tensor) -> Tensor:
        # coefficients of contiguous signals
        out, threads = x.new_empty(len(x), self.n_out), self._threads(len(x))
        if self.library.cascade_run(
            self.handle, x.data_ptr(), len(x), out.data_ptr(), out.shape[1], threads
        ):
            raise MemoryError(_NO_MEMORY)
        return out

    def run_adjoint(self, x: Tensor, s: Tensor, grad: Tensor) -> Tensor:
        # gradient by contiguous signals, from that by their coefficients s
        out, threads = torch.empty_like(x), self._threads(len(x))
        if self.library.cascade_run_adjoint(
            self.handle, x.data_ptr(), len(x), s.data_ptr(), grad.data_ptr(), self.n_out,
            out.data_ptr(), threads,
        ):  # fmt: skip
            raise MemoryError(_NO_MEMORY)
        return out


_plans: dict[tuple[int, str], _Compiled] = {}


def _compiled(plan: Plan, level: str) -> _Compiled:
    # made once, and forgotten with the plan
    key = id(plan), level
    if key not in _plans:
        weakref.finalize(plan, _plans.pop, key, None)
        _plans[key] = _Compiled(plan, level, plan.lowpass[0][0].dtype)
    return _plans[key]


@cache
def _largest_prime(n: int) -> int:
    p = 2
    while p * p <= n:
        if n % p:
            p += 1
        else:
            n //= p
    return n


def serves(x: Tensor, plan: Plan) -> bool:
    """Whether the compiled cascade can compute the coefficients of signals.

    Parameters
    ----------
    x : Tensor, shape (B, H, W)
        Signals.
    plan : Plan
        Made by `scattering_plan`.

    Returns
    -------
    serves : bool
        True on a CPU where the library is installed, for averages of maps on grids of sizes
        without large prime factors; not under a transformation of functions.
    """
    geometry = plan.geometry
    return (
        x.device.type == "cpu"
        and x.dtype in _TYPES
        and plan.averaging is not None
        and x.dtype == plan.lowpass[0][0].dtype
        and max(map(_largest_prime, (*geometry.extended, *geometry.span))) <= _LARGEST_PRIME
        and bool(_levels())
        and _is_plain(x)
    )


def _is_plain(x: Tensor) -> bool:
    # whether x holds numbers and nothing else: no tangents, no batch of vmap, no trace, no shape
    # without numbers
    if type(x) not in (Tensor, Parameter):
        return False
    tangent = torch.autograd.forward_ad.unpack_dual(x).tangent
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or tangent is not None:
        return False
    try:
        x.data_ptr()
    except RuntimeError:
        return False
    return True


def _level(plan: Plan, n: int, dtype: torch.dtype) -> str:
    # the vectors that are quicker for n signals; both give the same bits
    narrow, wide = _levels()[0], _levels()[-1]
    if plan.geometry.ndim == 1 and plan.geometry.extended[0] > _LONG:
        return narrow
    vectors, wide_ones = (_n_vectors(plan, n, _lanes(level, dtype)) for level in (narrow, wide))
    return narrow if vectors < _WIDE * wide_ones else wide


def _blocks(x: Tensor, plan: Plan) -> tuple[Tensor, ...]:
    # signals, or their coefficients, that one call computes
    return x.contiguous().split(max(1, _CALL // math.prod(plan.geometry.extended)))


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def compiled_cascade(x: Tensor, plan: Plan) -> Tensor:
    """Scattering coefficients of signals, by the compiled cascade.

    Nothing else is done in torch, whose threads would go on spinning beside the library's.

    Parameters
    ----------
    x : Tensor, shape (B, H, W)
        Signals that `serves` accepts, of any scale.
    plan : Plan
        Made by `scattering_plan`.

    Returns
    -------
    s : Tensor, shape (B, n)
        Coefficients, path after path.
    """
    return _joined([
        _compiled(plan, _level(plan, len(block), x.dtype)).run(block) for block in _blocks(x, plan)
    ])  # fmt: skip


def compiled_adjoint(x: Tensor, s: Tensor, grad: Tensor, plan: Plan) -> Tensor:
    r"""Gradient of a function of coefficients by the signals, by the compiled cascade.

    .. math:: \nabla_x f(S x) = (\partial S x)^{\mathsf T}\, \nabla f(S x)

    The maps are computed anew: nothing is kept of the forward pass but signals and coefficients.

    Parameters
    ----------
    x : Tensor, shape (B, H, W)
        Signals that `serves` accepts, of any scale.
    s : Tensor, shape (B, n)
        Their coefficients. Beyond order 0 those that are not positive have no gradient.
    grad : Tensor, shape (B, n)
        Gradient by the coefficients.
    plan : Plan
        Made by `scattering_plan`.

    Returns
    -------
    gradient : Tensor, shape (B, H, W)
        Gradient by the signals.
    """
    return _joined([
        _compiled(plan, _level(plan, len(parts[0]), x.dtype)).run_adjoint(*parts)
        for parts in zip(*(_blocks(t, plan) for t in (x, s, grad)), strict=True)
    ])  # fmt: skip
