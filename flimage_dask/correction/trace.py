"""The intensity trace: the sum of what lies above the background, a number a frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from .background import BackgroundValues, frame_backgrounds
from .strips import Strips


def positive_sums(block: NDArray[Any], background: BackgroundValues) -> NDArray[np.float64]:
    """Sum the positive part of each frame above its background.

    Parameters
    ----------
    block
        (frame, y, x), counts.
    background
        Counts: a number, (frame,) numbers, or an image (y, x).

    Returns
    -------
    numpy.ndarray
        (frame,) float64, counts. Pixels that are not finite are left out and the sum of the
        others is scaled up to the whole frame; NaN for a frame without a finite pixel.

    Raises
    ------
    ParameterError
        (a ValueError) if the background does not fit the block.

    Notes
    -----
    ``sum(max(x - b, 0))``, the trace of flimage. Background noise of standard deviation s
    adds ``s / sqrt(2 pi)`` a pixel, which does not bleach.

    Examples
    --------
    >>> positive_sums(np.array([[[0.0, 5.0], [2.0, 3.0]]]), 2.0)
    array([4.])
    """
    strips = Strips.of(block)
    levels = frame_backgrounds(background, block)
    return np.array([_positive_sum(frame, level, strips) for frame, level in zip(block, levels, strict=True)], float)


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
    """What the positive sum of each frame needs for any background within a band.

    Parameters
    ----------
    band
        Where the background may lie.
    sums_above
        (frame,) float64: the positive sum above the band's upper limit [counts].
    n_above
        (frame,) int64: pixels above the band.
    scales
        (frame,) float64: all pixels of the frame over its finite ones; NaN where there is none.
    n_within
        (frame,) int64: different values within the band.
    values, counts
        The values within the band of one frame after the other [counts], and how often each occurs.
    resolved
        (frame,) bool: False where too many values lie within the band, and none was kept.

    Notes
    -----
    For a background b in the band the sum is known exactly:
    ``P(b) = P(hi) + n_above (hi - b) + sum(counts max(values - b, 0))``.
    """

    band: Band
    sums_above: NDArray[np.float64]
    n_above: NDArray[np.int64]
    scales: NDArray[np.float64]
    n_within: NDArray[np.int64]
    values: NDArray[Any]
    counts: NDArray[np.int64]
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
            np.concatenate([part.scales for part in parts]),
            np.concatenate([part.n_within for part in parts]),
            np.concatenate([part.values for part in parts]),
            np.concatenate([part.counts for part in parts]),
            np.concatenate([part.resolved for part in parts]),
        )

    def positive_sums(self, background: float) -> NDArray[np.float64] | None:
        """Return the trace for a background, or None if the frames must be read again.

        Parameters
        ----------
        background
            One number for all frames [counts].

        Returns
        -------
        numpy.ndarray or None
            (frame,) float64 as from `positive_sums`; None if the background lies outside the
            band, or the band of some frame held too many values.
        """
        if not self.band.lo <= background <= self.band.hi or not self.resolved.all():
            return None
        parts = self.counts * np.maximum(self.values - np.float64(background), 0.0)
        frame_of = np.repeat(np.arange(len(self.n_within)), self.n_within)
        sums_within = np.bincount(frame_of, weights=parts, minlength=len(self.n_within))
        sums: NDArray[np.float64] = self.sums_above + self.n_above * (self.band.hi - background) + sums_within
        return self.scales * sums


def band_sums(block: NDArray[Any], band: Band, most_values: int) -> BandSums:
    """Reduce frames to what their positive sums need for any background within a band.

    Parameters
    ----------
    block
        (frame, y, x), counts.
    band
        Where the background will turn out to lie.
    most_values
        Different values to keep for each frame, at most. Of integer counts even a wide band holds few.

    Returns
    -------
    BandSums
        Of bounded size, whatever the frames hold.

    Examples
    --------
    >>> sums = band_sums(np.full((1, 8, 8), 7.0), Band(1.0, 2.0), most_values=1)
    >>> sums.positive_sums(1.5)
    array([352.])
    """
    strips = Strips.of(block)
    floors = _floor(band.lo, block.dtype), _floor(band.hi, block.dtype)
    frames = [_band_sum(frame, band, floors, most_values, strips) for frame in block]
    nothing = _Within(np.empty(0, block.dtype), np.empty(0, np.int64))
    kept = [nothing if frame.within is None else frame.within for frame in frames]
    return BandSums(
        band,
        sums_above=np.array([frame.sum_above for frame in frames], np.float64),
        n_above=np.array([frame.n_above for frame in frames], np.int64),
        scales=np.array([frame.scale for frame in frames], np.float64),
        n_within=np.array([len(within.values) for within in kept], np.int64),
        values=np.concatenate([nothing.values, *(within.values for within in kept)]),
        counts=np.concatenate([nothing.counts, *(within.counts for within in kept)]),
        resolved=np.array([frame.within is not None for frame in frames], np.bool_),
    )


def _positive_sum(frame: NDArray[Any], level: Any, strips: Strips) -> float:
    finite, scale = _without_non_finite(frame)
    return scale * sum(float(strips.positive_part(above).sum()) for _, above in strips.above(finite, level))


class _Within(NamedTuple):
    """The different values of one frame within the band, and how often each occurs."""

    values: NDArray[Any]
    counts: NDArray[np.int64]


class _FrameSums(NamedTuple):
    """What `BandSums` keeps of one frame; `within` is None where it would be too much."""

    sum_above: float
    n_above: int
    scale: float
    within: _Within | None


def _band_sum(frame: NDArray[Any], band: Band, floors: tuple[Any, Any], most_values: int, strips: Strips) -> _FrameSums:
    floor_lo, floor_hi = floors
    finite, scale = _without_non_finite(frame)
    sum_above = 0.0
    n_above = 0
    kept = []
    for rows, above_hi in strips.above(finite, np.float64(band.hi)):
        sum_above += strips.positive_part(above_hi).sum()
        pixels = finite[rows]
        is_above, is_above_lo = pixels > floor_hi, pixels > floor_lo
        n_above_here = int(np.count_nonzero(is_above))
        n_above += n_above_here
        if np.count_nonzero(is_above_lo) > n_above_here:
            kept.append(pixels.take(np.flatnonzero(is_above_lo ^ is_above)))
    return _FrameSums(sum_above, n_above, scale, _counted(kept, most_values, frame.dtype))


def _counted(parts: list[NDArray[Any]], most_values: int, dtype: np.dtype[Any]) -> _Within | None:
    """Count how often each value occurs, unless there are too many."""
    if not parts:
        return _Within(np.empty(0, dtype), np.empty(0, np.int64))
    values, counts = np.unique(np.concatenate(parts), return_counts=True)
    return _Within(values, counts) if len(values) <= most_values else None


def _without_non_finite(frame: NDArray[Any]) -> tuple[NDArray[Any], float]:
    """Put pixels that are not finite below everything; return all pixels over the finite ones (NaN for none)."""
    # Found four times as fast as by looking at every pixel.
    if frame.dtype.kind != "f" or (np.isfinite(frame.min()) and np.isfinite(frame.max())):
        return frame, 1.0
    finite = np.isfinite(frame)
    n_finite = np.count_nonzero(finite)
    lowest = frame.dtype.type(-np.inf)
    return np.where(finite, frame, lowest), frame.size / n_finite if n_finite else np.nan


def _floor(level: float, dtype: np.dtype[Any]) -> Any:
    """Return the largest number of a pixel type that is no larger than a level.

    ``x > level`` is then ``x > floor``, compared without a float64 copy of the frame.
    """
    if dtype.kind != "f":
        return int(np.floor(level))
    rounded = dtype.type(level)
    return rounded if float(rounded) <= level else np.nextafter(rounded, dtype.type(-np.inf))
