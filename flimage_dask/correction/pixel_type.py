"""Frames in the type in which they are stored: whole numbers are rounded and clipped, floats may become infinite."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from .strips import row_strips


def in_type(block: NDArray[Any], dtype: np.dtype[Any]) -> tuple[NDArray[Any], int]:
    """Make whole numbers of frames, if that is what they are to be stored as.

    Parameters
    ----------
    block
        (frame, y, x) or one image (y, x), counts.
    dtype
        Type to store. Frames that are to be floating point, or that it holds exactly, stay as they are.

    Returns
    -------
    block : numpy.ndarray
        Each pixel is the nearest integer, or the end of the type's range that lies nearest; 0 for NaN.
    n_clipped : int
        Pixels out of that range, or NaN.

    Raises
    ------
    ParameterError
        (a ValueError) for masked pixels.

    Examples
    --------
    >>> in_type(np.array([[[-3.0, 1.6, 300.0]]]), np.dtype("uint8"))
    (array([[[  0,   2, 255]]], dtype=uint8), 2)
    """
    if np.ma.is_masked(block):
        raise ParameterError(
            "some pixels are masked, and have no value to store: fill them first, such as with da.ma.filled(array, 0)."
        )
    if dtype.kind not in "iu" or np.can_cast(block.dtype, dtype, "safe"):
        return block, 0
    if block.size == 0:
        return block.astype(dtype), 0
    if block.dtype.kind in "iu":
        return _in_range(block, dtype)
    whole = np.empty(block.shape, dtype)
    strips = row_strips(block.shape[-2:])
    rounded = np.empty((strips[0].stop, block.shape[-1]))
    n_clipped = 0
    frames, targets = (images.reshape(-1, *block.shape[-2:]) for images in (block, whole))
    for frame, target in zip(frames, targets, strict=True):
        for rows in strips:
            strip = np.rint(frame[rows], out=rounded[: rows.stop - rows.start], dtype=np.float64)
            n_clipped += _store(strip, target[rows])
    return whole, n_clipped


def _in_range(block: NDArray[Any], dtype: np.dtype[Any]) -> tuple[NDArray[Any], int]:
    """Clip whole numbers to the range of another type, and count the clipped; float64 does not hold the largest."""
    limits = np.iinfo(block.dtype), np.iinfo(dtype)
    lowest, highest = max(limit.min for limit in limits), min(limit.max for limit in limits)
    n_clipped = np.count_nonzero(block < lowest) + np.count_nonzero(block > highest)
    return np.clip(block, lowest, highest).astype(dtype), int(n_clipped)


def _store(rounded: NDArray[np.float64], target: NDArray[Any]) -> int:
    """Clip rounded pixels, which are overwritten, to the range of a target of whole numbers, and count the clipped."""
    lowest, highest = np.iinfo(target.dtype).min, np.iinfo(target.dtype).max
    # The largest int64 is no float64, but the number after it is.
    smallest, beyond = float(lowest), float(highest) + 1.0
    # Neither holds with a NaN.
    if rounded.min() >= smallest and rounded.max() < beyond:
        np.copyto(target, rounded, casting="unsafe")
        return 0
    below, above = rounded < smallest, rounded >= beyond
    clipped = below | above | np.isnan(rounded)
    rounded[clipped] = 0.0
    np.copyto(target, rounded, casting="unsafe")
    target[below], target[above] = lowest, highest
    return int(np.count_nonzero(clipped))


def contiguous(image: NDArray[Any], dtype: np.dtype[Any]) -> tuple[NDArray[Any], int]:
    """Lay out an image as it is to be stored, and count what only its floating-point type keeps from being finite.

    Parameters
    ----------
    image
        (y, x), counts.
    dtype
        Type to store; an integer type is that of the image already.

    Returns
    -------
    image : numpy.ndarray
        In the order of C. Pixels that are too large are infinite.
    n_clipped : int
        How many became so.

    Examples
    --------
    >>> contiguous(np.array([[1.0, 70_000.0, np.inf]]), np.dtype("float16"))
    (array([[ 1., inf, inf]], dtype=float16), 1)
    """
    try:
        # numpy notices an overflow on the way: only where there is one are the pixels looked at.
        with np.errstate(over="raise"):
            return np.ascontiguousarray(image, dtype), 0
    except FloatingPointError:
        with np.errstate(over="ignore"):
            narrowed = np.ascontiguousarray(image, dtype)
        return narrowed, int(np.count_nonzero(np.isinf(narrowed) & np.isfinite(image)))
