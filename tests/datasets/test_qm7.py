"""QM7: the sample, the packed file, and the original's layout."""

import hashlib
import os
from importlib.resources import files

import numpy as np
import pytest
from scipy.io import savemat

from skwave.datasets import _qm7, fetch_qm7, load_qm7_sample
from skwave.molecules import Molecules


@pytest.fixture
def elsewhere(monkeypatch):
    monkeypatch.delenv("SKWAVE_DATA", raising=False)


def test_sample():
    qm7 = load_qm7_sample()
    assert qm7.data.shape == qm7.target.shape == qm7.fold.shape == (750,)
    assert qm7.units == {"data": "Å", "target": "kcal/mol"} and "Rupp" in qm7.DESCR
    np.testing.assert_array_equal(np.bincount(qm7.fold), [150] * 5)
    assert set(qm7.data.numbers) == {1, 6, 7, 8, 16}
    heavy = np.add.reduceat(qm7.data.numbers > 1, qm7.data.offsets[:-1])
    assert heavy.max() == 7 and qm7.data.n_atoms.max() <= 23
    assert qm7.target.min() == -2062.1 and qm7.target.max() == -653.44
    means = [qm7.target[qm7.fold == k].mean() for k in range(5)]
    assert np.ptp(means) < 60  # of a spread of 220
    X, y = load_qm7_sample(return_X_y=True)
    assert X == qm7.data
    np.testing.assert_array_equal(y, qm7.target)


def test_sample_obeys_chemistry():
    """Energies of bonds are additive to about 1 %, by elements alone to a few."""
    X, y = load_qm7_sample(return_X_y=True)
    counts = np.stack(
        [np.add.reduceat(X.numbers == z, X.offsets[:-1]) for z in (1, 6, 7, 8, 16)], axis=1
    )
    energies, *_ = np.linalg.lstsq(counts, y, rcond=None)
    assert np.abs(counts @ energies - y).mean() < 20
    assert ((-300 < energies) & (energies < -40)).all()


def test_sample_is_small():
    folder = files("skwave.datasets") / "data"
    assert len((folder / "qm7_sample.npz").read_bytes()) < 200_000
    readme = (folder / "README.md").read_text()
    assert "Licence" in readme and "Blum" in readme and "Rupp" in readme


def test_original_layout(tmp_path, monkeypatch, elsewhere):
    """A file with the arrays of qm7.mat: R in Bohr, P the members of each fold."""
    X, y = load_qm7_sample(return_X_y=True)
    Z, R = np.zeros((750, 23), np.float32), np.zeros((750, 23, 3), np.float32)
    for i, (z, r) in enumerate(X):
        Z[i, : len(z)], R[i, : len(z)] = z, r / 0.529177210903
    P = np.random.default_rng(0).permutation(750).reshape(5, 150)
    path = tmp_path / "qm7.mat"
    savemat(path, {"X": R[..., 0], "R": R, "Z": Z, "T": y[None].astype(np.float32), "P": P})
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(_qm7, "_ORIGINAL", _qm7._ORIGINAL._replace(sha256=digest))
    qm7 = fetch_qm7(data_home=tmp_path, download_if_missing=False)
    np.testing.assert_array_equal(qm7.data.numbers, X.numbers)
    np.testing.assert_array_equal(qm7.data.offsets, X.offsets)
    np.testing.assert_allclose(qm7.data.positions, X.positions, atol=1e-6)
    np.testing.assert_allclose(qm7.target, y, rtol=1e-6)
    assert qm7.target.dtype == np.float64
    for k in range(5):
        np.testing.assert_array_equal(np.flatnonzero(qm7.fold == k), np.sort(P[k]))


def test_missing(tmp_path, elsewhere):
    with pytest.raises(OSError, match=r"qm7\.mat is not in"):
        fetch_qm7(data_home=tmp_path, download_if_missing=False)
    (tmp_path / "qm7.npz").write_bytes(b"")
    with pytest.raises(OSError, match=r"qm7\.npz has been altered"):
        fetch_qm7(data_home=tmp_path, download_if_missing=False)


@pytest.mark.data
@pytest.mark.skipif("SKWAVE_DATA" not in os.environ, reason="SKWAVE_DATA is not set")
def test_all_of_qm7():
    qm7 = fetch_qm7(download_if_missing=False)
    assert repr(qm7.data) == "Molecules(n=7165, n_atoms=110650, elements=H C N O S)"
    assert (qm7.target.min(), qm7.target.max()) == pytest.approx((-2192.0, -404.88))
    np.testing.assert_array_equal(np.bincount(qm7.fold), [1433] * 5)
    sample = load_qm7_sample()
    with (files("skwave.datasets") / "data" / "qm7_sample.npz").open("rb") as f:
        rows = np.load(f)["index"]
    np.testing.assert_array_equal(qm7.target[rows], sample.target)
    np.testing.assert_array_equal(qm7.fold[rows], sample.fold)
    same = qm7.data[rows]
    np.testing.assert_array_equal(same.numbers, sample.data.numbers)
    np.testing.assert_allclose(same.positions, sample.data.positions, atol=5.1e-5)
    X, y = fetch_qm7(return_X_y=True)
    assert isinstance(X, Molecules) and X == qm7.data
    np.testing.assert_array_equal(y, qm7.target)
