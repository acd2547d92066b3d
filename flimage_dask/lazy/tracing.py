"""Background and traces of a lazy series, in one pass over the frames where that is enough."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..correction.background import BackgroundValues, border_means, mean_background
from ..correction.band_sums import Band, BandSums, band_sums
from ..correction.intensity import POSITIVE_SUM, intensities
from ..correction.levels import FrameLevels
from ..correction.preparation import KnownLevel, is_constant
from ..correction.traced_pixels import TracedPixels
from .frame_source import FrameSource

_log = logging.getLogger(__name__)

# One frame in 64 costs little to read ahead; the band then holds some 0.1 % of the pixels, so that
# what is kept of a long series grows with the square root of its length, within a bound.
_FRAMES_PER_PROBE = 64
_FEWEST_PROBES = 16
_BAND_SIGMAS = 4.0
_MOST_BAND_BYTES = 64 << 20
_BYTES_PER_VALUE = 24


class Runner(Protocol):
    """Applies a function to every block of a source; see `block_runner.BlockRunner`."""

    on_frames: Callable[[int], None]

    def measure(self, source: FrameSource, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Return the results in the order of the frames."""
        ...

    def quietly(self) -> "Runner":
        """Return a runner whose frames nobody counts."""
        ...


def background_and_traces(
    source: FrameSource,
    background: KnownLevel,
    border_px: int,
    statistics: Sequence[str],
    traced: TracedPixels,
    runner: Runner,
) -> tuple[BackgroundValues, NDArray[np.float64]]:
    """Measure the background of a series and the intensity above it, in each of some regions.

    Parameters
    ----------
    source
        Where the frames are.
    background, border_px
        "constant", the mean of the borders' means; levels, one a frame; a number or an image (y, x) [counts].
    statistics, traced
        See `correction.intensity.intensities`.
    runner
        Told of twice the number of frames in total.

    Returns
    -------
    background
        A number, (n,) numbers or the image [counts].
    traces
        (n, statistic, region) float64 [counts].

    Notes
    -----
    Mean, median and percentiles move with the background, so that it may be subtracted when all borders are known.
    A positive sum needs the mean background of all frames before the first one. Where a few frames tell within which
    band of counts that mean will lie, each frame is read once and reduced to what its sum needs for any background
    within the band; otherwise it is read twice.
    """
    n_frames = len(source.index.frames)
    if is_constant(background) and POSITIVE_SUM in statistics:
        return _constant_background_and_traces(source, border_px, statistics, traced, runner)
    if not isinstance(background, str | FrameLevels):
        traces = np.concatenate(runner.measure(source, _intensities, background, statistics, traced))
        runner.on_frames(n_frames)
        return background, traces
    wanted = background if isinstance(background, FrameLevels) else border_px
    pairs = runner.measure(source, _levels_and_intensities, wanted, statistics, traced)
    runner.on_frames(n_frames)
    found = np.concatenate([values for values, _ in pairs])
    traces = np.concatenate([values for _, values in pairs])
    levels: BackgroundValues = found if isinstance(background, FrameLevels) else mean_background(found)
    moves = [place for place, statistic in enumerate(statistics) if statistic != POSITIVE_SUM]
    traces[:, moves] -= np.broadcast_to(levels, n_frames)[:, None, None]
    return levels, traces


def _constant_background_and_traces(
    source: FrameSource, border_px: int, statistics: Sequence[str], traced: TracedPixels, runner: Runner
) -> tuple[float, NDArray[np.float64]]:
    n_frames = len(source.index.frames)
    band = _expected_band(source, border_px, runner.quietly())
    if band is None:
        level = mean_background(np.concatenate(runner.measure(source, border_means, border_px)))
    else:
        moving = [statistic for statistic in statistics if statistic != POSITIVE_SUM]
        most_values = max(1, _MOST_BAND_BYTES // (n_frames * _BYTES_PER_VALUE))
        how = border_px, band, most_values, moving, traced
        means, moved, foreseen = zip(*runner.measure(source, _means_and_foreseen, *how), strict=True)
        level = mean_background(np.concatenate(means))
        sums = BandSums.concatenate(foreseen).positive_sums(level)
        if sums is not None:
            _log.debug("read each frame once: the background %g lies in %s.", level, band)
            runner.on_frames(n_frames)
            is_sum = np.array([statistic == POSITIVE_SUM for statistic in statistics])
            traces = np.empty((n_frames, len(statistics), traced.n_regions))
            traces[:, is_sum] = sums[:, np.newaxis]
            traces[:, ~is_sum] = np.concatenate(moved) - level
            return level, traces
    _log.debug("read each frame twice: the background %g was not foreseen by %s.", level, band)
    return level, np.concatenate(runner.measure(source, _intensities, level, statistics, traced))


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


def _means_and_foreseen(
    block: NDArray[Any], border_px: int, band: Band, most_values: int, moving: Sequence[str], traced: TracedPixels
) -> tuple[NDArray[np.float64], NDArray[np.float64], BandSums]:
    """Find the means of the borders, what moves with the background, and what the positive sums need."""
    moved = _intensities(block, 0.0, moving, traced)
    return border_means(block, border_px), moved, band_sums(block, band, most_values, traced)


def _intensities(
    block: NDArray[Any], background: BackgroundValues, statistics: Sequence[str], traced: TracedPixels
) -> NDArray[np.float64]:
    """Measure intensities (frame, statistic, region)."""
    found = np.empty((len(block), len(statistics), traced.n_regions))
    for place, statistic in enumerate(statistics):
        found[:, place] = intensities(block, background, statistic, traced)
    return found


def _levels_and_intensities(
    block: NDArray[Any], wanted: FrameLevels | int, statistics: Sequence[str], traced: TracedPixels
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the levels that are wanted, or the means of a border of that width, and the intensities."""
    levels = wanted.of(block) if isinstance(wanted, FrameLevels) else border_means(block, wanted)
    above = [levels if statistic == POSITIVE_SUM else 0.0 for statistic in statistics]
    found = [intensities(block, *measured, traced) for measured in zip(above, statistics, strict=True)]
    return levels, np.stack(found, axis=1)
