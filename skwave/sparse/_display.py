"""Display of a dictionary: its atoms, statistics of its codes, convergence of the solvers."""

import numpy as np
import torch

from skwave._core.arrays import to_tensor
from skwave._core.checks import validate_array
from skwave._core.drawing import check_estimator, figure_of_panels, require_matplotlib
from skwave.functional import duality_gap, fista, ista, istc, istc_step
from skwave.functional._sparse.coding import gap_scale
from skwave.sparse._coder import SparseCoder
from skwave.sparse._solvers import as_rows

_LABELS = {"istc": "ISTC", "fista": "FISTA", "ista": "ISTA"}


class SparseCodeDisplay:
    """Atoms of a dictionary, statistics of its codes, and convergence of unrolled solvers.

    Four panels: the atoms, those that codes have most often first; the shares of samples that have
    each atom; and, against the number of steps of ISTC, FISTA and ISTA, the mean number of atoms
    of a code and its mean duality gap, relative to half the squared norm of the sample. ISTC is
    run anew for each number of steps: its thresholds depend on how many there are.

    Parameters
    ----------
    atoms : ndarray, shape (K, p)
        Rows are atoms.
    codes : ndarray, shape (n_samples, K)
        Codes of some samples.
    n_iter : ndarray of int, shape (n_points,)
        Numbers of steps.
    n_atoms, gaps : dict of ndarray, shape (n_points,)
        For ``"istc"``, ``"fista"`` and ``"ista"``, the mean number of atoms and mean relative gap
        after as many steps.
    shape : tuple of int, default=None
        Shape of an atom as an image: ``(H, W)`` or ``(H, W, 3)``; None for a square one, else
        atoms are drawn as rows.

    Attributes
    ----------
    axes_ : dict of matplotlib Axes
        By the names "atoms", "activations", "sparsity" and "gap".
    figure_ : matplotlib Figure or SubFigure
        Where they are.

    See Also
    --------
    skwave.SparseCoder : Learns the atoms.

    Examples
    --------
    >>> import numpy as np
    >>> from skwave import SparseCoder
    >>> from skwave.plotting import SparseCodeDisplay
    >>> X = np.random.default_rng(0).standard_normal((200, 16))
    >>> coder = SparseCoder(20, alpha=0.5, max_iter=2, random_state=0).fit(X)
    >>> display = SparseCodeDisplay.from_estimator(coder, X)
    >>> list(display.axes_)
    ['atoms', 'activations', 'sparsity', 'gap']
    """

    def __init__(self, atoms, codes, *, n_iter, n_atoms, gaps, shape=None):
        self.atoms = atoms
        self.codes = codes
        self.n_iter = n_iter
        self.n_atoms = n_atoms
        self.gaps = gaps
        self.shape = shape

    @classmethod
    def from_estimator(cls, coder, X, *, shape=None, max_iter=50, figure=None, cmap="gray"):
        """Code samples and draw.

        Parameters
        ----------
        coder : SparseCoder
            Fitted.
        X : array-like or Tensor, shape (n_samples, n_features, ...)
            Samples, some hundred.
        shape : tuple of int, default=None
            Shape of an atom as an image.
        max_iter : int, default=50
            Largest number of steps to show.
        figure : matplotlib Figure or SubFigure, default=None
            Where to draw; by default a new one.
        cmap : str or Colormap, default="gray"
            Colours of the atoms.

        Returns
        -------
        display : SparseCodeDisplay
            Drawn.

        Raises
        ------
        TypeError
            If ``coder`` is not a `SparseCoder`, or ``figure`` no figure.
        ValueError
            If atoms have not the size of ``shape``.
        """
        caller = f"{cls.__name__}.from_estimator"
        require_matplotlib(caller, figure=figure)
        check_estimator(coder, caller, SparseCoder)
        _atom_shape(coder.components_, shape)
        X = as_rows(validate_array(coder, X, reset=False))
        x, D = (to_tensor(a, torch.float64, "cpu").detach() for a in (X, coder.components_))
        alpha, positive = coder.alpha, coder.positive
        step = istc_step(x, D, alpha, positive=positive)
        n_iter = np.unique(np.geomspace(1, max_iter, 12).round().astype(int))
        scale = gap_scale(x.square().sum(1))
        n_atoms, gaps = ({name: [] for name in _LABELS} for _ in range(2))
        for n in n_iter.tolist():
            for name, f in (("fista", fista), ("ista", ista), ("istc", istc)):
                options = {"step": step} if name == "istc" else {}
                z = f(x, D, alpha, n, positive=positive, **options)
                gap = (duality_gap(z, x, D, alpha, positive=positive) / scale)[x.any(1)]
                gaps[name].append(float(gap.mean()))
                n_atoms[name].append(float((z != 0).sum(1).double().mean()))
        codes = np.asarray(coder.transform(x.numpy()))
        display = cls(
            coder.components_, codes, n_iter=n_iter, n_atoms=n_atoms, gaps=gaps, shape=shape
        )
        return display.plot(figure, cmap=cmap)

    def plot(self, figure=None, *, n_atoms=100, cmap="gray"):
        """Draw all panels.

        Parameters
        ----------
        figure : matplotlib Figure or SubFigure, default=None
            Where to draw; by default a new one.
        n_atoms : int, default=100
            How many atoms to show at most.
        cmap : str or Colormap, default="gray"
            Colours of the atoms.

        Returns
        -------
        display : SparseCodeDisplay
            Itself.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        ValueError
            If atoms have not the size of ``shape``.
        """
        require_matplotlib(f"{type(self).__name__}.plot", figure=figure)
        share = (self.codes != 0).mean(0)
        order = np.argsort(-share, kind="stable")
        picture = _mosaic(self.atoms[order[:n_atoms]], self.shape)
        figure = figure_of_panels(figure, (10, 7))
        panels = figure.subplots(2, 2).ravel()
        self.axes_ = dict(zip(("atoms", "activations", "sparsity", "gap"), panels, strict=True))
        ax = self.axes_["atoms"]
        ax.imshow(picture, cmap=cmap, interpolation="nearest")
        ax.set_axis_off()
        ax.set_title("Atoms, most frequent first")
        ax = self.axes_["activations"]
        ax.hist(100 * share, bins=20, color="C0")
        ax.set(title="How often atoms are active", xlabel="% of samples", ylabel="atoms")
        for name, curves in (("sparsity", self.n_atoms), ("gap", self.gaps)):
            for key, label in _LABELS.items():
                self.axes_[name].plot(self.n_iter, curves[key], marker=".", label=label)
            self.axes_[name].set(xlabel="steps", xscale="log")
        mean = (self.codes != 0).sum(1).mean()
        self.axes_["sparsity"].axhline(mean, color="0.5", ls=":", label="coder")
        self.axes_["sparsity"].set(title="Sparsity", ylabel="atoms of a code")
        self.axes_["sparsity"].legend()
        self.axes_["gap"].set(title="Convergence", ylabel="relative duality gap", yscale="log")
        self.figure_ = figure
        return self


def _atom_shape(atoms, shape):
    if shape is None:
        side = round(atoms.shape[1] ** 0.5)
        shape = (side, side) if side * side == atoms.shape[1] else (1, atoms.shape[1])
    if int(np.prod(shape)) != atoms.shape[1]:
        raise ValueError(
            f"shape={shape} does not have the {atoms.shape[1]} values of an atom: give one that "
            "has, such as (H, W) or (H, W, 3), or None."
        )
    return shape


def _mosaic(atoms, shape):
    # patches in rows and columns with a line between; each has its own contrast, 0 in the middle
    H, W, *colours = shape = _atom_shape(atoms, shape)
    columns = 1 if H == 1 else int(np.ceil(len(atoms) ** 0.5))
    rows = -(-len(atoms) // columns)
    picture = np.ones((rows * (H + 1) - 1, columns * (W + 1) - 1, *colours))
    for i, atom in enumerate(atoms):
        y, x = (i // columns) * (H + 1), (i % columns) * (W + 1)
        picture[y : y + H, x : x + W] = 0.5 + atom.reshape(shape) / (2 * np.abs(atom).max())
    return picture
