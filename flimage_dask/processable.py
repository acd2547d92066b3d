"""Frames that can be processed one by one, lazily as dask arrays or written to a new series."""

from collections.abc import Mapping
from typing import Any

import dask
import dask.array as da
import numpy as np
from numpy.typing import ArrayLike

from .correction.bleaching import BleachingEstimate
from .correction.denoise import denoise_tv
from .correction.fields import Fields
from .correction.histogram import check_variant, distribution, match_histograms
from .correction.preparation import Background, BackgroundChoice, KnownLevel, choose_background
from .correction.restoration import load_restoration
from .errors import ParameterError
from .estimable import EstimableFrames
from .hdf5.backgrounds import NO_BACKGROUND, FittedBackground, SharedBackground, StoredBackground
from .hdf5.encoding import Compression, Storage
from .hdf5.output import Output
from .lazy.arrays import lazy_series
from .lazy.block_runner import BlockRunner
from .lazy.corrected import background_corrected
from .lazy.percentile_image import known_level
from .positions import as_position
from .progress import SharedCounter, counting
from .running.destination import Destination
from .running.execution import NewSeries, write_series
from .running.provenance import Provenance
from .sequence import View


class ProcessableFrames(EstimableFrames[View]):
    """Frames with what works on each of them alone: background, denoising, histogram matching."""

    def background_corrected(
        self,
        background: Background = "constant",
        border_px: int = 20,
        *,
        dark: ArrayLike | None = None,
        flat: ArrayLike | None = None,
    ) -> da.Array:
        """Subtract the background lazily.

        Parameters
        ----------
        background, border_px, dark, flat
            See `estimate_bleaching`. The mean of all borders, or a `TimePercentile`, is found before this
            returns. For the fields alone give ``background=0``.

        Returns
        -------
        dask.array.Array
            (frame, y, x) ``fl - background`` [counts].

        Raises
        ------
        ParameterError
            (a ValueError) for a background or field that does not fit, or a border that leaves no centre.
        ImportError
            For a `RollingBall`, if scikit-image is not installed (the extra ``denoise``).

        Examples
        --------
        >>> import numpy as np
        >>> from flimage_dask import FLImage, FLSeries, Profile
        >>> tilted = np.add.outer(np.arange(16.0), np.arange(16.0))
        >>> fls = FLSeries([FLImage(tilted + 100 - 10 * t) for t in range(3)])
        >>> bool(abs(fls.background_corrected(Profile("tilt"), border_px=2)).max().compute() < 1e-4)
        True
        """
        choice = choose_background(background, border_px, self._frame_shape(), Fields.of(dark, flat))
        return background_corrected(self._source().prepared(choice.preparation), choice.level, border_px, BlockRunner())

    def background_correction(
        self,
        h5out: Output,
        border_px: int = 20,
        *,
        background: Background = "constant",
        dark: ArrayLike | None = None,
        flat: ArrayLike | None = None,
        compression: Compression = "gzip",
        level: int | None = None,
        shuffle: bool | None = None,
        memory: int | str | None = None,
        overwrite: bool = False,
        resume: bool | None = None,
        progress: bool | None = None,
    ) -> None:
        """Subtract the background and write the result.

        A background that is an image is stored beside the frames, which then stay as they are: as ``bg_data/fit``
        of each frame for a `Profile` and a `RollingBall`, as one ``bg_data/data`` that all frames share for an
        image and a `TimePercentile`. So ``fl = raw - bg`` in flimage too. Numbers are subtracted.

        Parameters
        ----------
        h5out, compression, level, shuffle, memory, overwrite, resume, progress
            See `CorrectableFrames.bleach_correction`.
        border_px, background, dark, flat
            See `estimate_bleaching`.

        Raises
        ------
        ParameterError, FileError
            See `background_corrected` and `bleach_correction`.
        """
        storage = Storage(compression, level, shuffle)
        destination = Destination(h5out, self.path, storage, overwrite=overwrite, resume=resume)
        choice = choose_background(background, border_px, self._frame_shape(), Fields.of(dark, flat))
        destination.check()
        # What is stored beside the frames is not subtracted from them.
        source = self._source(progress).prepared(choice.field_preparation)
        resources = self._resources(source, memory, resume)
        runner = BlockRunner.of(resources)
        found = known_level(source, choice.level, runner)
        stored = _stored(choice, found)
        is_stored = stored is not NO_BACKGROUND
        frames = runner.lazy(source) if is_stored else background_corrected(source, found, border_px, runner)
        parameters = {"border_px": border_px, "background": choice.in_words, "fields": choice.fields_in_words}
        series = self._new_series(frames, "background_correction", parameters, background=stored)
        write_series(series, destination, resources=resources, progress=progress)

    def denoised(self, weight: float = 2) -> da.Array:
        """Denoise each frame by total variation, lazily.

        Parameters
        ----------
        weight
            Larger values smooth more.

        Returns
        -------
        dask.array.Array
            (frame, y, x) float32 [counts].

        Raises
        ------
        ImportError
            If scikit-image is not installed (the extra ``denoise``).
        ParameterError
            (a ValueError) unless `weight` is a positive number.
        """
        return _denoised(self.fl, weight)

    def denoise(
        self,
        h5file: Output,
        count: SharedCounter | None = None,
        max_count: SharedCounter | None = None,
        *,
        weight: float = 2,
        compression: Compression = "gzip",
        level: int | None = None,
        shuffle: bool | None = None,
        memory: int | str | None = None,
        overwrite: bool = False,
        resume: bool | None = None,
        progress: bool | None = None,
    ) -> None:
        """Denoise each frame by total variation and write the result.

        Parameters
        ----------
        h5file, compression, level, shuffle, memory, overwrite, resume, progress
            See `CorrectableFrames.bleach_correction`.
        count, max_count
            `multiprocessing.Value` or alike, which grow by the number of frames.
        weight
            Larger values smooth more.

        Raises
        ------
        ImportError, ParameterError, FileError
            See `denoised` and `bleach_correction`.
        """
        storage = Storage(compression, level, shuffle)
        destination = Destination(h5file, self.path, storage, overwrite=overwrite, resume=resume)
        _check_weight(weight)
        destination.check()
        advance = counting(count, max_count, len(self))
        source = self._source(progress)
        resources = self._resources(source, memory, resume)
        frames = _denoised(lazy_series(source, resources.plan.block_bytes).fl, weight)
        series = self._new_series(frames, "denoise", {"weight": weight})
        write_series(series, destination, resources=resources, progress=progress, on_stored=advance)

    def histogram_matched(self, variant: str = "fiji", reference: int = 0) -> da.Array:
        """Give each frame the distribution of brightness of a reference frame, lazily.

        Parameters
        ----------
        variant
            "fiji", as in Fiji's CorrectBleach: all results are values of the reference; or
            "interpolated", as in `skimage.exposure.match_histograms`.
        reference
            Position of the frame that all others are made like.

        Returns
        -------
        dask.array.Array
            (frame, y, x) [counts]. No background is subtracted.

        Raises
        ------
        ParameterError, FrameNotFoundError
            (ValueErrors) for another variant, or a frame that is none.

        Examples
        --------
        >>> import numpy as np
        >>> from flimage_dask import FLImage, FLSeries
        >>> fls = FLSeries([FLImage(np.array([[8.0, 4.0]]) / 2**k) for k in range(3)])
        >>> fls.histogram_matched()[2].compute()
        array([[8., 4.]], dtype=float32)
        """
        return self._matched(self.fl, variant, reference)

    def histogram_matching(
        self,
        h5out: Output,
        variant: str = "fiji",
        reference: int = 0,
        *,
        compression: Compression = "gzip",
        level: int | None = None,
        shuffle: bool | None = None,
        memory: int | str | None = None,
        overwrite: bool = False,
        resume: bool | None = None,
        progress: bool | None = None,
    ) -> None:
        """Give each frame the distribution of brightness of a reference frame and write the result.

        Parameters
        ----------
        variant, reference
            See `histogram_matched`.
        h5out, compression, level, shuffle, memory, overwrite, resume, progress
            See `CorrectableFrames.bleach_correction`.

        Raises
        ------
        ParameterError, FrameNotFoundError, FileError
            See `histogram_matched` and `bleach_correction`.
        """
        storage = Storage(compression, level, shuffle)
        destination = Destination(h5out, self.path, storage, overwrite=overwrite, resume=resume)
        check_variant(variant)
        destination.check()
        source = self._source(progress)
        resources = self._resources(source, memory, resume)
        frames = self._matched(lazy_series(source, resources.plan.block_bytes).fl, variant, reference)
        series = self._new_series(frames, "histogram_matching", {"variant": variant, "reference": reference})
        write_series(series, destination, resources=resources, progress=progress)

    def _matched(self, fl: da.Array, variant: str, reference: int) -> da.Array:
        check_variant(variant)
        position = self._position(reference)
        # Found once, when the first frame is computed; under the same name each time, so that a run can be resumed.
        found = dask.delayed(distribution, pure=True)(fl[position])
        return fl.map_blocks(match_histograms, found, variant, dtype=fl.dtype, meta=fl._meta)

    def _position(self, reference: int) -> int:
        index = as_position(reference, "reference=")
        self._check_positions(np.array([index]))
        return index % len(self)

    def _new_series(
        self,
        frames: da.Array,
        operation: str,
        parameters: Mapping[str, Any],
        background: StoredBackground = NO_BACKGROUND,
        estimate: BleachingEstimate | None = None,
    ) -> NewSeries:
        """Say what a series of frames made from these holds."""
        provenance = Provenance(operation, self._described(), parameters, estimate)
        return NewSeries(frames, self.meta, provenance, self.identifier, background)

    def _described(self) -> dict[str, str | None]:
        """Name these frames for the provenance of what is made of them."""
        return {"file": self.origin, "identifier": self.identifier}


def _denoised(fl: da.Array, weight: float) -> da.Array:
    load_restoration("denoising")
    _check_weight(weight)
    return fl.map_blocks(denoise_tv, weight, dtype=np.float32, meta=fl._meta.astype(np.float32))


def _check_weight(weight: float) -> None:
    if not 0 < weight < np.inf:
        raise ParameterError(f"weight={weight!r} must be a positive number.")


def _stored(choice: BackgroundChoice, level: KnownLevel) -> StoredBackground:
    """Return what is stored of a background beside the frames: images are, numbers are not."""
    images = None if choice.preparation is None else choice.preparation.background
    if images is not None:
        return FittedBackground(images.images, images.attributes)
    if isinstance(level, np.ndarray):
        return SharedBackground(image=level, attributes={"background": str(choice.in_words)})
    return NO_BACKGROUND
