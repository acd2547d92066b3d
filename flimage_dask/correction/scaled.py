"""A trace without units and in the order of time, as fits need it."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Traces of more frames are condensed for the search of a start.
MANY_FRAMES = 4096
#: The first frames, which alone show fast decays, stay single; further on, a mean stands for frames that
#: a 500th of the time so far spans, over which no curve that is still decaying changes much.
SINGLE_FRAMES, FRAMES_PER_MEAN = 1024, 500


@dataclass(frozen=True, eq=False)
class ScaledTrace:
    """A trace whose times are counted in its span and whose intensities in its largest value.

    Parameters
    ----------
    tau
        (n,) times since the earliest frame, ascending, from 0 to 1.
    intensity
        (n,) at most 1 in absolute value.
    weights
        (n,) of the squared residuals.
    order
        (n,) positions of these frames in the trace they were made from.
    start, span
        Time of the earliest frame and time to the latest one, in the unit of the times.
    largest
        The largest intensity [counts].
    """

    tau: Array
    intensity: Array
    weights: Array
    order: NDArray[np.intp]
    start: float
    span: float
    largest: float

    @classmethod
    def of(cls, times: Array, trace: Array, weights: Array | None = None) -> Self:
        """Scale a trace.

        Parameters
        ----------
        times
            (n,) finite, in any order and unit, not all equal.
        trace
            (n,) finite, counts.
        weights
            (n,) not negative; None weights all frames alike.
        """
        # Sums in one order, whichever order the frames come in: a permuted series gets the same bits.
        order = np.lexsort((trace, times))
        start, span = float(times[order[0]]), float(np.ptp(times))
        largest = float(np.abs(trace).max()) or 1.0
        weights = np.ones(len(trace)) if weights is None else weights[order]
        return cls((times[order] - start) / span, trace[order] / largest, weights, order, start, span, largest)

    @property
    def shortest_step(self) -> float:
        """The shortest time between two frames that do not coincide, in spans."""
        steps = np.diff(self.tau)
        return float(steps[steps > 0.0].min())

    def condensed(self) -> Self:
        """Replace the later frames of a long trace by means of neighbours, so that it can be searched fast."""
        n = len(self.tau)
        if n <= MANY_FRAMES:
            return self
        n_means = int(np.log(n / SINGLE_FRAMES) * FRAMES_PER_MEAN)
        later = np.geomspace(SINGLE_FRAMES, n, n_means, endpoint=False).astype(np.intp)
        first = np.unique(np.concatenate([np.arange(SINGLE_FRAMES), later]))
        weights = np.add.reduceat(self.weights, first)
        divisor = np.where(weights > 0.0, weights, 1.0)
        tau, intensity = (
            np.add.reduceat(self.weights * values, first) / divisor for values in (self.tau, self.intensity)
        )
        return type(self)(tau, intensity, weights, first, self.start, self.span, self.largest)

    def unsorted(self, values: Array) -> Array:
        """Put values that follow the order of time back to where the frames came from."""
        result = np.empty_like(values)
        result[self.order] = values
        return result
