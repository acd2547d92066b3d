"""Frames in the type in which they are stored: whole numbers are rounded and clipped, floats may become infinite."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def in_type(block: NDArray[Any], dtype: np.dtype[Any]) -> tuple[NDArray[Any], int]:
    """Make whole numbers of frames, if that is what they are to be stored as.

    Parameters
    ----------
    block
        (frame, y, x), counts.
    dtype
        Type to store. Frames that are to be floating point, or that it holds exactly, stay as they are.

    Returns
    -------
    block : numpy.ndarray
        Each pixel is the nearest integer, or the end of the type's range that lies nearest; 0 for NaN.
    n_clipped : int
        Pixels out of that range, or NaN.

    Examples
    --------
    >>> in_type(np.array([[[-3.0, 1.6, 300.0]]]), np.dtype("uint8"))
    (array([[[  0,   2, 255]]], dtype=uint8), 2)
    """
    if dtype.kind not in "iu" or np.can_cast(block.dtype, dtype, "safe"):
        return block, 0
    rounded = np.rint(block, dtype=np.float64)
    lowest, highest = np.iinfo(dtype).min, np.iinfo(dtype).max
    # The largest int64 is no float64, but the number after it is.
    below, above = rounded < float(lowest), rounded >= float(highest) + 1.0
    clipped = below | above | np.isnan(rounded)
    n_clipped = int(np.count_nonzero(clipped))
    if n_clipped == 0:
        return rounded.astype(dtype), 0
    whole = np.where(clipped, 0.0, rounded).astype(dtype)
    whole[below], whole[above] = lowest, highest
    return whole, n_clipped


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
