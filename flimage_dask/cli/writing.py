"""A series written from frames of another one, as commands do it."""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from .failures import warnings_in_one_line
from .options import chosen_frames

if TYPE_CHECKING:
    from ..correctable import CorrectableFrames
    from ..view.run import RunReport


def write_from(
    source: str, target: Path, frames: slice | None, write: Callable[["CorrectableFrames"], None]
) -> "RunReport":
    """Let a command write a series, and tell how it went.

    Parameters
    ----------
    source
        Path or URL of the series that is read.
    target
        The series that is written.
    frames
        Which frames of the source; None for all.
    write
        Writes the target from these frames.
    """
    from ..series import FLSeries
    from ..view.run import RunReport

    with warnings_in_one_line(), FLSeries(h5file=source, h5mode="r") as series:
        chosen = chosen_frames(series, frames)
        started = perf_counter()
        write(chosen)
        return RunReport.of(target, series.origin, perf_counter() - started)
