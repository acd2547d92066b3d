"""Lazy arrays of a long series of small frames: whether time grows with its length, or faster."""

from functools import partial
from pathlib import Path

from flimage_dask import FLSeries

from ..bench import Bench, small
from ..findings import Findings, Value
from ..measure import Job, alias, in_turns
from ..peers import ours


def build_and_correct(bench: Bench) -> Findings:
    """Make the lazy arrays of a short and a long series, and correct both."""
    n_short, n_long = bench.scale.n_short, bench.scale.n_built
    short, long = bench.series(small(n_short)), bench.series(small(n_long))
    jobs: dict[str, Job] = {
        "building short": lambda scratch: partial(_build, alias(short, scratch)),
        "building": lambda scratch: partial(_build, alias(long, scratch)),
        "correcting short": lambda scratch: partial(ours.correct, alias(short, scratch), scratch / "output.h5"),
        "correcting": lambda scratch: partial(ours.correct, alias(long, scratch), scratch / "output.h5"),
    }
    seconds = in_turns(jobs, bench.n_turns, bench.folder)
    found = Findings()
    for way in ("building", "correcting"):
        of_long = seconds[way].times(1e3 / n_long)
        growth = of_long.over(seconds[f"{way} short"].times(1e3 / n_short))
        note = f"{n_long:,} frames against {n_short:,}; {of_long.median:.3f} ms a frame"
        found.values[f"lazy.{way}"] = Value(growth, note)
    return found


def _build(series: Path) -> None:
    with FLSeries(h5file=series, h5mode="r") as fls:
        fls.lazy()
        fls.bleach_corrected()
