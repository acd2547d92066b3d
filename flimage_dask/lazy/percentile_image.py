"""One background image of a series from what its pixels show over time, in bounded memory."""

from collections.abc import Callable
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from ..correction.over_time import TimePercentile
from ..correction.preparation import KnownLevel, Level
from ..correction.strips import row_strips
from .block_runner import BlockRunner
from .frame_source import FrameSource


def known_level(source: FrameSource, background: Level, runner: BlockRunner) -> KnownLevel:
    """Return a background, which is found in the frames of a series if it is their percentile over time."""
    if not isinstance(background, TimePercentile):
        return background
    chosen, quiet = source.take(background.sample(len(source.index.frames))), runner.quietly()
    return image_over_time(quiet.lazy(chosen), background, partial(quiet.measure_lazy, chosen), runner.stack_bytes)


def image_over_time(
    fl: da.Array, percentile: TimePercentile, measure_blocks: Callable[..., list[Any]], stack_bytes: int
) -> NDArray[np.float64]:
    """Find the percentile of each pixel over time.

    Parameters
    ----------
    fl
        The frames that represent the series (frame, y, x) [counts].
    percentile
        Which one.
    measure_blocks
        Applies a function to each block; see `block_runner.BlockRunner`.
    stack_bytes
        Size of the pixels that are in memory at a time, about twice over.

    Returns
    -------
    numpy.ndarray
        (y, x) float64 [counts].

    Notes
    -----
    As many rows of all frames as fit are read at a time: frames that do not fit all together are read several
    times. The rows do not change the result.
    """
    n_frames, height, width = fl.shape
    image = np.empty((height, width))
    for rows in row_strips((height, width), stack_bytes // (n_frames * width * fl.dtype.itemsize)):
        image[rows] = percentile.image(np.concatenate(measure_blocks(fl[:, rows], np.asarray)))
    return image
