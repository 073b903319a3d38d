"""What the benchmarks of molecular energies share: a peer's features, and calibration."""

import numpy as np
from scipy.stats import spearmanr


class Soap:
    """dscribe's SOAP of each atom, as ``EnergyRegressor(features=)`` takes it."""

    def __init__(self, molecules):
        from dscribe.descriptors import SOAP

        elements = np.unique(molecules.numbers).tolist()
        self.descriptor = SOAP(
            species=elements, r_cut=5.0, n_max=8, l_max=6, sigma=0.3, dtype="float32"
        )

    def transform(self, molecules):
        """Rows of all atoms."""
        return np.concatenate([self.descriptor.create(atoms) for atoms in molecules.to_ase()])


def calibration(errors, std):
    """Shares of the errors within one and two predicted deviations, and their rank correlation."""
    errors = np.abs(errors)
    return {
        "within_1": float((errors < std).mean()),
        "within_2": float((errors < 2 * std).mean()),
        "rank": float(spearmanr(errors, std).statistic),
    }
