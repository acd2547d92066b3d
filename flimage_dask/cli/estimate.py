"""``flimage-dask estimate``."""

from pathlib import Path
from typing import Any

import click

from ..errors import ParameterError
from .failures import traceback_option, warnings_in_one_line
from .options import (
    PATH,
    PATH_OR_URL,
    chosen_frames,
    estimate_options,
    examples,
    frames_option,
    memory_option,
)
from .workers import worker_options


@click.command(
    short_help="Find out how a series bleaches.",
    epilog=examples(
        "flimage-dask estimate series.h5 --model auto --trace mean --plot fit.png",
        "flimage-dask estimate series.h5 --model auto --exclude 10:12 --json estimate.json",
    ),
)
@click.argument("file", metavar="FILE", type=PATH_OR_URL)
@estimate_options
@frames_option
@click.option("--json", "json_file", metavar="JSON", type=PATH, help="Write the estimate into this file; - for here.")
@click.option("--plot", "picture", metavar="PNG", type=PATH, help="Draw trace, fit, factors and residuals.")
@memory_option
@worker_options
@traceback_option
def estimate(
    file: str,
    how: dict[str, Any],
    frames: slice | None,
    json_file: Path | None,
    picture: Path | None,
    memory: str | None,
) -> None:
    """Fit the decay of the series FILE, and write nothing but what is asked for.

    The JSON holds model, parameters, standard errors, r2, aicc, factors and more, and can be applied to
    another series with flimage-dask correct --estimate. Both files are replaced if they exist: they end
    in .json and .png, so that no series is.
    """
    from ..hdf5.output import check_output
    from ..series import FLSeries
    from ..view.run import estimate_text
    from ..view.style import check_is_png

    if picture is not None:
        check_is_png(picture)
    if json_file not in (None, Path("-")):
        _check_is_json(json_file)
    written = [path for path in (json_file, picture) if path not in (None, Path("-"))]
    for path in written:
        check_output(path, None, overwrite=True)
    with warnings_in_one_line(), FLSeries(h5file=file, h5mode="r") as series:
        origin = str(series.origin)
        found = chosen_frames(series, frames).estimate_bleaching(**how, memory=memory)
    if picture is not None:
        found.plot(picture, title=Path(origin).name)
    if json_file == Path("-"):
        click.echo(found.to_json())
        return
    if json_file is not None:
        json_file.write_text(found.to_json(), encoding="utf-8")
    click.echo(estimate_text(origin, found, written))


def _check_is_json(path: Path) -> None:
    """Refuse a file of another kind, such as the series that a shell put behind --json."""
    if path.suffix.lower() != ".json":
        raise ParameterError(f"'{path}' does not end in .json: choose a name that does, or - to print it.")
