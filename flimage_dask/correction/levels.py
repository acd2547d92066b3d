"""One number for the background of each frame, from those of its pixels that show background."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from .background import border_means
from .intensity import MEAN, MEDIAN, statistic_named
from .regions import BORDER, Region, checked_region, region_in_words, region_mask

MODE = "mode"


@dataclass(frozen=True, eq=False)
class FrameBackground:
    """One number for each frame, from its pixels that show background.

    Parameters
    ----------
    statistic
        "mean"; "median"; "mode", the fullest of sqrt(n) bins; or a percentile such as "percentile-10".
    region
        Where the frame shows background: "border" (its width is the `border_px` of whoever takes the
        background), "frame", or a mask (y, x) of bool.

    Raises
    ------
    ParameterError
        (a ValueError) if there is no such statistic or region.

    Examples
    --------
    >>> levels = FrameBackground("median", region="frame").on((1, 4), border_px=1)
    >>> levels.of(np.array([[[1.0, 3.0, 4.0, 900.0]]]))
    array([3.5])
    """

    statistic: str = MEAN
    region: Region = BORDER

    def __post_init__(self) -> None:
        _check_statistic(self.statistic)
        object.__setattr__(self, "region", checked_region(self.region))

    def on(self, frame_shape: tuple[int, int], border_px: int) -> "FrameLevels":
        """Prepare the background of frames of a shape.

        Raises
        ------
        ParameterError
            (a ValueError) if the region does not fit the frames.
        """
        region = checked_region(self.region)
        mask = region_mask(region, frame_shape, border_px)
        is_border = isinstance(region, str) and region == BORDER
        return FrameLevels(self.statistic, mask, border_px if is_border else None, region_in_words(region, border_px))


@dataclass(frozen=True, eq=False)
class FrameLevels:
    """The background of each frame as one number.

    Parameters
    ----------
    statistic
        See `FrameBackground`.
    mask
        (y, x) bool, the pixels that count.
    border_px
        Width of the border, if they are one [px].
    where
        The region, for people.
    """

    statistic: str
    mask: NDArray[np.bool_]
    border_px: int | None
    where: str

    @property
    def in_words(self) -> str:
        """The background, for people."""
        return f"{self.statistic} of each frame, {self.where}"

    def of(self, block: NDArray[Any]) -> NDArray[np.float64]:
        """Find the background of each frame of a block (frame, y, x) [counts].

        Returns
        -------
        numpy.ndarray
            (frame,) float64 [counts]; NaN for a frame without a finite pixel in the region.
        """
        if self.statistic == MEAN and self.border_px is not None:
            return border_means(block, self.border_px)
        measure = fullest_bin if self.statistic == MODE else statistic_named(self.statistic)
        places = np.flatnonzero(self.mask)
        levels = np.full(len(block), np.nan)
        for position, frame in enumerate(block):
            pixels = frame.reshape(-1)[places].astype(np.float64)
            finite = pixels[np.isfinite(pixels)]
            if finite.size:
                levels[position] = measure(finite)
        return levels


def fullest_bin(values: NDArray[np.float64]) -> float:
    """Return the middle of the fullest of ``sqrt(n)`` bins of some values (n,), the mode of qpimage.

    Examples
    --------
    >>> fullest_bin(np.array([0.0, 1.0, 1.1, 4.0]))
    1.0
    """
    low, high = float(values.min()), float(values.max())
    if low == high:
        return low
    # A density, because its rounding is what decides in qpimage between bins that are equally full.
    density, edges = np.histogram(values, int(np.ceil(np.sqrt(values.size))), (low, high), density=True)
    fullest = int(np.argmax(density))
    return float((edges[fullest] + edges[fullest + 1]) / 2)


def _check_statistic(name: str) -> None:
    if name == MODE:
        return
    try:
        statistic_named(name)
    except ParameterError as error:
        raise ParameterError(
            f"statistic={name!r} of a background: give '{MEAN}', '{MEDIAN}', '{MODE}', or a percentile such as "
            f"'percentile-10'."
        ) from error
