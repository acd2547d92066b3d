"""Frames that can be corrected: lazily as dask arrays, or written to a new series."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import dask.array as da
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .budget import MemoryPlan, plan_memory
from .correction.bleaching import BleachingEstimate
from .correction.denoise import denoise_tv, load_restoration
from .correction.models import DecayModel
from .correction.options import FitOptions, Frames
from .errors import ParameterError, SeriesError
from .estimation import (
    Background,
    BlockRunner,
    EstimateRequest,
    background_corrected,
    bleach_corrected,
    check_background,
    estimate_once,
    lazy_estimate,
)
from .execution import compute, count_threads, write_series
from .frame_source import FrameSource
from .hdf5.attributes import Columns
from .hdf5.encoding import Compression, Storage
from .hdf5.output import Output, check_output
from .lazy import lazy_series
from .progress import track
from .sequence import FrameSequence


class SharedCounter(Protocol):
    """A number that another process watches, such as `multiprocessing.Value`."""

    value: int


class CorrectableFrames(FrameSequence["CorrectableFrames"]):
    """Frames with the operations that flimage offers, and their lazy counterparts."""

    def estimate_bleaching(
        self,
        border_px: int = 20,
        *,
        background: Background = "constant",
        model: str | DecayModel = "exponential",
        exclude: Frames = (),
        robust: bool = False,
        times: ArrayLike | None = None,
        frame_interval: float | None = None,
        memory: int | str | None = None,
        progress: bool | None = None,
    ) -> BleachingEstimate:
        """Find out how the frames bleach, without writing anything.

        Parameters
        ----------
        border_px
            Width of the border that shows background only [px].
        background
            "constant", the mean of all borders; "per-frame", the mean of each frame's border; or
            given as a number or an image (y, x) [counts].
        model
            The curve: "exponential", flimage's; "biexponential", "linear+exponential", "stretched";
            "auto", the one that describes the trace best, if there is bleaching at all; "none"; or a
            `DecayModel` of your own.
        exclude
            Frames that take no part in the fit, such as those of a stimulus: positions, slices, or
            an array of bool. They are corrected too.
        robust
            Let frames far from the curve count less (Huber's weights).
        times
            Acquisition times (n,) [s], if the frames carry none or wrong ones.
        frame_interval
            Time from one frame to the next [s], instead of `times`.
        memory
            What the run may add to the memory of the process, such as ``"1 GiB"``.
        progress
            Show a progress bar; None shows it in a terminal and in a notebook.

        Returns
        -------
        BleachingEstimate
            It is remembered: a correction of the same file with the same options uses it.

        Raises
        ------
        SeriesError
            (a ValueError) if a frame has no time, or all have the same.
        FitError
            (a ValueError) for fewer than four frames with finite pixels.
        ParameterError
            (a ValueError) for a border that leaves no centre, or another wrong argument.
        """
        request = self._request(border_px, background, times, frame_interval, FitOptions(model, exclude, robust))
        return self._estimate(self._source(), request, self._plan(memory), progress, _nobody)

    def bleach_corrected(
        self,
        border_px: int = 20,
        *,
        background: Background = "constant",
        model: str | DecayModel = "exponential",
        exclude: Frames = (),
        robust: bool = False,
        times: ArrayLike | None = None,
        frame_interval: float | None = None,
        estimate: BleachingEstimate | None = None,
    ) -> da.Array:
        """Correct photobleaching lazily.

        Parameters
        ----------
        border_px, background, model, exclude, robust, times, frame_interval
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
        wanted = self._wanted(
            estimate, border_px, background, times, frame_interval, FitOptions(model, exclude, robust)
        )
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
        background: Background = "constant",
        model: str | DecayModel = "exponential",
        exclude: Frames = (),
        robust: bool = False,
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
        border_px, background, model, exclude, robust, times, frame_interval, progress
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
            (n,) intensity of each frame: the sum of what is above the background [counts].
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
        storage, fit = Storage(compression, level, shuffle), FitOptions(model, exclude, robust)
        if estimate is None:
            check_background(background, border_px, self._frame_shape())
        if h5out is not None:
            check_output(h5out, self.path, overwrite=overwrite)
        # Read before the times, which are then among them: every frame is visited once.
        columns = {} if h5out is None else target.meta
        wanted = self._wanted(estimate, border_px, background, times, frame_interval, fit)
        given_times = times is not None or frame_interval is not None
        new_times = self._times(times, frame_interval) if given_times else None
        advance = _counting(count, max_count, 3 * len(self))
        plan = self._plan(memory)
        source = self._source()
        if h5out is not None and target is self and isinstance(wanted, EstimateRequest):
            source = source.keeping(plan.kept_bytes)
        found = self._obtain(source, wanted, plan, progress, advance)
        if h5out is not None:
            fl = lazy_series(source if target is self else target._source(), plan.block_bytes).fl
            target._write(
                bleach_corrected(fl, found),
                h5out,
                columns=columns,
                storage=storage,
                plan=plan,
                operation="bleach_correction",
                parameters={
                    "border_px": found.border_px if isinstance(wanted, BleachingEstimate) else border_px,
                    "background": _in_words(background if isinstance(wanted, EstimateRequest) else found.background),
                    "model": found.requested,
                    "exclude": list(found.excluded),
                    "robust": found.robust,
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
        plan = self._plan(memory)
        fl = lazy_series(self._source(), plan.block_bytes).fl
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
        plan = self._plan(memory)
        self._write(
            _denoised(lazy_series(self._source(), plan.block_bytes).fl, weight),
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

    def _request(
        self,
        border_px: int,
        background: Background,
        times: ArrayLike | None,
        frame_interval: float | None,
        fit: FitOptions,
    ) -> EstimateRequest:
        checked = check_background(background, border_px, self._frame_shape())
        # As positions, so that the same frames named in another way make the same request.
        fit = replace(fit, exclude=fit.excluded(len(self)))
        return EstimateRequest(self._times(times, frame_interval), checked, border_px, fit)

    def _wanted(
        self,
        estimate: BleachingEstimate | None,
        border_px: int,
        background: Background,
        times: ArrayLike | None,
        frame_interval: float | None,
        fit: FitOptions,
    ) -> BleachingEstimate | EstimateRequest:
        """Return the estimate that is given, or what one is to be made from."""
        if estimate is None:
            return self._request(border_px, background, times, frame_interval, fit)
        if len(estimate.factors) != len(self):
            raise ParameterError(
                f"the estimate has factors for {len(estimate.factors)} frames; {self!r} has {len(self)}."
            )
        if np.ndim(estimate.background) == 2 and np.shape(estimate.background) != self._frame_shape():
            raise ParameterError(
                f"the background of the estimate has shape {np.shape(estimate.background)}; the frames have "
                f"{self._frame_shape()}: give one with dataclasses.replace(estimate, background=…)."
            )
        return estimate

    def _obtain(
        self,
        source: FrameSource,
        wanted: BleachingEstimate | EstimateRequest,
        plan: MemoryPlan,
        progress: bool | None,
        advance: Callable[[int], None],
    ) -> BleachingEstimate:
        if isinstance(wanted, EstimateRequest):
            return self._estimate(source, wanted, plan, progress, advance)
        advance(2 * len(self))
        return wanted

    def _frame_shape(self) -> tuple[int, int]:
        _, height, width = self.shape
        return height, width

    def _times(self, times: ArrayLike | None, frame_interval: float | None) -> NDArray[np.float64]:
        """Return the acquisition times, from the argument that gives them or from the frames."""
        if times is not None and frame_interval is not None:
            raise ParameterError("give either times= or frame_interval=, not both.")
        if times is not None:
            given = np.asarray(times, np.float64)
            if given.shape != (len(self),):
                raise ParameterError(f"times= has shape {given.shape}; {len(self)} frames need ({len(self)},).")
            return given
        if frame_interval is not None:
            if not 0 < frame_interval < np.inf:
                raise ParameterError(f"frame_interval={frame_interval!r} must be a positive number of seconds.")
            return np.arange(len(self)) * np.float64(frame_interval)
        stored = self.times
        missing = np.flatnonzero(np.isnan(stored))
        if missing.size:
            named = ", ".join(map(str, missing[:5])) + (", …" if missing.size > 5 else "")
            raise SeriesError(
                f"{missing.size} of {len(stored)} frames have no 'time' (frames {named}): give times=… or "
                f"frame_interval=… in seconds."
            )
        return stored

    def _plan(self, memory: int | str | None) -> MemoryPlan:
        n_frames, height, width = self.shape
        frame_bytes = height * width * self._source().fl_dtype.itemsize
        return plan_memory(memory, n_frames=n_frames, frame_bytes=frame_bytes, n_threads=count_threads())

    def _estimate(
        self,
        source: FrameSource,
        request: EstimateRequest,
        plan: MemoryPlan,
        progress: bool | None,
        advance: Callable[[int], None],
    ) -> BleachingEstimate:
        n_steps, frame_bytes = 2 * len(self), source.index.frames.image_bytes
        with track(n_steps, frame_bytes, "estimating", progress) as shown:
            run = partial(compute, n_threads=plan.n_threads)
            return estimate_once(source, request, BlockRunner(_both(shown.advance, advance), run, plan.block_bytes))

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
        source = {"file": None if self.path is None else str(self.path), "identifier": self.identifier}
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
            on_stored=advance or _nobody,
        )


def _denoised(fl: da.Array, weight: float) -> da.Array:
    load_restoration()
    if not 0 < weight < np.inf:
        raise ParameterError(f"weight={weight!r} must be a positive number.")
    return fl.map_blocks(denoise_tv, weight, dtype=np.float32, meta=fl._meta.astype(np.float32))


def _nobody(n_frames: int) -> None:
    """Listen to progress on behalf of nobody."""


def _both(first: Callable[[int], None], second: Callable[[int], None]) -> Callable[[int], None]:
    def advance(n_frames: int) -> None:
        first(n_frames)
        second(n_frames)

    return advance


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


def _in_words(background: Background) -> str | float:
    """Describe a background for the provenance of an output."""
    if isinstance(background, str):
        return background
    values = np.asarray(background)
    return float(values) if values.ndim == 0 else f"image of shape {values.shape}"
