"""``flimage-dask match``."""

from pathlib import Path
from time import perf_counter
from typing import Any

import click

from ..correction.histogram import VARIANTS
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
    short_help="Match the histograms of all frames.",
    epilog=examples(
        "flimage-dask match series.h5 matched.h5",
        "flimage-dask match series.h5 matched.h5 --variant interpolated --reference 3",
    ),
)
@input_and_output
@click.option(
    "--variant",
    type=click.Choice(VARIANTS),
    default=VARIANTS[0],
    show_default=True,
    help="That of Fiji's CorrectBleach, or the interpolation of scikit-image.",
)
@click.option("--reference", metavar="FRAME", default=0, show_default=True, help="The frame to make all others like.")
@frames_option
@output_options
@worker_options
@traceback_option
def match(
    source: str,
    target: Path,
    variant: str,
    reference: int,
    frames: slice | None,
    written: dict[str, Any],
) -> None:
    """Give each frame of the series IN the distribution of brightness of one of them; write OUT.

    It needs no times, no background and no curve. Intensities mean nothing afterwards; use it to segment
    and to track, not to measure.
    """
    from ..memory import peak_memory
    from ..series import FLSeries
    from ..view.run import Run, run_text

    refuse_existing(target, overwrite=written["overwrite"])
    with warnings_in_one_line(), FLSeries(h5file=source, h5mode="r") as series:
        chosen = chosen_frames(series, frames)
        started = perf_counter()
        chosen.histogram_matching(
            target,
            variant,
            reference,
            **written,
        )
        seconds = perf_counter() - started
        n_frames, *frame_shape = chosen.shape
    run = Run(target, n_frames, (frame_shape[0], frame_shape[1]), seconds, peak_memory())
    click.echo(run_text(run, f"histograms matched ({variant}) to frame {reference}"))
