"""One background image for all frames: a low percentile of each pixel over time."""

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError


@dataclass(frozen=True)
class TimePercentile:
    """What each pixel shows when nothing bright is there.

    Parameters
    ----------
    percent
        Percentile of each pixel over time.
    most_frames
        A longer series is represented by so many of its frames, evenly spread from the first to the last.

    Raises
    ------
    ParameterError
        (a ValueError) unless the percentile is from 0 to 100 and there is at least one frame.

    Examples
    --------
    >>> TimePercentile(5).sample(1000)[[0, 1, -1]]
    array([  0,   8, 999])
    """

    percent: float = 5.0
    most_frames: int = 128

    def __post_init__(self) -> None:
        if isinstance(self.percent, bool) or not isinstance(self.percent, Real) or not 0 <= self.percent <= 100:
            raise ParameterError(f"percent={self.percent!r} of a background over time must be from 0 to 100.")
        if not isinstance(self.most_frames, Integral) or self.most_frames < 1:
            raise ParameterError(f"most_frames={self.most_frames!r} must be an integer of at least 1.")

    @property
    def in_words(self) -> str:
        """The background, for people."""
        return f"percentile {self.percent:g} of each pixel over time ({self.most_frames} frames at most)"

    def sample(self, n_frames: int) -> NDArray[np.int64]:
        """Choose the frames (m,) that represent a series."""
        n_chosen = min(n_frames, self.most_frames)
        return np.linspace(0, n_frames - 1, n_chosen).round().astype(np.int64)

    def image(self, stack: NDArray[Any]) -> NDArray[np.float64]:
        """Find the percentile of each pixel of some frames, or of some rows of them.

        Parameters
        ----------
        stack
            (frame, y, x), counts. It is overwritten.

        Returns
        -------
        numpy.ndarray
            (y, x) float64 [counts]. Values that are not finite are left out; a pixel with no other one has 0.

        Examples
        --------
        >>> TimePercentile(25).image(np.array([[[4.0]], [[2.0]], [[np.nan]], [[8.0]]]))
        array([[3.]])
        """
        if np.isfinite(stack).all():
            return np.asarray(np.percentile(stack, self.percent, axis=0, overwrite_input=True), np.float64)
        stack[~np.isfinite(stack)] = np.nan
        nothing = np.isnan(stack).all(axis=0)
        stack[0, nothing] = 0.0
        return np.asarray(np.nanpercentile(stack, self.percent, axis=0, overwrite_input=True), np.float64)
