"""Frames that can be corrected for bleaching, lazily as a dask array or written to a new series."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .correction.bleaching import BleachingEstimate
from .correction.fields import Fields
from .correction.intensity import POSITIVE_SUM, TraceOptions
from .correction.models import ModelLike
from .correction.options import FACTOR, FitOptions, FrameSelection
from .correction.preparation import Background, BackgroundChoice
from .errors import ParameterError, SeriesError
from .estimate_options import EstimateOptions
from .given_estimate import choice_of, known_estimate
from .hdf5.encoding import Compression, Storage
from .hdf5.output import Output
from .lazy.arrays import lazy_series
from .lazy.corrected import bleach_corrected
from .lazy.estimation import EstimateRequest
from .lazy.frame_source import FrameSource
from .lazy.remembered_estimates import lazy_estimate, name_of, remember
from .processable import ProcessableFrames
from .progress import SharedCounter, counting
from .running.destination import FLOAT32, Destination, stored_type
from .running.execution import check_columns, write_series
from .running.scheduling import Resources


class CorrectableFrames(ProcessableFrames["CorrectableFrames"]):
    """Frames with the operations that flimage offers, and their lazy counterparts."""

    def bleach_corrected(
        self,
        border_px: int = 20,
        *,
        background: Background | None = None,
        trace: str = POSITIVE_SUM,
        mask: ArrayLike | None = None,
        saturation: float | None = None,
        model: ModelLike = "exponential",
        exclude: FrameSelection = (),
        robust: bool = False,
        correction: str = FACTOR,
        max_factor: float | None = None,
        parameters: Mapping[str, float] | None = None,
        times: ArrayLike | None = None,
        frame_interval: float | None = None,
        dark: ArrayLike | None = None,
        flat: ArrayLike | None = None,
        estimate: BleachingEstimate | None = None,
    ) -> da.Array:
        """Correct photobleaching lazily.

        Parameters
        ----------
        border_px, background, trace, mask, saturation
            See `estimate_bleaching`.
        model, exclude, robust, correction, max_factor, parameters, times, frame_interval, dark, flat
            See `estimate_bleaching`.
        estimate
            A known estimate of a series with as many frames, instead of making one from these frames. Its
            background is subtracted, unless `background` gives another one as a number or an image. Arguments
            that say how to make an estimate are refused; those that prepare each frame, which are the fields, a
            `Profile` and a `RollingBall`, must be those of the estimate. Frames are corrected one by one as in the
            estimate, whatever their times: for the same decay at other times give its `model` and `parameters`.

        Returns
        -------
        dask.array.Array
            (frame, y, x) ``(fl - background) * factor`` [counts]. The estimate is part of the
            graph and made once, when the first frame is computed.

        Raises
        ------
        SeriesError, ParameterError
            See `estimate_bleaching`; what the frames hold is found out only when computing.

        Warns
        -----
        BleachingWarning
            When computing, if something should be checked; the message says what.

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
        trace_options = TraceOptions(trace, mask, saturation)
        fit = FitOptions(model, exclude, robust, correction, max_factor, parameters)
        fields = Fields.of(dark, flat)
        options = EstimateOptions(border_px, background, times, frame_interval, trace_options, fit, fields)
        known = known_estimate(estimate, options, self)
        choice = choice_of(known, options, self._frame_shape())
        source = self._source().prepared(choice.preparation)
        found = lazy_estimate(source, self._request(options, choice.level)) if known is None else known
        return bleach_corrected(lazy_series(source).fl, found)

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
        model: ModelLike = "exponential",
        exclude: FrameSelection = (),
        robust: bool = False,
        correction: str = FACTOR,
        max_factor: float | None = None,
        parameters: Mapping[str, float] | None = None,
        times: ArrayLike | None = None,
        frame_interval: float | None = None,
        dark: ArrayLike | None = None,
        flat: ArrayLike | None = None,
        estimate: BleachingEstimate | None = None,
        dtype: DTypeLike = FLOAT32,
        compression: Compression = "gzip",
        level: int | None = None,
        shuffle: bool | None = None,
        memory: int | str | None = None,
        overwrite: bool = False,
        resume: bool | None = None,
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
        model, exclude, robust, correction, max_factor, parameters, times, frame_interval, dark, flat
            See `estimate_bleaching`.
        flscorr
            Frames to correct instead of these, such as a denoised version of them; prepared in the same way.
        estimate
            A known estimate instead of making one from these frames: that of a reference series, of
            another channel, or one read from JSON; see `bleach_corrected`.
        count, max_count
            `multiprocessing.Value` or alike. `max_count` grows by three times the number of frames
            at once, `count` as they are done (by two thirds of it without `h5out`).
        dtype
            Type of the output's pixels. Integers are rounded and clipped to the range of the type; what noise
            takes below 0 survives only in a signed one.
        compression
            Compression of the output: "gzip", which every HDF5 program reads; "lzf"; None; or a filter such as
            ``hdf5plugin.Zstd()``.
        level
            Level of gzip, 0 to 9; the default is a fast one.
        shuffle
            Whether to group bytes of equal significance first; by default, whichever makes a sample smaller.
        memory
            Memory budget of the run, on top of what the process already uses, such as ``"1 GiB"``; see
            `flimage_dask.running.budget.plan_memory`.
        overwrite
            Replace a file that exists.
        resume
            What to do with the finished blocks of an earlier run of the same output: True goes on with
            them, False removes them. On the workers of a cluster a run leaves such blocks if it
            fails; on threads it does so with ``resume=True``.

        Returns
        -------
        bg : float
            Background [counts]; an array where `background` asks for one.
        flint : numpy.ndarray
            (n,) intensity of each frame: by default the sum of what is above the background [counts].
        decay : numpy.ndarray
            (n,) the fitted decay [counts].
        times : numpy.ndarray
            (n,) acquisition times [s]; NaN where a frame has none, if the model needs none.

        Raises
        ------
        SeriesError, FitError, ParameterError
            (ValueErrors) see `estimate_bleaching`; and if `flscorr` has another number or size of frames.
        FileError
            (an OSError) if the output exists, is the input, or cannot be written. Nothing is
            left of an output that is not whole.
        UnfinishedRunError
            (a FileExistsError) if an earlier run left finished blocks and `resume` does not say what to do.
        ClusterError
            (an OSError) if a worker of a cluster does not see the files, or has another version.

        Warns
        -----
        BleachingWarning
            If something should be checked; the message says what.
        SchedulerWarning
            If the active scheduler cannot do it, and threads of this process do; or if its cluster has no worker.
        ClippingWarning
            If pixels lie outside `dtype`, or a correction takes them beyond float32. How many lie outside
            `dtype` is part of the provenance.
        """
        target = self._to_correct(flscorr)
        storage, stored = Storage(compression, level, shuffle), stored_type(dtype)
        trace_options = TraceOptions(trace, mask, saturation)
        fit = FitOptions(model, exclude, robust, correction, max_factor, parameters)
        fields = Fields.of(dark, flat)
        options = EstimateOptions(border_px, background, times, frame_interval, trace_options, fit, fields)
        known = known_estimate(estimate, options, self)
        choice = choice_of(known, options, self._frame_shape())
        destination = None if h5out is None else Destination(h5out, self.path, storage, stored, overwrite, resume)
        if destination is not None:
            destination.check()
            # Read before the times, which are then among them: every frame is visited once.
            check_columns(target.meta, len(self))
        wanted = self._request(options, choice.level) if known is None else known
        advance = counting(count, max_count, 3 * len(self))
        source = self._source(progress).prepared(choice.preparation)
        resources = self._resources(source, memory, resume)
        if destination is None:
            return _as_flimage_returns(self._obtain(source, wanted, resources, progress, advance))
        name = name_of(source, wanted) if isinstance(wanted, EstimateRequest) else None
        if name is not None:
            _remember_what_was_found(destination, name)
            source = source.keeping(resources.plan.kept_bytes) if target is self else source
        found = self._obtain(source, wanted, resources, progress, advance)
        if target is not self:
            destination = replace(destination, source=target.path)
            source = target._source(progress).prepared(choice.preparation)
            # One may be in memory, which workers elsewhere do not see, and the other not.
            resources = target._resources(source, memory, resume)
        frames = bleach_corrected(lazy_series(source, resources.plan.block_bytes).fl, found)
        how = {"border_px": wanted.border_px, "max_factor": max_factor, **_in_words(choice, found)}
        series = target._new_series(frames, "bleach_correction", how, estimate=found)
        new_times = options.given_times(len(self))
        if new_times is not None:
            series = replace(series, columns={**series.columns, "time": new_times.tolist()})
        write_series(series, destination, resources=resources, keepsake_name=name, progress=progress, on_stored=advance)
        return _as_flimage_returns(found)

    def _obtain(
        self,
        source: FrameSource,
        wanted: BleachingEstimate | EstimateRequest,
        resources: Resources,
        progress: bool | None,
        advance: Callable[[int], None],
    ) -> BleachingEstimate:
        """Make the estimate that is asked for, unless it is known."""
        if isinstance(wanted, EstimateRequest):
            return self._estimate(source, wanted, resources, progress, advance)
        advance(2 * len(self))
        return wanted

    def _to_correct(self, flscorr: "CorrectableFrames | None") -> "CorrectableFrames":
        """Return the frames to correct; refuse others that are not as many and as large as these."""
        target = self if flscorr is None else flscorr
        if not isinstance(target, CorrectableFrames):
            raise ParameterError(f"flscorr must be frames of flimage_dask, not of {type(target).__module__}.")
        if target.shape != self.shape:
            raise SeriesError(f"flscorr has {_in_pixels(target.shape)}; the estimate is for {_in_pixels(self.shape)}.")
        return target


def _as_flimage_returns(
    found: BleachingEstimate,
) -> tuple[float | NDArray[Any], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return background, trace, decay and times, which the caller may change."""
    background = found.background.copy() if isinstance(found.background, np.ndarray) else found.background
    return background, found.trace.copy(), found.decay.copy(), found.times.copy()


def _in_pixels(shape: tuple[int, ...]) -> str:
    n_frames, height, width = shape
    return f"{n_frames} frames of {height} x {width} px"


def _in_words(choice: BackgroundChoice, found: BleachingEstimate) -> dict[str, Any]:
    """Describe how frames were corrected, for the provenance."""
    return {
        "background": choice.in_words,
        "fields": choice.fields_in_words,
        "trace": found.trace_kind,
        "model": found.requested,
        "exclude": list(found.excluded),
        "robust": found.robust,
        "correction": found.correction,
    }


def _remember_what_was_found(destination: Destination, name: str) -> None:
    """Take over the estimate of the run that did not end."""
    text = destination.keepsake(name)
    if text is not None:
        remember(name, BleachingEstimate.from_json(text))
