"""Options that say what the background of frames is: --border, --background, --background-region, --dark, --flat."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import numpy as np
from numpy.typing import NDArray

from ..correction.levels import FrameBackground
from ..correction.over_time import TimePercentile
from ..correction.profiles import OFFSETS, TERMS, Profile
from ..correction.regions import BORDER, FRAME
from ..correction.rolling_ball import RollingBall
from ..errors import ParameterError
from .images import IMAGES, read_image
from .wording import in_words_of_the_command_line

if TYPE_CHECKING:
    from ..correction.preparation import Background

_Command = TypeVar("_Command", bound=Callable[..., Any])

_PER_FRAME, _BALL, _OVER_TIME = "per-frame", "rolling-ball-", "over-time-"
_REGION = f"{__name__}.region"
_WAYS = (
    "'constant', 'per-frame', 'per-frame-median', 'per-frame-mode', 'per-frame-percentile-10', 'offset', 'tilt', "
    "'poly2o', 'rolling-ball-50', 'over-time-5', nor a number of counts, nor an image (.npy or .h5)"
)


def background_options(command: _Command) -> _Command:
    """Add all options of the background and of the fields."""
    for option in reversed((_border_option, _background_option, _region_option, _dark_option, _flat_option)):
        command = option(command)
    return command


def background_named(text: str, region: str | NDArray[np.bool_] | None = None) -> "Background":
    """Return the background that is meant by what somebody types.

    Parameters
    ----------
    text
        A name, perhaps with its numbers, a number of counts, or the name of a file with an image.
    region
        "border", "frame" or a mask; None if nobody chose one.

    Raises
    ------
    click.BadParameter
        If it is none of them, or knows no region.

    Examples
    --------
    >>> background_named("rolling-ball-25")
    RollingBall(radius=25.0)
    >>> background_named("poly2o-mode").offset
    'mode'
    """
    if text.startswith(_PER_FRAME) and (text != _PER_FRAME or region is not None):
        statistic = text.removeprefix(_PER_FRAME).removeprefix("-") or "mean"
        return FrameBackground(statistic, BORDER if region is None else region)
    kind, _, offset = text.partition("-")
    if kind in TERMS and offset in ("", *OFFSETS):
        return Profile(kind, offset or OFFSETS[0], BORDER if region is None else region)
    if region is not None:
        raise click.BadParameter(f"'{text}' has no region: leave out --background-region")
    return _without_region(text)


def _without_region(text: str) -> "Background":
    if text == "constant":
        return "constant"
    if text == "per-frame":
        return "per-frame"
    for beginning, kind in ((_BALL, RollingBall), (_OVER_TIME, TimePercentile)):
        number = text.removeprefix(beginning)
        if number != text and not math.isnan(_number(number)):
            return kind(_number(number))
    if Path(text).suffix in IMAGES:
        return read_image(Path(text))
    counts = _number(text)
    if not math.isfinite(counts):
        raise click.BadParameter(f"'{text}' is neither {_WAYS}")
    return counts


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _read_background(context: click.Context, parameter: click.Parameter, text: str | None) -> "Background | None":
    region = context.meta.get(_REGION)
    if text is None:
        if region is not None:
            raise click.BadParameter("--background-region goes with --background per-frame or a profile")
        return None
    try:
        return background_named(text, region)
    except ParameterError as error:
        raise click.BadParameter(in_words_of_the_command_line(str(error)).rstrip(".")) from error


def _read_region(context: click.Context, parameter: click.Parameter, text: str | None) -> None:
    if text is None:
        return
    context.meta[_REGION] = text if text in (BORDER, FRAME) else read_image(Path(text)) != 0


def _read_dark(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
    if text is None:
        return None
    counts = _number(text)
    return counts if math.isfinite(counts) else read_image(Path(text))


def _read_flat(context: click.Context, parameter: click.Parameter, file: Path | None) -> Any:
    return None if file is None else read_image(file)


_border_option = click.option(
    "--border",
    "border_px",
    metavar="PX",
    default=20,
    show_default=True,
    help="Width of the border without objects [px].",
)
_background_option = click.option(
    "--background",
    metavar="HOW",
    callback=_read_background,
    help="constant: one number for all frames (default); per-frame, per-frame-median, -mode or -percentile-10: one "
    "for each; offset, tilt or poly2o: a profile fitted to each; rolling-ball-50: under a ball of 50 px; over-time-5: "
    "the fifth percentile of each pixel; a number of counts, or an image (.npy or .h5). Of a --trace other than "
    "positive_sum the default is 0.",
)
_region_option = click.option(
    "--background-region",
    metavar="WHERE",
    callback=_read_region,
    is_eager=True,
    expose_value=False,
    help="Where per-frame backgrounds and profiles are found: border (default), frame, or an image (.npy or .h5) of "
    "marked pixels.",
)
_dark_option = click.option(
    "--dark",
    metavar="IMAGE",
    callback=_read_dark,
    help="What the camera shows without light, subtracted first: an image (.npy or .h5) or a number of counts.",
)
_flat_option = click.option(
    "--flat",
    metavar="IMAGE",
    type=click.Path(path_type=Path),
    callback=_read_flat,
    help="What it shows of an evenly bright sample (.npy or .h5): frames are divided by it less the dark field.",
)
