"""Scattering transformers from kymatio objects."""

from numbers import Integral

from skwave.scattering._transformer import ScatteringTransformer


def from_kymatio(scattering, **parameters):
    """Scattering transformer with the parameters of a kymatio object.

    In 2-D the coefficients are kymatio's, path for path. In 1-D the wavelets are those of
    kymatio's development version, with which the coefficients agree; those of kymatio 0.3
    differ, because its coarse filters have too little energy. The grid begins at the first
    sample; kymatio's begins up to a step later if the length is not a power of two. Where that
    version sums over the extended signal, ``T="global"``, the mean over the signal stands here.

    Parameters
    ----------
    scattering : Scattering1D or Scattering2D
        A kymatio object of any of its frontends: numpy, torch, scikit-learn, and so on.
        Nothing of kymatio is imported.
    **parameters
        Other parameters of `skwave.ScatteringTransformer`, such as ``device`` or ``log``.

    Returns
    -------
    transformer : ScatteringTransformer
        Not fitted. Its rows are kymatio's arrays made flat: what
        ``transform(X).reshape(len(X), *transformer.output_shape_)`` unfolds has an axis of
        channels, the axis of paths, and the grid.

    Raises
    ------
    TypeError
        If it is not such an object.
    ValueError
        If it does what the transformer does not: ``pre_pad=True``, ``oversampling`` or
        ``stride`` in 1-D, which refine the grid of the coefficients there, or joint
        time-frequency scattering.

    Examples
    --------
    >>> from kymatio import Scattering2D  # doctest: +SKIP
    >>> from skwave.interop import from_kymatio
    >>> transformer = from_kymatio(Scattering2D(J=2, shape=(32, 32)))  # doctest: +SKIP
    >>> transformer.fit_transform(images).shape  # doctest: +SKIP
    (100, 5184)
    """
    bases = {base.__name__ for base in type(scattering).__mro__}
    if "ScatteringBase" not in bases:
        raise TypeError(
            f"scattering={scattering!r} is not a kymatio object: give a Scattering1D or a "
            "Scattering2D, of any frontend."
        )
    if "TimeFrequencyScatteringBase" in bases or not bases & _READERS.keys():
        raise ValueError(
            f"{type(scattering).__name__} has no counterpart in ScatteringTransformer: only "
            "Scattering1D and Scattering2D do."
        )
    (base,) = bases & _READERS.keys()
    shape = scattering.shape
    found = {
        "J": scattering.J,
        "shape": (shape,) if isinstance(shape, Integral) else tuple(shape),
        "max_order": scattering.max_order,
        **_READERS[base](scattering),
    }
    return ScatteringTransformer(**found | parameters)


def _from_1d(scattering):
    # 0.3 has oversampling, the development version _oversampling and _stride
    attributes = vars(scattering)
    for name in ("oversampling", "_oversampling", "_stride"):
        if attributes.get(name):
            raise ValueError(
                f"{name.strip('_')}={attributes[name]} changes the grid of the coefficients, which "
                "T alone does here. Build the kymatio object without it."
            )
    Q = attributes.get("Q", attributes.get("_Q"))
    T = attributes.get("_T", attributes.get("T"))
    averaging = "local"
    if attributes.get("average") is False or T == 0:
        T = averaging = None
    elif T == "global":
        T, averaging = None, "global"
    return {
        "ndim": 1,
        "Q": Q if isinstance(Q, Integral) else (*Q, 1)[:2],
        "T": T,
        "averaging": averaging,
    }


def _from_2d(scattering):
    if scattering.pre_pad:
        raise ValueError(
            "pre_pad=True takes images that are padded already. Build the kymatio object with "
            "pre_pad=False: images are extended here, by boundary='reflect' as in kymatio."
        )
    return {"ndim": 2, "L": scattering.L}


_READERS = {"ScatteringBase1D": _from_1d, "ScatteringBase2D": _from_2d}
