"""The values: against flimage's, and for any block size and number of threads."""

from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import dask
import numpy as np
from numpy.typing import NDArray

from .. import data
from ..bench import Bench, middle
from ..findings import Findings, Value
from ..measure import Turns, alias, tell
from ..peers import flimage_itself, ours

_BLOCKS_OF_FRAMES = (1, 3, 16)
_THREADS = (1, 2, 3)


def compare_values(bench: Bench) -> Findings:
    """Compare every pixel."""
    found = Findings()
    with TemporaryDirectory(dir=bench.folder) as scratch:
        for kind in data.KINDS:
            part = bench.part(middle(bench.scale, kind), bench.scale.n_middle_part)
            tell(f"    compare {kind} frames with flimage's")
            theirs, mine = Path(scratch) / f"{kind}_flimage.h5", Path(scratch) / f"{kind}_ours.h5"
            flimage_itself.correct(part, theirs)
            ours.correct(part, mine)
            places = Turns((largest_difference(mine, theirs),))
            found.values[f"values.{kind}.flimage"] = Value(places, f"{bench.scale.n_middle_part} frames")
        n_different, n_ways = _ways_that_differ(bench, Path(scratch))
    found.values["values.bitwise"] = Value(Turns((n_different,)), f"of {n_ways}")
    return found


def largest_difference(mine: Path, theirs: Path) -> float:
    """Return the largest difference of two series, in last places of float32 at each pixel."""
    pairs = zip(data.frames_of(mine), data.frames_of(theirs), strict=True)
    return max(float(_last_places(ours, its).max()) for ours, its in pairs)


def _last_places(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how far two frames are apart, pixel by pixel, in steps from one float32 to the next."""
    step = np.spacing(np.maximum(np.abs(ours), np.abs(theirs)).astype(np.float32))
    return np.abs(ours.astype(np.float64) - theirs) / step


def _ways_that_differ(bench: Bench, scratch: Path) -> tuple[int, int]:
    """Correct a series with blocks and threads of many kinds; count those that change a bit."""
    recipe = middle(bench.scale, "float")
    series = bench.series(recipe)
    expected = bench.corrected(recipe)
    ways = list(product(_BLOCKS_OF_FRAMES, _THREADS))
    n_different = 0
    for n_block, n_threads in ways:
        tell(f"    correct in blocks of {n_block} with {n_threads} threads")
        with (
            TemporaryDirectory(dir=scratch) as folder,
            dask.config.set({"array.chunk-size": 4 * recipe.side**2 * n_block, "num_workers": n_threads}),
        ):
            # Under a name of its own, or the estimate made with other blocks would be remembered.
            output = Path(folder) / "output.h5"
            ours.correct(alias(series, Path(folder)), output)
            n_different += not _same_bits(output, expected)
    return n_different, len(ways)


def _same_bits(one: Path, other: Path) -> bool:
    pairs = zip(data.frames_of(one), data.frames_of(other), strict=True)
    return all(mine.tobytes() == its.tobytes() for mine, its in pairs)
