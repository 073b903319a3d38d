"""Images of textures and stationary fields: samples in the package, and a collection of files."""

from importlib.resources import files
from pathlib import PurePosixPath

import numpy as np
from sklearn.utils import Bunch

from skwave.datasets._files import File, packaged, provided

_MIT, _BSD, _NONE = "MIT", "BSD-3-Clause", "none stated"
_WEB = "https://github.com/Ttantto/wph_quijote"
_PORTILLA = "https://github.com/LabForComputationalVision/textureSynth"
_CITE_WEB = """
Allys, E., Marchand, T., Cardoso, J.-F., Villaescusa-Navarro, F., Ho, S. and Mallat, S. (2020). New
interpretable statistics for large-scale structure analysis and generation. Phys. Rev. D 102,
103506.
Villaescusa-Navarro, F. et al. (2020). The Quijote simulations. Astrophys. J. Suppl. Ser. 250, 2.
"""
_CITE_PORTILLA = """
Portilla, J. and Simoncelli, E. P. (2000). A parametric texture model based on joint statistics of
complex wavelet coefficients. Int. J. Comput. Vis. 40, 49-71.
"""
# licence, origin, whether the maps are periodic, what they are, what to cite
_SETS = {
    "cosmic_web": (
        _BSD,
        _WEB,
        True,
        "independent maps of the logarithm of the projected density of dark matter",
        _CITE_WEB,
    ),
    "dust": (
        _BSD,
        "https://github.com/bregaldo/pywph",
        True,
        "simulated emission of interstellar dust: intensities I, polarisations Q and U",
        "",
    ),
    "fields": (
        "MIT of the repository",
        "the history of https://github.com/LabForComputationalVision/plenoptic",
        False,
        "turbulent vorticity, bubbles and a multifractal random walk, in 8 bits",
        "",
    ),
    "portilla_simoncelli": (_MIT, _PORTILLA, False, "photographs and drawings", _CITE_PORTILLA),
    "vistex": (
        _NONE,
        "VisTex, https://vismod.media.mit.edu/vismod/imagery/VisionTexture",
        False,
        "colour photographs",
        "",
    ),
    "brodatz": (
        "Apache-2.0 of the repository",
        "ScatNet",
        False,
        "a photograph of the album of P. Brodatz",
        "",
    ),
}


def load_textures():
    """Two photographs of textures, from the package.

    Returns
    -------
    textures : Bunch
        ``images``, float32 of shape (2, 256, 256), grey values from 0 to 1; ``names``;
        ``licences``, one for each image; ``periodic``, False; ``DESCR``.

    See Also
    --------
    load_cosmic_web : Periodic maps, several of the same process.
    fetch_textures : More of both.

    Notes
    -----
    "nuts" and "reptil_skin" of the images that Portilla and Simoncelli distribute with their code
    [1]_, under the MIT licence. They are not periodic.

    References
    ----------
    .. [1] Portilla, J. and Simoncelli, E. P. (2000). A parametric texture model based on joint
       statistics of complex wavelet coefficients. *International Journal of Computer Vision* 40,
       49-71.

    Examples
    --------
    >>> from skwave.datasets import load_textures
    >>> textures = load_textures()
    >>> textures.names, textures.images.shape
    (['nuts', 'reptil_skin'], (2, 256, 256))
    """
    arrays = packaged("textures.npz")
    images = [image.astype(np.float32) / 255 for image in arrays.values()]
    return _bunch("portilla_simoncelli", np.stack(images), list(arrays))


