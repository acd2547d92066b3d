"""From the factors of frames to corrected frames."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ParameterError
from .background import BackgroundValues, frame_backgrounds
from .strips import Strips


def correct(
    block: NDArray[Any], background: BackgroundValues, factors: ArrayLike, shifts: ArrayLike | None = None
) -> NDArray[Any]:
    """Subtract the background of frames, multiply them with their factors, and add what is to be added.

    Parameters
    ----------
    block
        (frame, y, x), counts. Pixels that are not finite stay as they are.
    background
        Counts: a number, (frame,) numbers, or an image (y, x).
    factors
        (frame,) correction factors.
    shifts
        (frame,) counts that are added to each pixel; None adds nothing.

    Returns
    -------
    numpy.ndarray
        (frame, y, x), counts: ``(block - background) * factors + shifts``, computed in float64 and
        rounded once to float32, or to float64 for pixels of 32-bit integers and wider types.

    Raises
    ------
    ParameterError
        (a ValueError) if background or factors do not fit the block.

    Examples
    --------
    >>> correct(np.array([[[5, 7]]], np.uint8), 2.0, [1.5])
    array([[[4.5, 7.5]]], dtype=float32)
    """
    factors = np.asarray(factors, np.float64)
    if factors.shape != block.shape[:1]:
        raise ParameterError(f"{len(block)} frames need as many factors, not an array {factors.shape}.")
    added = np.zeros_like(factors) if shifts is None else np.asarray(shifts, np.float64)
    corrected = np.empty(block.shape, np.result_type(block.dtype, np.float32))
    strips = Strips.of(block)
    levels = frame_backgrounds(background, block)
    for frame, level, factor, shift, target in zip(block, levels, factors, added, corrected, strict=True):
        for rows, above in strips.above(frame, level):
            np.multiply(above, factor, out=above)
            if shift != 0.0:
                np.add(above, shift, out=above)
            np.copyto(target[rows], above, casting="same_kind")
    return corrected
