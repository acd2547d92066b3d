"""Time jobs in turns, and relate what was measured in the same turn."""

import gc
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

#: Given an empty folder, prepare a job and return the part of it that is timed.
Job: TypeAlias = Callable[[Path], Callable[[], Any]]


@dataclass(frozen=True)
class Turns:
    """One value a turn."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle of the values."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The smallest value."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The largest value."""
        return max(self.values)

    def times(self, factor: float) -> "Turns":
        """Multiply every value."""
        return Turns(tuple(factor * value for value in self.values))

    def over(self, other: "Turns") -> "Turns":
        """Divide turn by turn: what slows the machine for a while slows both."""
        return Turns(tuple(mine / its for mine, its in zip(self.values, other.values, strict=True)))

    def beyond(self, other: "Turns") -> "Turns":
        """Subtract turn by turn."""
        return Turns(tuple(mine - its for mine, its in zip(self.values, other.values, strict=True)))

    def as_rate(self, amount: float) -> "Turns":
        """Return an amount a second, where the values are seconds."""
        return Turns(tuple(amount / value for value in self.values))


def in_turns(jobs: Mapping[str, Job], n_turns: int, folder: Path) -> dict[str, Turns]:
    """Time jobs in turns, A B C A B C, so that a slow minute of the machine meets all of them.

    Parameters
    ----------
    jobs
        What to time, by name.
    n_turns
        How often each is timed.
    folder
        Where each job gets an empty folder of its own, which is removed afterwards.

    Returns
    -------
    dict
        Seconds of each job.
    """
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(n_turns):
        tell(f"    turn {turn + 1} of {n_turns}: {', '.join(jobs)}")
        for name, job in jobs.items():
            with TemporaryDirectory(dir=folder) as scratch:
                timed = job(Path(scratch))
                _settle()
                start = time.perf_counter()
                timed()
                seconds[name].append(time.perf_counter() - start)
                del timed
    return {name: Turns(tuple(values)) for name, values in seconds.items()}


def alias(series: Path, scratch: Path) -> Path:
    """Give a file another name, under which no library remembers anything of an earlier turn.

    Its bytes stay in the page cache, which is warm for every system.
    """
    name = scratch / f"input_{series.name}"
    name.hardlink_to(series)
    return name


def tell(text: str) -> None:
    """Say on stderr what is going on."""
    print(text, file=sys.stderr, flush=True)


def _settle() -> None:
    """Finish what an earlier job left to do: its garbage, and its output on the way to the disk."""
    gc.collect()
    if hasattr(os, "sync"):
        os.sync()
