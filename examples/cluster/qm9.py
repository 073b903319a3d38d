"""Local invariants of the molecules of QM9, in a file, by the workers of a cluster.

python qm9.py --sample --workers 2    # 750 molecules of QM7 instead, no download
python qm9.py --cluster slurm --workers 64 --output /scratch/qm9.npy
python qm9.py --cluster gpu --workers 4

Call the same line again after an interruption: the blocks that are finished are kept.
"""

import numpy as np
from clusters import make_parser, positive, run

from skwave import SolidHarmonicScattering
from skwave.datasets import fetch_qm9, load_qm7_sample


def estimator(X, device=None):
    """Sums over atoms in single precision; all of ``X`` tells which elements."""
    return SolidHarmonicScattering(dtype="float32", device=device).fit(X)


def molecules(sample, n=None):
    """The sample of QM7 or QM9, or some of them, small and large."""
    X, _ = (load_qm7_sample if sample else fetch_qm9)(return_X_y=True)
    return X if n is None else X[np.linspace(0, len(X) - 1, min(n, len(X))).astype(int)]


def main():
    """Transform the molecules that the command line names."""
    parser = make_parser(__doc__.partition("\n")[0])
    parser.add_argument("--sample", action="store_true", help="750 molecules of QM7, no download")
    parser.add_argument("--molecules", type=positive, help="so many of them; all, if not given")
    arguments = parser.parse_args()
    X = molecules(arguments.sample, arguments.molecules)
    est = estimator(X, "cuda" if arguments.cluster == "gpu" else None)
    run(est, X, arguments, "molecules")


# workers run this file as well when they start
if __name__ == "__main__":
    main()
