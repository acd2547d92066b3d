"""The intensity trace: the sum of what lies above the background, a number a frame and region."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .background import BackgroundValues, frame_backgrounds
from .strips import Strips
from .traced_pixels import EVERYWHERE, TracedPixels


def positive_sums(
    block: NDArray[Any], background: BackgroundValues, traced: TracedPixels = EVERYWHERE
) -> NDArray[np.float64]:
    """Sum the positive part of each frame above its background.

    Parameters
    ----------
    block
        (frame, y, x), counts.
    background
        Counts: a number, (frame,) numbers, or an image (y, x).
    traced
        The pixels of each region.

    Returns
    -------
    numpy.ndarray
        (frame, region) float64, counts. Pixels that are not finite are left out and the sum of the
        others is scaled up to the whole region; NaN for a region without a finite pixel.

    Raises
    ------
    ParameterError
        (a ValueError) if the background does not fit the block.

    Notes
    -----
    ``sum(max(x - b, 0))``, the trace of flimage. Background noise of standard deviation s
    adds ``s / sqrt(2 pi)`` a pixel, which does not bleach.

    Examples
    --------
    >>> positive_sums(np.array([[[0.0, 5.0], [2.0, 3.0]]]), 2.0)
    array([[4.]])
    """
    strips = Strips(traced.rows_shape(block.shape[1:]))
    sums = np.zeros((len(block), traced.n_regions))
    for total, frame, level in zip(sums, block, frame_backgrounds(background, block), strict=True):
        finite, scales = without_non_finite(traced.rows_of(frame), traced)
        for _, above in strips.above(finite, traced.rows_of(level) if np.ndim(level) else level):
            total += traced.sums(strips.positive_part(above).reshape(-1))
        total *= scales
    return sums


def without_non_finite(frame: NDArray[Any], traced: TracedPixels) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Put pixels that are not finite below everything.

    Parameters
    ----------
    frame
        (y, x): the rows of the traced pixels.

    Returns
    -------
    pixels
        Of the shape of the frame.
    scales
        (region,) all pixels of each region over its finite ones; NaN for a region without one.
    """
    # Found four times as fast as by looking at every pixel.
    if frame.dtype.kind != "f" or (np.isfinite(frame.min()) and np.isfinite(frame.max())):
        return frame, np.ones(traced.n_regions)
    is_finite = np.isfinite(frame)
    return np.where(is_finite, frame, frame.dtype.type(-np.inf)), traced.scales(is_finite.reshape(-1))
