"""What the pixels of a lazy series are worth, counted while something else is measured."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..correction.intensity import TraceOptions
from ..correction.pixels import PixelCounts, count_pixels
from ..correction.traced_pixels import TracedPixels
from ..hdf5.reader import WHOLE
from .block_runner import BlockRunner
from .frame_source import FrameSource


class CountingRunner:
    """A runner that counts the pixels of a series on the way.

    Parameters
    ----------
    runner
        Does the work.
    options
        Which pixels count, and from which counts they are saturated.
    """

    def __init__(self, runner: BlockRunner, options: TraceOptions) -> None:
        self.on_frames = runner.on_frames
        self._runner = runner
        self._options = options
        self.counted: PixelCounts | None = None

    def measure(self, source: FrameSource, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Return the results of a function in the order of the frames, and keep what was counted the first time."""
        if self.counted is not None:
            return self._runner.measure(source, function, *arguments)
        traced, saturation = self._options.pixels, _saturation_of(source, self._options)
        how = function, arguments, traced, saturation
        if source.index.backgrounds and source.preparation is None:
            pairs = self._runner.measure_raw(source, _measured_and_counted_raw, source, *how)
        else:
            pairs = self._runner.measure(source, _measured_and_counted, *how)
        n_finite, n_saturated = np.concatenate([counts for _, counts in pairs], axis=1)
        height, width = traced.rows_shape(source.index.frames.shape)
        self.counted = PixelCounts(height * width, n_finite, n_saturated, saturation)
        return [result for result, _ in pairs]

    def quietly(self) -> BlockRunner:
        """Return a runner that counts neither frames nor pixels."""
        return self._runner.quietly()


def _saturation_of(source: FrameSource, options: TraceOptions) -> float | None:
    """Return the counts from which a raw pixel is saturated; None where that is not known.

    What was prepared as it was read hides what was saturated.
    """
    if source.preparation is not None:
        return None
    if options.saturation is not None:
        return options.saturation
    return float(np.iinfo(source.raw_dtype).max) if source.raw_dtype.kind in "iu" else None


def _measured_and_counted(
    block: NDArray[Any],
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    traced: TracedPixels,
    saturation: float | None,
) -> tuple[Any, NDArray[np.int64]]:
    return function(block, *arguments), count_pixels(block, traced, saturation)


def _measured_and_counted_raw(
    positions: NDArray[np.int64],
    raw: NDArray[Any],
    source: FrameSource,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    traced: TracedPixels,
    saturation: float | None,
) -> tuple[Any, NDArray[np.int64]]:
    """Measure images less their backgrounds, which hide what was saturated in the raw ones."""
    result, counts = _measured_and_counted(
        source.less_backgrounds(raw, positions, WHOLE), function, arguments, traced, saturation=None
    )
    _, counts[1] = count_pixels(raw, traced, saturation)
    return result, counts
