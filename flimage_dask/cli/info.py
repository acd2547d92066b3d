"""``flimage-dask info``."""

import json
from pathlib import Path

import click

from .failures import traceback_option
from .options import PATH, examples, json_option


@click.command(
    short_help="Say what is in a file.",
    epilog=examples(
        "flimage-dask info series.h5",
        "flimage-dask info series.h5 --json | jq .n_frames",
    ),
)
@click.argument("file", metavar="FILE", type=PATH)
@json_option
@traceback_option
def info(file: Path, as_json: bool) -> None:
    """Say what is in FILE, a series or a single image.

    Frames, times, sizes, background images, metadata, and where the file comes from. The file is
    only read.
    """
    from ..view.summary import describe_file, file_text

    found = describe_file(file)
    click.echo(json.dumps(found, indent=2, allow_nan=False) if as_json else file_text(found))
