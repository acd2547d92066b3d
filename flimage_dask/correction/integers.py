"""Frames as whole numbers: rounded, and clipped to what their type can hold."""

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
