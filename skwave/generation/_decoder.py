"""The decoder of `skwave.CASEGenerator`: a regression, and a network on what it leaves over."""

from numbers import Integral

import numpy as np
import torch
from sklearn.linear_model import Ridge
from sklearn.utils.validation import check_is_fitted

from skwave._core.arrays import from_tensor, reshape, resolve_device, resolve_dtype, to_tensor
from skwave._core.checks import validate_features
from skwave._core.compat import Interval
from skwave._networks.persistence import NetAsArrays
from skwave.generation._layers import average_blocks, make_decoder

_ROWS = 500  # decoded at once
_N_ATOMS = Interval(Integral, 1, 2**20, closed="both")


class Decoding(NetAsArrays):
    """What `skwave.CASEGenerator` does with codes of images."""

    def inverse_transform(self, X):
        """Decode codes.

        Parameters
        ----------
        X : array-like or Tensor, shape (n_samples, n_components)
            Codes.

        Returns
        -------
        images : array, shape (n_samples, ...)
            Images of the fitted shape; same kind of array as ``X``.
        """
        (images,) = self.coarse_to_fine(X, scales=(0,))
        return reshape(images, (-1, *self.sample_shape_))

    def coarse_to_fine(self, X, *, scales=None):
        """Decode codes, and show the image at every scale.

        The image at scale ``2**j`` is the average of that at the next finer scale over blocks of
        two by two pixels. In a chain of dictionaries it is what the stages have decoded so far.

        Parameters
        ----------
        X : array-like or Tensor, shape (n_samples, n_components)
            Codes.
        scales : sequence of int, default=None
            Scales ``j``; None for all, from ``J`` to 0.

        Returns
        -------
        images : list of array, shape (n_samples, height, width) or \
                (n_samples, C, height, width)
            Images, of ``H / 2**j`` by ``W / 2**j`` pixels, rounded up. Flat samples are unfolded.
        """
        check_is_fitted(self)
        scales = range(self.J, -1, -1) if scales is None else scales
        if not all(isinstance(j, Integral) and 0 <= j <= self.J for j in scales):
            raise ValueError(f"scales={scales!r} must be integers from 0 to J={self.J}.")
        X = validate_features(X, self._n_features_out, type(self).__name__)
        dtype = resolve_dtype(None, self.coef_)
        Z = to_tensor(X, dtype, "cpu")
        parts = [self._decode(z, scales) for z in Z.split(_ROWS)]
        grey = self.scattering_.n_channels_ == 1 and len(self.sample_shape_) < 3
        images = [torch.cat(part) for part in zip(*parts, strict=True)]
        device = resolve_device(None, X)
        return [from_tensor((x[:, 0] if grey else x).to(device), X) for x in images]

    def _check_atoms(self):
        atoms = self.n_atoms
        if len(atoms) != 2 or not all(_N_ATOMS.is_satisfied_by(n) for n in atoms):
            raise ValueError(
                f"n_atoms={atoms!r} must be two integers from 1 to {_N_ATOMS.right}: the atoms of "
                "the fully connected dictionary, and of each convolutional one."
            )

    def _check_channels(self):
        C = self.scattering_.n_channels_
        if self.decoder == "dictionary" and self.channels < C:
            raise ValueError(
                f"channels={self.channels} is less than the {C} channels of the images, which are "
                f"the first maps of each scale: use channels >= {C}."
            )

    @property
    def _image_shape(self):
        return (self.scattering_.n_channels_, *self.scattering_.signal_shape_)

    def _fit_linear(self, Z, images):
        if self.linear_skip or self.decoder == "linear":
            ridge = Ridge(self.ridge_alpha).fit(Z, images)
            self.coef_ = ridge.coef_.reshape(images.shape[1], -1)
            self.intercept_ = np.reshape(ridge.intercept_, -1)
        else:
            self.coef_ = np.zeros((images.shape[1], Z.shape[1]), Z.dtype)
            self.intercept_ = images.mean(0)

    def _linear(self, Z):
        return Z @ self.coef_.T + self.intercept_

    def _fit_network(self, Z, images, rows, seed, device):
        self.net_, self.n_parameters_ = None, 0
        self.loss_curve_, self.validation_loss_curve_ = [], None if rows is None else []
        self.dictionaries_, self.sparsity_, self.coherence_ = [], [], []
        if self.decoder != "linear":
            from skwave.generation._training import (  # skorch takes seconds to import
                describe,
                train_decoder,
            )

            images = np.ascontiguousarray(images.reshape(-1, *self._image_shape))
            self._parts = self._design(Z.shape[1])
            self.net_, self.loss_curve_, self.validation_loss_curve_ = train_decoder(
                self, self._parts, Z, images, rows, seed, device
            )
            module = self.net_.module_
            self.n_parameters_ = sum(p.numel() for p in module.parameters())
            if self.decoder == "dictionary":
                self.dictionaries_, self.sparsity_, self.coherence_ = describe(module, Z)
        self.n_epochs_ = len(self.loss_curve_)

    def _design(self, n_features):
        # all that the network is built from
        C, *shape = self._image_shape
        parts = {
            "decoder": self.decoder,
            "n_features": n_features,
            "n_channels": C,
            "shape": shape,
            "J": self.J,
            "channels": self.channels,
        }
        if self.decoder == "dictionary":
            parts |= {"n_components": tuple(self.n_atoms)}
            parts |= {"n_iter": self.n_iter, "alpha": self.alpha}
        return parts

    def _make_module(self, weights):
        return make_decoder(**self._parts)

    def _decode(self, z, scales):
        with torch.no_grad():
            x = torch.from_numpy(self._linear(z.numpy())).to(z).unflatten(1, self._image_shape)
            if self.net_ is None:
                return [average_blocks(x, j) for j in scales]
            module = self.net_.module_.eval()
            z = z.to(next(module.parameters()).device)
            if self.decoder == "convolutional":
                return [average_blocks(x + module(z).cpu(), j) for j in scales]
            maps = module.chain(z)[0]
            C = len(x[0])
            return [average_blocks(x, j) + maps[self.J - j][:, :C].cpu() for j in scales]
