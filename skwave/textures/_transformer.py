"""Moments of wavelet phase harmonics as a scikit-learn transformer."""

from typing import ClassVar

from skwave._core.compat import StrOptions, check_feature_names_in
from skwave._core.rows import CACHE_CONSTRAINT
from skwave._core.samples import counting_samples
from skwave._core.transformer import TorchTransformer
from skwave.functional._textures.reductions import REDUCTIONS
from skwave.textures._moments import MOMENT_CONSTRAINTS, SignalMoments


class PhaseHarmonicTransformer(TorchTransformer):
    r"""Covariances of wavelet phase harmonics: a vector that describes a non-Gaussian field.

    A stationary field is seen through wavelets of :math:`J` octaves and :math:`L` orientations.
    Covariances of their coefficients say no more than a power spectrum; those of their phase
    harmonics, :math:`[z]^k = |z|e^{ik\arg z}`, or of what a rectifier makes of them, tell how
    scales hang together,

    .. math:: C_{\lambda,k,\lambda',k'}(\tau) = \frac{1}{\sigma_{\lambda,k}\sigma_{\lambda',k'}}
       \mathrm{Cov}\big([x\star\psi_\lambda]^k(u),\, [x\star\psi_{\lambda'}]^{k'}(u - \tau)\big),

    averaged over :math:`u`. Each sample gives one vector of them, which does not change when the
    sample is moved. The wavelets are fixed: ``fit`` learns the shape alone. Signals may also come
    as a list of arrays of different lengths.

    Parameters
    ----------
    J : int, default=None
        Number of scales, an octave apart; ``2**J`` is at most the smallest side. None for the
        largest that leaves four positions a side, at least 1, and at most 3 for images and 8 for
        signals.
    L : int, default=4
        Number of orientations in :math:`[0, \pi)`, for images.
    ndim : {1, 2}, default=None
        Axes of a signal: 1 for signals, 2 for images. None for the length of ``shape`` if that is
        given, else 1 for ``X`` of two axes, and 2 for ``X`` of three or four axes: a stack of
        fields, or of fields with channels. Signals with channels need ``ndim=1``.
    moments : str or tuple of str, default="phase_harmonic"
        ``"phase_harmonic"``
            The groups S11, S00, S01, C01, Cphase, C00, K, B and L.
        ``"pywph"``
            The default of that package: the same without C00, K and B.
        ``"wavelet_covariance"``
            The groups S11 and C11: second moments, all that a Gaussian field has.
        ``"rectifier"``
            Covariances of :math:`\max(0, \mathrm{Re}(e^{i\alpha} x\star\psi_\lambda))` at
            ``n_phases`` phases :math:`\alpha`.
        ``"scattering_covariance"``
            Moduli, and moduli seen by a second wavelet: S1, S2, S3, S4.
        ``"gaussian"``
            The whole power spectrum.
        ``"model_a"``, ..., ``"model_d"``
            Those of Zhang and Mallat [1]_.

        Or a tuple of groups, which the user guide lists.
    shifts : int, default=2
        Lengths of the offsets :math:`\tau`, 2, 4, ... samples; 0 for none.
    harmonics : int, default=None
        Largest harmonic :math:`k`; None for all that the groups have.
    n_phases : int, default=4
        Phases of the rectifier.
    wavelet : {"bump", "morlet"}, default="bump"
        Bump-steerable wavelets, or Morlet wavelets.
    normalize : bool, default=True
        Whether to divide covariances by standard deviations, those of each sample itself. Then
        the vector does not change when a sample is multiplied by a number: variances are shares
        of that of the sample.
    reduce : str, default=None
        ``"isotropic"`` averages moments over rotations of all orientations by multiples of
        :math:`\pi/L`, ``"scale"`` over scales whose differences are the same,
        ``"isotropic-scale"`` over both. ``"fourier"`` has the Fourier series along the rotations:
        the mean, then real and imaginary parts. None for the moments themselves. Not for
        ``"rectifier"``, ``"gaussian"`` and the models A to D; signals have ``"scale"`` alone.
    boundary : {"periodic", "crop"}, default="periodic"
        Whether samples continue at the opposite side, or averages of scale ``j`` leave out
        what is within ``2**j`` of the sides.
    mask : array-like of bool, shape of a signal, default=None
        True for the samples that count; averages of scale ``j`` leave out what is within
        ``2**j`` of others, in whose place is the mean.
    oversampling : int, default=0
        Compute on grids finer by ``2**oversampling``. With 0 a field that is moved by a pixel has
        other moments by at most 1e-3 of their norm, as moduli alias.
    shape : tuple of int, default=None
        Shape of the signal, if the rows of ``X`` are flat; one entry may be -1.
    cache : FeatureCache, str, Path or None, default=None
        Keep the features of each sample for the next time: a folder, or a
        :class:`~skwave.FeatureCache`, which bounds the size.
    device : str or torch.device, default=None
        Where to compute: None for where ``X`` lives, ``"cuda"``, or ``"auto"``.
    dtype : {"float32", "float64"}, default=None
        Type to compute in and to give back; None for that of ``X``, which is float32 for booleans
        and integers of up to 16 bits.
    batch_size : int or "auto", default="auto"
        Samples at once; ``"auto"`` keeps within scikit-learn's ``working_memory``.
    n_jobs : int, default=None
        Number of batches computed at the same time on a CPU, in threads.
    verbose : int, default=0
        Print the progress if positive.

    Attributes
    ----------
    n_features_in_ : int
        Length of axis 1 of ``X``.
    feature_names_in_ : ndarray of str
        Names of the columns of ``X``, if it is a data frame.
    sample_shape_ : tuple of int
        Shape of one sample of ``X``.
    signal_shape_ : tuple of int
        ``(N,)`` or ``(H, W)``.
    n_channels_ : int
        Signals per sample; moments across channels are included.
    any_length_ : bool
        Whether the transformer was fitted to signals of different lengths, of which
        ``sample_shape_`` and ``signal_shape_`` then are those of the shortest.
    J_ : int
        Number of scales.
    ndim_ : int
        Axes of a signal.
    moment_table_ : structured ndarray, shape (n_moments,)
        Group, scales, orientations, harmonics and offset of each moment.

    See Also
    --------
    skwave.MaxEntTextureModel : Fields that have given moments.
    skwave.ScatteringTransformer : Features that keep where things are.

    References
    ----------
    .. [1] Zhang, S. and Mallat, S., Maximum entropy models from phase harmonic covariances,
       Appl. Comput. Harmon. Anal. 53, 2021.
    .. [2] Mallat, S., Zhang, S. and Rochette, G., Phase harmonic correlations and convolutional
       neural networks, Information and Inference 9, 2020.
    .. [3] Allys, E. et al., New interpretable statistics for large-scale structure analysis and
       generation, Phys. Rev. D 102, 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from skwave import PhaseHarmonicTransformer
    >>> X = np.random.default_rng(0).standard_normal((3, 32, 32))
    >>> harmonics = PhaseHarmonicTransformer(J=3).fit(X)
    >>> harmonics.transform(X).shape
    (3, 1103)
    >>> harmonics.get_feature_names_out()[[0, 4]]
    array(['S11_j0_l0', 'S11_j0_l0_t1a0_re'], dtype=object)
    """

    _parameter_constraints: ClassVar[dict] = {
        **TorchTransformer._parameter_constraints,
        "cache": CACHE_CONSTRAINT,
        **MOMENT_CONSTRAINTS,
        "normalize": ["boolean"],
        "reduce": [StrOptions(set(REDUCTIONS)), None],
    }

    _stacked = 2
    _takes_lengths = True

    def __init__(
        self,
        J=None,
        L=4,
        *,
        ndim=None,
        moments="phase_harmonic",
        shifts=2,
        harmonics=None,
        n_phases=4,
        wavelet="bump",
        normalize=True,
        reduce=None,
        boundary="periodic",
        mask=None,
        oversampling=0,
        shape=None,
        cache=None,
        device=None,
        dtype=None,
        batch_size="auto",
        n_jobs=None,
        verbose=0,
    ):
        self.J = J
        self.L = L
        self.ndim = ndim
        self.moments = moments
        self.shifts = shifts
        self.harmonics = harmonics
        self.n_phases = n_phases
        self.wavelet = wavelet
        self.normalize = normalize
        self.reduce = reduce
        self.boundary = boundary
        self.mask = mask
        self.oversampling = oversampling
        self.shape = shape
        self.cache = cache
        self.device = device
        self.dtype = dtype
        self.batch_size = batch_size
        self.n_jobs = n_jobs
        self.verbose = verbose

    @property
    def J_(self):  # numpydoc ignore=RT01
        """Number of scales."""
        return SignalMoments.of(self, self.signal_shape_).J

    @property
    def moment_table_(self):  # numpydoc ignore=RT01,SS06
        """Table of the moments, in the order of the features: ``group``, scales ``j1, j2, j3``,
        orientations ``l1, l2, l3`` and harmonics ``k1, k2`` of the factors, -1 where there is
        none, length and direction ``n, a`` of the offset, the offset ``dy, dx`` in samples,
        ``part`` and channels ``c1, c2``. With ``reduce``, ``l1`` or ``j1`` is 0, and the other
        orientations or scales are relative to it.
        """
        self._check_fit()
        return self._moments().table(self.n_channels_, self.reduce)

    def get_feature_names_out(self, input_features=None):
        """Names of the moments, from group, scales, orientations, offset and part.

        ``C01_j0_l1_j2_l1_t2a3_re`` is the real part of the covariance of the modulus at scale 0
        and orientation 1 with the wavelet coefficients at scale 2 and orientation 1, at the
        second length of offsets and their third direction from the wave vector. Channels
        come first as ``c0`` or ``c0c1``. Names end with ``f2re`` for the real part of the angular
        frequency 2, in cycles per turn, if ``reduce="fourier"``.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Checked against the fitted names, else not used.

        Returns
        -------
        names : ndarray of str, shape (n_features_out,)
            Names.
        """
        self._check_fit()
        check_feature_names_in(self, input_features, generate_names=False)
        return self._moments().names(self.n_channels_, self.reduce)

    def _moments(self):
        return SignalMoments.of(self, self.signal_shape_)

    def _forward(self, x):
        return self._moments().values(x, normalize=self.normalize, reduce=self.reduce)

    def _n_out(self):
        return len(self._moments().rows(self.n_channels_, self.reduce))

    def _row_bytes(self, dtype):
        return self._moments().row_bytes(dtype.itemsize, self.n_channels_)

    def _admit(self, X):
        return counting_samples(X, self.mask, self.shape)

    def _check_signal(self, signal_shape):
        moments = SignalMoments.of(self, signal_shape)
        moments.check(self._note)
        moments.check_reduction(self.reduce)
