"""What the positive sums of frames need for any background within a band, so that each frame is read once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from .strips import Strips
from .trace import without_non_finite
from .traced_pixels import EVERYWHERE, TracedPixels

# To look for one of them takes an eighth of the time of listing all pixels in the band.
_MOST_WHOLE_NUMBERS = 4


@dataclass(frozen=True)
class Band:
    """A range of counts in which the background is expected to lie.

    Parameters
    ----------
    lo, hi
        Its limits, both included [counts].

    Raises
    ------
    ParameterError
        (a ValueError) unless both are finite and ``lo <= hi``.
    """

    lo: float
    hi: float

    def __post_init__(self) -> None:
        if not -np.inf < self.lo <= self.hi < np.inf:
            raise ParameterError(f"a band needs finite limits lo <= hi, not {self.lo} and {self.hi}.")


@dataclass(frozen=True, eq=False)
class BandSums:
    """What the positive sums of each frame need for any background within a band.

    Parameters
    ----------
    band
        Where the background may lie.
    sums_above
        (frame, region) float64: the positive sum above the band's upper limit [counts].
    n_above
        (frame, region) float64: pixels above the band.
    n_within
        (frame,) int64: different values within the band, counted apart for each region.
    values, counts, regions
        These values of one frame after the other [counts], how often each occurs, and in which region.
    resolved
        (frame,) bool: False where too many values lie within the band, and none was kept.

    Notes
    -----
    For a background b in the band the sum is known exactly:
    ``P(b) = P(hi) + n_above (hi - b) + sum(counts max(values - b, 0))``.
    Sums and numbers of pixels are scaled up for pixels that are not finite; NaN for a region without a finite one.
    """

    band: Band
    sums_above: NDArray[np.float64]
    n_above: NDArray[np.float64]
    n_within: NDArray[np.int64]
    values: NDArray[Any]
    counts: NDArray[np.float64]
    regions: NDArray[np.intp]
    resolved: NDArray[np.bool_]

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Join the sums of consecutive blocks, all made with the same band.

        Raises
        ------
        ParameterError
            (a ValueError) if there is no part, or if parts were made with different bands.
        """
        if len({part.band for part in parts}) != 1:
            raise ParameterError("give at least one part, and only parts made with the same band.")
        return cls(
            parts[0].band,
            np.concatenate([part.sums_above for part in parts]),
            np.concatenate([part.n_above for part in parts]),
            np.concatenate([part.n_within for part in parts]),
            np.concatenate([part.values for part in parts]),
            np.concatenate([part.counts for part in parts]),
            np.concatenate([part.regions for part in parts]),
            np.concatenate([part.resolved for part in parts]),
        )

    def positive_sums(self, background: float) -> NDArray[np.float64] | None:
        """Return the traces for a background, or None if the frames must be read again.

        Parameters
        ----------
        background
            One number for all frames [counts].

        Returns
        -------
        numpy.ndarray or None
            (frame, region) float64 as from `trace.positive_sums`; None if the background lies outside the
            band, or the band of some frame held too many values.
        """
        if not self.band.lo <= background <= self.band.hi or not self.resolved.all():
            return None
        n_frames, n_regions = self.sums_above.shape
        trace_of = np.repeat(np.arange(n_frames) * n_regions, self.n_within) + self.regions
        parts = self.counts * np.maximum(self.values - np.float64(background), 0.0)
        within = np.bincount(trace_of, weights=parts, minlength=n_frames * n_regions).reshape(n_frames, n_regions)
        # numpy counts nothing in integers. In place, because many regions of many frames take much memory.
        sums: NDArray[np.float64] = within.astype(np.float64, copy=False)
        sums += self.sums_above
        sums += self.n_above * (self.band.hi - background)
        return sums


def band_sums(block: NDArray[Any], band: Band, most_values: int, traced: TracedPixels = EVERYWHERE) -> BandSums:
    """Reduce frames to what their positive sums need for any background within a band.

    Parameters
    ----------
    block
        (frame, y, x), counts.
    band
        Where the background will turn out to lie.
    most_values
        Different values to keep for each frame, at most. Of integer counts even a wide band holds few.
    traced
        The pixels of each region.

    Returns
    -------
    BandSums
        Of a size that the numbers of frames, regions and values bound, whatever the frames hold.

    Examples
    --------
    >>> sums = band_sums(np.full((1, 8, 8), 7.0), Band(1.0, 2.0), most_values=1)
    >>> sums.positive_sums(1.5)
    array([[352.]])
    """
    strips = Strips(traced.rows_shape(block.shape[1:]))
    limits = _Limits.of(band, block.dtype)
    frames = [_frame_sums(frame, limits, most_values, traced, strips) for frame in block]
    none = _Within.none(block.dtype)
    kept = [none if frame.within is None else frame.within for frame in frames]
    return BandSums(
        band,
        sums_above=np.array([frame.sums_above for frame in frames]),
        n_above=np.array([frame.n_above for frame in frames]),
        n_within=np.array([len(within.values) for within in kept], np.int64),
        values=np.concatenate([within.values for within in kept]),
        counts=np.concatenate([within.counts for within in kept]),
        regions=np.concatenate([within.regions for within in kept]),
        resolved=np.array([frame.within is not None for frame in frames], np.bool_),
    )


