"""Options that several commands share, and how their values are read."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import OutputExistsError, ParameterError

if TYPE_CHECKING:
    from ..correctable import CorrectableFrames
    from ..estimation import Background
    from ..series import FLSeries

_Command = TypeVar("_Command", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)

#: An input, which may be a URL and is left as it is typed.
PATH_OR_URL = click.Path()


def examples(*lines: str) -> str:
    """Write examples for the end of a command's help, line by line as they are."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


def input_and_output(command: _Command) -> _Command:
    """Add the arguments IN and OUT."""
    with_output = click.argument("target", metavar="OUT", type=PATH)(command)
    return click.argument("source", metavar="IN", type=PATH_OR_URL)(with_output)


def _read_frames(context: click.Context, parameter: click.Parameter, text: str | None) -> slice | None:
    """Read a slice as in Python: first, the one after the last, step."""
    if text is None:
        return None
    try:
        numbers = [int(part) if part.strip() else None for part in text.split(":")]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3) or numbers[2:] == [0]:
        raise click.BadParameter(f"'{text}' is no slice of frames, first:end:step, such as ::2 or 0:100")
    return slice(*numbers)


def _read_background(context: click.Context, parameter: click.Parameter, text: str) -> "Background":
    """Read how the background is found, or its value."""
    if text == "constant":
        return "constant"
    if text == "per-frame":
        return "per-frame"
    try:
        counts = float(text)
    except ValueError:
        counts = math.nan
    if not math.isfinite(counts):
        raise click.BadParameter(f"'{text}' is neither 'constant' nor 'per-frame' nor a number of counts")
    return counts


def storage_options(command: _Command) -> _Command:
    """Add the options for how the output is stored: compression, level and shuffle."""
    options = (
        click.option(
            "--compression",
            type=click.Choice(("gzip", "lzf", "none")),
            callback=_read_compression,
            default="gzip",
            show_default=True,
            help="Of the frames of OUT. Every HDF5 program reads gzip.",
        ),
        click.option("--level", metavar="0-9", type=int, help="Of gzip. By default a fast one."),
        click.option(
            "--shuffle/--no-shuffle",
            default=None,
            help="Group bytes of equal significance. By default what makes a sample of OUT smaller.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _read_compression(context: click.Context, parameter: click.Parameter, name: str) -> str | None:
    return None if name == "none" else name


memory_option = click.option(
    "--memory", metavar="SIZE", help="What the run may take, such as '1 GiB'. By default some 400 MiB on two cores."
)
background_option = click.option(
    "--background",
    metavar="HOW",
    callback=_read_background,
    default="constant",
    show_default=True,
    help="constant: one for all frames; per-frame: one for each; or a number of counts.",
)
frames_option = click.option(
    "--frames",
    metavar="FIRST:END:STEP",
    callback=_read_frames,
    help="Take only these frames, a slice as in Python, such as 10:200 or ::2.",
)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace an output that exists.")
json_option = click.option("--json", "as_json", is_flag=True, help="Write one JSON object instead of text.")


def chosen_frames(series: "FLSeries", frames: slice | None) -> "CorrectableFrames":
    """Return the frames that an option chooses."""
    if frames is None:
        return series
    view = series[frames]
    if len(view) == 0:
        written = ":".join("" if part is None else str(part) for part in (frames.start, frames.stop, frames.step))
        raise ParameterError(f"--frames {written.removesuffix(':')} chooses none of the {len(series)} frames.")
    return view


def refuse_existing(target: Path, *, overwrite: bool) -> None:
    """Refuse an output that exists, before anything is read."""
    if target.exists() and not target.is_dir() and not overwrite:
        raise OutputExistsError(f"'{target}' exists already: choose another name, or give --overwrite.")
