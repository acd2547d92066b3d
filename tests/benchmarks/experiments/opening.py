"""Opening a long series: its shape, a first frame, and the index of all frames."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from flimage_dask import FLSeries

from ..bench import Bench, small
from ..findings import Findings, Value
from ..measure import Job, alias, in_turns


def open_long(bench: Bench) -> Findings:
    """Open a short and a long series in turns."""
    n_short, n_long = bench.scale.n_short, bench.scale.n_opened
    short, long = bench.series(small(n_short)), bench.series(small(n_long))
    jobs: dict[str, Job] = {
        "shape": _opening(_shape, long),
        "first": _opening(_first_frame, long),
        "first of short": _opening(_first_frame, short),
        "index": _opening(_index, long),
    }
    # Once to warm the page cache; a series of 100,000 frames may have left it.
    in_turns(jobs, 1, bench.folder)
    seconds = in_turns(jobs, bench.n_turns, bench.folder)
    note = f"{n_long:,} frames"
    return Findings(
        values={
            "opening.shape": Value(seconds["shape"], note),
            "opening.first": Value(seconds["first"], note),
            "opening.growth": Value(seconds["first"].over(seconds["first of short"]), f"{note} against {n_short:,}"),
            "opening.index": Value(seconds["index"].times(1e3 / n_long), note),
        }
    )


def _opening(ask: Callable[[FLSeries], object], series: Path) -> Job:
    return lambda scratch: partial(_ask, ask, alias(series, scratch))


def _ask(ask: Callable[[FLSeries], object], series: Path) -> None:
    with FLSeries(h5file=series, h5mode="r") as fls:
        ask(fls)


def _shape(fls: FLSeries) -> tuple[int, ...]:
    return fls.shape


def _first_frame(fls: FLSeries) -> Any:
    return fls[0].fl


def _index(fls: FLSeries) -> Any:
    return fls.raw_fl
