"""The intensity of frames: one number for all of their pixels, for those of a mask, or for each region."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ParameterError
from .background import BackgroundValues, frame_backgrounds
from .regions import checked_mask, mask_in_words
from .trace import positive_sums

POSITIVE_SUM = "positive_sum"
#: Statistics that move with the background: ``statistic(x - b) = statistic(x) - b``.
MEAN, MEDIAN, PERCENTILE = "mean", "median", "percentile-"

#: Places of pixels in a flattened frame; None for all of them.
Places: TypeAlias = NDArray[np.intp] | None


@dataclass(frozen=True, eq=False)
class TraceOptions:
    """How the intensity of a frame is found.

    Parameters
    ----------
    statistic
        "positive_sum" (flimage's), "mean", "median", or a percentile such as "percentile-90".
    mask
        (y, x) bool, True for the pixels that count. None takes all.
    saturation
        Counts from which a pixel is saturated; None takes the largest number of an integer type.

    Raises
    ------
    ParameterError
        (a ValueError) if there is no such statistic, or `mask` is no image or marks no pixel, or
        `saturation` is not finite.

    Examples
    --------
    >>> TraceOptions("median", mask=[[True, False]]).in_words
    'median of a mask of 1 px'
    """

    statistic: str = POSITIVE_SUM
    mask: ArrayLike | None = None
    saturation: float | None = None

    def __post_init__(self) -> None:
        check_statistic(self.statistic)
        if self.saturation is not None and not (isinstance(self.saturation, Real) and np.isfinite(self.saturation)):
            raise ParameterError(f"saturation={self.saturation!r} must be a finite number of counts, or None.")
        if self.mask is not None:
            object.__setattr__(self, "mask", checked_mask(self.mask, "mask="))

    @property
    def region(self) -> Places:
        """Places of the pixels that count, in a flattened frame; None for all."""
        return None if self.mask is None else np.flatnonzero(self.mask)

    def n_summed(self, frame_shape: tuple[int, ...]) -> int:
        """Return how many pixels the trace sums over; 1 for statistics that are no sum."""
        if self.statistic != POSITIVE_SUM:
            return 1
        return int(np.prod(frame_shape) if self.mask is None else np.count_nonzero(self.mask))

    @property
    def in_words(self) -> str:
        """The trace, for people."""
        where = "" if self.mask is None else f" of {mask_in_words(np.asarray(self.mask))}"
        return f"{self.statistic}{where}"

    def check_shape(self, frame_shape: tuple[int, int]) -> None:
        """Refuse a mask of another shape than that of the frames."""
        if self.mask is not None and np.shape(self.mask) != frame_shape:
            raise ParameterError(f"mask= has shape {np.shape(self.mask)}; the frames have {frame_shape}.")


def check_statistic(name: str) -> None:
    """Refuse the name of a trace that there is not.

    Raises
    ------
    ParameterError
        (a ValueError) that names those there are.
    """
    if name != POSITIVE_SUM:
        statistic_named(name)


def statistic_named(name: str) -> Callable[[NDArray[np.float64]], Any]:
    """Return a statistic of finite pixels (n,) that moves with the background.

    Raises
    ------
    ParameterError
        (a ValueError) if there is none of that name.

    Examples
    --------
    >>> statistic_named("percentile-75")(np.arange(5.0))
    np.float64(3.0)
    """
    if name in (MEAN, MEDIAN):
        return np.mean if name == MEAN else np.median
    try:
        share = float(name.removeprefix(PERCENTILE)) if name.startswith(PERCENTILE) else np.nan
    except (AttributeError, ValueError):
        share = np.nan
    if not 0.0 <= share <= 100.0:
        raise ParameterError(
            f"trace={name!r}: give 'positive_sum', 'mean', 'median', or a percentile such as 'percentile-90'."
        )
    return lambda pixels: np.percentile(pixels, share)


def intensities(
    block: NDArray[Any], background: BackgroundValues, statistic: str, regions: Sequence[Places]
) -> NDArray[np.float64]:
    """Measure the intensity of each frame above its background, in each of some regions.

    Parameters
    ----------
    block
        (frame, y, x), counts.
    background
        Counts: a number, (frame,) numbers, or an image (y, x).
    statistic
        See `TraceOptions`.
    regions
        Places of the pixels of each region in a flattened frame; None for all pixels.

    Returns
    -------
    numpy.ndarray
        (frame, region) float64, counts. Pixels that are not finite are left out; NaN for a region
        without a finite one. A sum is scaled up to all pixels of the region.

    Raises
    ------
    ParameterError
        (a ValueError) if the background does not fit the block.

    Examples
    --------
    >>> intensities(np.array([[[1.0, 5.0], [2.0, np.nan]]]), 1.0, "mean", [None, np.array([0, 1])])
    array([[1.66666667, 2.        ]])
    """
    levels = frame_backgrounds(background, block)
    is_sum = statistic == POSITIVE_SUM
    if is_sum and all(region is None for region in regions):
        return np.tile(positive_sums(block, background)[:, np.newaxis], len(regions))
    measure = _positive_sum if is_sum else statistic_named(statistic)
    found = np.full((len(block), len(regions)), np.nan)
    for row, frame, level in zip(found, block, levels, strict=True):
        above = np.subtract(frame, level, dtype=np.float64).reshape(-1)
        for place, region in enumerate(regions):
            pixels = above if region is None else above[region]
            finite = pixels[np.isfinite(pixels)]
            if finite.size:
                row[place] = measure(finite) * (pixels.size / finite.size if is_sum else 1.0)
    return found


def _positive_sum(pixels: NDArray[np.float64]) -> float:
    return float(np.maximum(pixels, 0.0).sum())


def pixels_of(block: NDArray[Any], region: Places) -> NDArray[Any]:
    """Return the pixels of a region of each frame (frame, y, x) as an image of one row; all of them as they are."""
    return block if region is None else block.reshape(len(block), -1)[:, np.newaxis, region]


def regions_of(labels: ArrayLike) -> list[Places]:
    """Return the pixels of each label of an image, in the order of the labels; 0 is no label.

    Parameters
    ----------
    labels
        (y, x) integers or bool.

    Raises
    ------
    ParameterError
        (a ValueError) if it is no such image, or holds no label.

    Examples
    --------
    >>> [region.tolist() for region in regions_of([[0, 2], [1, 2]])]
    [[2], [1, 3]]
    """
    image = np.asarray(labels)
    if image.ndim != 2 or image.dtype.kind not in "biu" or not image.any():
        raise ParameterError(
            f"labels= has shape {image.shape} and type {image.dtype}: give an image (y, x) of integers, in which "
            f"0 is no label and at least one pixel has one."
        )
    flat = image.reshape(-1)
    return [np.flatnonzero(flat == label) for label in np.unique(flat[flat != 0])]
