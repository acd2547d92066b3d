"""Whether two series hold the same values."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import data


def largest_difference(one: Path, other: Path) -> float:
    """Return the largest difference of two series, in steps from one float32 to the next at each pixel."""
    pairs = zip(data.frames_of(one), data.frames_of(other), strict=True)
    return max(float(_steps(mine, its).max()) for mine, its in pairs)


def same_bits(one: Path, other: Path) -> bool:
    """Tell whether all pixels of two series are the same to the last bit."""
    pairs = zip(data.frames_of(one), data.frames_of(other), strict=True)
    return all(mine.tobytes() == its.tobytes() for mine, its in pairs)


def _steps(mine: NDArray[np.float32], its: NDArray[np.float32]) -> NDArray[np.float64]:
    step = np.spacing(np.maximum(np.abs(mine), np.abs(its)))
    return np.abs(mine.astype(np.float64) - its) / step
