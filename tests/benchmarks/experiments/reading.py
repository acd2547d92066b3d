"""Reading all frames: open a series and add up its pixels."""

from functools import partial

from ..bench import Bench, middle
from ..data import KINDS
from ..findings import Findings, Rate, Value
from ..measure import Job, alias, in_turns
from ..peers import H5PY, OURS, h5py_loop, ours
from ..peers.codec import CodecAlone

INFLATE = "inflate alone"


def read(bench: Bench) -> Findings:
    """Compare with h5py frame by frame, and with inflating the stored bytes in as many threads."""
    found = Findings()
    for kind in KINDS:
        recipe = middle(bench.scale, kind)
        series = bench.series(recipe)
        codec = CodecAlone(series, bench.corrected(recipe))
        jobs: dict[str, Job] = {
            OURS: lambda scratch, series=series: partial(ours.read, alias(series, scratch)),
            INFLATE: lambda scratch, codec=codec: codec.inflate,
            H5PY: lambda scratch, series=series: partial(h5py_loop.read, alias(series, scratch)),
        }
        seconds = in_turns(jobs, bench.n_turns, bench.folder)
        job = f"Reading, {recipe.n_frames:,} frames of 512 x 512"
        found.rates += [Rate(job, kind, system, recipe.n_bytes, turns) for system, turns in seconds.items()]
        for name, system in {"h5py": H5PY, "inflate": INFLATE}.items():
            ratio = seconds[system].over(seconds[OURS])
            found.values[f"reading.{kind}.{name}"] = Value(ratio, f"{recipe.n_frames} frames")
    return found
