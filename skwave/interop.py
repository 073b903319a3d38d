"""Other libraries: estimators from their objects, and what skops needs to know to read ours."""

from skwave.scattering._kymatio import from_kymatio

SKOPS_TYPES = [
    "skwave.classification._classifier.ScatteringDictionaryClassifier",
    "skwave.functional._textures.fields.Reference",
    "skwave.generation._case.CASEGenerator",
    "skwave.generation._decoder.Decoder",
    "skwave.generation._embedding.Embedding",
    "skwave.generation._sampler.Sampler",
    "skwave.molecules._energies.EnergyRegressor",
    "skwave.molecules._multilinear.MultilinearRegressor",
    "skwave.molecules._scattering.SolidHarmonicScattering",
    "skwave.scattering._transformer.ScatteringTransformer",
    "skwave.sparse._coder.SparseCoder",
    "skwave.textures._model.MaxEntTextureModel",
    "skwave.textures._transformer.PhaseHarmonicTransformer",
]
"""Types of this package in files of skops: ``skops.io.load(file, trusted=SKOPS_TYPES)``.

None of them runs anything when it is read."""

__all__ = ["SKOPS_TYPES", "from_kymatio"]
