"""The estimate only: background, trace and fit, with nothing written."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from ..bench import Bench, middle
from ..data import KINDS
from ..findings import Findings, Rate, Value
from ..measure import Job, alias, in_turns
from ..peers import FLIMAGE, OURS, flimage_itself, ours


def estimate(bench: Bench) -> Findings:
    """Compare with flimage, which has all frames here, because its fit takes as long for fewer."""
    found = Findings()
    for kind in KINDS:
        recipe = middle(bench.scale, kind)
        series = bench.series(recipe)
        jobs = {OURS: _of(ours.estimate, series), FLIMAGE: _of(flimage_itself.estimate, series)}
        seconds = in_turns(jobs, bench.n_turns, bench.folder)
        job = f"Estimate only, {recipe.n_frames:,} frames of 512 x 512"
        found.rates += [Rate(job, kind, system, recipe.n_bytes, turns) for system, turns in seconds.items()]
        ratio = seconds[FLIMAGE].over(seconds[OURS])
        found.values[f"estimate.{kind}.flimage"] = Value(ratio, f"{recipe.n_frames} frames")
    return found


def _of(estimate: Callable[[Path], None], series: Path) -> Job:
    return lambda scratch: partial(estimate, alias(series, scratch))
