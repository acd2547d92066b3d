"""Frames that can be processed one by one, lazily as dask arrays or written to a new series."""

import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import dask
import dask.array as da
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .block_runner import BlockRunner
from .correction.bleaching import BleachingEstimate
from .correction.denoise import denoise_tv
from .correction.fields import Fields
from .correction.histogram import check_variant, distribution, match_histograms
from .correction.preparation import Background, BackgroundChoice, KnownLevel, choose_background
from .correction.restoration import load_restoration
from .errors import FrameNotFoundError, ParameterError
from .estimable import EstimableFrames, ignore_progress
from .estimation import with_image
from .execution import check_target, write_series
from .hdf5.attributes import Columns
from .hdf5.backgrounds import NO_BACKGROUND, FittedBackground, SharedBackground, StoredBackground
from .hdf5.encoding import Compression, Storage
from .hdf5.output import Output
from .lazy import lazy_series
from .lazy_correction import background_corrected
from .positions import as_position
from .scheduling import Resources
from .sequence import View

#: How frames are stored unless somebody says otherwise, as in flimage.
FLOAT32 = np.dtype(np.float32)


class SharedCounter(Protocol):
    """A number that another process watches, such as `multiprocessing.Value`."""

    value: int


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
        choice = choose_background(background, border_px, self._frame_shape(), Fields.of(dark, flat))
        check_target(h5out, self.path, overwrite=overwrite, resume=resume)
        # What is stored beside the frames is not subtracted from them.
        source = self._source(progress).prepared(choice.fields)
        resources = self._resources(source, memory, resume)
        runner = BlockRunner.of(resources)
        found = with_image(source, choice.level, runner)
        stored = _stored(choice, found)
        is_stored = stored is not NO_BACKGROUND
        self._write(
            runner.lazy(source) if is_stored else background_corrected(source, found, border_px, runner),
            h5out,
            background=stored,
            columns=self.meta,
            storage=storage,
            resources=resources,
            operation="background_correction",
            parameters={
                "border_px": border_px,
                "background": choice.in_words,
                "fields": choice.fields_in_words,
            },
            overwrite=overwrite,
            resume=resume,
            progress=progress,
        )

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
        advance = counting(count, max_count, len(self))
        source = self._source(progress)
        resources = self._resources(source, memory, resume)
        self._write(
            _denoised(lazy_series(source, resources.plan.block_bytes).fl, weight),
            h5file,
            columns=self.meta,
            storage=storage,
            resources=resources,
            operation="denoise",
            parameters={"weight": weight},
            overwrite=overwrite,
            resume=resume,
            progress=progress,
            advance=advance,
        )

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
        source = self._source(progress)
        resources = self._resources(source, memory, resume)
        self._write(
            self._matched(lazy_series(source, resources.plan.block_bytes).fl, variant, reference),
            h5out,
            columns=self.meta,
            storage=storage,
            resources=resources,
            operation="histogram_matching",
            parameters={"variant": variant, "reference": reference},
            overwrite=overwrite,
            resume=resume,
            progress=progress,
        )

    def _matched(self, fl: da.Array, variant: str, reference: int) -> da.Array:
        check_variant(variant)
        position = self._position(reference)
        # Found once, when the first frame is computed.
        found = dask.delayed(distribution)(fl[position])
        return fl.map_blocks(match_histograms, found, variant, dtype=fl.dtype, meta=fl._meta)

    def _position(self, reference: int) -> int:
        index, n_frames = as_position(reference, "reference="), len(self)
        if not -n_frames <= index < n_frames:
            raise FrameNotFoundError(f"no frame {index}: {self!r} has {n_frames} frames.")
        return index % n_frames

    def _write(
        self,
        frames: da.Array,
        output: Output,
        *,
        columns: Columns,
        operation: str,
        parameters: Mapping[str, Any],
        storage: Storage,
        resources: Resources,
        background: StoredBackground = NO_BACKGROUND,
        overwrite: bool,
        resume: bool | None,
        progress: bool | None,
        dtype: np.dtype[Any] = FLOAT32,
        estimate: BleachingEstimate | None = None,
        keepsakes: Mapping[str, Callable[[], str]] | None = None,
        times: NDArray[np.float64] | None = None,
        advance: "Callable[[int], None] | None" = None,
    ) -> None:
        """Write frames made from these as a series."""
        if times is not None:
            columns = {**columns, "time": times.tolist()}
        source = {"file": self.origin, "identifier": self.identifier}
        write_series(
            frames,
            output,
            columns=columns,
            provenance={
                "operation": operation,
                "source": source,
                "parameters": dict(parameters),
                "estimate": None if estimate is None else estimate.summary(),
            },
            dtype=dtype,
            storage=storage,
            background=background,
            resources=resources,
            identifier=self.identifier,
            source=self.path,
            overwrite=overwrite,
            resume=resume,
            estimate=None if estimate is None else estimate.to_json(),
            keepsakes=keepsakes,
            progress=progress,
            on_stored=advance or ignore_progress,
        )


def _denoised(fl: da.Array, weight: float) -> da.Array:
    load_restoration("denoising")
    if not 0 < weight < np.inf:
        raise ParameterError(f"weight={weight!r} must be a positive number.")
    return fl.map_blocks(denoise_tv, weight, dtype=np.float32, meta=fl._meta.astype(np.float32))


def _stored(choice: BackgroundChoice, level: KnownLevel) -> StoredBackground:
    """Return what is stored of a background beside the frames: images are, numbers are not."""
    images = None if choice.preparation is None else choice.preparation.background
    if images is not None:
        return FittedBackground(images.images, images.attributes)
    if isinstance(level, np.ndarray):
        return SharedBackground(image=level, attributes={"background": str(choice.in_words)})
    return NO_BACKGROUND


def counting(count: SharedCounter | None, max_count: SharedCounter | None, n_steps: int) -> Callable[[int], None]:
    """Announce a number of steps, and return what counts them."""
    if max_count is not None:
        max_count.value += n_steps
    lock = threading.Lock()

    def advance(n_done: int) -> None:
        if count is not None:
            with lock:
                count.value += n_done

    return advance
