"""Slices through the density of a molecule and its wavelet moduli."""

import numpy as np
import torch

from skwave._core.drawing import (
    check_choice,
    check_estimator,
    check_index,
    one_axes,
    require_matplotlib,
)
from skwave.functional._molecules.gaussians import align, gaussian_modulus
from skwave.molecules import SYMBOLS, as_molecules
from skwave.molecules._densities import density_weights
from skwave.molecules._scattering import SolidHarmonicScattering


class SolidHarmonicDisplay:
    r"""Slice through a density :math:`\rho` of a molecule, or a modulus :math:`U[j,\ell]\rho`.

    The molecule lies along its principal axes, the longest along :math:`x`, and the slice is
    the plane of a constant :math:`z`. Atoms are marked where they project onto it.

    Parameters
    ----------
    density : ndarray, shape (n_y, n_x)
        Density :math:`\rho`, in 1/Å³.
    moduli : ndarray, shape (n_scales, n_degrees, n_y, n_x)
        Moduli :math:`U[j,\ell]\rho`, in 1/Å³.
    scales : tuple of float
        Scales :math:`j`, in octaves.
    extent : (float, float, float, float)
        Left, right, bottom and top edges of the slice, in Å.
    atoms : list of (str, float, float)
        Symbols of the atoms, and their coordinates in the plane, in Å.

    Attributes
    ----------
    image_ : AxesImage
        The slice.
    colorbar_ : Colorbar or None
        Colour bar.
    ax_ : matplotlib Axes
        Where it is drawn.
    figure_ : matplotlib Figure
        The figure of the Axes.

    See Also
    --------
    skwave.SolidHarmonicScattering : The integrals of these fields.

    Examples
    --------
    >>> from skwave import SolidHarmonicScattering
    >>> from skwave.datasets import load_qm7_sample
    >>> from skwave.plotting import SolidHarmonicDisplay
    >>> X, y = load_qm7_sample(return_X_y=True)
    >>> scattering = SolidHarmonicScattering(J=2, L=2, Q=1).fit(X)
    >>> display = SolidHarmonicDisplay.from_estimator(scattering, X, sample=3, j=1, l=2)
    >>> display.ax_.get_xlabel()
    'x (Å)'
    >>> display.moduli.shape[:2]  # scales and degrees
    (3, 3)
    """

    def __init__(self, density, moduli, *, scales, extent, atoms):
        self.density = density
        self.moduli = moduli
        self.scales = scales
        self.extent = extent
        self.atoms = atoms

    def plot(self, ax=None, *, j=None, l=None, atoms=True, cmap=None, norm=None, colorbar=True):
        """Draw one slice.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.
        j : float, default=None
            Scale of the modulus; None, with ``l=None``, draws the density.
        l : int, default=None
            Its degree.
        atoms : bool, default=True
            Whether to write the symbols of the atoms.
        cmap : str or Colormap, default=None
            Colours, matplotlib's default if None.
        norm : str or Normalize, default=None
            Scale of the colours, ``"log"`` say; linear from 0 by default.
        colorbar : bool, default=True
            Whether to add a colour bar.

        Returns
        -------
        display : SolidHarmonicDisplay
            Itself.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        TypeError
            If ``ax`` is not one Axes.
        ValueError
            If there is no such scale or degree, or only one of both is given.
        """
        if (j is None) != (l is None):
            raise ValueError(f"j={j!r} and l={l!r}: give both for a modulus, none for the density.")
        values, title = self.density, r"$\rho$"
        if j is not None:
            check_choice("j", j, self.scales)
            check_choice("l", l, tuple(range(self.moduli.shape[1])))
            values, title = self.moduli[self.scales.index(j), l], f"$U[j={j:g},\\ell={l}]\\rho$"
        ax = one_axes(ax, f"{type(self).__name__}.plot")
        image = ax.imshow(values, origin="lower", extent=self.extent, cmap=cmap, norm=norm)
        if norm is None:
            image.set_clim(vmin=0)
        if atoms:
            for symbol, x, y in self.atoms:
                ax.text(x, y, symbol, ha="center", va="center", color="white", fontsize="small")
        ax.set(xlabel="x (Å)", ylabel="y (Å)", title=title)
        self.colorbar_ = ax.figure.colorbar(image, ax=ax, label="1/Å³") if colorbar else None
        self.image_, self.ax_, self.figure_ = image, ax, ax.figure
        return self

    @classmethod
    def from_estimator(
        cls, estimator, X, *, sample=0, density="full", z=0.0, step=0.05, ax=None, **kwargs
    ):
        """Compute the fields of a molecule in a plane, and draw one.

        Parameters
        ----------
        estimator : SolidHarmonicScattering
            Fitted.
        X : Molecules, or whatever `skwave.molecules.as_molecules` takes
            Molecules.
        sample : int, default=0
            Which molecule.
        density : str, default="full"
            "full", "core" or "valence", or the symbol of an element.
        z : float, default=0.0
            Height of the plane above the middle of the molecule, in Å.
        step : float, default=0.05
            Distance of the pixels, in Å.
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.
        **kwargs
            Those of `plot`: ``j``, ``l``, ``atoms`` and the colours.

        Returns
        -------
        display : SolidHarmonicDisplay
            It can be plotted again, for another scale.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        TypeError
            If the estimator is not a `SolidHarmonicScattering`.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If there is no such molecule, density, scale or degree.
        """
        caller = f"{cls.__name__}.from_estimator"
        require_matplotlib(caller, ax=ax)
        check_estimator(estimator, caller, SolidHarmonicScattering)
        molecules = as_molecules(X)
        check_index("sample", sample, len(molecules))
        numbers, positions = molecules[sample]
        check_choice("density", density, ("full", "core", "valence", *SYMBOLS))
        weights = density_weights(numbers, density)
        positions = torch.tensor(positions)[None]
        positions = align(positions, torch.ones(positions.shape[:2], dtype=torch.bool))
        half = positions[0].abs().amax(0) + 3 * estimator.scales_[-1]
        x, y = (torch.arange(-float(h), float(h), step, dtype=torch.float64) for h in half[:2])
        axes = (x, y, torch.tensor([float(z)], dtype=torch.float64))
        weights = torch.from_numpy(weights)[None, None]

        def field(scale, l):  # numpydoc ignore=GL08
            u = gaussian_modulus(positions, weights, axes, estimator.sigma, scale, l)
            return u[0, 0, ..., 0].T.numpy()

        scales, degrees = estimator.scales_, range(estimator.L_ + 1)
        display = cls(
            field(0.0, 0),
            np.stack([[field(s, l) for l in degrees] for s in scales]),
            scales=tuple(i / estimator.Q_ for i in range(len(scales))),
            extent=tuple(float(v) for a in (x, y) for v in (a[0] - step / 2, a[-1] + step / 2)),
            atoms=[
                (SYMBOLS[n - 1], float(a), float(b))
                for n, (a, b, _) in zip(numbers, positions[0], strict=True)
            ],
        )
        return display.plot(ax, **kwargs)
