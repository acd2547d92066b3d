"""The estimate of bleaching of a lazy series: its background, its trace and the fit, in bounded memory."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.delayed import Delayed
from numpy.typing import NDArray

from .cluster import Cluster
from .correction.background import BackgroundValues, border_means
from .correction.bleaching import BleachingEstimate, correct, estimate_bleaching
from .correction.intensity import TraceOptions
from .correction.levels import FrameLevels
from .correction.options import FitOptions
from .correction.over_time import TimePercentile
from .correction.preparation import KnownLevel, Level, is_constant
from .correction.trace import Band, BandSums, band_sums, positive_sums
from .frame_source import FrameSource
from .lazy import lazy_series
from .notices import BleachingWarning, warn
from .percentile_image import STACK_BYTES, image_over_time
from .scheduling import Resources, ThisProcess, Workers, active_workers, threads_because
from .tracing import CountingRunner, Runner, background_and_traces, mean_background

_log = logging.getLogger(__name__)

# One frame in 64 costs little to read ahead; the band then holds some 0.1 % of the pixels, so that
# what is kept of a long series grows with the square root of its length, within a bound.
_FRAMES_PER_PROBE = 64
_FEWEST_PROBES = 16
_BAND_SIGMAS = 4.0
_MOST_BAND_BYTES = 64 << 20
_BYTES_PER_VALUE = 16


class BlockRunner:
    """Measure frames block by block, and tell a listener how many have been measured.

    Parameters
    ----------
    on_frames
        Called from any thread with a number of frames.
    workers
        Who measures; by default those of the active scheduler.
    block_bytes
        Uncompressed size of a block; by default that of lazy arrays.
    stack_bytes
        What an image over time may have in memory.
    """

    def __init__(
        self,
        on_frames: Callable[[int], None] = lambda n_frames: None,
        workers: Workers | None = None,
        block_bytes: int | None = None,
        stack_bytes: int = STACK_BYTES,
    ) -> None:
        self.on_frames = on_frames
        self.stack_bytes = stack_bytes
        self._workers = workers
        self._block_bytes = block_bytes

    @classmethod
    def of(cls, resources: Resources, on_frames: Callable[[int], None] = lambda n_frames: None) -> "BlockRunner":
        """Make a runner that keeps to the memory of a run."""
        plan = resources.plan
        return cls(on_frames, resources.workers, plan.block_bytes, plan.kept_bytes // 2)

    def measure(self, source: FrameSource, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Apply a function to every block of a source, and return its results in the order of the frames."""
        return self.measure_lazy(source, self.lazy(source), function, *arguments)

    def measure_lazy(
        self, source: FrameSource, fl: da.Array, function: Callable[..., Any], *arguments: Any
    ) -> list[Any]:
        """Apply a function to every block of frames that are made from a source, in the order of the frames."""
        workers = self._workers or workers_for(source)
        return workers.measure(fl, _measure_block, (function, arguments), self.on_frames)

    def measure_raw(self, source: FrameSource, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Apply a function to the positions and the raw images of every block of a source; see `measure`."""
        workers = self._workers or workers_for(source)
        raw = lazy_series(source, self._block_bytes).raw_fl
        return workers.measure(raw, _measure_raw_block, (function, arguments), self.on_frames)

    def lazy(self, source: FrameSource) -> da.Array:
        """Return the frames of a source in blocks of this runner's size."""
        return lazy_series(source, self._block_bytes).fl

    def quietly(self) -> "BlockRunner":
        """Return one whose frames nobody counts."""
        return BlockRunner(workers=self._workers, block_bytes=self._block_bytes, stack_bytes=self.stack_bytes)


def _measure_block(block: NDArray[Any], first: int, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    return function(block, *arguments)


def _measure_raw_block(
    block: NDArray[Any], first: int, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> Any:
    return function(np.arange(first, first + len(block)), block, *arguments)


def workers_for(source: FrameSource) -> ThisProcess | Cluster:
    """Return those who can read a source: only this process sees a series in its memory."""
    workers = active_workers()
    if source.stamp is None and isinstance(workers, Cluster):
        return threads_because("the series is in the memory of this process, which no worker of the cluster sees")
    return workers


@dataclass(frozen=True, eq=False)
class EstimateRequest:
    """What an estimate is made from, apart from the frames.

    Parameters
    ----------
    times
        (n,) acquisition time of each frame [s].
    background
        What is subtracted, or how it is found.
    border_px
        Width of the border that shows background only [px].
    trace
        How the intensity of a frame is found.
    fit
        How the decay is fitted.
    """

    times: NDArray[np.float64]
    background: Level
    border_px: int
    trace: TraceOptions
    fit: FitOptions


def estimate(source: FrameSource, request: EstimateRequest, runner: BlockRunner) -> BleachingEstimate:
    """Estimate the bleaching of a series.

    Parameters
    ----------
    source
        Where the frames are.
    runner
        Told of twice the number of frames in total.

    Notes
    -----
    flimage's trace needs the mean background of all frames before the first sum. Where a few
    frames tell within which band of counts that mean will lie, each frame is read once and
    reduced to what its sum needs for any background within the band; otherwise it is read twice.
    """
    level = with_image(source, request.background, runner)
    counting = CountingRunner(runner, request.trace)
    if request.trace.is_flimages:
        background, trace = _background_and_sums_of(source, level, request.border_px, counting)
    else:
        background, traces = background_and_traces(
            source, level, request.border_px, request.trace.statistic, [request.trace.region], counting
        )
        trace = traces[:, 0]
    found = estimate_bleaching(
        request.times,
        trace,
        background=background,
        border_px=_border_of(request),
        fit=request.fit,
        n_summed=request.trace.n_summed(source.index.frames.shape),
    )
    pixels = counting.counted
    texts = () if pixels is None else pixels.warnings(found.excluded)
    return replace(
        found,
        trace_kind=request.trace.in_words,
        prepared="" if source.preparation is None else source.preparation.in_words,
        pixels=pixels,
        warnings=found.warnings + texts,
    )


def with_image(source: FrameSource, background: Level, runner: BlockRunner) -> KnownLevel:
    """Find the background image of a series in its frames, where that is wanted."""
    if not isinstance(background, TimePercentile):
        return background
    chosen, quiet = source.take(background.sample(len(source.index.frames))), runner.quietly()
    return image_over_time(quiet.lazy(chosen), background, partial(quiet.measure_lazy, chosen), runner.stack_bytes)


def _border_of(request: EstimateRequest) -> int | None:
    if isinstance(request.background, FrameLevels):
        return request.background.border_px
    return request.border_px if is_constant(request.background) else None


def _background_and_sums_of(
    source: FrameSource, level: KnownLevel, border_px: int, runner: Runner
) -> tuple[BackgroundValues, NDArray[np.float64]]:
    n_frames = len(source.index.frames)
    if isinstance(level, str):
        return _constant_background_and_sums(source, border_px, runner)
    if isinstance(level, FrameLevels):
        background, trace = np.concatenate(runner.measure(source, _levels_and_sums, level), axis=1)
        runner.on_frames(n_frames)
        return background, trace
    trace = np.concatenate(runner.measure(source, positive_sums, level))
    runner.on_frames(n_frames)
    return level, trace


def _constant_background_and_sums(
    source: FrameSource, border_px: int, runner: Runner
) -> tuple[float, NDArray[np.float64]]:
    n_frames = len(source.index.frames)
    band = _expected_band(source, border_px, runner.quietly())
    if band is None:
        background = mean_background(np.concatenate(runner.measure(source, border_means, border_px)))
    else:
        most_values = max(1, _MOST_BAND_BYTES // (n_frames * _BYTES_PER_VALUE))
        parts = runner.measure(source, _background_and_band_sums, border_px, band, most_values)
        background = mean_background(np.concatenate([means for means, _ in parts]))
        trace = BandSums.concatenate([sums for _, sums in parts]).positive_sums(background)
        if trace is not None:
            _log.debug("read each frame once: the background %g lies in %s.", background, band)
            runner.on_frames(n_frames)
            return background, trace
    _log.debug("read each frame twice: the background %g was not foreseen by %s.", background, band)
    return background, np.concatenate(runner.measure(source, positive_sums, background))


def _expected_band(source: FrameSource, border_px: int, runner: Runner) -> Band | None:
    """Expect the mean background of a long series within a band, from a few frames across it."""
    n_frames = len(source.index.frames)
    n_probes = max(_FEWEST_PROBES, n_frames // _FRAMES_PER_PROBE)
    # Frames that stay in memory are read once in any case.
    if n_frames < _FRAMES_PER_PROBE or source.keeps_all:
        return None
    # The middles of equal parts: their mean hardly errs where the background drifts.
    probes = ((np.arange(n_probes) + 0.5) * n_frames / n_probes).astype(np.int64)
    means = np.concatenate(runner.measure(source.take(probes), border_means, border_px))
    if not np.isfinite(means).all():
        return None
    # Differences of neighbours tell noise from drift.
    noise = np.sqrt(np.mean(np.diff(means) ** 2) / 2.0)
    expected, half_width = means.mean(), _BAND_SIGMAS * noise / np.sqrt(n_probes)
    return Band(float(expected - half_width), float(expected + half_width))


def estimate_once(source: FrameSource, request: EstimateRequest, runner: BlockRunner) -> BleachingEstimate:
    """Estimate the bleaching of a series, or return the estimate made before for the same file and request.

    Warns
    -----
    BleachingWarning
        Of what needs a look, each time anew.
    """
    found = _known_or_new(source, request, runner)
    for text in found.warnings:
        warn(text, BleachingWarning)
    return found


def _known_or_new(source: FrameSource, request: EstimateRequest, runner: BlockRunner) -> BleachingEstimate:
    name = name_of(source, request)
    with _kept_lock:
        found = _kept.get(name)
        if found is not None:
            runner.on_frames(2 * len(request.times))
            return found
        found = estimate(source, request, runner)
        # Changes of a series in memory through h5py leave no trace in its token.
        if source.stamp is not None:
            remember(name, found)
        return found


def remember(name: str, found: BleachingEstimate) -> None:
    """Keep an estimate for whoever asks for that of the same frames again; see `name_of`."""
    with _kept_lock:
        _kept[name] = found
        if len(_kept) > _KEPT_ESTIMATES:
            _kept.popitem(last=False)


def lazy_estimate(source: FrameSource, request: EstimateRequest) -> Delayed:
    """Return an estimate as one lazy value, which all arrays with the same request share."""
    task = dask.delayed(_estimate_in_task)
    return task(source, request, dask_key_name=name_of(source, request))


def name_of(source: FrameSource, request: EstimateRequest) -> str:
    """Name the estimate of a source: equal for equal frames and requests, in any process."""
    return f"bleaching-estimate-{tokenize(source.token, request)}"


def bleach_corrected(fl: da.Array, estimate: BleachingEstimate | Delayed) -> da.Array:
    """Correct lazy frames for bleaching with an estimate that is known or yet to be made.

    Parameters
    ----------
    fl
        Background-corrected frames (frame, y, x).
    estimate
        Its background is subtracted, its factors are applied.

    Returns
    -------
    dask.array.Array
        ``(fl - background) * factor``, of the same shape and type.
    """
    if isinstance(estimate, BleachingEstimate):
        return _corrected_by_values(fl, estimate)
    return fl.map_blocks(_correct_frames, _positions(fl), estimate, dtype=fl.dtype, meta=fl._meta)


class _InOnePiece:
    """Numbers of all frames that blocks take their own from.

    dask would make a task of each block's part of an array, and send it on its own.
    """

    def __init__(self, values: NDArray[np.float64]) -> None:
        self._values = values
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, values.ndim

    def __getitem__(self, part: Any) -> NDArray[np.float64]:
        taken: NDArray[np.float64] = self._values[part]
        return taken

    def __dask_tokenize__(self) -> str:
        return str(tokenize(self._values))


def _corrected_by_values(fl: da.Array, estimate: BleachingEstimate) -> da.Array:
    """Give each block only what is needed of an estimate, which for many frames is large."""
    background = estimate.background
    levels = np.zeros(len(estimate.factors)) if np.ndim(background) == 2 else background
    values = np.stack(np.broadcast_arrays(levels, estimate.factors, estimate.shifts), axis=1)
    whole = _InOnePiece(values[:, :, None])
    of_blocks = da.from_array(whole, chunks=(fl.chunks[0], -1, -1), asarray=False, meta=np.empty((0, 0, 0)))
    shared = _shared(background) if np.ndim(background) == 2 else None
    return fl.map_blocks(_correct_by_values, of_blocks, shared, dtype=fl.dtype, meta=fl._meta)


def _shared(value: Any) -> Delayed:
    """Make one task of what all blocks need."""
    return dask.delayed(value, name=f"background-{tokenize(value)}", traverse=False)


def background_corrected(source: FrameSource, background: Level, border_px: int, runner: BlockRunner) -> da.Array:
    """Subtract a background from frames, lazily.

    Parameters
    ----------
    source
        Where the frames are.
    background, border_px
        What is subtracted; what all frames share is found before this function returns.
    runner
        Measures it.
    """
    fl, level = runner.lazy(source), with_image(source, background, runner)
    if isinstance(level, FrameLevels):
        return fl.map_blocks(_subtract_own_level, _shared(level), dtype=fl.dtype, meta=fl._meta)
    if isinstance(level, str):
        level = mean_background(np.concatenate(runner.measure_lazy(source, fl, border_means, border_px)))
    return fl.map_blocks(_subtract, _shared(level), dtype=fl.dtype, meta=fl._meta)


def _levels_and_sums(block: NDArray[Any], wanted: FrameLevels) -> NDArray[np.float64]:
    levels = wanted.of(block)
    return np.stack([levels, positive_sums(block, levels)])


def _background_and_band_sums(
    block: NDArray[Any], border_px: int, band: Band, most_values: int
) -> tuple[NDArray[np.float64], BandSums]:
    return border_means(block, border_px), band_sums(block, band, most_values)


def _positions(fl: da.Array) -> da.Array:
    return da.arange(fl.shape[0], chunks=(fl.chunks[0],))[:, None, None]


def _correct_frames(block: NDArray[Any], positions: NDArray[np.int64], estimate: BleachingEstimate) -> NDArray[Any]:
    frames = positions.ravel()
    background = estimate.background
    if isinstance(background, np.ndarray) and background.ndim == 1:
        background = background[frames]
    return correct(block, background, estimate.factors[frames], estimate.shifts[frames])


def _correct_by_values(
    block: NDArray[Any], values: NDArray[np.float64], image: NDArray[np.float64] | None
) -> NDArray[Any]:
    levels, factors, shifts = values[:, :, 0].T
    return correct(block, levels if image is None else image, factors, shifts)


def _subtract(block: NDArray[Any], background: float | NDArray[np.float64]) -> NDArray[Any]:
    return correct(block, background, np.ones(len(block)))


def _subtract_own_level(block: NDArray[Any], levels: FrameLevels) -> NDArray[Any]:
    return _subtract(block, levels.of(block))


_KEPT_ESTIMATES = 16
_kept: OrderedDict[str, BleachingEstimate] = OrderedDict()
_kept_lock = threading.RLock()


def _estimate_in_task(source: FrameSource, request: EstimateRequest) -> BleachingEstimate:
    # A task cannot wait for other tasks of its own scheduler; threads of its own do no harm.
    return estimate_once(source, request, BlockRunner(workers=ThisProcess(scheduler="threads")))
