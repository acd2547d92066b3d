"""``flimage-dask background``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray

from .background_options import background_options
from .failures import traceback_option
from .options import (
    examples,
    frames_option,
    input_and_output,
    output_options,
)
from .workers import worker_options
from .writing import write_from

if TYPE_CHECKING:
    from ..correctable import CorrectableFrames
    from ..correction.preparation import Background


@click.command(
    short_help="Subtract the background of each frame.",
    epilog=examples(
        "flimage-dask background series.h5 out.h5 --background poly2o",
        "flimage-dask background series.h5 out.h5 --background per-frame-median --background-region cells_free.npy",
        "flimage-dask background series.h5 out.h5 --background rolling-ball-50",
        "flimage-dask background series.h5 out.h5 --background 0 --dark 100 --flat flat.npy",
    ),
)
@input_and_output
@background_options
@frames_option
@output_options
@worker_options
@traceback_option
def background(
    source: str,
    target: Path,
    border_px: int,
    background: "Background | None",
    dark: float | NDArray[np.float64] | None,
    flat: NDArray[np.float64] | None,
    frames: slice | None,
    written: dict[str, Any],
) -> None:
    """Subtract the background of the series IN and write the series OUT.

    A background that is an image is stored beside the frames of OUT, which then stay as they are: their
    fluorescence is the difference, in flimage too. OUT appears when it is whole.
    """
    from ..correction.fields import Fields
    from ..correction.preparation import choose_background
    from ..view.run import run_text

    how: Background = "constant" if background is None else background

    def write(chosen: "CorrectableFrames") -> None:
        chosen.background_correction(target, border_px, background=how, dark=dark, flat=flat, **written)

    run = write_from(source, target, frames, write)
    choice = choose_background(how, border_px, run.frame_shape, Fields.of(dark, flat))
    fields = "" if choice.fields_in_words is None else f", {choice.fields_in_words} applied"
    click.echo(run_text(run, f"less their background ({choice.in_words}){fields}"))