class _Within(NamedTuple):
    """The different values of one frame within the band, how often each occurs, and in which region."""

    values: NDArray[Any]
    counts: NDArray[np.float64]
    regions: NDArray[np.intp]

    @classmethod
    def none(cls, dtype: np.dtype[Any]) -> Self:
        return cls(np.empty(0, dtype), np.empty(0), np.empty(0, np.intp))


class _FrameSums(NamedTuple):
    """What `BandSums` keeps of one frame; `within` is None where it would be too much."""

    sums_above: NDArray[np.float64]
    n_above: NDArray[np.float64]
    within: _Within | None


class _Limits(NamedTuple):
    """A band as pixels of one type are compared with it: ``floor_lo < pixel <= floor_hi``.

    ``x > level`` is ``x > floor``, compared without a float64 copy of the frame.
    """

    hi: np.float64
    floor_lo: Any
    floor_hi: Any
    whole_numbers: NDArray[Any]

    @classmethod
    def of(cls, band: Band, dtype: np.dtype[Any]) -> Self:
        floors = _floor(band.lo, dtype), _floor(band.hi, dtype)
        return cls(np.float64(band.hi), *floors, _whole_numbers(band, dtype))


def _frame_sums(
    frame: NDArray[Any], limits: _Limits, most_values: int, traced: TracedPixels, strips: Strips
) -> _FrameSums:
    finite, scales = without_non_finite(traced.rows_of(frame), traced)
    sums_above = np.zeros(traced.n_regions)
    n_above = np.zeros(traced.n_regions, np.int64)
    n_of_whole = np.zeros((len(limits.whole_numbers), traced.n_regions), np.int64)
    n_within = 0
    for rows, above_hi in strips.above(finite, limits.hi):
        sums_above += traced.sums(strips.positive_part(above_hi).reshape(-1))
        pixels = finite[rows].reshape(-1)
        n_above_here = traced.counts(pixels > limits.floor_hi)
        n_within_here = np.count_nonzero(pixels > limits.floor_lo) - n_above_here.sum()
        if n_within_here:
            for n_of_number, number in zip(n_of_whole, limits.whole_numbers, strict=True):
                n_of_number += traced.counts(pixels == number)
        n_above += n_above_here
        n_within += n_within_here
    # Counts of a camera are whole numbers: to count the few in the band is faster than to find all pixels there.
    if n_of_whole.sum() == n_within:
        within = _of_whole_numbers(limits.whole_numbers, n_of_whole)
    else:
        within = _counted(finite, limits, traced, strips)
    scaled = within._replace(counts=within.counts * scales[within.regions])
    return _FrameSums(scales * sums_above, scales * n_above, scaled if len(within.values) <= most_values else None)


def _of_whole_numbers(numbers: NDArray[Any], counts: NDArray[np.int64]) -> _Within:
    """Return what there is of (number,) values, each of which occurs (number, region) times."""
    regions, places = np.nonzero(counts.T)
    return _Within(numbers[places], counts[places, regions].astype(np.float64), regions)


def _counted(frame: NDArray[Any], limits: _Limits, traced: TracedPixels, strips: Strips) -> _Within:
    """Count how often each value within the band occurs in each region."""
    parts = []
    for rows in strips.rows:
        pixels = frame[rows].reshape(-1)
        places = np.flatnonzero((pixels > limits.floor_lo) ^ (pixels > limits.floor_hi))
        parts.append((pixels.take(places), traced.regions_at(places)))
    values, regions = map(np.concatenate, zip(*parts, strict=True))
    # Many times as fast as sorting by region and value.
    for of_region in np.split(values, np.flatnonzero(np.diff(regions)) + 1):
        of_region.sort()
    starts = np.flatnonzero(np.append(True, (values[1:] != values[:-1]) | (regions[1:] != regions[:-1])))
    return _Within(values[starts], np.diff(starts, append=len(values)).astype(np.float64), regions[starts])


def _whole_numbers(band: Band, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the whole numbers in a band that a pixel can have; none where they are many."""
    first, last = np.floor(band.lo) + 1.0, np.floor(band.hi)
    if last - first >= _MOST_WHOLE_NUMBERS:
        return np.empty(0, dtype)
    numbers = np.arange(first, last + 1.0)
    with np.errstate(over="ignore", invalid="ignore"):
        pixels = numbers.astype(dtype)
    possible: NDArray[Any] = pixels[pixels.astype(np.float64) == numbers]
    return possible


def _floor(level: float, dtype: np.dtype[Any]) -> Any:
    """Return the largest number of a pixel type that is no larger than a level."""
    if dtype.kind != "f":
        return int(np.floor(level))
    rounded = dtype.type(level)
    return rounded if float(rounded) <= level else np.nextafter(rounded, dtype.type(-np.inf))
