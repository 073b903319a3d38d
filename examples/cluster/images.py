"""Scattering coefficients of a file of images, in a file, by the workers of a cluster.

python images.py --workers 2
python images.py --cluster slurm --workers 64 --input /scratch/images.npy --output /scratch/S.npy
python images.py --cluster gpu --workers 4

Call the same line again after an interruption: the blocks that are finished are kept.
"""

from pathlib import Path

import numpy as np
from clusters import make_parser, positive, run
from numpy.lib.format import open_memmap

from skwave import ScatteringTransformer

CHUNK = 1000


def estimator(X, device=None):
    """The transformer; it learns the shape of an image, so that one is enough."""
    return ScatteringTransformer(J=2, ndim=2, boundary="periodic", device=device).fit(X[:1])


def make_images(path, n):
    """White noise of 32×32 pixels, for a trial."""
    part = path.with_suffix(".part.npy")
    images = open_memmap(part, "w+", np.float32, (n, 32, 32))
    for start in range(0, n, CHUNK):
        chunk = images[start : start + CHUNK]
        chunk[:] = np.random.default_rng(start).standard_normal(chunk.shape, np.float32)
    images.flush()
    part.rename(path)


def main():
    """Transform the images that the command line names."""
    parser = make_parser(__doc__.partition("\n")[0])
    parser.add_argument("--input", type=Path, help=".npy file of shape (n, height, width)")
    parser.add_argument("--images", type=positive, default=1_000_000, help="without --input")
    arguments = parser.parse_args()
    path = arguments.input
    if path is None:
        path = arguments.output.with_name(f"images_{arguments.images}.npy")
        if not path.exists():
            make_images(path, arguments.images)
    elif not path.is_file():
        parser.error(f"--input: there is no file {path}")
    X = np.load(path, mmap_mode="r")
    print(f"{path}: {X.nbytes / 1e9:.2f} GB", flush=True)
    run(estimator(X, "cuda" if arguments.cluster == "gpu" else None), X, arguments, "images")


# workers run this file as well when they start
if __name__ == "__main__":
    main()
