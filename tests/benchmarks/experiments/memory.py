"""The most memory that a fresh process holds while it corrects a series, imports included."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from ..bench import Bench, for_memory
from ..findings import Findings, Value
from ..measure import Turns, tell

_CORRECT = """
import sys
from flimage_dask import FLSeries
from flimage_dask.memory import peak_memory
with FLSeries(h5file=sys.argv[1], h5mode="r") as fls:
    fls.bleach_correction(sys.argv[2], progress=False)
print(peak_memory())
"""

# It hardly varies, and a turn takes a minute.
_N_TURNS = 2


def measure_memory(bench: Bench) -> Findings:
    """Correct series of three lengths in turns."""
    n_frames = bench.scale.n_memory
    if not n_frames:
        return Findings()
    lengths = (n_frames // 8, n_frames // 4, n_frames)
    peaks: dict[int, list[float]] = {length: [] for length in lengths}
    for turn in range(_N_TURNS):
        for length, found in peaks.items():
            series = bench.series(for_memory(length))
            tell(f"    turn {turn + 1} of {_N_TURNS}: {length} frames")
            with TemporaryDirectory(dir=bench.folder) as scratch:
                found.append(_peak_of_correcting(series, Path(scratch) / "output.h5") / 1e6)
    eighth, quarter, whole = (Turns(tuple(peaks[length])) for length in lengths)
    return Findings(
        values={
            "memory.large": Value(whole, f"{n_frames:,} frames"),
            "memory.growth": Value(whole.over(quarter), f"{quarter.median:.0f} MB for the shorter"),
            "memory.longer": Value(whole.over(eighth), f"{eighth.median:.0f} MB for the shorter"),
        }
    )


def _peak_of_correcting(series: Path, output: Path) -> int:
    command = [sys.executable, "-c", _CORRECT, str(series), str(output)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
