"""``flimage-dask match``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..correction.histogram import VARIANTS
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
    from ..view.run import run_text

    def write(chosen: "CorrectableFrames") -> None:
        chosen.histogram_matching(target, variant, reference, **written)

    run = write_from(source, target, frames, write)
    click.echo(run_text(run, f"histograms matched ({variant}) to frame {reference}"))
