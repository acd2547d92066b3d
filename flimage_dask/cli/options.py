"""Options that several commands share, and how their values are read."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import numpy as np
from numpy.typing import NDArray

from ..correction.intensity import POSITIVE_SUM, check_statistic
from ..correction.models import AUTO, MODELS, RATIO
from ..correction.options import CORRECTIONS, FACTOR, FitOptions
from ..errors import ParameterError, SeriesError
from .background_options import background_options
from .images import read_image

if TYPE_CHECKING:
    from ..correctable import CorrectableFrames
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
    with_output = click.argument("target", metavar="OUT", type=PATH_OR_URL, callback=_read_output)(command)
    return click.argument("source", metavar="IN", type=PATH_OR_URL)(with_output)


def _read_output(context: click.Context, parameter: click.Parameter, text: str) -> Path:
    """Refuse a URL, which is none any more once it is a path."""
    from ..hdf5.output import refuse_url

    refuse_url(text)
    return Path(text)


def _read_frames(context: click.Context, parameter: click.Parameter, text: str | None) -> slice | None:
    """Read a slice as in Python: first, the one after the last, step."""
    return None if text is None else _slice(text)


def _read_excluded(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> list[int | slice]:
    """Read positions and slices, several of them separated by commas."""
    parts = [part.strip() for text in texts for part in text.split(",")]
    return [_slice(part) if ":" in part else _position(part) for part in parts]


def _read_parameters(
    context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]
) -> dict[str, float] | None:
    """Read names and values of parameters."""
    try:
        return {name.strip(): float(value) for name, value in (text.split("=") for text in texts)} or None
    except ValueError as error:
        raise click.BadParameter(f"'{' '.join(texts)}' is not of the form NAME=VALUE, such as rate=0.05") from error


def _slice(text: str) -> slice:
    try:
        numbers = [int(part) if part.strip() else None for part in text.split(":")]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3) or numbers[2:] == [0]:
        raise click.BadParameter(f"'{text}' is not a slice of frames, first:end:step, such as ::2 or 0:100")
    return slice(*numbers)


def _position(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise click.BadParameter(f"'{text}' is neither a frame nor a slice of frames, such as 3 or 10:12") from error


def output_options(command: _Command) -> _Command:
    """Add the options for how OUT is written; the command gets their values as one argument, `written`.

    They have the names of the arguments of every method that writes.
    """
    decorated = _gathering(command, "written", _OUTPUT)
    for option in reversed(_output_options):
        decorated = option(decorated)
    return decorated


def _gathering(command: _Command, gathered: str, names: tuple[str, ...]) -> _Command:
    """Give a command the values of some options as one argument, a dict by their names."""

    @wraps(command)
    def run(*arguments: Any, **values: Any) -> Any:
        values[gathered] = {name: values.pop(name) for name in names}
        return command(*arguments, **values)

    return run  # type: ignore[return-value]


def _read_compression(context: click.Context, parameter: click.Parameter, name: str) -> str | None:
    return None if name == "none" else name


frames_option = click.option(
    "--frames",
    metavar="FIRST:END:STEP",
    callback=_read_frames,
    help="Take only these frames, a slice as in Python, such as 10:200 or ::2.",
)
frame_interval_option = click.option(
    "--frame-interval", metavar="SECONDS", type=float, help="Time from frame to frame, if the file has no times [s]."
)
memory_option = click.option(
    "--memory", metavar="SIZE", help="What the run may take, such as '1 GiB'. By default some 350 MiB on two cores."
)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace an output that exists.")
_OUTPUT = ("compression", "level", "shuffle", "memory", "overwrite", "resume")
_output_options = (
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
    memory_option,
    overwrite_option,
    click.option(
        "--resume/--no-resume",
        default=None,
        help="Go on with the finished blocks that an earlier run of OUT left, or start again. With --resume, threads "
        "leave such blocks too.",
    ),
)
json_option = click.option("--json", "as_json", is_flag=True, help="Write one JSON object instead of text.")


_model_option = click.option(
    "--model",
    type=click.Choice([AUTO, *MODELS, RATIO]),
    default=FitOptions.model,
    show_default=True,
    help="The curve of the decay; auto: the one that describes it best; ratio: none, frames are made equally bright. "
    "Histograms are matched by flimage-dask match.",
)
_exclude_option = click.option(
    "--exclude",
    metavar="FRAMES",
    multiple=True,
    callback=_read_excluded,
    help="Leave these frames out of the fit: 3, or 10:12 for 10 and 11, or several with commas. They are corrected.",
)
_robust_option = click.option("--robust", is_flag=True, help="Let frames far from the curve count less.")
_correction_option = click.option(
    "--correction",
    type=click.Choice(CORRECTIONS),
    default=FACTOR,
    show_default=True,
    help="Multiply all of a pixel, or only what bleaches of it, or add what was lost.",
)
_max_factor_option = click.option("--max-factor", metavar="X", type=float, help="Hold the factors at this one.")
_parameter_option = click.option(
    "--parameter",
    "parameters",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_read_parameters,
    help="A parameter of the model [counts, s]; give all of them to correct without a fit.",
)


def _read_trace(context: click.Context, parameter: click.Parameter, text: str) -> str:
    try:
        check_statistic(text)
    except ParameterError as error:
        raise click.BadParameter(str(error).partition(": ")[2].rstrip(".")) from error
    return text


def _read_mask(context: click.Context, parameter: click.Parameter, file: Path | None) -> NDArray[np.bool_] | None:
    """Read a mask; any number but 0 marks a pixel."""
    return None if file is None else read_image(file) != 0


_trace_option = click.option(
    "--trace",
    metavar="HOW",
    callback=_read_trace,
    default=POSITIVE_SUM,
    show_default=True,
    help="Intensity of a frame: positive_sum, mean, median, or a percentile such as percentile-90.",
)
_mask_option = click.option(
    "--mask",
    metavar="NPY",
    type=PATH,
    callback=_read_mask,
    help="Only pixels marked in this image (numpy.save) count for the trace, such as those of a cell.",
)
_saturation_option = click.option(
    "--saturation", metavar="COUNTS", type=float, help="Pixels from here on are saturated; warns of many."
)


_ESTIMATE = (
    "border_px",
    "background",
    "dark",
    "flat",
    "trace",
    "mask",
    "saturation",
    "model",
    "exclude",
    "robust",
    "correction",
    "max_factor",
    "parameters",
    "frame_interval",
)


def estimate_options(command: _Command) -> _Command:
    """Add the options that say how bleaching is estimated; the command gets their values as one argument, `how`.

    They have the names of the arguments of `estimate_bleaching`.
    """
    decorated = _gathering(command, "how", _ESTIMATE)
    options = (
        _trace_option,
        _mask_option,
        _saturation_option,
        _model_option,
        _exclude_option,
        _robust_option,
        _correction_option,
        _max_factor_option,
        _parameter_option,
        frame_interval_option,
    )
    for option in reversed(options):
        decorated = option(decorated)
    return background_options(decorated)


def chosen_frames(series: "FLSeries", frames: slice | None) -> "CorrectableFrames":
    """Return the frames that an option chooses; refuse a series that has none."""
    if len(series) == 0:
        raise SeriesError(
            f"'{series.origin}' holds no frames (fli_0, fli_1, …): give another file. flimage-dask info FILE shows "
            f"what is in one."
        )
    if frames is None:
        return series
    view = series[frames]
    if len(view) == 0:
        written = ":".join("" if part is None else str(part) for part in (frames.start, frames.stop, frames.step))
        raise ParameterError(f"--frames {written.removesuffix(':')} chooses none of the {len(series)} frames.")
    return view
