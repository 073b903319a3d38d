"""The scattering transform as a torch layer."""

import torch
from torch import Tensor, nn

from skwave._core.checks import check_scales, resolve_ndim, warn_channels_last
from skwave._core.compat import validate_parameters
from skwave.functional import scattering
from skwave.scattering._plans import CONSTRAINTS, cached_plan, layout_parameters


class Scattering(nn.Module):
    r"""Wavelet scattering as a layer of a network.

    .. math:: S_J x = \big( x\star\phi_J,\; \rho(x\star\psi_\lambda)\star\phi_J,\;
       \rho(\rho(x\star\psi_\lambda)\star\psi_{\lambda'})\star\phi_J \big),
       \quad j' > j

    The coefficients are those of `skwave.ScatteringTransformer`, the parameters too. The
    layer learns nothing: its ``state_dict`` is empty, its pickle holds the parameters alone,
    and the filters are made at the first call for the shape, type and device of its input.
    Of a forward pass through which a gradient will run, it keeps the input and the output on a
    CPU, elsewhere the wavelet coefficients of the second order as well.

    Parameters
    ----------
    J : int
        Log2 of the largest scale, in samples.
    L : int, default=8
        Number of orientations, for ``ndim=2``.
    Q : int or (int, int), default=1
        Wavelets per octave, of the first order or of the first and the second. One number
        stands for ``(Q, 1)`` in 1-D, for ``(Q, Q)`` in 2-D.
    ndim : {1, 2}, default=None
        Signals or images. None infers it: inputs of up to 2 axes are signals, of 4 axes images
        with channels; others need it.
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
        What lies beyond the border of a signal: its mirror image, its repetition, or zeros.

    Raises
    ------
    ValueError
        If a parameter is none of these, or, in a call, if the input has fewer than ``ndim``
        axes, or 3 or more than 4 without ``ndim``, or if the signal is shorter than ``2**J``.
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
        ndim: int | None = None,
        max_order: int = 2,
        T: float | None = None,
        nonlinearity: str = "modulus",
        n_phases: int = 4,
        averaging: str | None = "local",
        oversampling: int = 0,
        boundary: str = "reflect",
    ):
        super().__init__()
        self.J = J
        self.L = L
        self.Q = Q
        self.ndim = ndim
        self.max_order = max_order
        self.T = T
        self.nonlinearity = nonlinearity
        self.n_phases = n_phases
        self.averaging = averaging
        self.oversampling = oversampling
        self.boundary = boundary
        parameters = {name: getattr(self, name) for name in CONSTRAINTS}
        validate_parameters(CONSTRAINTS, parameters, type(self).__name__)

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
        ndim = resolve_ndim(self.ndim, None, max(x.ndim, 2), type(self).__name__)
        shape = tuple(x.shape[-ndim:])
        if len(shape) < ndim:
            raise ValueError(
                f"x of shape {shape} has fewer axes than the signals of ndim={ndim}: the last "
                "are (N,) for ndim=1, (H, W) for ndim=2."
            )
        if x.ndim > ndim + 1:
            warn_channels_last(tuple(x.shape[1:]), ndim)
        check_scales(shape, self.J, self.T, self.averaging)
        dtype = x.dtype if x.dtype in (torch.float32, torch.float64) else torch.float32
        plan = cached_plan(shape, dtype, x.device, **layout_parameters(self, shape))
        return scattering(x.to(dtype), plan).to(x.dtype)

    def extra_repr(self) -> str:
        """Parameters, for the text of a network.

        Returns
        -------
        text : str
            Such as ``J=2, L=8``.
        """
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in CONSTRAINTS)
