"""The whole job, file to file: estimate, correct, write. All systems, on frames of three sizes."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from ..bench import Bench, large, middle, small
from ..data import KINDS, Recipe
from ..findings import Findings, Rate, Value
from ..measure import Job, Turns, alias, in_turns
from ..peers import CODEC, DASK, DISK, FLIMAGE, H5PY, OURS, ZARR, dask_script, disk, flimage_itself, h5py_loop, ours
from ..peers import zarr_dask as zarr_peer
from ..peers.codec import CodecAlone

#: For which ratios there are goals, by the last part of their keys.
_COMPARED = {"flimage": FLIMAGE, "dask": DASK, "zarr": ZARR, "codec": CODEC}


def correct_middle(bench: Bench) -> Findings:
    """Correct frames of 512 x 512, and compare the systems."""
    found = Findings()
    for kind in KINDS:
        recipe = middle(bench.scale, kind)
        rates = _correct(bench, recipe, bench.scale.n_middle_part)
        found.rates += rates.values()
        for name, system in _COMPARED.items():
            ratio = rates[system].seconds.over(rates[OURS].seconds)
            found.values[f"job.{kind}.{name}"] = Value(ratio, f"{recipe.n_frames} frames")
    return found


def correct_large(bench: Bench) -> Findings:
    """Correct frames of 2048 x 2048."""
    found = Findings()
    if not bench.scale.n_large:
        return found
    for kind in KINDS:
        found.rates += _correct(bench, large(bench.scale, kind), bench.scale.n_large_part).values()
    return found


def correct_small(bench: Bench) -> Findings:
    """Correct frames of 64 x 64."""
    found = Findings()
    for kind in KINDS:
        found.rates += _correct(bench, small(bench.scale.n_small, kind), bench.scale.n_small_part).values()
    return found


def _correct(bench: Bench, recipe: Recipe, n_part: int) -> dict[str, Rate]:
    """Let each system correct the same series in turns; flimage a part of it."""
    series, part, store = bench.series(recipe), bench.part(recipe, n_part), bench.zarr(recipe)
    codec = CodecAlone(series, bench.corrected(recipe))
    content = bench.corrected(recipe).read_bytes()
    jobs: dict[str, Job] = {
        OURS: _file_to_file(ours.correct, series),
        CODEC: lambda scratch: codec.both,
        ZARR: lambda scratch: partial(zarr_peer.correct, store, scratch / "output.zarr"),
        DASK: _file_to_file(dask_script.correct, series),
        H5PY: _file_to_file(h5py_loop.correct, series),
        FLIMAGE: _file_to_file(flimage_itself.correct, part),
        DISK: lambda scratch: partial(disk.write, content, scratch / "output"),
    }
    _warm_up(bench)
    seconds = in_turns(jobs, bench.n_turns, bench.folder)
    scaled = "" if n_part == recipe.n_frames else f"measured on {n_part} frames, scaled by their number"
    notes = {FLIMAGE: scaled, CODEC: codec.codec.name}
    seconds[FLIMAGE] = seconds[FLIMAGE].times(recipe.n_frames / n_part)
    return {system: _rate(recipe, system, turns, notes.get(system, "")) for system, turns in seconds.items()}


def _rate(recipe: Recipe, system: str, seconds: Turns, note: str) -> Rate:
    job = f"Whole job, {recipe.n_frames:,} frames of {recipe.side} x {recipe.side}"
    return Rate(job, recipe.kind, system, recipe.n_bytes, seconds, note)


def _file_to_file(correct: Callable[[Path, Path], None], series: Path) -> Job:
    return lambda scratch: partial(correct, alias(series, scratch), scratch / "output.h5")


@cache
def _warm_up(bench: Bench) -> None:
    """Let every system run once on a tiny series, so that no turn pays for what is imported late."""
    tiny = small(8)
    series, store = bench.series(tiny), bench.zarr(tiny)
    jobs = {
        correct.__module__: _file_to_file(correct, series)
        for correct in (ours.correct, dask_script.correct, h5py_loop.correct, flimage_itself.correct)
    }
    jobs[ZARR] = lambda scratch: partial(zarr_peer.correct, store, scratch / "output.zarr")
    in_turns(jobs, 1, bench.folder)
