"""Layers and networks of torch: scattering, sparse codes, decoders, multilinear functions."""

from skwave.classification._network import ScatteringDictionary
from skwave.generation._layers import ConvolutionalDecoder, DictionaryDecoder, DictionaryStage
from skwave.molecules._multilinear import Multilinear
from skwave.scattering._layer import Scattering
from skwave.sparse._layers import ISTC, PhaseCollapse, Rectifier, TightFrame

__all__ = [
    "ISTC",
    "ConvolutionalDecoder",
    "DictionaryDecoder",
    "DictionaryStage",
    "Multilinear",
    "PhaseCollapse",
    "Rectifier",
    "Scattering",
    "ScatteringDictionary",
    "TightFrame",
]
