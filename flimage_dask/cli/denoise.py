"""``flimage-dask denoise``."""

from pathlib import Path
from typing import Any

import click

from .failures import traceback_option
from .options import (
    examples,
    frames_option,
    input_and_output,
    output_options,
)
from .workers import worker_options
from .writing import write_from


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
    from ..view.run import run_text

    run = write_from(source, target, frames, lambda chosen: chosen.denoise(target, weight=weight, **written))
    click.echo(run_text(run, f"denoised with weight {weight:g}"))
