"""Frames whose intensity and bleaching can be found out, without writing anything."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .correction.bleaching import BleachingEstimate
from .correction.fields import Fields
from .correction.intensity import POSITIVE_SUM, TraceOptions
from .correction.models import ModelLike
from .correction.options import FACTOR, FitOptions, FrameSelection
from .correction.preparation import Background, Level, choose_background
from .correction.traced_pixels import EVERYWHERE, TracedPixels
from .errors import ParameterError, SeriesError
from .estimate_options import EstimateOptions, shared_background, statistics_named
from .lazy.block_runner import BlockRunner, workers_for
from .lazy.estimation import EstimateRequest
from .lazy.frame_source import FrameSource
from .lazy.percentile_image import known_level
from .lazy.remembered_estimates import estimate_once
from .lazy.tracing import background_and_traces
from .progress import both, ignore_progress, track
from .running.scheduling import Resources
from .sequence import FrameSequence, View


class EstimableFrames(FrameSequence[View]):
    """Frames with what can be found out about them."""

    def estimate_bleaching(
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
        memory: int | str | None = None,
        progress: bool | None = None,
    ) -> BleachingEstimate:
        """Find out how the frames bleach, without writing anything.

        Parameters
        ----------
        border_px
            Width of the border that shows background only [px].
        background
            "constant", the mean of all borders; "per-frame", the mean of each frame's border; another
            number for each frame (`FrameBackground`), or an image for each (`Profile`, `RollingBall`); one image
            from all frames (`TimePercentile`); or given as a number or an image (y, x) [counts]. None is
            "constant" for a positive sum, and 0 for other traces, as in Fiji: give one if the frames have a
            background.
        trace
            The intensity of a frame: "positive_sum", flimage's, of what is above the background; "mean";
            "median"; or a percentile such as "percentile-90".
        mask
            Only these pixels count for the trace, (y, x) bool, such as those of a cell.
        saturation
            Counts from which a pixel is saturated; by default the largest number of an integer type.
        model
            The curve: "exponential", flimage's; "biexponential", "linear+exponential", "stretched";
            "auto", the one that describes the trace best, if there is bleaching at all; "none"; one of your own; or
            "ratio", which needs no curve: each frame is made as bright as the earliest one. One of your own is a
            function ``f(t, rate)`` or ``f(t, rate_1, rate_2)``, which is fitted as ``amplitude f(t, rate) + offset``,
            a `DecayModel`, or an object with its attributes; see `correction.models`.
        exclude
            Frames that take no part in the fit, such as those of a stimulus: positions, slices, or
            a mask of bool, one a frame. They are corrected too.
        robust
            Let frames far from the curve count less (Huber's weights).
        correction
            "factor": frames are multiplied; "bleachable": so is the part of them that bleaches, while
            the steady part of the curve stays; "additive": what was lost is added to each pixel.
        max_factor
            Upper limit of the factors; larger ones are set to it.
        parameters
            Those of the model by name [counts, s], instead of a fit.
        times
            Acquisition times (n,) [s], if the frames carry none or wrong ones; numpy's dates and durations
            know their unit. The models "none" and "ratio" do without.
        frame_interval
            Time from one frame to the next [s], instead of `times`.
        dark, flat
            Dark field, a number or an image (y, x), and flat field, an image [counts]. Before anything else,
            frames become ``(x - dark) / gain``, where ``gain`` is ``flat - dark`` over its mean.
        memory
            Memory budget of the run, on top of what the process already uses, such as ``"1 GiB"``.
        progress
            Show a progress bar; None shows it in a terminal and in a notebook.

        Returns
        -------
        BleachingEstimate
            It is remembered: a correction of the same file with the same options uses it.

        Raises
        ------
        SeriesError
            (a ValueError) if a frame has no time, or all have the same, and the model needs them.
        FitError
            (a ValueError) for fewer frames with finite pixels than the model needs: three for an exponential.
        ParameterError
            (a ValueError) for a border that leaves no centre, or another wrong argument.
        ClusterError
            (an OSError) if a worker of a cluster does not see the file, or has another version.

        Warns
        -----
        BleachingWarning
            If something should be checked; the message says what.
        """
        trace_options = TraceOptions(trace, mask, saturation)
        fit = FitOptions(model, exclude, robust, correction, max_factor, parameters)
        fields = Fields.of(dark, flat)
        options = EstimateOptions(border_px, background, times, frame_interval, trace_options, fit, fields)
        choice = options.choice(self._frame_shape())
        request = self._request(options, choice.level)
        source = self._source(progress).prepared(choice.preparation)
        return self._estimate(source, request, self._resources(source, memory), progress, ignore_progress)

    def intensities(
        self,
        trace: str | Sequence[str] = "mean",
        *,
        labels: ArrayLike | None = None,
        border_px: int = 20,
        background: Background | None = None,
        dark: ArrayLike | None = None,
        flat: ArrayLike | None = None,
        memory: int | str | None = None,
        progress: bool | None = None,
    ) -> NDArray[np.float64]:
        """Measure the intensity of each frame, or of each region in each frame.

        Parameters
        ----------
        trace
            What is measured; see `estimate_bleaching`. Several are measured in one pass over the frames, above
            one background.
        border_px, background, dark, flat, memory, progress
            See `estimate_bleaching`. The traces themselves come on top of `memory`.
        labels
            (y, x) integers: each label but 0 is a region with a trace of its own, such as a cell.

        Returns
        -------
        numpy.ndarray
            (n,) float64 [counts]. Several traces make it (n, trace); `labels` add the axis of the regions,
            in the order of the labels.

        Raises
        ------
        ParameterError
            (a ValueError) for a trace, a background, labels or an amount of memory that cannot be used.
        SeriesError
            (a ValueError) if a constant background is asked for and no border has a finite pixel.

        Examples
        --------
        >>> import numpy as np
        >>> from flimage_dask import FLImage, FLSeries
        >>> fls = FLSeries([FLImage(np.array([[1.0, 2.0, 3.0], [1.0, 4.0, 5.0]]) + k) for k in range(2)])
        >>> fls.intensities(labels=[[1, 2, 2], [1, 2, 2]])
        array([[1. , 3.5],
               [2. , 4.5]])
        >>> fls.intensities(["median", "percentile-100"])
        array([[2.5, 5. ],
               [3.5, 6. ]])
        """
        statistics = statistics_named(trace)
        choice = choose_background(
            shared_background(statistics) if background is None else background,
            border_px,
            self._frame_shape(),
            Fields.of(dark, flat),
        )
        traced = EVERYWHERE if labels is None else TracedPixels.of_labels(labels)
        if labels is not None and np.shape(labels) != self._frame_shape():
            raise ParameterError(f"labels= has shape {np.shape(labels)}; the frames have {self._frame_shape()}.")
        source = self._source(progress).prepared(choice.preparation)
        with track(2 * len(self), "measuring", progress, frame_bytes=source.index.frames.image_bytes) as shown:
            runner = BlockRunner.of(self._resources(source, memory), shown.advance)
            level = known_level(source, choice.level, runner)
            _, found = background_and_traces(source, level, border_px, statistics, traced, runner)
        of_regions = found if labels is not None else found[..., 0]
        return of_regions[:, 0] if isinstance(trace, str) else of_regions

    def _request(self, options: EstimateOptions, background: Level) -> EstimateRequest:
        # As positions, so that the same frames named in another way make the same request.
        fit = replace(options.fit, exclude=options.fit.excluded(len(self)))
        times = options.given_times(len(self))
        if times is None:
            times = self._stored_times() if fit.needs_times else self.times
        return EstimateRequest(times, background, options.border_px, options.trace, fit)

    def _frame_shape(self) -> tuple[int, int]:
        _, height, width = self.shape
        return height, width

    def _stored_times(self) -> NDArray[np.float64]:
        """Return the acquisition times that the frames carry; refuse frames without one."""
        stored = self.times
        missing = np.flatnonzero(np.isnan(stored))
        if missing.size:
            named = ", ".join(map(str, missing[:5])) + (", …" if missing.size > 5 else "")
            raise SeriesError(
                f"{missing.size} of {len(stored)} frames have no 'time' (frames {named}): give times=… or "
                f"frame_interval=… in seconds."
            )
        return stored

    def _resources(self, source: FrameSource, memory: int | str | None, resume: bool | None = None) -> Resources:
        n_frames, height, width = self.shape
        frame_bytes = height * width * source.fl_dtype.itemsize
        return Resources.planned(workers_for(source), memory, n_frames=n_frames, frame_bytes=frame_bytes, resume=resume)

    def _estimate(
        self,
        source: FrameSource,
        request: EstimateRequest,
        resources: Resources,
        progress: bool | None,
        advance: Callable[[int], None],
    ) -> BleachingEstimate:
        n_steps, frame_bytes = 2 * len(self), source.index.frames.image_bytes
        with track(n_steps, "estimating", progress, frame_bytes=frame_bytes) as shown:
            runner = BlockRunner.of(resources, both(shown.advance, advance))
            return estimate_once(source, request, runner)
