"""The values: against flimage's, and for any block size and number of threads."""

from pathlib import Path
from tempfile import TemporaryDirectory

import dask

from ..agreement import largest_difference, same_bits
from ..bench import Bench, middle
from ..data import KINDS
from ..findings import Findings, Value
from ..measure import Turns, alias, tell
from ..peers import flimage_itself, ours

#: Frames in a block, and threads.
_WAYS = ((1, 1), (1, 4), (3, 2), (16, 3))


def compare_values(bench: Bench) -> Findings:
    """Compare every pixel."""
    found = Findings()
    for kind in KINDS:
        tell(f"    compare {kind} frames with flimage's")
        part = bench.part(middle(bench.scale, kind), bench.scale.n_middle_part)
        steps = Turns((_difference_to_flimage(part, bench.folder),))
        found.values[f"values.{kind}.flimage"] = Value(steps, f"{bench.scale.n_middle_part} frames")
    n_different = sum(not _changes_nothing(bench, n_block, n_threads) for n_block, n_threads in _WAYS)
    found.values["values.bitwise"] = Value(Turns((n_different,)), f"{len(_WAYS)} ways")
    return found


def _difference_to_flimage(series: Path, folder: Path) -> float:
    with TemporaryDirectory(dir=folder) as scratch:
        mine, theirs = Path(scratch) / "ours.h5", Path(scratch) / "flimage.h5"
        ours.correct(series, mine)
        flimage_itself.correct(series, theirs)
        return largest_difference(mine, theirs)


def _changes_nothing(bench: Bench, n_block: int, n_threads: int) -> bool:
    """Correct a series in blocks of some frames with some threads, and compare with what it is otherwise."""
    tell(f"    correct in blocks of {n_block} frames with {n_threads} threads")
    recipe = middle(bench.scale, "float")
    options = {"array.chunk-size": n_block * recipe.n_bytes // recipe.n_frames, "num_workers": n_threads}
    with TemporaryDirectory(dir=bench.folder) as scratch, dask.config.set(options):
        output = Path(scratch) / "output.h5"
        # Under a name of its own, or the estimate made with other blocks would be remembered.
        ours.correct(alias(bench.series(recipe), Path(scratch)), output)
        return same_bits(output, bench.corrected(recipe))
