"""``flimage-dask clean``."""

from pathlib import Path

import click

from .failures import traceback_option
from .options import PATH, examples


@click.command(
    short_help="List and remove what unfinished runs left.",
    epilog=examples("flimage-dask clean", "flimage-dask clean results --remove"),
)
@click.argument("folder", type=PATH, default=".")
@click.option("--remove", is_flag=True, help="Remove what is listed, but not what is seen to be written.")
@traceback_option
def clean(folder: Path, remove: bool) -> None:
    """List what runs that did not end left in FOLDER (here by default): finished blocks, and unfinished outputs.

    Outputs that are being written at the moment are listed as such and stay.

    The same command with --resume goes on with finished blocks.
    """
    from ..hdf5.leftovers import find_leftovers
    from ..view.leftovers import leftovers_text

    found = find_leftovers(folder)
    if remove:
        for leftover in found:
            leftover.remove()
    click.echo(leftovers_text(folder, found, removed=remove))
