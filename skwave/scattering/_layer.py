"""The scattering transform as a torch layer."""

from numbers import Integral, Real

import torch
from torch import Tensor, nn

from skwave._core.checks import check_scales
from skwave.functional import scattering
from skwave.scattering._plans import cached_plan, layout_parameters

_CHOICES = {
    "ndim": (1, 2),
    "max_order": (0, 1, 2),
    "nonlinearity": ("modulus", "rectifier"),
    "averaging": ("local", "global", None),
    "boundary": ("reflect", "periodic", "zero"),
}


_COUNTS = {"J": 1, "L": 1, "n_phases": 1, "oversampling": 0}


def _is_count(value, least):
    return isinstance(value, Integral) and value >= least


class Scattering(nn.Module):
    r"""Wavelet scattering as a layer of a network.

    .. math:: S_J x = \big( x\star\phi_J,\; \rho(x\star\psi_\lambda)\star\phi_J,\;
       \rho(\rho(x\star\psi_\lambda)\star\psi_{\lambda'})\star\phi_J \big),
       \quad j' > j

    The coefficients are those of `skwave.ScatteringTransformer`, the parameters too. The
    layer learns nothing: its ``state_dict`` is empty, its pickle holds the parameters alone,
    and the filters are made at the first call for the shape, type and device of its input.
    Of a forward pass through which a gradient will run, it keeps the input and the wavelet
    coefficients of the second order.

    Parameters
    ----------
    J : int
        Log2 of the largest scale, in samples.
    L : int, default=8
        Number of orientations, for ``ndim=2``.
    Q : int or (int, int), default=1
        Wavelets per octave, of the first order or of the first and the second. One number
        stands for ``(Q, 1)`` in 1-D, for ``(Q, Q)`` in 2-D.
    ndim : {1, 2}, default=1
        Signals or images.
    max_order : {0, 1, 2}, default=2
        Largest number of wavelets of a path.
    T : float, default=None
        Support of the low-pass in samples, ``2**J`` by default.
    nonlinearity : {"modulus", "rectifier"}, default="modulus"
        Modulus, or rectifier at ``n_phases`` phases.
    n_phases : int, default=4
        Phases of the rectifier.
    averaging : {"local", "global"} or None, default="local"
        Low-pass and subsampling, mean over the signal, or the maps themselves.
    oversampling : int, default=0
        Compute every map on a grid finer by ``2**oversampling``.
    boundary : {"reflect", "periodic", "zero"}, default="reflect"
        Extension of the signals.

    Raises
    ------
    ValueError
        If a parameter is none of these, or, in a call, if the input has fewer than ``ndim``
        axes or the signal is shorter than ``2**J``.
    TypeError
        In a call, if the input is not a real floating tensor.

    See Also
    --------
    skwave.ScatteringTransformer : The same for arrays of any kind, in batches.
    skwave.functional.scattering : The same as a function.

    Notes
    -----
    The compiler of torch generates no code for complex numbers, of which the layer is made;
    its FFTs and matrix products are library calls already. ``torch.compile`` of a network
    gives the same results but spends a minute on the layer. ``torch.compiler.disable(layer)``
    in its place leaves the layer as it is and compiles what is around it.

    Inputs in half precision are computed in float32, with or without ``torch.autocast``; the
    coefficients have the type of the input.

    References
    ----------
    .. [1] Oyallon, E., Belilovsky, E. and Zagoruyko, S., Scaling the scattering transform:
       deep hybrid networks, ICCV 2017.

    Examples
    --------
    >>> from skwave.nn import Scattering
    >>> layer = Scattering(J=2, ndim=2)
    >>> layer(torch.randn(16, 3, 32, 32)).shape
    torch.Size([16, 3, 81, 8, 8])
    >>> network = nn.Sequential(
    ...     layer, nn.Flatten(1, 2), nn.BatchNorm2d(243), nn.Flatten(), nn.LazyLinear(10)
    ... )
    >>> network(torch.randn(16, 3, 32, 32)).shape
    torch.Size([16, 10])
    """

    def __init__(
        self,
        J: int,
        L: int = 8,
        Q: int | tuple[int, int] = 1,
        *,
        ndim: int = 1,
        max_order: int = 2,
        T: float | None = None,
        nonlinearity: str = "modulus",
        n_phases: int = 4,
        averaging: str | None = "local",
        oversampling: int = 0,
        boundary: str = "reflect",
    ):
        super().__init__()
        parameters = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        for name, value in parameters.items():
            setattr(self, name, value)
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r} must be one of {allowed}.")
        for name, least in _COUNTS.items():
            if not _is_count(getattr(self, name), least):
                raise ValueError(
                    f"{name}={getattr(self, name)!r} must be an integer from {least} on."
                )
        rates = Q if isinstance(Q, tuple) else (Q, Q)
        if len(rates) != 2 or not all(_is_count(rate, 1) for rate in rates):
            raise ValueError(f"Q={Q!r} must be an integer from 1 on, or a tuple of two of them.")
        if T is not None and not (isinstance(T, Real) and T >= 1):
            raise ValueError(
                f"T={T!r} must be a number of samples from 1 on, or None for 2**J; the mean over "
                "the signal is averaging='global'."
            )
        self._names = tuple(parameters)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the coefficients.

        Parameters
        ----------
        x : Tensor, shape (..., N) or (..., H, W)
            Real signals, of any leading axes.

        Returns
        -------
        s : Tensor
            Coefficients, shape ``(..., n_paths, *grid)``. The grid is ``(1,)`` or ``(1, 1)``
            for ``averaging="global"``, and the maps are flattened one after the other,
            ``(..., n)``, for ``averaging=None``.
        """
        if not isinstance(x, Tensor):
            raise TypeError(f"Scattering takes tensors, not {type(x).__name__}: torch.as_tensor.")
        if not x.is_floating_point():
            raise TypeError(f"Scattering takes real floating tensors, not {x.dtype}: x.float().")
        shape = tuple(x.shape[-self.ndim :])
        if len(shape) < self.ndim:
            raise ValueError(
                f"x of shape {shape} has fewer axes than the signals of ndim={self.ndim}: the last "
                "are (N,) for ndim=1, (H, W) for ndim=2."
            )
        check_scales(shape, self.J, self.T, self.averaging)
        dtype = x.dtype if x.dtype in (torch.float32, torch.float64) else torch.float32
        plan = cached_plan(shape, dtype, x.device, **layout_parameters(self))
        return scattering(x.to(dtype), plan).to(x.dtype)

    def extra_repr(self) -> str:
        """Parameters, for the text of a network.

        Returns
        -------
        text : str
            Such as ``J=2, L=8``.
        """
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self._names)
