"""Inverse problems whose prior is a maximum-entropy model: missing samples, and noise."""

from numbers import Integral

import numpy as np
import torch
from sklearn.utils import check_random_state

from skwave._arrays import to_numpy
from skwave._synthesis import minimise, start_noise
from skwave.functional.maxent import moment_distance


class Restoration:
    """What `skwave.MaxEntTextureModel` does with fields of which something is known."""

    def inpaint(self, X, mask):
        """Keep known samples of fields, and make the others so that all have the moments.

        Parameters
        ----------
        X : array-like, shape (n_samples, ...)
            Fields of the fitted shape; what is unknown may hold anything finite.
        mask : array-like of bool, shape of ``X``, of a sample or of a signal
            True where ``X`` is known.

        Returns
        -------
        X : ndarray, shape (n_samples, ...)
            Completed fields.

        Warns
        -----
        ConvergenceWarning
            If the energy of a field is above ``tol``.
        """
        X = to_numpy(self._validate(X))
        layout, shape = X.shape, self.signal_shape_
        X, known = X.reshape(self._batch_shape()), np.asarray(to_numpy(mask), dtype=bool)
        try:
            known = np.broadcast_to(known, X.shape if known.shape == shape else layout)
        except ValueError:
            raise ValueError(
                f"mask of shape {known.shape} must have the shape of X, {layout}, of a sample, "
                f"or of a signal, {shape}."
            ) from None
        known = known.reshape(X.shape)
        noise = start_noise(self, len(X), shape, check_random_state(self.random_state))

        def fixed(energy, rows):  # numpydoc ignore=GL08
            is_known, x = (self._on_device(a[rows]) for a in (known, X))
            x = self._standardised(self._grid(x))
            is_known = self._grid(is_known) > 0
            return lambda z: energy(torch.where(is_known, x, z))

        found = minimise(self, np.where(known, X, noise), shape, fixed)
        return np.where(known, X, found.reshape(X.shape)).reshape(layout)

    def denoise(self, X, noise, *, n_draws=8):
        r"""Fields that, with noise added, have the moments of noisy ones.

        .. math:: \min_x \Big\| \frac1D\sum_d \phi(x + n_d) - \phi(y) \Big\|^2

        from :math:`x = y` on: the part of :math:`y` that the noise does not explain, in its
        statistics rather than sample by sample. Fit the model to the noisy fields.

        Parameters
        ----------
        X : array-like, shape (n_samples, ...)
            Noisy fields :math:`y` of the fitted shape.
        noise : callable
            ``noise(n, random_state)`` gives ``n`` draws, an array ``(n, ...)`` of fields of the
            fitted shape.
        n_draws : int, default=8
            Draws :math:`D`, the same at every step.

        Returns
        -------
        X : ndarray, shape (n_samples, ...)
            Fields without noise.

        Warns
        -----
        ConvergenceWarning
            If the energy of a field is above ``tol``: few draws leave some.

        References
        ----------
        .. [1] Regaldo-Saint Blancard, B. et al., A new approach for the statistical denoising of
           Planck interstellar dust polarization data, Astron. Astrophys. 649, 2021.
        """
        X = to_numpy(self._validate(X))
        if not callable(noise):
            raise TypeError(f"noise={noise!r} must be a function of n and random_state.")
        if not isinstance(n_draws, Integral) or n_draws < 1:
            raise ValueError(f"n_draws={n_draws!r} must be a positive integer.")
        generator = check_random_state(self.random_state)
        draws = np.asarray(to_numpy(noise(n_draws, generator)))
        if draws.shape[1:] != self.sample_shape_ or len(draws) != n_draws:
            raise ValueError(
                f"noise gave shape {draws.shape}: it must give {n_draws} fields of shape "
                f"{self.sample_shape_}."
            )
        draws = draws.reshape(n_draws, self.n_channels_, *self.signal_shape_) / self._unit()

        def noisy(energy, rows):  # numpydoc ignore=GL08
            n = self._grid(self._on_device(draws))

            def moments(x):  # numpydoc ignore=GL08
                all_ = (x[:, None] + n).flatten(0, 1)
                return self._moments(all_, self._sampling(x)).unflatten(0, (-1, n_draws)).mean(1)

            y = self._standardised(
                self._grid(self._on_device(X.reshape(self._batch_shape())[rows]))
            )
            with torch.no_grad():
                target = self._moments(y, self._sampling(y))
            return moment_distance(moments, target)

        start = X.reshape(self._batch_shape())
        return minimise(self, start, self.signal_shape_, noisy, n_draws).reshape(X.shape)
