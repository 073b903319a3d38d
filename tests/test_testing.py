"""Assertions for those who write transformers."""

import numpy as np
import pytest
import torch

from skwave.testing import assert_close, assert_invariant, relative_error


@pytest.mark.parametrize("make", [np.array, torch.tensor], ids=["numpy", "torch"])
def test_relative_error(make):
    a, b = make([3.0, 4.5]), make([3.0, 4.0])
    assert relative_error(a, b) == pytest.approx(0.1)
    assert relative_error(a - a, b - b) == 0
    assert_close(a, b, 0.11)
    with pytest.raises(AssertionError, match=r"0\.1 exceeds 1e-12"):
        assert_close(a.astype(float) if make is np.array else a.double(), b)
    with pytest.raises(AssertionError, match="shapes differ"):
        relative_error(a, b[:1])


def test_graphs_do_no_harm():
    x = torch.ones(3, requires_grad=True)
    assert_close(2 * x, 2 * torch.ones(3, dtype=torch.bfloat16), 1e-6)


def test_assert_invariant():
    x = np.random.default_rng(0).standard_normal(16)
    assert_invariant(lambda x: abs(np.fft.fft(x)), x, np.roll(x, 3), 1e-12)
    with pytest.raises(AssertionError, match="relative error"):
        assert_invariant(np.fft.fft, x, np.roll(x, 3), 1e-12)
