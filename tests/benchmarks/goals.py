"""The goals, as data, and whether a figure meets its goal."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from .findings import Findings

Verdict: TypeAlias = Literal["met", "missed", "not measured"]


@dataclass(frozen=True)
class Goal:
    """What a figure should be.

    Parameters
    ----------
    key
        The name under which experiments report the figure.
    text
        What the figure is, for a reader.
    relation, limit
        The figure must be at least, or at most, this.
    unit
        Of figure and limit; "x" for a ratio of times.
    """

    key: str
    text: str
    relation: Literal[">=", "<="]
    limit: float
    unit: str = ""

    def verdict(self, findings: Findings) -> Verdict:
        """Compare the median of a figure with the goal."""
        if self.key not in findings.values:
            return "not measured"
        median = findings.values[self.key].turns.median
        is_met = median >= self.limit if self.relation == ">=" else median <= self.limit
        return "met" if is_met else "missed"


def _both(key: str, text: str, relation: Literal[">=", "<="], integer: float, real: float) -> tuple[Goal, Goal]:
    """Return the goals of one ratio for both kinds of data."""
    return (
        Goal(key.format("integer"), f"{text}, integer", relation, integer, "x"),
        Goal(key.format("float"), f"{text}, float", relation, real, "x"),
    )


_JOB = "whole job, 200 frames of 512 x 512: speed against"
_OVERHEAD = "beyond the codec, a frame of 64 x 64:"
_OPENING = "opening 100,000 frames:"
_LAZY = "20,000 frames of 64 x 64 against 2,000, time a frame:"

#: Issues 4 and 5, in the order of a reader's interest.
GOALS: tuple[Goal, ...] = (
    *_both("job.{}.flimage", f"{_JOB} flimage 0.3.3", ">=", 50, 30),
    *_both("job.{}.dask", f"{_JOB} the dask script", ">=", 6, 6),
    *_both("job.{}.zarr", f"{_JOB} zarr 3 + dask", ">=", 2.5, 2),
    *_both("job.{}.codec", f"{_JOB} the codec alone", ">=", 0.85, 0.85),
    *_both("estimate.{}.flimage", "estimate only: speed against flimage 0.3.3", ">=", 16, 16),
    *_both("reading.{}.h5py", "reading all frames: speed against h5py frame by frame", ">=", 5, 5),
    *_both("reading.{}.inflate", "reading all frames: speed against inflate alone", ">=", 0.85, 0.85),
    *_both("size.{}", "size of the output against flimage's gzip-9", "<=", 1.25, 0.95),
    Goal("overhead.write.short", f"{_OVERHEAD} writing 2,000", "<=", 0.3, "ms"),
    Goal("overhead.write.long", f"{_OVERHEAD} writing 50,000", "<=", 0.3, "ms"),
    Goal("overhead.read.short", f"{_OVERHEAD} reading 2,000", "<=", 0.15, "ms"),
    Goal("overhead.read.long", f"{_OVERHEAD} reading 50,000", "<=", 0.15, "ms"),
    Goal("opening.shape", f"{_OPENING} its shape", "<=", 0.1, "s"),
    Goal("opening.first", f"{_OPENING} a first frame", "<=", 0.1, "s"),
    # O(1): what little a longer file adds may at most double it.
    Goal("opening.growth", f"{_OPENING} a first frame, time against 2,000 frames", "<=", 2, "x"),
    Goal("opening.index", f"{_OPENING} the index, a frame", "<=", 0.15, "ms"),
    Goal("memory.large", "peak memory: 4 GB of frames of 1024 x 1024", "<=", 600, "MB"),
    Goal("memory.growth", "peak memory: 4 GB against 1 GB", "<=", 1.15, "x"),
    Goal("memory.longer", "peak memory: a series 8 times as long", "<=", 1.1, "x"),
    Goal("lazy.building", f"{_LAZY} making lazy arrays", "<=", 1.3, "x"),
    Goal("lazy.correcting", f"{_LAZY} correcting", "<=", 1.3, "x"),
    # One step between neighbouring numbers: both round the same value.
    Goal("values.integer.flimage", "values: largest difference to flimage, integer", "<=", 1, "float32 steps"),
    Goal("values.float.flimage", "values: largest difference to flimage, float", "<=", 1, "float32 steps"),
    Goal("values.bitwise", "values: block sizes and numbers of threads that change a bit", "<=", 0),
)
