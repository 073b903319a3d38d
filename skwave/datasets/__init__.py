"""Real data sets: small samples in the package, and originals that are fetched once."""

from skwave.datasets._qm7 import fetch_qm7, load_qm7_sample
from skwave.datasets._qm9 import fetch_qm9

__all__ = ["fetch_qm7", "fetch_qm9", "load_qm7_sample"]
