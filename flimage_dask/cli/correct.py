"""``flimage-dask correct``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from .failures import traceback_option
from .options import (
    PATH,
    estimate_options,
    examples,
    frames_option,
    input_and_output,
    json_option,
    output_options,
)
from .workers import worker_options
from .writing import write_from

if TYPE_CHECKING:
    from ..correctable import CorrectableFrames


@click.command(
    short_help="Correct background and bleaching.",
    epilog=examples(
        "flimage-dask correct series.h5 corrected.h5",
        "flimage-dask correct series.h5 corrected.h5 --background per-frame --border 10",
        "flimage-dask correct series.h5 corrected.h5 --background poly2o --dark 100 --flat flat.npy",
        "flimage-dask correct series.h5 corrected.h5 --model auto --exclude 10:12",
        "flimage-dask correct green.h5 green_corrected.h5 --estimate red.json --background 200",
        "flimage-dask correct series.h5 small.h5 --level 9 --memory '200 MiB'",
        "flimage-dask correct series.h5 start.h5 --frames 0:100 --frame-interval 0.5",
        "flimage-dask correct series.h5 corrected.h5 --workers 4 --threads 2",
        "flimage-dask correct series.h5 corrected.h5 --scheduler tcp://127.0.0.1:8786 --resume",
    ),
)
@input_and_output
@estimate_options
@click.option(
    "--estimate",
    "known",
    metavar="JSON",
    type=PATH,
    help="Apply the estimate that flimage-dask estimate wrote, instead of making one. Its background is subtracted, "
    "unless --background gives a number or an image.",
)
@frames_option
@click.option(
    "--dtype",
    metavar="TYPE",
    default="float32",
    show_default=True,
    help="Of the pixels of OUT. Integers such as int16 are rounded and clipped.",
)
@output_options
@worker_options
@json_option
@traceback_option
def correct(
    source: str,
    target: Path,
    how: dict[str, Any],
    known: Path | None,
    frames: slice | None,
    dtype: str,
    written: dict[str, Any],
    as_json: bool,
) -> None:
    """Correct the bleaching of the series IN and write it as the series OUT.

    The background is the mean of a border of the frames. What is above it decays as the sample
    bleaches; a curve is fitted to it, and each frame is multiplied by what makes up for the
    decay. OUT appears when it is whole.
    """
    from ..correction.estimate import BleachingEstimate
    from ..series import FLSeries
    from ..view.run import correction_text

    def write(chosen: "CorrectableFrames") -> None:
        # Whatever is in the file: what is no text is no estimate either.
        text = None if known is None else known.read_text(encoding="utf-8", errors="replace")
        estimate = None if text is None else BleachingEstimate.from_json(text)
        chosen.bleach_correction(target, estimate=estimate, dtype=dtype, **how, **written)

    run = write_from(source, target, frames, write)
    with FLSeries(h5file=target, h5mode="r") as corrected:
        estimate = cast("BleachingEstimate", corrected.applied_estimate)
    if as_json:
        click.echo(json.dumps({**run.summary(), "estimate": estimate.summary()}, indent=2, allow_nan=False))
    else:
        click.echo(correction_text(run, estimate))
