"""The correction as a user of numpy writes it, for the peers that have none of their own."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flimage_dask.correction.bleaching import estimate_bleaching

BORDER_PX = 20


def border_means(frames: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean of the border of each frame (frame, y, x)."""
    border = np.ones(frames.shape[1:], bool)
    border[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX] = False
    return frames[:, border].mean(axis=1, dtype=np.float64)


def positive_sums(frames: NDArray[Any], background: float) -> NDArray[np.float64]:
    """Return the sum of what lies above a background, for each frame (frame, y, x)."""
    return np.maximum(frames - np.float64(background), 0.0).sum(axis=(1, 2))


def factors(times: NDArray[np.float64], trace: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit the decay of a trace and return a factor for each frame."""
    return estimate_bleaching(times, trace, background=0.0).factors


def correct(frames: NDArray[Any], background: float, factor: NDArray[np.float64]) -> NDArray[np.float32]:
    """Subtract the background and multiply each frame (frame, y, x) by its factor."""
    return ((frames - np.float64(background)) * factor.reshape(-1, 1, 1)).astype(np.float32)
