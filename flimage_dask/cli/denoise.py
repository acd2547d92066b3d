"""``flimage-dask denoise``."""

from pathlib import Path
from time import perf_counter
from typing import Any

import click

from .failures import traceback_option, warnings_in_one_line
from .options import (
    chosen_frames,
    examples,
    frames_option,
    input_and_output,
    output_options,
    refuse_existing,
)
from .workers import worker_options


@click.command(
    short_help="Denoise each frame.",
    epilog=examples(
        "flimage-dask denoise series.h5 smooth.h5",
        "flimage-dask denoise series.h5 smooth.h5 --weight 10 --frames ::5",
    ),
)
@input_and_output
@click.option("--weight", type=float, default=2.0, show_default=True, help="Larger values smooth more.")
@frames_option
@output_options
@worker_options
@traceback_option
def denoise(
    source: str,
    target: Path,
    weight: float,
    frames: slice | None,
    written: dict[str, Any],
) -> None:
    """Denoise each frame of the series IN by total variation and write the series OUT."""
    from ..memory import peak_memory
    from ..series import FLSeries
    from ..view.run import Run, run_text

    refuse_existing(target, overwrite=written["overwrite"])
    with warnings_in_one_line(), FLSeries(h5file=source, h5mode="r") as series:
        chosen = chosen_frames(series, frames)
        started = perf_counter()
        chosen.denoise(
            target,
            weight=weight,
            **written,
        )
        seconds = perf_counter() - started
        n_frames, *frame_shape = chosen.shape
    run = Run(target, n_frames, (frame_shape[0], frame_shape[1]), seconds, peak_memory())
    click.echo(run_text(run, f"denoised with weight {weight:g}"))
