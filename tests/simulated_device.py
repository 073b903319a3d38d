"""A GPU for machines that have none: its tensors live in main memory and compute there.

`SimulatedDevice` is a context. While it is open, torch finds one device of the kind asked for, and
what is put there answers as a GPU would: an operation whose operands are on two devices is
refused, and so are a view of it by numpy and a generator of another device. The numbers are those
of the CPU. What such a device is slow at is counted, whether or not it costs time here::

    with SimulatedDevice() as gpu:
        x = torch.ones(8, 64, device="cuda")
        with gpu.counting() as costs:
            y = f(x)
    assert costs["wait"] == 0

The counts are

``upload``, ``download``
    copies of a tensor from main memory to the device, and back;
``wait``
    other numbers that Python, or the shape of a result, needs before it can go on: ``item()``,
    ``bool(x)``, ``nonzero()``, a mask as an index, the check of a factorisation;
``launch``
    kernels, that is operations that are no views and do not only allocate.

``gpu.trace()`` gives the lines of the package that caused copies and waits, to find one that should
not be there.

``kind="mps"`` is a device of Apple's, which has no float64. ``memory`` is what the device holds, in
bytes; an allocation beyond raises `torch.OutOfMemoryError`. An operation's own scratch memory is
not known, thus not counted.

It has neither the speed nor the rounding of a device, no streams and no autocast, and holds for the
thread that opened it. To torch's C++ side the tensors are on "meta", so that none of its kernels
runs on them by mistake; each operation is intercepted on its way there.
"""

import sys
import weakref
from collections import Counter
from contextlib import ExitStack, contextmanager
from functools import wraps
from math import inf, isfinite
from pathlib import Path
from typing import ClassVar
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map

import skwave

_PACKAGE = str(Path(skwave.__file__).parent)
_DOUBLE = (torch.float64, torch.complex128)

# operations the shape of whose result depends on values, or that look at them: the host waits, as
# it does for results that are numbers of Python
_WAITING = frozenset(
    [
        "nonzero",
        "masked_select",
        "bincount",
        "repeat_interleave",
        "_unique2",
        "unique_dim",
        "unique_consecutive",
        "_linalg_check_errors",
    ]
)
# operations that compute nothing
_ALLOCATING = frozenset(
    [
        "empty",
        "empty_like",
        "empty_strided",
        "new_empty",
        "new_empty_strided",
        "detach",
        "alias",
        "lift_fresh",
    ]
)
_INDEXING = frozenset(["index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"])
_COPYING = frozenset(["_to_copy", "copy_"])


class _OnDevice(Tensor):
    # what a user of the device holds: the numbers are in `host`, a tensor in main memory

    __torch_function__ = torch._C._disabled_torch_function_impl
    is_cpu = is_meta = False

    @staticmethod
    def __new__(cls, host, gpu):
        like = torch.empty_strided(host.shape, host.stride(), dtype=host.dtype, device="meta")
        tensor = Tensor._make_subclass(cls, like, device_for_backend_keys=gpu.device)
        tensor.host, tensor.gpu = host, gpu
        return tensor

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        # outside of the context, in another thread say, the device of an operand is asked
        gpu = next(a.gpu for a in tree_iter((args, kwargs)) if isinstance(a, cls))
        return gpu.apply(func, args, kwargs or {})

    @property
    def device(self):
        return self.gpu.device

    @property
    def is_cuda(self):
        return self.device.type == "cuda"

    @property
    def is_mps(self):
        return self.device.type == "mps"

    def untyped_storage(self):
        return self.host.untyped_storage()

    def to(self, *args, **kwargs):
        # torch's own would compare with "meta" and copy what is on the device already
        args = [self.gpu.device if a is self.gpu.device else a for a in args]
        device, dtype, _, _ = torch._C._nn._parse_to(*args, **kwargs)
        if kwargs.get("copy") or (device is not None and device.type == "cpu"):
            return super().to(*args, **kwargs)
        return self if dtype in (None, self.dtype) else super().to(dtype)

    def cpu(self):
        return self.to("cpu")

    def numpy(self, *, force=False):
        if not force:
            raise TypeError(
                f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to "
                "copy the tensor to host memory first."
            )
        return self.detach().cpu().numpy()

    def __array__(self, dtype=None):
        return self.numpy()

    def tolist(self):
        return self.detach().cpu().tolist()

    def new_tensor(self, data, *, dtype=None, requires_grad=False):
        made = torch.tensor(data, dtype=dtype or self.dtype, device=self.device)
        return made.requires_grad_(requires_grad)

    def __getitem__(self, index):
        return super().__getitem__(_as_index(index))

    def __setitem__(self, index, value):
        super().__setitem__(_as_index(index), value)

    def __deepcopy__(self, memo):
        twin = self.gpu.wrap(self.host.detach().clone()).requires_grad_(self.requires_grad)
        if hasattr(self, "_is_param"):
            twin._is_param = self._is_param
        memo[id(self)] = twin
        return twin

    def __reduce_ex__(self, protocol):
        raise TypeError(f"a pickle of a tensor on {self.device} needs that device to be read")

    def __repr__(self, **_):
        return f"{self.host!r} on {self.device}"


