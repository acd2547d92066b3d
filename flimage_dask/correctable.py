"""Frames that can be corrected: lazily as dask arrays, or written to a new series."""

import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import dask
import dask.array as da
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .budget import MemoryPlan
from .correction.background import BackgroundValues
from .correction.bleaching import BleachingEstimate
from .correction.denoise import denoise_tv, load_restoration
from .correction.histogram import check_variant, distribution, match_histograms
from .correction.intensity import POSITIVE_SUM, TraceOptions
from .correction.models import DecayModel
from .correction.options import FACTOR, FitOptions, Frames
from .errors import FrameNotFoundError, ParameterError, SeriesError
from .estimable import EstimableFrames, EstimateOptions, as_mask, ignore_progress
from .estimation import (
    Background,
    EstimateRequest,
    background_corrected,
    bleach_corrected,
    check_background,
    lazy_estimate,
)
from .execution import write_series
from .hdf5.attributes import Columns
from .hdf5.encoding import Compression, Storage
from .hdf5.output import Output, check_output
from .lazy import lazy_series


class SharedCounter(Protocol):
    """A number that another process watches, such as `multiprocessing.Value`."""

    value: int


class CorrectableFrames(EstimableFrames["CorrectableFrames"]):
    """Frames with the operations that flimage offers, and their lazy counterparts."""

    def bleach_corrected(
        self,
        border_px: int = 20,
        *,
        background: Background | None = None,
        trace: str = POSITIVE_SUM,
        mask: ArrayLike | None = None,
        saturation: float | None = None,
        model: str | DecayModel = "exponential",
        exclude: Frames = (),
        robust: bool = False,
        correction: str = FACTOR,
        max_factor: float | None = None,
        parameters: Mapping[str, float] | None = None,
        times: ArrayLike | None = None,
        frame_interval: float | None = None,
        estimate: BleachingEstimate | None = None,
    ) -> da.Array:
        """Correct photobleaching lazily.

        Parameters
        ----------
        border_px, background, trace, mask, saturation
            See `estimate_bleaching`.
        model, exclude, robust, correction, max_factor, parameters, times, frame_interval
            See `estimate_bleaching`.
        estimate
            A known estimate of a series with as many frames, instead of making one from these frames. Its
            background is subtracted, and the arguments above are not used; for another background
            give ``dataclasses.replace(estimate, background=…)``.

        Returns
        -------
        dask.array.Array
            (frame, y, x) ``(fl - background) * factor`` [counts]. The estimate is part of the
            graph and made once, when the first frame is computed.

        Raises
        ------
        SeriesError, ParameterError
            See `estimate_bleaching`; what the frames hold is found out only when computing.

        Examples
        --------
        >>> import numpy as np
        >>> from flimage_dask import FLImage, FLSeries
        >>> decay = 100 * np.exp(-np.arange(30) / 20)
        >>> cell = np.pad(np.ones((8, 8)), 4)
        >>> fls = FLSeries([FLImage(5 + a * cell, {"time": t}) for t, a in enumerate(decay)])
        >>> fls.bleach_corrected(border_px=2)[::29, 8, 8].compute().round(3)
        array([100., 100.], dtype=float32)
        """
        trace_options = TraceOptions(trace, as_mask(mask), saturation)
        fit = FitOptions(model, exclude, robust, correction, max_factor, parameters)
        options = EstimateOptions(border_px, background, times, frame_interval, trace_options, fit)
        wanted = self._wanted(estimate, options)
        if isinstance(wanted, EstimateRequest):
            return bleach_corrected(self.fl, lazy_estimate(self._source(), wanted))
        return bleach_corrected(self.fl, wanted)

    def bleach_correction(
        self,
        h5out: Output | None = None,
        border_px: int = 20,
        flscorr: "CorrectableFrames | None" = None,
        count: SharedCounter | None = None,
        max_count: SharedCounter | None = None,
        *,
        background: Background | None = None,
        trace: str = POSITIVE_SUM,
        mask: ArrayLike | None = None,
        saturation: float | None = None,
        model: str | DecayModel = "exponential",
        exclude: Frames = (),
        robust: bool = False,
        correction: str = FACTOR,
        max_factor: float | None = None,
        parameters: Mapping[str, float] | None = None,
        times: ArrayLike | None = None,
        frame_interval: float | None = None,
        estimate: BleachingEstimate | None = None,
        compression: Compression = "gzip",
        level: int | None = None,
        shuffle: bool | None = None,
        memory: int | str | None = None,
        overwrite: bool = False,
        progress: bool | None = None,
    ) -> tuple[float | NDArray[Any], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Correct photobleaching, by default an exponential decay with an offset, and write the result.

        Parameters
        ----------
        h5out
            A path, where the corrected series appears when it is whole, or an empty open group.
            None writes nothing.
        border_px, background, trace, mask, saturation, progress
            See `estimate_bleaching`.
        model, exclude, robust, correction, max_factor, parameters, times, frame_interval
            See `estimate_bleaching`.
        flscorr
            Frames to correct instead of these, such as a denoised version of them.
        estimate
            A known estimate instead of making one from these frames: that of a reference series, of
            another channel, or one read from JSON; see `bleach_corrected`.
        count, max_count
            `multiprocessing.Value` or alike. `max_count` grows by three times the number of frames
            at once, `count` as they are done (by two thirds of it without `h5out`).
        compression
            Of the output: "gzip", which every HDF5 program reads; "lzf"; None; or a filter such as
            ``hdf5plugin.Zstd()``.
        level
            Of "gzip", 0 to 9; by default a fast one.
        shuffle
            Group bytes of equal significance; by default what makes a sample of the output smaller.
        memory
            What the run may add to the memory of the process, such as ``"1 GiB"``; see
            `flimage_dask.budget.plan_memory`.
        overwrite
            Replace a file that exists.

        Returns
        -------
        bg : float
            Background [counts]; an array where `background` asks for one.
        flint : numpy.ndarray
            (n,) intensity of each frame: by default the sum of what is above the background [counts].
        decay : numpy.ndarray
            (n,) the fitted decay [counts].
        times : numpy.ndarray
            (n,) acquisition times [s].

        Raises
        ------
        SeriesError, FitError, ParameterError
            (ValueErrors) see `estimate_bleaching`; and if `flscorr` has another number of frames.
        FileError
            (an OSError) if the output exists, is the input, or cannot be written. Nothing is
            left of an output that is not whole.
        """
        target = self if flscorr is None else flscorr
        if len(target) != len(self):
            raise SeriesError(f"flscorr has {len(target)} frames; the estimate is for {len(self)}.")
        storage = Storage(compression, level, shuffle)
        trace_options = TraceOptions(trace, as_mask(mask), saturation)
        fit = FitOptions(model, exclude, robust, correction, max_factor, parameters)
        options = EstimateOptions(border_px, background, times, frame_interval, trace_options, fit)
        if estimate is None:
            options.checked_background(self._frame_shape())
        if h5out is not None:
            check_output(h5out, self.path, overwrite=overwrite)
        # Read before the times, which are then among them: every frame is visited once.
        columns = {} if h5out is None else target.meta
        wanted = self._wanted(estimate, options)
        given_times = times is not None or frame_interval is not None
        new_times = self._times(times, frame_interval) if given_times else None
        advance = _counting(count, max_count, 3 * len(self))
        source = self._source(progress)
        plan = self._plan(source, memory)
        if h5out is not None and target is self and isinstance(wanted, EstimateRequest):
            source = source.keeping(plan.kept_bytes)
        found = self._obtain(source, wanted, plan, progress, advance)
        if h5out is not None:
            fl = lazy_series(source if target is self else target._source(progress), plan.block_bytes).fl
            target._write(
                bleach_corrected(fl, found),
                h5out,
                columns=columns,
                storage=storage,
                plan=plan,
                operation="bleach_correction",
                parameters={
                    "border_px": wanted.border_px,
                    "background": _in_words(wanted.background),
                    "trace": found.trace_kind,
                    "model": found.requested,
                    "exclude": list(found.excluded),
                    "robust": found.robust,
                    "correction": found.correction,
                    "max_factor": max_factor,
                },
                estimate=found,
                times=new_times,
                overwrite=overwrite,
                progress=progress,
                advance=advance,
            )
        return found.background, found.trace.copy(), found.decay.copy(), found.times.copy()

    def background_corrected(self, background: Background = "constant", border_px: int = 20) -> da.Array:
        """Subtract the background lazily.

        Parameters
        ----------
        background, border_px
            See `estimate_bleaching`. The mean of all borders is found before this returns.

        Returns
        -------
        dask.array.Array
            (frame, y, x) ``fl - background`` [counts].

        Raises
        ------
        ParameterError
            (a ValueError) for a background that does not fit, or a border that leaves no centre.
        """
        checked = check_background(background, border_px, self._frame_shape())
        return background_corrected(self.fl, checked, border_px)

    def background_correction(
        self,
        h5out: Output,
        border_px: int = 20,
        *,
        background: Background = "constant",
        compression: Compression = "gzip",
        level: int | None = None,
        shuffle: bool | None = None,
        memory: int | str | None = None,
        overwrite: bool = False,
        progress: bool | None = None,
    ) -> None:
        """Subtract the background and write the result.

        Parameters
        ----------
        h5out, compression, level, shuffle, memory, overwrite, progress
            See `bleach_correction`.
        border_px, background
            See `estimate_bleaching`.

        Raises
        ------
        ParameterError, FileError
            See `background_corrected` and `bleach_correction`.
        """
        storage = Storage(compression, level, shuffle)
        checked = check_background(background, border_px, self._frame_shape())
        check_output(h5out, self.path, overwrite=overwrite)
        source = self._source(progress)
        plan = self._plan(source, memory)
        fl = lazy_series(source, plan.block_bytes).fl
        self._write(
            background_corrected(fl, checked, border_px),
            h5out,
            columns=self.meta,
            storage=storage,
            plan=plan,
            operation="background_correction",
            parameters={"border_px": border_px, "background": _in_words(background)},
            overwrite=overwrite,
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
        progress: bool | None = None,
    ) -> None:
        """Denoise each frame by total variation and write the result.

        Parameters
        ----------
        h5file, compression, level, shuffle, memory, overwrite, progress
            See `bleach_correction`.
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
        advance = _counting(count, max_count, len(self))
        source = self._source(progress)
        plan = self._plan(source, memory)
        self._write(
            _denoised(lazy_series(source, plan.block_bytes).fl, weight),
            h5file,
            columns=self.meta,
            storage=storage,
            plan=plan,
            operation="denoise",
            parameters={"weight": weight},
            overwrite=overwrite,
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
        progress: bool | None = None,
    ) -> None:
        """Give each frame the distribution of brightness of a reference frame and write the result.

        Parameters
        ----------
        variant, reference
            See `histogram_matched`.
        h5out, compression, level, shuffle, memory, overwrite, progress
            See `bleach_correction`.

        Raises
        ------
        ParameterError, FrameNotFoundError, FileError
            See `histogram_matched` and `bleach_correction`.
        """
        storage = Storage(compression, level, shuffle)
        source = self._source(progress)
        plan = self._plan(source, memory)
        self._write(
            self._matched(lazy_series(source, plan.block_bytes).fl, variant, reference),
            h5out,
            columns=self.meta,
            storage=storage,
            plan=plan,
            operation="histogram_matching",
            parameters={"variant": variant, "reference": reference},
            overwrite=overwrite,
            progress=progress,
        )

    def _matched(self, fl: da.Array, variant: str, reference: int) -> da.Array:
        check_variant(variant)
        position = self._position(reference)
        # Found once, when the first frame is computed.
        found = dask.delayed(distribution)(fl[position])
        return fl.map_blocks(match_histograms, found, variant, dtype=fl.dtype, meta=fl._meta)

    def _position(self, index: int) -> int:
        n_frames = len(self)
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
        plan: MemoryPlan,
        overwrite: bool,
        progress: bool | None,
        estimate: BleachingEstimate | None = None,
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
            dtype=np.dtype(np.float32),
            storage=storage,
            plan=plan,
            identifier=self.identifier,
            source=self.path,
            overwrite=overwrite,
            progress=progress,
            on_stored=advance or ignore_progress,
        )


def _denoised(fl: da.Array, weight: float) -> da.Array:
    load_restoration()
    if not 0 < weight < np.inf:
        raise ParameterError(f"weight={weight!r} must be a positive number.")
    return fl.map_blocks(denoise_tv, weight, dtype=np.float32, meta=fl._meta.astype(np.float32))


def _counting(count: SharedCounter | None, max_count: SharedCounter | None, n_steps: int) -> Callable[[int], None]:
    """Announce a number of steps, and return what counts them."""
    if max_count is not None:
        max_count.value += n_steps
    lock = threading.Lock()

    def advance(n_done: int) -> None:
        if count is not None:
            with lock:
                count.value += n_done

    return advance


def _in_words(background: Background | BackgroundValues) -> str | float:
    """Describe a background for the provenance of an output."""
    if isinstance(background, str):
        return background
    values = np.asarray(background)
    if values.ndim == 1:
        return "per-frame"
    return float(values) if values.ndim == 0 else f"image of shape {values.shape}"
