import numpy as np
import pytest
import torch


@pytest.fixture
def image():
    """Smooth noise without symmetry, made skew, shape (C, H, W)."""

    def make(*shape):
        x = np.random.default_rng(1).standard_normal(shape)
        w = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n) for n in shape[-2:]), indexing="ij"))
        x = np.fft.ifft2(np.fft.fft2(x) / (0.05 + w)).real / 10
        return torch.from_numpy(x + 0.3 * x**2 + 0.2 * np.roll(abs(x), (2, 5), (-2, -1)) + 3)

    return make
