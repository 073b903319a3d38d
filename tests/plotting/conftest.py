"""No windows, and no figure left open."""

import pytest


@pytest.fixture(autouse=True)
def plt():
    """Pyplot with the Agg backend."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")
