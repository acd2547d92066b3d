"""The intensity of frames: one number for all of their pixels, for those of a mask, or for each region."""

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ParameterError
from .background import BackgroundValues, frame_backgrounds
from .regions import checked_mask, mask_in_words
from .trace import positive_sums
from .traced_pixels import EVERYWHERE, TracedPixels

POSITIVE_SUM = "positive_sum"
#: Statistics that move with the background: ``statistic(x - b) = statistic(x) - b``.
MEAN, MEDIAN, PERCENTILE = "mean", "median", "percentile-"


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
    def pixels(self) -> TracedPixels:
        """The pixels that count."""
        return EVERYWHERE if self.mask is None else TracedPixels.of_mask(np.asarray(self.mask))

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
    block: NDArray[Any], background: BackgroundValues, statistic: str, traced: TracedPixels
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
    traced
        The pixels of each region.

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
    >>> frames = np.array([[[1.0, 5.0], [2.0, np.nan]]])
    >>> intensities(frames, 1.0, "mean", TracedPixels.of_labels([[3, 4], [4, 4]]))
    array([[0. , 2.5]])
    """
    if statistic == POSITIVE_SUM:
        return positive_sums(block, background, traced)
    measure = _means if statistic == MEAN else _each_by(statistic_named(statistic))
    found = np.empty((len(block), traced.n_regions))
    for row, frame, level in zip(found, block, frame_backgrounds(background, block), strict=True):
        above = np.subtract(traced.of(frame), traced.of(level) if np.ndim(level) else level, dtype=np.float64)
        row[:] = measure(above, np.isfinite(above), traced)
    return found


def _means(above: NDArray[np.float64], is_finite: NDArray[np.bool_], traced: TracedPixels) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return traced.sums(np.where(is_finite, above, 0.0)) / traced.counts(is_finite)


def _each_by(statistic: Callable[[NDArray[np.float64]], Any]) -> Callable[..., Any]:
    def measure(above: NDArray[np.float64], is_finite: NDArray[np.bool_], traced: TracedPixels) -> list[Any]:
        regions = zip(traced.apart(above), traced.apart(is_finite), strict=True)
        return [statistic(pixels[finite]) if finite.any() else np.nan for pixels, finite in regions]

    return measure
