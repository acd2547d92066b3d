"""``flimage-dask info``."""

import json

import click

from .failures import traceback_option
from .options import PATH_OR_URL, examples, json_option


@click.command(
    short_help="Say what is in a file.",
    epilog=examples(
        "flimage-dask info series.h5",
        "flimage-dask info series.h5 --json | jq .n_frames",
        "flimage-dask info https://example.org/series.h5",
    ),
)
@click.argument("file", metavar="FILE", type=PATH_OR_URL)
@json_option
@traceback_option
def info(file: str, as_json: bool) -> None:
    """Say what is in FILE, a series or a single image.

    Frames, times, sizes, background images, metadata, and where the file comes from. The file is
    only read.
    """
    from ..view.summary import describe_file, file_text

    found = describe_file(file)
    click.echo(json.dumps(found, indent=2, allow_nan=False) if as_json else file_text(found))
