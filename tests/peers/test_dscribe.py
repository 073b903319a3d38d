"""dscribe's own tests of invariance, on `SolidHarmonicScattering`.

Its wheel lacks them: SKWAVE_DSCRIBE_TESTS is the folder ``tests`` of a checkout.
"""

import os
from pathlib import Path

import pytest

from skwave import SolidHarmonicScattering

from .borrowed import load

FOLDER = os.environ.get("SKWAVE_DSCRIBE_TESTS")
if FOLDER is None:
    pytest.skip("SKWAVE_DSCRIBE_TESTS names no folder of dscribe's tests", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore")  # the peer's
pytest.importorskip("dscribe")
peer = load(Path(FOLDER) / "conftest.py")


class Descriptor:
    """A dscribe descriptor of one structure, which calls the estimator."""

    def __init__(self, **parameters):
        self.est = SolidHarmonicScattering(elements=("H", "C", "O", "F"), **parameters)

    def create(self, system):
        if self.est.pooling == "integral":
            system = system.copy()
            system.pbc = False
        return self.est.fit([system]).transform([system])[0]


KINDS = {
    "atoms": {"J": 1, "L": 3},
    "elements": {"J": 1, "L": 3, "pooling": "elements"},
    "integrals": {"J": 1, "L": 2, "pooling": "integral", "accuracy": 1e-5},
}
# its other assertions ask for analytical and numerical derivatives, parallel calls and sparse
# output by methods and parameters that descriptors alone have, or for averages over sites
SYMMETRIES = ["rotation", "translation", "permutation"]


@pytest.mark.parametrize("symmetry", SYMMETRIES)
@pytest.mark.parametrize("kind", KINDS)
def test_symmetry(kind, symmetry):
    check = getattr(peer, f"assert_symmetry_{symmetry}")
    check(lambda systems: Descriptor(**KINDS[kind]))


@pytest.mark.parametrize("kind", ["atoms", "elements"])
def test_crystal(kind):
    peer.assert_periodic(lambda periodic: lambda systems: Descriptor(**KINDS[kind]))
