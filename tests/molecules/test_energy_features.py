"""Features of molecules: derivatives, and the model of atoms that they collapse to."""

import numpy as np
import pytest
import torch

from skwave.functional._molecules.atoms import local_fields, local_invariants
from skwave.functional._molecules.energies import atomic_energies
from skwave.molecules import Molecules
from skwave.molecules._energy_features import Features
from skwave.molecules._energy_sources import LocalSource

MOLECULES = [
    ([8, 1, 1], [[0, 0, 0.119], [0, 0.763, -0.477], [0, -0.763, -0.477]]),
    ([8, 1, 1], [[0, 0.1, 0.119], [0.1, 0.763, -0.5], [0, -0.8, -0.477]]),
    ([8, 8, 1, 1], [[0, 0, 0], [1.4, 0, 0], [-0.3, 0.9, 0], [1.7, 0, 0.9]]),
    ([1, 1], [[0, 0, 0], [0, 0, 0.74]]),
]


SETTINGS = {"n_components": 6, "n_quadratic": 3, "n_products": 6, "power": 0.5, "per_component": 1}


@pytest.fixture(scope="module")
def features():
    molecules = Molecules.from_pairs(MOLECULES)
    source = LocalSource(np.array([1, 8]), (0.3, 0.6), 2, cutoff=5.0, decay_radius=2.0)
    learnt = Features.learn(source, molecules, SETTINGS, np.random.RandomState(0))
    scales = torch.arange(1.0, 1.0 + len(learnt.names), dtype=torch.float64)
    return learnt.scaled(scales), molecules


def test_groups_have_names_and_widths(features):
    features, molecules = features
    assert features.names == ["linear", "element", "quadratic1", "quadratic8"]
    rows = features.rows(features.encode(molecules))
    assert rows.shape == (4, sum(features.widths))
    # a part of the molecules has the same rows
    part = features.encode(molecules).take(1, 3)
    torch.testing.assert_close(features.rows(part), rows[1:3])


def test_slopes_are_the_derivatives_of_rows(features):
    features, molecules = features
    numbers, positions = molecules[2]

    def rows(r):
        source = features.source
        environments, _ = source.environments(molecules[2:3], r)
        own, fields = environments.own, local_fields(environments, source.basis)
        phi = local_invariants(fields).flatten(1)
        weights = torch.eye(sum(features.widths), dtype=torch.float64)
        constant = torch.zeros(2, len(weights), dtype=torch.float64)
        model = features.collapse(weights, constant)
        return atomic_energies(phi, own, features.compression.mean, model).sum(0)

    r = torch.tensor(positions)
    torch.testing.assert_close(
        rows(r).float(), features.rows(features.encode(molecules))[2].float(), rtol=1e-3, atol=1e-3
    )
    expected = torch.autograd.functional.jacobian(rows, r).flatten(1).T
    slopes = features.slopes(molecules[2:3])
    assert slopes.shape == (3 * len(numbers), sum(features.widths))
    torch.testing.assert_close(slopes, expected, rtol=1e-6, atol=1e-8)


def test_axes_are_learnt_from_enough_environments_of_each_element(features):
    features, _ = features
    mean, axes, deviations = features.compression
    assert mean.shape == (2, 2 * 2 * 5 // 2 * 3)
    assert axes.shape == (2, mean.shape[1], 6)
    # of three atoms of oxygen there are at most three directions, all in the sample
    assert (deviations[1] > 0).sum() <= 3


def test_few_environments_have_few_components():
    molecules = Molecules.from_pairs(MOLECULES)
    source = LocalSource(np.array([1, 8]), (0.3, 0.6), 2, cutoff=5.0, decay_radius=2.0)
    settings = {**SETTINGS, "per_component": 2}
    learnt = Features.learn(source, molecules, settings, np.random.RandomState(0))
    # eight hydrogen and four oxygen atoms
    known = (learnt.compression.deviations > 0).sum(1)
    assert (known <= torch.tensor([4, 2])).all()
    assert learnt.compression.axes.shape[2] == 6


def test_fewer_products_are_those_that_vary_most():
    molecules = Molecules.from_pairs(MOLECULES)
    source = LocalSource(np.array([1, 8]), (0.3, 0.6), 2, cutoff=5.0, decay_radius=2.0)
    learnt = Features.learn(source, molecules, SETTINGS, np.random.RandomState(0))
    learnt = learnt.scaled(torch.tensor([1.0, 1.0, 1.0, 1e-9], dtype=torch.float64))
    counts = torch.tensor([2.0, 1.0], dtype=torch.float64)
    width = sum(learnt.widths)
    fewer = learnt.within(width - 4, counts)
    assert sum(fewer.widths) == width - 4
    assert fewer.n_products == (6, 2)  # those of oxygen have the small factor
    assert learnt.within(1, counts).n_products == (1, 1)
    assert learnt.within(width, counts).n_products == (6, 6)
