"""Traces of a lazy series other than flimage's, in one pass over the frames where that is enough."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..correction.background import BackgroundValues, border_means, mean_background
from ..correction.intensity import POSITIVE_SUM, Places, intensities
from ..correction.levels import FrameLevels
from ..correction.preparation import KnownLevel, is_constant
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
