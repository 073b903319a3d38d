"""Classification by networks of scattering and learned dictionaries."""

from skwave.classification._classifier import ScatteringDictionaryClassifier

__all__ = ["ScatteringDictionaryClassifier"]