def load_cosmic_web():
    """Eight maps of the cosmic web, from the package.

    Returns
    -------
    maps : Bunch
        ``images``, float32 of shape (8, 256, 256), logarithms of the projected density;
        ``names``; ``licences``, one for each map; ``periodic``, True; ``DESCR``.

    See Also
    --------
    fetch_textures : Twenty such maps, and other fields.

    Notes
    -----
    Independent realisations of one process, from N-body simulations of dark matter [2]_, projected
    by the authors of [1]_: what two of them differ by is the scatter that a model of the process
    has to be judged by. They are periodic. The package has them in steps of 1/32, a
    twenty-fifth of their standard deviation; the steps are filled by uniform noise, the same at
    each call, so that values are within 1/32 of the originals. The licence is BSD-3-Clause.

    References
    ----------
    .. [1] Allys, E., Marchand, T., Cardoso, J.-F., Villaescusa-Navarro, F., Ho, S. and Mallat, S.
       (2020). New interpretable statistics for large-scale structure analysis and generation.
       *Physical Review D* 102, 103506.
    .. [2] Villaescusa-Navarro, F. et al. (2020). The Quijote simulations. *The Astrophysical
       Journal Supplement Series* 250, 2.

    Examples
    --------
    >>> from skwave.datasets import load_cosmic_web
    >>> maps = load_cosmic_web()
    >>> maps.images.shape, maps.periodic
    ((8, 256, 256), True)
    """
    steps = packaged("cosmic_web.npz")["images"]
    steps = steps + np.random.default_rng(0).uniform(-0.5, 0.5, steps.shape)
    images = (steps / 32 - 3).astype(np.float32)
    return _bunch("cosmic_web", images, [f"df_z0_{i}" for i in range(len(images))])


def fetch_textures(name="cosmic_web", *, data_home=None):
    """One set of a collection of textures and stationary fields, from files.

    Parameters
    ----------
    name : str, default="cosmic_web"
        "cosmic_web", 20 periodic maps of 256 by 256; "dust", 4 maps of 512 by 512, nearly
        periodic, with heavy tails; "fields", 4 images of 512 by 512; "portilla_simoncelli", 6
        images of 256 by 256; "vistex", 14 colour images of 128 by 128; "brodatz", one image of 640
        by 640. Only the first two are periodic.
    data_home : str or Path, default=None
        Folder in which files are looked for, ``~/skwave_data`` if None. The folder that the
        environment variable ``SKWAVE_DATA`` names is looked into first.

    Returns
    -------
    textures : Bunch
        ``images``, float32 of shape (n_images, height, width), and (n_images, 3, height, width)
        for colours; grey values and colours are from 0 to 1. ``names``; ``licences``, one for each
        image; ``periodic``, whether they are; ``DESCR``.

    Raises
    ------
    ImportError
        If Pillow is missing, which reads the images of all but the first two.
    OSError
        If a file is not there, or has not the contents, by its sha256, that it should have. The
        message names the path.
    ValueError
        If there is no such set.

    See Also
    --------
    load_textures : Two of the images, in the package.
    load_cosmic_web : Eight of the maps, in the package.

    Notes
    -----
    The files lie in a folder ``textures``, in one folder for each set. Nothing is downloaded: there
    is no one place that has them all. ``DESCR`` says where each set comes from. The images of
    VisTex have no stated licence: do not distribute them.

    Examples
    --------
    >>> from skwave.datasets import fetch_textures
    >>> fetch_textures("dust").names  # doctest: +SKIP
    ['I_1', 'I_2', 'Q_1', 'U_1']
    """
    if name not in _SETS:
        raise ValueError(f"name must be one of {', '.join(map(repr, _SETS))}, got {name!r}.")
    listed = (files("skwave.datasets") / "data" / "textures.sha256").read_text().splitlines()
    known = [File(*reversed(line.split())) for line in listed]
    known = [file for file in known if PurePosixPath(file.name).parent.name == name]
    origin = f"It comes from {_SETS[name][1]}."
    images = np.stack([_read(provided(file, data_home, origin)) for file in known])
    return _bunch(name, images, [PurePosixPath(file.name).stem for file in known])


def _read(path):
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False).astype(np.float32)
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            f'{path.name} is an image, which Pillow reads: python -m pip install "skwave[data]"'
        ) from error
    with Image.open(path) as image:
        pixels = np.asarray(image, dtype=np.float32) / 255
    return pixels if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0).copy()


def _bunch(name, images, names):
    licence, origin, periodic, content, cite = _SETS[name]
    title = name.replace("_", " ").capitalize()
    edges = "periodic" if periodic else "not periodic"
    size = " by ".join(map(str, images.shape[-2:]))
    description = (
        f"{title}\n{'=' * len(title)}\n{len(images)} images of {size} pixels: {content}. They are "
        f"{edges}.\n\nOrigin: {origin}\nLicence: {licence}\n"
    )
    return Bunch(
        images=images,
        names=names,
        licences=[licence] * len(images),
        periodic=periodic,
        DESCR=description + (f"\nPlease cite:\n{cite}" if cite else ""),
    )