def _as_index(index):
    # lists of numbers become tensors of the CPU here: torch would make them on "meta", empty
    def one(i):
        return torch.as_tensor(i) if isinstance(i, list | tuple | range | np.ndarray) else i

    return tuple(map(one, index)) if isinstance(index, tuple) else one(index)


_OWN_GENERATOR = torch.Generator


class _AnyGenerator(type(_OWN_GENERATOR)):
    def __instancecheck__(cls, x):
        return isinstance(x, _OWN_GENERATOR)


class _Generator(_OWN_GENERATOR, metaclass=_AnyGenerator):
    # stands for torch.Generator: also those of a device, which draw on the CPU. Operations see
    # another Python object of the same address.

    of_devices: ClassVar[set] = set()

    def __new__(cls, device="cpu"):
        self = super().__new__(cls)
        self.of = torch.device(device)
        if self.of.type != "cpu":
            self.of = torch.device(self.of.type, 0)
            cls.of_devices.add(self._cdata)
            weakref.finalize(self, cls.of_devices.discard, self._cdata).atexit = False
        return self

    @property
    def device(self):
        return self.of


class SimulatedDevice(TorchDispatchMode):
    """Context in which torch has one GPU.

    Parameters
    ----------
    kind : {"cuda", "mps"}, default="cuda"
        Name of the device; ``"mps"`` has no float64.
    memory : float, default=inf
        Bytes that fit into the memory of the device.
    """

    @classmethod
    def _should_skip_dynamo(cls):
        return False  # nothing is compiled here, and its import takes seconds

    def __init__(self, kind="cuda", *, memory=inf):
        super().__init__()
        self.device = torch.device(kind, 0)
        self.memory = memory
        self.costs, self.used, self.peak = Counter(), 0, 0
        self._lines = None
        self._holders = {}  # storage -> tensors that hold it
        self._generator = torch.Generator()
        self._patches = ExitStack()

    def __enter__(self):
        skwave.clear_cache()  # what is kept of one device is not of another of the same name
        self._patch_library()
        self._patch_names()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self._patches.close()
        skwave.clear_cache()

    def _set(self, owner, name, value):
        self._patches.enter_context(mock.patch.object(owner, name, value))

    def _patch_library(self):
        # what torch.cuda or torch.backends.mps would ask a driver
        if self.device.type == "mps":
            self._set(torch.backends.mps, "is_available", lambda: True)
        else:
            for name, answer in {
                "is_available": True, "is_initialized": True, "_lazy_init": None,
                "device_count": 1, "current_device": 0, "synchronize": None, "empty_cache": None,
                "is_bf16_supported": True,
            }.items():  # fmt: skip
                self._set(torch.cuda, name, lambda *_, _answer=answer, **__: _answer)
            self._set(torch.cuda, "mem_get_info", self._memory_info)
            self._set(torch.cuda, "default_generators", (self._generator,))
        # torch.tensor(numbers, device=) then makes a tensor here and sends it through `apply`
        lifting = torch._C._only_lift_cpu_tensors()
        self._patches.callback(torch._C._set_only_lift_cpu_tensors, lifting)
        torch._C._set_only_lift_cpu_tensors(True)
        # Module.to sets new parameters: the data of the old ones can't be of another class
        future = torch.__future__
        overwrite = future.get_overwrite_module_params_on_conversion()
        self._patches.callback(future.set_overwrite_module_params_on_conversion, overwrite)
        future.set_overwrite_module_params_on_conversion(True)

    def _memory_info(self, *_):
        total = self.memory if isfinite(self.memory) else 2**40
        return total - self.used, total

    def _patch_names(self):
        # the name without a number is device 0; torch would ask a driver which one is current
        def completed(f):
            @wraps(f)
            def call(*args, **kwargs):
                args = [self._complete(a) for a in args]
                return f(*args, **{name: self._complete(a) for name, a in kwargs.items()})

            return call

        for owner, name in ((Tensor, "to"), (torch, "as_tensor"), (torch, "tensor")):
            self._set(owner, name, completed(getattr(owner, name)))
        if self.device.type == "cuda":
            self._set(Tensor, "cuda", lambda x, *_, **__: x.to(self.device))
        self._set(torch, "Generator", _Generator)

    def _complete(self, x):
        if isinstance(x, str | torch.device) and str(x) == self.device.type:
            return self.device
        return x

    @contextmanager
    def counting(self):
        """Counts of what is done within, as a `Counter` that is filled at the end."""
        before, found = self.costs.copy(), Counter()
        yield found
        found.update(self.costs - before)

    @contextmanager
    def trace(self):
        """Lines of the package that copy or wait within, with their numbers."""
        self._lines = found = Counter()
        yield found
        self._lines = None

    def holds(self, x):
        """Whether a tensor is on this device."""
        return isinstance(x, _OnDevice) and x.gpu is self

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return self.apply(func, args, kwargs or {})

    def apply(self, func, args, kwargs):
        """Result of an operation of torch, on the device if that is where it belongs."""
        name = func._schema.name.partition("::")[2]
        operands = [a for a in tree_iter((args, kwargs)) if isinstance(a, Tensor)]
        here = [a for a in operands if isinstance(a, _OnDevice)]
        elsewhere = [a for a in operands if not isinstance(a, _OnDevice)]
        if any(a.is_meta for a in elsewhere):
            raise NotImplementedError(
                f"{func} of numbers that torch made on 'meta', which has none"
            )
        onto = kwargs.get("device")
        stays = bool(here) if onto is None else torch.device(onto).type != "cpu"
        if not here and not stays:
            return func(*args, **kwargs)
        self._account(func, name, args, kwargs, elsewhere, stays)
        result = self._compute(func, *self._inside(args, kwargs))
        if isinstance(result, bool | int | float | complex):
            self._note("wait")
        if func._schema.is_mutable:
            # what was written to is given back, and has the numbers already
            written = kwargs.get("out", args[0])
            if name.endswith("_") or "out" in kwargs:
                return written
        return tree_map(self.wrap, result) if stays else result

    def _account(self, func, name, args, kwargs, elsewhere, stays):
        crosses = name in _COPYING and (elsewhere or not stays)
        if crosses:
            # copy_(to, from) goes where its first operand is, _to_copy(from) where it was told
            down = not isinstance(args[0], _OnDevice) if name == "copy_" else not stays
            self._note("download" if down else "upload")
        else:
            self._refuse_mixtures(func, name, args, kwargs, elsewhere)
        masked = name in _INDEXING and any(
            isinstance(i, _OnDevice) and i.dtype in (torch.bool, torch.uint8) for i in args[1]
        )
        if masked or (name in _WAITING and kwargs.get("output_size") is None):
            self._note("wait")
        if name not in _ALLOCATING and not func.is_view:
            self._note("launch")

    def _refuse_mixtures(self, func, name, args, kwargs, elsewhere):
        generator = kwargs.get("generator")
        if generator is not None and generator._cdata not in _Generator.of_devices:
            raise RuntimeError(
                f"Expected a '{self.device.type}' device type for generator but found 'cpu'"
            )
        if name in _INDEXING and isinstance(args[0], _OnDevice):
            # indices may be in main memory: they are copied
            indices = [i for i in args[1] if i is not None and not isinstance(i, _OnDevice)]
            self._note("upload", len(indices))
            elsewhere = [a for a in elsewhere if not any(a is i for i in indices)]
        if name.endswith("_like") or name.startswith("new_"):
            return  # only the shape and the type of the operand count
        # a number in main memory goes along with the launch, where values are taken one by one
        with_numbers = torch.Tag.pointwise in func.tags or name in _INDEXING or name == "fill_"
        if any(a.ndim or not with_numbers for a in elsewhere) and name != "lift_fresh":
            shapes = [tuple(a.shape) for a in elsewhere]
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two devices, "
                f"{self.device} and cpu! ({func}, on the CPU: {shapes})"
            )

    def _inside(self, args, kwargs):
        args, kwargs = tree_map(
            lambda a: a.host if isinstance(a, _OnDevice) else a, (args, dict(kwargs))
        )
        if kwargs.get("device") is not None:
            kwargs["device"] = torch.device("cpu")
        return args, kwargs

    def _compute(self, func, args, kwargs):
        drawn = torch.Tag.nondeterministic_seeded in func.tags
        if not drawn or kwargs.get("generator") is not None:
            return func(*args, **kwargs)
        with torch.random.fork_rng(devices=[]):  # from the generator of the device
            torch.set_rng_state(self._generator.get_state())
            result = func(*args, **kwargs)
            self._generator.set_state(torch.get_rng_state())
        return result

    def wrap(self, x):
        """Tensor on the device, of one in main memory; anything else is given back."""
        if not isinstance(x, Tensor) or isinstance(x, _OnDevice):
            return x
        if self.device.type == "mps" and x.dtype in _DOUBLE:
            raise TypeError(
                f"Cannot convert a MPS Tensor to {x.dtype} as the MPS framework doesn't support it."
            )
        x = x.resolve_conj().resolve_neg()
        storage = x.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self._holders:
            if self.used + size > self.memory:
                raise torch.OutOfMemoryError(
                    f"CUDA out of memory. Tried to allocate {size} bytes beside {self.used}."
                )
            self.used += size
            self.peak = max(self.peak, self.used)
        self._holders[key] = self._holders.get(key, 0) + 1
        tensor = _OnDevice(x, self)
        # the storage lives as long as the tensor, so that its address names nothing else
        weakref.finalize(tensor, self._release, key, size).atexit = False
        return tensor

    def _release(self, key, size):
        self._holders[key] -= 1
        if not self._holders[key]:
            del self._holders[key]
            self.used -= size

    def _note(self, what, n=1):
        self.costs[what] += n
        if self._lines is None or what == "launch" or not n:
            return
        frame = sys._getframe()
        while frame is not None and not frame.f_code.co_filename.startswith(_PACKAGE):
            frame = frame.f_back
        if frame is not None:
            path = Path(frame.f_code.co_filename).relative_to(_PACKAGE).as_posix()
            self._lines[what, f"{path}:{frame.f_lineno}"] += n
