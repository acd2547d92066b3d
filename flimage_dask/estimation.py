"""The estimate of bleaching of a lazy series: its background, its trace and the fit, in bounded memory."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TypeAlias

import dask
import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.delayed import Delayed
from numpy.typing import NDArray

from .correction.background import BackgroundValues, border_mask, border_means
from .correction.bleaching import BleachingEstimate, correct, estimate_bleaching
from .correction.intensity import TraceOptions
from .correction.options import FitOptions
from .correction.trace import Band, BandSums, band_sums, positive_sums
from .errors import ParameterError
from .execution import compute
from .frame_source import FrameSource
from .lazy import lazy_series
from .notices import BleachingWarning, warn
from .process_local import ProcessLocal
from .tracing import CountingRunner, Runner, background_and_traces, mean_background

#: How the background of a series is found: one number for all frames, one for each frame,
#: or as given: a number or an image (y, x).
Background: TypeAlias = Literal["constant", "per-frame"] | float | NDArray[Any]

_log = logging.getLogger(__name__)

# One frame in 64 costs little to read ahead; the band then holds some 0.1 % of the pixels, so that
# what is kept of a long series grows with the square root of its length, within a bound.
_FRAMES_PER_PROBE = 64
_FEWEST_PROBES = 16
_BAND_SIGMAS = 4.0
_MOST_BAND_BYTES = 64 << 20
_BYTES_PER_VALUE = 16

BACKGROUND_NAMES = ("constant", "per-frame")


class BlockRunner(ProcessLocal):
    """Measure frames block by block, and tell a listener how many have been measured.

    Parameters
    ----------
    on_frames
        Called from any thread with a number of frames.
    run
        Computes dask collections.
    block_bytes
        Uncompressed size of a block; by default that of lazy arrays.
    """

    def __init__(
        self,
        on_frames: Callable[[int], None] = lambda n_frames: None,
        run: Callable[..., tuple[Any, ...]] = compute,
        block_bytes: int | None = None,
    ) -> None:
        super().__init__()
        self.on_frames = on_frames
        self._run = run
        self._block_bytes = block_bytes

    def measure(self, source: FrameSource, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Apply a function to every block of a source, and return its results in the order of the frames."""
        return self.measure_blocks(lazy_series(source, self._block_bytes).fl, function, *arguments)

    def measure_raw(self, source: FrameSource, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Apply a function to the positions and the raw images of every block of a source; see `measure`."""
        raw = lazy_series(source, self._block_bytes).raw_fl
        task = dask.delayed(_measure_and_count, pure=False)
        shared = dask.delayed(arguments, traverse=False)
        positions = np.split(np.arange(raw.shape[0]), np.cumsum(raw.chunks[0])[:-1])
        blocks = zip(positions, raw.to_delayed().ravel(), strict=True)
        return list(self._run(*(task(partial(function, frames), block, shared, self) for frames, block in blocks)))

    def measure_blocks(self, fl: da.Array, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Apply a function to every block of lazy frames, and return its results in the order of the frames."""
        task = dask.delayed(_measure_and_count, pure=False)
        shared = dask.delayed(arguments, traverse=False)
        blocks = fl.to_delayed().ravel()
        return list(self._run(*(task(function, block, shared, self) for block in blocks)))


@dataclass(frozen=True, eq=False)
class EstimateRequest:
    """What an estimate is made from, apart from the frames.

    Parameters
    ----------
    times
        (n,) acquisition time of each frame [s].
    background
        See `Background`.
    border_px
        Width of the border that shows background only [px].
    trace
        How the intensity of a frame is found.
    fit
        How the decay is fitted.
    """

    times: NDArray[np.float64]
    background: Background
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
    border_px = request.border_px if isinstance(request.background, str) else None
    counting = CountingRunner(runner, request.trace)
    if request.trace.is_flimages:
        background, trace = _background_and_sums_of(source, request, counting)
    else:
        background, traces = background_and_traces(
            source, request.background, request.border_px, request.trace.statistic, [request.trace.region], counting
        )
        trace = traces[:, 0]
    found = estimate_bleaching(
        request.times,
        trace,
        background=background,
        border_px=border_px,
        fit=request.fit,
        n_summed=request.trace.n_summed(source.index.frames.shape),
    )
    pixels = counting.counted
    texts = () if pixels is None else pixels.warnings(found.excluded)
    return replace(found, trace_kind=request.trace.in_words, pixels=pixels, warnings=found.warnings + texts)


def _background_and_sums_of(
    source: FrameSource, request: EstimateRequest, runner: Runner
) -> tuple[BackgroundValues, NDArray[np.float64]]:
    n_frames = len(source.index.frames)
    if is_named(request.background, "constant"):
        return _constant_background_and_sums(source, request.border_px, runner)
    if isinstance(request.background, str):
        background, trace = np.concatenate(runner.measure(source, _background_and_sums, request.border_px), axis=1)
        runner.on_frames(n_frames)
        return background, trace
    trace = np.concatenate(runner.measure(source, positive_sums, request.background))
    runner.on_frames(n_frames)
    return request.background, trace


def _constant_background_and_sums(
    source: FrameSource, border_px: int, runner: Runner
) -> tuple[float, NDArray[np.float64]]:
    n_frames = len(source.index.frames)
    band = _expected_band(source, border_px)
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


def _expected_band(source: FrameSource, border_px: int) -> Band | None:
    """Expect the mean background of a long series within a band, from a few frames across it."""
    n_frames = len(source.index.frames)
    n_probes = max(_FEWEST_PROBES, n_frames // _FRAMES_PER_PROBE)
    # Frames that stay in memory are read once in any case.
    if n_frames < _FRAMES_PER_PROBE or source.keeps_all:
        return None
    # The middles of equal parts: their mean hardly errs where the background drifts.
    probes = ((np.arange(n_probes) + 0.5) * n_frames / n_probes).astype(np.int64)
    means = np.concatenate(BlockRunner().measure(source.take(probes), border_means, border_px))
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
    name = _name_of(source, request)
    with _kept_lock:
        found = _kept.get(name)
        if found is not None:
            runner.on_frames(2 * len(request.times))
            return found
        found = estimate(source, request, runner)
        # Changes of a series in memory through h5py leave no trace in its token.
        if source.stamp is not None:
            _kept[name] = found
            if len(_kept) > _KEPT_ESTIMATES:
                _kept.popitem(last=False)
        return found


def lazy_estimate(source: FrameSource, request: EstimateRequest) -> Delayed:
    """Return an estimate as one lazy value, which all arrays with the same request share."""
    task = dask.delayed(_estimate_in_task)
    return task(source, request, dask_key_name=_name_of(source, request))


def _name_of(source: FrameSource, request: EstimateRequest) -> str:
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
        estimate = dask.delayed(estimate, name=f"bleaching-estimate-{tokenize(estimate)}", traverse=False)
    return fl.map_blocks(_correct_frames, _positions(fl), estimate, dtype=fl.dtype, meta=fl._meta)


def background_corrected(fl: da.Array, background: Background, border_px: int) -> da.Array:
    """Subtract a background from lazy frames.

    Parameters
    ----------
    fl
        Frames (frame, y, x).
    background, border_px
        See `Background`; a constant background is found before this function returns.
    """
    if is_named(background, "per-frame"):
        return fl.map_blocks(_subtract_own_background, border_px, dtype=fl.dtype, meta=fl._meta)
    value = _constant_background(fl, background, border_px)
    return fl.map_blocks(_subtract, value, dtype=fl.dtype, meta=fl._meta)


def _constant_background(fl: da.Array, background: Background, border_px: int) -> float | NDArray[np.float64]:
    """Return the background that all frames share: the mean of the borders' means, or as given."""
    if not isinstance(background, str):
        return background
    return mean_background(np.concatenate(BlockRunner().measure_blocks(fl, border_means, border_px)))


def check_background(background: Background, border_px: int, frame_shape: tuple[int, int]) -> Background:
    """Refuse a background that cannot be used with frames of a shape; return it as numbers where it is one.

    Raises
    ------
    ParameterError
        (a ValueError) if it is no known name, no finite number and no image of that shape, or
        if the border leaves no centre.
    """
    if isinstance(background, str):
        if background not in BACKGROUND_NAMES:
            names = " or ".join(repr(name) for name in BACKGROUND_NAMES)
            raise ParameterError(f"background={background!r}: give {names}, a number, or an image (y, x).")
        border_mask(frame_shape, border_px)
        return background
    values = np.asarray(background, np.float64)
    if values.shape not in ((), frame_shape):
        raise ParameterError(f"the background has shape {values.shape}; the frames have {frame_shape}.")
    if not np.isfinite(values).all():
        raise ParameterError("the background holds values that are not finite.")
    return float(values) if values.ndim == 0 else values


def is_named(background: Background, name: str) -> bool:
    """Tell whether a background is chosen by a name, without comparing an image with text."""
    return isinstance(background, str) and background == name


def _measure_and_count(
    measure: Callable[..., Any], block: NDArray[Any], arguments: tuple[Any, ...], runner: BlockRunner
) -> Any:
    result = measure(block, *arguments)
    runner.on_frames(len(block))
    return result


def _background_and_sums(block: NDArray[Any], border_px: int) -> NDArray[np.float64]:
    means = border_means(block, border_px)
    return np.stack([means, positive_sums(block, means)])


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


def _subtract(block: NDArray[Any], background: float | NDArray[np.float64]) -> NDArray[Any]:
    return correct(block, background, np.ones(len(block)))


def _subtract_own_background(block: NDArray[Any], border_px: int) -> NDArray[Any]:
    return _subtract(block, border_means(block, border_px))


_KEPT_ESTIMATES = 16
_kept: OrderedDict[str, BleachingEstimate] = OrderedDict()
_kept_lock = threading.Lock()


def _estimate_in_task(source: FrameSource, request: EstimateRequest) -> BleachingEstimate:
    # A task cannot wait for other tasks of its own scheduler; threads of its own do no harm.
    return estimate_once(source, request, BlockRunner(run=partial(dask.compute, scheduler="threads")))
