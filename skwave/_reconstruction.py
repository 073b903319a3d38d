"""How near images are to what they shall be."""

import numpy as np

from skwave._arrays import to_numpy


def check_images(name, X, least=1):
    """Refuse what are no images.

    Parameters
    ----------
    name : str
        Of the argument.
    X : array-like or Tensor, shape (n, H, W) or (n, C, H, W)
        Images.
    least : int, default=1
        Smallest number of them.

    Returns
    -------
    X : ndarray of float64, shape (n, C, H, W)
        Finite.
    """
    X = np.asarray(to_numpy(X))
    if X.ndim not in (3, 4) or len(X) < least:
        raise ValueError(
            f"{name} must be {least} or more images, (n, H, W) or (n, C, H, W), got the shape "
            f"{X.shape}. Flat rows unfold by reshape(-1, H, W)."
        )
    X = X.astype(np.float64)
    if not np.isfinite(X).all():
        raise ValueError(f"{name} has values that are NaN or infinite.")
    return X[:, None] if X.ndim == 3 else X


def check_pair(X, Y, names=("X", "Y"), least=1):
    """Refuse images of two sizes.

    Parameters
    ----------
    X, Y : array-like or Tensor, shape (n, H, W) or (n, C, H, W)
        Images.
    names : (str, str), default=("X", "Y")
        Of the arguments.
    least : int, default=1
        Smallest number of each.

    Returns
    -------
    X, Y : ndarray of float64, shape (n, C, H, W)
        Finite.
    """
    X, Y = (check_images(name, x, least) for name, x in zip(names, (X, Y), strict=True))
    if X.shape[1:] != Y.shape[1:]:
        raise ValueError(
            f"{names[0]} has images of shape {X.shape[1:]}, {names[1]} of {Y.shape[1:]}: they must "
            "be of one size and number of channels."
        )
    return X, Y


def _aligned(X, Y, data_range):
    X, Y = check_pair(X, Y)
    if len(X) != len(Y):
        raise ValueError(f"X has {len(X)} images, Y has {len(Y)}: they are compared one by one.")
    if not data_range > 0:
        raise ValueError(f"data_range={data_range!r} must be positive: 1 for images in [0, 1].")
    return X, Y


def psnr(X, Y, *, data_range=1.0):
    r"""Peak signal-to-noise ratio of images, in decibels.

    .. math:: 10 \log_{10} \frac{r^2}{\operatorname{mean}(X - Y)^2}

    with the mean over all pixels of all images.

    Parameters
    ----------
    X, Y : array-like or Tensor, shape (n, H, W) or (n, C, H, W)
        Images, and what they shall be.
    data_range : float, default=1.0
        Largest value less the smallest, :math:`r`.

    Returns
    -------
    psnr : float
        Infinite if they are equal.

    Raises
    ------
    ValueError
        If the images differ in shape or number, or are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from skwave.validation import psnr
    >>> round(psnr(np.zeros((2, 4, 4)), np.full((2, 4, 4), 0.1)), 3)
    20.0
    """
    X, Y = _aligned(X, Y, data_range)
    return decibels(np.mean((X - Y) ** 2), data_range)


def decibels(error, data_range):
    """Peak signal-to-noise ratio of a mean squared error.

    Parameters
    ----------
    error : float
        Mean squared error.
    data_range : float
        Largest value less the smallest.

    Returns
    -------
    psnr : float
        Infinite for no error.
    """
    return float(10 * np.log10(data_range**2 / error)) if error else float("inf")


def ssim(X, Y, *, data_range=1.0):
    """Structural similarity, mean over images and channels.

    That of scikit-image, with windows of 7 pixels a side.

    Parameters
    ----------
    X, Y : array-like or Tensor, shape (n, H, W) or (n, C, H, W)
        Images of at least 7 pixels a side, and what they shall be.
    data_range : float, default=1.0
        Largest value less the smallest.

    Returns
    -------
    ssim : float
        At most 1, for equal images.

    Raises
    ------
    ImportError
        If scikit-image is missing.
    ValueError
        If the images differ in shape or number, are not finite, or too small.

    References
    ----------
    .. [1] Wang, Z., Bovik, A. C., Sheikh, H. R. and Simoncelli, E. P., Image quality assessment:
       from error visibility to structural similarity, IEEE Trans. Image Process. 13, 2004.
    """
    X, Y = _aligned(X, Y, data_range)
    if min(X.shape[2:]) < 7:
        raise ValueError(f"images of {X.shape[2:]} pixels are too small: ssim needs 7 a side.")
    try:
        from skimage.metrics import structural_similarity
    except ImportError as error:
        raise ImportError(
            'ssim needs scikit-image: python -m pip install "skwave[images]"'
        ) from error
    values = [
        structural_similarity(x, y, data_range=data_range, channel_axis=0)
        for x, y in zip(X, Y, strict=True)
    ]
    return float(np.mean(values))
