"""The scattering of molecules as an estimator."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score, learning_curve
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skwave import Molecules, SolidHarmonicScattering
from skwave.testing import check_transformer

SMALL = {"J": 1, "L": 1, "Q": 1, "integral_powers": (1, 2), "accuracy": 1e-2}
INTEGRALS = {**SMALL, "pooling": "integral"}
WATER = [8, 1, 1], [[0, 0, 0.119], [0, 0.763, -0.477], [0, -0.763, -0.477]]
METHANE = (
    [6, 1, 1, 1, 1],
    0.629 * np.array([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]),
)
HYDROGEN = [1, 1], [[0, 0, 0], [0, 0, 0.74]]


@pytest.fixture(scope="module")
def molecules():
    """Six small molecules, three kinds stretched."""
    pairs = [(n, s * np.array(r)) for s in (1.0, 1.1) for n, r in (WATER, METHANE, HYDROGEN)]
    return Molecules.from_pairs(pairs)


@pytest.mark.parametrize("pooling", ["integral", "atoms", "elements", "both"])
def test_names_shape_and_values(molecules, pooling):
    est = SolidHarmonicScattering(**SMALL, pooling=pooling).fit(molecules)
    S = est.transform(molecules)
    names = est.get_feature_names_out()
    assert S.shape == (6, len(names)) and len(set(names)) == len(names)
    assert np.isfinite(S).all()
    if pooling in ("integral", "both"):
        for column, charges in (("s0_full_q1", [10, 10, 2]), ("s0_valence_q1", [8, 8, 2])):
            found = S[:3, list(names).index(column)]
            assert np.allclose(found, charges, rtol=1e-2)
    if pooling != "integral":
        assert S[:3, list(names).index("n_H")].tolist() == [2, 4, 2]
        assert ("aO_H_j0_C_j1_l1" if pooling == "elements" else "a_H_j0_C_j1_l1") in names


def test_elements_add_up_to_atoms(molecules):
    apart, together = (
        SolidHarmonicScattering(**SMALL, pooling=pooling).fit_transform(molecules)
        for pooling in ("elements", "atoms")
    )
    assert np.array_equal(apart[:, :3], together[:, :3])  # numbers of atoms
    assert np.allclose(apart[:, 3:].reshape(6, 3, -1).sum(1), together[:, 3:])


def test_batches_and_order_do_not_matter(molecules):
    est = SolidHarmonicScattering(**SMALL, pooling="both").fit(molecules)
    S = est.transform(molecules)
    assert np.allclose(est.transform(molecules[::-1])[::-1], S, rtol=1e-10)
    threads = clone(est).set_params(n_jobs=2, batch_size=2).fit(molecules)
    # molecules of one batch share a grid, within its accuracy
    assert np.allclose(threads.transform(molecules), S, rtol=2e-2)


@pytest.mark.parametrize("pooling", ["integral", "atoms", "elements"])
def test_invariances(molecules, pooling):
    est = SolidHarmonicScattering(**{**SMALL, "accuracy": 3e-5}, pooling=pooling).fit(molecules)
    rotation, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))
    turned = Molecules(molecules.numbers, molecules.positions @ rotation.T + 4, molecules.offsets)
    S, S_turned = est.transform(molecules), est.transform(turned)
    # the principal axes of methane are any three: there the grid shows, as far as its accuracy
    spherical = np.arange(6) % 3 == 1
    assert np.allclose(S_turned[~spherical], S[~spherical], rtol=1e-9, atol=1e-12)
    assert np.allclose(S_turned, S, rtol=3e-3, atol=1e-5)


def test_dtype(molecules):
    for pooling in ("integral", "atoms"):
        est = SolidHarmonicScattering(**SMALL, pooling=pooling)
        S = est.fit_transform(molecules)
        small = est.set_params(dtype="float32").fit_transform(molecules)
        assert S.dtype == np.float64 and small.dtype == np.float32
        assert np.allclose(small, S, rtol=1e-4, atol=1e-6 * np.abs(S).max())


def test_densities(molecules):
    est = SolidHarmonicScattering(**INTEGRALS, densities=("full", "core", "valence", "elements"))
    S = est.fit_transform(molecules)
    names = list(est.get_feature_names_out())
    q1 = {c: S[:, names.index(f"s0_{c}_q1")] for c in ("full", "core", "valence", "H", "O")}
    assert np.allclose(q1["core"] + q1["valence"], q1["full"])
    assert np.allclose(q1["H"][:3], [2, 4, 2], rtol=1e-2)
    assert np.allclose(q1["O"][:3], [1, 0, 0], rtol=1e-2)


def test_points_beside_gaussians(molecules):
    both = SolidHarmonicScattering(**INTEGRALS, densities=("dirac", "full", "core"))
    S, names = both.fit_transform(molecules), both.get_feature_names_out().astype(str)
    apart = SolidHarmonicScattering(**INTEGRALS, densities=("full", "core"))
    apart = apart.fit_transform(molecules)
    assert np.array_equal(S[:, np.char.find(names, "dirac") < 0], apart)
    q2 = S[:3, list(names).index("s0_dirac_q2")]
    assert q2.tolist() == [66, 40, 2]
    # the same charges, seen more sharply
    sharp, wide = (S[:, list(names).index(f"s1_{d}_j0_l0_q2")] for d in ("dirac", "full"))
    assert (sharp > wide).all()


def test_what_molecules_may_be(molecules):
    est = SolidHarmonicScattering(**SMALL, pooling="atoms")
    S = est.fit_transform(molecules)
    pairs = [(m.numbers, m.positions) for m in molecules]
    padded = np.zeros((6, 5, 4))
    for row, (numbers, positions) in zip(padded, pairs, strict=True):
        row[: len(numbers)] = np.column_stack([numbers, positions])
    for X in (pairs, padded):
        assert np.allclose(est.fit_transform(X), S)
    pytest.importorskip("ase")
    assert np.allclose(est.fit_transform(molecules.to_ase()), S)


@pytest.mark.parametrize("kind", ["molecules", "pairs", "padded", "atoms", "series"])
@pytest.mark.parametrize("pooling", ["atoms", "elements"])
def test_ours(molecules, kind, pooling):
    pairs = [(m.numbers, m.positions) for m in molecules]
    padded = np.zeros((6, 5, 4))
    for row, (numbers, positions) in zip(padded, pairs, strict=True):
        row[: len(numbers)] = np.column_stack([numbers, positions])
    X = {"molecules": molecules, "pairs": pairs, "padded": padded}.get(kind)
    if kind in ("atoms", "series"):
        pytest.importorskip("ase")
        X = molecules.to_ase()
    if kind == "series":
        X = pytest.importorskip("pandas").Series(X)
    check_transformer(SolidHarmonicScattering(J=1, L=1, Q=1, pooling=pooling), X)


@pytest.mark.parametrize("kind", ["list", "series"])
def test_cross_validation_of_a_pipeline_on_atoms(molecules, kind):
    pytest.importorskip("ase")
    X = molecules.to_ase()
    if kind == "series":
        X = pytest.importorskip("pandas").Series(X)
    model = make_pipeline(SolidHarmonicScattering(J=1, L=1, Q=1), Ridge())
    scores = cross_val_score(model, X, np.arange(6.0), cv=2, scoring="r2")
    assert np.isfinite(scores).all()


def test_scikit_learn_tools(molecules):
    y = np.arange(6.0)
    model = make_pipeline(
        SolidHarmonicScattering(**SMALL, pooling="atoms"), StandardScaler(), Ridge()
    )
    assert np.isfinite(cross_val_score(model, molecules, y, cv=2, scoring="r2")).all()
    search = GridSearchCV(model, {"solidharmonicscattering__L": [0, 1]}, cv=2, scoring="r2")
    assert search.fit(molecules, y).predict(molecules).shape == (6,)
    est = SolidHarmonicScattering(**SMALL).fit(molecules)
    loaded = pickle.loads(pickle.dumps(est))
    assert np.array_equal(loaded.transform(molecules), est.transform(molecules))
    pytest.importorskip("pandas")
    frame = est.set_output(transform="pandas").transform(molecules)
    assert list(frame.columns) == list(est.get_feature_names_out())


def test_bad_input(molecules):
    with pytest.raises(NotFittedError):
        SolidHarmonicScattering().transform(molecules)
    for parameters, message in (
        ({"densities": ("full", "electrons")}, "densities"),
        ({"densities": ()}, "densities"),
        ({"densities": ("full", "full")}, "densities"),
        ({"integral_powers": (0,)}, "integral_powers"),
        ({"pooling": "sum"}, "pooling"),
        ({"accuracy": 0}, "accuracy"),
        ({"dtype": "int8"}, "dtype"),
        ({"elements": ("C", "X")}, r"elements=\('C', 'X'\)"),
        ({"elements": (6, 6)}, "elements"),
        ({"handle_unknown": "drop"}, "handle_unknown"),
        ({"decay_power": 1}, "decay_power"),
        ({"pooling": "both", "per_atom": True}, "per_atom=True with pooling='both'"),
    ):
        with pytest.raises(ValueError, match=message):
            SolidHarmonicScattering(**parameters).fit(molecules)


def test_unknown_elements(molecules):
    known = SolidHarmonicScattering(**SMALL).fit(molecules[[2]])
    with pytest.raises(ValueError, match=r"molecule 1 of X holds O.*the elements are H.*elements="):
        known.transform(molecules[[2, 0]])
    with pytest.raises(ValueError, match=r"molecule 0 of X holds O"):
        SolidHarmonicScattering(**SMALL, elements=("H", "C")).fit(molecules)
    for pooling in ("atoms", "elements"):
        est = SolidHarmonicScattering(
            **SMALL, pooling=pooling, elements=[6, "H"], handle_unknown="ignore"
        )
        S = est.fit_transform(molecules)
        assert est.elements_.tolist() == [1, 6]
        # a molecule is what is left of it
        hydrogens = [(WATER[0][1:], WATER[1][1:])]
        assert np.allclose(S[0], est.transform(hydrogens)[0], atol=1e-13)
        assert not est.transform([([8], [[0, 0, 0]])]).any()


def test_elements_that_are_named_serve_every_fold(molecules):
    named = SolidHarmonicScattering(**SMALL, elements=("H", "C", "O"))
    S = named.fit(molecules[[2]]).transform(molecules)
    assert np.array_equal(S, SolidHarmonicScattering(**SMALL).fit_transform(molecules))
    model = make_pipeline(named, Ridge())
    sizes, *_, scores = learning_curve(
        model,
        molecules,
        np.arange(6.0),
        train_sizes=[1, 4],
        cv=3,
        scoring="neg_mean_absolute_error",
    )
    assert sizes.tolist() == [1, 4] and np.isfinite(scores).all()


@pytest.mark.parametrize("pooling", ["atoms", "elements"])
def test_rows_of_atoms_add_up_to_those_of_molecules(molecules, pooling):
    est = SolidHarmonicScattering(**SMALL, pooling=pooling).fit(molecules)
    rows = clone(est).set_params(per_atom=True, batch_size=2).fit_transform(molecules)
    assert rows.shape == (len(molecules.numbers), len(est.get_feature_names_out()))
    total = np.zeros((6, rows.shape[1]))
    np.add.at(total, molecules.molecule_index, rows)
    assert np.allclose(total, est.transform(molecules), atol=1e-12)
    assert np.array_equal(rows[:, :3], molecules.numbers[:, None] == est.elements_)
    # atoms that are alike have rows that are alike
    assert np.allclose(rows[1], rows[2], atol=1e-12) and not np.allclose(rows[0], rows[1])
    ignoring = SolidHarmonicScattering(
        **SMALL, pooling=pooling, per_atom=True, elements=("H",), handle_unknown="ignore"
    )
    rows = ignoring.fit_transform(molecules)
    assert (rows.any(axis=1) == (molecules.numbers == 1)).all()


def test_tensors_keep_their_gradient(molecules):
    padded = np.zeros((6, 5, 4))
    for row, (numbers, positions) in zip(padded, molecules, strict=True):
        row[: len(numbers)] = np.column_stack([numbers, positions])
    for parameters in ({}, {"pooling": "elements"}, {"per_atom": True}, {"n_jobs": 2}):
        est = SolidHarmonicScattering(**SMALL, batch_size=2, **parameters).fit(molecules)
        X = torch.tensor(padded, requires_grad=True)
        S = est.transform(X)
        assert S.requires_grad and S.dtype == torch.float64
        assert np.allclose(S.detach(), est.transform(molecules), atol=1e-12)
        weights = torch.cos(torch.arange(S.numel())).view(S.shape)
        (gradient,) = torch.autograd.grad((S * weights).sum(), X)
        moved = torch.tensor(padded)
        moved[0, 1, 3] += 1e-5
        change = (est.transform(moved) - S.detach()) * weights
        assert float(change.sum()) / 1e-5 == pytest.approx(float(gradient[0, 1, 3]), rel=1e-3)
        assert not gradient[..., 0].any() and not gradient[0, 3:].any()
    with torch.no_grad():
        assert not est.transform(X).requires_grad
    assert est.transform(X.detach().float()).dtype == torch.float32


def test_far_molecules_add_up(molecules):
    est = SolidHarmonicScattering(**SMALL, elements=("H", "C", "O")).fit(molecules)
    (z, r), (z_2, r_2) = molecules[0], molecules[1]
    both = [(np.concatenate([z, z_2]), np.concatenate([r, r_2 + 20]))]
    assert np.allclose(est.transform(both)[0], est.transform(molecules[:2]).sum(0), atol=1e-12)


def test_crystals_have_the_features_of_their_supercells():
    cell = 3.57 / 2 * (1 - np.eye(3))
    diamond = np.array([[0, 0, 0], 3 * [3.57 / 4]])
    primitive = Molecules([6, 6], diamond, [0, 2], cells=[cell], periodic=True)
    double = Molecules(
        [6] * 4, np.concatenate([diamond, diamond + cell[0]]), [0, 4], [cell * [[2], [1], [1]]]
    )
    est = SolidHarmonicScattering(**SMALL).fit(primitive)
    S = est.transform(primitive)
    assert np.allclose(est.transform(double), 2 * S)
    moved = Molecules([6, 6], diamond + np.array([0 * cell[0], cell[2]]) + 5.1, [0, 2], [cell])
    assert np.allclose(est.transform(moved), S)
    assert np.allclose(est.transform(primitive + double), [S[0], 2 * S[0]])
    assert not np.allclose(est.transform([([6, 6], diamond)]), S, rtol=0.1)
    pytest.importorskip("ase")
    assert np.allclose(est.transform(double.to_ase()), 2 * S)
    for pooling in ("integral", "both"):
        with pytest.raises(ValueError, match=r"molecule 0 of X is periodic.*pooling='atoms'"):
            est.set_params(pooling=pooling).transform(primitive)


def test_defaults_by_what_is_computed(molecules):
    for pooling, degrees, widths in (("atoms", 6, 3), ("elements", 6, 3), ("integral", 3, 1)):
        est = SolidHarmonicScattering(pooling=pooling).fit(molecules)
        assert (est.L_, est.Q_, len(est.scales_)) == (degrees, widths, 2 * widths + 1)
        assert est.basis_.widths == est.scales_ and est.basis_.n_elements == 3


def test_progress(molecules, capsys):
    SolidHarmonicScattering(**SMALL, verbose=1).fit_transform(molecules)
    assert "6/6 samples" in capsys.readouterr().out
