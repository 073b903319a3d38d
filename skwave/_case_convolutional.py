"""A plain convolutional decoder, and the choice between it and chains of dictionaries."""

from math import prod

from torch import nn

from skwave._case_layers import DictionaryDecoder, halved
from skwave._dictionary_layers import BatchNorm


class ConvolutionalDecoder(nn.Sequential):
    r"""Images from codes by a fully connected layer and convolutions, a plain generator.

    Linear, batch norm, rectifier; ``J`` times doubled resolution, convolution, batch norm,
    rectifier; a last convolution, which is zero at the beginning [1]_.

    Parameters
    ----------
    n_features : int
        Length of the codes.
    n_channels : int
        Channels of the images.
    shape : tuple of int
        ``(height, width)`` of the images.
    J : int
        Number of times that the resolution is doubled.
    channels : int, default=16
        Maps of the finest scale; coarser ones have twice as many at each step.

    References
    ----------
    .. [1] Angles, T. and Mallat, S., Generative networks as inverse problems with scattering
       transforms, ICLR 2018.
    """

    def __init__(self, n_features, n_channels, shape, J, *, channels=16):
        grids = [halved(shape, j) for j in range(J, -1, -1)]
        widths = [channels * 2**j for j in range(J, -1, -1)]
        n = widths[0]
        layers = [
            nn.Linear(n_features, n * prod(grids[0]), bias=False),
            nn.Unflatten(1, (n, *grids[0])),
            BatchNorm(n),
            nn.ReLU(),
        ]
        for grid, n_in, n_out in zip(grids[1:], widths[:-1], widths[1:], strict=True):
            layers += [
                nn.Upsample(grid, mode="bilinear"),
                nn.Conv2d(n_in, n_out, 5, padding=2, padding_mode="replicate", bias=False),
                BatchNorm(n_out),
                nn.ReLU(),
            ]
        last = nn.Conv2d(widths[-1], n_channels, 5, padding=2, padding_mode="replicate")
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        super().__init__(*layers, last)


def make_decoder(decoder, **parameters):
    """Decoder that begins at zero.

    Parameters
    ----------
    decoder : {"dictionary", "convolutional"}
        Its kind.
    **parameters : object
        Of `DictionaryDecoder` or `ConvolutionalDecoder`.

    Returns
    -------
    module : Module
        Tensor (n, n_features) -> Tensor (n, n_channels, H, W).
    """
    kind = DictionaryDecoder if decoder == "dictionary" else ConvolutionalDecoder
    return kind(**parameters)
