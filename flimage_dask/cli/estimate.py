"""``flimage-dask estimate``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from .background_options import background_options
from .failures import traceback_option, warnings_in_one_line
from .options import (
    PATH,
    PATH_OR_URL,
    chosen_frames,
    examples,
    fit_options,
    frame_interval_option,
    frames_option,
    trace_options,
)
from .workers import worker_options

if TYPE_CHECKING:
    from ..correction.preparation import Background


@click.command(
    short_help="Find out how a series bleaches.",
    epilog=examples(
        "flimage-dask estimate series.h5 --model auto --trace mean --plot fit.png",
        "flimage-dask estimate series.h5 --model auto --exclude 10:12 --json estimate.json",
    ),
)
@click.argument("file", metavar="FILE", type=PATH_OR_URL)
@background_options
@trace_options
@fit_options
@frames_option
@frame_interval_option
@click.option("--json", "json_file", metavar="JSON", type=PATH, help="Write the estimate into this file; - for here.")
@click.option("--plot", "picture", metavar="PNG", type=PATH, help="Draw trace, fit, factors and residuals.")
@worker_options
@traceback_option
def estimate(
    file: str,
    border: int,
    background: "Background | None",
    dark: float | NDArray[np.float64] | None,
    flat: NDArray[np.float64] | None,
    trace: str,
    mask: NDArray[np.bool_] | None,
    saturation: float | None,
    model: str,
    exclude: list[int | slice],
    robust: bool,
    correction: str,
    max_factor: float | None,
    parameters: dict[str, float] | None,
    frames: slice | None,
    frame_interval: float | None,
    json_file: Path | None,
    picture: Path | None,
) -> None:
    """Fit the decay of the series FILE, and write nothing but what is asked for.

    The JSON holds model, parameters, standard errors, r2, aicc, factors and more, and can be applied to
    another series with flimage-dask correct --estimate. Both files are replaced if they exist: they end
    in .json and .png, so that no series is.
    """
    from ..series import FLSeries
    from ..view.run import estimate_text
    from ..view.style import check_is_png

    if picture is not None:
        check_is_png(picture)
    if json_file not in (None, Path("-")):
        _check_is_json(json_file)
    with warnings_in_one_line(), FLSeries(h5file=file, h5mode="r") as series:
        origin = str(series.origin)
        found = chosen_frames(series, frames).estimate_bleaching(
            border,
            background=background,
            dark=dark,
            flat=flat,
            trace=trace,
            mask=mask,
            saturation=saturation,
            model=model,
            exclude=exclude,
            robust=robust,
            correction=correction,
            max_factor=max_factor,
            parameters=parameters,
            frame_interval=frame_interval,
        )
    if picture is not None:
        found.plot(picture, title=Path(origin).name)
    if json_file == Path("-"):
        click.echo(found.to_json())
        return
    if json_file is not None:
        json_file.write_text(found.to_json(), encoding="utf-8")
    click.echo(estimate_text(origin, found, [written for written in (json_file, picture) if written is not None]))


def _check_is_json(path: Path) -> None:
    """Refuse a file of another kind, such as the series that a shell put behind --json."""
    if path.suffix.lower() != ".json":
        raise ParameterError(f"'{path}' is no name of a JSON file: give it the suffix .json, or - for here.")
