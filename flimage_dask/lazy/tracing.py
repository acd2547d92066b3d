"""Traces of a lazy series other than flimage's, and what its pixels are worth, in one pass over the frames."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..correction.background import BackgroundValues, border_means
from ..correction.intensity import POSITIVE_SUM, Places, TraceOptions, intensities
from ..correction.levels import FrameLevels
from ..correction.pixels import PixelCounts, count_pixels
from ..correction.preparation import KnownLevel, is_constant
from ..errors import SeriesError
from ..hdf5.reader import WHOLE
from .frame_source import FrameSource


class Runner(Protocol):
    """Applies a function to every block of a source; see `block_runner.BlockRunner`."""

    on_frames: Callable[[int], None]

    def measure(self, source: FrameSource, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Return the results in the order of the frames."""
        ...

    def quietly(self) -> "Runner":
        """Return a runner whose frames nobody counts."""
        ...


class RawRunner(Runner, Protocol):
    """A runner that reaches what the camera counted too."""

    def measure_raw(self, source: FrameSource, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Return the results of a function of positions and raw images, in the order of the frames."""
        ...


class CountingRunner:
    """A runner that counts the pixels of a series on the way.

    Parameters
    ----------
    runner
        Does the work.
    options
        Which pixels count, and from which counts they are saturated.
    """

    def __init__(self, runner: RawRunner, options: TraceOptions) -> None:
        self.on_frames = runner.on_frames
        self._runner = runner
        self._options = options
        self.counted: PixelCounts | None = None

    def measure(self, source: FrameSource, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Return the results of a function in the order of the frames, and keep what was counted the first time."""
        if self.counted is not None:
            return self._runner.measure(source, function, *arguments)
        region, saturation = self._options.region, saturation_of(source, self._options)
        how = function, arguments, region, saturation
        if source.index.backgrounds and source.preparation is None:
            pairs = self._runner.measure_raw(source, _measured_and_counted_raw, source, *how)
        else:
            pairs = self._runner.measure(source, _measured_and_counted, *how)
        n_finite, n_saturated = np.concatenate([counts for _, counts in pairs], axis=1)
        height, width = source.index.frames.shape
        n_pixels = height * width if region is None else len(region)
        self.counted = PixelCounts(n_pixels, n_finite, n_saturated, saturation)
        return [result for result, _ in pairs]

    def quietly(self) -> Runner:
        """Return a runner that counts neither frames nor pixels."""
        return self._runner.quietly()


def saturation_of(source: FrameSource, options: TraceOptions) -> float | None:
    """Return the counts from which a raw pixel is saturated; None where that is not known.

    What was prepared as it was read hides what was saturated.
    """
    if source.preparation is not None:
        return None
    if options.saturation is not None:
        return options.saturation
    return float(np.iinfo(source.raw_dtype).max) if source.raw_dtype.kind in "iu" else None


def background_and_traces(
    source: FrameSource,
    background: KnownLevel,
    border_px: int,
    statistics: Sequence[str],
    regions: Sequence[Places],
    runner: Runner,
) -> tuple[BackgroundValues, NDArray[np.float64]]:
    """Measure the background of a series and the intensity above it, in each of some regions.

    Parameters
    ----------
    source
        Where the frames are.
    background, border_px
        "constant", the mean of the borders' means; levels, one a frame; a number or an image (y, x) [counts].
    statistics, regions
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
    Mean, median and percentiles move with the background, so that it may be subtracted when all borders are
    known: the frames are read once. A sum of what is above a constant background needs them twice.
    """
    n_frames = len(source.index.frames)
    if not isinstance(background, str | FrameLevels):
        traces = np.concatenate(runner.measure(source, _intensities, background, statistics, regions))
        runner.on_frames(n_frames)
        return background, traces
    if is_constant(background) and POSITIVE_SUM in statistics:
        level = mean_background(np.concatenate(runner.measure(source, border_means, border_px)))
        return level, np.concatenate(runner.measure(source, _intensities, level, statistics, regions))
    wanted = background if isinstance(background, FrameLevels) else border_px
    pairs = runner.measure(source, _levels_and_intensities, wanted, statistics, regions)
    runner.on_frames(n_frames)
    found = np.concatenate([values for values, _ in pairs])
    traces = np.concatenate([values for _, values in pairs])
    levels: BackgroundValues = found if isinstance(background, FrameLevels) else mean_background(found)
    moves = [place for place, statistic in enumerate(statistics) if statistic != POSITIVE_SUM]
    traces[:, moves] -= np.broadcast_to(levels, n_frames)[:, None, None]
    return levels, traces


def mean_background(means: NDArray[np.float64]) -> float:
    """Return the background that all frames share, from the means of their borders (n,).

    Raises
    ------
    SeriesError
        (a ValueError) if no frame has a finite pixel in its border.
    """
    if np.isnan(means).all():
        raise SeriesError("no frame has a finite pixel in its border: give the background as a number.")
    return float(np.nanmean(means))


def _intensities(
    block: NDArray[Any], background: BackgroundValues, statistics: Sequence[str], regions: Sequence[Places]
) -> NDArray[np.float64]:
    """Measure intensities (frame, statistic, region)."""
    return np.stack([intensities(block, background, statistic, regions) for statistic in statistics], axis=1)


def _levels_and_intensities(
    block: NDArray[Any], wanted: FrameLevels | int, statistics: Sequence[str], regions: Sequence[Places]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the levels that are wanted, or the means of a border of that width, and the intensities."""
    levels = wanted.of(block) if isinstance(wanted, FrameLevels) else border_means(block, wanted)
    above = [levels if statistic == POSITIVE_SUM else 0.0 for statistic in statistics]
    found = [intensities(block, *measured, regions) for measured in zip(above, statistics, strict=True)]
    return levels, np.stack(found, axis=1)


def _measured_and_counted(
    block: NDArray[Any],
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    region: Places,
    saturation: float | None,
) -> tuple[Any, NDArray[np.int64]]:
    return function(block, *arguments), count_pixels(block, region, saturation)


def _measured_and_counted_raw(
    positions: NDArray[np.int64],
    raw: NDArray[Any],
    source: FrameSource,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    region: Places,
    saturation: float | None,
) -> tuple[Any, NDArray[np.int64]]:
    """Measure images less their backgrounds, which hide what was saturated in the raw ones."""
    result, counts = _measured_and_counted(
        source.less_backgrounds(raw, positions, WHOLE), function, arguments, region, saturation=None
    )
    _, counts[1] = count_pixels(raw, region, saturation)
    return result, counts
