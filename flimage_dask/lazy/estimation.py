"""The estimate of bleaching of a lazy series: its background, its trace and the fit, in bounded memory."""

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..correction.advice import of_unknown_backgrounds
from ..correction.background import BackgroundValues, border_means, mean_background
from ..correction.bleaching import BleachingEstimate, estimate_bleaching
from ..correction.intensity import TraceOptions
from ..correction.levels import FrameLevels
from ..correction.options import FitOptions
from ..correction.preparation import KnownLevel, Level, is_constant
from ..correction.trace import Band, BandSums, band_sums, positive_sums
from .block_runner import BlockRunner
from .frame_source import FrameSource
from .percentile_image import known_level
from .pixel_counting import CountingRunner
from .tracing import Runner, background_and_traces

_log = logging.getLogger(__name__)

# One frame in 64 costs little to read ahead; the band then holds some 0.1 % of the pixels, so that
# what is kept of a long series grows with the square root of its length, within a bound.
_FRAMES_PER_PROBE = 64
_FEWEST_PROBES = 16
_BAND_SIGMAS = 4.0
_MOST_BAND_BYTES = 64 << 20
_BYTES_PER_VALUE = 16


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
    level = known_level(source, request.background, runner)
    counting = CountingRunner(runner, request.trace)
    if request.trace.is_flimages:
        background, trace = _background_and_sums_of(source, level, request.border_px, counting)
    else:
        background, traces = background_and_traces(
            source, level, request.border_px, [request.trace.statistic], [request.trace.region], counting
        )
        trace = traces[:, 0, 0]
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
        warnings=found.warnings + texts + of_unknown_backgrounds(background),
    )


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
    # Whether frames stay in memory must not matter: sums of another order differ in their last bits.
    if n_frames < _FRAMES_PER_PROBE:
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


def _levels_and_sums(block: NDArray[Any], wanted: FrameLevels) -> NDArray[np.float64]:
    levels = wanted.of(block)
    return np.stack([levels, positive_sums(block, levels)])


def _background_and_band_sums(
    block: NDArray[Any], border_px: int, band: Band, most_values: int
) -> tuple[NDArray[np.float64], BandSums]:
    return border_means(block, border_px), band_sums(block, band, most_values)
