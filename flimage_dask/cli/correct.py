"""``flimage-dask correct``."""

import json
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import click

from .failures import traceback_option, warnings_in_one_line
from .options import (
    background_option,
    chosen_frames,
    examples,
    frames_option,
    input_and_output,
    json_option,
    memory_option,
    overwrite_option,
    refuse_existing,
    storage_options,
)

if TYPE_CHECKING:
    from ..estimation import Background


@click.command(
    short_help="Correct background and bleaching.",
    epilog=examples(
        "flimage-dask correct series.h5 corrected.h5",
        "flimage-dask correct series.h5 corrected.h5 --background per-frame --border 10",
        "flimage-dask correct series.h5 small.h5 --level 9 --memory '200 MiB'",
        "flimage-dask correct series.h5 start.h5 --frames 0:100 --frame-interval 0.5",
    ),
)
@input_and_output
@click.option("--border", metavar="PX", default=20, show_default=True, help="Width of the border without objects [px].")
@background_option
@frames_option
@click.option(
    "--frame-interval", metavar="SECONDS", type=float, help="Time from frame to frame, if the file has no times [s]."
)
@storage_options
@memory_option
@overwrite_option
@json_option
@traceback_option
def correct(
    source: str,
    target: Path,
    border: int,
    background: "Background",
    frames: slice | None,
    frame_interval: float | None,
    compression: str | None,
    level: int | None,
    shuffle: bool | None,
    memory: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Correct the bleaching of the series IN and write it as the series OUT.

    The background is the mean of a border of the frames. What is above it decays as the sample
    bleaches; an exponential with an offset is fitted to it, and each frame is multiplied by
    what makes up for the decay. OUT appears when it is whole.
    """
    from ..memory import peak_memory
    from ..series import FLSeries
    from ..view.run import Run, correction_text

    refuse_existing(target, overwrite=overwrite)
    with warnings_in_one_line(), FLSeries(h5file=source, h5mode="r") as series:
        chosen = chosen_frames(series, frames)
        started = perf_counter()
        chosen.bleach_correction(
            target,
            border,
            background=background,
            frame_interval=frame_interval,
            compression=compression,
            level=level,
            shuffle=shuffle,
            memory=memory,
            overwrite=overwrite,
        )
        seconds = perf_counter() - started
        # Remembered from the correction: this reads nothing.
        estimate = chosen.estimate_bleaching(
            border, background=background, frame_interval=frame_interval, progress=False
        )
        origin = chosen.origin
        n_frames, *frame_shape = chosen.shape
    run = Run(target, n_frames, (frame_shape[0], frame_shape[1]), seconds, peak_memory())
    if as_json:
        found = {"input": origin, **run.summary(), "estimate": estimate.summary()}
        click.echo(json.dumps(found, indent=2, allow_nan=False))
    else:
        click.echo(correction_text(run, estimate))
